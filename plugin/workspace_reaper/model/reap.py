"""One reap, from what the other plugins say of it to what became of the session and of its processes: plain, frozen values.

Times are Unix seconds (UTC).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from workspace_reaper.model.process import ProcessKey
from workspace_reaper.model.session import SessionKey

__all__ = [
    "EndedProcess",
    "Intent",
    "Outcome",
    "ProcessCleanup",
    "Reap",
    "ReapResult",
    "RecordedProcess",
    "SurvivingProcess",
    "Vetoes",
]


class Outcome(str, Enum):
    """What became of a session or of an intent, as reports and the ledger name it."""

    OPEN = "open"
    """The intent is committed, and its outcome is not."""
    NONE = "none"
    """The sweep did not select the session, or has not decided yet."""
    WOULD_REAP = "would-reap"
    """The dry run selected it."""
    REAPED = "reaped"
    SPARED = "spared"
    """It was selected; the recheck or the guard refused the kill."""
    FAILED = "failed"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class Vetoes:
    """What the plugins said. ``failures`` are sentences about those that gave no usable answer, which held everything."""

    held: Mapping[tuple[str, str], str] = field(default_factory=dict)
    of_all: str | None = None
    failures: tuple[str, ...] = ()

    def of(self, socket: str, session: str) -> str | None:
        """Who vetoed the session of that name, and why ("veto of release-guard: deploying"); None if nobody did. Where a
        plugin gave no usable answer that holds a session of which nobody was asked, too."""
        return self.held.get((socket, session), self.of_all)


@dataclass(frozen=True, slots=True)
class RecordedProcess:
    """A process that belongs to a session. ``pane`` is the one it lives in or came from. ``descendant``: it was below a pane's
    own process; else only its environment says where it came from."""

    key: ProcessKey
    command: str
    pane: str
    descendant: bool


@dataclass(frozen=True, slots=True)
class EndedProcess:
    """A process that ended with its session, and by which signal: ``HUP`` (tmux's own), ``TERM`` or ``KILL``."""

    pid: int
    command: str
    signal: str


@dataclass(frozen=True, slots=True)
class SurvivingProcess:
    """A process of the session that lives on, and why."""

    pid: int
    command: str
    why: str


@dataclass(frozen=True, slots=True)
class ProcessCleanup:
    """What became of the processes of a reaped session. ``freed_bytes`` is the memory that those which ended had held;
    ``freed_ports`` and ``held_ports`` are ports that its processes listened on, as "tcp 3000"."""

    ended: tuple[EndedProcess, ...] = ()
    survivors: tuple[SurvivingProcess, ...] = ()
    freed_bytes: int | None = None
    freed_ports: tuple[str, ...] = ()
    held_ports: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Intent:
    """A kill about to be tried: written, and committed, before it. ``reap_id`` is a ULID, ``evidence`` plain JSON.

    ``processes`` are those that belong to the session, so that a reaper that comes after a crash can end what is left of
    them; they are of the machine's start ``boot``. ``worktree`` is the workspace's directory, where it is known.
    """

    reap_id: str
    sweep_id: str
    at: float
    key: SessionKey
    session: str
    workspace_id: str
    reason: str
    evidence: Mapping[str, Any]
    boot: str = ""
    worktree: str | None = None
    processes: tuple[RecordedProcess, ...] = ()


@dataclass(frozen=True, slots=True)
class ReapResult:
    """How an intent ended: ``reaped``, ``spared`` or ``failed``; ``why`` says by what it was spared, or what failed.
    ``snapshot`` is None where its panes were kept, else why they were not."""

    reap_id: str
    at: float
    outcome: Outcome
    why: str | None = None
    aftermath: ProcessCleanup = field(default_factory=ProcessCleanup)
    snapshot: str | None = "not taken"


@dataclass(frozen=True, slots=True)
class Reap:
    """One line of the history: an intent with its outcome (``open`` while there is none)."""

    intent: Intent
    outcome: Outcome
    why: str | None = None
    aftermath: ProcessCleanup = field(default_factory=ProcessCleanup)
    snapshot: str | None = "not taken"
