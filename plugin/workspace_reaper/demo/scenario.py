"""Who plays: sessions, what befalls them, and what should become of each."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

__all__ = ["ACCIDENT", "CAST", "RULES", "SURVIVOR", "Agent", "Ending", "Expectation", "Fate", "Role"]

RULES = {
    "min_age": 4,
    "activity_grace": 4,
    "idle_ttl": 5,
    "dead_ttl": 1,
    "confirmation_gap": 1,
    "kill_grace": 1,
}
"""The thresholds of the demo in seconds; all others have their defaults. tmux's clocks have a resolution of one second: a
session that prints, or is new, is three seconds away from being taken for one that does not, or is not."""


class Fate(Enum):
    """What befalls a workspace or its session; a hook is fired for the first two only."""

    DELETED = auto()
    ARCHIVED = auto()
    SHELVED = auto()
    VANISHED = auto()
    WORKTREE_DELETED = auto()
    AGENT_ENDED = auto()
    NONE = auto()


@dataclass(frozen=True, slots=True)
class Ending:
    """What became of a session, or should: ``reaped``, ``held`` (a reason holds, something protects it), ``kept`` (no reason
    holds) or ``ignored`` (it is none of ours); and why."""

    word: str
    why: str


class Agent(Enum):
    """What runs in a session: one that is silent, or prints all the time, or has said something and waits, or has started
    helpers that left its terminal."""

    SILENT = auto()
    PRINTING = auto()
    TALKER = auto()
    WITH_HELPERS = auto()


@dataclass(frozen=True, slots=True)
class Expectation:
    """One line of the result: what it is about, what that stands for, and what should become of it."""

    name: str
    stands_for: str
    expected: Ending


@dataclass(frozen=True, slots=True)
class Role(Expectation):
    """A session, by its name. ``known``: its workspace has a row from the beginning. ``late``: it comes when all others had
    their fate.

    A row that is ``pinned`` can't go as idle. That shows in one role, and in some it sees to it that they go for their own
    reason only, however slow the machine is.
    """

    fate: Fate = Fate.NONE
    known: bool = True
    pinned: bool = False
    running: bool = False
    agent: Agent = Agent.SILENT
    attached: bool = False
    kept: bool = False
    owner: str | None = None
    late: bool = False

    @property
    def workspace_id(self) -> str:
        """As the ``standard`` registry reads it from the session's name."""
        return self.name.removeprefix("ws-")


def _reaped(why: str) -> Ending:
    return Ending("reaped", why)


def _held(why: str, by: str) -> Ending:
    return Ending("held", f"{why}, {by}")


_KEPT = Ending("kept", "no reason holds")

CAST = (
    Role("ws-deleted", "deleted, client attached", _reaped("deleted"), Fate.DELETED, attached=True, agent=Agent.WITH_HELPERS),
    Role("ws-precious", "deleted, kept by hand", _held("deleted", "kept"), Fate.DELETED, kept=True, pinned=True),
    Role("ws-archived", "archived, still printing", _reaped("archived"), Fate.ARCHIVED, agent=Agent.PRINTING),
    Role("ws-running", "archived, its agent runs", _held("archived", "running"), Fate.ARCHIVED, running=True),
    Role("ws-watched", "archived, client attached", _held("archived", "attached"), Fate.ARCHIVED, attached=True),
    Role("ws-worktree", "its worktree is gone", _reaped("worktree-deleted"), Fate.WORKTREE_DELETED, pinned=True),
    Role("ws-orphan", "its row is gone, no hook", _reaped("orphan"), Fate.VANISHED, pinned=True),
    Role("ws-stranger", "never had a row", _held("orphan", "unproven"), known=False),
    Role("ws-newborn", "no row yet", _held("orphan", "young"), known=False, late=True),
    Role("ws-shelved", "archived, no hook", _reaped("archived"), Fate.SHELVED, pinned=True),
    Role("ws-chatty", "archived, but it prints", _held("archived", "active"), Fate.SHELVED, agent=Agent.PRINTING),
    Role("ws-idle", "silent for too long", _reaped("idle"), agent=Agent.TALKER),
    Role("ws-pinned", "silent, but pinned", _held("idle", "pinned"), pinned=True),
    Role("ws-attached", "silent, client attached", _held("idle", "attached"), attached=True),
    Role("ws-busy", "its agent prints", _KEPT, agent=Agent.PRINTING),
    Role("ws-dead", "its agent has ended", _reaped("dead"), Fate.AGENT_ENDED, pinned=True),
    Role("ws-foreign", "another registry's", Ending("ignored", "another's stamp"), known=False, owner="c0ffee"),
    Role("notes", "no workspace at all", Ending("ignored", "no workspace name"), known=False),
)

SURVIVOR = "busy"
"""The workspace whose row alone outlives the accident."""

ACCIDENT = Expectation("all the rest", "most rows are lost", Ending("held", "breaker latched"))
"""Not a session: all of them, after the accident."""
