"""CPU seconds of whole commands, each beside a bare program of the same libraries: what runs in turn can be compared."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

from tests.benchmarks.measuring import Result, compare
from tests.tools.world import World

__all__ = ["commands"]

SESSIONS = 100

_OURS = "from workspace_reaper.cli import main; main()"

_BARE = """
import sqlite3
import typer
from pydantic_settings import BaseSettings

class Settings(BaseSettings):
    model_config = {"env_prefix": "BARE_"}
    database: str

app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)

@app.command()
def status(check: bool = False) -> None:
    print(sqlite3.connect(Settings().database).execute("SELECT id FROM workspaces").fetchone())

@app.command()
def other() -> None:
    pass

app()
"""

_BARE_HELP = """
import typer
app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)

@app.command()
def status(check: bool = typer.Option(False, help="Report by the exit code.")) -> None:
    "Print the last report."

@app.command()
def other() -> None:
    "Do something else."

app()
"""


def commands(tmp: Path, rounds: int, baseline: Path | None) -> Iterator[Result]:
    """``status --check``, ``--help``, and ``sweep --dry-run`` with 100 sessions.

    Args:
        tmp: An empty directory.
        rounds: How often each is run.
        baseline: A checkout of an older commit, whose sweep is the floor of ours; None compares with the bare command.
    """
    with World(tmp, activity_grace=3600, idle_ttl=86400) as world:
        world.workspaces(SESSIONS)
        for _ in range(2):
            assert world.sweep().complete
        with closing(sqlite3.connect(tmp / "bare.sqlite")) as connection, connection:
            connection.execute("CREATE TABLE workspaces (id)")
            connection.execute("INSERT INTO workspaces VALUES (1)")
        env = {**world.environment(), "BARE_DATABASE": str(tmp / "bare.sqlite")}
        config = ("--config", str(world.write_config()))

        def ours(*arguments: str, checkout: Path | None = None) -> Callable[[], float]:
            # Each version has a ledger of its own: an older one may not read that of a newer one.
            state = {"PYTHONPATH": f"{checkout}/plugin:{checkout}/hookspecs", "WORKSPACE_REAPER_STATE_DIR": str(tmp / "before")}
            paths = state if checkout else {}
            return lambda: _cpu_seconds([_OURS, *arguments], {**env, **paths})

        def bare(program: str, *arguments: str) -> Callable[[], float]:
            return lambda: _cpu_seconds([program, *arguments], env)

        bare_status = bare(_BARE, "status", "--check")
        check, floor_name = ours(*config, "status", "--check"), "bare Typer, settings, SQLite"
        yield _in_turn("status --check", check, floor_name, bare_status, rounds, 1.6)
        yield _in_turn("--help", ours("--help"), "help of a bare Typer", bare(_BARE_HELP, "--help"), rounds, 1.5)
        sweep = ours(*config, "sweep", "--dry-run")
        name = f"sweep --dry-run, {SESSIONS} sessions"
        if baseline is None:
            yield _in_turn(name, sweep, floor_name, bare_status, rounds, None)
        else:
            ours(*config, "sweep", checkout=baseline)()
            before = ours(*config, "sweep", "--dry-run", checkout=baseline)
            yield _in_turn(name, sweep, f"the same by {baseline.name}", before, rounds, 0.75)


def _in_turn(  # noqa: PLR0917
    name: str, ours: Callable[[], float], floor_name: str, floor: Callable[[], float], rounds: int, bound: float | None
) -> Result:
    for warm_up in (ours, floor):
        warm_up()
    pairs = [(floor(), ours()) for _ in range(rounds)]
    return compare(f"CPU of {name}", [pair[1] for pair in pairs], floor_name, [pair[0] for pair in pairs], bound=bound)


def _cpu_seconds(arguments: Sequence[str], env: Mapping[str, str]) -> float:
    """Run Python with these arguments after ``-c``, and return the CPU time of the process and its children."""
    process = subprocess.Popen(
        [sys.executable, "-c", *arguments], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL
    )
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stderr.close()
    assert process.returncode in (0, 3), said.decode()
    return usage.ru_utime + usage.ru_stime
