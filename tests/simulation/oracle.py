"""The oracle: it judges what the reaper did by the truth of the world at that moment, not by what the reaper saw.

It follows docs/how-it-decides.md and shares no code with the reaper. Each function is pure and returns the violations.
"""

from __future__ import annotations

from tests.simulation.oracle_breaker import BreakerTruth, Count, advance
from tests.simulation.oracle_kills import due, judge_kill
from tests.simulation.oracle_leaks import judge_leaks
from tests.simulation.oracle_records import judge_ledger
from tests.simulation.oracle_signals import judge_signal
from tests.simulation.violation import Violation

__all__ = [
    "BreakerTruth",
    "Count",
    "Violation",
    "advance",
    "due",
    "judge_kill",
    "judge_leaks",
    "judge_ledger",
    "judge_signal",
]
