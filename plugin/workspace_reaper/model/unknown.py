"""The value for what could not be read. It is never an empty list."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Source(str, Enum):
    """What could not be read."""

    SOCKET = "socket"
    SESSION = "session"
    REGISTRY = "registry"
    LEDGER = "ledger"
    PROCESSES = "processes"
    SNAPSHOT = "snapshot"


@dataclass(frozen=True, slots=True)
class Unknown:
    """Something that could not be read, which is never the same as its absence.

    ``reason`` is a sentence for display, with the next step where there is one. ``session`` is the session's name, or its id if
    the name cannot be read.
    """

    source: Source
    reason: str
    socket: str | None = None
    session: str | None = None
