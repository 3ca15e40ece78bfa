"""Checks whether the reaper finds and can read everything that it needs. Changes nothing; each line says what to do."""

from __future__ import annotations

import locale
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path

from workspace_reaper.model.errors import LedgerError
from workspace_reaper.model.process import ProcessTable
from workspace_reaper.model.session import NO_OWNER, Owner, Session
from workspace_reaper.model.unknown import Unknown
from workspace_reaper.operations.reaper import Reaper
from workspace_reaper.operations.sessions import matcher_for, own_owner_id
from workspace_reaper.operations.status import read_status
from workspace_reaper.operations.wiring import how_to_configure
from workspace_reaper.policy.process_tree import is_hidden
from workspace_reaper.registry import registry_names
from workspace_reaper.settings import Settings
from workspace_reaper.sweep.look_up import unknown_sessions
from workspace_reaper.sweep.observe import Observation, observe
from workspace_reaper.sweep.own_options import OwnOptions, with_own_options
from workspace_reaper.tmux.terminal import TmuxTerminal
from workspace_reaper.tmux.version import MINIMUM, tmux_version
from workspace_reaper.util.permissions import check_permissions
from workspace_reaper.util.text import printable

__all__ = ["FAIL", "OK", "WARN", "Check", "examine", "examine_with"]

OK, WARN, FAIL = "OK", "WARN", "FAIL"

_FIX_DATABASE = "fix this, or set database_url to the host's own database; until then nothing is reaped"
_FIX_FILES = "fix this, or name the host's own files in [files]; until then nothing is reaped"


@dataclass(frozen=True, slots=True)
class Check:
    """One line: what was checked, its state (``OK``, ``WARN``, ``FAIL``), what was found, and what to do about it."""

    check: str
    state: str
    detail: str
    do: str = ""


def examine(reaper: Reaper) -> Iterator[Check]:
    """Yield the result of every check. No check changes anything, starts tmux or creates a file."""
    yield from _entry_point()
    yield from _configuration(reaper)
    yield from _examine(reaper.settings, reaper)


def examine_with(problem: str, settings: Settings, reaper: Reaper | None) -> Iterator[Check]:
    """Yield the result of every check that can be made with a configuration that cannot be used.

    Args:
        problem: Why it cannot be used.
        settings: The part that can.
        reaper: A reaper for that part, or None if it does not say what to look at.
    """
    yield from _entry_point()
    yield Check("configuration", FAIL, f"nothing is reaped: {problem}", "correct this first: the other checks use the rest")
    yield from _examine(settings, reaper)


def _examine(settings: Settings, reaper: Reaper | None) -> Iterator[Check]:
    yield from _tmux()
    yield from _locale()
    if reaper is not None:
        yield from _sockets(reaper)
        yield from _database(reaper)
        yield from _known_sessions(reaper)
    yield from _state_dir(settings.state_dir)
    if reaper is not None:
        yield from _ledger(reaper)


def _entry_point() -> Iterator[Check]:
    found = [point.value for point in entry_points(group="workspace_server", name="reaper")]
    if found:
        yield Check("entry point", OK, f"workspace_server: reaper = {found[0]}; registries: {', '.join(registry_names())}")
    else:
        do = "install workspace-reaper into the environment of the host"
        yield Check("entry point", FAIL, "no host can find the plugin: the entry point workspace_server is missing", do)


def _configuration(reaper: Reaper) -> Iterator[Check]:
    settings = reaper.settings
    if not settings.configured:
        yield Check("configuration", WARN, "not configured, so nothing is reaped", how_to_configure())
    elif not settings.enabled:
        do = "set enabled = true, and unset WORKSPACE_REAPER_ENABLED"
        yield Check("configuration", WARN, "switched off, so nothing is reaped", do)
    elif reaper.is_recorded:
        found = f"no configuration names a registry; a plugin of this user has recorded {reaper.registry.name} in the state_dir"
        yield Check("configuration", OK, f"{found}, which is checked here")
    else:
        yield Check("configuration", OK, f"registry {reaper.registry.name}, enabled, one sweep every {settings.tick:g} s")


def _tmux() -> Iterator[Check]:
    version, do = tmux_version(), f"install {MINIMUM} or later"
    if version is None:
        yield Check("tmux", FAIL, "there is no tmux on PATH, or it does not print its version", do)
    elif not version.is_supported:
        yield Check("tmux", FAIL, f"{version.text} is older than {MINIMUM}", do)
    else:
        yield Check("tmux", OK, f"{version.text} (required: {MINIMUM} or later)")


def _locale() -> Iterator[Check]:
    yield Check("locale", OK, f"{locale.getpreferredencoding(False)}; any locale works, because tmux is always asked for UTF-8")


def _sockets(reaper: Reaper) -> Iterator[Check]:
    try:
        mark = own_owner_id(reaper)
    except LedgerError:  # The check of the ledger reports it. The owners of sessions are unknown then.
        mark = None
    for terminal in reaper.terminals:
        yield from _socket(reaper, terminal, mark)


def _socket(reaper: Reaper, terminal: TmuxTerminal, mark: str | None) -> Iterator[Check]:
    """Check one socket. ``mark`` is our owner mark, None if it is unknown."""
    name = f"socket {terminal.socket}"
    listing = terminal.observe(mark or NO_OWNER)
    if isinstance(listing, Unknown):
        yield Check(name, FAIL, listing.reason, "fix this: until then nothing on this socket is reaped")
        return
    for unreadable in listing.unreadable:
        yield Check(name, FAIL, unreadable.reason, "report this with the output of 'tmux -V': this session is not reaped")
    if listing.server is None:
        yield Check(name, OK, "no session on this socket")
        return
    matcher = matcher_for(reaper, listing)
    if mark is None:
        matching = [one for one in listing.sessions if matcher.named(one)]
        foreign, inherited = [], frozenset[str]()
    else:
        sessions = with_own_options(terminal, listing, mark, matcher).sessions
        matching = [one for one in sessions if matcher.belongs_to(one) is not None]
        foreign = [one for one in matching if one.owner is Owner.FOREIGN]
        inherited = frozenset[str]().union(*(one.inherited for one in matching if one.owner is not Owner.FOREIGN))
    managed = len(matching) - len(foreign)
    what = "managed" if mark is not None else "sessions that match by name (their owners are unknown without the ledger)"
    others = len(listing.sessions) - managed
    yield Check(name, OK, f"tmux {listing.server.version}, {managed} {what} and {others} other sessions")
    if foreign:
        yield Check(
            name,
            WARN,
            f"{len(foreign)} sessions match by name and carry another reaper's owner mark, such as {foreign[0].name!r}",
            "if no reaper serves that registry any more, 'workspace-reaper adopt' lists these sessions and takes them over",
        )
    if inherited:
        yield Check(
            name,
            WARN,
            f"sessions seem to have {' and '.join(sorted(inherited))}, which is not set on them",
            "find it with 'tmux show-options -g', '-s', '-gw', '-w' and '-p', and unset it there with 'set-option -u'",
        )
    yield from _hidden(reaper, name, matching)


def _hidden(reaper: Reaper, name: str, sessions: Sequence[Session]) -> Iterator[Check]:
    """Check whether the processes of these sessions can be seen."""
    table = reaper.dependencies.processes.table()
    hidden = [one.name for one in sessions if isinstance(table, ProcessTable) and is_hidden(table, one)]
    if hidden:
        yield Check(
            name,
            WARN,
            f"the processes of {len(hidden)} sessions, such as {hidden[0]!r}, cannot be seen from here: whether they use the "
            "CPU is unknown, so these sessions never count as idle",
            "run the reaper in the pid namespace of the tmux server (a sidecar container: share the process namespace), or "
            "take cpu out of idle_clocks",
        )


def _known_sessions(reaper: Reaper) -> Iterator[Check]:
    """Check whether the registry has rows for the sessions that match: those of another database never have."""
    try:
        mark, matcher = own_owner_id(reaper), reaper.dependencies.matcher
        observation = observe(reaper.terminals, matcher, mark, None, OwnOptions(), tuple, registry=reaper.registry)
    except LedgerError:  # The check of the ledger reports it.
        return
    rows = reaper.registry.look_up(sorted(observation.workspace_ids), ())
    if isinstance(rows, Unknown) or observation.unrecorded is not None:
        return
    compare = "the names that 'tmux ls' prints with session_patterns"
    if matcher.records_sessions:
        compare = "the names that 'tmux ls' prints with those that the host records"
    if rows.total and observation.unmanaged and not observation.sessions and not observation.other_owners:
        yield Check(
            "sessions",
            WARN,
            f"the database has rows, and none of the {observation.unmanaged} sessions on the configured sockets belongs to one",
            f"compare {compare}, and the socket of the host with tmux_sockets; this is right while no workspace has a session",
        )
    text = unknown_sessions(observation, rows)
    if text is None and observation.sessions:
        known = f"the registry knows all {len(observation.sessions)} matching sessions"
        yield Check("sessions", OK, known + _unmatched(observation))
    elif text is not None:
        yield Check(
            "sessions",
            WARN,
            text,
            "if these sessions belong to another database, narrow session_patterns or tmux_sockets; if their workspaces were "
            "deleted, they are reaped once idle for stranger_ttl",
        )


def _unmatched(observation: Observation) -> str:
    """Return how many sessions match nothing, with an example."""
    known = {session.key for session, _ in (*observation.sessions, *observation.other_owners)}
    names = [one.name for listing in observation.listings for one in listing.sessions if one.key not in known]
    return f"; {len(names)} match nothing, for example {printable(min(names))}" if names else ""


def _database(reaper: Reaper) -> Iterator[Check]:
    name, fix = ("files", _FIX_FILES) if reaper.settings.registry == "files" else ("database", _FIX_DATABASE)
    for finding in reaper.registry.examine():
        if finding.fatal:
            yield Check(name, FAIL, finding.text, fix)
            return
        yield Check(name, WARN, finding.text, finding.do or "fix this: it works, but costs more than it should")
    answer = reaper.registry.look_up((), ())
    if isinstance(answer, Unknown):
        yield Check(name, FAIL, answer.reason, fix)
        return
    what = f"{answer.identity.location}: {answer.identity.schema}"
    if answer.total:
        rows = f"more than {answer.total - 1}" if answer.capped else str(answer.total)
        yield Check(name, OK, f"{what}, {rows} rows")
    else:
        yield Check(name, WARN, f"{what}, no rows", f"check whether this is the host's own {name}")


def _state_dir(folder: Path) -> Iterator[Check]:
    do = "set state_dir to a directory that belongs to this user"
    try:
        nearest = next(place for place in (folder, *folder.parents) if place.exists())
        writable = os.access(nearest, os.W_OK | os.X_OK)
    except OSError as error:  # It is in a directory that cannot be entered, or its name is too long.
        yield Check("state_dir", FAIL, f"{folder} cannot be read: {error.strerror}", do)
        return
    if unsafe := check_permissions(folder):
        about = "" if unsafe.place == str(folder) else f"{folder} is not safe: "
        yield Check("state_dir", FAIL, f"{about}{unsafe.why}", unsafe.do)
    elif not writable:
        yield Check("state_dir", FAIL, f"{folder}: {nearest} is not writable", do)
    else:
        yield Check("state_dir", OK, f"{folder}{'' if nearest == folder else ' (the first sweep creates it)'}")


def _ledger(reaper: Reaper) -> Iterator[Check]:
    try:
        status = read_status(reaper)
    except LedgerError as error:
        yield Check("ledger", FAIL, str(error), "fix or move the file: without a ledger nothing is reaped")
        return
    if status.report is None:
        yield Check(
            "ledger", WARN, "no full sweep yet", "run 'workspace-reaper sweep --dry-run', then 'workspace-reaper sweep'"
        )
        return
    yield Check("ledger", OK, f"the last full sweep began {status.report['started_at']}")
    for alarm in status.alarms:
        yield Check(f"alarm {alarm.name}", WARN, alarm.detail, f"the alarm clears when {alarm.clears_when}")
