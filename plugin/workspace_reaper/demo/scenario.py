"""The scenario: which sessions the demo creates, what happens to their workspaces, and the expected outcome of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

# The settings of the demo in seconds; all others have their defaults. The clocks of tmux have a resolution of one second, so a
# session that prints or is new has to stay three seconds away from each threshold.
THRESHOLDS = {"min_age": 4, "activity_grace": 4, "idle_ttl": 5, "dead_ttl": 1, "confirmation_gap": 1, "kill_grace": 1}


class Ending(NamedTuple):
    """The outcome of a case and the reason: ``reaped``, ``held`` (a reason holds, but something protects the session), ``kept``
    (no reason holds) or ``ignored`` (unmanaged)."""

    word: str
    why: str


@dataclass(frozen=True, slots=True)
class DemoCase:
    """One line of the result table; for a session also how to create it.

    ``fate`` is what happens to the workspace; a hook is called for "deleted" and "archived" only. ``known``: the workspace has
    a row from the beginning. ``late``: the session is created after all others had their fate. ``pinned`` rows are never
    reaped as idle: one case shows that, and several are pinned so that even on a slow machine only their own reason applies.
    """

    name: str
    stands_for: str
    expected: Ending
    fate: Literal["none", "deleted", "archived", "vanished", "shelved", "worktree-deleted", "exited"] = "none"
    agent: Literal["silent", "printing", "talker", "with-helpers"] = "silent"
    known: bool = True
    pinned: bool = False
    running: bool = False
    attached: bool = False
    kept: bool = False
    owner: str | None = None
    late: bool = False

    @property
    def workspace_id(self) -> str:
        """The id that the ``standard`` registry reads from the name of the session."""
        return self.name.removeprefix("ws-")


def _case(name: str, stands_for: str, word: str, why: str, **session: object) -> DemoCase:
    return DemoCase(name, stands_for, Ending(word, why), **session)  # type: ignore[arg-type]


SESSIONS = (
    _case("ws-deleted", "deleted, client attached", "reaped", "deleted", fate="deleted", attached=True, agent="with-helpers"),
    _case("ws-precious", "deleted, kept by hand", "held", "deleted, kept", fate="deleted", kept=True, pinned=True),
    _case("ws-archived", "archived, still printing", "reaped", "archived", fate="archived", agent="printing"),
    _case("ws-running", "archived, agent running", "held", "archived, running", fate="archived", running=True),
    _case("ws-watched", "archived, client attached", "held", "archived, attached", fate="archived", attached=True),
    _case("ws-worktree", "worktree deleted", "reaped", "worktree-deleted", fate="worktree-deleted", pinned=True),
    _case("ws-orphan", "row deleted, no hook", "reaped", "orphan", fate="vanished", pinned=True),
    _case("ws-stranger", "never had a row", "held", "orphan, unproven", known=False),
    _case("ws-newborn", "no row yet", "held", "orphan, young", known=False, late=True),
    _case("ws-shelved", "archived, no hook", "reaped", "archived", fate="shelved", pinned=True),
    _case("ws-chatty", "archived, but printing", "held", "archived, active", fate="shelved", agent="printing"),
    _case("ws-idle", "silent for too long", "reaped", "idle", agent="talker"),
    _case("ws-pinned", "silent, but pinned", "held", "idle, pinned", pinned=True),
    _case("ws-attached", "silent, client attached", "held", "idle, attached", attached=True),
    _case("ws-busy", "agent printing", "kept", "no reason holds", agent="printing"),
    _case("ws-dead", "agent exited", "reaped", "dead", fate="exited", pinned=True),
    _case("ws-foreign", "of another registry", "ignored", "another owner", known=False, owner="c0ffee"),
    _case("notes", "not a workspace", "ignored", "no workspace id", known=False),
)

# Processes that the agent of ws-deleted starts and that leave their terminal.
HELPERS = (
    _case("dev-server", "left its terminal", "ended", "TERM"),
    _case("watcher", "left, and ignores TERM", "ended", "KILL"),
    _case("cache", "left, works elsewhere", "left", "works elsewhere"),
)

# The workspace that keeps its row when most rows are lost.
LAST_ROW = "busy"

# All remaining sessions after most rows were lost.
ACCIDENT = _case("all the rest", "most rows lost", "held", "breaker latched")

RESTORED = _case("ws-idle again", "restored after a reap", "restored", "old text, not run")
