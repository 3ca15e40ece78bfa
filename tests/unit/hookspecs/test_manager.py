"""What a host may rely on when it fires: real plugins on real threads."""

from __future__ import annotations

import gc
import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone, tzinfo

import pluggy
import pytest

from workspace_hookspecs import WorkspacePlugins, hookimpl, hookspec

LIMIT = 20.0
"""Seconds after which something that should have happened did not."""


class Recorder:
    """Keeps its events as (hook, argument), in the order in which they came, and the threads they came on."""

    def __init__(self) -> None:
        self.events: list[tuple[str, object]] = []
        self.threads: set[threading.Thread] = set()

    def note(self, hook: str, argument: object) -> None:
        self.threads.add(threading.current_thread())
        self.events.append((hook, argument))

    @hookimpl
    def on_workspace_deleted(self, workspace_id: str) -> None:
        self.note("deleted", workspace_id)

    @hookimpl
    def on_workspace_archived(self, workspace_id: str) -> None:
        self.note("archived", workspace_id)

    @hookimpl
    def on_tick(self, now: datetime) -> None:
        self.note("tick", now)


class Stuck(Recorder):
    """Waits in each hook until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.inside = threading.Event()
        self.go = threading.Event()

    def note(self, hook: str, argument: object) -> None:
        super().note(hook, argument)
        self.inside.set()
        self.go.wait(LIMIT)


class Raising(Recorder):
    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error

    def note(self, hook: str, argument: object) -> None:
        super().note(hook, argument)
        raise self.error


class Finishing(Recorder):
    """Has a ``drain`` and a ``close``."""

    def __init__(self, drained: Callable[[float], object] = lambda timeout: True) -> None:
        super().__init__()
        self.drained = drained
        self.timeouts: list[float] = []
        self.closed = 0

    def drain(self, timeout: float) -> object:
        self.timeouts.append(timeout)
        self.events.append(("drain", None))
        return self.drained(timeout)

    def close(self) -> None:
        self.closed += 1
        self.events.append(("close", None))


@pytest.fixture
def plugins() -> Iterator[WorkspacePlugins]:
    with WorkspacePlugins(queue_limit=3) as made:
        yield made


@pytest.fixture
def stuck(plugins: WorkspacePlugins) -> Iterator[Stuck]:
    """A plugin that is inside its first hook, ``on_workspace_deleted("first")``."""
    plugin = Stuck()
    plugins.register(plugin, "stuck")
    plugins.workspace_deleted("first")
    assert plugin.inside.wait(LIMIT)
    yield plugin
    plugin.go.set()


@pytest.fixture(autouse=True)
def _everything_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "workspace_hookspecs")


def eventually(happened: Callable[[], object]) -> bool:
    deadline = time.monotonic() + LIMIT
    while not happened() and time.monotonic() < deadline:
        time.sleep(0.001)
    return bool(happened())


@contextmanager
def no_new_threads() -> Iterator[None]:
    """Threads ask for a stack that no address space has."""
    before = threading.stack_size(1 << 47)
    try:
        yield
    finally:
        threading.stack_size(before)


def texts(caplog: pytest.LogCaptureFixture, level: int) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == level]


# Firing


def test_events_of_one_plugin_come_in_order_on_one_thread_that_is_not_the_hosts(plugins: WorkspacePlugins) -> None:
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
def test_a_raising_plugin_is_named_and_hurts_nobody_not_even_itself(
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
        "plugin 'raiser' raised in on_workspace_deleted(workspace_id='one')",
        "plugin 'raiser' raised in on_workspace_archived(workspace_id='two')",
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


# Ticks


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


# Overflow


def test_a_full_queue_drops_aloud_once_in_each_episode(
    plugins: WorkspacePlugins, stuck: Stuck, caplog: pytest.LogCaptureFixture
) -> None:
    for n in range(10):
        plugins.workspace_deleted(f"{n}")
    full = (
        "plugin 'stuck': its queue is full (3 events), on_workspace_deleted and what follows is dropped until it has caught up"
    )
    assert texts(caplog, logging.ERROR) == [full]
    stuck.go.set()
    assert plugins.drain(LIMIT)
    assert [argument for _, argument in stuck.events] == ["first", "0", "1", "2"]
    assert eventually(lambda: texts(caplog, logging.WARNING))
    assert texts(caplog, logging.WARNING) == ["plugin 'stuck' has caught up; 7 events were dropped meanwhile"]

    stuck.go.clear()
    stuck.inside.clear()
    plugins.workspace_deleted("again")
    assert stuck.inside.wait(LIMIT)
    for n in range(5):
        plugins.workspace_archived(f"{n}")
    assert len(texts(caplog, logging.ERROR)) == 2
    stuck.go.set()
    assert eventually(lambda: len(texts(caplog, logging.WARNING)) == 2)
    assert texts(caplog, logging.WARNING)[1] == "plugin 'stuck' has caught up; 2 events were dropped meanwhile"


def test_a_queue_needs_room() -> None:
    with pytest.raises(ValueError, match="queue_limit must be at least 1, not 0"):
        WorkspacePlugins(queue_limit=0)


# What hosts do wrong


class BrokenZone(tzinfo):
    def utcoffset(self, moment: datetime | None) -> timedelta:
        raise LookupError("no such zone")


@pytest.mark.parametrize("wrong", [uuid.UUID(int=1), None, b"x", 7, "", "  "], ids=repr)
@pytest.mark.parametrize("hook", ["workspace_deleted", "workspace_archived"])
def test_a_wrong_id_is_an_error_that_shows_the_caller(
    plugins: WorkspacePlugins, caplog: pytest.LogCaptureFixture, hook: str, wrong: object
) -> None:
    recorder = Recorder()
    plugins.register(recorder, "recorder")
    getattr(plugins, hook)(wrong)
    assert plugins.drain(LIMIT)
    assert recorder.events == []
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.getMessage().startswith(f"{hook}() takes the workspace's id, text that is not blank, and not ")
    assert record.pathname == __file__
    assert "test_a_wrong_id_is_an_error" in str(record.stack_info)


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(datetime(2026, 1, 1), id="naive"),  # noqa: DTZ001
        pytest.param("2026-01-01T00:00:00Z", id="text"),
        pytest.param(1767225600.0, id="seconds"),
        pytest.param(datetime.max.replace(tzinfo=timezone(-timedelta(hours=1))), id="beyond UTC"),
        pytest.param(datetime(2026, 1, 1, tzinfo=BrokenZone()), id="broken zone"),
    ],
)
def test_a_wrong_moment_is_an_error_that_shows_the_caller_and_a_tick_all_the_same(
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
    assert record.getMessage().startswith("tick() takes an aware datetime, and not ")
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


def test_firing_never_raises_whatever_the_hosts_logging_does(plugins: WorkspacePlugins) -> None:
    class Refusing(logging.Filter):
        def filter(self, record: logging.LogRecord) -> bool:
            raise RuntimeError("no log today")

    raising = Raising(ValueError("no"))
    plugins.register(raising, "raiser")
    logger = logging.getLogger("workspace_hookspecs")
    refusing = Refusing()
    logger.addFilter(refusing)
    try:
        plugins.workspace_deleted(None)  # type: ignore[arg-type]
        plugins.workspace_deleted("one")
        plugins.workspace_deleted("two")
        assert plugins.drain(LIMIT)
    finally:
        logger.removeFilter(refusing)
    assert raising.events == [("deleted", "one"), ("deleted", "two")]


def test_firing_never_raises_when_the_manager_was_broken_by_the_host(
    plugins: WorkspacePlugins, caplog: pytest.LogCaptureFixture
) -> None:
    del plugins.manager.hook.on_tick
    plugins.tick()
    assert texts(caplog, logging.ERROR) == ["on_tick could not be fired"]


def test_an_event_waits_where_no_thread_can_be_started(plugins: WorkspacePlugins, caplog: pytest.LogCaptureFixture) -> None:
    recorder = Recorder()
    plugins.register(recorder, "recorder")
    with no_new_threads():
        plugins.workspace_deleted("one")
    assert texts(caplog, logging.ERROR) == ["plugin 'recorder': on_workspace_deleted waits, for no thread can be started"]
    assert plugins.drain(LIMIT)
    plugins.workspace_deleted("two")
    assert plugins.drain(LIMIT)
    assert recorder.events == [("deleted", "one"), ("deleted", "two")]


# Registering


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


class Misspelt(Recorder):
    @hookimpl
    def on_workspace_delete(self, workspace_id: str) -> None: ...


class WrongArgument(Recorder):
    @hookimpl
    def on_workspace_deleted(self, workspace: str) -> None: ...  # type: ignore[override]


class Asynchronous(Recorder):
    @hookimpl
    async def on_tick(self, now: datetime) -> None: ...


class AsynchronousGenerator(Recorder):
    @hookimpl
    async def on_tick(self, now: datetime) -> None:
        yield


class Generator(Recorder):
    @hookimpl
    def on_tick(self, now: datetime) -> Iterator[None]:
        yield


class NeedsMore(Recorder):
    @hookimpl
    def on_tick(self, now: datetime, *, timeout: float) -> None: ...


class WithDefault(Recorder):
    @hookimpl
    def on_workspace_deleted(self, workspace_id: str = "") -> None: ...


WRONG_PLUGINS = [
    pytest.param(
        Misspelt(),
        "on_workspace_delete",
        "there is no such hook; there are on_reaper_alarm, on_session_reaped, ",
        id="misspelt",
    ),
    pytest.param(WrongArgument(), "on_workspace_deleted", "'workspace'", id="wrong argument"),
    pytest.param(Asynchronous(), "on_tick", "never be awaited", id="coroutine"),
    pytest.param(AsynchronousGenerator(), "on_tick", "never be awaited", id="asynchronous generator"),
    pytest.param(Generator(), "on_tick", "never be run", id="generator"),
    pytest.param(NeedsMore(), "on_tick", "'timeout'", id="needs more"),
    pytest.param(WithDefault(), "on_workspace_deleted", r"remove the defaults of \['workspace_id'\]", id="default"),
    pytest.param(Recorder, "on_", "the plugin is a class, and an instance is needed", id="class"),
]


@pytest.mark.parametrize(("plugin", "hook", "wrong"), WRONG_PLUGINS)
def test_a_plugin_that_could_never_work_is_refused_by_name(
    plugins: WorkspacePlugins, plugin: object, hook: str, wrong: str
) -> None:
    with pytest.raises(pluggy.PluginValidationError, match=rf"(?s)'wrong'.*{hook}.*{wrong}"):
        plugins.register(plugin, "wrong")
    assert plugins.manager.get_plugins() == set()
    plugins.register(neighbour := Recorder(), "wrong")
    plugins.workspace_deleted("x")
    assert plugins.drain(LIMIT)
    assert neighbour.events == [("deleted", "x")]
    plugins.manager.check_pending()


def test_none_is_no_plugin(plugins: WorkspacePlugins) -> None:
    with pytest.raises(pluggy.PluginValidationError, match="plugin 'nothing' is None"):
        plugins.register(None, "nothing")


def test_a_plugin_without_hooks_is_a_warning(plugins: WorkspacePlugins, caplog: pytest.LogCaptureFixture) -> None:
    assert plugins.register(object(), "idler") == "idler"
    (warning,) = texts(caplog, logging.WARNING)
    assert warning.startswith("plugin 'idler' implements no hook and is never called")


class HostSpecs:
    @hookspec
    def on_workspace_renamed(self, workspace_id: str) -> None: ...


class Renamed(Recorder):
    @hookimpl
    def on_workspace_renamed(self, workspace_id: str) -> None:
        self.note("renamed", workspace_id)


class WronglyRenamed(Recorder):
    @hookimpl
    def on_workspace_renamed(self, name: str) -> None: ...


class PerhapsRenamed(Recorder):
    @hookimpl(optionalhook=True)
    def on_workspace_renamed(self, workspace_id: str) -> None: ...


def test_a_host_may_have_hooks_of_its_own(plugins: WorkspacePlugins) -> None:
    plugins.manager.add_hookspecs(HostSpecs)
    renamed = Renamed()
    plugins.register(renamed, "renamed")
    with pytest.raises(pluggy.PluginValidationError, match="'wrong'"):
        plugins.register(WronglyRenamed(), "wrong")
    assert plugins.manager.get_plugins() == {renamed}
    plugins.manager.hook.on_workspace_renamed(workspace_id="x")
    plugins.workspace_deleted("x")
    assert plugins.drain(LIMIT)
    assert renamed.events == [("renamed", "x"), ("deleted", "x")]


def test_an_optional_hook_that_the_host_lacks_is_no_mistake(plugins: WorkspacePlugins) -> None:
    assert plugins.register(PerhapsRenamed(), "perhaps") == "perhaps"


# Draining


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


def test_drain_tells_when_a_queue_is_not_worked_off_in_time(plugins: WorkspacePlugins, stuck: Stuck) -> None:
    finishing = Finishing()
    plugins.register(finishing, "finishing")
    assert not plugins.drain(0.05)
    assert finishing.timeouts, "the neighbour is drained nevertheless"
    stuck.go.set()
    assert plugins.drain(LIMIT)


def test_drain_waits_for_the_events_so_far_only(plugins: WorkspacePlugins) -> None:
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


def test_a_drain_that_never_comes_back_does_not_hold_the_host(
    plugins: WorkspacePlugins, caplog: pytest.LogCaptureFixture
) -> None:
    forever = threading.Event()
    plugins.register(Finishing(lambda timeout: forever.wait(LIMIT)), "forever")
    try:
        assert not plugins.drain(0)
        assert texts(caplog, logging.WARNING) == ["plugin 'forever': its drain() has not come back in time"]
    finally:
        forever.set()


# Closing


def test_close_works_off_the_queue_then_closes_the_plugin_once(
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


def test_close_closes_plugins_where_no_thread_can_be_started(plugins: WorkspacePlugins) -> None:
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
        f"plugin '{name}' does not get {hook}: its WorkspacePlugins are closed"
        for name in ("fresh", "known")
        for hook in ("on_tick", "on_workspace_deleted")
    ]


def test_close_leaves_a_stuck_plugin_behind_and_says_what_was_lost(
    plugins: WorkspacePlugins, stuck: Stuck, caplog: pytest.LogCaptureFixture
) -> None:
    plugins.register(neighbour := Finishing(), "neighbour")
    for n in range(5):
        plugins.workspace_deleted(f"{n}")
        assert eventually(lambda n=n: ("deleted", f"{n}") in neighbour.events)
    plugins.tick()
    plugins.close(timeout=0.2)
    assert neighbour.events[-1] == ("close", None)
    assert "plugin 'stuck' is closed, and 6 events never reached it" in texts(caplog, logging.WARNING)
    stuck.go.set()
    assert eventually(lambda: not any(thread.is_alive() for thread in stuck.threads))
    assert stuck.events == [("deleted", "first")]


def test_a_close_that_raises_or_hangs_hurts_nobody(plugins: WorkspacePlugins, caplog: pytest.LogCaptureFixture) -> None:
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
        assert texts(caplog, logging.WARNING) == ["plugin 'hanging': its close() has not come back in time"]
    finally:
        forever.set()


def test_a_host_that_forgets_its_plugins_leaves_no_thread_behind() -> None:
    plugins = WorkspacePlugins()
    recorder = Recorder()
    plugins.register(recorder, "recorder")
    plugins.workspace_deleted("x")
    del plugins
    gc.collect()
    assert eventually(lambda: recorder.threads and not any(thread.is_alive() for thread in recorder.threads))
    assert recorder.events == [("deleted", "x")]
