"""Sweeps over a host whose rows name their sessions."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from tests.simulation.memory.registry import MemoryHost, MemoryRegistry
from tests.tools.builders import SOCKET, session
from tests.unit.sweep.scene import Scene, entry_of
from workspace_reaper.model.events import WorkspaceEvent
from workspace_reaper.model.reap import Outcome
from workspace_reaper.model.unknown import Source
from workspace_reaper.model.verdict import Verdict
from workspace_reaper.policy.session_names import SessionMatcher
from workspace_reaper.sweep.context import SweepRequest
from workspace_reaper.sweep.leftovers import others_of


def recording(workspaces: int = 2) -> Scene:
    """A world whose rows name their sessions, without a pattern."""
    scene = Scene(workspaces)
    for number, one in enumerate(scene.world.workspaces):
        scene.world.host.record_session(one.workspace_id, scene.session(number).name)
    dependencies = scene.reaper.dependencies
    matcher = SessionMatcher({SOCKET: ()}, dependencies.registry.canonical, records_sessions=True)
    for terminal in dependencies.terminals:
        matcher = SessionMatcher({terminal.socket: ()}, dependencies.registry.canonical, records_sessions=True)
    scene.reaper.dependencies = replace(dependencies, matcher=matcher)
    return scene


def marked(workspaces: int = 2) -> Scene:
    """The same, after a sweep that has marked them."""
    scene = recording(workspaces)
    scene.sweep()
    assert all("@reaper_workspace" in scene.session(number).options for number in range(workspaces))
    return scene


def test_a_session_belongs_to_the_row_that_names_it() -> None:
    scene = recording()
    scene.world.host.record_session("w1", None)
    report = scene.sweep()
    assert [(entry.workspace_id, entry.verdict) for entry in report.sessions] == [("w0", Verdict.KEEP)]
    assert report.unmanaged == 1
    assert ["@workspace_owner" in scene.session(number).options for number in (0, 1)] == [True, False]


def test_when_its_row_is_gone_its_marks_tell_whose_it_was() -> None:
    scene = marked()
    scene.world.host.delete("w0")
    outcomes = []
    for _ in range(3):
        scene.world.clock.go_on(60)
        outcomes += [entry.outcome for entry in scene.sweep().sessions if entry.workspace_id == "w0"]
    assert outcomes == [Outcome.NONE, Outcome.REAPED]


def test_where_the_rows_cannot_be_read_nothing_is_judged() -> None:
    """The first look-up fails, and the second one would not."""
    scene = marked()
    scene.give_up()
    real, asked = scene.reaper.dependencies.registry, list[Collection[str]]()

    class Stumbling:
        canonical, location, worktrees = real.canonical, real.location, real.worktrees

        def look_up(self, ids: Collection[str], sentinels: Collection[str], **how: Any) -> Any:
            asked.append(how.get("sessions", ()))
            host, scene.world.host.fault = scene.world.host, "locked" if len(asked) == 1 else None
            answer = real.look_up(ids, sentinels, **how)
            host.fault = None
            return answer

    scene.reaper.dependencies = replace(scene.reaper.dependencies, registry=Stumbling())  # type: ignore[arg-type]
    report = scene.sweep()
    assert [one.source for one in report.unknown] == [Source.REGISTRY]
    assert {entry.outcome for entry in report.sessions} == {Outcome.NONE}
    assert len(asked) == 1
    assert entry_of(scene.sweep()).outcome is Outcome.REAPED


@pytest.mark.parametrize(
    ("own", "name", "is_spared"),
    [
        pytest.param("its own", "its own", True, id="the very name"),
        pytest.param("its own", "ITS OWN", False, id="a similar name, while its own row has the very name"),
        pytest.param(None, "ITS OWN", True, id="a similar name"),
        pytest.param(None, "another", False, id="another name"),
    ],
)
def test_a_row_that_names_the_session_since_the_first_look_saves_it(own: str | None, name: str, is_spared: bool) -> None:
    scene = marked()
    scene.world.tmux.rename(scene.session().session_id, "its own")
    scene.world.host.record_session("w0", "its own")
    scene.world.host.record_session("w1", None)
    scene.sweep()
    scene.world.host.record_session("w0", own)
    scene.give_up()
    scene.during("terminal.observe", 2, lambda: scene.world.host.record_session("w1", name))
    entry = entry_of(scene.sweep())
    expected = (Outcome.SPARED, "claimed") if is_spared else (Outcome.REAPED, None)
    assert (entry.outcome, entry.protected_by) == expected


def test_the_marks_do_not_decide_between_two_rows() -> None:
    scene = recording()
    scene.world.host.record_session("w1", scene.session(0).name)
    [entry] = scene.sweep().sessions
    assert entry.workspace_id == "w0"
    assert "@workspace_owner" not in scene.session(0).options
    scene.world.host.archive("w0")
    scene.world.clock.go_on(3600)
    [entry] = scene.sweep().sessions
    assert (entry.verdict, entry.protected_by) == (Verdict.HOLD, "claimed")
    scene.world.host.archive("w1")
    [entry] = scene.sweep().sessions
    assert entry.outcome is Outcome.REAPED


def test_a_renamed_session_keeps_its_workspace_and_is_renamed() -> None:
    scene = marked()
    scene.world.tmux.rename(scene.session().session_id, "my work")
    scene.world.host.delete("w0")
    for _ in range(4):
        scene.world.clock.go_on(3600)
        entry = entry_of(scene.sweep())
    assert (entry.outcome, entry.protected_by) == (Outcome.NONE, "renamed")


def test_a_look_at_one_workspace_finds_its_session_by_its_row() -> None:
    scene = recording()
    scene.world.host.archive("w0")
    report = scene.sweep(SweepRequest(suspects={"w0": WorkspaceEvent.ARCHIVED}))
    assert [(entry.workspace_id, entry.outcome) for entry in report.sessions] == [("w0", Outcome.REAPED)]


# Whose directories count when processes survive


def others(host: MemoryHost) -> set[str]:
    """The workspaces whose directories protect processes, while a session ``main`` lives."""
    matcher = SessionMatcher({SOCKET: ()}, str, records_sessions=True)
    dependencies = SimpleNamespace(matcher=matcher, registry=MemoryRegistry(host))
    context: Any = SimpleNamespace(dependencies=dependencies, state=SimpleNamespace(seen_below={}))
    return set(others_of(context, [session(name="main")], {"a": "/srv/a", "b": "/srv/b", "c": "/srv/c"}).worktrees)


def test_the_directories_of_workspaces_whose_rows_name_a_living_session_count() -> None:
    host = MemoryHost()
    host.insert(["a", "b", "c"])
    host.record_session("a", "main")
    host.record_session("b", "main")
    assert others(host) == {"a", "b"}


def test_all_directories_count_while_the_rows_cannot_be_read() -> None:
    host = MemoryHost()
    host.fault = "locked"
    assert others(host) == {"a", "b", "c"}
