"""Tests of what a reaper may rely on when it asks for vetoes. Real plugins on real threads."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import pytest

from tests.tools.waiting import wait_until
from tests.unit.hookspecs.plugins import (
    BOTH,
    LIMIT,
    ONE,
    Guard,
    StuckGuard,
    ask,
    failing,
    no_new_threads,
    texts,
)
from workspace_hookspecs import Candidate, Veto, WorkspacePlugins, hookimpl

AT_ONCE = 0.05
ELSEWHERE = replace(ONE, socket="/tmp/b")
FAILED = "plugin {!r} has vetoed every session in reaper_veto(): {}"


@pytest.fixture
def plugins() -> Iterator[WorkspacePlugins]:
    with WorkspacePlugins() as made:
        yield made


@pytest.fixture
def stuck(plugins: WorkspacePlugins) -> Iterator[StuckGuard]:
    """A plugin that has not returned from its first request."""
    plugin = StuckGuard()
    plugins.register(plugin, "stuck")
    assert plugins.ask_vetoes(BOTH, timeout=AT_ONCE) == [Veto("stuck", None, "it gave no answer within 0.05 s")]
    assert plugin.inside.wait(LIMIT)
    yield plugin
    plugin.go.set()


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
    """Each plugin returns only after all were called."""
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


def test_a_plugin_that_processes_an_event_is_asked_concurrently(plugins: WorkspacePlugins) -> None:
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


def test_no_plugin_is_asked_without_candidates(plugins: WorkspacePlugins) -> None:
    plugins.register(guard := Guard(), "guard")
    assert plugins.ask_vetoes([]) == []
    assert guard.asked == []


def test_the_asking_plugin_and_an_unregistered_one_are_not_asked(plugins: WorkspacePlugins) -> None:
    guards = [Guard(), Guard(), Guard()]
    for number, guard in enumerate(guards):
        plugins.register(guard, f"{number}")
    plugins.manager.unregister(guards[1])
    assert plugins.ask_vetoes(BOTH, timeout=LIMIT, but=guards[0]) == []
    assert [len(guard.asked) for guard in guards] == [0, 0, 1]


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
        pytest.param(["vk_one"], "it returned list instead of a mapping of text to text", id="list"),
        pytest.param("vk_one", "it returned str instead of a mapping of text to text", id="text"),
        pytest.param(False, "it returned bool instead of a mapping of text to text", id="false"),
        pytest.param({"vk_one": None}, "it returned a mapping of str to NoneType instead of text to text", id="no reason"),
        pytest.param({ONE: "busy"}, "it returned a mapping of Candidate to str instead of text to text", id="no name"),
        pytest.param(
            {"vk_one": "busy", "vk_other": 7},
            "it returned a mapping of str to int instead of text to text",
            id="one wrong",
        ),
    ],
)
def test_an_unusable_answer_is_a_veto_of_all_and_the_other_answers_count(
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


def test_a_plugin_that_hangs_has_vetoed_all_and_is_not_asked_again_until_it_returns(
    plugins: WorkspacePlugins, stuck: StuckGuard, caplog: pytest.LogCaptureFixture
) -> None:
    plugins.register(neighbour := Guard({"vk_two": "busy"}), "neighbour")
    busy = "it has not returned from an earlier request"
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


def test_a_plugin_that_raises_late_is_logged_and_asked_again(
    plugins: WorkspacePlugins, caplog: pytest.LogCaptureFixture
) -> None:
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


def test_a_plugin_asked_twice_at_once_answers_the_first_request(plugins: WorkspacePlugins) -> None:
    plugins.register(stuck := StuckGuard(), "stuck")
    answers: list[Veto] = []
    first = threading.Thread(target=lambda: answers.extend(ask(plugins)))
    first.start()
    assert stuck.inside.wait(LIMIT)
    assert ask(plugins) == [Veto("stuck", None, "it has not returned from an earlier request")]
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


def test_a_plugin_that_asks_in_its_own_answer_does_not_deadlock(plugins: WorkspacePlugins) -> None:
    plugins.register(Guard(lambda: {veto.session or "vk_one": veto.reason for veto in ask(plugins)}), "echo")
    assert ask(plugins) == [Veto("echo", "vk_one", "it has not returned from an earlier request")]


def test_if_no_thread_can_be_started_all_have_vetoed(plugins: WorkspacePlugins) -> None:
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
