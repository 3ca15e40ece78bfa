"""What was reaped, looked at and brought back: the commands ``show``, ``restore`` and ``undo``."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import isfinite
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workspace_reaper.cli.bootstrap import chosen_config

if TYPE_CHECKING:
    from workspace_reaper.model.reap import Reap
    from workspace_reaper.model.snapshot import PaneSnapshot, SessionSnapshot, WindowSnapshot
    from workspace_reaper.operations.reaper import Reaper
    from workspace_reaper.operations.restore import Restored
    from workspace_reaper.snapshots import SnapshotStore

__all__ = ["add_to"]

_Id = Annotated[
    str, typer.Argument(metavar="ID", help="The id of a reap, as in 'history', or 6 or more of its first characters.")
]
_As = Annotated[
    str | None, typer.Option("--as", metavar="NAME", help="Call the session so (default: its old name).", show_default=False)
]
_Run = Annotated[bool, typer.Option("--run", help="Start again what ran in the panes; else it is only shown.")]
_Force = Annotated[bool, typer.Option("--force", help="Where a working directory is gone, start in the home directory.")]


def add_to(app: typer.Typer) -> None:
    """Give the command line these commands."""
    for command in (show, restore, undo):
        app.command()(command)


def show(
    context: typer.Context,
    reap_id: _Id,
    *,
    full: Annotated[bool, typer.Option("--full", help="Page through all that was kept of each pane.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the facts as one JSON value, for programs.")] = False,
) -> None:
    """What was reaped, why, what became of its processes, and what its panes showed last."""
    from workspace_reaper.model.errors import CannotRestore, SnapshotError
    from workspace_reaper.operations import restore as reaps
    from workspace_reaper.util.console import print_json

    reaper = _load(context)
    reap = reaps.find_reap(reaper, reap_id)
    store = reaper.snapshots
    why_not = reaps.why_not_restorable(reap, store)
    snapshot = None
    if why_not is None:
        try:
            snapshot = store.read(reap.intent.reap_id)
        except SnapshotError as error:  # the facts are there all the same
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
    """Bring a reaped session back: windows, panes, layout, directories, and the old text above each new prompt."""
    from workspace_reaper.operations import restore as reaps
    from workspace_reaper.util.console import progress

    _check_new_name(name)
    reaper = _load(context)
    reap = reaps.find_reap(reaper, reap_id)
    with progress("restoring"):
        restored = reaps.restore(reaper, reap, name=name, run=run, force=force)
    _tell_restored(restored)


def undo(context: typer.Context, *, name: _As = None, run: _Run = False, force: _Force = False) -> None:
    """Take back what was announced last; where nothing is announced, bring back what was reaped last."""
    from workspace_reaper.operations import restore as reaps
    from workspace_reaper.operations.undo import cancel_announcement
    from workspace_reaper.util.console import progress, say

    _check_new_name(name)
    reaper = _load(context)
    staying = cancel_announcement(reaper)
    for session in staying:
        say(f"{session} stays: its announcement is taken back; nothing was sent to its processes")
    if staying:
        say("It is not announced again for as long as what it was announced for goes on; 'keep' makes it stay for good.")
        if name is not None or run or force:
            say("--as, --run and --force were not needed: nothing had to be restored")
        return
    with progress("restoring"):
        restored = reaps.undo(reaper, name=name, run=run, force=force)
    _tell_restored(restored)


def _load(context: typer.Context) -> Reaper:
    from workspace_reaper.cli.bootstrap import load_reaper

    return load_reaper(chosen_config(context))


def _check_new_name(name: str | None) -> None:
    if name is not None and (not name or not name.isprintable()):
        raise typer.BadParameter("give a name of one character or more, all of them printable", param_hint="--as")


def _tell_restored(restored: Restored) -> None:
    from workspace_reaper.sweep.report import printable
    from workspace_reaper.util.console import say

    name, socket = printable(restored.session), printable(restored.socket)
    say(
        f"{name} ({restored.session_id}) is back on {socket}, from {restored.reap_id}:"
        f" {_counted(restored.windows, 'window')}, {_counted(restored.panes, 'pane')}"
    )
    if restored.started_server:
        say("no tmux server ran on that socket: one was started from here")
    for note in restored.notes:
        say(note)
    say("It is kept: it stays until you say 'unkeep', whatever becomes of its workspace.")


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _as_json(reap: Reap, snapshot: SessionSnapshot | None, why_not: str | None) -> dict[str, Any]:
    from workspace_reaper.sweep.report import iso, printable, reap_as_json

    panes = [] if snapshot is None else list(_panes(snapshot))
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
            for window, pane in panes
        ],
    }


def _show_facts(reap: Reap, why_not: str | None) -> None:
    from workspace_reaper.sweep.report import iso, printable
    from workspace_reaper.util.console import say

    intent, after = reap.intent, reap.aftermath
    ended = [f"{one.command} ({one.pid}, {one.signal})" for one in after.ended]
    left = [f"{one.command} ({one.pid}): {one.why}" for one in after.survivors]
    facts: dict[str, Sequence[object]] = {
        "id": [intent.reap_id],
        "at": [iso(intent.at)],
        "session": [f"{intent.session} ({intent.key.session_id}) on {intent.key.socket}"],
        "workspace": [intent.workspace_id],
        "reason": [intent.reason],
        "evidence": list(_in_words(intent.evidence)),
        "outcome": [reap.outcome if reap.why is None else f"{reap.outcome}, by {reap.why}"],
        "ended": ended or ["no process that was seen"],
        "left": left or ["nothing"],
        "freed": [*_freed_memory(after.freed_bytes), *after.freed_ports],
        "still held": list(after.held_ports),
        "restorable": [f"yes: workspace-reaper restore {intent.reap_id}" if why_not is None else f"no: {why_not}"],
    }
    for label, values in facts.items():
        for number, value in enumerate(values):
            say(f"{'' if number else label:<12}{printable(str(value))}")


def _in_words(evidence: Mapping[str, Any]) -> Iterator[str]:
    """One phrase for each fact that the reap rested on."""
    from workspace_reaper.util.durations import seconds_text

    for name, value in evidence.items():
        label = name.removesuffix("_seconds").replace("_", " ")
        if isinstance(value, Mapping):
            yield f"{label}: {', '.join(part.replace('_', ' ') for part, is_on in value.items() if is_on) or 'no flag set'}"
        elif value is None:
            yield f"{label}: none"
        elif isinstance(value, bool):
            yield f"{label}: {'yes' if value else 'no'}"
        else:
            is_time = name.endswith("_seconds") and isinstance(value, int | float) and isfinite(value)
            yield f"{label}: {seconds_text(value) if is_time else value}"


def _freed_memory(freed: int | None) -> list[str]:
    return [] if freed is None else [f"{freed / 1_000_000:.1f} MB"]


def _panes(snapshot: SessionSnapshot) -> Iterator[tuple[WindowSnapshot, PaneSnapshot]]:
    for window in snapshot.windows:
        for pane in window.panes:
            yield window, pane


def _print_panes(store: SnapshotStore, snapshot: SessionSnapshot, *, full: bool) -> None:
    """The last screens, or all of the scrollback through a pager if somebody looks."""
    colours = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    lines = _pane_lines(store, snapshot, full=full, colours=colours)
    if full and sys.stdout.isatty():
        import pydoc

        os.environ.setdefault("LESS", "-R")  # else less shows the colours' sequences
        pydoc.pager("".join(f"{line}\n" for line in lines))
        return
    for line in lines:
        typer.echo(line, color=colours)


def _pane_lines(store: SnapshotStore, snapshot: SessionSnapshot, *, full: bool, colours: bool) -> Iterator[str]:
    import shlex

    from workspace_reaper.sweep.report import printable
    from workspace_reaper.util.text import readable_lines, without_empty_end

    for window, pane in _panes(snapshot):
        place = f"{window.index}:{window.name}.{pane.index}"
        told = [place, pane.directory or "", shlex.join(pane.argv), "older lines were not kept" if full and pane.cut else ""]
        head = " | ".join(printable(part) for part in told if part)
        yield ""
        yield f"\x1b[1m== {head}\x1b[0m" if colours else f"== {head}"
        lines: Iterable[str] = (
            readable_lines(store.scrollback(snapshot.reap_id, pane.pane_id), colours=colours)
            if full
            else store.last_screen(snapshot.reap_id, pane.pane_id, colours=colours)
        )
        yield from without_empty_end(lines)
