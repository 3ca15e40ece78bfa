"""What the state machine and its oracle tell each other: sessions, rows, settings and verdicts, as plain values.

Times are seconds that the machine has lived: it neither slept in them, nor did anybody set its clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["Fate", "Key", "Limits", "Row", "Seen"]


class Key(NamedTuple):
    """Which session it is: no other one ever was or will be the same. ``created`` is what the wall clock said."""

    server: int
    server_start: int
    session_id: str
    created: int


@dataclass(frozen=True, slots=True)
class Seen:
    """A session as tmux tells it. ``came`` is when a client last came, ``clients`` whether one is there in any state, also at
    a session of its group. ``outputs`` are the windows' times. ``dead``: every pane of it is, the last one since ``died`` where
    tmux tells that."""

    key: Key
    name: str
    born: int
    activity: int
    came: int | None
    clients: bool
    group: str
    kept: bool
    owner: str
    outputs: tuple[int, ...]
    dead: bool
    died: int | None


@dataclass(frozen=True, slots=True)
class Row:
    """A workspace as the host's table has it."""

    archived: bool
    pinned: bool
    running: bool
    deleted: bool
    worktree_deleted: bool


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
