"""Questions to the operator before something is let go, or taken over."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

import typer

from workspace_reaper.cli.tables import show_unknown
from workspace_reaper.sweep.report import SessionReport, SweepReport, printable
from workspace_reaper.util.console import print_table, progress, say
from workspace_reaper.util.durations import seconds_text

if TYPE_CHECKING:
    from workspace_reaper.model.session import SessionKey
    from workspace_reaper.plugin import ReaperPlugin

__all__ = ["agree", "ask_to_let_go"]


def ask_to_let_go(plugin: ReaperPlugin, *, yes: bool, quiet: bool) -> tuple[frozenset[SessionKey], SweepReport]:
    """The sessions that an operator lets go, none without a yes, and the report that has shown them."""
    with progress("looking"):
        report = plugin.sweep(dry_run=True)
    held = [entry for entry in report.sessions if entry.key and _only_waits(entry)]
    if not quiet:
        show_unknown(report)
        if held:
            _show_held(held)
        else:
            say("nothing waits for a word of yours: neither the breaker nor failed kills hold back what could go")
    if held and not yes:
        agree(f"Let exactly these {len(held)} sessions go?", before="workspace-reaper sweep --dry-run")
    return frozenset(entry.key for entry in held if entry.key), report


def _only_waits(entry: SessionReport) -> bool:
    by = entry.judgement.protected_by if entry.judgement else ()
    return any(one.passes_with_approval for one in by) and all(one.passes_with_approval or one.allows_approval for one in by)


def agree(question: str, *, before: str) -> None:
    """Ask; whatever is not yes ends the command with exit code 1, and nothing was changed. Where nobody can be asked it ends
    with 2: ``before`` is the command that only looks."""
    if not sys.stdin.isatty():
        text = f"nobody can be asked here, standard input is no terminal: look with '{before}', then add --yes"
        sys.stderr.write(f"workspace-reaper: {text}\n")
        raise typer.Exit(2)
    typer.confirm(question, abort=True)


def _show_held(held: Iterable[SessionReport]) -> None:
    """All that tells which session it is, and why it would go."""
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
    print_table(("SESSION", "ID", "WORKSPACE", "REASON", "HELD BY", "AGE", "IDLE", "SOCKET"), rows, empty="none")
