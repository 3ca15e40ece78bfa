"""What could not be read: a value of its own, never an empty list. No behaviour, no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

__all__ = ["Source", "Unknown"]


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
    """Something could not be read. It is never the same as nothing being there.

    ``reason`` is a sentence for a person, with what to do where that is known. ``socket`` and ``session`` (its name, or
    its id where the name can't be read) say which.
    """

    source: Source
    reason: str
    socket: str | None = None
    session: str | None = None
