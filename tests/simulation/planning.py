"""Makes plans: one seed makes one plan."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import accumulate
from random import Random
from typing import Any, TypeVar

from tests.simulation.chances import (
    AFTER_A_CRASH,
    AMOUNTS,
    ANSWERS,
    CAUSES,
    ESCAPES,
    FAULTS,
    MEETINGS,
    POINTS,
    REFUSING,
    RELEASES,
    SILENT,
    SWEEPS,
    WAITS,
)
from tests.simulation.plan import DAEMON, LOSE_STATE, RESTART, RESTART_INSIDE, RUNS, SWEEP, Event, Interruption, Plan, Step
from tests.simulation.scenes import SCENES, scene_of

__all__ = ["make_plan"]

_Row = TypeVar("_Row", bound="tuple[Any, ...]")


def _row(random: Random, table: Sequence[_Row]) -> _Row:
    """Choose a row of a table by the weights in its first column."""
    return random.choices(table, cum_weights=_cumulated(table))[0]


@cache
def _cumulated(table: Sequence[tuple[Any, ...]]) -> Sequence[int]:
    return list(accumulate(weight for weight, *_ in table))


def _one(random: Random, weighted: Sequence[tuple[int, str]]) -> str:
    return _row(random, weighted)[1]


def make_plan(seed: int) -> Plan:
    """Return the plan of this seed."""
    random = Random(seed)
    workspaces = random.choice((2, 3, 3, 4, 5, 7))
    steps = [Step(Event(SWEEP))]
    has_daemon = random.random() < 0.25
    episodes = random.choice((1, 1, 1, 2))
    if random.random() < 0.06:
        steps += scene_of(random.choice(SCENES), random.randrange(workspaces), workspaces)
        episodes -= 1
    for _ in range(episodes):
        steps += _episode(random, workspaces, has_daemon=has_daemon)
    while sum(step.event.what == SWEEP for step in steps) < 4:
        steps += [Step(Event("wait", 0, random.choice(WAITS))), Step(Event(SWEEP))]
    is_watched = random.random() < 0.07
    if is_watched:
        steps += [Step(Event("wait", 0, 61.0)), Step(Event(SWEEP))] * 9
    return Plan(
        seed,
        workspaces,
        tuple(steps),
        undo_window=600.0 if random.random() < 0.25 else 0.0,
        is_watched=is_watched,
        has_daemon=has_daemon,
        foreign=random.choice((0, 0, 0, 0, 1, 2)),
        rows_alone=random.choice((0, 0, 0, 9)),
    )


def _episode(random: Random, workspaces: int, *, has_daemon: bool) -> list[Step]:
    """A session or some become due, the reaper looks several times, and something happens in between."""
    _, events, rests = _row(random, CAUSES)
    targets = random.sample(range(workspaces), random.choice((1, 1, 1, 2, min(3, workspaces))))
    steps = _before(random, workspaces, targets)
    for target in targets:
        for what in events:
            during = _during(random, workspaces, targets) if what in RUNS else ()
            steps.append(Step(Event(what, target), during))
            if has_daemon and random.random() < 0.5:
                steps.append(Step(Event(DAEMON), _during(random, workspaces, targets)))
    for number in range(random.choice((2, 2, 2, 3))):
        rest = random.choice(rests if number == 0 else (*rests, 31.0, 61.0))
        steps.append(Step(Event("wait" if random.random() < 0.97 else "sleep", 0, rest)))
        if random.random() < 0.25:
            steps.append(Step(_meeting(random, workspaces, targets)))
        if random.random() < 0.04:
            steps += _interrupted(random, targets[0])
        if has_daemon and random.random() < 0.5:
            steps.append(Step(Event(DAEMON), _during(random, workspaces, targets)))
        steps.append(Step(Event(random.choices(*SWEEPS)[0]), _during(random, workspaces, targets)))
    if random.random() < 0.4:
        steps += [Step(Event(what, target)) for target in targets for what in RELEASES]
        steps += [Step(Event("wait", 0, random.choice((61.0, 610.0)))), Step(Event(SWEEP))]
    return steps


def _before(random: Random, workspaces: int, targets: Sequence[int]) -> list[Step]:
    steps = []
    if random.random() < 0.3:
        steps.append(Step(_meeting(random, workspaces, targets)))
    if random.random() < 0.08:
        steps.append(Step(Event(random.choice((RESTART, RESTART_INSIDE, LOSE_STATE)), targets[0])))
    if random.random() < 0.5:
        # Idle for a while, so that the cause decides.
        steps.append(Step(Event("wait", 0, random.choice((61.0, 125.0)))))
        steps.append(Step(Event(SWEEP)))
    return steps + [Step(Event(what, targets[0])) for what, share in ESCAPES if random.random() < share]


def _interrupted(random: Random, who: int) -> list[Step]:
    """A sweep ends right before its kills, the session of a workspace ends by itself, and its row changes."""
    crash = Interruption("terminal.kill", 1, Event("crash"))
    changes = [Event(what, who) for what in random.sample(AFTER_A_CRASH, random.choice((1, 2)))]
    steps = [Step(Event("escape", who)), Step(Event(SWEEP), (crash,)), Step(Event("end", who))]
    return [*steps, *map(Step, changes), Step(Event("wait", 0, 31.0)), Step(Event(SWEEP))]


def _meeting(random: Random, workspaces: int, targets: Sequence[int]) -> Event:
    who = random.choice(targets) if random.random() < 0.85 else random.randrange(workspaces)
    what = _one(random, MEETINGS)
    return Event(what, who, random.choice(AMOUNTS.get(what, (0.0,))))


def _during(random: Random, workspaces: int, targets: Sequence[int]) -> tuple[Interruption, ...]:
    if random.random() < 0.1:
        # What happens after the verdict, and then a delay in which it gets old.
        before, then = random.choice((("ledger.record_intents", "snapshots.take"), ("terminal.kill", "terminal.kill")))
        change = Interruption(before, 1, _meeting(random, workspaces, targets))
        return change, Interruption(then, 1, Event("freeze", 0, random.choice((6.0, 20.0))))
    return tuple(_interruption(random, workspaces, targets) for _ in range(random.choice((0, 1, 1, 2, 3))))


def _interruption(random: Random, workspaces: int, targets: Sequence[int]) -> Interruption:
    _, point, numbers = _row(random, POINTS)
    nth = random.choice(numbers)
    if random.random() < 0.7:
        return Interruption(point, nth, _meeting(random, workspaces, targets))
    fault = _one(random, FAULTS)
    is_impossible = fault in ANSWERS and point not in SILENT
    if is_impossible or (fault == "refuse" and point not in REFUSING):
        fault = random.choice(("crash", "freeze"))
    return Interruption(point, nth, Event(fault, 0, random.choice((1.0, 3.0, 4.5, 6.0, 61.0)) if fault == "freeze" else 0.0))
