"""The command ``sweep``, and the question before an operator approves."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workspace_reaper.cli import tables
from workspace_reaper.cli.bootstrap import Json, chosen_config, load_plugin, usage_error
from workspace_reaper.util.console import complain, print_json, progress

if TYPE_CHECKING:
    from workspace_reaper.model.session import SessionKey
    from workspace_reaper.plugin import ReaperPlugin
    from workspace_reaper.policy.verdict import Judgement
    from workspace_reaper.sweep.report import SweepReport


def sweep(
    context: typer.Context,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be reaped. Write nothing.")] = False,
    as_json: Json = False,
    approve: Annotated[
        bool,
        typer.Option(
            "--approve",
            help="List the sessions that only the breaker, failed kills or their number as strangers hold back, ask, and reap "
            "these and no others.",
        ),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="With --approve: do not ask.")] = False,
) -> None:
    """Sweep once, now: look at every managed session, and reap those that are due."""
    if yes and not approve:
        usage_error("--yes answers the question of --approve: it cannot be used without it")
    if approve and dry_run:
        usage_error("--approve reaps sessions and --dry-run reaps none: use one of them")
    if approve and as_json and not yes:
        usage_error("--approve asks, which --json cannot: first run 'sweep --dry-run --json', then add --yes")
    config = chosen_config(context)
    plugin = load_plugin(config)
    approved, shown = _ask(plugin, yes=yes, quiet=as_json) if approve else (None, None)
    with progress("sweeping"):
        report = plugin.sweep(dry_run=dry_run, approve=approved, shown=shown)
    if report.refused:
        complain(report.refused)
    if as_json:
        print_json(report.as_dict())
    else:
        tables.show_sweep(report)
    if report.abstained == "not configured":
        usage_error(_what_to_configure(plugin, config))
    raise typer.Exit(report.exit_code)


def _what_to_configure(plugin: ReaperPlugin, config: Path | None) -> str:
    from workspace_reaper.operations.recorded_registry import how_to_use, recorded_reaper
    from workspace_reaper.operations.wiring import how_to_configure
    from workspace_reaper.settings import configuration_file

    recorded = recorded_reaper(plugin.reaper().settings)
    return how_to_use(recorded, configuration_file(config, os.environ)) if recorded else how_to_configure(config)


def confirm(question: str, *, preview: str) -> None:
    """Ask, and end the command with exit code 1 unless the answer is yes.

    Without a terminal the exit code is 2, with the advice to run ``preview`` and then to add --yes.
    """
    if not sys.stdin.isatty():
        usage_error(f"standard input is no terminal, so no question can be asked: run '{preview}', then add --yes")
    typer.confirm(question, abort=True)


def _ask(plugin: ReaperPlugin, *, yes: bool, quiet: bool) -> tuple[frozenset[SessionKey], SweepReport]:
    """Return the sessions that the operator approves, and the report in which they were shown."""
    with progress("looking at the sessions"):
        report = plugin.sweep(dry_run=True)
    held = [entry for entry in report.sessions if entry.key and entry.judgement and _may_be_approved(entry.judgement)]
    if not quiet:
        tables.show_unknown(report.unknown)
        tables.show_held(held)
    if held and not yes:
        confirm(f"Reap exactly these {len(held)} sessions?", preview="workspace-reaper sweep --dry-run")
    return frozenset(entry.key for entry in held if entry.key), report


def _may_be_approved(judgement: Judgement) -> bool:
    return judgement.verdict.value == "hold" and judgement.held[0].may_be_approved
