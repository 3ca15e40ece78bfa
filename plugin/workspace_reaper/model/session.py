"""What the reaper knows of the world: plain, frozen values, without behaviour that touches anything.

Times are Unix seconds (UTC). tmux's own clocks have a resolution of one second; ours are floats.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from workspace_reaper.model.events import Testimony

__all__ = [
    "Answer",
    "Census",
    "ClockReading",
    "Guard",
    "IdleClock",
    "KillAnswers",
    "Listing",
    "Pane",
    "Reason",
    "Rows",
    "Server",
    "Session",
    "SessionKey",
    "Source",
    "Stamp",
    "Testimony",
    "Unknown",
    "Verdict",
    "Window",
    "Workspace",
]


class Reason(str, Enum):
    """Why a session may go, in the order in which the reasons are tried."""

    DELETED = "deleted"
    ARCHIVED_BY_HOOK = "archived by hook"
    WORKTREE_DELETED = "worktree-deleted"
    ORPHAN = "orphan"
    ARCHIVED = "archived"
    IDLE = "idle"
    DEAD = "dead"

    @property
    def public(self) -> str:
        """The name in reports and in the ledger: both kinds of archived are ``archived``."""
        return "archived" if self is Reason.ARCHIVED_BY_HOOK else self.value


class IdleClock(str, Enum):
    """What counts as activity; each may be switched off. tmux moves its clock of input at an attach, too."""

    INPUT = "input"
    ATTACH = "attach"
    DETACH = "detach"
    OUTPUT = "output"
    CPU = "cpu"


class ClockReading(NamedTuple):
    """The clocks of this machine at one moment, in seconds: ``wall`` is Unix time; ``elapsed`` counts since the machine's start
    (on some systems since another moment that stays the same), and nobody sets it; ``awake`` does not count while the machine
    sleeps."""

    wall: float
    elapsed: float
    awake: float


class Verdict(str, Enum):
    """``keep``: no reason holds. ``hold``: one holds, and something protects the session. ``reap``: condemned."""

    KEEP = "keep"
    HOLD = "hold"
    REAP = "reap"


class Source(str, Enum):
    """What could not be read."""

    SOCKET = "socket"
    SESSION = "session"
    REGISTRY = "registry"
    LEDGER = "ledger"
    PROCESSES = "processes"
    SNAPSHOT = "snapshot"


@dataclass(frozen=True, slots=True)
class Unknown:
    """Something could not be read. It is never the same as nothing being there.

    ``reason`` is a sentence for a person, with what to do where that is known. ``socket`` and ``session`` (its name, or
    its id where the name can't be read) say which.
    """

    source: Source
    reason: str
    socket: str | None = None
    session: str | None = None


class SessionKey(NamedTuple):
    """The identity of a session: nothing else on this machine ever had or will have the same.

    ``socket`` is an absolute path, ``server_start`` and ``created`` are Unix seconds as tmux tells them, ``session_id`` is
    tmux's ``$n``. A server that restarts hands the same ``$n`` out again, hence the other four. (A tuple, because it is hashed
    several times for each session and sweep.)
    """

    socket: str
    server_pid: int
    server_start: int
    session_id: str
    created: int


class Stamp(Enum):
    """Whose ``@workspace_owner`` a session carries."""

    NONE = "none"
    OURS = "ours"
    FOREIGN = "foreign"


@dataclass(frozen=True, slots=True)
class Window:
    """A window as a session sees it. ``activity`` moves with the output of its programs, attached or not."""

    window_id: str
    activity: int
    linked: bool


@dataclass(frozen=True, slots=True)
class Pane:
    """A pane. ``pid`` is stale once the pane is dead; ``dead_at`` needs tmux 3.3a and is None where it is not told."""

    pane_id: str
    window_id: str
    pid: int
    dead: bool
    dead_at: int | None


@dataclass(frozen=True, slots=True)
class Session:
    """One row of a listing, every field of it read.

    ``activity`` counts clients only (keys, attaching), never output. ``attached`` is 0 for a suspended or locked client,
    which ``has_client`` still sees; ``group_has_client`` says the same of any peer in its group.
    """

    key: SessionKey
    name: str
    activity: int
    last_attached: int | None
    attached: int
    has_client: bool
    group_has_client: bool
    grouped: bool
    kept: bool
    all_panes_dead: bool
    stamp: Stamp
    version: str
    windows: tuple[Window, ...]
    panes: tuple[Pane, ...] = ()
    last_activity: int = field(init=False, repr=False, compare=False)
    """The latest of client input, attach, and output in any window (Unix seconds)."""

    def __post_init__(self) -> None:
        # Once: a session that has not changed since the last listing is the same object, and asked for it in every sweep.
        latest = max(self.activity, self.last_attached or 0, *(window.activity for window in self.windows))
        object.__setattr__(self, "last_activity", latest)

    @property
    def is_attached(self) -> bool:
        """A client of any kind looks at it, or at a peer in its group."""
        return self.attached > 0 or self.has_client or self.group_has_client

    @property
    def dead_since(self) -> int | None:
        """When its last pane died, or None if one lives or this tmux does not tell."""
        if not self.all_panes_dead or not self.panes:
            return None
        moments = [pane.dead_at for pane in self.panes]
        return None if None in moments else max(moment for moment in moments if moment is not None)


@dataclass(frozen=True, slots=True)
class Server:
    """A tmux server, by its own word. ``version`` is the server's, which may differ from the client's."""

    pid: int
    start: int
    version: str


@dataclass(frozen=True, slots=True)
class Listing:
    """A valid answer of one socket. Without a server (``server`` None) there is certainly no session on it.

    ``unreadable`` are sessions that are there, with a field that can't be read, and ``unreadable_ids`` their ids: they are
    never missing. ``answered`` is False where nobody listens on the socket: then the emptiness rests on the socket alone,
    which may have been unlinked.
    """

    socket: str
    sessions: tuple[Session, ...]
    unreadable: tuple[Unknown, ...] = ()
    unreadable_ids: frozenset[str] = frozenset()
    server: Server | None = None
    answered: bool = True


@dataclass(frozen=True, slots=True)
class Workspace:
    """A row of the host's table. ``deleted`` is a host's own flag; most hosts drop the row instead.

    ``running``: the host says that a process of this workspace runs, dev servers not counted.
    """

    workspace_id: str
    archived: bool = False
    pinned: bool = False
    running: bool = False
    deleted: bool = False
    worktree_deleted: bool = False
    worktree: str | None = None


@dataclass(frozen=True, slots=True)
class Rows:
    """One answer of the registry: what it has of the ids asked for, and enough of itself to be recognised again.

    ``place`` names the very file or server (a file replaced by another one has another place). ``total`` counts rows up to
    a bound; ``capped`` says that the bound was reached. ``oldest`` are the ids of its oldest rows, at most 32, and
    ``anchors`` those of the ids remembered from last time that it still has. ``epoch`` is a text that stays the same while the
    database is only written to, and ``clock`` a number that commits make larger, or leave alone: an older copy that was put
    into the very same file has another epoch, or an earlier clock. None: that is not told.
    """

    found: Mapping[str, Workspace]
    place: str
    schema: str
    total: int
    capped: bool
    oldest: tuple[str, ...]
    anchors: frozenset[str]
    epoch: str | None = None
    clock: int | None = None


@dataclass(frozen=True, slots=True)
class Census:
    """All workspaces that a registry has at one moment, by canonical id; those flagged as deleted are not among them.

    ``place``, ``schema`` and ``oldest`` are as in `Rows`. ``epoch`` is a text that stays the same while the database is only
    written to, and changes when its content was put there as a whole (a backup was restored, it was vacuumed). ``clock`` is a
    number that commits make larger, or leave alone; None where there is none. ``archived`` is a subset of ``workspaces``.
    """

    place: str
    schema: str
    oldest: tuple[str, ...]
    epoch: str
    clock: int | None
    workspaces: frozenset[str]
    archived: frozenset[str]


@dataclass(frozen=True, slots=True)
class Guard:
    """What must still be true of a session inside the tmux server at the instant of the kill.

    Identity and an unset ``@reaper_keep`` are always asked. ``activity`` None: a client's input does not save it.
    ``unattached``: any client does. ``quiet_since``: output in any window after that second does. ``all_panes_dead``: a
    living pane does. ``unowned``: another registry's stamp does.
    """

    key: SessionKey
    activity: int | None
    unattached: bool
    quiet_since: int | None
    all_panes_dead: bool
    unowned: bool = False


class Answer(Enum):
    """What the guard said. ``NONE`` is no answer: nothing may be concluded from it but to look again."""

    KILLED = "killed"
    SPARED = "spared"
    GONE = "gone"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class KillAnswers:
    """The answers of one batch, by session id. ``seconds`` is how long tmux was busy with it."""

    answers: Mapping[str, Answer]
    seconds: float
    error: str | None = None
