"""Takes one safety rule after the other out of the reaper, and shows which of them the histories find.

``python -m tests.simulation.mutants`` runs all mutants, or those that are named by their names or by their faults, and then
tells their stories.
"""

from __future__ import annotations

import argparse
import sys
import time

from tests.simulation.mutants import MUTANTS, find

HISTORIES = 20_000


def main(arguments: list[str]) -> int:
    """Run the mutants that are named, or all. Return 1 if one is not found."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.mutants", description=__doc__)
    parser.add_argument("named", nargs="*", help="names or faults, such as I68")
    parser.add_argument("--histories", type=int, default=HISTORIES, help="how many are run of each, at most")
    options = parser.parse_args(arguments)
    named = options.named
    chosen = [one for one in MUTANTS if not named or one.name in named or not set(one.faults).isdisjoint(named)]
    missed = 0
    for one in chosen:
        began = time.monotonic()
        story = find(one, options.histories)
        missed += story is None
        found = "found" if story else f"NOT found within {options.histories:,} histories"
        print(f"{', '.join(one.faults)} {one.name}: {found} ({time.monotonic() - began:.0f} s)", flush=True)
        if story and named:
            print(story)
    print(f"{len(chosen) - missed} of {len(chosen)} found")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
