"""The operations that differ between systems, as one protocol."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from enum import Enum
from typing import Protocol

from workspace_reaper.model.process import Details, Origin, Port, ProcessKey, ProcessTable, Scheduling, SignalResult
from workspace_reaper.model.unknown import Unknown


class Absence(Enum):
    """Why a process has no start time: it does not exist, it has ended and was not waited for, or it cannot be read."""

    GONE = "gone"
    ZOMBIE = "zombie"
    UNREADABLE = "unreadable"


class Reader(Protocol):
    """One way to read processes. No method raises for what they do."""

    def boot(self) -> str:
        """See ``ports.Processes.boot``."""

    def started(self, pid: int) -> float | Absence:
        """Return when the process started: on Linux in seconds since boot, else in Unix seconds."""

    def parent(self, pid: int) -> int | None:
        """Return the parent's pid, or None if that is unknown."""

    def table(self, known: Mapping[ProcessKey, Origin], /) -> ProcessTable | Unknown:
        """See ``ports.Processes.table``. The origins that are ``known`` need not be read again."""

    def details(self, pids: Collection[int]) -> Iterator[Details | None]:
        """Yield the details of what has each pid now; None if nothing can be read."""

    def scheduling(self, pid: int) -> Scheduling | None:
        """Return how what has this pid now gets the CPU; None if that is unknown."""

    def listening(self) -> frozenset[Port]:
        """See ``ports.Processes.listening``."""

    def is_inside(self, pid: int, directory: str, homes: Collection[str]) -> bool:
        """Return whether the working directory of what has this pid now is inside; see ``working_directory.inside_of``."""

    def needed(self, pids: Collection[int]) -> Mapping[int, str]:
        """See ``ports.Processes.needed``."""

    def working_directory(self, pid: int) -> str | None:
        """Return the path of the working directory of what has this pid now; see ``ports.Processes``."""

    def send(self, key: ProcessKey, number: int) -> SignalResult:
        """Send a signal to the process with that start time, whichever process it is."""


def absence(pid: int) -> Absence:
    """Return what it means that the system's table does not contain the process.

    The kernel is asked again, with signal 0: the table may hide the processes of other users (``hidepid``), or be missing.
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
    """Verify the process, then send the signal. Only for systems that offer nothing better.

    Between the two the process may end and its pid be reused.
    """
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
    """Return why the process with that key gets no signal; None if it certainly exists."""
    now = reader.started(key.pid)
    if now is Absence.UNREADABLE:
        return SignalResult.REFUSED
    return None if now == key.started else SignalResult.GONE
