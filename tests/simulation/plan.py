"""The plan of a history: what happens, in which order and at which moment of a sweep. One seed makes one plan.

A plan names workspaces by number and holds no state, so that steps can be taken out of it and it can run again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from random import Random
from typing import Any, TypeVar

__all__ = ["Event", "Interruption", "Plan", "Step", "make_plan"]

_Row = TypeVar("_Row", bound="tuple[Any, ...]")


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happens to a workspace (its number in the plan), or to the machine. ``amount`` is in seconds."""

    what: str
    who: int = 0
    amount: float = 0.0

    def __str__(self) -> str:
        return f"{self.what} w{self.who}" + (f" {self.amount:g} s" if self.amount else "")


@dataclass(frozen=True, slots=True)
class Interruption:
    """An event right before the ``nth`` call of a port's method in a step (1 is the first)."""

    point: str
    nth: int
    event: Event

    def __str__(self) -> str:
        return f"{self.event} before call {self.nth} of {self.point}"


@dataclass(frozen=True, slots=True)
class Step:
    """An event between two sweeps, a wait, or a run of the reaper (``RUNS``), during which other events happen."""

    event: Event
    during: tuple[Interruption, ...] = ()

    def __str__(self) -> str:
        return "; ".join(map(str, (self.event, *self.during)))


@dataclass(frozen=True, slots=True)
class Plan:
    """A history to be. ``workspaces`` is how many there are at its beginning.

    ``is_watched``: what lives on unreported is judged at its end, which needs more sweeps and an early alarm.
    ``has_daemon``: the reaper is a daemon that watches the database. ``foreign`` is how many sessions belong to no workspace,
    and ``rows_alone`` how many rows have no session.
    """

    seed: int
    workspaces: int
    steps: tuple[Step, ...]
    undo_window: float = 0.0
    is_watched: bool = False
    has_daemon: bool = False
    foreign: int = 0
    rows_alone: int = 0


# What happens to the reaper as a whole: its process starts again, or does so in a session, or its state directory is lost.
RESTART, RESTART_INSIDE, LOSE_STATE = "restart", "restart in the session of", "lose state"

# What runs the reaper.
SWEEP, LOOK_DELETED, LOOK_ARCHIVED, APPROVE = "sweep", "hook deleted", "hook archived", "sweep --approve"
RESET, DAEMON = "breaker reset", "daemon looks"
RUNS = frozenset({SWEEP, LOOK_DELETED, LOOK_ARCHIVED, APPROVE, RESET, DAEMON})

# How often the reaper is run in each way.
_RUN = (SWEEP, APPROVE, RESET), (92, 6, 2)

HOUR = 3600.0

# Each wait passes one limit of the configuration, or falls short of it.
WAITS = (1.0, 5.0, 25.0, 31.0, 61.0, 125.0, 610.0, 1810.0, 12.1 * HOUR, 24.1 * HOUR, 48.1 * HOUR)

# How a session becomes due: events, and how long it must rest afterwards.
CAUSES: Sequence[tuple[int, Sequence[str], Sequence[float]]] = (
    (8, ("delete",), (61.0, 125.0)),
    (6, ("delete", LOOK_DELETED), (1.0,)),
    (6, ("delete with directory",), (1.0, 31.0, 61.0)),
    (6, ("archive",), (61.0, 125.0, 24.1 * HOUR)),
    (6, ("archive", LOOK_ARCHIVED), (1.0,)),
    (2, ("archive", LOOK_ARCHIVED, "start again"), (1.0, 61.0)),
    (4, ("delete worktree",), (61.0, 125.0)),
    (4, (), (48.1 * HOUR,)),
    (5, ("exit",), (61.0, 610.0, 1810.0)),
    (3, ("new without row",), (12.1 * HOUR,)),
    (2, ("flag deleted",), (61.0,)),
    (2, ("restore",), (61.0, 125.0, 12.1 * HOUR)),
    (2, ("new without row", "insert newest", SWEEP, "restore in place"), (61.0, 125.0, 12.1 * HOUR)),
    (1, ("swap database",), (61.0, 12.1 * HOUR)),
    (1, ("unmount",), (61.0, 125.0)),
    (1, ("exit", "unmount", "delete"), (61.0, 125.0)),
    # What a hook says is not true.
    (1, (LOOK_DELETED,), (1.0, 31.0)),
    (1, (LOOK_ARCHIVED,), (1.0, 31.0)),
    # Two at once, of which one may go.
    (3, ("archive", "exit"), (610.0, 1810.0)),
    (3, ("delete most",), (61.0, 125.0)),
    (1, ("delete all",), (61.0, 125.0)),
    # Two sessions of one workspace in a group, of which one may not go.
    (1, ("view in group", "detach", "archive", "veto"), (125.0, 24.1 * HOUR)),
    # Idle time that is no idle time.
    (2, ("work for a day", SWEEP), (24.1 * HOUR,)),
    (2, ("archive", "step clock ahead"), (1.0, 31.0)),
)

# What may save a session, or ruin a decision, with its weight.
MEETINGS: Sequence[tuple[int, str]] = (
    (6, "attach"),
    (3, "type"),
    (4, "print"),
    (3, "compute"),
    (2, "starve"),
    (4, "keep"),
    (4, "insert"),
    (1, "insert all"),
    (6, "unarchive"),
    (4, "run"),
    (2, "pin"),
    (3, "rename away"),
    (3, "rename to next"),
    (4, "view in group"),
    (2, "exit"),
    (4, "respawn"),
    (2, "end"),
    (2, "end server"),
    (1, "swap database"),
    (1, "lock database"),
    (1, "unreadable row"),
    (2, "inherit keep"),
    (1, "mark as another's"),
    (2, "move directory"),
    (2, "make directory"),
    (1, "remove directory"),
    (1, "delete"),
    (1, "delete with directory"),
    (1, "recycle"),
    (2, "escape"),
    (1, "escape cleaned"),
    (1, "escape stopped"),
    (3, "start again"),
    (2, "depend"),
    (1, "supervise"),
    (1, "nest tmux"),
    (1, "stop"),
    (1, "hide"),
    (1, "inherit owner"),
    (1, "be needed"),
    (1, "copy marks"),
    (1, "mute"),
    (1, "unlink socket"),
    (2, "veto"),
    (1, "silence plugins"),
    (1, "fill disk"),
    (2, "step clock back"),
    (2, "step clock ahead"),
    (2, "sleep"),
)

# How long the machine sleeps, and by how much the clock is set: also by so little that this may go unnoticed.
AMOUNTS: Mapping[str, Sequence[float]] = {
    "sleep": (4.0, 70.0, 1.1 * HOUR, 13.0 * HOUR, 49.0 * HOUR),
    "step clock back": (4.0, 3600.0, 3600.0),
    "step clock ahead": (4.0, 3600.0, 3600.0, 49.0 * HOUR),
}

# What ends a protection again, so that sessions do not stay for good.
RELEASES = (
    "detach",
    "unkeep",
    "rest",
    "unpin",
    "unmute",
    "link socket",
    "unlock database",
    "allow",
    "uninherit keep",
    "uninherit owner",
    "show",
    "free disk",
    "work ends",
)

# What may change between a crash and the next sweep.
AFTER_A_CRASH = ("delete", "insert", "unarchive", "run", "new without row", "unreadable row")

# What happens to the reaper itself, or to an answer.
FAULTS: Sequence[tuple[int, str]] = (
    (4, "crash"),
    (4, "freeze"),
    (3, "lose answer"),
    (2, "no answer"),
    (2, "refuse"),
    (2, "cut answer"),
)

# The calls of a sweep, with the weight of an interruption there. The second listing is the one of the recheck.
POINTS: Sequence[tuple[int, str, Sequence[int]]] = (
    (14, "terminal.kill", (1, 1, 1, 2)),
    (4, "terminal.observe", (1, 2, 2, 3)),
    (4, "registry.look_up", (1, 2, 2, 3)),
    (2, "ledger.record_intents", (1,)),
    (2, "ledger.record_results", (1,)),
    (2, "ledger.save", (1, 2)),
    (3, "processes.signal", (1, 2, 3)),
    (2, "processes.table", (1, 2)),
    (1, "terminal.own_options", (1,)),
    (1, "terminal.mark", (1,)),
    (1, "snapshots.take", (1,)),
    (1, "directories.look", (1, 2)),
)

# An answer is lost, withheld or refused only where the port can say so.
SILENT = frozenset({"terminal.kill", "terminal.observe", "registry.look_up", "processes.table"})
REFUSING = frozenset({"ledger.record_intents", "ledger.record_results", "ledger.save"})


# What leaves processes behind that outlive their session.
_ESCAPES = (
    ("escape", 0.15),
    ("depend", 0.15),
    ("supervise", 0.15),
    ("nest tmux", 0.15),
    ("stop", 0.15),
    ("escape cleaned", 0.05),
    ("escape stopped", 0.05),
)

_ANSWERS = frozenset({"lose answer", "no answer", "cut answer"})


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
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        steps += _episode(random, workspaces, has_daemon=has_daemon)
    while sum(step.event.what == SWEEP for step in steps) < 5:
        steps += [Step(Event("wait", 0, random.choice(WAITS))), Step(Event(SWEEP))]
    is_watched = random.random() < 0.1
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
    for number in range(random.choice((2, 2, 3))):
        rest = random.choice(rests if number == 0 else (*rests, 31.0, 61.0))
        steps.append(Step(Event("wait" if random.random() < 0.97 else "sleep", 0, rest)))
        if random.random() < 0.25:
            steps.append(Step(_meeting(random, workspaces, targets)))
        if random.random() < 0.04:
            steps += _interrupted(random, targets[0])
        if has_daemon and random.random() < 0.5:
            steps.append(Step(Event(DAEMON), _during(random, workspaces, targets)))
        steps.append(Step(Event(random.choices(*_RUN)[0]), _during(random, workspaces, targets)))
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
    return steps + [Step(Event(what, targets[0])) for what, share in _ESCAPES if random.random() < share]


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
    is_impossible = fault in _ANSWERS and point not in SILENT
    if is_impossible or (fault == "refuse" and point not in REFUSING):
        fault = random.choice(("crash", "freeze"))
    return Interruption(point, nth, Event(fault, 0, random.choice((1.0, 3.0, 4.5, 6.0, 61.0)) if fault == "freeze" else 0.0))
