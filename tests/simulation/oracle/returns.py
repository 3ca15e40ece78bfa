"""Does the reaper say that something starts again what it has ended?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tests.simulation.oracle.truth_reports import Report
from tests.simulation.oracle.violation import Violation

__all__ = ["LATELY", "Return", "judge_returns"]

# Seconds for which a reaped session is remembered as one that may come back.
LATELY = 24 * 3600.0

_ALARM = "came-back"


@dataclass(frozen=True, slots=True)
class Return:
    """A living session that has the name and the workspace of one that was reaped.

    Attributes:
        session: Its id.
        reaped_at: When the one before was reaped.
        recorded_at: When the ledger was given the outcome of that; None if it was not.
        created: When it was made.
        is_due: What the host says of the workspace is what it said when the one before was reaped for that, and the session is
            not kept.
    """

    session: str
    reaped_at: float
    recorded_at: float | None
    created: float
    is_due: bool = True


def judge_returns(returns: Iterable[Return], report: Report) -> list[Violation]:
    """Return the sessions that came back, and that a complete full sweep has neither reaped again nor reported."""
    if not (report.full and report.complete):
        return []
    named = [alarm.sessions for alarm in report.alarms if alarm.name == _ALARM]
    return [
        Violation("came back", one.session, f"reaped at {one.reaped_at}, and made again at {one.created}", report.ended)
        for one in returns
        if _must_be_reported(one, report) and not any(some is None or one.session in some for some in named)
    ]


def _must_be_reported(one: Return, report: Report) -> bool:
    was_seen = one.created < report.began
    is_known = one.recorded_at is not None and one.recorded_at < report.began
    return one.is_due and was_seen and is_known and report.ended - one.reaped_at < LATELY
