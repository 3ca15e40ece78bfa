"""What the verdict table is asked about: all that is known of one session, and the thresholds. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from workspace_reaper.model.events import WorkspaceEvent
from workspace_reaper.model.session import Session
from workspace_reaper.model.verdict import IdleClock
from workspace_reaper.model.workspace import Workspace
from workspace_reaper.policy.idle import EVERY, AgeClock

__all__ = ["Facts", "Thresholds"]


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The thresholds, all in seconds but the number of confirmations and the idle clocks that count. Their meaning is in the
    settings of the same name."""

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
        """The greatest age that any rule asks for."""
        return max(
            self.idle_ttl,
            self.min_age,
            self.activity_grace,
            self.archived_ttl,
            self.stranger_ttl,
            self.dead_ttl,
            self.confirmation_gap,
            self.undo_window,
        )


_PLAIN = AgeClock()


@dataclass(frozen=True, slots=True)
class Facts:
    """All that is known of one managed session at one moment. Times are Unix seconds.

    ``detached_at`` is when an earlier sweep first saw its last client gone; ``archived_since`` and ``dead_since`` when it
    was first seen so; ``confirmations`` how many sweeps have confirmed that it has no row. ``proven``: the registry is known
    to have known this workspace. ``recognises_others``: it knows at least one other session now. ``home``: the reaper runs
    in it. ``approved``: an operator let exactly this session pass the breaker. ``busy_at`` is when its process tree was last
    seen to use the CPU. ``shared``: a session of its group does not go with it. ``announced_at`` is when it was told that it
    will go; ``undone`` are the causes (``archived``, ``idle``) of which an operator took that back,
    and that have gone on ever since. ``failures`` kills of it have failed in a row, and until ``retry_at`` no other is tried.
    ``times`` tells how to count: no age has the time in it that the machine slept, or that the wall clock was set ahead.
    ``generation`` is the registry's, and ``known_under`` the last one under which it has known the workspace, as far as that
    is remembered; it is asked only where there is no row.
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
    recognises_others: bool = False
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
    times: AgeClock = _PLAIN
    generation: int = 0
    known_under: int | None = None

    @property
    def idle_seconds(self) -> float:
        """Since the latest of client input, attach, output of any window, the detach as seen by us, and CPU use of its process
        tree, as far as these are counted; since its creation where none of those ever was. Never below 0."""
        return self.times.since(self.last_active, self.now)

    @property
    def last_active(self) -> float:
        """The moment since which it is idle, as the wall clock told it then."""
        if len(self.times.counted) < len(EVERY):
            return max(self._counted.values(), default=self.session.key.created)
        return max(self.session.last_activity, self.detached_at or 0.0, self.busy_at or 0.0)

    @property
    def uncounted_seconds(self) -> float:
        """How much of the time since then the machine slept, or the wall clock was set ahead."""
        return max(0.0, self.now - self.last_active - self.idle_seconds)

    @property
    def idle_clocks(self) -> Mapping[IdleClock, float | None]:
        """When each idle clock, counted or not, last moved; None if it never did as far as is known. Of two that moved in the
        same second the later one in this order says more."""
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
        """The clock that decides how long it is idle; None if that is its creation."""
        decides, latest = None, 0.0
        for clock, moment in self._counted.items():
            if moment >= latest:
                decides, latest = clock, moment
        return decides

    @property
    def _counted(self) -> Mapping[IdleClock, float]:
        moments = self.idle_clocks.items()
        return {clock: moment for clock, moment in moments if clock in self.times.counted and moment is not None}

    @property
    def age_seconds(self) -> float:
        """Since the session was created; never below 0."""
        return self.times.since(self.session.key.created, self.now)

    @property
    def gone(self) -> bool:
        """The registry has no such workspace, or says itself that it was deleted."""
        return self.row is None or self.row.deleted

    @property
    def died_at(self) -> float | None:
        """When its last pane died: by tmux's word, else when a sweep first saw it so; None if a pane lives."""
        if not self.session.all_panes_dead:
            return None
        told = self.session.dead_since
        return self.dead_since if told is None else told

    def deadline(self, thresholds: Thresholds) -> float | None:
        """Return when an announced session is reaped (Unix seconds), or None if it was not announced."""
        return None if self.announced_at is None else self.times.moved(self.announced_at) + thresholds.undo_window

    def since(self, moment: float) -> float:
        """Seconds that count from then (Unix seconds) until now; never below 0."""
        return self.times.since(moment, self.now)
