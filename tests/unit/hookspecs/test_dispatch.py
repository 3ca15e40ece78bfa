"""Tests of how events reach plugins: real plugins on real threads."""

from __future__ import annotations

import gc
import logging
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone

import pytest

from tests.unit.hookspecs.plugins import (
    LIMIT,
    Raising,
    Recorder,
    Stuck,
    eventually,
    no_new_threads,
    texts,
)
from workspace_hookspecs import WorkspacePlugins, hookimpl


def test_events_of_one_plugin_arrive_in_order_on_one_thread_that_is_not_the_hosts(plugins: WorkspacePlugins) -> None:
    recorder = Recorder()
    plugins.register(recorder, "recorder")
    for n in range(200):
        plugins.workspace_deleted(f"{n}") if n % 2 else plugins.workspace_archived(f"{n}")
        assert plugins.drain(LIMIT)
    assert recorder.events == [("deleted" if n % 2 else "archived", f"{n}") for n in range(200)]
    assert len(recorder.threads) == 1
    assert recorder.threads != {threading.current_thread()}
    assert all(thread.daemon for thread in recorder.threads)


def test_events_from_many_threads_all_arrive() -> None:
    recorder = Recorder()
    with WorkspacePlugins(queue_limit=1000) as plugins:
        plugins.register(recorder, "recorder")
        hosts = [
            threading.Thread(target=lambda name=name: [plugins.workspace_deleted(f"{name}-{n}") for n in range(100)])
            for name in "abcdefgh"
        ]
        for host in hosts:
            host.start()
        for host in hosts:
            host.join()
        assert plugins.drain(LIMIT)
    assert len(recorder.threads) == 1
    for name in "abcdefgh":
        mine = [argument for _, argument in recorder.events if str(argument).startswith(name)]
        assert mine == [f"{name}-{n}" for n in range(100)]


def test_only_plugins_that_implement_the_hook_get_a_thread(plugins: WorkspacePlugins) -> None:
    class Archivist:
        @hookimpl
        def on_workspace_archived(self) -> None: ...

    plugins.register(Archivist(), "archivist")
    plugins.workspace_deleted("x")
    plugins.tick()
    assert not [thread for thread in threading.enumerate() if "archivist" in thread.name]
    plugins.workspace_archived("x")
    assert [thread for thread in threading.enumerate() if thread.name == "workspace plugin archivist"]


def test_a_stuck_plugin_delays_neither_the_host_nor_a_neighbour(plugins: WorkspacePlugins, stuck: Stuck) -> None:
    neighbour = Recorder()
    plugins.register(neighbour, "neighbour")
    plugins.workspace_deleted("second")
    assert eventually(lambda: neighbour.events == [("deleted", "second")])
    assert stuck.events == [("deleted", "first")]
    stuck.go.set()
    assert plugins.drain(LIMIT)
    assert stuck.events == [("deleted", "first"), ("deleted", "second")]


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3), KeyboardInterrupt()], ids=["error", "exit", "interrupt"])
def test_a_plugin_that_raises_is_logged_and_receives_later_events(
    plugins: WorkspacePlugins, caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    raising, neighbour = Raising(error), Recorder()
    plugins.register(neighbour, "before")
    plugins.register(raising, "raiser")
    plugins.register(other := Recorder(), "after")
    plugins.workspace_deleted("one")
    plugins.workspace_archived("two")
    assert plugins.drain(LIMIT)
    assert raising.events == neighbour.events == other.events == [("deleted", "one"), ("archived", "two")]
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert [record.getMessage() for record in errors] == [
        "plugin 'raiser' raised in on_workspace_deleted, called with {'workspace_id': 'one'}",
        "plugin 'raiser' raised in on_workspace_archived, called with {'workspace_id': 'two'}",
    ]
    assert all(record.exc_info and record.exc_info[1] is error for record in errors)


def test_a_plugin_may_fire_itself(plugins: WorkspacePlugins) -> None:
    class Echo(Recorder):
        @hookimpl
        def on_workspace_deleted(self, workspace_id: str) -> None:
            plugins.workspace_archived(workspace_id)

    echo = Echo()
    plugins.register(echo, "echo")
    plugins.workspace_deleted("x")
    assert eventually(lambda: echo.events == [("archived", "x")])


def test_a_wrapper_of_a_plugin_wraps_its_own_calls_only(plugins: WorkspacePlugins) -> None:
    class Wrapped(Recorder):
        @hookimpl(wrapper=True, specname="on_workspace_deleted")
        def around(self) -> Iterator[None]:
            self.events.append(("before", None))
            result = yield
            self.events.append(("after", None))
            return result

    wrapped, neighbour = Wrapped(), Recorder()
    plugins.register(wrapped, "wrapped")
    plugins.register(neighbour, "neighbour")
    plugins.workspace_deleted("x")
    assert plugins.drain(LIMIT)
    assert wrapped.events == [("before", None), ("deleted", "x"), ("after", None)]
    assert neighbour.events == [("deleted", "x")]


def test_a_plugin_that_the_host_gave_to_the_manager_is_called_until_it_is_unregistered(plugins: WorkspacePlugins) -> None:
    recorder = Recorder()
    plugins.manager.register(recorder, "direct")
    plugins.workspace_deleted("one")
    assert plugins.drain(LIMIT)
    plugins.manager.unregister(recorder)
    plugins.workspace_deleted("two")
    assert plugins.drain(LIMIT)
    assert recorder.events == [("deleted", "one")]


def test_ticks_never_pile_up_and_the_latest_counts(plugins: WorkspacePlugins, stuck: Stuck) -> None:
    first = datetime(2026, 1, 1, tzinfo=timezone.utc)
    plugins.tick(first)
    plugins.workspace_deleted("between")
    for minute in range(1, 100):
        plugins.tick(first + timedelta(minutes=minute))
    stuck.go.set()
    assert plugins.drain(LIMIT)
    assert stuck.events[1:] == [("tick", first + timedelta(minutes=99)), ("deleted", "between")]


def test_a_tick_during_a_tick_is_one_more(plugins: WorkspacePlugins) -> None:
    plugin = Stuck()
    plugins.register(plugin, "stuck")
    moments = [datetime(2026, 1, day, tzinfo=timezone.utc) for day in (1, 2, 3)]
    plugins.tick(moments[0])
    assert plugin.inside.wait(LIMIT)
    plugins.tick(moments[1])
    plugins.tick(moments[2])
    plugin.go.set()
    assert plugins.drain(LIMIT)
    assert plugin.events == [("tick", moments[0]), ("tick", moments[2])]


def test_a_full_queue_still_takes_a_tick(plugins: WorkspacePlugins, stuck: Stuck) -> None:
    for n in range(10):
        plugins.workspace_deleted(f"{n}")
    plugins.tick()
    stuck.go.set()
    assert plugins.drain(LIMIT)
    assert [hook for hook, _ in stuck.events] == ["deleted", "deleted", "deleted", "deleted", "tick"]


def test_tick_without_a_moment_is_now_and_aware(plugins: WorkspacePlugins) -> None:
    recorder = Recorder()
    plugins.register(recorder, "recorder")
    before = datetime.now(timezone.utc)
    plugins.tick()
    assert plugins.drain(LIMIT)
    ((_, moment),) = recorder.events
    assert isinstance(moment, datetime)
    assert before <= moment <= datetime.now(timezone.utc)
    assert moment.tzinfo is timezone.utc


def test_a_full_queue_logs_its_beginning_and_its_end(
    plugins: WorkspacePlugins, stuck: Stuck, caplog: pytest.LogCaptureFixture
) -> None:
    for n in range(10):
        plugins.workspace_deleted(f"{n}")
    full = (
        "plugin 'stuck': its queue is full (3 events); on_workspace_deleted and later events are dropped until it has caught up"
    )
    assert texts(caplog, logging.ERROR) == [full]
    stuck.go.set()
    assert plugins.drain(LIMIT)
    assert [argument for _, argument in stuck.events[:-1]] == ["first", "0", "1", "2"]
    assert stuck.events[-1][0] == "tick", "a tick makes up for what was dropped"
    assert eventually(lambda: texts(caplog, logging.WARNING))
    assert texts(caplog, logging.WARNING) == ["plugin 'stuck' has caught up; 7 events were dropped"]

    stuck.go.clear()
    stuck.inside.clear()
    plugins.workspace_deleted("again")
    assert stuck.inside.wait(LIMIT)
    for n in range(5):
        plugins.workspace_archived(f"{n}")
    assert len(texts(caplog, logging.ERROR)) == 2
    stuck.go.set()
    assert eventually(lambda: len(texts(caplog, logging.WARNING)) == 2)
    assert texts(caplog, logging.WARNING)[1] == "plugin 'stuck' has caught up; 2 events were dropped"


def test_an_event_stays_queued_if_no_thread_can_be_started(plugins: WorkspacePlugins, caplog: pytest.LogCaptureFixture) -> None:
    recorder = Recorder()
    plugins.register(recorder, "recorder")
    with no_new_threads():
        plugins.workspace_deleted("one")
    assert texts(caplog, logging.ERROR) == [
        "plugin 'recorder': on_workspace_deleted stays queued, because no thread can be started"
    ]
    assert plugins.drain(LIMIT)
    plugins.workspace_deleted("two")
    assert plugins.drain(LIMIT)
    assert recorder.events == [("deleted", "one"), ("deleted", "two")]


def test_a_host_that_forgets_its_plugins_leaves_no_thread_behind() -> None:
    plugins = WorkspacePlugins()
    recorder = Recorder()
    plugins.register(recorder, "recorder")
    plugins.workspace_deleted("x")
    del plugins
    gc.collect()
    assert eventually(lambda: recorder.threads and not any(thread.is_alive() for thread in recorder.threads))
    assert recorder.events == [("deleted", "x")]
