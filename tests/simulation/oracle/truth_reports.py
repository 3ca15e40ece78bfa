"""What the reaper reported and could truly see, and the sessions that live on. Times are true times (``truth.py``)."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["REGISTRY", "Alarm", "Report", "Stay"]

REGISTRY = "registry"


@dataclass(frozen=True, slots=True)
class Stay:
    """A session that lives although it has been due without a break.

    ``due_since`` is since when ``due`` has named a reason for it at each look. ``reasons`` are those of the last look.
    """

    socket: str
    session: str
    reasons: tuple[str, ...]
    due_since: float


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alarm. ``sessions``: those that it names; None if it is about the reaper as a whole and explains any session."""

    name: str
    sessions: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """The report of a sweep that ran to its end.

    Attributes:
        began, ended: When the sweep did.
        full: It was no dry run and looked at everything, or tried to.
        complete: It says so of itself.
        exit_code: That of ``sweep``, or of ``status --check`` after it.
        unknown: The sockets that it reports as unknown, and ``REGISTRY``.
        alarms: The alarms that stood after it.
        blind: The sockets, and ``REGISTRY``, that it had to read and could not have read at any time while it ran.
    """

    began: float
    ended: float
    full: bool = True
    complete: bool = True
    exit_code: int = 0
    unknown: frozenset[str] = frozenset()
    alarms: tuple[Alarm, ...] = ()
    blind: frozenset[str] = frozenset()
