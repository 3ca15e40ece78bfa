"""Who depends on a process that a killed session has left behind."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests.simulation.memory.machine import MemoryMachine
from tests.simulation.memory.processes import MemoryProcesses
from tests.tools.builders import NOW, SERVER, SOCKET, pane, session, session_key
from tests.tools.clocks import VirtualClock
from workspace_reaper.model.process import ProcessTable
from workspace_reaper.model.session import Session
from workspace_reaper.sweep.leftovers import Dependents, LeftoverProcesses, Others

LIVING = session(1, panes=(pane(1),))


class Machine(MemoryMachine):
    """A machine with the tmux server of the killed session, and with a process of that session."""

    def __init__(self) -> None:
        super().__init__(VirtualClock(NOW, 10_000.0, 10_000.0))
        self.spawn(["tmux: server"], pid=SERVER.pid)
        self.left = self.spawn(["manager"])

    def dependents(self, *sessions: Session, worktrees: Mapping[str, str] | None = None) -> Dependents:
        """What one scan finds while these sessions live."""
        processes = MemoryProcesses(self, self.spawn(["reaper"]))
        table = processes.table()
        assert isinstance(table, ProcessTable)
        killed = LeftoverProcesses(session_key(9), frozenset({"%9"}), None, ())
        return Others(sessions, worktrees or {}).in_scan(table, processes, [killed], {self.processes[self.left].key})

    def needed_by(self, pid: int, dependents: Dependents) -> str | None:
        return dependents.of(self.rows()[pid], None)


def test_what_runs_a_program_for_a_living_session_is_needed() -> None:
    """A process manager runs programs for all sessions, by their environment."""
    machine = Machine()
    machine.spawn(["app"], parent=machine.left, environ={"TMUX": f"{SOCKET},{SERVER.pid},1", "TMUX_PANE": "%1"})
    assert machine.needed_by(machine.left, machine.dependents(LIVING)) == "a process of a living session runs in it"
    assert machine.needed_by(machine.left, machine.dependents()) is None


def test_what_runs_below_a_server_that_others_use_is_needed_as_it_is() -> None:
    """A server may accept a connection in one process and answer it in another."""
    machine = Machine()
    answering = machine.fork(machine.left)
    client = machine.spawn(["client"])
    machine.connect(client, machine.left)
    dependents = machine.dependents()
    why = f"the process {client} (client) of another session is connected to it"
    assert machine.needed_by(machine.left, dependents) == why
    assert machine.needed_by(answering, dependents) == f"the process {machine.left} above it is left alone: {why}"


@pytest.mark.parametrize(
    ("other", "found"),
    [
        pytest.param("/srv/w1", "w2", id="the same directory"),
        pytest.param("/srv/w1/nested", "w2", id="a directory in its own"),
        pytest.param("/srv", None, id="a directory above its own"),
        pytest.param("/elsewhere", None, id="another directory"),
    ],
)
def test_in_which_other_workspace_a_process_works(other: str, found: str | None) -> None:
    machine = Machine()
    for path in ("/srv/w1/nested", "/elsewhere"):
        machine.tree.make(path)
    editor = machine.spawn(["editor"], cwd="/srv/w1/nested")
    dependents = machine.dependents(worktrees={"w2": other})
    assert dependents.workspace_of(machine.rows()[editor], "/srv/w1") == found
