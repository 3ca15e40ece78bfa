"""Whole sweeps on the in-memory ports of the simulation, and what happens right before a call of one of these."""

from __future__ import annotations

import signal
from collections.abc import Callable

from tests.simulation.lives import WorkspaceLife
from tests.simulation.memory.terminal import MemoryTerminal
from tests.simulation.memory.tmux import SimulatedSession
from tests.simulation.oracle.truth import Limits
from tests.simulation.plan import Event, Interruption
from tests.simulation.reaper import Ports, SimulatedReaper
from tests.simulation.world import World
from tests.tools.builders import HOUR
from workspace_reaper.model.reap import ProcessCleanup, Reap
from workspace_reaper.sweep.context import SweepRequest
from workspace_reaper.sweep.report import SessionReport, SweepReport

__all__ = ["Scene", "cleanup_of", "entry_of"]


class Scene:
    """A simulated world with one reaper: each workspace has a row, a directory, and a session that was quiet for an hour."""

    def __init__(self, workspaces: int = 2) -> None:
        self.world = World(workspaces)
        self.ports = Ports(self.world)
        self.reaper = SimulatedReaper(
            self.world, self.ports, Limits(), lambda one: self._actions[one.event.who](), lambda **_: None
        )
        self._actions: list[Callable[[], object]] = []
        self._during: list[Interruption] = []
        self.world.clock.go_on(HOUR)

    # What happens

    def give_up(self, number: int = 0) -> WorkspaceLife:
        """The host deletes only the worktree of a workspace: its session is due at once. Returns the workspace."""
        one = self.world.workspaces[number]
        self.world.write_row(one, worktree_deleted=True)
        return one

    def during(self, point: str, nth: int, action: Callable[[], object]) -> None:
        """Let something happen right before this call of a port in the next sweep (1 is the first)."""
        self._during.append(Interruption(point, nth, Event("action", len(self._actions))))
        self._actions.append(action)

    def use(self, terminal: MemoryTerminal) -> None:
        """Start the reaper again, with another terminal."""
        self.ports.terminal = terminal
        self.reaper.start()

    def refuse(self, point: str) -> None:
        """Let the ledger refuse the first such call in the next sweep."""
        self._during.append(Interruption(point, 1, Event("refuse")))

    def sweep(self, request: SweepRequest | None = None) -> SweepReport:
        self.reaper.points.arm(self._during)
        self._during = []
        report = self.reaper.sweep(request)
        self.reaper.points.arm(())
        return report

    # What there is

    def session(self, number: int = 0) -> SimulatedSession:
        """The session of a workspace."""
        life = self.world.life_of(number)
        assert life is not None
        return self.world.tmux.sessions[life.session_id]

    def pid(self, number: int = 0) -> int:
        """The program in the session of a workspace."""
        return self.world.tmux.process(self.session(number).session_id).pid

    def leave_behind(self, *argv: str, number: int = 0, parent: int | None = None) -> int:
        """The session of a workspace starts a server that outlives it. Returns its pid."""
        machine = self.world.machine
        pid = machine.spawn(argv, parent=self.pid(number) if parent is None else parent, ignores=[signal.SIGHUP])
        machine.set_session(pid)
        return pid

    def signalled(self) -> set[int]:
        """The pids of all that the reaper has sent a signal."""
        return {one.key.pid for one in self.world.machine.delivered if one.by == "reaper"}

    def history(self) -> list[Reap]:
        """What the ledger says of reaps, the newest first."""
        history: list[Reap] = self.ports.ledger.history(100)
        return history


def entry_of(report: SweepReport, number: int = 0) -> SessionReport:
    """The line of the session of a workspace."""
    [entry] = [one for one in report.sessions if one.workspace_id == f"w{number}"]
    return entry


def cleanup_of(report: SweepReport, number: int = 0) -> ProcessCleanup:
    """What became of the processes of a reaped session."""
    cleanup = entry_of(report, number).cleanup
    assert cleanup is not None
    return cleanup
