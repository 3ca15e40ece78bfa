"""Tests of what a host may rely on: its arguments, registering, draining and closing. Real plugins on real threads."""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone, tzinfo
from reprlib import repr as short

import pluggy
import pytest

import workspace_hookspecs
from tests.unit.hookspecs.plugins import (
    ALARM,
    LIMIT,
    MOMENT,
    REAP,
    Finishing,
    Guard,
    Joining,
    Listener,
    Recorder,
    Stuck,
    ask,
    eventually,
    failing,
    no_new_threads,
    texts,
)
from workspace_hookspecs import Veto, WorkspacePlugins, hookimpl


def test_a_queue_needs_room() -> None:
    with pytest.raises(ValueError, match="queue_limit must be at least 1, not 0"):
        WorkspacePlugins(queue_limit=0)


class BrokenZone(tzinfo):
    def utcoffset(self, moment: datetime | None) -> timedelta:
        raise LookupError("no such zone")


@pytest.mark.parametrize("wrong", [uuid.UUID(int=1), None, b"x", 7, "", "  "], ids=repr)
@pytest.mark.parametrize("hook", ["workspace_deleted", "workspace_archived"])
def test_a_wrong_id_is_logged_with_the_caller(
    plugins: WorkspacePlugins, caplog: pytest.LogCaptureFixture, hook: str, wrong: object
) -> None:
    recorder = Recorder()
    plugins.register(recorder, "recorder")
    getattr(plugins, hook)(wrong)
    assert plugins.drain(LIMIT)
    assert recorder.events == []
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    needed = "the workspace's id as non-blank text"
    assert record.getMessage() == f"{hook}() needs {needed}, and was called with {short(wrong)}: no event is fired"
    assert record.pathname == __file__
    assert "test_a_wrong_id_is_logged" in str(record.stack_info)


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(datetime(2026, 1, 1, tzinfo=timezone.utc).replace(tzinfo=None), id="naive"),
        pytest.param("2026-01-01T00:00:00Z", id="text"),
        pytest.param(1767225600.0, id="seconds"),
        pytest.param(datetime.max.replace(tzinfo=timezone(-timedelta(hours=1))), id="beyond UTC"),
        pytest.param(datetime(2026, 1, 1, tzinfo=BrokenZone()), id="broken zone"),
    ],
)
def test_a_wrong_time_is_logged_with_the_caller_and_the_tick_is_fired(
    plugins: WorkspacePlugins, caplog: pytest.LogCaptureFixture, wrong: datetime
) -> None:
    recorder = Recorder()
    plugins.register(recorder, "recorder")
    before = datetime.now(timezone.utc)
    plugins.tick(wrong)
    assert plugins.drain(LIMIT)
    ((_, moment),) = recorder.events
    assert isinstance(moment, datetime)
    assert moment >= before
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.getMessage().startswith("tick() needs an aware datetime, and was called with ")
    assert record.pathname == __file__


class Nowhere(tzinfo):
    def utcoffset(self, moment: datetime | None) -> None:
        return None


def test_a_zone_without_an_offset_is_naive(plugins: WorkspacePlugins, caplog: pytest.LogCaptureFixture) -> None:
    plugins.tick(datetime(2026, 1, 1, tzinfo=Nowhere()))
    assert len(texts(caplog, logging.ERROR)) == 1


def test_any_time_zone_becomes_utc(plugins: WorkspacePlugins) -> None:
    recorder = Recorder()
    plugins.register(recorder, "recorder")
    plugins.tick(datetime(2026, 1, 1, 7, tzinfo=timezone(timedelta(hours=7))))
    assert plugins.drain(LIMIT)
    assert recorder.events == [("tick", datetime(2026, 1, 1, tzinfo=timezone.utc))]
    assert recorder.events[0][1].tzinfo is timezone.utc  # type: ignore[attr-defined]


def test_firing_never_raises_when_the_manager_was_broken_by_the_host(
    plugins: WorkspacePlugins, caplog: pytest.LogCaptureFixture
) -> None:
    del plugins.manager.hook.on_tick
    plugins.tick()
    assert texts(caplog, logging.ERROR) == ["on_tick cannot be fired"]


def test_register_gives_the_name_and_raises_for_a_second_one(plugins: WorkspacePlugins) -> None:
    recorder = Recorder()
    assert plugins.register(recorder, "mine") == "mine"
    assert plugins.manager.get_plugin("mine") is recorder
    assert plugins.register(unnamed := Recorder()) == str(id(unnamed))
    with pytest.raises(ValueError, match="mine"):
        plugins.register(Recorder(), "mine")
    with pytest.raises(ValueError, match="different name"):
        plugins.register(recorder, "other")
    assert plugins.manager.get_plugin("mine") is recorder
    plugins.workspace_deleted("x")
    assert plugins.drain(LIMIT)
    assert recorder.events == [("deleted", "x")]


def test_drain_of_nothing_is_true_at_once(plugins: WorkspacePlugins) -> None:
    plugins.register(Recorder(), "recorder")
    assert plugins.drain(0)


def test_drain_waits_for_the_queue_and_then_for_the_plugin(plugins: WorkspacePlugins) -> None:
    finishing = Finishing()
    plugins.register(finishing, "finishing")
    for n in range(3):
        plugins.workspace_deleted(f"{n}")
    assert plugins.drain(LIMIT)
    assert [hook for hook, _ in finishing.events] == ["deleted", "deleted", "deleted", "drain"]
    assert 0 < finishing.timeouts[0] <= LIMIT


def test_drain_returns_whether_a_queue_is_processed_in_time(plugins: WorkspacePlugins, stuck: Stuck) -> None:
    finishing = Finishing()
    plugins.register(finishing, "finishing")
    assert not plugins.drain(0.05)
    assert finishing.timeouts, "the neighbour is drained nevertheless"
    stuck.go.set()
    assert plugins.drain(LIMIT)


def test_drain_waits_only_for_the_events_so_far(plugins: WorkspacePlugins) -> None:
    class Endless(Recorder):
        @hookimpl
        def on_workspace_deleted(self, workspace_id: str) -> None:
            plugins.workspace_deleted(workspace_id)

    plugins.register(Endless(), "endless")
    plugins.workspace_deleted("x")
    assert plugins.drain(LIMIT)


def _raise(timeout: float) -> object:
    raise ValueError("no")


@pytest.mark.parametrize(
    ("drained", "well"),
    [
        pytest.param(lambda timeout: True, True, id="true"),
        pytest.param(lambda timeout: None, True, id="none"),
        pytest.param(lambda timeout: False, False, id="false"),
        pytest.param(_raise, False, id="raises"),
    ],
)
def test_drain_asks_each_plugin(plugins: WorkspacePlugins, drained: Callable[[float], object], well: bool) -> None:
    plugins.register(Finishing(), "other")
    plugins.register(Finishing(drained), "finishing")
    assert plugins.drain(1) is well


def test_a_drain_that_never_returns_does_not_block_the_host(
    plugins: WorkspacePlugins, caplog: pytest.LogCaptureFixture
) -> None:
    forever = threading.Event()
    plugins.register(Finishing(lambda timeout: forever.wait(LIMIT)), "forever")
    try:
        assert not plugins.drain(0)
        assert texts(caplog, logging.WARNING) == ["plugin 'forever': its drain() has not returned in time"]
    finally:
        forever.set()


def test_close_processes_the_queue_then_closes_the_plugin_once(
    plugins: WorkspacePlugins, caplog: pytest.LogCaptureFixture
) -> None:
    finishing = Finishing()
    plugins.register(finishing, "finishing")
    plugins.register(unused := Finishing(), "unused")
    plugins.workspace_deleted("x")
    plugins.close()
    assert finishing.events == [("deleted", "x"), ("close", None)]
    assert unused.closed == 1
    plugins.close()
    assert finishing.closed == 1
    assert eventually(lambda: not any(thread.is_alive() for thread in finishing.threads))
    assert not caplog.records


def test_close_closes_plugins_if_no_thread_can_be_started(plugins: WorkspacePlugins) -> None:
    plugins.register(finishing := Finishing(), "finishing")
    with no_new_threads():
        plugins.close()
    assert finishing.closed == 1


def test_an_event_after_close_is_a_warning(plugins: WorkspacePlugins, caplog: pytest.LogCaptureFixture) -> None:
    known, fresh = Recorder(), Recorder()
    plugins.register(known, "known")
    plugins.workspace_deleted("x")
    plugins.register(fresh, "fresh")
    plugins.close()
    plugins.workspace_deleted("y")
    plugins.tick()
    assert plugins.drain(LIMIT)
    assert known.events == [("deleted", "x")]
    assert fresh.events == []
    assert sorted(texts(caplog, logging.WARNING)) == [
        f"plugin '{name}' does not receive {hook}: its WorkspacePlugins are closed"
        for name in ("fresh", "known")
        for hook in ("on_tick", "on_workspace_deleted")
    ]


def test_close_abandons_a_stuck_plugin_and_logs_the_lost_events(
    plugins: WorkspacePlugins, stuck: Stuck, caplog: pytest.LogCaptureFixture
) -> None:
    plugins.register(neighbour := Finishing(), "neighbour")
    for n in range(5):
        plugins.workspace_deleted(f"{n}")
        assert eventually(lambda n=n: ("deleted", f"{n}") in neighbour.events)
    plugins.tick()
    plugins.close(timeout=0.2)
    assert neighbour.events[-1] == ("close", None)
    assert "plugin 'stuck' is closed; 6 events never reached it" in texts(caplog, logging.WARNING)
    stuck.go.set()
    assert eventually(lambda: not any(thread.is_alive() for thread in stuck.threads))
    assert stuck.events == [("deleted", "first")]


def test_a_close_that_raises_or_hangs_affects_no_other_plugin(
    plugins: WorkspacePlugins, caplog: pytest.LogCaptureFixture
) -> None:
    forever = threading.Event()

    class Hanging(Recorder):
        def close(self) -> None:
            forever.wait(LIMIT)

    class Failing(Recorder):
        def close(self) -> None:
            raise ValueError("no")

    plugins.register(Hanging(), "hanging")
    plugins.register(Failing(), "failing")
    plugins.register(well := Finishing(), "well")
    try:
        plugins.close(timeout=0.2)
        assert well.closed == 1
        assert texts(caplog, logging.ERROR) == ["plugin 'failing' raised in close()"]
        assert texts(caplog, logging.WARNING) == ["plugin 'hanging': its close() has not returned in time"]
    finally:
        forever.set()


def test_register_joins_at_once(plugins: WorkspacePlugins) -> None:
    plugins.register(Guard(), "guard")
    plugins.register(joining := Joining(), "joining")
    plugins.register(Guard(), "later")
    assert joining.joined == [plugins]
    assert joining.names == ["guard", "joining"]


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3)], ids=["error", "exit"])
def test_a_join_that_raises_is_logged_and_the_plugin_stays(
    plugins: WorkspacePlugins, caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    class Failing(Guard):
        def join(self, plugins: WorkspacePlugins) -> None:
            raise error

    assert plugins.register(Failing({"vk_one": "busy"}), "failing") == "failing"
    assert texts(caplog, logging.ERROR) == ["plugin 'failing' raised in join()"]
    assert ask(plugins) == [Veto("failing", "vk_one", "busy")]


def test_an_interrupt_ends_the_join(plugins: WorkspacePlugins) -> None:
    class Interrupted(Guard):
        def join(self, plugins: WorkspacePlugins) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        plugins.register(Interrupted(), "interrupted")


def test_events_that_a_joined_plugin_fires_while_it_is_drained_reach_the_others() -> None:
    plugins = WorkspacePlugins()

    class Draining(Listener):
        drained_with = -1

        def drain(self, timeout: float) -> bool:
            self.drained_with = len(self.reaps)
            return True

    class Reaper(Joining):
        def drain(self, timeout: float) -> bool:
            for _ in range(50):
                self.joined[0].session_reaped(REAP)
            return True

    before, after = Draining(), Draining()
    plugins.register(before, "before")
    plugins.register(Reaper(), "reaper")
    plugins.register(after, "after")
    assert plugins.drain(LIMIT)
    assert before.reaps == after.reaps == [REAP] * 50
    assert before.drained_with == after.drained_with == 50


def test_the_others_are_drained_if_a_joined_plugin_fails_to_drain(plugins: WorkspacePlugins) -> None:
    class Reaper(Joining):
        def drain(self, timeout: float) -> bool:
            return False

    class Draining(Guard):
        drained = 0

        def drain(self, timeout: float) -> bool:
            self.drained += 1
            return True

    plugins.register(Reaper(), "reaper")
    plugins.register(other := Draining(), "other")
    assert not plugins.drain(0)
    assert other.drained == 1


def test_a_listener_that_raises_is_logged_and_the_others_are_notified(
    plugins: WorkspacePlugins, caplog: pytest.LogCaptureFixture
) -> None:
    listeners = {"a": Listener(), "wrong": Listener(ValueError("no")), "z": Listener()}
    for name, listener in listeners.items():
        plugins.register(listener, name)
    plugins.session_reaped(REAP)
    plugins.session_reaped(REAP)
    assert plugins.drain(LIMIT)
    assert [listener.reaps for listener in listeners.values()] == [[REAP, REAP]] * 3
    errors = texts(caplog, logging.ERROR)
    assert len(errors) == 2
    assert all(
        error.startswith("plugin 'wrong' raised in on_session_reaped, called with {'reap': Reaped(id='01J'") for error in errors
    )


def test_a_wrong_reap_is_logged_with_the_caller(plugins: WorkspacePlugins, caplog: pytest.LogCaptureFixture) -> None:
    plugins.register(listener := Listener(), "listener")
    plugins.session_reaped({"id": "01J"})  # type: ignore[arg-type]
    assert plugins.drain(LIMIT)
    assert listener.reaps == []
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.getMessage() == "session_reaped() needs a Reaped, and was called with {'id': '01J'}: no event is fired"
    assert record.pathname == __file__


def test_an_alarm_reaches_all_if_one_raises(plugins: WorkspacePlugins, caplog: pytest.LogCaptureFixture) -> None:
    listeners = {"a": Listener(), "wrong": Listener(ValueError("no")), "z": Listener()}
    for name, listener in listeners.items():
        plugins.register(listener, name)
    fired = [ALARM, replace(ALARM, ended_at=MOMENT)]
    for alarm in fired:
        plugins.reaper_alarm(alarm)
    assert plugins.drain(LIMIT)
    assert [listener.alarms for listener in listeners.values()] == [fired] * 3
    errors = texts(caplog, logging.ERROR)
    assert len(errors) == 2
    assert all(
        error.startswith("plugin 'wrong' raised in on_reaper_alarm, called with {'alarm': ReaperAlarm(name='blind'")
        for error in errors
    )


def test_a_wrong_alarm_is_logged_with_the_caller(plugins: WorkspacePlugins, caplog: pytest.LogCaptureFixture) -> None:
    plugins.register(listener := Listener(), "listener")
    plugins.reaper_alarm("blind")  # type: ignore[arg-type]
    assert plugins.drain(LIMIT)
    assert listener.alarms == []
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.getMessage() == "reaper_alarm() needs a ReaperAlarm, and was called with 'blind': no event is fired"
    assert record.pathname == __file__


@pytest.fixture
def manager() -> pluggy.PluginManager:
    made = pluggy.PluginManager("workspace_server")
    made.add_hookspecs(workspace_hookspecs)
    return made


class Own(Guard, Listener):
    """A plugin whose ``drain`` and ``close`` only its host may call."""

    def __init__(self, answer: object = None) -> None:
        Guard.__init__(self, answer)
        Listener.__init__(self)
        self.called: list[str] = []

    def drain(self, timeout: float) -> bool:
        self.called.append("drain")
        return True

    def close(self) -> None:
        self.called.append("close")


def test_plugins_of_a_hosts_manager_are_asked_and_notified_in_isolation(
    manager: pluggy.PluginManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKSPACE_PLUGINS_BLOCK", "own")
    manager.register(own := Own({"vk_one": "busy"}), "own")
    manager.register(Guard(failing(ValueError("no"))), "wrong")
    with WorkspacePlugins(manager=manager) as around:
        manager.register(later := Own(), "later")
        assert set(ask(around)) == {Veto("own", "vk_one", "busy"), Veto("wrong", None, "it raised ValueError: no")}
        around.session_reaped(REAP)
        around.reaper_alarm(ALARM)
        assert around.drain(LIMIT)
        assert own.alarms == later.alarms == [ALARM]
        assert own.reaps == later.reaps == [REAP]
    assert own.called == later.called == []
    assert not manager.is_blocked("own")


def test_a_manager_without_the_hooks_is_refused() -> None:
    class Old:
        on_tick = workspace_hookspecs.on_tick

    manager = pluggy.PluginManager("workspace_server")
    manager.add_hookspecs(Old)
    manager.register(Guard(), "guard")
    missing = "on_reaper_alarm, on_session_reaped, on_workspace_archived, on_workspace_deleted, reaper_veto"
    with pytest.raises(ValueError, match=rf"the manager lacks {missing}: call its add_hookspecs\(workspace_hookspecs\) first"):
        WorkspacePlugins(manager=manager)
