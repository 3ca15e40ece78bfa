"""What an operator does with a reap: find it, read what was kept of its session, and bring the session back."""

from __future__ import annotations

import os
import re
import reprlib
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path, PurePath

from workspace_reaper.model.errors import CannotRestore, NoSuchReap, UnreadableSocket
from workspace_reaper.model.reap import Outcome, Reap
from workspace_reaper.model.snapshot import PaneSnapshot, SessionSnapshot
from workspace_reaper.model.unknown import Unknown
from workspace_reaper.operations.wiring import Reaper
from workspace_reaper.snapshots import SnapshotStore
from workspace_reaper.sweep.report import iso, printable
from workspace_reaper.tmux import PaneInput, PaneStart, TmuxTerminal
from workspace_reaper.util.text import readable_lines, without_empty_end

__all__ = ["Restored", "command_line", "find_reap", "is_restorable", "kept_panes", "restore", "undo", "why_not_restorable"]

SHORTEST = 6
"""So many characters of an id may stand for it."""
LONGEST = 26
"""An id is a ULID."""
LATEST = 1000
"""Among so many of the latest reaps an id may be shortened, and ``undo`` looks for one."""

_ID = re.compile(rf"[0-9A-Za-z]{{1,{LONGEST}}}")
_SHELLS = frozenset({"ash", "bash", "csh", "dash", "elvish", "fish", "ksh", "mksh", "nu", "sh", "tcsh", "xonsh", "yash", "zsh"})


@dataclass(frozen=True, slots=True)
class Restored:
    """A session that is back. ``session`` is its name now. ``started_server``: no tmux server ran on its socket.
    ``notes`` are sentences about what could not be as it was."""

    reap_id: str
    session: str
    session_id: str
    socket: str
    windows: int
    panes: int
    started_server: bool
    notes: tuple[str, ...]


def find_reap(reaper: Reaper, text: str) -> Reap:
    """The reap with that id, or with the one id among the latest 1,000 that begins so (6 characters at least), whatever the
    case. Raises ``NoSuchReap``, also for what can't be an id, and ``LedgerError``."""
    with reaper.reading() as ledger:
        found = ledger.find(text) or ledger.find(text.upper())
        latest = [] if found else ledger.history(LATEST)
    if found:
        return found
    if not _ID.fullmatch(text):
        raise NoSuchReap(f"{reprlib.repr(text)} is no id: one has {LONGEST} letters and digits. {_candidates(latest)}")
    if len(text) < SHORTEST:
        raise NoSuchReap(f"{text} is too short for an id: give {SHORTEST} characters or more. {_candidates(latest)}")
    matching = [reap for reap in latest if reap.intent.reap_id.upper().startswith(text.upper())]
    if not matching:
        raise NoSuchReap(f"no reap has the id {text}. {_candidates(latest)}")
    if len(matching) > 1:
        raise NoSuchReap(f"{len(matching)} reaps begin with {text}. {_candidates(matching)}")
    return matching[0]


def _candidates(reaps: list[Reap]) -> str:
    if not reaps:
        return "Nothing was reaped yet."
    shown = ", ".join(f"{reap.intent.reap_id} ({printable(reap.intent.session)})" for reap in reaps[:5])
    return f"{'Among them' if len(reaps) > 5 else 'There are'}: {shown}; 'history' lists all"


def why_not_restorable(reap: Reap, store: SnapshotStore) -> str | None:
    """Why it can't be brought back, or None where its panes are still kept."""
    if reap.outcome is not Outcome.REAPED:
        return f"it was not reaped ({reap.outcome})"
    if reap.snapshot is not None:
        return printable(reap.snapshot)
    if not store.has(reap.intent.reap_id):
        return "its snapshot was kept, and is gone by now: see snapshot_days and snapshot_bytes"
    return None


def is_restorable(reap: Reap, store: SnapshotStore) -> bool:
    """It was reaped, and its panes are still kept."""
    return why_not_restorable(reap, store) is None


def kept_panes(snapshot: SessionSnapshot) -> Iterator[PaneSnapshot]:
    """Each pane once: a window may be linked into its session twice."""
    seen: set[str] = set()
    for window in snapshot.windows:
        for pane in window.panes:
            if pane.pane_id not in seen:
                seen.add(pane.pane_id)
                yield pane


def undo(reaper: Reaper, *, name: str | None = None, run: bool = False, force: bool = False) -> Restored:
    """Bring back the session that was reaped last, of those that can be. Raises as ``restore`` does, and ``NoSuchReap``."""
    with reaper.reading() as ledger:
        latest = ledger.history(LATEST)
    store = reaper.snapshots
    for reap in latest:
        if is_restorable(reap, store):
            return restore(reaper, reap, name=name, run=run, force=force)
    raise NoSuchReap("nothing that was reaped can be brought back; 'history' lists what there was")


def restore(reaper: Reaper, reap: Reap, *, name: str | None = None, run: bool = False, force: bool = False) -> Restored:
    """Bring the session back on its old socket, under its old name or ``name``: windows, panes, layout, directories, and the
    old text above each new prompt. ``run``: start what ran in each pane again. ``force``: a directory that is gone is replaced
    by the home directory.

    It is kept from the start (``@reaper_keep``): whoever brings a session back does not want the next sweep to take it. Where
    no tmux server runs on the socket one is started, as a child of this process: so this is for a person's own shell, not for
    a service. All of it or nothing: what fails half-way is removed again.

    Raises ``CannotRestore``, ``UnreadableSocket``, ``LedgerError``, and what the snapshots raise.
    """
    store = reaper.snapshots
    if why := why_not_restorable(reap, store):
        raise CannotRestore(f"{printable(reap.intent.session)} can't be brought back: {why}")
    snapshot = store.read(reap.intent.reap_id)
    name = snapshot.session if name is None else name
    terminal = TmuxTerminal(snapshot.key.socket)
    with reaper.reading() as ledger:
        owner_id = ledger.registry().owner_id
    server_pid = _check_name(terminal, owner_id, name)
    directories, replaced = _directories(snapshot, force=force)
    panes = list(kept_panes(snapshot))
    try:
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
                    text = chain(without_empty_end(old), [_note(snapshot, pane, run=run)])
                    feeds.feed(pane.pane_id, rebuilding.default_command, text)
                named = rebuilding.rename(name)
                feeds.release()
    except CannotRestore as error:
        raise CannotRestore(f"{printable(name)} was not brought back: {printable(str(error))}") from error
    assert rebuilding.tmux is not None  # noqa: S101  it was built
    notes = [*replaced]
    if named != name:
        notes.append(f"tmux does not take the name {printable(name)}, and made {printable(named)} of it")
    if rebuilding.unlaid:
        notes.append(f"tmux refused the old layout of the windows {', '.join(map(str, rebuilding.unlaid))}")
    short = [pane for pane in panes if pane.lines - pane.height > rebuilding.history_limit]
    if short:
        notes.append(
            f"this tmux server keeps {rebuilding.history_limit} lines of scrollback (history-limit): the older ones of"
            f" {len(short)} panes are in 'show {snapshot.reap_id} --full' only"
        )
    return Restored(
        reap_id=snapshot.reap_id,
        session=named,
        session_id=rebuilding.session_id,
        socket=terminal.socket,
        windows=len(snapshot.windows),
        panes=len(panes),
        started_server=rebuilding.tmux.pid != server_pid,
        notes=tuple(notes),
    )


def _check_name(terminal: TmuxTerminal, owner_id: str, name: str) -> int | None:
    """The pid of the server, None without one. Raises ``CannotRestore`` where a session has that very name.

    It is compared here, never by tmux: ``=name`` as a target means other sessions too where the name has a ``:``. tmux itself
    refuses a name that is taken later, when the session is built and gets it.
    """
    listing = terminal.observe(owner_id, panes=False)
    if isinstance(listing, Unknown):
        raise UnreadableSocket(printable(listing.reason))
    if name in {row.name for row in listing.sessions} | {row.session for row in listing.unreadable}:
        raise CannotRestore(
            f"{printable(name)} was not brought back: a session of that name is on {printable(terminal.socket)} already; choose"
            " another name with --as"
        )
    return listing.server.pid if listing.server else None


def _directories(snapshot: SessionSnapshot, *, force: bool) -> tuple[Mapping[str, str], list[str]]:
    """Where each pane starts, and what to say of those that start elsewhere than they were."""
    home = str(Path.home())
    where = {pane.pane_id: pane.directory or home for pane in kept_panes(snapshot)}
    gone = sorted({directory for directory in where.values() if not _can_enter(directory)})
    if not gone:
        return where, []
    shown = ", ".join(map(printable, gone))
    if not force:
        raise CannotRestore(
            f"{printable(snapshot.session)} was not brought back: these directories are gone: {shown}; with --force its panes"
            f" start in {printable(home)} instead"
        )
    replaced = {pane: home if directory in gone else directory for pane, directory in where.items()}
    return replaced, [f"these directories are gone, so that panes start in {printable(home)} instead: {shown}"]


def _can_enter(directory: str) -> bool:
    return os.path.isdir(directory) and os.access(directory, os.X_OK)  # noqa: PTH112  Path.is_dir raises for a NUL


def command_line(argv: Iterable[str]) -> tuple[str, ...]:
    """What ran in a pane, as words; empty where it was but a shell that waited for its user."""
    words = list(argv)
    if not words:
        return ()
    if any(char.isspace() for char in words[0]):
        # A program that writes its title where its arguments were. Split, and never given to a shell.
        words = [word for part in words for word in part.split()]
    if not words:
        return ()
    words[0] = words[0].removeprefix("-")  # a login shell's
    waits = all(word.startswith("-") and ("c" not in word or word.startswith("--")) for word in words[1:])
    return () if PurePath(words[0]).name in _SHELLS and waits else tuple(words)


def _note(snapshot: SessionSnapshot, pane: PaneSnapshot, *, run: bool) -> str:
    """The last line above the new prompt, dimmed."""
    words = command_line(pane.argv)
    what = f"; {'runs again' if run else 'was running'}: {printable(shlex.join(words))}" if words else ""
    return f"\x1b[2m[as it was at {iso(snapshot.taken_at)}, by workspace-reaper{what}]\x1b[0m"
