"""The command ``init``: find what is on this machine, and write a configuration file for it."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from workspace_reaper.cli.bootstrap import Json, chosen_config
from workspace_reaper.util.console import print_json, progress, say, say_whole


def init(
    context: typer.Context,
    *,
    write: Annotated[
        bool,
        typer.Option("--write", help="Write the file without asking. Without this option a terminal is required."),
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="FILE", help="Write this file (default: the one that all commands read)."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file, which is kept under another name.")] = False,
    as_json: Json = False,
) -> None:
    """Find the databases, tmux sockets and sessions on this machine, and create a configuration file for them.

    The command shows what it found and the file. It asks before it writes
    the file; without a terminal it writes only with --write. The file says
    'enabled = false', so nothing is reaped until you change that.
    """
    from workspace_reaper import setup
    from workspace_reaper.operations.recorded_registry import what_init_switches_off

    file, is_default = _file(context, output)
    with progress("looking at this machine"):
        machine = setup.look_around(os.environ)
    choice = setup.choose(machine)
    text = setup.configuration(machine, choice)
    if as_json:
        if write:
            setup.save(text, file, force=force)
        print_json(setup.as_json(machine, choice, file, text, written=write))
        return
    for line in [*setup.as_text(machine, choice), f"The file, {file}:", ""]:
        say(line)
    for line in text.splitlines():
        say_whole(f"    {line}".rstrip())
    say("")
    if is_default and (warning := what_init_switches_off()) is not None:
        say(warning)
    steps = setup.next_steps(file, is_default=is_default)
    if write or _is_wanted(file, steps, force=force):
        old = setup.save(text, file, force=force)
        say(f"{file} is written{'' if old is None else f'; the old file is {old}'}. Next steps:")
        _say_whole(steps)


def _file(context: typer.Context, output: Path | None) -> tuple[Path, bool]:
    """Return the file of ``--output``, or else the one that all commands read, and whether they read it by default."""
    from workspace_reaper.settings import configuration_file

    default = configuration_file(None, os.environ).absolute()
    named = output if output is not None else chosen_config(context)
    file = default if named is None else configuration_file(named, os.environ).absolute()
    return file, file == default


def _is_wanted(file: Path, steps: Sequence[str], *, force: bool) -> bool:
    """Ask whether to write the file. Without a terminal the answer is no."""
    from workspace_reaper.util.text import printable

    if os.path.lexists(file) and not force:
        say(f"Nothing is written: {file} exists. --write --force replaces it, and keeps the old file under another name.")
        return False
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        say("Nothing is written. To write the file, add --write. Next steps after that:")
        _say_whole(steps)
        return False
    return typer.confirm(f"Write {printable(str(file))}?")


def _say_whole(lines: Sequence[str]) -> None:
    for line in lines:
        say_whole(line)
