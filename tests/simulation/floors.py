"""How often each thing has to happen in the histories, so that empty ones prove nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

__all__ = ["COUNTED", "below_the_floor", "never_happened"]

# For 1,000 histories: about a third of what is usual.
FLOORS = {
    "kill deleted": 60,
    "kill removed": 50,
    "kill archived": 100,
    "kill worktree-deleted": 30,
    "kill orphan": 70,
    "kill idle": 120,
    "kill dead": 40,
    "by attached": 150,
    "by kept": 100,
    "by running": 10,
    "by pinned": 1,
    "by active": 50,
    "by young": 5,
    "by renamed": 100,
    "by group": 10,
    "by veto": 40,
    "by unproven": 60,
    "by unconfirmed": 100,
    "by breaker": 50,
    "by doubtful": 40,
    "by unknown": 20,
    "by announced": 30,
    "by undone": 5,
    "by clock": 5,
    "by snapshot": 5,
    "by workspace": 5,
    "by gone": 10,
    "by registry": 10,
    "by socket": 10,
    "signal TERM": 10,
    "signal KILL": 2,
    "crash": 100,
    "event in a sweep": 500,
    "event sleep": 40,
    "event delete most": 40,
    "event insert all": 8,
    "event sweep --approve": 60,
    "event breaker reset": 20,
    "foreign session lives": 150,
    "event start again": 30,
    "event escape cleaned": 20,
    "event escape stopped": 20,
    "session came back": 10,
    "event copy marks": 5,
    "event be needed": 5,
    "event daemon looks": 300,
    "few rows go before the daemon": 70,
    "many rows go before the daemon": 10,
    "breaker latched": 250,
    "clock stepped": 20,
}

# The events of which it is counted how often they happen.
COUNTED = frozenset(what.removeprefix("event ") for what in FLOORS if what.startswith("event "))

# Fewer histories say nothing about rare things.
ENOUGH = 1000

# That sessions end, that what they leave behind is signalled, and that the breaker holds.
_ESSENTIAL = tuple(what for what in FLOORS if what.startswith(("kill", "signal", "by breaker")))


def below_the_floor(counts: Counter[str], histories: int) -> Iterator[str]:
    """Yield a sentence for each thing that happened too rarely."""
    if histories >= ENOUGH:
        for what, number in FLOORS.items():
            needed = number * histories // 1000
            if counts[what] < needed:
                yield f"{what}: {counts[what]} times in {histories} histories, expected at least {needed}"


def never_happened(counts: Counter[str], histories: int) -> bool:
    """Return whether something essential has not happened at all."""
    return histories >= ENOUGH and not all(counts[what] for what in _ESSENTIAL)
