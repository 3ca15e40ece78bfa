"""The truth about a process at the moment at which the reaper signals it. Times are true times (``truth.py``)."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from tests.simulation.oracle.truth_reaper import Limits

__all__ = ["Dependence", "Ended", "Kind", "Origin", "Relation", "SignalTruth"]


class Kind(Enum):
    """What the process is."""

    ORDINARY = "an ordinary process"
    # A server or a client of tmux, whatever its arguments say.
    TMUX = "tmux"
    # The reaper and what it was started from.
    REAPER = "the reaper or an ancestor of it"
    # It serves the whole login or holds others' windows.
    LOGIN = "a program that serves the whole login"


class Origin(Enum):
    """How the process belongs to the session that ended."""

    # It was below a pane until the session ended.
    PANE = "below a pane"
    # It left the process tree, and its environment names a pane of the session.
    ENVIRONMENT = "its environment names a pane"
    # Its environment is clean, and an earlier sweep saw it below a pane.
    SEEN_BELOW = "seen below a pane earlier"
    # It only works in the workspace's directory.
    DIRECTORY = "works in the directory"
    NONE = "no relation to the session"


class Ended(Enum):
    """How the session ended."""

    BY_US = "by our kill"
    # It is gone, and the reaper was interrupted before it could see who ended it.
    UNKNOWN = "by an unknown cause"
    LIVES = "not at all"


class Relation(Enum):
    """How somebody else depends on the process."""

    DESCENDANT = "a descendant of it belongs to a living session"
    CONNECTION = "a process of a living session is connected through it"
    SUPERVISED = "it supervises a process on which others depend"
    DIRECTORY = "it works in another workspace's directory"
    PANE = "its pane lives on in another session"


@dataclass(frozen=True, slots=True)
class Dependence:
    """Somebody else's dependence on the process, and since when."""

    relation: Relation
    since: float = float("-inf")


@dataclass(frozen=True, slots=True)
class SignalTruth:
    """All that is true of a process at ``now``, when a signal is sent to its pid.

    Attributes:
        pid: The pid to which the signal is sent.
        signal: ``TERM``, ``CONT`` or ``KILL``.
        session: The session on whose behalf, for the report.
        started: The start time of the process that has the pid now; None if there is none.
        recorded: The start time that the reaper recorded for that pid when the process belonged to the session.
        stopped: It is stopped, so that it acts on no signal but KILL and CONT.
        own_user: It runs as the reaper's user.
        in_directory: It works in the directory of the session's workspace, or that directory is not known.
        ended: How the session ended.
        row_selects: The row still selects the session (after an interruption).
        running: The host says that a process of the workspace runs.
        sibling_lives: Another session of the workspace may live.
        dependences: Who else depends on it.
        term_at: When the reaper sent TERM to this very process; None if it did not.
        term_waits: It is stopped, and a TERM waits until it continues.
        scan_age: How old the reaper's scan of the processes may be, in seconds.
    """

    now: float
    pid: int
    signal: str
    session: str
    started: float | None
    recorded: float
    kind: Kind = Kind.ORDINARY
    origin: Origin = Origin.PANE
    stopped: bool = False
    own_user: bool = True
    in_directory: bool = True
    ended: Ended = Ended.BY_US
    row_selects: bool = True
    running: bool = False
    sibling_lives: bool = False
    dependences: tuple[Dependence, ...] = ()
    term_at: float | None = None
    term_waits: bool = False
    scan_age: float = 1.0
    limits: Limits = field(default_factory=Limits)
