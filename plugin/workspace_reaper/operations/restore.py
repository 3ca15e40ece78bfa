"""Finds a reap, reads what was kept of its session, and restores the session."""

from __future__ import annotations

import os
import re
import reprlib
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from workspace_reaper.model.errors import CannotRestore, NoSuchReap, UnreadableSocket
from workspace_reaper.model.reap import Outcome, Reap
from workspace_reaper.model.snapshot import PaneSnapshot, SessionSnapshot
from workspace_reaper.model.unknown import Unknown
from workspace_reaper.operations.reaper import Reaper
from workspace_reaper.snapshots.store import SnapshotStore
from workspace_reaper.sweep.report import iso, printable
from workspace_reaper.tmux.terminal import TmuxTerminal
from workspace_reaper.util.text import readable_lines, without_empty_end

if TYPE_CHECKING:
    from workspace_reaper.tmux.restore import SessionRebuild

# Characters that an abbreviated id must have.
SHORTEST_ID = 6

# Characters of an id, which is a ULID.
ID_LENGTH = 26

# The latest reaps: only their ids may be abbreviated, and undo searches only these.
LATEST = 1000

_ID = re.compile(rf"[0-9A-Za-z]{{1,{ID_LENGTH}}}")
_SHELLS = frozenset({"ash", "bash", "csh", "dash", "elvish", "fish", "ksh", "mksh", "nu", "sh", "tcsh", "xonsh", "yash", "zsh"})


@dataclass(frozen=True, slots=True)
class Restored:
    """A restored session.

    ``session`` is its present name. ``started_server`` is True if no tmux server ran on the socket. ``notes`` are sentences
    about what could not be restored as it was.
    """

    reap_id: str
    session: str
    session_id: str
    socket: str
    windows: int
    panes: int
    started_server: bool
    notes: tuple[str, ...]


def find_reap(reaper: Reaper, text: str) -> Reap:
    """Return the reap with this id. An id of the latest 1,000 reaps may be abbreviated to 6 characters; case does not matter.

    Raises ``NoSuchReap`` and ``LedgerError``.
    """
    with reaper.reading() as ledger:
        found = ledger.find(text) or ledger.find(text.upper())
        latest = [] if found else ledger.history(LATEST)
    if found:
        return found
    if not _ID.fullmatch(text):
        raise NoSuchReap(f"{reprlib.repr(text)} is not an id: an id has {ID_LENGTH} letters and digits. {_known_ids(latest)}")
    if latest and len(text) < SHORTEST_ID:
        raise NoSuchReap(f"{text} is too short: give at least {SHORTEST_ID} characters of an id. {_known_ids(latest)}")
    matching = [reap for reap in latest if reap.intent.reap_id.upper().startswith(text.upper())]
    if not matching:
        raise NoSuchReap(f"no reap has the id {text}. {_known_ids(latest)}")
    if len(matching) > 1:
        raise NoSuchReap(f"{len(matching)} reaps have ids that begin with {text}. {_known_ids(matching)}")
    return matching[0]


def _known_ids(reaps: Sequence[Reap]) -> str:
    if not reaps:
        return "No session has been reaped yet."
    shown = ", ".join(f"{reap.intent.reap_id} ({printable(reap.intent.session)})" for reap in reaps[:5])
    return f"{'The latest are' if len(reaps) > 5 else 'There are'}: {shown}; 'history' lists all"


def why_not_restorable(reap: Reap, store: SnapshotStore) -> str | None:
    """Return why the session cannot be restored, or None if its snapshot is still there."""
    if reap.outcome is not Outcome.REAPED:
        return f"it was not reaped ({reap.outcome})"
    if reap.snapshot is not None:
        return printable(reap.snapshot)
    if not store.has(reap.intent.reap_id):
        return "its snapshot has been removed: see snapshot_days and snapshot_bytes"
    return None


def is_restorable(reap: Reap, store: SnapshotStore) -> bool:
    """Return whether the session was reaped and its snapshot is still there."""
    return why_not_restorable(reap, store) is None


def kept_panes(snapshot: SessionSnapshot) -> Iterator[PaneSnapshot]:
    """Yield each pane once, although a window may be linked into its session twice."""
    panes: dict[str, PaneSnapshot] = {}
    for window in snapshot.windows:
        for pane in window.panes:
            panes.setdefault(pane.pane_id, pane)
    yield from panes.values()


def undo(reaper: Reaper, *, name: str | None = None, run: bool = False, force: bool = False) -> Restored:
    """Restore the session that was reaped last, of those that can be restored. Raises as ``restore`` does, and
    ``NoSuchReap``."""
    with reaper.reading() as ledger:
        latest = ledger.history(LATEST)
    for reap in latest:
        if is_restorable(reap, reaper.snapshots):
            return restore(reaper, reap, name=name, run=run, force=force)
    raise NoSuchReap("no reaped session can be restored; 'history' lists all reaps")


def restore(reaper: Reaper, reap: Reap, *, name: str | None = None, run: bool = False, force: bool = False) -> Restored:
    """Restore the session on its old socket: windows, panes, layout, directories, and the old text above each new prompt.

    The session is kept (``@reaper_keep``) from the start, so that the next sweep does not reap it. If no tmux server runs on
    the socket, one is started as a child of this process: call this from a person's shell, not from a service. A restore that
    fails removes everything again.

    Args:
        reaper: The reaper that has reaped the session.
        reap: The reap to undo.
        name: The new name of the session, None for its old one.
        run: Start again what ran in each pane.
        force: Use the home directory instead of directories that do not exist any more.

    Raises:
        CannotRestore: The session cannot be restored, or tmux failed.
        UnreadableSocket: The socket cannot be read.
        LedgerError: The ledger cannot be read.
        SnapshotError: The snapshot cannot be read.
    """
    store = reaper.snapshots
    if why := why_not_restorable(reap, store):
        raise CannotRestore(f"{printable(reap.intent.session)} cannot be restored: {why}")
    snapshot = store.read(reap.intent.reap_id)
    name = snapshot.session if name is None else name
    terminal = TmuxTerminal(snapshot.key.socket)
    with reaper.reading() as ledger:
        owner_id = ledger.registry().owner_id
    server_pid = _check_name(terminal, owner_id, name)
    directories, notes = _directories(snapshot, force=force)
    try:
        return _rebuild(reaper, terminal, snapshot, directories, notes, name=name, run=run, server_pid=server_pid)
    except CannotRestore as error:
        raise CannotRestore(f"{printable(name)} was not restored: {printable(str(error))}") from error


def _rebuild(
    reaper: Reaper,
    terminal: TmuxTerminal,
    snapshot: SessionSnapshot,
    directories: Mapping[str, str],
    notes: Sequence[str],
    *,
    name: str,
    run: bool,
    server_pid: int | None,
) -> Restored:
    store, panes = reaper.snapshots, list(kept_panes(snapshot))
    from workspace_reaper.tmux.pane_input import PaneInput
    from workspace_reaper.tmux.restore import PaneStart

    with PaneInput(reaper.settings.state_dir) as feeds:
        starts = {
            pane.pane_id: PaneStart(
                directories[pane.pane_id], feeds.starter(pane.pane_id, command_line(pane.argv) if run else ())
            )
            for pane in panes
        }
        with terminal.rebuild(snapshot, starts) as rebuilding:
            for pane in panes:
                old = readable_lines(store.scrollback(snapshot.reap_id, pane.pane_id), colours=True)
                text = chain(without_empty_end(old), [_last_line(snapshot, pane, run=run)])
                feeds.write(pane.pane_id, rebuilding.default_command, text)
            session = rebuilding.rename(name)
            feeds.release()
    return Restored(
        reap_id=snapshot.reap_id,
        session=session,
        session_id=rebuilding.session_id,
        socket=terminal.socket,
        windows=len(snapshot.windows),
        panes=len(panes),
        started_server=rebuilding.tmux is not None and rebuilding.tmux.pid != server_pid,
        notes=(*notes, *_differences(snapshot, rebuilding, name, session)),
    )


def _differences(snapshot: SessionSnapshot, rebuilding: SessionRebuild, name: str, session: str) -> Iterator[str]:
    """Yield a sentence for each thing that tmux did not restore as it was."""
    if session != name:
        yield f"tmux does not accept the name {printable(name)}: the session is called {printable(session)}"
    if rebuilding.unlaid:
        yield f"tmux refused the old layout of the windows {', '.join(map(str, rebuilding.unlaid))}"
    short = [pane for pane in kept_panes(snapshot) if pane.lines - pane.height > rebuilding.history_limit]
    if short:
        yield (
            f"this tmux server keeps {rebuilding.history_limit} lines of scrollback (history-limit): 'show {snapshot.reap_id}"
            f" --full' prints the older lines of {len(short)} panes"
        )


def _check_name(terminal: TmuxTerminal, owner_id: str, name: str) -> int | None:
    """Return the pid of the server, None without one. Raises ``CannotRestore`` if a session has this name.

    The names are compared here and not by tmux: the target ``=name`` matches other sessions too if the name has a ``:``. tmux
    itself refuses a name that is taken later.
    """
    listing = terminal.observe(owner_id, panes=False)
    if isinstance(listing, Unknown):
        raise UnreadableSocket(printable(listing.reason))
    if name in {row.name for row in listing.sessions} | {row.session for row in listing.unreadable}:
        raise CannotRestore(
            f"{printable(name)} was not restored: {printable(terminal.socket)} already has a session of that name; choose"
            " another name with --as"
        )
    return listing.server.pid if listing.server else None


def _directories(snapshot: SessionSnapshot, *, force: bool) -> tuple[Mapping[str, str], list[str]]:
    """Return the directory in which each pane starts, and a note about those that were replaced."""
    home = str(Path.home())
    where = {pane.pane_id: pane.directory or home for pane in kept_panes(snapshot)}
    gone = sorted({directory for directory in where.values() if not _can_enter(directory)})
    if not gone:
        return where, []
    shown = ", ".join(map(printable, gone))
    if not force:
        raise CannotRestore(
            f"{printable(snapshot.session)} was not restored: these directories do not exist any more: {shown}; with --force"
            f" its panes start in {printable(home)} instead"
        )
    replaced = {pane: home if directory in gone else directory for pane, directory in where.items()}
    return replaced, [f"panes start in {printable(home)}, because these directories do not exist any more: {shown}"]


def _can_enter(directory: str) -> bool:
    try:
        return Path(directory).is_dir() and os.access(directory, os.X_OK)
    except (OSError, ValueError):  # it contains a NUL byte, or lies in a directory that cannot be entered
        return False


def command_line(argv: Iterable[str]) -> tuple[str, ...]:
    """Return the words of the command that ran in a pane; empty if it was only a shell that waited for input."""
    words = list(argv)
    if words and any(char.isspace() for char in words[0]):
        # A program that writes its title over its arguments. It is split, and never passed to a shell.
        words = [word for part in words for word in part.split()]
    if not words:
        return ()
    words[0] = words[0].removeprefix("-")  # a login shell
    waits = all(word.startswith("-") and ("c" not in word or word.startswith("--")) for word in words[1:])
    return () if PurePath(words[0]).name in _SHELLS and waits else tuple(words)


def _last_line(snapshot: SessionSnapshot, pane: PaneSnapshot, *, run: bool) -> str:
    """Return the last line above the new prompt, dimmed."""
    words = command_line(pane.argv)
    what = f"; {'runs again' if run else 'was running'}: {printable(shlex.join(words))}" if words else ""
    return f"\x1b[2m[as it was at {iso(snapshot.taken_at)}, by workspace-reaper{what}]\x1b[0m"
