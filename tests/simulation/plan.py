"""The plan of a history: what happens, in which order and at which moment of a sweep.

A plan names workspaces by number and holds no state, so that steps can be taken out of it and it can run again.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Event", "Interruption", "Plan", "Step"]


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happens to a workspace (its number in the plan), or to the machine. ``amount`` is in seconds."""

    what: str
    who: int = 0
    amount: float = 0.0

    def __str__(self) -> str:
        return f"{self.what} w{self.who}" + (f" {self.amount:g} s" if self.amount else "")


@dataclass(frozen=True, slots=True)
class Interruption:
    """An event right before the ``nth`` call of a port's method in a step (1 is the first)."""

    point: str
    nth: int
    event: Event

    def __str__(self) -> str:
        return f"{self.event} before call {self.nth} of {self.point}"


@dataclass(frozen=True, slots=True)
class Step:
    """An event between two sweeps, a wait, or a run of the reaper (``RUNS``), during which other events happen."""

    event: Event
    during: tuple[Interruption, ...] = ()

    def __str__(self) -> str:
        return "; ".join(map(str, (self.event, *self.during)))


@dataclass(frozen=True, slots=True)
class Plan:
    """A history to be. ``workspaces`` is how many there are at its beginning.

    ``is_watched``: what lives on unreported is judged at its end, which needs more sweeps and an early alarm.
    ``has_daemon``: the reaper is a daemon that watches the database. ``foreign`` is how many sessions belong to no workspace,
    and ``rows_alone`` how many rows have no session.
    """

    seed: int
    workspaces: int
    steps: tuple[Step, ...]
    undo_window: float = 0.0
    is_watched: bool = False
    has_daemon: bool = False
    foreign: int = 0
    rows_alone: int = 0


# What happens to the reaper as a whole: its process starts again, or does so in a session, or its state directory is lost.
RESTART, RESTART_INSIDE, LOSE_STATE = "restart", "restart in the session of", "lose state"

# What runs the reaper.
SWEEP, LOOK_DELETED, LOOK_ARCHIVED, APPROVE = "sweep", "hook deleted", "hook archived", "sweep --approve"
RESET, DAEMON = "breaker reset", "daemon looks"
RUNS = frozenset({SWEEP, LOOK_DELETED, LOOK_ARCHIVED, APPROVE, RESET, DAEMON})

HOUR = 3600.0
