"""Did the reaper leave anything alive without a word? And did it say when it could not see?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise, takewhile

from tests.simulation.oracle.truth_reaper import Limits
from tests.simulation.oracle.truth_reports import REGISTRY, Report, Stay
from tests.simulation.oracle.violation import Violation

__all__ = ["judge_leaks"]

# Sweeps, and ticks, by which an alarm may be late: for confirmations, announcements and sweeps that take long.
_SLACK = 5

# After so many ticks without a complete sweep the reaper is blind. A longer gap is one in which it did not run.
_BLIND = 3


def judge_leaks(stays: Iterable[Stay], reports: Sequence[Report], limits: Limits) -> list[Violation]:
    """Return the sessions that live on unreported, and the sweeps that were blind and did not say so. Oldest report first."""
    found = [violation for stay in stays for violation in _silent(stay, reports, limits)]
    found += [violation for report in reports for violation in _blind(report)]
    return [*found, *_long_blind(reports, limits)]


def _silent(stay: Stay, reports: Sequence[Report], limits: Limits) -> Iterator[Violation]:
    sighted = [report for report in reports if _could_see(report, stay)]
    watched = sum(min(after.began - before.began, _BLIND * limits.tick) for before, after in pairwise(sighted))
    if len(sighted) <= _SLACK or watched <= limits.abstain_alarm + _SLACK * limits.tick:
        return
    if not any(alarm.sessions is None or stay.session in alarm.sessions for alarm in sighted[-1].alarms):
        reasons = ", ".join(stay.reasons)
        why = f"due ({reasons}) since {stay.due_since}, {len(sighted)} sweeps could see it, and no alarm names it"
        yield Violation("silent", stay.session, why, sighted[-1].ended)


def _could_see(report: Report, stay: Stay) -> bool:
    return report.full and report.began >= stay.due_since and not report.blind & {stay.socket, REGISTRY}


def _blind(report: Report) -> Iterator[Violation]:
    """What could not be read is unknown: it is reported, the sweep is not complete, and the exit code is 3, or 1."""
    for what in sorted(report.blind):
        if what not in report.unknown:
            yield Violation("unreported", what, "it could not be read, and is not reported as unknown", report.ended)
        if report.complete:
            yield Violation("complete", what, "it could not be read, and the sweep says that it is complete", report.ended)
        if report.exit_code not in (1, 3):
            yield Violation("exit code", what, f"it could not be read, and the exit code is {report.exit_code}", report.ended)


def _long_blind(reports: Sequence[Report], limits: Limits) -> Iterator[Violation]:
    full = [report for report in reports if report.full]
    incomplete = list(takewhile(lambda report: not report.complete, reversed(full)))
    if len(incomplete) <= _SLACK or incomplete[0].ended - incomplete[-1].began <= (_BLIND + _SLACK) * limits.tick:
        return
    if not incomplete[0].alarms:
        why = f"{len(incomplete)} sweeps in a row are not complete, and there is no alarm"
        yield Violation("blind", "reaper", why, incomplete[0].ended)
