"""What a reaper may rely on when it asks the others: no answer is a veto of everything. Real plugins on real threads."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from types import ModuleType
from typing import Any

import pluggy
import pytest

import workspace_hookspecs
from tests.tools.distributions import install
from tests.tools.waiting import wait_until
from workspace_hookspecs import Candidate, Reaped, ReaperAlarm, Veto, WorkspacePlugins, hookimpl

LIMIT = 20.0
"""Seconds after which something that should have happened did not."""
AT_ONCE = 0.05
"""Seconds for an answer that never comes."""

ONE = Candidate("01J", "/tmp/a", "vk_one", "$1", "one", "idle", None)
TWO = replace(ONE, session="vk_two", session_id="$2", workspace_id="two")
ELSEWHERE = replace(ONE, socket="/tmp/b")
BOTH = (ONE, TWO)
MOMENT = datetime(2026, 11, 22, 10, tzinfo=timezone.utc)
REAP = Reaped("01J", MOMENT, "/tmp/a", "vk_one", "one", "idle", "reaped", 4096, (), (), True)
ALARM = ReaperAlarm("blind", MOMENT, "no complete sweep yet", "a full sweep reads everything")
FAILED = "plugin {!r} has vetoed every session in reaper_veto(): {}"


class Guard:
    """Gives this answer, or whatever the function says; ``asked`` is what it was asked, on which thread."""

    def __init__(self, answer: object = None) -> None:
        self.answer = answer
        self.asked: list[Sequence[Candidate]] = []
        self.threads: list[threading.Thread] = []

    @hookimpl
    def reaper_veto(self, candidates: Sequence[Candidate]) -> Any:
        self.asked.append(candidates)
        self.threads.append(threading.current_thread())
        return self.answer() if callable(self.answer) else self.answer


class Stuck(Guard):
    """Is inside its hook until it is let go, and then vetoes ``vk_one``."""

    def __init__(self) -> None:
        super().__init__(self.wait)
        self.inside = threading.Event()
        self.go = threading.Event()

    def wait(self) -> Mapping[str, str]:
        self.inside.set()
        self.go.wait(LIMIT)
        return {"vk_one": "at last"}


@pytest.fixture
def plugins() -> Iterator[WorkspacePlugins]:
    with WorkspacePlugins() as made:
        yield made


@pytest.fixture
def stuck(plugins: WorkspacePlugins) -> Iterator[Stuck]:
    """A plugin that has not come back from its first question."""
    plugin = Stuck()
    plugins.register(plugin, "stuck")
    assert plugins.ask_vetoes(BOTH, timeout=AT_ONCE) == [Veto("stuck", None, "it gave no answer within 0.05 s")]
    assert plugin.inside.wait(LIMIT)
    yield plugin
    plugin.go.set()


@pytest.fixture(autouse=True)
def _everything_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "workspace_hookspecs")


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


def ask(plugins: WorkspacePlugins, *candidates: Candidate) -> list[Veto]:
    return plugins.ask_vetoes(candidates or BOTH, timeout=LIMIT)


# Answers


@pytest.mark.parametrize(
    ("answer", "vetoes"),
    [
        pytest.param(None, [], id="none"),
        pytest.param({}, [], id="empty"),
        pytest.param({"vk_two": "deploying"}, [("vk_two", "deploying")], id="one of them"),
        pytest.param({"vk_one": "", "vk_two": "b"}, [("vk_one", ""), ("vk_two", "b")], id="both, one without a reason"),
        pytest.param({"vk_other": "mine", "$1": "an id", "vk_": "a prefix"}, [], id="no candidates"),
    ],
)
def test_an_answer(plugins: WorkspacePlugins, answer: object, vetoes: list[tuple[str, str]]) -> None:
    plugins.register(guard := Guard(answer), "guard")
    assert ask(plugins) == [Veto("guard", *veto) for veto in vetoes]
    assert guard.asked == [BOTH]


def test_a_name_on_two_sockets_is_asked_about_twice_and_vetoed_once(plugins: WorkspacePlugins) -> None:
    plugins.register(guard := Guard({"vk_one": "busy"}), "guard")
    assert ask(plugins, ONE, ELSEWHERE) == [Veto("guard", "vk_one", "busy")]
    assert guard.asked == [(ONE, ELSEWHERE)]


def test_all_are_asked_at_the_same_time(plugins: WorkspacePlugins) -> None:
    """Each comes back only when all are inside."""
    together = threading.Barrier(3)

    def meet() -> Mapping[str, str]:
        together.wait(LIMIT)
        return {"vk_one": "met"}

    guards = {name: Guard(meet) for name in "abc"}
    for name, guard in guards.items():
        plugins.register(guard, name)
    assert {veto.plugin: veto.reason for veto in ask(plugins)} == dict.fromkeys("abc", "met")
    threads = {thread for guard in guards.values() for thread in guard.threads}
    assert len(threads) == 3
    assert all(thread.daemon for thread in threads)


def test_a_plugin_that_works_off_an_event_is_asked_beside_it(plugins: WorkspacePlugins) -> None:
    class Slow(Guard):
        inside, go = threading.Event(), threading.Event()

        @hookimpl
        def on_workspace_deleted(self, workspace_id: str) -> None:
            self.inside.set()
            self.go.wait(LIMIT)

    plugins.register(slow := Slow({"vk_one": "busy"}), "slow")
    plugins.workspace_deleted("x")
    assert slow.inside.wait(LIMIT)
    assert ask(plugins) == [Veto("slow", "vk_one", "busy")]
    slow.go.set()


def test_two_implementations_of_one_plugin_both_count(plugins: WorkspacePlugins) -> None:
    class Two(Guard):
        @hookimpl(specname="reaper_veto")
        def another(self, candidates: Sequence[Candidate]) -> Mapping[str, str]:
            return {"vk_two": "another"}

    plugins.register(Two({"vk_one": "one"}), "two")
    assert {(veto.session, veto.reason) for veto in ask(plugins)} == {("vk_one", "one"), ("vk_two", "another")}


def test_nobody_is_asked_about_nothing(plugins: WorkspacePlugins) -> None:
    plugins.register(guard := Guard(), "guard")
    assert plugins.ask_vetoes([]) == []
    assert guard.asked == []


def test_who_asks_is_not_asked_and_neither_is_who_was_unregistered(plugins: WorkspacePlugins) -> None:
    guards = [Guard(), Guard(), Guard()]
    for number, guard in enumerate(guards):
        plugins.register(guard, f"{number}")
    plugins.manager.unregister(guards[1])
    assert plugins.ask_vetoes(BOTH, timeout=LIMIT, but=guards[0]) == []
    assert [len(guard.asked) for guard in guards] == [0, 0, 1]


# No answers


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise ValueError("no words")


class Unreadable(Mapping[str, str]):
    def __getitem__(self, name: str) -> str:
        raise LookupError("not today")

    def __iter__(self) -> Iterator[str]:
        return iter(["vk_one"])

    def __len__(self) -> int:
        return 1


def failing(error: BaseException) -> Callable[[], object]:
    def fail() -> object:
        raise error

    return fail


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        pytest.param(failing(ValueError("no")), "it raised ValueError: no", id="error"),
        pytest.param(failing(SystemExit(0)), "it raised SystemExit: 0", id="exit"),
        pytest.param(failing(KeyboardInterrupt()), "it raised KeyboardInterrupt", id="interrupt"),
        pytest.param(failing(ValueError("a\n b")), "it raised ValueError: a b", id="two lines"),
        pytest.param(failing(ValueError("x" * 999)), f"it raised ValueError: {'x' * 200}", id="long"),
        pytest.param(failing(Unspeakable()), "it raised Unspeakable", id="an error that can't be shown"),
        pytest.param(Unreadable, "it raised LookupError: not today", id="a mapping that can't be read"),
        pytest.param(["vk_one"], "it answered with list, and not with a mapping of text to text", id="list"),
        pytest.param("vk_one", "it answered with str, and not with a mapping of text to text", id="text"),
        pytest.param(False, "it answered with bool, and not with a mapping of text to text", id="false"),
        pytest.param(
            {"vk_one": None}, "it answered with a mapping of str to NoneType, and not of text to text", id="no reason"
        ),
        pytest.param({ONE: "busy"}, "it answered with a mapping of Candidate to str, and not of text to text", id="no name"),
        pytest.param(
            {"vk_one": "busy", "vk_other": 7},
            "it answered with a mapping of str to int, and not of text to text",
            id="one wrong",
        ),
    ],
)
def test_no_usable_answer_is_a_veto_of_all_and_hides_nobody(
    plugins: WorkspacePlugins, caplog: pytest.LogCaptureFixture, answer: object, why: str
) -> None:
    plugins.register(Guard({"vk_one": "busy"}), "before")
    plugins.register(Guard(answer), "wrong")
    plugins.register(Guard({"vk_two": "busy"}), "after")
    vetoes = ask(plugins)
    assert sorted(vetoes, key=lambda veto: veto.plugin) == [
        Veto("after", "vk_two", "busy"),
        Veto("before", "vk_one", "busy"),
        Veto("wrong", None, why),
    ]
    assert texts(caplog, logging.ERROR) == [FAILED.format("wrong", why)]


def test_who_hangs_has_vetoed_all_and_is_not_asked_again_until_it_is_back(
    plugins: WorkspacePlugins, stuck: Stuck, caplog: pytest.LogCaptureFixture
) -> None:
    plugins.register(neighbour := Guard({"vk_two": "busy"}), "neighbour")
    busy = "it is still busy with an earlier question"
    for _ in range(3):
        assert set(ask(plugins)) == {Veto("stuck", None, busy), Veto("neighbour", "vk_two", "busy")}
    assert (len(stuck.asked), len(neighbour.asked)) == (1, 3)
    first = [record.getMessage() for record in caplog.get_records("setup")]
    assert first == [FAILED.format("stuck", "it gave no answer within 0.05 s")]
    assert texts(caplog, logging.ERROR) == [FAILED.format("stuck", busy)] * 3

    stuck.go.set()
    wait_until(lambda: not stuck.threads[0].is_alive(), LIMIT)
    assert set(ask(plugins)) == {Veto("stuck", "vk_one", "at last"), Veto("neighbour", "vk_two", "busy")}
    assert len(stuck.asked) == 2


def test_who_raises_at_last_is_logged_and_asked_again(plugins: WorkspacePlugins, caplog: pytest.LogCaptureFixture) -> None:
    go = threading.Event()

    def raise_late() -> object:
        go.wait(LIMIT)
        raise ValueError("late")

    plugins.register(guard := Guard(raise_late), "late")
    assert plugins.ask_vetoes(BOTH, timeout=AT_ONCE)
    go.set()
    wait_until(lambda: not guard.threads[0].is_alive(), LIMIT)
    assert texts(caplog, logging.ERROR)[-1] == FAILED.format("late", "it raised ValueError: late")
    guard.answer = None
    assert ask(plugins) == []


def test_asked_by_two_at_once_it_answers_the_first_only(plugins: WorkspacePlugins) -> None:
    plugins.register(stuck := Stuck(), "stuck")
    answers: list[Veto] = []
    first = threading.Thread(target=lambda: answers.extend(ask(plugins)))
    first.start()
    assert stuck.inside.wait(LIMIT)
    assert ask(plugins) == [Veto("stuck", None, "it is still busy with an earlier question")]
    stuck.go.set()
    first.join(LIMIT)
    assert answers == [Veto("stuck", "vk_one", "at last")]


def test_a_plugin_may_be_asked_again_as_soon_as_it_has_answered(plugins: WorkspacePlugins) -> None:
    plugins.register(guard := Guard(), "guard")
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # who waits for the answer runs as soon as it is there
    try:
        assert [ask(plugins) for _ in range(300)] == [[]] * 300
    finally:
        sys.setswitchinterval(interval)
    assert len(guard.asked) == 300


def test_a_plugin_that_asks_in_its_own_answer_is_no_deadlock(plugins: WorkspacePlugins) -> None:
    plugins.register(Guard(lambda: {veto.session or "vk_one": veto.reason for veto in ask(plugins)}), "echo")
    assert ask(plugins) == [Veto("echo", "vk_one", "it is still busy with an earlier question")]


def test_where_no_thread_can_be_started_all_have_vetoed(plugins: WorkspacePlugins) -> None:
    plugins.register(guard := Guard(), "guard")
    with no_new_threads():
        assert ask(plugins) == [Veto("guard", None, "no thread can be started to ask it")]
    assert guard.asked == []
    assert ask(plugins) == []


def test_after_close_all_have_vetoed(plugins: WorkspacePlugins) -> None:
    plugins.register(guard := Guard(), "guard")
    plugins.close()
    assert ask(plugins) == [Veto("guard", None, "its WorkspacePlugins are closed")]
    assert guard.asked == []


# Joining


class Joining(Guard):
    """Notes which plugins there were when it was joined."""

    def __init__(self) -> None:
        super().__init__()
        self.joined: list[WorkspacePlugins] = []
        self.names: list[str] = []

    def join(self, plugins: WorkspacePlugins) -> None:
        self.joined.append(plugins)
        self.names = sorted(name for name, _ in plugins.manager.list_name_plugin())


def test_register_joins_at_once(plugins: WorkspacePlugins) -> None:
    plugins.register(Guard(), "guard")
    plugins.register(joining := Joining(), "joining")
    plugins.register(Guard(), "later")
    assert joining.joined == [plugins]
    assert joining.names == ["guard", "joining"]


JOINING = """
from workspace_hookspecs import hookimpl
joined = []

@hookimpl
def on_tick(): ...

def join(plugins):
    joined.append(sorted(name for name, _ in plugins.manager.list_name_plugin()))
"""


def test_load_joins_when_all_are_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    group = "workspace_server_under_test"
    monkeypatch.syspath_prepend(tmp_path)
    entries = f"[{group}]\na = hs_joining\nz = hs_joined_last\n"
    install(tmp_path, "joining", {"hs_joining": JOINING, "hs_joined_last": JOINING}, entries)
    with WorkspacePlugins.load(group) as plugins:
        found: Any = plugins.manager.get_plugin("a")
        assert found.joined == [["a", "z"]]


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3)], ids=["error", "exit"])
def test_a_join_that_raises_is_named_and_the_plugin_stays(
    plugins: WorkspacePlugins, caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    class Failing(Guard):
        def join(self, plugins: WorkspacePlugins) -> None:
            raise error

    assert plugins.register(Failing({"vk_one": "busy"}), "failing") == "failing"
    assert texts(caplog, logging.ERROR) == ["plugin 'failing' raised in join()"]
    assert ask(plugins) == [Veto("failing", "vk_one", "busy")]


def test_an_interrupt_in_join_is_the_users(plugins: WorkspacePlugins) -> None:
    class Interrupted(Guard):
        def join(self, plugins: WorkspacePlugins) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        plugins.register(Interrupted(), "interrupted")


def test_a_join_that_means_something_else_is_not_called(plugins: WorkspacePlugins, caplog: pytest.LogCaptureFixture) -> None:
    """A module that has imported ``os.path.join``, a thread, a method in C, and an attribute."""
    from os.path import join

    module = ModuleType("module")
    module.join = join  # type: ignore[attr-defined]
    module.reaper_veto = hookimpl(lambda candidates: None)  # type: ignore[attr-defined]
    plugins.register(module, "module")

    class AThread(threading.Thread, Guard):
        def __init__(self) -> None:
            threading.Thread.__init__(self)
            Guard.__init__(self)

    plugins.register(AThread(), "thread")
    for number, other in enumerate([", ".join, dict, type, 7, None]):
        plugins.register(guard := Guard(), f"{number}")
        guard.join = other  # type: ignore[attr-defined]
        plugins.manager.unregister(guard)
        plugins.register(guard, f"{number}")
    assert ask(plugins) == []
    assert not texts(caplog, logging.ERROR)


def test_what_a_joined_plugin_fires_while_it_is_drained_reaches_the_others(plugins: WorkspacePlugins) -> None:
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


def test_a_joined_plugin_that_is_not_drained_keeps_nobody_else_from_it(plugins: WorkspacePlugins) -> None:
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


# Telling


class Listener:
    def __init__(self, error: BaseException | None = None) -> None:
        self.reaps: list[Reaped] = []
        self.alarms: list[ReaperAlarm] = []
        self.error = error

    @hookimpl
    def on_session_reaped(self, reap: Reaped) -> None:
        self.reaps.append(reap)
        if self.error:
            raise self.error

    @hookimpl
    def on_reaper_alarm(self, alarm: ReaperAlarm) -> None:
        self.alarms.append(alarm)
        if self.error:
            raise self.error


def test_a_listener_that_raises_is_named_and_hurts_nobody(plugins: WorkspacePlugins, caplog: pytest.LogCaptureFixture) -> None:
    listeners = {"a": Listener(), "wrong": Listener(ValueError("no")), "z": Listener()}
    for name, listener in listeners.items():
        plugins.register(listener, name)
    plugins.session_reaped(REAP)
    plugins.session_reaped(REAP)
    assert plugins.drain(LIMIT)
    assert [listener.reaps for listener in listeners.values()] == [[REAP, REAP]] * 3
    errors = texts(caplog, logging.ERROR)
    assert len(errors) == 2
    assert all(error.startswith("plugin 'wrong' raised in on_session_reaped(reap=Reaped(id='01J'") for error in errors)


def test_what_is_no_reap_is_an_error_that_shows_the_caller(plugins: WorkspacePlugins, caplog: pytest.LogCaptureFixture) -> None:
    plugins.register(listener := Listener(), "listener")
    plugins.session_reaped({"id": "01J"})  # type: ignore[arg-type]
    assert plugins.drain(LIMIT)
    assert listener.reaps == []
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.getMessage() == "session_reaped() takes a Reaped, and not {'id': '01J'}: nothing is fired"
    assert record.pathname == __file__


def test_an_alarm_reaches_all_though_one_raises(plugins: WorkspacePlugins, caplog: pytest.LogCaptureFixture) -> None:
    listeners = {"a": Listener(), "wrong": Listener(ValueError("no")), "z": Listener()}
    for name, listener in listeners.items():
        plugins.register(listener, name)
    told = [ALARM, replace(ALARM, ended_at=MOMENT)]
    for alarm in told:
        plugins.reaper_alarm(alarm)
    assert plugins.drain(LIMIT)
    assert [listener.alarms for listener in listeners.values()] == [told] * 3
    errors = texts(caplog, logging.ERROR)
    assert len(errors) == 2
    assert all(error.startswith("plugin 'wrong' raised in on_reaper_alarm(alarm=ReaperAlarm(name='blind'") for error in errors)


def test_what_is_no_alarm_is_an_error_that_shows_the_caller(
    plugins: WorkspacePlugins, caplog: pytest.LogCaptureFixture
) -> None:
    plugins.register(listener := Listener(), "listener")
    plugins.reaper_alarm("blind")  # type: ignore[arg-type]
    assert plugins.drain(LIMIT)
    assert listener.alarms == []
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.getMessage() == "reaper_alarm() takes a ReaperAlarm, and not 'blind': nothing is fired"
    assert record.pathname == __file__


# With bare pluggy


@pytest.fixture
def manager() -> pluggy.PluginManager:
    made = pluggy.PluginManager("workspace_server")
    made.add_hookspecs(workspace_hookspecs)
    return made


class Own(Guard, Listener):
    """Has a ``drain`` and a ``close``, which are its host's to call."""

    def __init__(self, answer: object = None) -> None:
        Guard.__init__(self, answer)
        Listener.__init__(self)
        self.called: list[str] = []

    def drain(self, timeout: float) -> bool:
        self.called.append("drain")
        return True

    def close(self) -> None:
        self.called.append("close")


def test_around_a_manager_its_plugins_are_asked_and_told_in_isolation(
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


def test_a_manager_that_does_not_know_the_hooks_is_refused() -> None:
    class Old:
        on_tick = workspace_hookspecs.on_tick

    manager = pluggy.PluginManager("workspace_server")
    manager.add_hookspecs(Old)
    manager.register(Guard(), "guard")
    missing = "on_reaper_alarm, on_session_reaped, on_workspace_archived, on_workspace_deleted, reaper_veto"
    with pytest.raises(ValueError, match=rf"the manager has no {missing}: call its add_hookspecs\(workspace_hookspecs\) first"):
        WorkspacePlugins(manager=manager)
