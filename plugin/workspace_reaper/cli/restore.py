"""The commands that look at reaps and restore sessions: ``show``, ``restore`` and ``undo``."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workspace_reaper.cli.bootstrap import Json, load_reaper
from workspace_reaper.cli.history_table import size_text
from workspace_reaper.util.console import print_json, progress, say
from workspace_reaper.util.durations import seconds_text
from workspace_reaper.util.text import printable, readable_lines, without_empty_end
from workspace_reaper.util.time import iso

if TYPE_CHECKING:
    from workspace_reaper.model.reap import Reap
    from workspace_reaper.model.snapshot import PaneSnapshot, SessionSnapshot, WindowSnapshot
    from workspace_reaper.operations.restore import Restored
    from workspace_reaper.snapshots.store import SnapshotStore

_Id = Annotated[
    str, typer.Argument(metavar="ID", help="The id of a reap as shown by 'history', or at least its first 6 characters.")
]
_As = Annotated[
    str | None,
    typer.Option("--as", metavar="NAME", help="Name of the restored session (default: its old name).", show_default=False),
]
_Run = Annotated[
    bool, typer.Option("--run", help="Start the programs of the panes again. Otherwise their names are only shown.")
]
_Force = Annotated[
    bool,
    typer.Option("--force", help="Restore although a working directory no longer exists, and use the home directory instead."),
]


def show(
    context: typer.Context,
    reap_id: _Id,
    *,
    full: Annotated[bool, typer.Option("--full", help="Show the whole saved scrollback of each pane in a pager.")] = False,
    as_json: Json = False,
) -> None:
    """Show one reap: the reason, what happened to the processes, and the last screen of each pane."""
    from workspace_reaper.model.errors import CannotRestore, SnapshotError
    from workspace_reaper.operations import restore as operations

    reaper = load_reaper(context)
    reap, store = operations.find_reap(reaper, reap_id), reaper.snapshots
    why_not, snapshot = operations.why_not_restorable(reap, store), None
    if why_not is None:
        try:
            snapshot = store.read(reap.intent.reap_id)
        except SnapshotError as error:  # everything else can be shown
            why_not = str(error)
    if as_json:
        print_json(_as_json(reap, snapshot, why_not))
        return
    if not full:
        _show_facts(reap, why_not)
    elif snapshot is None:
        raise CannotRestore(f"there is no scrollback of {reap.intent.reap_id}: {why_not}")
    if snapshot is not None:
        _print_panes(store, snapshot, full=full)


def restore(context: typer.Context, reap_id: _Id, *, name: _As = None, run: _Run = False, force: _Force = False) -> None:
    """Restore a reaped session: windows, panes, layout and directories, with the old text above each new prompt."""
    from workspace_reaper.operations import restore as operations

    _check_name(name)
    reaper = load_reaper(context)
    reap = operations.find_reap(reaper, reap_id)
    with progress("restoring"):
        restored = operations.restore(reaper, reap, name=name, run=run, force=force)
    _show_restored(restored)


def undo(context: typer.Context, *, name: _As = None, run: _Run = False, force: _Force = False) -> None:
    """Cancel the reap that was announced last. If none is announced, restore the session that was reaped last.

    An announced session is still there: if 'undo_window' is set, archived and
    idle sessions are announced first, and reaped when that time has passed.
    """
    from workspace_reaper.operations import restore as operations
    from workspace_reaper.operations.undo import cancel_announcement

    _check_name(name)
    reaper = load_reaper(context)
    staying = cancel_announcement(reaper)
    for session in staying:
        say(f"{session} stays: its announcement is cancelled. Its processes were not touched.")
    if staying:
        say("It is not announced again while the cause of the announcement lasts. 'keep' protects it for good.")
        if name is not None or run or force:
            say("--as, --run and --force were ignored: nothing had to be restored")
        return
    with progress("restoring"):
        restored = operations.undo(reaper, name=name, run=run, force=force)
    _show_restored(restored)


def _check_name(name: str | None) -> None:
    if name is not None and (not name or not name.isprintable()):
        raise typer.BadParameter("the name must have at least one character, and only printable ones", param_hint="--as")


def _show_restored(restored: Restored) -> None:
    counts = [(restored.windows, "window"), (restored.panes, "pane")]
    counted = ", ".join(f"{number} {what}{'' if number == 1 else 's'}" for number, what in counts)
    say(f"{restored.session} ({restored.session_id}) is restored on {restored.socket} from {restored.reap_id}: {counted}")
    if restored.started_server:
        say("no tmux server was running on that socket: a new one was started")
    for note in restored.notes:
        say(note)
    say("The session is kept: it is not reaped, whatever happens to its workspace, until you run 'unkeep'.")


def _as_json(reap: Reap, snapshot: SessionSnapshot | None, why_not: str | None) -> dict[str, Any]:
    from workspace_reaper.sweep.report import reap_as_json

    return {
        **reap_as_json(reap, restorable=why_not is None),
        "not_restorable": why_not,
        "snapshot_at": None if snapshot is None else iso(snapshot.taken_at),
        "panes": [
            {
                "window": window.index,
                "window_name": printable(window.name),
                "pane": pane.index,
                "title": printable(pane.title),
                "directory": None if pane.directory is None else printable(pane.directory),
                "command": [printable(word) for word in pane.argv],
                "width": pane.width,
                "height": pane.height,
                "lines": pane.lines,
                "cut": pane.cut,
            }
            for window, pane in (_panes(snapshot) if snapshot else ())
        ],
    }


def _show_facts(reap: Reap, why_not: str | None) -> None:
    intent, after = reap.intent, reap.cleanup
    ended = [f"{one.command} ({one.pid}, {one.signal})" for one in after.ended]
    left = [f"{one.command} ({one.pid}): {one.why}" for one in after.survivors]
    size = size_text(after.freed_bytes)
    facts: dict[str, Sequence[object]] = {
        "id": [intent.reap_id],
        "time": [iso(intent.at)],
        "session": [f"{intent.session} ({intent.key.session_id}) on {intent.key.socket}"],
        "workspace": [intent.workspace_id],
        "reason": [intent.reason],
        "evidence": list(_evidence(intent.evidence)),
        "outcome": [reap.outcome if reap.why is None else f"{reap.outcome}: {reap.why}"],
        "ended": ended or ["no process survived the session"],
        "left": left or ["none"],
        "freed": [*([size] if size else []), *after.freed_ports],
        "still in use": list(after.held_ports),
        "restorable": [f"yes: workspace-reaper restore {intent.reap_id}" if why_not is None else f"no: {why_not}"],
    }
    for label, values in facts.items():
        for number, value in enumerate(values):
            say(f"{'' if number else label:<14}{value}")


def _evidence(evidence: Mapping[str, Any]) -> Iterator[str]:
    """Yield a phrase for each fact on which the reap was based."""
    for name, value in evidence.items():
        text = value
        if isinstance(value, Mapping):
            text = ", ".join(part.replace("_", " ") for part, is_on in value.items() if is_on) or "no flag set"
        elif value is None:
            text = "none"
        elif isinstance(value, bool):
            text = "yes" if value else "no"
        elif name.endswith("_seconds") and isinstance(value, int | float) and isfinite(value):
            text = seconds_text(value)
        yield f"{name.removesuffix('_seconds').replace('_', ' ')}: {text}"


def _panes(snapshot: SessionSnapshot) -> Iterator[tuple[WindowSnapshot, PaneSnapshot]]:
    return ((window, pane) for window in snapshot.windows for pane in window.panes)


def _print_panes(store: SnapshotStore, snapshot: SessionSnapshot, *, full: bool) -> None:
    """Print the last screens, or the whole scrollback, on a terminal in a pager."""
    colours = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    lines = _pane_lines(store, snapshot, full=full, colours=colours)
    if full and sys.stdout.isatty():
        import pydoc

        os.environ.setdefault("LESS", "-R")  # otherwise less shows colour sequences as text
        pydoc.pager("".join(f"{line}\n" for line in lines))
        return
    for line in lines:
        typer.echo(line, color=colours)


def _pane_lines(store: SnapshotStore, snapshot: SessionSnapshot, *, full: bool, colours: bool) -> Iterator[str]:
    import shlex

    for window, pane in _panes(snapshot):
        is_cut = "older lines were not saved" if full and pane.cut else ""
        parts = [f"{window.index}:{window.name}.{pane.index}", pane.directory or "", shlex.join(pane.argv), is_cut]
        head = f"== {' | '.join(printable(part) for part in parts if part)}"
        yield ""
        yield f"\x1b[1m{head}\x1b[0m" if colours else head
        if full:
            yield from without_empty_end(readable_lines(store.scrollback(snapshot.reap_id, pane.pane_id), colours=colours))
        else:
            yield from without_empty_end(store.last_screen(snapshot.reap_id, pane.pane_id, colours=colours))
