"""The oracle: it judges what the reaper did by the truth of the world at that moment, not by what the reaper saw.

It follows docs/how-it-decides.md and shares no code with the reaper. Each function is pure and returns the violations.
"""

from __future__ import annotations

from tests.simulation.oracle.breaker import BreakerTruth, Count, advance, approve, counts, is_of_lost_row, reset
from tests.simulation.oracle.evidence import has_witness
from tests.simulation.oracle.kills import due, judge_kill
from tests.simulation.oracle.leaks import judge_leaks
from tests.simulation.oracle.leftovers import Leftover, judge_leftovers
from tests.simulation.oracle.records import judge_ledger
from tests.simulation.oracle.returns import Return, judge_returns
from tests.simulation.oracle.signals import judge_signal
from tests.simulation.oracle.violation import Violation

__all__ = [
    "BreakerTruth",
    "Count",
    "Leftover",
    "Return",
    "Violation",
    "advance",
    "approve",
    "counts",
    "due",
    "has_witness",
    "is_of_lost_row",
    "judge_kill",
    "judge_leaks",
    "judge_ledger",
    "judge_leftovers",
    "judge_returns",
    "judge_signal",
    "reset",
]
