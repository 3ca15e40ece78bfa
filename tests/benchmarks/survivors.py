"""Sweeps that end processes, and sweeps among many that have nothing to do with us."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil

from tests.benchmarks.measuring import Result, compare, seconds
from tests.benchmarks.processes import crowd, raw_pass
from tests.tools.world import World, session_name

__all__ = ["among_many", "stubborn"]

SESSIONS = 200
EACH = 10
GRACE = 5.0
PROCESSES = 5000

_STUBBORN = f"trap '' HUP TERM; i=1; while [ $i -lt {EACH} ]; do sleep 100000 & i=$((i+1)); done; exec sleep 100000"


def stubborn(tmp: Path, rounds: int) -> Iterator[Result]:
    """Sessions whose processes ignore HUP and TERM, beside the time that these are given."""
    ours = []
    for number in range(rounds):
        directory = tmp / str(number)
        directory.mkdir()
        with World(directory, kill_grace=GRACE) as world:
            assert world.sweep().complete, "a reaper that runs has its ledger open"
            ids = world.workspaces(SESSIONS, sessions=False, archived=True)
            world.server.new_sessions([session_name(world.schema, one) for one in ids], _STUBBORN)
            reports = []
            ours.append(seconds(lambda: reports.append(world.sweep())))
            assert reports[0].count("reaped") == SESSIONS
            ended = [one.pid for entry in reports[0].sessions if entry.cleanup for one in entry.cleanup.ended]
            assert len(ended) == SESSIONS * EACH
            assert not any(map(_runs, ended))
    name = f"reaping {SESSIONS} sessions of {EACH} stubborn processes"
    yield compare(name, ours, "kill_grace", [GRACE] * len(ours), bound=1.3)


def _runs(pid: int) -> bool:
    """Whoever collects orphans on this machine may take its time."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def among_many(tmp: Path, rounds: int) -> Iterator[Result]:
    """A full sweep with nothing to do on a machine that has much else to do."""
    with crowd(PROCESSES) as count, World(tmp, activity_grace=3600, tick=0.001) as world:
        world.workspaces(20)
        for _ in range(3):
            assert world.sweep().complete
        ours, floor = [], []
        for _ in range(rounds):
            floor.append(seconds(raw_pass))
            ours.append(seconds(world.sweep))
        name = f"full sweep, {count} processes of others"
        yield compare(name, ours, "a raw pass that reads the same files", floor, bound=1.5)
