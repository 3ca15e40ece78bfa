"""What a sweep makes of the directories of workspaces; ``tests/faults/test_witness.py`` has the whole of it."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from tests.tools.builders import HOUR, ledger_state, listing, observation, rows, session
from tests.unit.sweep.scene import Scene, entry_of
from workspace_reaper.model.events import WorkspaceEvent
from workspace_reaper.model.unknown import Source, Unknown
from workspace_reaper.sweep.witnesses import Witnesses


def test_i83_where_the_processes_cannot_be_read_it_is_unknown_whether_a_directory_was_moved() -> None:
    processes = SimpleNamespace(table=lambda: Unknown(Source.PROCESSES, "/proc is hidden"))
    context: Any = SimpleNamespace(dependencies=SimpleNamespace(processes=processes))
    witnesses = Witnesses(context, observation(listing(session())), ledger_state(), rows())
    assert witnesses._workplaces_of([(session(), "w1")]) == {"w1": None}


@pytest.mark.parametrize(
    ("removes", "reason"), [(True, "removed"), (False, "orphan")], ids=["the host removes it", "the host does not"]
)
def test_a_directory_says_something_only_where_the_host_removes_it(removes: bool, reason: str) -> None:
    scene = Scene()
    scene.reaper.sweep_settings = replace(scene.reaper.sweep_settings, removes_worktree=removes)
    scene.sweep()
    assert (scene.ports.ledger.load_state((), scene.world.clock.now()).directories != {}) is removes
    scene.world.host.delete("w0")
    scene.world.tree.remove(scene.world.workspaces[0].path)
    assert entry_of(scene.sweep()).reason == reason


def test_a_row_that_the_daemon_saw_go_is_enough_where_no_directory_was_known() -> None:
    """The recheck has no directory to look at again then."""
    scene = Scene()
    scene.world.host.insert(["w7"])
    scene.world.tmux.new_session("ws-w7")
    scene.world.clock.go_on(HOUR)
    scene.sweep()
    scene.world.host.delete("w7")
    scene.reaper.hook("w7", WorkspaceEvent.REMOVED)
    assert [(one.intent.workspace_id, one.intent.reason, one.outcome.value) for one in scene.history()] == [
        ("w7", "removed", "reaped")
    ]
