"""What is known of processes: plain, frozen values.

Start times are in seconds since the machine's start on Linux, else Unix seconds: a number that stays the same for the life
of the process, whoever asks. A pid alone is no identity: it is handed out again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

__all__ = ["Details", "Origin", "Port", "Process", "ProcessKey", "ProcessTable", "SignalResult"]


class ProcessKey(NamedTuple):
    """The identity of a process since the machine's start."""

    pid: int
    started: float


class Origin(NamedTuple):
    """The pane that a process was started from, as its own environment tells: ``TMUX`` is "socket path,server pid,session
    number" and ``TMUX_PANE`` is "%n" (measured on tmux 3.2a to 3.7c). It survives ``setsid`` and double forks, and whatever a
    nested tmux or a login's daemon started from there inherits it as well. The session is the one that the pane was made
    in: a group's peers and linked windows keep the number of a session that may be gone."""

    socket: str
    server_pid: int
    session: int
    pane: str


class Process(NamedTuple):
    """One row of the process table. ``parent`` is a pid. ``group`` is its process group, ``foreground`` the one in the
    foreground of its terminal (-1 without one). ``cpu_seconds`` counts the children that it has waited for. ``name`` is the
    kernel's short one (15 bytes on Linux). ``origin`` is None also where the environment can't be read."""

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
    """One pass over the processes of this machine, by pid. ``at`` is when it began (Unix seconds)."""

    at: float
    processes: Mapping[int, Process]


class Port(NamedTuple):
    """A port on which a process listens: ``tcp`` or ``udp`` (bound), and its number."""

    protocol: str
    number: int


@dataclass(frozen=True, slots=True)
class Details:
    """What is asked of few processes only. ``command`` is the command line for a person (``name`` where there is none);
    ``argv`` the same as a list. ``uids`` are all of its user ids (real, effective, saved); None where that can't be read.
    ``memory_bytes`` is the proportional set size where the system gives it, else the resident one; 0 where neither can be
    read. ``ports`` are those it listens on."""

    command: str
    argv: tuple[str, ...]
    uids: frozenset[int] | None
    memory_bytes: int
    ports: frozenset[Port]


class SignalResult(Enum):
    """``GONE``: no process with that pid and start time; nothing was sent. ``REFUSED``: the system did not allow it, or the
    process could not be told for certain; nothing was sent."""

    SENT = "sent"
    GONE = "gone"
    REFUSED = "refused"
