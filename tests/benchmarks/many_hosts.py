"""A full sweep of 30 hosts with 300 sessions in all, beside one of a single host with 300, in CPU time."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.benchmarks.measuring import Result, compare
from tests.tools.hosts import StandardHost
from tests.tools.tmux import TmuxServer
from workspace_reaper.operations.reapers import Reapers, reapers_for
from workspace_reaper.settings import Settings
from workspace_reaper.sweep.context import SweepRequest
from workspace_reaper.tmux.server_time import cpu_seconds

__all__ = ["many_hosts"]

HOSTS = 30
SESSIONS = 300


def many_hosts(tmp: Path, rounds: int) -> Iterator[Result]:
    """Nothing to do in either."""
    with ExitStack() as stack:
        one, many = (_Machine(tmp / str(number), number, stack) for number in (1, HOSTS))
        of_one, of_many = [], []
        for _ in range(rounds):
            of_one.append(one.sweep())
            of_many.append(many.sweep())
        name = f"full sweep, {HOSTS} hosts with {SESSIONS} sessions in all"
        floor = f"one host with {SESSIONS} sessions"
        yield compare(f"{name}: CPU time", [sum(each) for each in of_many], floor, [sum(each) for each in of_one], bound=1.5)
        yield compare(f"{name}: without that of tmux's server", [own for own, _ in of_many], floor, [own for own, _ in of_one])


class _Machine:
    """So many hosts on one tmux server, whose sessions are all marked."""

    def __init__(self, tmp: Path, hosts: int, stack: ExitStack) -> None:
        tmp.mkdir()
        self._server = stack.enter_context(TmuxServer())
        sections = [self._host(tmp, number, SESSIONS // hosts) for number in range(hosts)]
        common: Any = {"state_dir": tmp / "state", "activity_grace": 3600, "idle_ttl": 86_400}
        own: Any = {"hosts": sections} if hosts > 1 else {key: one for key, one in sections[0].items() if key != "name"}
        self._reapers: Reapers = reapers_for(Settings(**common, **own))
        stack.callback(self._reapers.close)
        while self._server.run("list-sessions", "-F", "#{?@reaper_self,1,}").count("1") < SESSIONS:
            self.sweep()

    def _host(self, tmp: Path, number: int, sessions: int) -> dict[str, object]:
        host = StandardHost(tmp / f"{number}.sqlite")
        host.create()
        ids = [host.new_id(one) for one in range(sessions)]
        host.insert(ids)
        self._server.new_sessions([f"h{number}-{one}" for one in ids])
        return {
            "name": f"h{number}",
            "registry": "standard",
            "database_url": str(host.path),
            "tmux_sockets": [self._server.path],
            "session_patterns": [f"h{number}-(?P<id>.+)"],
        }

    def sweep(self) -> tuple[float, float]:
        """Sweep once. Returns the CPU time of this process with its tmux client, and that of the server, in seconds."""
        before, server = _own(), cpu_seconds(self._server.pid) or 0.0
        assert self._reapers.sweep(SweepRequest()).complete
        return _own() - before, (cpu_seconds(self._server.pid) or 0.0) - server


def _own() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)
