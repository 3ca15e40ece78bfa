"""Judges each signal by the truth of the process that it reaches."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from tests.simulation.judging import Judging
from tests.simulation.lives import SessionLife, WorkspaceLife
from tests.simulation.memory.process import SimulatedProcess
from tests.simulation.memory.processes import MemoryProcesses
from tests.simulation.oracle import judge_signal
from tests.simulation.oracle.truth import Work
from tests.simulation.oracle.truth_signals import Dependence, Ended, Kind, Origin, Relation, SignalTruth
from workspace_reaper.model.process import ProcessKey, ProcessTable, Scheduling, SignalResult
from workspace_reaper.model.unknown import Unknown

__all__ = ["JudgedProcesses"]

# The reasons that rest on the absence of a row.
_WITHOUT_ROW = ("deleted", "removed", "orphan")

# Seconds between two looks at the CPU time.
_LOOK = 0.2

# Seconds for which the facts of a recheck are valid.
_VALIDITY = 5.0


class JudgedProcesses:
    """Processes whose signals are judged.

    A look at their scheduling is noted as well: nothing else shows that one waits for a CPU.
    """

    def __init__(self, real: MemoryProcesses, judging: Judging, counts: Counter[str]) -> None:
        self._real = real
        self._judging = judging
        self._counts = counts
        self._terms: dict[ProcessKey, float] = {}
        self._continued: set[ProcessKey] = set()
        self._scheduled: dict[int, float] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def scheduling(self, keys: Collection[ProcessKey]) -> Mapping[ProcessKey, Scheduling]:
        world, pids = self._judging.world, {key.pid for key in keys}
        for life in world.lives.values():
            if life.busy_since is None or (pid := world.pid_of(life)) not in pids:
                continue
            # What has just begun is not runnable at both of two looks, and has used nothing yet.
            if life.busy_since <= self._scheduled.get(pid, 0.0) or world.now - life.busy_since > _LOOK:
                life.seen_work = Work(life.busy_since, world.now)
        self._scheduled.update(dict.fromkeys(pids, world.now))
        return self._real.scheduling(keys)

    def table(self) -> ProcessTable | Unknown:
        self._judging.processes_read_at = self._judging.world.now
        return self._real.table()

    def glance(self) -> ProcessTable | Unknown:
        table, judging = self._real.glance(), self._judging
        judging.sampled_at = judging.world.now if isinstance(table, ProcessTable) else None
        return table

    def signal(self, key: ProcessKey, number: int) -> SignalResult:
        truth = self._truth(key, number)
        result = self._real.signal(key, number)
        if result is SignalResult.SENT:
            world, name = self._judging.world, signal.Signals(number).name.removeprefix("SIG")
            world.tell(f"{name} to {key.pid}, of {truth.session}")
            self._counts[f"signal {name}"] += 1
            self._judging.violations += judge_signal(truth)
            if number == signal.SIGTERM:
                self._terms[key] = world.now
            elif number == signal.SIGCONT and key in self._terms:
                self._continued.add(key)
        return result

    def _truth(self, key: ProcessKey, number: int) -> SignalTruth:
        world = self._judging.world
        one = world.machine.processes.get(key.pid)
        life = None if one is None else self._life_of(one)
        return SignalTruth(
            now=world.now,
            pid=key.pid,
            signal=signal.Signals(number).name.removeprefix("SIG"),
            session=life.session_id if life else "no session",
            started=None if one is None else one.key.started,
            recorded=key.started,
            kind=_kind(one, world.reaper_pid),
            origin=Origin.NONE if life is None or one is None else _origin(one),
            # One that was stopped again after that has had its time.
            stopped=one is not None and one.is_stopped and key not in self._continued,
            ended=Ended.LIVES if life is None or life.is_alive else self._ended(life, self._terms.get(key, world.now)),
            row_selects=life is None or self._selects(life),
            running=life is not None and (row := self._workspace_of(life).row) is not None and row.running,
            # Nothing shows of a session whose name and marks say otherwise that it was made for the workspace.
            sibling_lives=life is not None
            and any(self._workspace_of(life) in self._judging.ownership.owners(each) for each in world.lives.values()),
            dependences=tuple(self._dependences(one)) if one is not None else (),
            term_at=self._terms.get(key),
            term_waits=one is not None and signal.SIGTERM in one.pending,
            limits=self._judging.limits,
        )

    def _life_of(self, one: SimulatedProcess) -> SessionLife | None:
        """The session to which a process belongs: what another session runs for one that has ended belongs to that one."""
        world = self._judging.world
        above, life = world.machine.processes.get(one.parent), self._owner(one.owner)
        runs = self._owner(one.run_by or (above.owner if above is not None else ""))
        if life is None or life.is_alive or runs is None:
            return life
        # Of two that have ended, the one that the reaper has ended.
        return life if life.ended_by == "the reaper" and runs.ended_by not in ("", "the reaper") else runs

    def _owner(self, owner: str) -> SessionLife | None:
        """The session that it is. Of a group it is one that lives, or the last one that ended."""
        intents = self._judging.intents
        lives = self._judging.world.by_owner.get(owner, ())
        return max(lives, key=lambda life: (life.is_alive, life.ended_at or 0.0, life.key in intents), default=None)

    def _ended(self, life: SessionLife, at: float) -> Ended:
        """A session that its user ended right before our kill is like one that the kill ended: tmux may give no answer."""
        is_soon = life.key in self._judging.intents and at - (life.ended_at or 0.0) < _VALIDITY
        is_in_time = is_soon or life.key in self._judging.attempted
        return Ended.BY_US if life.ended_by == "the reaper" or is_in_time else Ended.UNKNOWN

    def _workspace_of(self, life: SessionLife) -> WorkspaceLife:
        """The workspace as which it was ended: not the one for which it was made, if it was renamed before it had marks."""
        intent = self._judging.intents.get(life.key)
        return life.of if intent is None else self._judging.world.by_id.get(intent.workspace_id or "", life.of)

    def _selects(self, life: SessionLife) -> bool:
        """Whether the row still speaks for an end of the session for the reason for which it was selected."""
        row, intent = self._workspace_of(life).row, self._judging.intents.get(life.key)
        reason = intent.reason if intent is not None else ""
        if row is None or row.deleted:
            return reason in _WITHOUT_ROW
        return row.worktree_deleted or (row.archived and reason == "archived")

    def _dependences(self, one: SimulatedProcess) -> Iterator[Dependence]:
        world = self._judging.world
        for client in world.machine.living_clients(one):
            # Nothing shows who is connected from out of sight.
            if world.is_of_living(client) and not client.is_hidden:
                yield Dependence(Relation.CONNECTION)
        for each in world.machine.processes.values():
            if each.parent == one.pid and world.is_of_living(each):
                yield Dependence(Relation.DESCENDANT)


def _kind(one: SimulatedProcess | None, reaper: int) -> Kind:
    if one is None:
        return Kind.ORDINARY
    if one.name.startswith("tmux"):
        return Kind.TMUX
    return Kind.REAPER if one.pid == reaper else Kind.ORDINARY


def _origin(one: SimulatedProcess) -> Origin:
    """A process without the environment of its pane has left the tree at once: no sweep can have seen it below a pane."""
    return Origin.DIRECTORY if one.origin is None else Origin.PANE
