"""What differs between systems, behind one protocol."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from enum import Enum
from typing import Protocol

from workspace_reaper.model.process import Details, Origin, Port, ProcessKey, ProcessTable, SignalResult
from workspace_reaper.model.unknown import Unknown

__all__ = ["Absence", "Reader", "absence", "send_by_pid", "verify"]


class Absence(Enum):
    """Why there is no start time: no such process, one that has ended and was not collected yet, or one that can't be read."""

    GONE = "gone"
    ZOMBIE = "zombie"
    UNREADABLE = "unreadable"


class Reader(Protocol):
    """One way to read processes. No method raises for what they do."""

    def boot(self) -> str:
        """See ``ports.Processes.boot``."""

    def started(self, pid: int) -> float | Absence:
        """When the process started: seconds since the machine's start on Linux, else Unix seconds."""

    def parent(self, pid: int) -> int | None:
        """The parent's pid, or None where that can't be told."""

    def table(self, known: Mapping[ProcessKey, Origin] | None = None) -> ProcessTable | Unknown:
        """See ``ports.Processes.table``. The origins that are ``known`` need not be read again."""

    def details(self, keys: Collection[ProcessKey]) -> Mapping[ProcessKey, Details]:
        """See ``ports.Processes.details``."""

    def listening(self) -> frozenset[Port]:
        """See ``ports.Processes.listening``."""

    def is_inside(self, pid: int, directory: str, homes: Collection[str]) -> bool:
        """Whether the working directory of what has this pid now is inside; see ``directories.inside_of``."""

    def send(self, key: ProcessKey, number: int) -> SignalResult:
        """Send a signal to the process with that start time, whoever it is."""


def absence(pid: int) -> Absence:
    """What it means that a system's table has no such process.

    The kernel is asked again, with no signal: a table may hide the processes of others (``hidepid``) or not be there at all.
    """
    if pid <= 0:
        return Absence.GONE
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return Absence.GONE
    except OSError:
        return Absence.UNREADABLE
    return Absence.UNREADABLE


def send_by_pid(reader: Reader, key: ProcessKey, number: int) -> SignalResult:
    """Verify, then send. Between the two the process may end and its pid be handed out again: only for systems that offer
    nothing better."""
    refusal = verify(reader, key)
    if refusal is not None:
        return refusal
    try:
        os.kill(key.pid, number)
    except ProcessLookupError:
        return SignalResult.GONE
    except OSError:
        return SignalResult.REFUSED
    return SignalResult.SENT


def verify(reader: Reader, key: ProcessKey) -> SignalResult | None:
    """Why the process with that key gets no signal; None where it certainly is there."""
    now = reader.started(key.pid)
    if now is Absence.UNREADABLE:
        return SignalResult.REFUSED
    return None if now == key.started else SignalResult.GONE
