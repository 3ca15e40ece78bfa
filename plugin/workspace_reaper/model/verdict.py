"""The verdict, and the guarded kill with its results: frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from workspace_reaper.model.session import SessionKey

__all__ = ["ORPHAN_REASON", "Guard", "IdleClock", "KillResult", "KillResults", "Verdict"]


ORPHAN_REASON = "orphan"
"""The reason of which ``max_orphans_per_hour`` limits the number of reaps."""


class IdleClock(str, Enum):
    """What counts as activity; each may be switched off. tmux moves its clock of input at an attach, too."""

    INPUT = "input"
    ATTACH = "attach"
    DETACH = "detach"
    OUTPUT = "output"
    CPU = "cpu"


class Verdict(str, Enum):
    """``keep``: no reason holds. ``hold``: one holds, and something protects the session. ``reap``: condemned."""

    KEEP = "keep"
    HOLD = "hold"
    REAP = "reap"


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


class KillResult(Enum):
    """What the guard said. ``NONE`` is no answer: nothing may be concluded from it but to look again."""

    KILLED = "killed"
    SPARED = "spared"
    GONE = "gone"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class KillResults:
    """The answers of one batch, by session id. ``seconds`` is how long tmux was busy with it."""

    answers: Mapping[str, KillResult]
    seconds: float
    error: str | None = None
