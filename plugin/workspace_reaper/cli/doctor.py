"""The command ``doctor``."""

from __future__ import annotations

from typing import Annotated

import typer

from workspace_reaper.cli.bootstrap import chosen_config

__all__ = ["add_to"]


def add_to(app: typer.Typer) -> None:
    """Give the command line this command."""
    app.command()(doctor)


def doctor(
    context: typer.Context,
    *,
    canary: Annotated[
        bool,
        typer.Option(
            "--canary",
            help="Prove that it reaps: make a session of our own on each socket, and see it die. Touches nothing else.",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON value, for programs.")] = False,
) -> None:
    """Check tmux, the sockets, the database, the ledger and the configuration; each line says what to do."""
    from dataclasses import asdict

    from workspace_reaper.cli.bootstrap import load_reaper
    from workspace_reaper.cli.tables import show_checks
    from workspace_reaper.operations.canary import run_canary
    from workspace_reaper.operations.doctor import examine
    from workspace_reaper.util.console import print_json, progress
    from workspace_reaper.util.interrupts import Interrupts

    reaper = load_reaper(chosen_config(context))
    with progress("checking"):
        checks = list(examine(reaper))
    interrupts = Interrupts(final=True)
    if canary:
        # It lives for a second or two, and waits for other sweeps: Ctrl-C, TERM and HUP end it at the next step.
        with progress("waiting for the canary to be reaped"), interrupts:
            checks += run_canary(reaper, lambda: interrupts.signal is not None)
    if as_json:
        print_json([asdict(check) for check in checks])
    else:
        show_checks(checks)
    if interrupts.signal is not None:
        raise typer.Exit(128 + interrupts.signal)
    raise typer.Exit(1 if any(check.state == "FAIL" for check in checks) else 0)
