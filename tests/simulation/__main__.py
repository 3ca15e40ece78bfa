"""Runs histories: ``python -m tests.simulation 0-19999``, or one seed as a story: ``python -m tests.simulation 17``."""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Iterator
from typing import TypeAlias

from tests.simulation.floors import below_the_floor, never_happened
from tests.simulation.unfrozen import unfrozen

with unfrozen():
    from tests.simulation.history import Result, run
    from tests.simulation.plan import make_plan
    from tests.simulation.shrink import shrink

_CHUNK = 250

# Some seeds, what happened in their histories, and those of them that broke a rule.
_Some: TypeAlias = "tuple[range, Counter[str], list[int]]"


def main(arguments: list[str]) -> int:
    """Run the histories that the command line names. Return 1 if one breaks a rule, or if too little happened in them."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("seeds", help="a seed, or the first and the last one: 0-19999")
    parser.add_argument("--jobs", type=int, default=1, help="processes that run side by side")
    parser.add_argument(
        "--first",
        action="store_true",
        help="stop when a history breaks a rule, or when something essential never happens",
    )
    options = parser.parse_args(arguments)
    logging.disable(logging.CRITICAL)
    first, _, last = options.seeds.partition("-")
    if not last:
        return _tell(int(first))
    began, done, counts, failed = time.monotonic(), 0, Counter[str](), list[int]()
    for seeds, some, broken in _run_all(range(int(first), int(last) + 1), options.jobs):
        done += len(seeds)
        counts.update(some)
        failed += broken
        if options.first and (broken or never_happened(counts, done)):
            break
    missing = [] if options.first and failed else list(below_the_floor(counts, done))
    for what, number in sorted(counts.items()):
        print(f"{number:9,}  {what}")
    print(f"{done:,} histories in {time.monotonic() - began:.0f} s, {len(failed)} of them broke a rule")
    for sentence in missing:
        print(sentence)
    for seed in sorted(failed)[: 1 if options.first else 3]:
        _tell(seed)
    return 1 if failed or missing else 0


def _run_all(seeds: range, jobs: int) -> Iterator[_Some]:
    chunks = [seeds[at : at + _CHUNK] for at in range(0, len(seeds), _CHUNK)]
    if jobs == 1:
        yield from map(_run_some, chunks)
        return
    with multiprocessing.Pool(jobs) as pool:
        yield from pool.imap_unordered(_run_some, chunks)


def _run_some(seeds: range) -> _Some:
    logging.disable(logging.CRITICAL)
    counts, failed = Counter[str](), list[int]()
    for seed in seeds:
        result = run(make_plan(seed))
        counts.update(result.counts)
        if result.violations:
            failed.append(seed)
    return seeds, counts, failed


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
