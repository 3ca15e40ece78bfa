"""Does each part of the daemon still live? Pure: the parts' last signs of life and the time go in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["Part", "stuck"]


@dataclass(frozen=True, slots=True)
class Part:
    """``since`` is its last sign of life, or when it began with what it does, in seconds of a monotonic clock; None: nothing
    is expected of it now. It may take ``limit`` seconds. ``lack`` is what is missing when it took longer."""

    lack: str
    since: float | None
    limit: float


def stuck(parts: Iterable[Part], now: float) -> frozenset[str]:
    """What is missing, of those parts that are late."""
    return frozenset(part.lack for part in parts if part.since is not None and now - part.since > part.limit)
