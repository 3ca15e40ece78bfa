"""What the state machine and its oracle tell each other: sessions, rows, settings and verdicts, as plain values.

Times are seconds that the machine has lived: it neither slept in them, nor did anybody set its clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["Circumstances", "Fate", "Host", "Key", "Limits", "Registry", "Row", "Seen", "those"]


class Key(NamedTuple):
    """Which session it is: no other one ever was or will be the same. ``created`` is what the wall clock said."""

    server: int
    server_start: int
    session_id: str
    created: int


@dataclass(frozen=True, slots=True)
class Seen:
    """A session as tmux tells it. ``came`` is when a client last came, ``clients`` whether one is there in any state, also at
    a session of its group. ``workspace`` is that of its marks, if they are its own. ``outputs`` are the windows' times.
    ``panes``: whether each is dead, and since when where tmux tells that: one in each window."""

    key: Key
    name: str
    born: int
    activity: int
    came: int | None
    clients: bool
    group: str
    kept: bool
    owner: str
    workspace: str
    outputs: tuple[int, ...]
    panes: tuple[tuple[bool, int | None], ...]

    @property
    def dead(self) -> bool:
        """Every pane is."""
        return all(dead for dead, _ in self.panes)

    @property
    def died(self) -> int | None:
        """When the last pane did, where tmux tells that of each."""
        deaths = [died for _, died in self.panes]
        return None if None in deaths else max(death for death in deaths if death is not None)


@dataclass(frozen=True, slots=True)
class Row:
    """A workspace as the host's table has it. ``directory``: it names one."""

    archived: bool
    pinned: bool
    running: bool
    deleted: bool
    worktree_deleted: bool
    directory: bool


class Registry(NamedTuple):
    """What an older copy of the database differs in, or one whose content was replaced."""

    schema_version: int
    changes: int

    def is_replaced_by(self, later: Registry) -> bool:
        """Ordinary commits leave the one as it is, and let the other only grow."""
        return later.schema_version != self.schema_version or later.changes < self.changes


class Host(NamedTuple):
    """What the host has at one moment: its table, what the database is, and the workspaces whose directories are there."""

    rows: Mapping[str, Row]
    registry: Registry
    directories: frozenset[str]

    def gone(self, workspace: str) -> bool:
        """There is no row, or none that counts."""
        row = self.rows.get(workspace)
        return row is None or row.deleted


@dataclass(frozen=True, slots=True)
class Limits:
    """The settings of these names."""

    idle_ttl: int
    min_age: int
    activity_grace: int
    archived_ttl: int
    stranger_ttl: int
    dead_ttl: int
    confirmation_gap: int
    orphan_confirmations: int


@dataclass(frozen=True, slots=True)
class Circumstances:
    """A session as the state machine's oracle judges it, by what it remembers itself.

    ``now`` counts like the times of ``session``. ``row`` is None where there is none, or none that counts. ``said`` is what a
    hook said that still applies. ``clock_set``: somebody has set the wall clock. ``orphan`` is what protects one without
    a row. ``removed`` is what protects one whose directory went with its row, None if it did not.
    """

    now: float
    session: Seen
    row: Row | None
    said: str | None
    limits: Limits
    idle: float
    clock_set: bool
    archived_for: float | None
    dead_for: float | None
    orphan: frozenset[str] = frozenset()
    removed: frozenset[str] | None = None

    @property
    def active(self) -> bool:
        """It was not idle for long enough for what a short time of rest allows."""
        return self.idle < self.limits.activity_grace


def those(**saviours: bool) -> frozenset[str]:
    """The names of those that save the session."""
    return frozenset(name for name, saves in saviours.items() if saves)


class Fate(NamedTuple):
    """Each reason that holds, in the table's order, with what protects the session from it."""

    reasons: tuple[tuple[str, frozenset[str]], ...] = ()

    @property
    def dies_for(self) -> str | None:
        """The first reason that is not held; None where it lives."""
        return next((name for name, saviours in self.reasons if not saviours), None)

    def saved_by(self, saviour: str) -> Fate:
        """The same, with one more protection from whatever it is."""
        return Fate(tuple((name, saviours | {saviour}) for name, saviours in self.reasons))
