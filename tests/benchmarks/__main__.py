"""``python -m tests.benchmarks [--rounds N] [--seconds S] [NAME …]``: JSON on standard output, a table on standard error.

It exits with 1 where a bound is exceeded."""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.benchmarks import commands, daemon, events, imports, many_hosts, processes, survivors, sweeps
from tests.benchmarks.measuring import Result, busy
from tests.tools.tmux import real_tmux


def main() -> None:
    """Run them, one after the other."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, metavar="N", help="pairs of timings [15]")
    parser.add_argument("--seconds", type=float, default=600, metavar="S", help="how long the daemon is watched idle [600]")
    parser.add_argument("--baseline", type=Path, metavar="DIR", help="a checkout of an older commit, for cli [none]")
    parser.add_argument("names", nargs="*", metavar="NAME", help="which of them, by name [all]")
    parser.add_argument("--load", type=int, default=0, metavar="N", help="processes that use a core each meanwhile [0]")
    chosen = parser.parse_args()
    with busy(chosen.load), tempfile.TemporaryDirectory(prefix="wr-bench-") as directory:
        tmp, rounds = Path(directory), chosen.rounds
        suites: dict[str, Callable[[], Iterator[Result]]] = {
            "imports": lambda: imports.importing(rounds),
            "cli": lambda: commands.commands(_made(tmp / "cli"), rounds, chosen.baseline),
            "events": lambda: events.events(rounds),
            "processes": lambda: processes.table(rounds),
            "idle": lambda: sweeps.idle(_made(tmp / "idle"), rounds),
            "reaping": lambda: sweeps.reaping(_made(tmp / "reaping"), max(5, rounds // 3)),
            "stubborn": lambda: survivors.stubborn(_made(tmp / "stubborn"), max(3, rounds // 5)),
            "many": lambda: survivors.among_many(_made(tmp / "many"), rounds),
            "sizes": lambda: sweeps.sizes(_made(tmp / "sizes"), rounds),
            "hosts": lambda: many_hosts.many_hosts(_made(tmp / "hosts"), rounds),
            "noticing": lambda: daemon.noticing(_made(tmp / "noticing"), rounds),
            "writing": lambda: daemon.writing(_made(tmp / "writing"), rounds),
            "resident": lambda: daemon.resident(_made(tmp / "resident"), chosen.seconds),
        }
        unknown = set(chosen.names) - set(suites)
        if unknown:
            parser.error(f"no benchmark is called {', '.join(sorted(unknown))}")
        results = [result for name, suite in suites.items() if name in (chosen.names or suites) for result in suite()]
    _print(results)
    sys.exit(1 if any(result.exceeds for result in results) else 0)


def _made(directory: Path) -> Path:
    directory.mkdir()
    return directory


def _print(results: list[Result]) -> None:
    machine = {"python": platform.python_version(), "tmux": real_tmux(), "system": platform.platform()}
    sys.stdout.write(
        json.dumps({"machine": machine, "results": [dict(result.as_json()) for result in results]}, indent=2) + "\n"
    )
    table = Table("WHAT", "MEDIAN", "P10-P90", "FLOOR", "MEDIAN", "RATIO", "BOUND", box=None)
    for result in results:
        bound = "-" if result.bound is None else f"{result.bound} {'OVER' if result.exceeds else 'ok'}"
        table.add_row(
            result.name,
            f"{result.median:.1f} {result.unit}",
            "-" if result.spread is None else f"{result.spread[0]:.1f}-{result.spread[1]:.1f}",
            result.floor,
            f"{result.floor_median:.1f} {result.unit}",
            f"{result.ratio:.2f}",
            bound,
        )
    Console(stderr=True, width=150).print(table)


if __name__ == "__main__":
    main()
