"""Reports, histories and checks as tables for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import PurePath
from typing import Any

from workspace_reaper.model.reap import Outcome, Reap
from workspace_reaper.operations.doctor import Check
from workspace_reaper.operations.status import Status
from workspace_reaper.operations.wiring import how_to_configure
from workspace_reaper.policy.idle import how_set
from workspace_reaper.sweep.explain import PROVEN_WHEN, Explanation
from workspace_reaper.sweep.report import SessionReport, SweepReport, iso, printable
from workspace_reaper.util.console import print_table, say, say_marked, say_whole
from workspace_reaper.util.durations import seconds_text

__all__ = [
    "show_check",
    "show_checks",
    "show_explanation",
    "show_history",
    "show_no_check",
    "show_sessions",
    "show_status",
    "show_sweep",
    "show_unknown",
]


def _age(seconds: float) -> str:
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:.0f}s"


def _short_sockets(paths: Iterable[str]) -> Mapping[str, str]:
    """What to call these sockets: by the name of the file where each has another one, else by the path."""
    names = {path: PurePath(path).name for path in paths}
    return names if len(set(names.values())) == len(names) else {path: path for path in names}


def show_sessions(sessions: Iterable[SessionReport]) -> None:
    """One line for each session."""
    sessions = list(sessions)
    sockets = _short_sockets(entry.socket for entry in sessions)
    rows = [
        (
            printable(entry.session),
            entry.verdict.value,
            entry.reason,
            None if entry.outcome is Outcome.NONE else entry.outcome.value,
            entry.protected_by,
            _age(entry.facts.idle_seconds) if entry.facts else None,
            _age(entry.facts.age_seconds) if entry.facts else None,
            printable(sockets[entry.socket]),
        )
        for entry in sessions
    ]
    columns = ("SESSION", "VERDICT", "REASON", "OUTCOME", "BY", "IDLE", "AGE", "SOCKET")
    print_table(columns, rows, empty="no managed session")


def show_sweep(report: SweepReport) -> None:
    """The whole report of one sweep."""
    if report.abstained is not None:
        say(f"nothing was looked at: {report.abstained}")
        return
    if report.unknown and not report.sessions and not report.registry and not report.unmanaged:
        say("nothing could be looked at")
        show_unknown(report)
        return
    if report.unknown and not report.sessions:
        say("no managed session could be seen, and not everything could be looked at")
    else:
        show_sessions(report.sessions)
    show_unknown(report)
    for text in report.vetoes:
        say(f"VETO {printable(text)}")
    _show_survivors(report)
    if report.jumped:
        say(f"CLOCK {how_set(report.jumped)}")
    if report.latched:
        say("The breaker is latched: no orphan is reaped. 'breaker' tells why, 'sweep --approve' shows what it would let go.")
    done, reaped = ("would be reaped", Outcome.WOULD_REAP) if report.dry_run else ("reaped", Outcome.REAPED)
    say(
        f"{len(report.sessions)} managed, {report.condemned} condemned, "
        f"{report.count(reaped)} {done}, {report.count(Outcome.SPARED)} spared, "
        f"{report.count(Outcome.FAILED)} failed, {report.unmanaged} not ours; {report.seconds.total:.2f} s"
    )


def _show_survivors(report: SweepReport) -> None:
    for entry in report.sessions:
        for survivor in entry.aftermath.survivors if entry.aftermath else ():
            what = f"{survivor.pid} ({printable(survivor.command)})"
            say(f"LEFT {printable(entry.session)}: process {what} lives on: {survivor.why}")


def show_unknown(report: SweepReport) -> None:
    """One line for each thing that could not be read."""
    for unknown in report.unknown:
        say(f"UNKNOWN {unknown.source.value}: {printable(unknown.reason)}")


def _rows(registry: Mapping[str, Any]) -> str:
    """How many rows the registry has; it counts to a bound, and no further."""
    rows = registry["rows"]
    return f"more than {rows - 1}" if registry["rows_capped"] and rows else str(rows)


def show_status(status: Status) -> None:
    """How the reaper is: alarms first."""
    told = status.as_dict()
    if not status.configured:
        say("not configured: nothing is reaped; set database_url or registry")
        say_whole(printable(how_to_configure()))
    elif not status.enabled:
        say("switched off: nothing is reaped")
    if status.report is None:
        say("no full sweep yet: run 'workspace-reaper sweep --dry-run' to see what one would do")
    else:
        totals = told["totals"]
        say(f"last full sweep   {told['started_at']}, {'complete' if told['complete'] else 'NOT complete'}")
        say(f"last complete     {told['last_complete_sweep'] or 'never'}")
        say(f"registry          {told['registry']['identity'] or 'unknown'}, rows: {_rows(told['registry'])}")
        if status.changed is not None:
            say(f"registry changed  {iso(status.changed.at)}: {printable(status.changed.detail)}")
            say(f"                  a workspace that was known before counts as known when {PROVEN_WHEN}")
        say(f"sessions          {totals['managed']} managed, {totals['condemned']} condemned, {totals['reaped']} reaped")
    breaker = told["breaker"]
    say(
        f"breaker           {breaker['state']}" + (f" since {breaker['since']}: {breaker['cause']}" if breaker["cause"] else "")
    )
    rows = [(alarm.name, iso(alarm.since), printable(alarm.detail), alarm.clears_when) for alarm in status.alarms]
    for one in told["announced"]:
        say(f"announced         {one['session']} ({one['reason']}) goes {_until(one['deadline'])}; 'undo' takes that back")
    print_table(("ALARM", "SINCE", "WHAT", "CLEARS WHEN"), rows, empty="no alarm")


_STATES = {0: "OK", 1: "ALARM", 3: "UNKNOWN"}
"""By exit code of ``status --check``."""


def show_check(status: Status) -> None:
    """One line for a monitoring."""
    say_whole(f"{_STATES[status.check_code]}: {printable(_check_text(status))}")


def show_no_check(why: str) -> None:
    """The same where there is no status."""
    say_whole(f"{_STATES[3]}: {printable(why)}")


def _check_text(status: Status) -> str:
    if not status.configured:
        return f"not configured, so nothing is reaped: {how_to_configure()}"
    if not status.enabled:
        return "switched off (enabled = false): nothing is looked at, and nothing is reaped"
    if status.report is None:
        return "no full sweep yet"
    if status.alarms:
        return "; ".join(f"{alarm.name} since {iso(alarm.since)}: {alarm.detail}" for alarm in status.alarms)
    totals = status.report["totals"]
    return f"the last complete sweep began {iso(status.last_complete)}; {totals['managed']} managed sessions, no alarm"


def _until(deadline: str) -> str:
    left = datetime.fromisoformat(deadline.replace("Z", "+00:00")) - datetime.now(timezone.utc)
    return f"in {_age(left.total_seconds())}, at {deadline}" if left.total_seconds() > 0 else "with the next sweep"


def show_explanation(explanation: Explanation) -> None:
    """One session: the facts, the rules, the decision."""
    entry = explanation.entry
    workspace = printable(entry["workspace_id"] or "-")
    say(f"{entry['session']} ({entry['session_id'] or '-'}) on {printable(entry['socket'])}, workspace {workspace}")
    say(f"decided: {explanation.decided}")
    if explanation.rules:
        rows = [(rule.reason, "yes" if rule.holds else "no", rule.because) for rule in explanation.rules]
        print_table(("RULE", "HOLDS", "BECAUSE"), rows, empty="")
    print_table(("FACT", "VALUE"), list(_flat(explanation.facts)), empty="no fact could be read")


def _flat(facts: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """One line for each fact, also of those that have parts. A number of seconds is shown with its unit."""
    for name, value in facts.items():
        if name == "idle_clocks":
            yield from ((f"idle clock {one['clock']}", _idle_clock(one)) for one in value)
        elif isinstance(value, Mapping):
            yield from ((f"{name} {part}", inner) for part, inner in value.items())
        elif name.endswith("_seconds") and value is not None:
            yield name.removesuffix("_seconds"), seconds_text(value)
        else:
            yield name, value


def _idle_clock(clock: Mapping[str, Any]) -> str:
    told = "never, as far as is known" if clock["at"] is None else f"{clock['at']}, {seconds_text(clock['age_seconds'])} ago"
    if not clock["on"]:
        return f"{told}; switched off"
    return f"{told}; it decides" if clock["decides"] else told


def show_history(reaps: Sequence[tuple[Reap, bool]]) -> None:
    """One line for each reap, newest first, each with whether it can be restored."""
    rows = [
        (
            reap.intent.reap_id,
            iso(reap.intent.at),
            printable(reap.intent.session),
            printable(reap.intent.workspace_id),
            reap.intent.reason,
            reap.outcome.value,
            None if reap.why is None else printable(reap.why),
            size_text(reap.aftermath.freed_bytes),
            len(reap.aftermath.survivors) or None,
            "yes" if restorable else "no",
        )
        for reap, restorable in reaps
    ]
    columns = ("ID", "WHEN", "SESSION", "WORKSPACE", "REASON", "OUTCOME", "BY", "FREED", "LEFT", "RESTORABLE")
    print_table(columns, rows, empty="nothing was reaped yet")


def size_text(size: int | None) -> str | None:
    """Bytes for a person: ``812.4 MB``."""
    if size is None:
        return None
    for unit, limit in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= limit:
            return f"{size / limit:.1f} {unit}"
    return f"{size} B"


def show_checks(checks: Iterable[Check]) -> None:
    """One line for each check; what to do is an indented line of its own."""
    for check in checks:
        say_marked(check.state, f"{printable(check.check)}: {printable(check.detail)}")
        if check.do:
            say_whole(f"      {printable(check.do)}")
