"""What the host daemon takes: from a commit to the end of a session, from the server that writes, and from the machine."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psutil

from tests.benchmarks.measuring import Result, compare, seconds
from tests.tools.daemons import Daemon
from tests.tools.hosts import VibeKanbanHost
from tests.tools.waiting import wait_until
from tests.tools.world import World

__all__ = ["noticing", "resident", "writing"]

WORKSPACES = 10_000
SESSIONS = 100
COMMITS = 20
PAUSE = 0.02
"""Seconds between two commits of the server, so that there is something for the daemon to do in between."""

SHARE = 0.003
"""Of one core."""
MEMORY = 90
"""Megabytes."""

MIB = 1 << 20


def _journal(path: Path, mode: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA journal_mode = {mode}")


def noticing(tmp: Path, rounds: int) -> Iterator[Result]:
    """From the commit of another process to the end of the session."""
    for mode in ("DELETE", "WAL"):
        directory = tmp / mode
        directory.mkdir()
        with World(directory, tick=60, activity_grace=60) as world:
            _journal(world.host.path, mode)
            world.workspaces(WORKSPACES - 3 * rounds, sessions=False)
            doomed = world.workspaces(2 * rounds)
            world.workspaces(rounds)
            with Daemon(world):
                acts: dict[str, Callable[[str], None]] = {"deleted": world.host.delete, "archived": world.host.archive}
                taken: dict[str, list[float]] = {"deleted": [], "archived": []}
                for number, one in enumerate(doomed):
                    what = "deleted" if number % 2 else "archived"
                    acts[what](one)
                    taken[what].append(seconds(lambda: wait_until(lambda: not world.lives(one), 90)))
                    # The doubt of the daemon grows with what vanishes within a minute: it is not what is measured.
                    time.sleep(0.3)
            for what, times in taken.items():
                yield compare(
                    f"{what}, journal_mode={mode}: commit to dead session", times, "a second", [1.0] * rounds, bound=1
                )


def writing(tmp: Path, rounds: int) -> Iterator[Result]:
    """The server's commits to a database that is watched, beside those to one that is not."""
    for mode in ("DELETE", "WAL"):
        directory = tmp / mode
        directory.mkdir()
        with World(directory, tick=60) as world:
            twin = VibeKanbanHost(directory / "twin.sqlite")
            twin.create()
            world.workspaces(WORKSPACES, sessions=False)
            twin.insert([twin.new_id(number) for number in range(1, WORKSPACES + 1)])
            for path in (world.host.path, twin.path):
                _journal(path, mode)
            with Daemon(world):
                watched, alone = [], []
                for number in range(rounds * COMMITS):
                    pair = [(world.host.path, watched), (twin.path, alone)]
                    for path, times in pair if number % 2 else reversed(pair):
                        times.append(_commit(path, world.host.new_id(number % WORKSPACES + 1)))
                        time.sleep(PAUSE)
            yield compare(f"a commit, watched, journal_mode={mode}", watched, "not watched", alone, bound=1.1)


def _commit(path: Path, workspace_id: str) -> float:
    """As the server does it, with its own connection and durability; only the commit is timed."""
    with closing(sqlite3.connect(path, isolation_level=None, timeout=30)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        key = bytes.fromhex(workspace_id.replace("-", ""))
        connection.execute("UPDATE workspaces SET name = name || 'x' WHERE id = ?", (key,))
        return seconds(lambda: connection.execute("COMMIT"))


def resident(tmp: Path, watched: float) -> Iterator[Result]:
    """What an idle daemon uses of one core and of memory."""
    with World(tmp) as world:
        world.workspaces(WORKSPACES - SESSIONS, sessions=False)
        world.workspaces(SESSIONS)
        with Daemon(world) as daemon:
            process = psutil.Process(daemon.process.pid)
            time.sleep(5)
            before = _cpu(process)
            time.sleep(watched)
            used, memory = _cpu(process) - before, process.memory_info().rss / MIB
    share = SHARE * watched
    yield Result(f"CPU of {watched:g} idle s", used * 1e3, f"{SHARE:.1%} of a core", share * 1e3, used / share, 1)
    yield Result("resident memory", memory, f"{MEMORY} MB", MEMORY, memory / MEMORY, 1, unit="MB")


def _cpu(process: psutil.Process) -> float:
    """Its own, and that of the tmux clients it has started and collected."""
    times = process.cpu_times()
    return times.user + times.system + times.children_user + times.children_system
