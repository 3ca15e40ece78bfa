"""The command ``init``: look at this machine, and write a configuration file for it."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from workspace_reaper.cli.bootstrap import chosen_config

__all__ = ["add_to"]


def add_to(app: typer.Typer) -> None:
    """Give the command line this command."""
    app.command()(init)


def init(
    context: typer.Context,
    *,
    write: Annotated[
        bool, typer.Option("--write", help="Write the file; else it asks on a terminal, and elsewhere only shows it.")
    ] = False,
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="Write this file (default: the one that is read).")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace what is there, and keep it beside.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON value, for programs.")] = False,
) -> None:
    """Look at this machine, and make a configuration file for it: databases, tmux sockets, session names.

    It shows what it found, and the file. With --write it writes that; else
    it asks first on a terminal, and writes nothing elsewhere. The file says
    'enabled = false': nothing is reaped until you change that.
    """
    from workspace_reaper import setup as discovery
    from workspace_reaper.util.console import print_json, progress

    file, is_default = _file(context, output)
    with progress("looking"):
        machine = discovery.look_around(os.environ)
    choice = discovery.choose(machine)
    text = discovery.configuration(machine, choice)
    steps = discovery.next_steps(file, is_default=is_default)
    if as_json:
        if write:
            discovery.save(text, file, force=force)
        print_json(discovery.as_json(machine, choice, file, text, written=write))
        return
    _show([*discovery.told(machine, choice), f"The file, {file}:"], text)
    if write or _agrees(file, steps, force=force):
        _tell_written(file, discovery.save(text, file, force=force), steps)


def _file(context: typer.Context, output: Path | None) -> tuple[Path, bool]:
    """What ``--output`` names, else the file that all commands read; and whether they do so without being told."""
    from workspace_reaper.settings import configuration_file

    default = configuration_file(None, os.environ).absolute()
    named = output if output is not None else chosen_config(context)
    file = default if named is None else configuration_file(named, os.environ).absolute()
    return file, file == default


def _show(found: Sequence[str], text: str) -> None:
    from workspace_reaper.sweep.report import printable
    from workspace_reaper.util.console import say, say_whole

    for line in found:
        say(printable(line))
    say("")
    for line in text.splitlines():
        say_whole(f"    {line}".rstrip())
    say("")


def _agrees(file: Path, steps: Sequence[str], *, force: bool) -> bool:
    """Whether a person says yes; without one nothing is written."""
    from workspace_reaper.sweep.report import printable
    from workspace_reaper.util.console import say

    name = printable(str(file))
    if os.path.lexists(file) and not force:
        say(f"Nothing is written: {name} exists. --write --force replaces it, and keeps it beside the new one.")
        return False
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        say("Nothing is written. With --write it is, and then:")
        _say_steps(steps)
        return False
    return typer.confirm(f"Write {name}?")


def _tell_written(file: Path, old: Path | None, steps: Sequence[str]) -> None:
    from workspace_reaper.sweep.report import printable
    from workspace_reaper.util.console import say

    kept = "" if old is None else f"; the old one is {printable(str(old))}"
    say(f"{printable(str(file))} is written{kept}. Next:")
    _say_steps(steps)


def _say_steps(steps: Sequence[str]) -> None:
    from workspace_reaper.util.console import say_whole

    for line in steps:
        say_whole(line)
