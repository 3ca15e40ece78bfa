"""A host that makes, uses, archives and deletes workspaces without a rest, and what a reaper beside it takes meanwhile."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from statistics import median

import psutil

from tests.tools.storm_tmux import KINDS, Fault, draw_fault
from tests.tools.tmux import TmuxServer
from tests.tools.world import World, session_name

__all__ = ["Churn", "Samples", "errors", "growth", "plot"]

RATE = 5
"""Sessions a second that are made, used, and archived or deleted."""

POPULATION = 60
"""So many live at a time: what has just been deleted is never half of them."""

CYCLE = 500


def errors(random: Random, socket: str, share: float = 0.2) -> tuple[dict[tuple[str, int], Fault], int]:
    """A plan by which this share of all calls errs, and after how many calls of a kind it begins again. One call in it hangs,
    until the reaper's patience is at its end. None claims a kill that was none: if the listing after it hides
    the session, that cannot be known, and the session is reaped once more, rightly."""
    plan = {}
    for kind in KINDS:
        for number in random.sample(range(1, CYCLE + 1), int(share * CYCLE)):
            fault = draw_fault(random, kind, socket)
            while "hang" in fault.name or fault.claims:
                fault = draw_fault(random, kind, socket)
            plan[kind, number] = fault
    plan["list", 20] = Fault("hangs", "exec sleep 60")
    return plan, CYCLE


class Churn:
    """``run`` goes on for so long; ``gone`` tells when nothing is left of what has been archived or deleted."""

    def __init__(self, world: World, random: Random) -> None:
        self._world = world
        self._random = random
        self._server: TmuxServer = world.server
        self._living: deque[str] = deque()
        self._archived: deque[str] = deque()
        self._ended: set[str] = set()
        self.made = 0
        self.kept = world.workspaces(3)
        world.workspaces(300, sessions=False)  # a host has more workspaces than sessions
        for session_id in self._server.session_ids():
            self._server.set_option(session_id, "@reaper_keep", "1")
        world.host.archive(self.kept[0])

    def run(self, seconds: float, meanwhile: Callable[[], object], *, every: float) -> None:
        """Churn; ``meanwhile`` is called every so many seconds."""
        begun = time.monotonic()
        looked = 0.0
        step = 0
        while (at := time.monotonic() - begun) < seconds:
            if at >= looked:
                meanwhile()
                looked += every
            self._step()
            step += 1
            time.sleep(max(0.0, step / RATE - (time.monotonic() - begun)))

    def _step(self) -> None:
        """Make one, use one, archive or delete one, and delete what was archived and is gone."""
        workspace_id = self._world.workspace()
        self._world.session(workspace_id, command="cat")
        self._living.append(workspace_id)
        self.made += 1
        used = session_name(self._world.schema, self._random.choice(self._living))
        there = self._use(used)
        if len(self._living) <= POPULATION:
            return
        ended = self._living.popleft()
        name = session_name(self._world.schema, ended)
        self._ended.add(name)
        if there[name] and self._random.random() < 0.3:
            self._world.host.delete(ended)
        else:
            self._world.host.archive(ended)
            self._archived.append(ended)
        if self._archived and session_name(self._world.schema, self._archived[0]) not in there:
            self._world.host.delete(self._archived.popleft())

    def _use(self, used: str) -> dict[str, bool]:
        """Type in this session. All sessions by their names, and whether the registry is known to have known each: one that it
        has not is a stranger without its row."""
        row = "#{session_name} #{?@workspace_owner,1,}"
        told = self._server.run("send-keys", "-t", f"={used}:", "hello", "Enter", ";", "list-sessions", "-F", row)
        return {name: bool(owned) for name, _, owned in (line.partition(" ") for line in told.split("\n"))}

    @property
    def ended(self) -> int:
        """So many were archived or deleted."""
        return len(self._ended)

    def living(self) -> set[str]:
        """The names of the sessions that nobody may end."""
        return {session_name(self._world.schema, one) for one in (*self._living, *self.kept)}

    def there(self) -> set[str]:
        """The names of all sessions that there are."""
        return set(self._server.run("list-sessions", "-F", "#{session_name}").split("\n"))

    def gone(self) -> bool:
        """All that was archived or deleted is gone."""
        return not self._ended & self.there()


@dataclass
class Samples:
    """What a process takes: memory (bytes), threads, and open files, as often as it is looked at."""

    process: psutil.Process
    memory: list[float] = field(default_factory=list)
    threads: list[float] = field(default_factory=list)
    files: list[float] = field(default_factory=list)

    def take(self) -> None:
        """Look at it."""
        with self.process.oneshot():
            self.memory.append(self.process.memory_info().rss)
            self.threads.append(self.process.num_threads())
            self.files.append(self.process.num_fds())

    def plots(self) -> str:
        """All of it, to be printed."""
        megabytes = [one / 2**20 for one in self.memory]
        return "\n".join(
            plot(name, values) for name, values in (("MB", megabytes), ("threads", self.threads), ("files", self.files))
        )


def growth(values: Sequence[float], *, warm_up: float = 0.25) -> tuple[float, float]:
    """The median of the first third, once it is warm, and that of the last."""
    warm = values[int(len(values) * warm_up) :]
    third = max(1, len(warm) // 3)
    return median(warm[:third]), median(warm[-third:])


_BLOCKS = "▁▂▃▄▅▆▇█"


def plot(name: str, values: Sequence[float], width: int = 60) -> str:
    """One line: the name, the least and the most, and between them how it went."""
    width = min(width, len(values))
    parts = [values[len(values) * at // width : len(values) * (at + 1) // width] for at in range(width)]
    means = [sum(part) / len(part) for part in parts]
    low, high = min(means), max(means)
    heights = [int((mean - low) / (high - low) * (len(_BLOCKS) - 1)) if high > low else 0 for mean in means]
    return f"{name:>8} {low:8.1f} {''.join(_BLOCKS[height] for height in heights)} {high:.1f}"
