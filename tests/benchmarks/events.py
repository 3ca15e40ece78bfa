"""What a host pays for an event: the call returns before the plugin is called."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from queue import SimpleQueue

from tests.benchmarks.measuring import Result
from workspace_hookspecs import WorkspacePlugins, hookimpl

__all__ = ["MANY", "calls", "events"]

MANY = 10_000
_POINTS: dict[str, Callable[[Sequence[float]], float]] = {
    "p50": statistics.median,
    "p99": lambda series: statistics.quantiles(series, n=100, method="inclusive")[98],
    "worst": max,
}


class _Counting:
    def __init__(self) -> None:
        self.calls = 0

    @hookimpl
    def on_workspace_deleted(self, workspace_id: str) -> None:
        del workspace_id
        self.calls += 1


def events(rounds: int) -> Iterator[Result]:
    """10,000 calls of ``workspace_deleted`` in one loop, beside as many of the cheapest queue there is."""
    ours, floor = [], []
    for _ in range(rounds):
        floor.append(_bare())
        plugin = _Counting()
        with WorkspacePlugins() as plugins:
            plugins.register(plugin, "counting")
            ours.append(calls(plugins.workspace_deleted))
            assert plugins.drain(60)
        assert plugin.calls == MANY
    for name, point in _POINTS.items():
        mine, least = [point(one) for one in ours], [point(one) for one in floor]
        ratio = statistics.median(one / other for one, other in zip(mine, least, strict=True))
        yield Result(
            f"{MANY} x workspace_deleted, {name}",
            statistics.median(mine) * 1e6,
            f"SimpleQueue.put, {name}",
            statistics.median(least) * 1e6,
            ratio,
            unit="us",
            spread=(min(mine) * 1e6, max(mine) * 1e6),
        )


def _bare() -> list[float]:
    """The same with nothing but a queue, and a thread that empties it meanwhile: two threads share the interpreter here too."""
    queue = SimpleQueue[str]()
    taking = threading.Thread(target=lambda: [queue.get() for _ in range(MANY)])
    taking.start()
    found = calls(queue.put)
    taking.join()
    return found


def calls(call: Callable[[str], object]) -> list[float]:
    """The seconds of each of ``MANY`` calls with different ids."""
    found = []
    for one in [f"workspace-{number}" for number in range(MANY)]:
        started = time.perf_counter()
        call(one)
        found.append(time.perf_counter() - started)
    return found
