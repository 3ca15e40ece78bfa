"""A command of the tests is forked from a process that has imported everything: it must be what a real start is."""

from __future__ import annotations

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.tools import commands
from tests.tools.world import World


@pytest.mark.parametrize(
    ("arguments", "stdin", "more"),
    [
        pytest.param(["--config", "nothing.toml", "sweep"], "", {}, id="an error, and a path relative to its directory"),
        pytest.param(["breaker", "--json"], "", {"WORKSPACE_REAPER_DATABASE_URL": "sqlite:////nowhere"}, id="the environment"),
        pytest.param(["undo", "--nope"], "no\n", {"TZ": "Asia/Tokyo"}, id="usage"),
    ],
)
def test_it_is_what_a_real_start_is(tmp_path: Path, arguments: list[str], stdin: str, more: dict[str, str]) -> None:
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LC_ALL": "C", **more}
    program = commands.start_anew(arguments, env=env, cwd=tmp_path, stdin=stdin)
    forked = commands.run(arguments, env=env, cwd=tmp_path, stdin=stdin)
    assert (forked.returncode, forked.stdout, forked.stderr) == (program.returncode, program.stdout, program.stderr)


def test_what_is_given_on_standard_input_is_read(world: World) -> None:
    world.workspaces(1)
    done = world.cli("undo", stdin="n\n")
    assert done.returncode == 2, done


def test_several_at_once(world: World) -> None:
    with ThreadPoolExecutor(3) as pool:
        done = list(pool.map(lambda command: world.cli(*command), [("status",), ("sweep", "--nope"), ("history", "--json")]))
    assert [one.returncode for one in done] == [0, 2, 0]
    assert done[2].stdout == "[]\n"


def test_one_that_takes_too_long_is_ended(world: World) -> None:
    world.server.new_session("other")
    world.server.stop()
    world.write_config()
    with pytest.raises(subprocess.TimeoutExpired):
        commands.run(["--config", str(world.config), "sweep"], env=world.environment(), cwd=world.tmp, timeout=0.3)
    world.server.resume()
    assert world.cli("status").returncode == 0
