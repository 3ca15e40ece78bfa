"""What the sweep may rely on of other plugins: `ports.Plugins`, with a plugin of a real host and in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from typing import Protocol

import pytest

from tests.simulation.memory.plugins import MemoryPlugins
from workspace_hookspecs import Candidate, Reaped, ReaperAlarm, WorkspacePlugins, hookimpl
from workspace_reaper.model.ports import Plugins
from workspace_reaper.model.reap import Vetoes
from workspace_reaper.sweep.other_plugins import OtherPlugins

pytestmark = pytest.mark.once

AT = datetime(2026, 1, 1, tzinfo=timezone.utc)
REAP = Reaped("r1", AT, "/s", "ws-1", "w1", "archived", "reaped", None, (), (), True)
ALARM = ReaperAlarm("blind", AT, "The registry cannot be read.", "when it can be read")
CANDIDATES = [
    Candidate("r1", "/s", "ws-1", "$1", "w1", "archived", None),
    Candidate("r2", "/s", "ws-2", "$2", "w2", "idle", AT),
]


class Guard(Protocol):
    """Another plugin."""

    held: dict[str, str]
    asked: list[tuple[Candidate, ...]]
    deletions: list[str]
    reaps: list[Reaped]
    alarms: list[ReaperAlarm]

    def fall_silent(self) -> None: ...


class RealGuard:
    """One of a real host."""

    def __init__(self) -> None:
        self.held: dict[str, str] = {}
        self.asked: list[tuple[Candidate, ...]] = []
        self.deletions: list[str] = []
        self.reaps: list[Reaped] = []
        self.alarms: list[ReaperAlarm] = []
        self._is_silent = False

    def fall_silent(self) -> None:
        self._is_silent = True

    @hookimpl
    def reaper_veto(self, candidates: Sequence[Candidate]) -> Mapping[str, str]:
        self.asked.append(tuple(candidates))
        if self._is_silent:
            raise ValueError("no word")
        return self.held

    @hookimpl
    def on_workspace_deleted(self, workspace_id: str) -> None:
        self.deletions.append(workspace_id)

    @hookimpl
    def on_session_reaped(self, reap: Reaped) -> None:
        self.reaps.append(reap)

    @hookimpl
    def on_reaper_alarm(self, alarm: ReaperAlarm) -> None:
        self.alarms.append(alarm)


class SimulatedGuard(MemoryPlugins):
    """The one of the simulation."""

    def fall_silent(self) -> None:
        self.silence = "ValueError: no word"


class Scene:
    """The port, and the plugin behind it."""

    def __init__(self, plugins: Plugins, guard: Guard, host: WorkspacePlugins | None) -> None:
        self.plugins = plugins
        self.guard = guard
        self._host = host

    def wait(self) -> None:
        """Until all notifications are delivered."""
        assert self._host is None or self._host.drain(30.0)


@pytest.fixture(params=["host", "memory"])
def scene(request: pytest.FixtureRequest) -> Iterator[Scene]:
    if request.param == "memory":
        memory = SimulatedGuard()
        yield Scene(memory, memory, None)
        return
    with WorkspacePlugins() as host:
        guard = RealGuard()
        host.register(guard, "guard")
        yield Scene(OtherPlugins(host), guard, host)


def test_a_plugin_without_objections(scene: Scene) -> None:
    assert scene.plugins.vetoes(CANDIDATES) == Vetoes()
    assert scene.guard.asked == [tuple(CANDIDATES)]


def test_a_veto_holds_the_session_of_that_name(scene: Scene) -> None:
    scene.guard.held.update({"ws-1": "deploying", "elsewhere": "mine"})
    vetoes = scene.plugins.vetoes(CANDIDATES)
    assert vetoes == Vetoes({("/s", "ws-1"): "veto of guard: deploying"})
    assert vetoes.of("/s", "ws-2") is None


def test_without_a_usable_answer_every_session_is_held(scene: Scene) -> None:
    scene.guard.fall_silent()
    vetoes = scene.plugins.vetoes(CANDIDATES)
    assert vetoes.held == {}
    assert [str(vetoes.of("/s", name)).startswith("veto of guard: ") for name in ("ws-1", "ws-2", "never asked")] == [True] * 3
    [failure] = vetoes.failures
    assert failure.startswith("no usable answer from the plugin guard, which counts as a veto of every session: ")


def test_notifications(scene: Scene) -> None:
    scene.plugins.deleted("w1")
    scene.plugins.reaped(REAP)
    scene.plugins.alarm(ALARM)
    scene.wait()
    assert (scene.guard.deletions, scene.guard.reaps, scene.guard.alarms) == (["w1"], [REAP], [ALARM])
