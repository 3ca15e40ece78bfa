"""Runs histories: ``python -m tests.simulation 0-19999``, or one seed as a story: ``python -m tests.simulation 17``."""

from __future__ import annotations

import argparse
import gc
import logging
import multiprocessing
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeAlias

from tests.simulation.floors import below_the_floor, never_happened
from tests.simulation.unfrozen import unfrozen

with unfrozen():
    from tests.simulation.history import Result, run
    from tests.simulation.planning import make_plan
    from tests.simulation.shrink import shrink

_CHUNK = 250

# Seconds between two lines about the progress.
_PROGRESS = 10.0

# Some seeds, what happened in their histories, and those of them that broke a rule.
_Some: TypeAlias = "tuple[range, Counter[str], list[int]]"


def main(arguments: list[str]) -> int:
    """Run the histories that the command line names.

    Return 1 if one breaks a rule, or if too little happened in them, and 130 after Ctrl-C, with what was found until then.
    """
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("seeds", type=_seeds, help="a seed, or the first and the last one: 0-19999")
    parser.add_argument("--jobs", type=int, default=1, help="processes that run side by side")
    parser.add_argument(
        "--first",
        action="store_true",
        help="stop when a history breaks a rule, or when something essential never happens",
    )
    options = parser.parse_args(arguments)
    with _without_log():
        return _report(options.seeds, options.jobs, stops=options.first)


def _report(seeds: range, jobs: int, *, stops: bool) -> int:
    if len(seeds) == 1:
        return _tell(seeds[0])
    tally = _Tally()
    is_interrupted = tally.count(seeds, jobs, stops=stops)
    missing = [] if is_interrupted or (stops and tally.failed) else list(below_the_floor(tally.counts, tally.done))
    for what, number in sorted(tally.counts.items()):
        print(f"{number:9,}  {what}")
    print(f"{tally.done:,} histories in {time.monotonic() - tally.began:.0f} s, {len(tally.failed)} of them broke a rule")
    if tally.failed:
        print(f"their seeds are {', '.join(map(str, sorted(tally.failed)))}")
    for sentence in missing:
        print(sentence)
    for seed in sorted(tally.failed)[: 1 if stops else 3]:
        _tell(seed)
    return 130 if is_interrupted else 1 if tally.failed or missing else 0


@contextmanager
def _without_log() -> Iterator[None]:
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


class _Tally:
    """What has happened so far in how many histories, and which seeds broke a rule."""

    def __init__(self) -> None:
        self.began = self._shown = time.monotonic()
        self.done = 0
        self.counts: Counter[str] = Counter()
        self.failed: list[int] = []

    def count(self, seeds: range, jobs: int, *, stops: bool) -> bool:
        """Run these seeds, with ``stops`` until something is found. Return whether that was interrupted."""
        try:
            for chunk, counts, failed in _run_all(seeds, jobs):
                self.done += len(chunk)
                self.counts.update(counts)
                self.failed += failed
                if stops and (failed or never_happened(self.counts, self.done)):
                    break
                self._show(len(seeds))
        except KeyboardInterrupt:
            return True
        return False

    def _show(self, total: int) -> None:
        if time.monotonic() - self._shown >= _PROGRESS:
            self._shown = time.monotonic()
            print(f"{self.done:,} of {total:,} histories, {len(self.failed)} of them broke a rule", file=sys.stderr, flush=True)


def _seeds(text: str) -> range:
    first, _, last = text.partition("-")
    try:
        seeds = range(int(first), int(last or first) + 1)
    except ValueError:
        seeds = range(0)
    if not seeds:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number nor two of them, the smaller one first: 0-19999")
    return seeds


def _run_all(seeds: range, jobs: int) -> Iterator[_Some]:
    chunks = [seeds[at : at + _CHUNK] for at in range(0, len(seeds), _CHUNK)]
    if jobs == 1:
        yield from map(_run_some, chunks)
        return
    with multiprocessing.Pool(jobs, _prepare) as pool:
        yield from pool.imap_unordered(_run_some, chunks)


def _prepare() -> None:
    """Write no log. Ctrl-C is for the process that reports."""
    logging.disable(logging.CRITICAL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _run_some(seeds: range) -> _Some:
    counts, failed = Counter[str](), list[int]()
    with _collected_afterwards():
        for seed in seeds:
            result = run(make_plan(seed))
            counts.update(result.counts)
            if result.violations:
                failed.append(seed)
    return seeds, counts, failed


@contextmanager
def _collected_afterwards() -> Iterator[None]:
    """Collect no garbage in between: the collector takes a twelfth of the time to find that most of it still lives."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.collect()


def _tell(seed: int) -> int:
    """Print the history of a seed. One that breaks a rule is made small first. Return 1 if it breaks one."""
    plan = make_plan(seed)
    result = run(plan)
    print(f"\nSeed {seed}:")
    if result.violations:
        result = run(shrink(plan))
        print("breaks a rule. Shrunk, it is this story (seconds since the beginning):")
    _print(result)
    return 1 if result.violations else 0


def _print(result: Result) -> None:
    for line in (*result.story, *map(str, result.violations)):
        print(line)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
