"""Reports, histories and checks as text for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from workspace_reaper.util.console import print_table, say, say_marked, say_whole
from workspace_reaper.util.durations import seconds_text
from workspace_reaper.util.text import printable
from workspace_reaper.util.time import iso

if TYPE_CHECKING:
    from workspace_reaper.model.unknown import Unknown
    from workspace_reaper.operations.breaker_reset import Released
    from workspace_reaper.operations.doctor import Check
    from workspace_reaper.operations.status import Status
    from workspace_reaper.sweep.explain import Explanation
    from workspace_reaper.sweep.report import SessionReport, SweepReport


def _age(seconds: float) -> str:
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:.0f}s"


def _short_sockets(paths: Iterable[str]) -> Mapping[str, str]:
    """Return the shown name of each socket: the name of the file if it is unambiguous, else the path."""
    names = {path: PurePath(path).name for path in paths}
    return names if len(set(names.values())) == len(names) else {path: path for path in names}


def show_sessions(sessions: Iterable[SessionReport]) -> None:
    """Print one line for each session."""
    sessions = list(sessions)
    sockets = _short_sockets(entry.socket for entry in sessions)
    rows = [
        (
            printable(entry.session),
            entry.verdict.value,
            entry.reason,
            None if entry.outcome == "none" else entry.outcome.value,
            entry.protected_by,
            _age(entry.facts.idle_seconds) if entry.facts else None,
            _age(entry.facts.age_seconds) if entry.facts else None,
            printable(sockets[entry.socket]),
        )
        for entry in sessions
    ]
    columns = ("SESSION", "VERDICT", "REASON", "OUTCOME", "HELD BY", "IDLE", "AGE", "SOCKET")
    hosts = [entry.host or " or ".join(entry.contested) for entry in sessions]
    print_table(*with_hosts(hosts, columns, rows), empty="no managed session")


def with_hosts(
    hosts: Sequence[str | None], columns: tuple[str, ...], rows: Sequence[tuple[Any, ...]]
) -> tuple[tuple[str, ...], Sequence[tuple[Any, ...]]]:
    """Return the columns and rows of a table, with the host of each row in front if there are several."""
    if not any(hosts):
        return columns, rows
    return ("HOST", *columns), [(host, *row) for host, row in zip(hosts, rows, strict=True)]


def show_held(held: Sequence[SessionReport]) -> None:
    """Print the sessions that an operator may approve: what identifies each, and why it would be reaped."""
    rows = [
        (
            printable(entry.session),
            entry.session_id,
            printable(entry.workspace_id),
            entry.reason,
            ", ".join(protection.name for protection in entry.judgement.protected_by) if entry.judgement else None,
            seconds_text(entry.facts.age_seconds) if entry.facts else None,
            seconds_text(entry.facts.idle_seconds) if entry.facts else None,
            printable(entry.socket),
        )
        for entry in held
    ]
    columns = ("SESSION", "ID", "WORKSPACE", "REASON", "HELD BY", "AGE", "IDLE", "SOCKET")
    print_table(columns, rows, empty="nothing is waiting for approval: no session is held by only the breaker or failed kills")


def show_sweep(report: SweepReport) -> None:
    """Print the report of one sweep."""
    from workspace_reaper.model.reap import Outcome

    if report.abstained is not None:
        say(f"no session was looked at: {report.abstained}")
        return
    if report.unknown and not report.sessions and not report.registry and not report.unmanaged:
        say("nothing could be read")
        show_unknown(report.unknown)
        return
    if report.unknown and not report.sessions:
        say("no managed session was found, but not everything could be read")
    else:
        show_sessions(report.sessions)
    show_unknown(report.unknown)
    for text in report.vetoes:
        say(f"VETO {text}")
    for entry in report.sessions:
        for process in entry.cleanup.survivors if entry.cleanup else ():
            say(f"LEFT {entry.session}: process {process.pid} ({process.command}) is still running: {process.why}")
    if report.stepped:
        from workspace_reaper.policy.idle import describe_clock_step

        say(f"CLOCK {describe_clock_step(report.stepped)}")
    if report.unknown_sessions:
        say(f"REGISTRY {report.unknown_sessions}")
    if report.latched:
        say("The breaker is latched: no orphan is reaped. 'breaker' shows why, 'sweep --approve' shows what it holds back.")
    done, reaped = ("would be reaped", Outcome.WOULD_REAP) if report.dry_run else ("reaped", Outcome.REAPED)
    managed = _managed([entry.verdict.value for entry in report.sessions])
    say(
        f"{managed}, {report.count(reaped)} {done}, {report.count(Outcome.SPARED)} spared, "
        f"{report.count(Outcome.FAILED)} failed, {report.unmanaged} unmanaged; {report.seconds.total:.2f} s"
    )


def _managed(verdicts: Sequence[str]) -> str:
    """Return the number of managed sessions, and how many have each verdict."""
    counts = ", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in ("keep", "hold", "reap"))
    return f"{len(verdicts)} managed ({counts})"


def show_unknown(unknown: Iterable[Unknown]) -> None:
    """Print one line for each thing that could not be read."""
    for one in unknown:
        say(f"UNKNOWN {one.source.value}: {one.reason}")


def _rows(registry: Mapping[str, Any]) -> str:
    """Return the number of rows, which are counted up to a limit."""
    rows = registry["rows"]
    return f"more than {rows - 1}" if registry["rows_capped"] and rows else str(rows)


def show_status(status: Status, host: str | None = None) -> None:
    """Print the state of the reaper, or of one of its hosts."""
    from workspace_reaper.policy.marks import kill_command

    if host is not None:
        say(f"host              {host}")
    state = status.as_dict()
    if not status.configured:
        from workspace_reaper.operations.wiring import how_to_configure

        say("not configured, so nothing is reaped: set database_url or registry")
        say_whole(how_to_configure())
    elif not status.enabled:
        say("switched off, so nothing is reaped: set enabled = true")
    if status.report is None:
        say("no full sweep yet: 'workspace-reaper sweep --dry-run' shows what one would do")
    else:
        totals, registry = state["totals"], state["registry"]
        say(f"last full sweep   {state['started_at']}, {'complete' if state['complete'] else 'NOT complete'}")
        say(f"last complete     {state['last_complete_sweep'] or 'never'}")
        say(f"registry          {registry['identity'] or 'unknown'}, rows: {_rows(registry)}")
        if status.changed is not None:
            say(f"registry changed  {registry['changed_at']}: {registry['changed']}")
            say(f"                  a workspace that was known before counts as known when {registry['proven_when']}")
        managed = _managed([entry["verdict"] for entry in state["sessions"]])
        say(f"sessions          {managed}, {totals['reaped']} reaped")
    daemon = f"running, pid {status.daemon.pid}, since {status.daemon.since}" if status.daemon else "not running"
    say(f"daemon            {daemon}")
    breaker = state["breaker"]
    cause = f" since {breaker['since']}: {breaker['cause']}" if breaker["cause"] else ""
    say(f"breaker           {breaker['state']}{cause}")
    for one in state["announced"]:
        say(
            f"announced         {one['session']} ({one['reason']}): will be reaped {_until(one['deadline'])}; 'undo' cancels it"
        )
    for one in state["renamed"]:
        by_hand = kill_command(one["socket"], one["session_id"])
        say(f"renamed           {one['session']} belongs to the workspace {one['workspace_id']}; to end it by hand: {by_hand}")
    rows = [(alarm.name, iso(alarm.since), printable(alarm.detail), alarm.clears_when) for alarm in status.alarms]
    print_table(("ALARM", "SINCE", "WHAT", "CLEARS WHEN"), rows, empty="no alarm")


def show_released(released: Released) -> None:
    """Print what a reset of the breaker changed."""
    if released.orphans is None:
        say("released. Which sessions the next sweep would reap is not known, because something could not be read:")
        show_unknown(released.unknown)
        return
    say(
        f"released: the next sweep would reap {_number(released.orphans, 'orphan')}. Of the other sessions that tripped the "
        f"breaker, {released.held} are protected by something else, and {released.gone} have ended or have a row again."
    )


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


# By the exit code of status --check.
_STATES = {0: "OK", 1: "ALARM", 3: "UNKNOWN"}


def show_check(statuses: Mapping[str | None, Status], code: int) -> None:
    """Print the state of the reaper as one line for monitoring: of several hosts, that of those with this exit code."""
    texts = [
        _check_text(status) if host is None else f"{host}: {_check_text(status)}"
        for host, status in statuses.items()
        if status.check_code == code
    ]
    say_whole(f"{_STATES[code]}: {'; '.join(texts)}")


def show_failed_check(why: str) -> None:
    """Print that line where the state cannot be read."""
    say_whole(f"{_STATES[3]}: {why}")


def _check_text(status: Status) -> str:
    if not status.configured:
        from workspace_reaper.operations.wiring import how_to_configure

        return f"not configured, so nothing is reaped: {how_to_configure()}"
    if not status.enabled:
        return "switched off (enabled = false), so no session is looked at and nothing is reaped"
    if status.report is None:
        return "no full sweep yet"
    if status.alarms:
        return "; ".join(f"{alarm.name} since {iso(alarm.since)}: {alarm.detail}" for alarm in status.alarms)
    managed = status.report["totals"]["managed"]
    return f"the last complete sweep started at {iso(status.last_complete)}; {managed} managed sessions, no alarm"


def _until(deadline: str) -> str:
    left = datetime.fromisoformat(deadline.replace("Z", "+00:00")) - datetime.now(timezone.utc)
    return f"in {_age(left.total_seconds())}, at {deadline}" if left.total_seconds() > 0 else "in the next sweep"


def show_explanation(explanation: Explanation) -> None:
    """Print the decision about one session, the rules and the facts."""
    entry = explanation.entry
    workspace = entry["workspace_id"] or "-"
    say(f"{entry['session']} ({entry['session_id'] or '-'}) on {entry['socket']}, workspace {workspace}")
    say(f"decided: {explanation.decided}")
    if explanation.rules:
        rows = [(rule.reason, "yes" if rule.holds else "no", rule.because) for rule in explanation.rules]
        print_table(("RULE", "HOLDS", "BECAUSE"), rows, empty="")
    print_table(("FACT", "VALUE"), list(_flat(explanation.facts)), empty="no fact could be read")


def _flat(facts: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield one line for each fact and for each of its parts, seconds with their unit."""
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
    text = "unknown" if clock["at"] is None else f"{clock['at']}, {seconds_text(clock['age_seconds'])} ago"
    return f"{text}{'; the latest activity' if clock['decides'] else ''}" if clock["on"] else f"{text}; switched off"


def show_checks(checks: Iterable[Check]) -> None:
    """Print one line for each check, and what to do as an indented line."""
    for check in checks:
        say_marked(check.state, f"{check.check}: {check.detail}")
        if check.do:
            say_whole(f"      {check.do}")
