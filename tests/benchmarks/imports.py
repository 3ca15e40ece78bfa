"""What a host pays for having the plugin installed: importing its entry point."""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Iterator

from tests.benchmarks.measuring import Result

__all__ = ["importing"]

BOUND_MS = 30.0

_SCRIPT = """
import sys, time
import pluggy
started = time.perf_counter()
{work}
print(time.perf_counter() - started)
assert not {{"sqlmodel", "libtmux", "psutil", "pydantic"}} & set(sys.modules), "a heavy library was loaded"
"""


def _once(work: str) -> float:
    command = [sys.executable, "-c", _SCRIPT.format(work=work)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def importing(rounds: int) -> Iterator[Result]:
    """The import of the entry point in a process that has pluggy; its bound is given in milliseconds."""
    ours = [_once("import workspace_reaper") * 1e3 for _ in range(rounds)]
    median = statistics.median(ours)
    yield Result("importing the entry point (ratio to 30 ms)", median, "30 ms", BOUND_MS, median / BOUND_MS, 1.0)
