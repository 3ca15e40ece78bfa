"""All that is known about one session, and the thresholds: the input of the rules. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from operator import attrgetter

from workspace_reaper.model.events import GONE_EVENTS, WorkspaceEvent
from workspace_reaper.model.session import Session
from workspace_reaper.model.verdict import IdleClock
from workspace_reaper.model.workspace import Workspace
from workspace_reaper.policy.idle import EVERY, SLACK, AgeClock
from workspace_reaper.policy.witness import Witness


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The settings of the same names: seconds, the number of confirmations, and the idle clocks that count."""

    idle_ttl: float
    min_age: float
    activity_grace: float
    archived_ttl: float
    stranger_ttl: float
    dead_ttl: float
    confirmation_gap: float
    orphan_confirmations: int
    undo_window: float = 0.0
    idle_clocks: frozenset[IdleClock] = EVERY

    def needed_confirmations(self, *, proven: bool) -> int:
        """Return how many full sweeps must find no row: an unproven session is never reaped in the first one."""
        return self.orphan_confirmations if proven else max(2, self.orphan_confirmations)

    @property
    def longest(self) -> float:
        """Return the greatest age that any rule compares with."""
        return max(_SECONDS(self))


_SECONDS: Callable[[Thresholds], tuple[float, ...]] = attrgetter(*(f.name for f in fields(Thresholds) if f.type == "float"))

_PLAIN = AgeClock()


@dataclass(frozen=True, slots=True)
class Facts:
    """All that is known about one managed session at one moment. Times are Unix seconds.

    Attributes:
        detached_at: When a sweep first found its last client gone.
        archived_since: When a sweep first found its row marked archived.
        dead_since: When a sweep first found all its panes dead.
        confirmations: How many full sweeps have found no row.
        witnessed: How many full sweeps have found that row and directory went together.
        witness: What the directory of the workspace says, if it is known. Only read if there is no row.
        doubtful: Whether the directory speaks against the deletion, or the daemon saw the row go as after a restore and the
            directory does not confirm the deletion.
        proven: Whether the registry is known to have known this workspace.
        knows_other_sessions: Whether the registry has a row for at least one other session now.
        approved: Whether an operator approved exactly this session, so that the breaker does not protect it.
        home: Whether the reaper runs in it.
        shared: Whether another session of its group is not reaped.
        busy_at: When its processes were last seen to use the CPU.
        announced_at: When its reap was announced.
        undone: The reasons whose announcement was cancelled and that have applied ever since.
        failures: How many kills of it have failed in a row.
        retry_at: When the next attempt is due.
        many_strangers: It is one of several sessions that this registry has never known and that would be reaped together.
        renamed: Its name does not yield the workspace of its marks any more.
        named_row: What the rows of the other workspaces that its name yields say together.
        age_clock: How ages are counted: without the time that the machine slept or that the wall clock was stepped forward.
        generation: The generation of the registry.
        known_in_generation: The last generation known to have known the workspace. Only read if the row is absent
            or marked deleted.
    """

    session: Session
    workspace_id: str
    row: Workspace | None
    now: float
    reported: WorkspaceEvent | None = None
    detached_at: float | None = None
    archived_since: float | None = None
    dead_since: float | None = None
    confirmations: int = 0
    proven: bool = False
    knows_other_sessions: bool = False
    latched: bool = False
    approved: bool = False
    over_budget: bool = False
    home: bool = False
    veto: str | None = None
    busy_at: float | None = None
    shared: bool = False
    announced_at: float | None = None
    undone: frozenset[str] = frozenset()
    failures: int = 0
    retry_at: float | None = None
    age_clock: AgeClock = _PLAIN
    generation: int = 0
    known_in_generation: int | None = None
    many_strangers: bool = False
    renamed: bool = False
    named_row: Workspace | None = None
    witnessed: int = 0
    witness: Witness | None = None
    doubtful: bool = False

    @property
    def idle_seconds(self) -> float:
        """Return the seconds since the last activity that counts: client input, attach, detach, output of any window, CPU use.

        Counts from the creation if there was none. Never below 0.
        """
        return self.age_clock.since(self.last_active, self.now)

    @property
    def last_active(self) -> float:
        """Return the wall-clock time since which it has been idle."""
        if len(self.age_clock.counted) < len(EVERY):
            return max(self._counted.values(), default=self.session.key.created)
        return max(self.session.last_activity, self.detached_at or 0.0, self.busy_at or 0.0)

    @property
    def uncounted_seconds(self) -> float:
        """Return how much of that time the machine slept or the wall clock was stepped forward."""
        return max(0.0, self.now - self.last_active - self.idle_seconds)

    @property
    def idle_clocks(self) -> Mapping[IdleClock, float | None]:
        """Return when each idle clock last moved, switched on or not; None if never.

        If two moved in the same second, the later one in this order is reported.
        """
        session = self.session
        return {
            IdleClock.INPUT: session.activity,
            IdleClock.ATTACH: session.last_attached,
            IdleClock.DETACH: self.detached_at,
            IdleClock.OUTPUT: max((window.activity for window in session.windows), default=None),
            IdleClock.CPU: self.busy_at,
        }

    @property
    def idle_by(self) -> IdleClock | None:
        """Return the idle clock that decides how long it has been idle, or None if its creation does."""
        decides, latest = None, 0.0
        for clock, moment in self._counted.items():
            if moment >= latest:
                decides, latest = clock, moment
        return decides

    @property
    def _counted(self) -> Mapping[IdleClock, float]:
        moments = self.idle_clocks.items()
        return {clock: moment for clock, moment in moments if clock in self.age_clock.counted and moment is not None}

    @property
    def age_seconds(self) -> float:
        """Return the seconds since the session was created. Never below 0."""
        return self.age_clock.since(self.session.key.created, self.now)

    @property
    def is_ahead(self) -> bool:
        """Return whether tmux dates its creation or its last activity in the future, so that its age is unknown.

        It was created or used while the wall clock was ahead.
        """
        return self.dated > self.now + SLACK

    @property
    def dated(self) -> float:
        """Return the latest of its creation and its last activity (Unix seconds)."""
        return max(self.session.key.created, self.last_active)

    @property
    def gone(self) -> bool:
        """Return whether the registry has no row for the workspace, or a row that is marked deleted."""
        return self.row is None or self.row.deleted

    @property
    def rows(self) -> tuple[Workspace, ...]:
        """Return the rows of the workspaces to which the session belongs.

        It belongs to that of its marks and to those that its name yields, unless their rows are marked deleted.
        """
        named = self.named_row if self.named_row and not self.named_row.deleted else None
        return tuple(row for row in (self.row, named) if row is not None)

    @property
    def is_read(self) -> bool:
        """Return whether the registry has a row for the workspace that is not marked deleted and can be read."""
        return self.row is not None and not self.row.deleted and self.row.unreadable is None

    @property
    def is_witnessed(self) -> bool:
        """Return whether row and directory of the workspace went together."""
        return self.witness is not None and self.witness.confirms

    @property
    def needed_witnesses(self) -> int:
        """Return how many full sweeps must find that: none if the daemon saw the row go."""
        return 0 if self.reported in GONE_EVENTS else 2

    @property
    def is_objected_to(self) -> bool:
        """Return whether it was announced, and its user keeps it or has attached to it since. The client may have left."""
        if self.announced_at is None:
            return False
        return self.session.kept or self.session.is_attached or (self.detached_at or 0.0) > self.announced_at

    @property
    def died_at(self) -> float | None:
        """Return when its last pane died, by tmux or else by the first sweep that saw it; None if a pane lives or unknown.

        A time of tmux that is in the future is of a clock that was ahead then.
        """
        if not self.session.all_panes_dead:
            return None
        seen = self.session.dead_since
        return self.dead_since if seen is None or seen > self.now else seen

    def deadline(self, thresholds: Thresholds) -> float | None:
        """Return when an announced session is reaped (Unix seconds), or None if it was not announced."""
        return None if self.announced_at is None else self.age_clock.moved(self.announced_at) + thresholds.undo_window

    def since(self, moment: float) -> float:
        """Return the seconds that count from that time (Unix seconds) until now. Never below 0."""
        return self.age_clock.since(moment, self.now)
