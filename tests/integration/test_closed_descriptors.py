"""Programs that are started with standard input, output or error closed."""

from __future__ import annotations

import itertools
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

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
    code = started(world, closed, "sweep").wait(PATIENCE)
    assert (world.lives(archived), world.lives(kept), code) == (False, True, 0)


@pytest.mark.parametrize("command", [("status", "--json"), ("history", "--json"), ("sweep", "--json")])
def test_i77_no_output_gets_into_a_file_that_the_command_opens(world: World, command: tuple[str, ...]) -> None:
    """Without the null device, a database would be the next file to get descriptor 1 or 2."""
    kept = world.workspace()
    world.session(kept)
    world.sweep()
    world.plugin.close()
    world.write_config()
    before = contents(world.host.path.parent)
    assert started(world, (0, 1, 2), *command).wait(PATIENCE) == 0
    assert contents(world.host.path.parent) == before
    for database in (world.host.path, world.state_dir / "ledger.sqlite"):
        with closing(sqlite3.connect(database)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert world.cli_json("status")["totals"]["managed"] == 1


def contents(directory: Path) -> dict[str, bytes]:
    """The databases there, byte by byte: the host's own, to which the reaper never writes."""
    return {path.name: path.read_bytes() for path in directory.glob("*.sqlite")}


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


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux")
@pytest.mark.parametrize("unbuffered", ["", "1"], ids=["buffered", "unbuffered"])
@pytest.mark.parametrize(
    "command",
    [("status",), ("status", "--check"), ("status", "--json"), ("sweep",), ("doctor",), ("--version",)],
    ids=" ".join,
)
def test_an_output_that_cannot_be_written_is_one_line_of_complaint(
    world: World, command: tuple[str, ...], unbuffered: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    archived = world.workspace(archived=True)
    world.session(archived)
    world.write_config()
    program = [sys.executable, "-c", "from workspace_reaper.cli import main; main()", "--config", str(world.config), *command]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(program, stdout=full, stderr=subprocess.PIPE, text=True, timeout=PATIENCE, check=False)
    assert done.stderr == "workspace-reaper: the output cannot be written: No space left on device\n"
    assert done.returncode == 1
    assert world.lives(archived) is (command != ("sweep",))


def test_a_closed_pipe_is_no_complaint(world: World) -> None:
    world.session(world.workspace())
    world.write_config()
    program = [sys.executable, "-c", "from workspace_reaper.cli import main; main()", "--config", str(world.config)]
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as pipe:
        done = subprocess.run([*program, "status", "--json"], stdout=pipe, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "")
