"""Programs that are started with standard input, output or error closed."""

from __future__ import annotations

import itertools
import subprocess
import sys

import pytest

from tests.tools.waiting import wait_until
from tests.tools.world import World, outcomes

PATIENCE = 60
CLOSED = [some for count in (1, 2, 3) for some in itertools.combinations((0, 1, 2), count)]


def started(world: World, closed: tuple[int, ...], *arguments: str) -> subprocess.Popen[bytes]:
    redirections = " ".join(f"{number}>&-" for number in closed)
    command = f'exec "$@" {redirections}'
    program = [sys.executable, "-c", "from workspace_reaper.cli import main; main()", "--config", str(world.config), *arguments]
    return subprocess.Popen(["sh", "-c", command, "sh", *program], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.mark.parametrize("closed", CLOSED, ids=lambda some: "".join(map(str, some)))
def test_i77_a_sweep_reaps_whatever_is_closed(world: World, closed: tuple[int, ...]) -> None:
    """Alive and doing nothing; ``status --check`` says OK."""
    archived, kept = world.workspace(archived=True), world.workspace()
    for one in (archived, kept):
        world.session(one)
    world.write_config()
    assert started(world, closed, "sweep").wait(PATIENCE) == 0
    assert (world.lives(archived), world.lives(kept)) == (False, True)


@pytest.mark.daemon
def test_i77_the_daemon_reaps_with_all_closed(world: World) -> None:
    archived, kept = world.workspace(), world.workspace()
    for one in (archived, kept):
        world.session(one)
    world.settings["activity_grace"] = 0
    world.write_config()
    daemon = started(world, (0, 1, 2), "run")
    try:
        wait_until((world.state_dir / "ledger.sqlite").exists, PATIENCE)
        world.host.archive(archived)
        wait_until(lambda: not world.lives(archived), PATIENCE)
        assert world.lives(kept)
        assert daemon.poll() is None
    finally:
        daemon.terminate()
        daemon.wait(PATIENCE)
    assert set(outcomes(world.sweep())) == {kept}
