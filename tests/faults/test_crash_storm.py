"""A reaper that is killed (SIGKILL) anywhere, under load, and started again: what its ledger says is what happened."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from random import Random

import pytest

from tests.tools.crashing import WarmReapers, crash_plan, wait_for_group
from tests.tools.daemons import Daemon
from tests.tools.effort import seeds
from tests.tools.storm_tmux import PlannedTmux
from tests.tools.waiting import wait_until
from tests.tools.world import World, session_name
from workspace_reaper.operations.status import read_history

pytestmark = [pytest.mark.storm, pytest.mark.timeout(300)]

SEEDS = seeds(50, 500)


@pytest.fixture(scope="module")
def reapers() -> Iterator[WarmReapers]:
    with WarmReapers() as made:
        yield made


class Crash:
    """One round: many sessions, a reaper at work on them that is killed, and what is there afterwards."""

    def __init__(self, world: World, seed: int) -> None:
        self.random = Random(seed)
        self.when, plan = crash_plan(self.random)
        self.world = world
        self.front = PlannedTmux(world.tmp / "front")
        self.front.plan(plan)
        self.living = world.workspaces(16)
        self.archived = world.workspaces(self.random.randint(4, 8))
        self.deleted = world.workspaces(self.random.randint(0, 4))
        self.orphaned = world.workspaces(self.random.randint(0, 4))
        rows = world.server.run("list-sessions", "-F", "#{session_name} #{session_id}").split("\n")
        self.session_ids = dict(row.split(" ") for row in rows)
        self.ended_by_host: set[str] = set()

    def ids(self, workspaces: list[str]) -> set[str]:
        """The sessions of these workspaces."""
        return {self.session_ids[session_name(self.world.schema, one)] for one in workspaces}

    def change_the_world(self) -> None:
        """The host deletes and archives."""
        self.world.host.delete(*self.deleted, *self.orphaned)
        for one in self.archived[2:]:
            self.world.host.archive(one)

    def go_on(self) -> None:
        """While the reaper is at work the host ends sessions of its own accord, and archives more."""
        for one in self.living[:3]:
            [session_id] = self.ids([one])
            self.world.server.run("kill-session", "-t", session_id)
            self.ended_by_host.add(session_id)
        for one in self.archived[:2]:
            self.world.host.archive(one)

    @property
    def vanished(self) -> set[str]:
        """The sessions that are gone, and that the host did not end."""
        return set(self.session_ids.values()) - self.world.server.session_ids() - self.ended_by_host

    def recorded(self) -> Counter[tuple[str, str]]:
        """What the ledger says: session and outcome, and how often."""
        reaps = read_history(self.world.plugin.reaper(), 10_000)
        return Counter((reap.intent.key.session_id, reap.outcome) for reap in reaps)

    def check(self) -> None:
        """Each reap is recorded, once; and none that was not."""
        recorded = self.recorded()
        assert not {row for row in recorded if row[1] in ("open", "failed")}
        reaped = Counter({session_id: count for (session_id, outcome), count in recorded.items() if outcome == "reaped"})
        assert reaped == Counter(self.vanished)

    def recover(self) -> None:
        """Started again it closes what it left open, and finishes what it began."""
        known = (
            {session_id for session_id, _ in self.recorded()} if (self.world.state_dir / "ledger.sqlite").exists() else set()
        )
        assert self.vanished <= known, "something died of which nothing was written before"
        for _ in range(3):
            report = self.world.sweep()
            assert (report.unknown, report.exit_code) == ([], 0)
            self.check()
        assert self.vanished == self.ids([*self.archived, *self.deleted, *self.orphaned])
        assert self.ids(self.living) - self.ended_by_host <= self.world.server.session_ids()


@contextmanager
def told(crash: Crash, seed: int) -> Iterator[None]:
    try:
        yield
    except AssertionError as error:
        raise AssertionError(f"{error}\nREAPER_TEST_SEED={seed}: {crash.when}; calls: {crash.front.calls()}") from error


@pytest.mark.parametrize("seed", SEEDS, ids=[f"seed{seed}" for seed in SEEDS])
def test_killed_at_any_moment_each_reap_is_recorded_and_none_that_was_not(
    worlds: Callable[..., World], reapers: WarmReapers, seed: int
) -> None:
    world = worlds(kill_grace=0.2, snapshots=seed % 3 != 0)
    crash = Crash(world, seed)
    with told(crash, seed):
        world.sweep()
        crash.change_the_world()
        pid = reapers.start(world.write_config(), crash.front.path(), crash.deleted)
        crash.go_on()
        assert reapers.wait() == -signal.SIGKILL
        if seed % 2:
            end_group(pid)
        wait_for_group(pid)
        crash.recover()


def end_group(pid: int) -> None:
    """As a service manager does it: with all that it has started."""
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


@pytest.mark.parametrize("seed", SEEDS[::10], ids=[f"seed{seed}" for seed in SEEDS[::10]])
def test_the_daemon_killed_at_any_moment_each_reap_is_recorded_and_none_that_was_not(
    worlds: Callable[..., World], seed: int
) -> None:
    world = worlds(kill_grace=0.2, tick=0.5)
    crash = Crash(world, 100_000 + seed)
    with told(crash, seed):
        world.sweep()
        with Daemon(world, wrapped=["setsid"], ready=False, PATH=crash.front.path()) as daemon:
            wait_until(lambda: crash.front.calls() or daemon.process.poll() is not None, 60)
            crash.change_the_world()
            crash.go_on()
            assert daemon.process.wait(120) == -signal.SIGKILL
            wait_for_group(daemon.process.pid)
        crash.recover()
