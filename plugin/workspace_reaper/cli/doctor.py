"""The command ``doctor``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from workspace_reaper.cli import tables
from workspace_reaper.cli.bootstrap import Json, chosen_config, load_hosts
from workspace_reaper.model.errors import ConfigurationError
from workspace_reaper.util.console import print_json, progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workspace_reaper.operations.reaper import Reaper


def doctor(
    context: typer.Context,
    *,
    canary: Annotated[
        bool,
        typer.Option(
            "--canary",
            help="Test the whole path: create a session for this purpose on each socket, and check that it is reaped. "
            "No other session is touched.",
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Check tmux, the sockets, the database, the ledger and the configuration. Each problem comes with what to do."""
    from dataclasses import asdict

    from workspace_reaper.operations.canary import run_canary
    from workspace_reaper.operations.doctor import FAIL, Check, examine, examine_with
    from workspace_reaper.util.interrupts import Interrupts

    hosts: Sequence[Reaper] = ()
    try:
        hosts = load_hosts(context)
        with progress("checking"):
            checks = list(examine(hosts))
    except ConfigurationError as error:
        from workspace_reaper.operations.recorded_registry import usable_reaper

        with progress("checking"):
            checks = list(examine_with(str(error), *usable_reaper(chosen_config(context))))
    interrupts = Interrupts(final=True)
    if canary and not hosts:
        checks.append(Check("canary", FAIL, "not tried: the configuration cannot be used", "correct the configuration first"))
    elif canary:
        # It takes a second or two and waits for other sweeps: Ctrl-C, TERM and HUP end it at the next step.
        with progress("waiting until the canary is reaped"), interrupts:
            for host in hosts:
                checks += run_canary(host, lambda: interrupts.signal is not None)
    if as_json:
        print_json([asdict(check) for check in checks])
    else:
        tables.show_checks(checks)
    if interrupts.signal is not None:
        raise typer.Exit(128 + interrupts.signal)
    raise typer.Exit(1 if any(check.state == "FAIL" for check in checks) else 0)
