"""The reaper's side of the other plugins: what they said, what they are told, and how it gets at them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pluggy
import pytest

import workspace_hookspecs
from tests.tools.builders import NOW, entry, intent
from workspace_hookspecs import Candidate, Reaped, ReaperAlarm, Veto, WorkspacePlugins, hookimpl
from workspace_reaper.model.reap import EndedProcess, Outcome, ProcessCleanup, ReapResult, SurvivingProcess, Vetoes
from workspace_reaper.model.state import Alarm
from workspace_reaper.plugin import ReaperPlugin
from workspace_reaper.sweep.other_plugins import (
    NoPlugins,
    OtherPlugins,
    as_candidate,
    as_reaped,
    combine_vetoes,
    notify_alarms,
    notify_reaped,
)

LIMIT = 20.0
AT = 1_795_341_600
MOMENT = datetime(2026, 11, 22, 10, tzinfo=timezone.utc)

ONE = Candidate("01J", "/tmp/a", "vk_one", "$1", "one", "idle", None)
ELSEWHERE = replace(ONE, socket="/tmp/b")
TWO = replace(ONE, session="vk_two")
ALL = (ONE, ELSEWHERE, TWO)
REAP = Reaped("01J", MOMENT, "/tmp/a", "vk_one", "one", "idle", "reaped", None, (), (), True)


class Plugin:
    def __init__(self, answer: Mapping[str, str] | Exception | None = None) -> None:
        self.answer = answer
        self.reaps: list[Reaped] = []
        self.alarms: list[ReaperAlarm] = []
        self.told = threading.Event()
        self.deleted: list[str] = []

    @hookimpl
    def on_workspace_deleted(self, workspace_id: str) -> None:
        self.deleted.append(workspace_id)

    @hookimpl
    def reaper_veto(self, candidates: Sequence[Candidate]) -> Mapping[str, str] | None:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    @hookimpl
    def on_session_reaped(self, reap: Reaped) -> None:
        self.reaps.append(reap)
        self.told.set()

    @hookimpl
    def on_reaper_alarm(self, alarm: ReaperAlarm) -> None:
        self.alarms.append(alarm)


# What they said


def test_without_other_plugins_nobody_is_notified() -> None:
    assert NoPlugins().vetoes(ALL) == Vetoes()
    NoPlugins().deleted("one")


def test_without_vetoes_nothing_is_held() -> None:
    for vetoes in (Vetoes(), combine_vetoes([], ALL), NoPlugins().vetoes(ALL)):
        assert [vetoes.of(each.socket, each.session) for each in ALL] == [None, None, None]
        assert vetoes.failures == ()


def test_a_veto_names_the_plugin_and_holds_the_name_on_every_socket() -> None:
    vetoes = combine_vetoes([Veto("release-guard", "vk_one", "deploying")], ALL)
    held = "veto of release-guard: deploying"
    assert [vetoes.of(each.socket, each.session) for each in ALL] == [held, held, None]
    assert vetoes.failures == ()


@pytest.mark.parametrize(("reason", "told"), [("", "veto of a"), ("  ", "veto of a"), (" b\n", "veto of a: b")])
def test_a_veto_without_a_reason_is_one(reason: str, told: str) -> None:
    assert combine_vetoes([Veto("a", "vk_one", reason)], ALL).of("/tmp/a", "vk_one") == told


def test_vetoes_of_several_are_all_told() -> None:
    vetoes = combine_vetoes([Veto("a", "vk_one", "x"), Veto("b", "vk_two", "y"), Veto("c", "vk_one", "z")], ALL)
    assert vetoes.of("/tmp/a", "vk_one") == "veto of a: x; veto of c: z"


def test_who_gives_no_usable_answer_holds_everything_and_is_reported() -> None:
    vetoes = combine_vetoes([Veto("a", "vk_one", "x"), Veto("b", None, "it raised ValueError: no")], ALL)
    assert vetoes.of("/tmp/a", "vk_one") == "veto of a: x; veto of b: it raised ValueError: no"
    assert vetoes.of("/tmp/a", "vk_two") == "veto of b: it raised ValueError: no"
    assert vetoes.of("/tmp/c", "nobody asked of it") == "veto of b: it raised ValueError: no"
    assert vetoes.failures == (
        "no usable answer from the plugin b, which counts as a veto of every session: it raised ValueError: no",
    )


# What they are told


def test_a_condemned_session_as_a_candidate() -> None:
    line = entry(3, reap_id="01J")
    expected = Candidate("01J", line.socket, "ws_w3", "$3", "w3", "orphan", None)
    assert as_candidate(line, None) == expected
    assert as_candidate(line, float(AT)) == replace(expected, deadline=MOMENT)
    assert as_candidate(line, float(AT)).deadline.tzinfo is timezone.utc  # type: ignore[union-attr]


def test_a_reaped_session() -> None:
    begun = replace(intent(3), reap_id="01J", at=float(AT))
    cleanup = ProcessCleanup(
        ended=(EndedProcess(8, "sleep 1000", "TERM"),), survivors=(SurvivingProcess(7, "gpg-agent", "why"),), freed_bytes=4096
    )
    expected = Reaped(
        "01J",
        MOMENT,
        begun.key.socket,
        "ws_w3",
        "w3",
        "orphan",
        "reaped",
        4096,
        ({"pid": 7, "command": "gpg-agent", "why": "why"},),
        ({"pid": 8, "command": "sleep 1000", "signal": "TERM"},),
        True,
    )
    outcome = ReapResult("01J", NOW, Outcome.REAPED, None, cleanup, None)
    assert as_reaped(begun, outcome) == expected
    assert as_reaped(begun, replace(outcome, snapshot="switched off")).restorable is False


def test_only_what_was_reaped_is_told() -> None:
    told: list[str] = []

    class Listener(NoPlugins):
        def reaped(self, reap: Reaped) -> None:
            told.append(reap.id)

    outcomes = [
        ReapResult("reap 1", NOW, Outcome.SPARED, "gone"),
        ReapResult("reap 2", NOW, Outcome.REAPED),
        ReapResult("reap 3", NOW, Outcome.FAILED),
    ]
    notify_reaped(Listener(), [intent(1), intent(2), intent(3)], outcomes)
    assert told == ["reap 2"]


def test_alarms_are_told_when_they_begin_and_when_they_are_over() -> None:
    told: list[ReaperAlarm] = []

    class Listener(NoPlugins):
        def alarm(self, alarm: ReaperAlarm) -> None:
            told.append(alarm)

    one, other = Alarm("blind", float(AT), "no sweep", "one is complete"), Alarm("overdue", AT - 60.0, "late", "it goes")
    notify_alarms(Listener(), [one], [other], AT + 60.0)
    notify_alarms(NoPlugins(), [one], [other], AT + 60.0)
    assert told == [
        ReaperAlarm("blind", MOMENT, "no sweep", "one is complete", None),
        ReaperAlarm("overdue", MOMENT - timedelta(minutes=1), "late", "it goes", MOMENT + timedelta(minutes=1)),
    ]


# How the reaper gets at them


def with_workspace_plugins(plugin: object, reaper: object) -> WorkspacePlugins:
    plugins = WorkspacePlugins()
    plugins.register(reaper, "the-reaper")
    plugins.register(plugin, "plugin")
    return plugins


def with_bare_pluggy(plugin: object, reaper: object) -> pluggy.PluginManager:
    manager = pluggy.PluginManager("workspace_server")
    manager.add_hookspecs(workspace_hookspecs)
    manager.register(reaper, "the-reaper")
    manager.register(plugin, "plugin")
    return manager


BOTH_WAYS = pytest.mark.parametrize("way", [with_workspace_plugins, with_bare_pluggy])


@BOTH_WAYS
def test_joined_plugins_are_asked_and_told_but_not_who_asks(
    way: Callable[..., WorkspacePlugins | pluggy.PluginManager],
) -> None:
    plugin, reaper = Plugin({"vk_two": "busy"}), Plugin({"vk_one": "myself"})
    joined = OtherPlugins(way(plugin, reaper), but=reaper)
    vetoes = joined.vetoes(ALL)
    assert [vetoes.of(each.socket, each.session) for each in ALL] == [None, None, "veto of plugin: busy"]
    alarm = ReaperAlarm("blind", MOMENT, "no sweep", "one is complete")
    joined.deleted("one")
    joined.alarm(alarm)
    joined.reaped(REAP)
    assert plugin.told.wait(LIMIT)
    assert (plugin.deleted, reaper.deleted) == (["one"], [])
    assert plugin.reaps == [REAP]
    assert plugin.alarms == [alarm]


@BOTH_WAYS
def test_one_that_raises_hides_no_veto(way: Callable[..., WorkspacePlugins | pluggy.PluginManager]) -> None:
    vetoes = OtherPlugins(way(Plugin({"vk_two": "busy"}), Plugin(ValueError("no")))).vetoes(ALL)
    assert vetoes.of("/tmp/a", "vk_two") == "veto of plugin: busy; veto of the-reaper: it raised ValueError: no"
    assert len(vetoes.failures) == 1


def test_with_bare_pluggy_it_drains_and_closes_its_own_threads_and_no_plugin() -> None:
    class Slow(Plugin):
        go = threading.Event()
        ended = False

        @hookimpl
        def on_session_reaped(self, reap: Reaped) -> None:
            self.go.wait(LIMIT)

        def close(self) -> None:
            self.ended = True

    slow = Slow()
    joined = OtherPlugins(with_bare_pluggy(slow, Plugin()))
    joined.reaped(REAP)
    assert not joined.drain(0)
    slow.go.set()
    assert joined.drain(LIMIT)
    joined.close(LIMIT)
    assert not slow.ended
    assert joined.vetoes(ALL).of_all is not None, "those who can't be asked any more have vetoed"


def test_with_workspace_plugins_their_host_drains_and_closes() -> None:
    with WorkspacePlugins() as plugins:
        joined = OtherPlugins(plugins)
        plugins.register(Plugin(), "plugin")
        assert joined.drain(0)
        joined.close(0)
        assert joined.vetoes(ALL).of_all is None


def test_only_plugins_can_be_joined() -> None:
    plugin = ReaperPlugin()
    with pytest.raises(TypeError, match=r"WorkspacePlugins or a pluggy\.PluginManager, not list"):
        plugin.join([])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="the manager lacks"):
        plugin.join(pluggy.PluginManager("workspace_server"))


def test_the_reaper_is_joined_by_workspace_plugins() -> None:
    plugin = ReaperPlugin()
    with WorkspacePlugins() as plugins:
        plugins.register(plugin, "reaper")
        plugins.register(Plugin({"vk_one": "busy"}), "guard")
        assert plugin._runner._plugins is not None
        assert plugin._runner._plugins.vetoes(ALL).of("/tmp/a", "vk_one") == "veto of guard: busy"
