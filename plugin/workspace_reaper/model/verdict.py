"""The verdict, and the guarded kill with its results: frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from workspace_reaper.model.session import SessionKey

# The reason of which max_orphans_per_hour limits the number of reaps.
ORPHAN_REASON = "orphan"

# The reason that a witness confirms.
REMOVED_REASON = "removed"


class IdleClock(str, Enum):
    """What counts as activity. Each may be switched off. tmux also moves its clock of client input at an attach."""

    INPUT = "input"
    ATTACH = "attach"
    DETACH = "detach"
    OUTPUT = "output"
    CPU = "cpu"


class Verdict(str, Enum):
    """The verdict on a session: no reason holds (``keep``), one holds and it is protected (``hold``), or it is selected
    (``reap``).
    """

    KEEP = "keep"
    HOLD = "hold"
    REAP = "reap"


@dataclass(frozen=True, slots=True)
class Guard:
    """What must still be true of a session inside the tmux server at the moment of the kill.

    Its identity and an unset ``@reaper_keep`` are always checked.

    Attributes:
        activity: The last client input; any later one spares the session. None if input does not matter.
        unattached: Any client spares the session.
        quiet_since: Output in any window after this second spares the session. None if output does not matter.
        all_panes_dead: A living pane spares the session.
        owner: Any other value of ``@workspace_owner`` spares the session. None if it does not matter.
        workspace: The same for ``@reaper_workspace``.
        ungrouped: A session that has joined a group is spared: the others of the group show its windows.
    """

    key: SessionKey
    activity: int | None
    unattached: bool
    quiet_since: int | None
    all_panes_dead: bool
    owner: str | None = None
    workspace: str | None = None
    ungrouped: bool = False


@dataclass(frozen=True, slots=True)
class Expiry:
    """How long guards are valid, on the clock of the tmux server.

    Attributes:
        listed_at: The server's own time (Unix seconds) in the listing of the recheck. A guard is not valid before it.
        seconds: A guard is not valid so long after it, or longer.
    """

    listed_at: int
    seconds: int = 5

    def admits(self, server_time: int) -> bool:
        """Return whether a guard is valid at this time of the server. The clock has a resolution of one second."""
        return self.listed_at - 2 < server_time < self.listed_at + self.seconds


class KillResult(Enum):
    """What the guard reported.

    ``STALE``: the guard had expired, so the session must be rechecked. ``NONE``: no response. Nothing follows from it; the
    session must be listed again.
    """

    KILLED = "killed"
    SPARED = "spared"
    STALE = "stale"
    GONE = "gone"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class KillResults:
    """The results of one batch by session id.

    ``seconds`` is how long tmux took for it, and ``server_seconds`` the CPU time of its server, None if that is unknown.
    """

    answers: Mapping[str, KillResult]
    seconds: float
    error: str | None = None
    server_seconds: float | None = None
