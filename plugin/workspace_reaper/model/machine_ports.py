"""The ports through which the reaper sees the machine that it runs on: clocks, processes and directories."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

from workspace_reaper.model.directory import Directory, Sight, Workplace
from workspace_reaper.model.process import Details, OwnLocation, Port, ProcessKey, ProcessTable, Scheduling, SignalResult
from workspace_reaper.model.state import ClockReading
from workspace_reaper.model.unknown import Unknown


class Clock(Protocol):
    """The clocks of this machine."""

    def now(self) -> float:
        """Return the wall clock in Unix seconds."""

    def read(self) -> ClockReading:
        """Return all clocks at one moment. ``wall`` is the same clock as ``now``."""

    def monotonic(self) -> float:
        """Return a clock that cannot be set, for how long something takes, in seconds."""

    def sleep(self, seconds: float) -> None:
        """Do nothing for so long."""


class Processes(Protocol):
    """The processes of this machine that this user can see. No method raises for what they do."""

    @property
    def boot(self) -> str:
        """Return which boot of the machine this is: start times of another boot mean nothing.

        Empty if the system does not report it.
        """

    def start_time(self, pid: int) -> float | None:
        """Return when that process started, in the units of the table; None if it does not exist or cannot be read."""

    def may_live(self, pid: int, started: float | None) -> bool:
        """Return whether the process with that start time may still exist. True if it cannot be read."""

    def own_location(self) -> OwnLocation:
        """Return where the reaper runs now."""

    def table(self) -> ProcessTable | Unknown:
        """Return one scan of all processes."""

    def glance(self) -> ProcessTable | Unknown:
        """Return a scan for CPU times only.

        A process that was seen before may have the origin that it had then, although it runs a different program now.
        """

    def details(self, keys: Collection[ProcessKey]) -> Mapping[ProcessKey, Details]:
        """Return details of these processes, without those that ended or are zombies."""

    def scheduling(self, keys: Collection[ProcessKey]) -> Mapping[ProcessKey, Scheduling]:
        """Return how these processes get the CPU, without those for which the system does not report it."""

    def living(self, keys: Collection[ProcessKey]) -> frozenset[ProcessKey]:
        """Return those that still exist with the same start time and are no zombies, or cannot be read."""

    def is_inside(self, key: ProcessKey, directory: str) -> bool:
        """Return whether the process's working directory is this one or below it, by inode. False if unknown."""

    def needed(self, keys: Collection[ProcessKey]) -> Mapping[ProcessKey, str]:
        """Return who else depends on each of these processes, as a clause, without those for which there is no evidence."""

    def working_directory(self, key: ProcessKey) -> str | None:
        """Return the path of the process's working directory, the one before its deletion if it was deleted; None if unknown.

        A path may be written in many ways: only ``is_inside`` decides.
        """

    def listening(self) -> frozenset[Port]:
        """Return the ports on which any process of this machine listens now."""

    def signal(self, key: ProcessKey, number: int) -> SignalResult:
        """Send a signal to the process if it is certain that it has that start time."""


class Directories(Protocol):
    """The directories of workspaces on this machine. No method raises for what is there, and each has a limit."""

    def homes(self) -> frozenset[str]:
        """Return the home directories of this user, as they are written and as they resolve."""

    def find(self, paths: Collection[str]) -> Mapping[str, Directory | None]:
        """Return the directory at each path, None where certainly none is. What is unknown is missing."""

    def missing(self, paths: Collection[str]) -> frozenset[str]:
        """Return the paths at which certainly nothing is. It costs little: nothing is resolved."""

    def look(self, directories: Collection[Directory]) -> Mapping[Directory, Sight]:
        """Return what is now where each directory was."""

    def workplaces(self, pids: Collection[int]) -> Mapping[int, Workplace | None]:
        """Return the working directory of each process, None where it is unknown. Processes that have ended are missing."""
