"""The truth about a session at the moment at which it is killed. The world fills it in, and the oracle judges by it.

Every time is *true time*: seconds of the world's own clock. It runs on while the machine sleeps or is frozen, and no step of
the wall clock moves it. Facts that tmux checks inside the guard are those of the very moment. Facts that can change between
the recheck and the kill carry the time since which they are so (``since``, ``…_since``), or a history, oldest first.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from tests.simulation.oracle.truth_reaper import Clock, FullSweep, Limits, Reaper, Reason
from tests.simulation.oracle.truth_workspace import ALWAYS, Absence, Directory, Hook, HookKind, Row, RowState, Workspace

__all__ = [
    "ALWAYS",
    "Absence",
    "Activity",
    "Clock",
    "Directory",
    "FullSweep",
    "Hook",
    "HookKind",
    "KillTruth",
    "Limits",
    "Peer",
    "Reaper",
    "Reason",
    "Row",
    "RowState",
    "Session",
    "Veto",
    "Work",
    "Workspace",
]


@dataclass(frozen=True, slots=True)
class Work:
    """The last stretch of work of the session's processes that a look could measure.

    Work is CPU time, or waiting for a CPU, above 1 % of a core as an average between two looks. Leave out what ended before the
    reaper's first look at the process: nothing shows it.
    """

    began: float
    last: float


@dataclass(frozen=True, slots=True)
class Activity:
    """When something last happened; None if never.

    ``seen_attached`` is the last complete full sweep that saw a client: tmux moves no clock at a detach, so this is as much as
    the reaper can know of it. ``output`` is that of all windows.
    """

    input: float | None = None
    attach: float | None = None
    seen_attached: float | None = None
    output: float | None = None
    work: Work | None = None


class Veto(Enum):
    """What the other plugins would answer if they were asked in this sweep."""

    NONE = "none"
    VETOED = "vetoed"
    UNANSWERED = "unanswered"


@dataclass(frozen=True, slots=True)
class Session:
    """The session, as it is inside the tmux server.

    Attributes:
        panes: For each pane, since when it is dead, or None while it lives.
        attached_since: Since when it has a client, also a suspended or locked one, also one of a group peer.
        kept_since: Since when ``@reaper_keep`` is not empty for it, its own or inherited.
        foreign: Its own valid marks name another owner.
        home: The reaper runs in it.
        socket_configured: Its socket is.
        renamed_at: The time of the last rename.
        processes_visible: The process of each living pane is visible as a child of the server.
        veto: Another plugin's.
        panes_kept: Its panes were saved.
        announced_at: When its end was announced for the present cause.
        taken_back_at: When undo, an attach or keep last took an announcement back.
    """

    socket: str
    session_id: str
    name: str
    created: float
    activity: Activity = field(default_factory=Activity)
    panes: tuple[float | None, ...] = (None,)
    attached_since: float | None = None
    kept_since: float | None = None
    foreign: bool = False
    home: bool = False
    socket_configured: bool = True
    renamed_at: float | None = None
    processes_visible: bool = True
    veto: Veto = Veto.NONE
    panes_kept: bool = True
    announced_at: float | None = None
    taken_back_at: float | None = None


@dataclass(frozen=True, slots=True)
class Peer:
    """Another living session of the group (or one that shares a window: ``linked``), with the truth of it.

    The truth of a peer names no peers. tmux checks the clients of a group in the guard, and nothing else of a peer.
    """

    truth: KillTruth
    linked: bool = False


@dataclass(frozen=True, slots=True)
class KillTruth:
    """All that is true of a session at ``now``. ``workspaces``: that of the marks and that of the name, if they differ both."""

    now: float
    session: Session
    workspaces: tuple[Workspace, ...]
    reaper: Reaper
    limits: Limits = field(default_factory=Limits)
    clock: Clock = field(default_factory=Clock)
    peers: tuple[Peer, ...] = ()
