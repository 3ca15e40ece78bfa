"""Counts at each look-up of a full sweep what the breaker counts, by the truth, and says whether it must be latched."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from tests.simulation.lives import WorkspaceLife
from tests.simulation.oracle import BreakerTruth, Count, advance, approve, counts, has_witness, is_of_lost_row, reset
from tests.simulation.oracle.truth import KillTruth, Limits, Workspace
from tests.simulation.world import World
from workspace_reaper.model.session import SessionKey

__all__ = ["BreakerWatch", "name_of"]


def name_of(key: SessionKey) -> str:
    """What stands for a session, by its identity."""
    return f"{key.server_pid}/{key.session_id}"


@dataclass(slots=True)
class BreakerWatch:
    """The breaker that must hold. What a sweep makes of it counts once the reaper has written its state.

    Attributes:
        rows: The workspaces that had a row at the last look-up that counted, and the place of the database then.
        shown: The sessions that an operator lets go in this sweep, and the place of the database in which they were shown.
    """

    world: World
    limits: Limits
    rows: frozenset[str] = frozenset()
    location: str = ""
    shown: frozenset[str] = frozenset()
    shown_at: str = ""
    _before: BreakerTruth = field(default_factory=BreakerTruth)
    _count: Count = field(default_factory=lambda: Count(frozenset(), 0))
    _gone: Mapping[str, KillTruth] = field(default_factory=dict)
    _lost: set[str] = field(default_factory=set)
    _during: BreakerTruth | None = None
    _after: BreakerTruth | None = None

    @property
    def latched(self) -> bool:
        return (self._during or self._before).latched

    @property
    def approved(self) -> frozenset[str]:
        return (self._after or self._before).approved

    def begin(self, shown: Collection[SessionKey], shown_at: str) -> None:
        """A run of the reaper begins."""
        self._during = self._after = None
        self.shown, self.shown_at = frozenset(map(name_of, shown)), shown_at

    def look(self, managed: int, gone: Mapping[str, KillTruth]) -> None:
        """A full sweep reads all rows. There are so many managed sessions, and these of them have no row."""
        if self.world.host.location != self.location:
            self._before = replace(self._before, approved=frozenset())
        self._count, self._gone = self._counted(managed, gone), gone
        self._advance()

    def look_at_directories(self) -> None:
        """It looks at the directories: a row whose directory has gone since the look-up does not count either."""
        there = {one.workspace_id for one in self.world.workspaces if not self._went_with_directory(one)}
        of = {name: {one.workspace_id for one in truth.workspaces} for name, truth in self._gone.items()}
        orphans = frozenset(name for name in self._count.orphans if of[name] & there)
        self._count = replace(self._count, orphans=orphans, rows_lost=self._count.rows_lost - len(self._lost - there))
        self._lost &= there
        self._advance()

    def _advance(self) -> None:
        self._during = self._after = advance(self._before, self._count, self.limits)
        if self.shown and self.shown_at == self.world.host.location:
            # What was not shown is held in this sweep all the same.
            self._after = approve(self._during, self.shown)

    def save(self) -> None:
        """The reaper has written what this sweep has found."""
        if self._after is not None:
            self._before = self._after
            self.rows, self.location = frozenset(self.world.host.rows), self.world.host.location

    def reset(self, gone: Collection[str]) -> None:
        """An operator has reset it, while these sessions have no row."""
        if self._before.latched:
            self._before = reset(self._before, gone)
        self._during = self._after = None

    def _counted(self, managed: int, gone: Mapping[str, KillTruth]) -> Count:
        lost = self.rows - self.world.host.rows.keys()
        removed = {
            one.workspace_id for one in self.world.workspaces if one.workspace_id in lost and self._went_with_directory(one)
        }
        self._lost = set(lost - removed)
        return Count(
            orphans=frozenset(name for name, truth in gone.items() if counts(truth)),
            managed=managed,
            rows_before=len(self.rows),
            # Which rows are new is not counted.
            rows_lost=len(self.rows) - len(self.world.host.rows) - len(removed),
            gone=frozenset(gone),
            lost=frozenset(name for name, truth in gone.items() if is_of_lost_row(truth)),
        )

    def _went_with_directory(self, one: WorkspaceLife) -> bool:
        last = one.directory[-1]
        is_inside = any(life.of is one and life.is_in(last) for life in self.world.lives.values())
        directory = replace(last, session_inside=is_inside)
        return has_witness(self.limits, Workspace(one.workspace_id, tuple(one.rows), directory=(directory,)))
