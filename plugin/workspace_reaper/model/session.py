"""Sessions, windows, panes and listings of tmux: frozen values.

Times are Unix seconds (UTC). The clocks of tmux have a resolution of one second.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from workspace_reaper.model.unknown import Unknown

__all__ = ["NO_OWNER", "Listing", "Owner", "Pane", "Server", "Session", "SessionKey", "Window"]


NO_OWNER = "0"
"""An owner id that no registry has, for a listing in which the owner does not matter."""


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


class Owner(Enum):
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
    owner: Owner
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
