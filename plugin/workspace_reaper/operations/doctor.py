"""Is everything there that the reaper needs, and can it see it? Looks only; each line says what to do."""

from __future__ import annotations

import locale
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points

from workspace_reaper.model.errors import LedgerError
from workspace_reaper.model.session import NO_OWNER, Owner, Session
from workspace_reaper.model.unknown import Unknown
from workspace_reaper.operations.sessions import own_owner_id, status
from workspace_reaper.operations.wiring import Reaper, how_to_configure
from workspace_reaper.registry import GROUP as REGISTRIES
from workspace_reaper.tmux import MINIMUM, TmuxTerminal, tmux_version
from workspace_reaper.util.permissions import check_permissions

__all__ = ["FAIL", "OK", "WARN", "Check", "examine"]

OK, WARN, FAIL = "OK", "WARN", "FAIL"


@dataclass(frozen=True, slots=True)
class Check:
    """One line: what was looked at, its state (``OK``, ``WARN``, ``FAIL``), what was found, and what to do, if anything."""

    check: str
    state: str
    detail: str
    do: str = ""


def examine(reaper: Reaper) -> Iterator[Check]:
    """Every check, one after the other. None of them changes anything, starts tmux or makes a file."""
    checks: tuple[Callable[[Reaper], Iterator[Check]], ...] = (
        _entry_point,
        _switch,
        _tmux,
        _locale,
        _sockets,
        _database,
        _state_dir,
        _ledger,
    )
    for check in checks:
        yield from check(reaper)


def _entry_point(_reaper: Reaper) -> Iterator[Check]:
    found = [point.value for point in entry_points(group="workspace_server", name="reaper")]
    known = sorted(point.name for point in entry_points(group=REGISTRIES))
    if found:
        yield Check("entry point", OK, f"workspace_server: reaper = {found[0]}; registries: {', '.join(known)}")
    else:
        yield Check("entry point", FAIL, "no host can find the plugin", "install workspace-reaper into the host's environment")


def _switch(reaper: Reaper) -> Iterator[Check]:
    if not reaper.settings.configured:
        yield Check("configuration", WARN, "not configured, so nothing is reaped", how_to_configure())
    elif not reaper.settings.enabled:
        yield Check("configuration", WARN, "switched off", "set enabled = true, and unset WORKSPACE_REAPER_ENABLED")
    else:
        yield Check("configuration", OK, f"registry {reaper.registry.name}, on, one sweep each {reaper.settings.tick:g} s")


def _tmux(_reaper: Reaper) -> Iterator[Check]:
    version = tmux_version()
    if version is None:
        yield Check("tmux", FAIL, "there is no tmux on PATH that tells its version", f"install {MINIMUM} or later")
    elif not version.is_supported:
        yield Check("tmux", FAIL, f"{version.text} is older than {MINIMUM}", f"install {MINIMUM} or later")
    else:
        yield Check("tmux", OK, f"{version.text} (needed: {MINIMUM} or later)")


def _locale(_reaper: Reaper) -> Iterator[Check]:
    encoding = locale.getpreferredencoding(False)
    yield Check("locale", OK, f"{encoding}; tmux is always asked for UTF-8, so any locale will do")


def _sockets(reaper: Reaper) -> Iterator[Check]:
    try:
        owner_id = own_owner_id(reaper)
    except LedgerError:  # The check of the ledger tells it. Whose stamp a session carries can't be said then.
        owner_id = None
    for terminal in reaper.terminals:
        yield from _socket(reaper, terminal, owner_id)


def _socket(reaper: Reaper, terminal: TmuxTerminal, owner_id: str | None) -> Iterator[Check]:
    """``owner_id`` is our own, None where it is not known."""
    name = f"socket {terminal.socket}"
    listing = terminal.observe(owner_id or NO_OWNER)
    if isinstance(listing, Unknown):
        yield Check(name, FAIL, listing.reason, "mend what it says; until then nothing on this socket is reaped")
        return
    for unreadable in listing.unreadable:
        yield Check(name, FAIL, unreadable.reason, "report this with 'tmux -V': nothing of this session is reaped")
    if listing.server is None:
        yield Check(name, OK, "no session on it now")
        return
    matching = [one for one in listing.sessions if reaper.parts.names.workspace_id(terminal.socket, one.name) is not None]
    foreign = [one for one in matching if owner_id is not None and one.owner is Owner.FOREIGN]
    managed = len(matching) - len(foreign)
    what = "managed" if owner_id is not None else "sessions that match by name (without the ledger their owner is unknown)"
    yield Check(
        name, OK, f"tmux {listing.server.version}, {managed} {what} and {len(listing.sessions) - managed} other sessions"
    )
    if foreign:
        yield _strangers(name, foreign)


def _strangers(name: str, foreign: Sequence[Session]) -> Check:
    """Sessions that match by name and carry the stamp of another registry."""
    first = foreign[0]
    detail = f"{len(foreign)} sessions match by name and carry another registry's stamp, such as {first.name!r}"
    do = (
        "only if nobody serves that registry any more: 'workspace-reaper adopt' shows these sessions, asks, and takes them over"
    )
    return Check(name, WARN, detail, do)


def _database(reaper: Reaper) -> Iterator[Check]:
    findings = reaper.registry.examine()
    for finding in findings:
        if finding.fatal:
            yield Check("database", FAIL, finding.text, "mend this, or set database_url to the host's own database")
            return
        yield Check("database", WARN, finding.text, "it works, and costs more than it should")
    answer = reaper.registry.look_up((), ())
    if isinstance(answer, Unknown):
        yield Check("database", FAIL, answer.reason, "mend this, or set database_url to the host's own database")
        return
    what = f"{answer.identity.location}: {answer.identity.schema}"
    if not answer.total:
        yield Check("database", WARN, f"{what}, no rows", "is this the host's own database?")
    else:
        rows = f"more than {answer.total - 1}" if answer.capped else str(answer.total)
        yield Check("database", OK, f"{what}, {rows} rows")


def _state_dir(reaper: Reaper) -> Iterator[Check]:
    folder = reaper.settings.state_dir
    do = "set state_dir to a directory of this user's"
    try:
        nearest = next(place for place in (folder, *folder.parents) if place.exists())
        writable = os.access(nearest, os.W_OK | os.X_OK)
        is_there = nearest == folder
    except OSError as error:  # It lies below a directory that can't be entered, or its name is too long.
        yield Check("state_dir", FAIL, f"{folder} can't be looked at: {error.strerror}", do)
        return
    if distrusted := check_permissions(folder):
        about = "" if distrusted.place == str(folder) else f"{folder} is not safe: "
        yield Check("state_dir", FAIL, f"{about}{distrusted.why}", distrusted.do)
    elif not writable:
        yield Check("state_dir", FAIL, f"{folder}: {nearest} can't be written", do)
    else:
        yield Check("state_dir", OK, f"{folder}{'' if is_there else ' (made at the first sweep)'}")


def _ledger(reaper: Reaper) -> Iterator[Check]:
    try:
        found = status(reaper)
    except LedgerError as error:
        yield Check("ledger", FAIL, str(error), "mend or move the file; without a ledger nothing is reaped")
        return
    if found.report is None:
        yield Check("ledger", WARN, "no full sweep yet", "run 'workspace-reaper sweep --dry-run', then 'sweep'")
        return
    yield Check("ledger", OK, f"the last full sweep began {found.report['started_at']}")
    for alarm in found.alarms:
        yield Check(f"alarm {alarm.name}", WARN, alarm.detail, f"it clears when {alarm.clears_when}")
