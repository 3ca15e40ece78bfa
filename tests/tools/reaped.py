"""A session that was kept and killed as a sweep does it, by hand: its snapshot, its ledger rows, and what it looked like."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.ansi import AnsiDecoder
from rich.console import Console
from rich.text import Text
from ulid import ULID

from tests.tools.tmux import TmuxServer
from tests.tools.waiting import wait_until
from tests.tools.world import World
from workspace_reaper.model.reap import Intent, ProcessCleanup, Reap, ReapResult
from workspace_reaper.model.session import Listing, SessionKey
from workspace_reaper.model.snapshot import SnapshotOrder
from workspace_reaper.operations.restore import find_reap

__all__ = ["Picture", "all_text", "look", "reap", "record", "shown", "start"]

SCRIPT = r"""
printf '\033[31mred\033[0m plain \033[1;38;5;208mor\nange\033[22m thin\n\033[0m\033[4;7;48;2;1;2;3mbar\033[0m\n'
printf '%s a row that is long enough to be wrapped, whatever the width is, or so it should be, and then some more\n' 1 2 3
printf '\033[44mblue until here'
seq 1 50
printf '\033[0m\033(0lqk\033(B \033[32mäöü → last of %s\033[0m\n' "$1"
exec sleep 100000
"""
"""More lines than a pane shows: colours that go on over lines, wrapped lines, line drawing, a last line."""

CONSOLE = Console()


@dataclass(frozen=True)
class Picture:
    """A session as it looks. ``panes``: (window index, pane index) to working directory and to text with styles."""

    windows: list[tuple[str, str, str, str]]
    active: str
    directories: dict[tuple[str, str], str]
    texts: dict[tuple[str, str], list[list[tuple[str, str]]]] = field(repr=False)


def look(server: TmuxServer, session_id: str) -> Picture:
    """What tmux itself says of the session; layouts without checksums and ids."""
    listed = server.run(
        "list-windows", "-t", session_id, "-F", "#{window_index}\t#{window_name}\t#{window_panes}\t#{window_layout}"
    )
    windows = []
    for row in listed.split("\n"):
        index, name, panes, layout = row.split("\t")
        layout = re.sub(r'^[0-9a-f]{4},|"I":"%[0-9]+"', "", layout)
        windows.append((index, name, panes, re.sub(r"(x[0-9]+,[0-9]+,[0-9]+),[0-9]+(?=[,\]}]|$)", r"\1", layout)))
    panes = server.run(
        "list-panes", "-s", "-t", session_id, "-F", "#{window_index} #{pane_index} #{window_active}#{pane_active} #{pane_id}"
    )
    rows = [row.split(" ") for row in panes.split("\n")]
    return Picture(
        windows,
        next(f"{row[0]}.{row[1]}" for row in rows if row[2] == "11"),
        {(row[0], row[1]): server.run("display-message", "-p", "-t", row[3], "#{pane_current_path}") for row in rows},
        {(row[0], row[1]): shown(server.run("capture-pane", "-p", "-e", "-S", "-", "-t", row[3])) for row in rows},
    )


def shown(capture: str) -> list[list[tuple[str, str]]]:
    """Each line as characters with their styles, read by another program than ours; without the empty lines at the end."""
    capture = re.sub("\x0e([^\x0f]*)\x0f", lambda found: found[1].translate(str.maketrans("lqk", "┌─┐")), capture)
    lines = [cells(line) for line in AnsiDecoder().decode(capture)]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def cells(line: Text) -> list[tuple[str, str]]:
    return [(char, str(line.get_style_at_offset(CONSOLE, at))) for at, char in enumerate(line.plain)]


def reap(world: World, session_id: str, *, commands: Mapping[str, Sequence[str]] | None = None, kill: bool = True) -> Reap:
    """Keep the session's panes and kill it; the reap as the ledger has it."""
    reaper = world.plugin.reaper()
    terminal = next(one for one in reaper.terminals if one.socket == world.server.path)
    listing = terminal.observe("a")
    assert isinstance(listing, Listing)
    session = next(one for one in listing.sessions if one.key.session_id == session_id)
    reap_id = str(ULID())
    words = {pane: tuple(argv) for pane, argv in (commands or {}).items()}
    order = SnapshotOrder(reap_id, session.key, session.name, "w1", session.activity, session.version, words)
    assert reaper.snapshots.take(terminal, [order]) == {}
    if kill:
        world.server.run("kill-session", "-t", session_id)
    return record(world, reap_id, session.key, session.name, snapshot=None)


def record(
    world: World,
    reap_id: str,
    key: SessionKey,
    name: str,
    *,
    snapshot: str | None,
    outcome: str = "reaped",
    cleanup: ProcessCleanup | None = None,
) -> Reap:
    """Write the intent and the outcome of a reap into the ledger."""
    reaper = world.plugin.reaper()
    now = reaper.clock.now()
    evidence = {"attached": 0, "idle_seconds": 7200, "row": None, "kept": False}
    intent = Intent(reap_id, str(ULID()), now, key, name, "w1", "orphan", evidence)
    with reaper.writing() as ledger:
        ledger.record_intents([intent])
        ledger.record_results([ReapResult(reap_id, now, outcome, None, cleanup or ProcessCleanup(), snapshot)])
    return find_reap(reaper, reap_id)


def start(server: TmuxServer, name: str, directory: Path, windows: Sequence[int]) -> str:
    """A session with so many panes in each of its windows, each in a directory of its own, and full of text; its id."""
    script = directory / "script"
    script.write_text(SCRIPT)
    number = 0
    session_id = ""
    for position, panes in enumerate(windows):
        target = f"{session_id}:{position * 3}"
        for pane in range(panes):
            number += 1
            place = directory / f"d{number}"
            place.mkdir()
            command = ["-c", str(place), f"exec sh {shlex.quote(str(script))} {number}"]
            if not session_id:
                session_id = server.new_session(name, command[2], "-x", "160", "-y", "48", "-n", "first", *command[:2])
                target = f"{session_id}:0"
            elif pane == 0:
                server.run("new-window", "-d", "-t", target, "-n", f"window {position}", *command)
            else:
                split = ("-h", "-v")[pane % 2]
                server.run("split-window", split, "-t", target, *command, ";", "select-layout", "-t", target, "tiled")
    wait_until(lambda: all(f"last of {one}" in all_text(server, session_id) for one in range(1, number + 1)))
    return session_id


def all_text(server: TmuxServer, session_id: str) -> str:
    """What all panes of the session show, and showed."""
    panes = server.run("list-panes", "-s", "-t", session_id, "-F", "#{pane_id}").split("\n")
    return "\n".join(server.run("capture-pane", "-p", "-J", "-S", "-", "-t", pane) for pane in panes)
