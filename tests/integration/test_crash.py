"""A reaper that is killed (SIGKILL) in the middle of a reap: the next sweep closes what it left open, from what it sees."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.tools.front_tmux import FrontTmux, Rule
from tests.tools.waiting import wait_until
from tests.tools.world import World, outcomes

from workspace_reaper import operations

BEFORE_KILL = Rule("source-file", times=1, hold="before")
AFTER_KILL = Rule("source-file", times=1, hold="after")


def history(world: World) -> list[tuple[str, str, str | None]]:
    """Workspace, outcome and why, oldest first."""
    reaps = operations.history(world.plugin.reaper(), 100)
    return [(reap.intent.workspace_id, reap.outcome, reap.why) for reap in reversed(reaps)]


def killed_at(world: World, rule: dict[str, object]) -> None:
    """Sweep in a process of its own, and kill it, with its tmux client, where the rule holds it."""
    front = FrontTmux(world.tmp / "front")
    front.rules(rule)
    world.write_config()
    command = [sys.executable, "-c", "from workspace_reaper.cli import main; main()", "--config", str(world.config), "sweep"]
    process = subprocess.Popen(
        command,
        env=front.environment(world.environment()),
        cwd=world.tmp,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        wait_until(lambda: front.is_held() or process.poll() is not None, 60)
        assert front.is_held(), "the sweep ended before it came to its kill"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)


@pytest.fixture
def archived(world: World) -> list[str]:
    """Two sessions that the next sweep reaps, marked by an earlier one, beside one that it does not."""
    ids = world.workspaces(3)
    world.sweep()
    for one in ids[:2]:
        world.host.archive(one)
    return ids[:2]


@contextmanager
def blind(world: World) -> Iterator[None]:
    """Nobody can ask this tmux server."""
    path = Path(world.server.path)
    path.rename(path.with_name("away"))
    try:
        yield
    finally:
        path.with_name("away").rename(path)


def test_killed_between_intent_and_kill(world: World, archived: list[str]) -> None:
    killed_at(world, BEFORE_KILL)
    assert all(map(world.lives, archived))
    assert sorted(history(world)) == sorted((one, "open", None) for one in archived)

    report = world.sweep()

    assert not report.unknown, "the lock and the ledger of the dead are free"
    assert [outcomes(report)[one] for one in archived] == ["reaped", "reaped"]
    assert sorted(history(world)[:2]) == sorted((one, "spared", "interrupted before the kill") for one in archived)
    assert sorted(history(world)[2:]) == sorted((one, "reaped", None) for one in archived)


def test_killed_between_intent_and_kill_and_then_nobody_wants_it_gone(world: World, archived: list[str]) -> None:
    """An old intent convicts nobody."""
    killed_at(world, BEFORE_KILL)
    for one in archived:
        world.host.archive(one, on=False)
    assert set(outcomes(world.sweep()).values()) == {"none"}
    assert all(map(world.lives, archived))
    assert {told[1:] for told in history(world)} == {("spared", "interrupted before the kill")}


def test_killed_between_kill_and_outcome(world: World, archived: list[str]) -> None:
    killed_at(world, AFTER_KILL)
    assert not any(map(world.lives, archived))
    assert sorted(history(world)) == sorted((one, "open", None) for one in archived)
    # While the socket can't be read nobody knows how it ended: its server lives, so it is not empty.
    with blind(world):
        assert world.sweep().exit_code == 3
    assert {outcome for _, outcome, _ in history(world)} == {"open"}

    report = world.sweep()

    assert not set(outcomes(report)) & set(archived)
    assert report.exit_code == 0
    assert sorted(history(world)) == sorted((one, "reaped", "found gone after an interruption") for one in archived)


def test_a_dry_run_after_a_crash_closes_nothing(world: World, archived: list[str]) -> None:
    killed_at(world, AFTER_KILL)
    world.sweep(dry_run=True)
    assert {outcome for _, outcome, _ in history(world)} == {"open"}
