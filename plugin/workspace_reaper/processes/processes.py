"""The processes of this machine, behind ``ports.Processes``."""

from __future__ import annotations

import os
import pwd
import sys
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass

from workspace_reaper.model.process import Details, Origin, Port, ProcessKey, ProcessTable, SignalResult
from workspace_reaper.model.unknown import Unknown
from workspace_reaper.processes.linux import LinuxReader
from workspace_reaper.processes.origin import PANE, TMUX, read_origin
from workspace_reaper.processes.reader import Absence, Reader

__all__ = ["RunsAt", "SystemProcesses"]


@dataclass(frozen=True, slots=True)
class RunsAt:
    """Where the reaper runs; see ``ports.Whereabouts``."""

    pids: frozenset[int]
    tmux: tuple[int, str] | None


class SystemProcesses:
    """The processes of this machine, as far as this user may see them. ``environ`` is the process's own unless given, and
    ``reader`` the one that suits the system."""

    __slots__ = ("_environ", "_origins", "_reader")

    def __init__(self, environ: Mapping[str, str] | None = None, reader: Reader | None = None) -> None:
        self._environ = os.environ if environ is None else environ
        self._reader = _suitable() if reader is None else reader
        self._origins: Mapping[ProcessKey, Origin] = {}

    @property
    def boot(self) -> str:
        """Which start of the machine this is; empty where the system does not tell."""
        return self._reader.boot()

    def start_time(self, pid: int) -> float | None:
        """When that process started; None if there is none (a zombie is none any more) or it can't be read. Never raises.

        On Linux in seconds since the machine's start, else in Unix seconds: a number that stays the same for the life of the
        process, whoever asks.
        """
        started = self._reader.started(pid)
        return None if isinstance(started, Absence) else started

    def may_live(self, pid: int, started: float | None) -> bool:
        """Whether that process may still be there: True also where it can't be read, or ``started`` was never known."""
        now = self._reader.started(pid)
        if isinstance(now, Absence):
            return now is Absence.UNREADABLE
        return started is None or now == started

    def whereabouts(self) -> RunsAt:
        """Where the reaper runs at this moment: a fork changes it. Ancestors that it may not see are missing."""
        pids = {os.getpid()}
        pid: int | None = os.getppid()
        while pid and pid not in pids:
            pids.add(pid)
            pid = self._reader.parent(pid)
        origin = read_origin(self._environ.get(TMUX, ""), self._environ.get(PANE, ""))
        return RunsAt(frozenset(pids), None if origin is None else (origin.server_pid, origin.pane))

    def table(self) -> ProcessTable | Unknown:
        """One pass over all processes. A process that ends in the middle is left out."""
        return self._remembered(self._reader.table())

    def glance(self) -> ProcessTable | Unknown:
        """One pass over all processes that believes the origins of the last pass, so that it costs about half."""
        return self._remembered(self._reader.table(self._origins))

    def _remembered(self, table: ProcessTable | Unknown) -> ProcessTable | Unknown:
        if isinstance(table, ProcessTable):
            self._origins = {one.key: one.origin for one in table.processes.values() if one.origin is not None}
        return table

    def details(self, keys: Collection[ProcessKey]) -> Mapping[ProcessKey, Details]:
        """More of these processes; those that are gone, zombies, or not to be seen are missing."""
        return self._reader.details(keys)

    def living(self, keys: Collection[ProcessKey]) -> frozenset[ProcessKey]:
        """Those that are still there, with the same start time, and are no zombies. One that can't be read lives."""
        return frozenset(key for key in keys if self.may_live(key.pid, key.started))

    def is_inside(self, key: ProcessKey, directory: str) -> bool:
        """Whether the process's working directory is that one or below it, by inode; False where that can't be told.

        Never True for the root, for a home of this user (``HOME``, and what the system's list of users says), for what holds
        one of these, and for what is no absolute path: everything would be inside. A directory that is gone from the disk has
        those processes inside whose own directory was deleted at or below that very path.
        """
        if not self._reader.is_inside(key.pid, directory, self._homes()):
            return False
        # The pid may have been handed out again before its directory was read.
        return self._reader.started(key.pid) == key.started

    def listening(self) -> frozenset[Port]:
        """The ports on which anything on this machine listens now, as far as this user may see it."""
        return self._reader.listening()

    def signal(self, key: ProcessKey, number: int) -> SignalResult:
        """Send a signal to the process, if it certainly is the one with that start time.

        The first process of the system, the reaper itself, and what is no pid but would reach a group, never get one.
        """
        if key.pid <= 1 or key.pid == os.getpid():
            return SignalResult.REFUSED
        return self._reader.send(key, number)

    def _homes(self) -> frozenset[str]:
        homes = {self._environ.get("HOME", "")}
        with suppress(KeyError):  # a user without an entry, as containers have them
            homes.add(pwd.getpwuid(os.geteuid()).pw_dir)
        return frozenset(home for home in homes if home.startswith("/"))


def _suitable() -> Reader:
    if sys.platform == "linux":
        return LinuxReader()
    from workspace_reaper.processes.portable import PortableReader

    return PortableReader()
