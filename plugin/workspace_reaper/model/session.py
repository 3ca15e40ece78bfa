"""Sessions, windows, panes and listings of tmux: frozen values.

Times are Unix seconds (UTC). The clocks of tmux have a resolution of one second.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from workspace_reaper.model.unknown import Unknown

# An owner id that no registry has, for a listing in which the owner does not matter.
NO_OWNER = "0"


class SessionKey(NamedTuple):
    """The identity of a session: no other session on this machine ever has the same.

    ``socket`` is an absolute path. ``server_start`` and ``created`` are Unix seconds as tmux reports them. ``session_id`` is
    tmux's ``$n``, which a restarted server assigns again; hence the other four fields. A tuple, because each sweep hashes it
    several times for each session.
    """

    socket: str
    server_pid: int
    server_start: int
    session_id: str
    created: int


class Owner(Enum):
    """Whose owner id a session carries in ``@workspace_owner``."""

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
    """A pane. ``pid`` is stale once the pane is dead. ``dead_at`` needs tmux 3.3a; before that it is None."""

    pane_id: str
    window_id: str
    pid: int
    dead: bool
    dead_at: int | None


@dataclass(frozen=True, slots=True)
class Session:
    """One row of a listing in which every field could be read.

    ``activity`` is the last input or attach of a client, never output. ``attached`` is 0 for a suspended or locked client;
    ``has_client`` counts that client too, and ``group_has_client`` any client of another session of its group.

    ``owner_id`` and ``workspace_mark`` are the values of ``@workspace_owner`` and ``@reaper_workspace``, with a dot for each
    character that is not a hexadecimal digit. ``is_self_marked``: ``@reaper_self`` is the identity of this session.
    ``inherited`` are the options that seem to be set on it, and are set on a window, a pane or for all sessions.
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
    owner_id: str = ""
    workspace_mark: str = ""
    is_self_marked: bool = False
    inherited: frozenset[str] = frozenset()
    # The latest of client input, attach, and output in any window (Unix seconds).
    last_activity: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Computed once: a session that has not changed is the same object in the next sweep, which reads this again.
        latest = max(self.activity, self.last_attached or 0, *(window.activity for window in self.windows))
        object.__setattr__(self, "last_activity", latest)

    @property
    def is_attached(self) -> bool:
        """Return whether a client of any kind is attached to it or to another session of its group."""
        return self.attached > 0 or self.has_client or self.group_has_client

    @property
    def dead_since(self) -> int | None:
        """Return when its last pane died, or None if a pane lives or tmux does not report it."""
        if not self.all_panes_dead or not self.panes:
            return None
        moments = [pane.dead_at for pane in self.panes]
        return None if None in moments else max(moment for moment in moments if moment is not None)


@dataclass(frozen=True, slots=True)
class Server:
    """A tmux server as it reports itself. Its version may differ from the client's."""

    pid: int
    start: int
    version: str


@dataclass(frozen=True, slots=True)
class Listing:
    """A valid response of one socket. If ``server`` is None, the socket certainly has no session.

    ``unreadable`` are sessions with a field that cannot be read, and ``unreadable_ids`` are their ids: they are not missing.
    ``answered`` is False if no server listens on the socket. Then the absence of sessions rests on the socket alone, and the
    socket may have been unlinked. ``server_time`` is the clock of the server (Unix seconds) when it had listed the sessions, 0
    without a server. ``server_seconds`` is the CPU time that the server used for it, None if that is unknown.
    """

    socket: str
    sessions: tuple[Session, ...]
    unreadable: tuple[Unknown, ...] = ()
    unreadable_ids: frozenset[str] = frozenset()
    server: Server | None = None
    answered: bool = True
    server_time: int = 0
    server_seconds: float | None = None
