"""Processes: plain, frozen values.

Start times are seconds since the boot of the machine on Linux and Unix seconds elsewhere. They stay the same for the life of a
process. A pid alone is no identity, because the system assigns it again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple


class ProcessKey(NamedTuple):
    """The identity of a process since the boot of the machine."""

    pid: int
    started: float


class Origin(NamedTuple):
    """The pane from which a process was started, according to its environment.

    ``TMUX`` is "socket path,server pid,session number" and ``TMUX_PANE`` is "%n" (in each tmux that was tested). Both survive
    ``setsid`` and double forks, and a nested tmux or a daemon that was started there inherits them. The session is the one in
    which the pane was created; other sessions that show the pane later do not change it, even after that session is gone.
    """

    socket: str
    server_pid: int
    session: int
    pane: str


class Process(NamedTuple):
    """One row of the process table.

    ``parent`` is a pid. ``group`` is the process group, and ``foreground`` the foreground group of its terminal (-1 without
    one). ``cpu_seconds`` includes children that it has waited for. ``name`` is the kernel's short name (15 bytes on Linux).
    ``origin`` is also None if the environment cannot be read.
    """

    key: ProcessKey
    parent: int
    name: str
    zombie: bool
    group: int
    foreground: int
    cpu_seconds: float
    origin: Origin | None


@dataclass(frozen=True, slots=True)
class ProcessTable:
    """The processes of this machine by pid. ``at`` is when the scan began (Unix seconds)."""

    at: float
    processes: Mapping[int, Process]


class Port(NamedTuple):
    """A port on which a process listens: ``tcp`` or ``udp`` (bound), and its number."""

    protocol: str
    number: int


@dataclass(frozen=True, slots=True)
class Details:
    """Facts that are read for a few processes only.

    ``command`` is the command line for display (``name`` if there is none), and ``argv`` the same as a list. ``uids`` are the
    real, effective and saved user ids, or None if they cannot be read. ``memory_bytes`` is the proportional set size if the
    system reports it, else the resident set size; 0 if neither can be read. ``ports`` are those on which it listens.
    """

    command: str
    argv: tuple[str, ...]
    uids: frozenset[int] | None
    memory_bytes: int
    ports: frozenset[Port]


class Scheduling(NamedTuple):
    """How the threads of a process get the CPU.

    ``waited`` is for how long they have waited for one, in seconds, without a wait that still lasts. ``runnable``: one of them
    runs or waits now.
    """

    waited: float
    runnable: bool


@dataclass(frozen=True, slots=True)
class OwnLocation:
    """Where the reaper itself runs.

    ``pids`` are its own and those of all its ancestors. ``tmux`` is the (server pid, pane id) in its environment if it was
    started inside tmux. The socket is not compared, because its path can be written in several ways.
    """

    pids: frozenset[int]
    tmux: tuple[int, str] | None


class SignalResult(Enum):
    """The result of sending a signal.

    ``GONE``: no process has that pid and start time. ``REFUSED``: the system did not permit it, or the process could not be
    identified for certain. Nothing was sent in both cases.
    """

    SENT = "sent"
    GONE = "gone"
    REFUSED = "refused"
