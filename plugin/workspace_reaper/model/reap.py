"""One reap, from the vetoes of the other plugins to the outcome and the processes that were left: plain, frozen values.

Times are Unix seconds (UTC).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from workspace_reaper.model.process import ProcessKey
from workspace_reaper.model.session import SessionKey


class Outcome(str, Enum):
    """The outcome of a session in a sweep, or of an intent in the ledger."""

    # The intent is committed, and its outcome is not.
    OPEN = "open"
    # The sweep did not select the session, or has not decided yet.
    NONE = "none"
    # The dry run selected it.
    WOULD_REAP = "would-reap"
    REAPED = "reaped"
    # It was selected; the recheck or the guard refused the kill.
    SPARED = "spared"
    FAILED = "failed"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class Vetoes:
    """The responses of the other plugins. ``failures`` are sentences about plugins that gave no usable one and so vetoed
    everything.
    """

    held: Mapping[tuple[str, str], str] = field(default_factory=dict)
    of_all: str | None = None
    failures: tuple[str, ...] = ()

    def of(self, socket: str, session: str) -> str | None:
        """Return who vetoed the session of that name and why ("veto of release-guard: deploying"), or None.

        A plugin that gave no usable response vetoes every session, including those about which it was not asked.
        """
        return self.held.get((socket, session), self.of_all)


@dataclass(frozen=True, slots=True)
class RecordedProcess:
    """A process that belongs to a session. ``pane`` is the pane in which it runs or from which it was started.

    ``descendant``: it was below the pane's own process. Otherwise only its environment names the pane.
    """

    key: ProcessKey
    command: str
    pane: str
    descendant: bool


@dataclass(frozen=True, slots=True)
class EndedProcess:
    """A process that ended with its session, and the signal that ended it: ``HUP`` (sent by tmux), ``TERM`` or ``KILL``."""

    pid: int
    command: str
    signal: str


@dataclass(frozen=True, slots=True)
class SurvivingProcess:
    """A process of the session that is still running, and why."""

    pid: int
    command: str
    why: str


@dataclass(frozen=True, slots=True)
class ProcessCleanup:
    """The processes of a reaped session after its kill.

    ``freed_bytes`` is the memory that the ended processes had used. ``freed_ports`` and ``held_ports`` are ports on which the
    session's processes listened, as "tcp 3000".
    """

    ended: tuple[EndedProcess, ...] = ()
    survivors: tuple[SurvivingProcess, ...] = ()
    freed_bytes: int | None = None
    freed_ports: tuple[str, ...] = ()
    held_ports: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Intent:
    """A kill that is about to be attempted. It is committed before the attempt.

    ``reap_id`` is a ULID, and ``evidence`` plain JSON. ``processes`` are those of the session at the boot ``boot`` of the
    machine, so that a later reaper can end what is left of them after a crash. ``worktree`` is the workspace's directory, if
    known.
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
    """The outcome of an intent. ``why`` says what spared the session, or what failed.

    ``snapshot`` is None if the panes were saved, else the reason why they were not.
    """

    reap_id: str
    at: float
    outcome: Outcome
    why: str | None = None
    cleanup: ProcessCleanup = field(default_factory=ProcessCleanup)
    snapshot: str | None = "not taken"


@dataclass(frozen=True, slots=True)
class Reap:
    """One entry of the history: an intent with its outcome (``open`` while there is none)."""

    intent: Intent
    outcome: Outcome
    why: str | None = None
    cleanup: ProcessCleanup = field(default_factory=ProcessCleanup)
    snapshot: str | None = "not taken"
