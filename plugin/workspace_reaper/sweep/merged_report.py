"""The report of a sweep of several hosts, made of their reports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from operator import attrgetter

from workspace_reaper.sweep.report import SweepReport


def merged(reports: Sequence[tuple[str | None, SweepReport]]) -> SweepReport:
    """Return one report. That of a host without a name, which is the only one, stays as it is."""
    name, first = reports[0]
    if name is None:
        return first
    every = [report for _, report in reports]
    whole = SweepReport(
        first.sweep,
        first.started_at,
        dry_run=first.dry_run,
        full=first.full,
        unmanaged=min(report.unmanaged for report in every),
        other_owner=sum(report.other_owner for report in every),
        freed_bytes=sum(report.freed_bytes for report in every),
        latched=any(report.latched for report in every),
        contradicted=frozenset().union(*(report.contradicted for report in every)),
        disowned=tuple(session for report in every for session in report.disowned),
        refused="; ".join(f"{name}: {report.refused}" for name, report in reports if report.refused) or None,
        stepped=first.stepped,
        hosts={str(name): report for name, report in reports},
    )
    for host, report in reports:
        whole.sessions.extend(report.sessions)
        whole.unknown.extend(one for one in report.unknown if one not in whole.unknown)
        whole.vetoes.extend(one for one in report.vetoes if one not in whole.vetoes)
        whole.events.extend(replace(event, detail=f"{event.detail} (host {host})") for event in report.events)
    whole.sessions.sort(key=attrgetter("socket", "session"))
    seconds, parts = whole.seconds, [report.seconds for report in every]
    seconds.observe, seconds.look_up, seconds.judge = parts[0].observe, parts[0].look_up, parts[0].judge
    seconds.kill, seconds.total = sum(one.kill for one in parts), parts[0].total
    return whole
