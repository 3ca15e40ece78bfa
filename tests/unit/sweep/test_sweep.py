"""What a whole sweep does where something that all its verdicts need cannot be read or written."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from tests.simulation.memory.terminal import MemoryTerminal
from tests.tools.builders import HOUR
from tests.unit.sweep.scene import Scene, entry_of
from workspace_reaper.model.events import WorkspaceEvent
from workspace_reaper.model.reap import Outcome
from workspace_reaper.model.session import Listing
from workspace_reaper.model.state import Finding
from workspace_reaper.model.unknown import Source, Unknown
from workspace_reaper.model.verdict import Verdict
from workspace_reaper.sweep.context import SweepRequest


def test_a_report_that_cannot_be_kept_is_not_complete_and_what_was_reaped_stays_reaped() -> None:
    scene = Scene()
    scene.give_up()
    scene.refuse("ledger.save_report")
    report = scene.sweep()
    assert [one.source for one in report.unknown] == [Source.LEDGER]
    assert (report.complete, report.exit_code) == (False, 3)
    assert (entry_of(report).outcome, entry_of(report).verdict) == (Outcome.REAPED, Verdict.REAP)
    assert scene.ports.ledger.last_report() is None
    assert scene.sweep().complete
    assert scene.ports.ledger.last_report() is not None


class Unlinked(MemoryTerminal):
    """A tmux server whose socket may be removed while it runs."""

    is_removed = False

    def observe(self, owner_id: str, *, panes: bool = True, only: Collection[str] = ()) -> Listing | Unknown:
        if self.is_removed:
            return Listing(self.socket, (), answered=False)
        return super().observe(owner_id, panes=panes, only=only)


def test_where_the_socket_was_removed_it_is_reported_and_nothing_is_forgotten() -> None:
    scene = Scene()
    terminal = Unlinked(scene.world.tmux)
    scene.use(terminal)
    scene.world.host.archive("w0")
    key = entry_of(scene.sweep()).key
    terminal.is_removed = True
    report = scene.sweep()
    assert [(one.source, one.socket) for one in report.unknown] == [(Source.SOCKET, terminal.socket)]
    assert "the socket was removed" in report.unknown[0].reason
    assert (key, Finding.ARCHIVED) in scene.ports.ledger.load_state((), scene.world.clock.now()).confirmations


def test_without_the_first_look_at_the_processes_nothing_is_reaped_nor_said_to_be() -> None:
    scene = Scene()
    scene.world.machine.fault = "/proc is hidden"
    assert [one.source for one in scene.sweep().unknown] == [Source.PROCESSES], "also where nothing is due"
    scene.give_up()
    for request in (SweepRequest(dry_run=True), SweepRequest()):
        scene.world.clock.go_on(HOUR)
        entry = entry_of(scene.sweep(request))
        assert (entry.verdict, entry.outcome, entry.protected_by) == (Verdict.HOLD, Outcome.NONE, "processes")
    assert scene.history() == []
    scene.world.machine.fault = None
    assert entry_of(scene.sweep()).outcome is Outcome.REAPED


@pytest.mark.parametrize(
    ("request_", "is_noted"),
    [
        pytest.param(SweepRequest(), True, id="a full sweep"),
        pytest.param(SweepRequest(dry_run=True), False, id="a dry run"),
        pytest.param(SweepRequest(suspects={"w0": WorkspaceEvent.DELETED}), False, id="a look for a hook"),
    ],
)
def test_without_the_registry_only_a_sweep_that_counts_notes_the_clients(request_: SweepRequest, is_noted: bool) -> None:
    """That is a fact about tmux."""
    scene = Scene()
    scene.world.tmux.attach(scene.session().session_id)
    scene.world.host.fault = "locked"
    report = scene.sweep(request_)
    assert [one.source for one in report.unknown] == [Source.REGISTRY]
    noted = scene.ports.ledger.load_state((), scene.world.clock.now()).confirmations
    assert {finding for _, finding in noted} == ({Finding.ATTACHED} if is_noted else set())


def test_i101_what_the_clock_was_set_before_the_first_sweep_since_another_boot_is_no_age() -> None:
    """The session is new, and its workspace was given up."""
    scene = Scene()
    scene.sweep()
    scene.world.machine.boot = "another boot"
    number = scene.world.new_workspace(row=True).number
    scene.world.clock.go_on(1.0, set_ahead=49 * HOUR)
    scene.give_up(number)
    assert entry_of(scene.sweep(), number).protected_by == "active"
