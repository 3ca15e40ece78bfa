"""Clients that attach at random all through the sweep: who was there lives, and who never came goes.

A client counts as attached if tmux let it in: then it stays until its session is killed, and says so ("[exited]"). One that
came too late says that it can't find the session, and never was there.
"""

from __future__ import annotations

import os
import pty
import random
import selectors
import signal
import subprocess
import threading
import time
from dataclasses import dataclass

import pytest

from tests.tools.tmux import TmuxServer, clean_environment
from tests.tools.waiting import wait_until
from tests.tools.world import World, outcomes, session_name
from workspace_reaper.util.batch_size import BatchSize

ROUNDS = 20
SESSIONS = 200
CLIENTS = 60


@dataclass
class Visitor:
    """A real client on a terminal of its own, which may come too late."""

    workspace_id: str
    process: subprocess.Popen[bytes]
    terminal: int
    said: bytes = b""

    @property
    def has_ended(self) -> bool:
        return self.process.poll() is not None

    @property
    def came_too_late(self) -> bool:
        return self.has_ended and self.process.returncode == 1 and b"can't find session" in self.said

    def leave(self) -> None:
        if not self.has_ended:
            os.killpg(self.process.pid, signal.SIGKILL)  # its own process group: start_new_session
            self.process.wait(10)
        os.close(self.terminal)


class Visitors:
    """Send clients one after the other, at random moments, from a thread; read what they print in another."""

    def __init__(self, server: TmuxServer, sessions: dict[str, str], rng: random.Random, within: float) -> None:
        self._server = server
        self._sessions = sessions
        self._plan = sorted((rng.uniform(0, within), one) for one in rng.sample(sorted(sessions), CLIENTS))
        self._over = threading.Event()
        self._selector = selectors.DefaultSelector()
        self.all: list[Visitor] = []
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._send, self._read)]

    def __enter__(self) -> Visitors:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._threads[0].join()
        self._over.set()
        self._threads[1].join()
        for visitor in self.all:
            visitor.leave()
        self._selector.close()

    def settle(self) -> None:
        """Wait until the last one is in, or has been told that it is too late."""
        self._threads[0].join()
        wait_until(lambda: all(one.has_ended or one.workspace_id in self.inside() for one in self.all), 30)
        wait_until(lambda: all(one.said for one in self.all if one.has_ended))

    def inside(self) -> set[str]:
        """The workspaces whose sessions tmux itself lists as attached now."""
        listed = self._server.run("list-clients", "-F", "#{session_id}", check=False).split()
        return {one for one, session_id in self._sessions.items() if session_id in listed}

    def _send(self) -> None:
        started = time.monotonic()
        for moment, one in self._plan:
            time.sleep(max(0.0, moment - (time.monotonic() - started)))
            self.all.append(self._visit(one))

    def _visit(self, workspace_id: str) -> Visitor:
        terminal, slave = pty.openpty()
        command = [self._server.tmux, "-u", "-S", self._server.path, "attach-session", "-t", self._sessions[workspace_id]]
        process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, env=clean_environment(), start_new_session=True
        )
        os.close(slave)
        visitor = Visitor(workspace_id, process, terminal)
        self._selector.register(terminal, selectors.EVENT_READ, visitor)
        return visitor

    def _read(self) -> None:
        while not self._over.is_set():
            if not self._selector.get_map():
                self._over.wait(0.01)
                continue
            for key, _ in self._selector.select(0.02):
                try:
                    key.data.said += os.read(key.fd, 65536)
                except OSError:  # the other side of the terminal is closed
                    self._selector.unregister(key.fd)


class Steady(BatchSize):
    """The same number of sessions in each batch, so that there are many joints."""

    def learn(self, sessions: int, seconds: float, *, server: float | None = None, nothing: float = 0.0) -> None:
        """Nothing: the number stays."""


@pytest.mark.race
@pytest.mark.parametrize("seed", range(ROUNDS))
def test_who_has_a_client_lives_and_who_never_had_one_goes(world: World, seed: int) -> None:
    rng = random.Random(seed)
    archived = world.workspaces(SESSIONS, archived=True)
    world.workspaces(1)
    listed = world.server.run("list-sessions", "-F", "#{session_name} #{session_id}").split("\n")
    ids = dict(line.split(" ") for line in listed)
    sessions = {one: ids[session_name(world.schema, one)] for one in archived}
    reaper = world.plugin.reaper()
    reaper.state.batch_size = Steady(rng.choice([3, 6, 12, 25]))

    with Visitors(world.server, sessions, rng, within=rng.uniform(0.3, 2.0)) as visitors:
        report = world.sweep()
        visitors.settle()
        inside = visitors.inside()
        alive = {one for one in archived if sessions[one] in world.server.session_ids()}

        thrown_out = [one for one in visitors.all if one.workspace_id not in inside and not one.came_too_late]
        assert not thrown_out, "a session was killed under its client"
        assert alive == inside, "all that never had a client are gone, and nobody else is"

    ends = outcomes(report)
    assert {one for one in archived if ends[one] == "reaped"} == set(archived) - inside
    saved = {entry.protected_by for entry in report.sessions if entry.workspace_id in inside}
    assert saved <= {"attached"}
    assert report.exit_code == 0
    late = sum(one.came_too_late for one in visitors.all)
    at_guard = sum(bool(entry.reap_id) for entry in report.sessions if entry.workspace_id in inside)
    print(f"seed {seed}: {len(inside)} attached ({at_guard} of them when they were condemned already), {late} too late")
