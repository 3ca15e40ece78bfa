"""Sweeps of 1,000 real sessions: with nothing to do, with 500 to reap, and against databases of 1 k and 1 M workspaces."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

from tests.benchmarks import floors
from tests.benchmarks.measuring import Result, compare, cpu_and_wall, seconds
from tests.benchmarks.processes import raw_pass
from tests.tools.hosts import blob, connected
from tests.tools.world import World, session_name
from workspace_reaper.tmux.server_time import cpu_seconds

__all__ = ["idle", "reaping", "sizes"]

SESSIONS = 1000
REAPED = 500
SAMPLE = 50
"""So many sessions are enough to see what a process for each session costs."""
_QUIET = {"activity_grace": 3600, "idle_ttl": 86400}


def idle(tmp: Path, rounds: int) -> Iterator[Result]:
    """A full sweep with nothing to do."""
    with World(tmp, **_QUIET) as world:
        ids = _settled(world, SESSIONS)
        _mark_all(world)
        ours, floor, seed, objects = [], [], [], []
        for _ in range(rounds):
            floor.append(seconds(lambda: (floors.listing(world.server), floors.query(world, ids))))
            ours.append(seconds(world.sweep))
        name, floor_name = f"full sweep, {SESSIONS} sessions, nothing to do", "one raw listing and one raw query"
        yield compare(name, ours, floor_name, floor, bound=1.5)
        yield _sampling(world, ids, rounds)
        for _ in range(3):
            seed.append(seconds(lambda: floors.seed_look(world, world.server, ids)))
            objects.append(seconds(lambda: floors.libtmux_listing(world.server)))
        yield compare("the seed's way to look: a query for each session", seed, floor_name, floor[:3])
        yield compare("libtmux's way to look: its objects, no query", objects, floor_name, floor[:3])


def _sampling(world: World, ids: list[str], rounds: int) -> Result:
    """The same at a tick, when the CPU clock is read as well: once in half a tick at most."""
    world.configure(tick=0.001)
    for _ in range(3):
        assert world.sweep().complete
    ours, floor = [], []
    for _ in range(rounds):
        floor.append(seconds(lambda: (floors.listing(world.server), floors.query(world, ids), raw_pass())))
        ours.append(seconds(world.sweep))
    name, floor_name = "the same with a sample of the CPU clock", "the same and a raw pass over the processes"
    return compare(name, ours, floor_name, floor, bound=1.5)


def reaping(tmp: Path, rounds: int) -> Iterator[Result]:
    """500 archived sessions out of 1,000, with and without their panes."""
    (tmp / "kept").mkdir()
    with World(tmp / "kept") as world:
        ours, floor = _reaping(world, rounds)
        name = f"reaping {REAPED} of {SESSIONS} sessions, panes kept"
        yield compare(name, _wall(ours), "as below", _wall(floor))
        yield compare(f"{name}, CPU time", _cpu(ours), "as below", _cpu(floor))
    with World(tmp, snapshots=False) as world:
        ours, floor = _reaping(world, rounds)
        floor_name = f"{REAPED} guarded lines in one tmux and three raw listings"
        name = f"reaping {REAPED} of {SESSIONS} sessions"
        yield compare(name, _wall(ours), floor_name, _wall(floor))
        yield compare(f"{name}, CPU time of all", _cpu(ours), floor_name, _cpu(floor), bound=2.5)
        yield from _others(world, floor_name, _wall(floor))


_Pairs: TypeAlias = "list[tuple[float, float]]"


def _cpu(pairs: _Pairs) -> list[float]:
    return [cpu for cpu, _ in pairs]


def _wall(pairs: _Pairs) -> list[float]:
    return [wall for _, wall in pairs]


def _reaping(world: World, rounds: int) -> tuple[_Pairs, _Pairs]:
    """What ours costs, and what the bare lines cost: CPU time, and time on the clock."""
    world.workspaces(SESSIONS - REAPED)
    assert world.sweep().complete, "a reaper that runs has its ledger open"
    ours, floor = [], []
    for _ in range(rounds):
        ids = _settled(world, REAPED, archived=True)
        lines = floors.guarded_lines(world.server, _session_ids(world, ids))
        # The last one comes after the kills, as ours does: until then tmux is busy with what they left it to do.
        floor.append(cpu_and_wall(lambda: _bare(world, lines), world.server.pid))
        world.host.delete(*ids)
        _settled(world, REAPED, archived=True)
        reports = []
        ours.append(cpu_and_wall(lambda: reports.append(world.sweep()), world.server.pid))
        assert reports[0].count("reaped") == REAPED
    return ours, floor


def _settled(world: World, count: int, **flags: bool) -> list[str]:
    """Workspaces whose sessions have done with starting, so that the server rests: or their start is measured as well."""
    ids = world.workspaces(count, **flags)
    spent, resting = cpu_seconds(world.server.pid), 0
    while resting < 4:
        time.sleep(0.5)
        before, spent = spent, cpu_seconds(world.server.pid)
        resting = resting + 1 if spent == before else 0
    return ids


def _mark_all(world: World) -> None:
    """Sweep until all sessions are marked: each sweep marks as many as take tmux 0.1 s, which is measured by no benchmark."""
    marked = 0
    while marked < SESSIONS:
        assert world.sweep().complete
        marked = world.server.run("list-sessions", "-F", "#{?@reaper_self,1,}").count("1")


def _bare(world: World, lines: str) -> None:
    floors.listing(world.server)
    floors.listing(world.server)
    floors.feed(world.server, lines)
    floors.listing(world.server)


def _others(world: World, floor_name: str, floor: list[float]) -> Iterator[Result]:
    """What others do, on a sample; scaled to as many sessions."""
    scale = REAPED / SAMPLE
    seed, objects = [], []
    for _ in floor:
        ids = world.workspaces(SAMPLE, archived=True)
        names = [session_name(world.schema, one) for one in ids]
        seed.append(scale * seconds(lambda: floors.seed_kills(world, world.server, names, ids)))
        world.workspaces(SAMPLE, archived=True)
        objects.append(scale * seconds(lambda: floors.libtmux_kills(world.server, SAMPLE)))
    yield compare(f"the seed's way to reap: processes for each ({SAMPLE}, scaled)", seed, floor_name, floor)
    yield compare(f"libtmux's way to reap: its objects, no recheck ({SAMPLE}, scaled)", objects, floor_name, floor)


def _session_ids(world: World, ids: list[str]) -> list[str]:
    names = {session_name(world.schema, one) for one in ids}
    rows = (line.split(" ") for line in world.server.run("list-sessions", "-F", "#{session_id} #{session_name}").split("\n"))
    return [session_id for session_id, name in rows if name in names]


def sizes(tmp: Path, rounds: int) -> Iterator[Result]:
    """The same sessions, and databases of different sizes."""
    small, large = tmp / "small", tmp / "large"
    small.mkdir()
    large.mkdir()
    with World(small, **_QUIET) as world:
        world.workspaces(SESSIONS)
        big = World(large, servers=0, **_QUIET)
        other = world.second("big", big.host)
        _fill(other, world, 1_000_000)
        for _ in range(3):
            assert world.sweep().complete
            assert other.sweep().complete
        few, many = [], []
        for _ in range(rounds):
            few.append(seconds(world.sweep))
            many.append(seconds(other.sweep))
        yield compare("full sweep, 1,000,000 workspaces in the database", many, "1,000 workspaces", few, bound=1.2)


def _fill(other: World, world: World, count: int) -> None:
    """The workspaces of the small database, and so many more."""
    with connected(world.host.path) as connection:
        rows = connection.execute("SELECT id FROM workspaces").fetchall()
    sql = "INSERT INTO workspaces (id, branch, created_at, updated_at) VALUES (?, 'b', '2026-01-01', '2026-01-01')"
    with connected(other.host.path) as connection:
        connection.executemany(sql, rows)
        connection.executemany(sql, ((blob(f"{number:032x}"),) for number in range(count - len(rows))))
