"""Did the processes of a reaped session end, or does a report name them?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tests.simulation.oracle.violation import Violation

__all__ = ["Leftover", "judge_leftovers"]


@dataclass(frozen=True, slots=True)
class Leftover:
    """A process that lives although the session that started it was reaped.

    Attributes:
        pid: Its pid.
        session: The session.
        can_be_traced: It was below a pane, or its environment names one, or it works in the workspace's directory. Nothing
            else shows that it belongs to the session.
        is_reported: The record of the reap names it among the survivors.
    """

    pid: int
    session: str
    can_be_traced: bool
    is_reported: bool


def judge_leftovers(leftovers: Iterable[Leftover], now: float) -> list[Violation]:
    """Return the processes that live on without a word, whatever the reason is to leave them alone."""
    return [
        Violation("leftover", f"{one.pid}, of {one.session}", "it lives on, and the record of the reap does not name it", now)
        for one in leftovers
        if one.can_be_traced and not one.is_reported
    ]
