"""Which parts of the daemon hang."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the daemon that may hang.

    Attributes:
        failure: What is wrong if it hangs, as a clause.
        since: Its last sign of life, or when it began its work, in monotonic seconds. None if it has nothing to do.
        limit: Seconds that may pass since then.
    """

    failure: str
    since: float | None
    limit: float


def stuck(parts: Iterable[Part], now: float) -> frozenset[str]:
    """Return the failures of the parts that hang at the time ``now`` (monotonic seconds)."""
    return frozenset(part.failure for part in parts if part.since is not None and now - part.since > part.limit)
