"""A machine in small for the state machine: tmux, a host's database, users with their clients, and a reaper, all real.

It does what happens on a machine, and tells what is there by tmux commands and SQL of its own. What is right is for the
oracle to say.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Collection, Sequence
from dataclasses import asdict, replace
from typing import cast

from tests.tools.machine_facts import Host, Key, Limits
from tests.tools.machine_freeze import FreezableRegistry, Freeze
from tests.tools.machine_host import MachineHost
from tests.tools.machine_listing import FOR_ALL, Listing, Pane, list_sessions
from tests.tools.machine_terminal import TimedTerminal
from tests.tools.machine_time import Carried, MachineClock
from tests.tools.tmux import FOREVER, Client, TmuxServer
from tests.tools.waiting import wait_until
from workspace_reaper.model.events import WorkspaceEvent as Said  # a name that pytest does not take for a test
from workspace_reaper.model.ports import Registry
from workspace_reaper.model.reap import Reap
from workspace_reaper.model.session import SessionKey
from workspace_reaper.operations.breaker_reset import reset_breaker
from workspace_reaper.operations.reaper import Reaper
from workspace_reaper.operations.sessions import own_owner_id
from workspace_reaper.operations.status import read_history, read_status
from workspace_reaper.plugin import ReaperPlugin
from workspace_reaper.settings import Settings
from workspace_reaper.sweep.context import SweepRequest
from workspace_reaper.sweep.report import SweepReport
from workspace_reaper.tmux.terminal import TmuxTerminal

__all__ = ["FOREIGN_STAMP", "LIMITS", "MachineWorld", "name_of"]

LIMITS = Limits(
    idle_ttl=40_500,
    min_age=2500,
    activity_grace=1500,
    archived_ttl=3500,
    stranger_ttl=10_500,
    dead_ttl=4500,
    confirmation_gap=500,
    orphan_confirmations=2,
)
"""The clock is moved on by thousands; what the steps of a life take comes on top, and is less than 500: no age is ever so near
one of these that a slow machine would decide."""

FOREIGN_STAMP = "f0e1d2c3"
"""What the sessions of another registry carry."""


def name_of(workspace: str) -> str:
    """The name that the host gives the session of a workspace."""
    return f"ws-{workspace}"


class _Reaper(Reaper):
    """``last`` is what its last sweep told."""

    last: SweepReport

    def sweep(self, request: SweepRequest) -> SweepReport:
        self.last = super().sweep(request)
        return self.last


class MachineWorld:
    """Close it at the end. Its clock stands still until ``clock.go_on``."""

    def __init__(self) -> None:
        self._carried = Carried()
        self.clock = MachineClock(self._carried)
        self.server = TmuxServer()
        self.host = MachineHost(self.server.directory)
        self.freeze = Freeze(self.server, self.clock)
        self.clients: list[Client] = []
        self._suspended: list[Client] = []
        self.start_reaper()

    def close(self) -> None:
        """All that was started is ended, and gone from the disk."""
        self._plugin.close()
        self.server.close()

    # What is there

    def look(self) -> Listing:
        """The sessions as tmux lists them now, in the time that the machine has lived."""
        return list_sessions(self.server, self._carried)

    def look_at_host(self) -> Host:
        """What the host has now."""
        return Host(self.host.rows(), self.host.registry(), self.host.directories())

    # The users and the host

    def start(self, name: str, owner: str = "") -> str:
        """A new session; its id."""
        session_id = self.server.new_session(name)
        if owner:
            self.server.set_option(session_id, "@workspace_owner", owner)
        return session_id

    def set_for_all(self, option: str, *, on: bool) -> None:
        """Somebody sets an option of the reaper for all sessions, or unsets it."""
        self.server.run("set-option", "-g", *([option, FOR_ALL] if on else ["-u", option]), check=False)

    def join(self, session_id: str, name: str) -> None:
        """A new session that shows the windows of another one."""
        self.server.run("new-session", "-d", "-t", session_id, "-s", name)

    def kill(self, session_id: str) -> None:
        """The user ends a session."""
        self.server.run("kill-session", "-t", session_id)

    def rename(self, session_id: str, name: str) -> None:
        """The user renames a session."""
        self.server.run("rename-session", "-t", f"{session_id}:", name)

    def keep(self, session_id: str, *, on: bool) -> None:
        """Set the option that keeps a session, or unset it."""
        option = ["@reaper_keep", "1"] if on else ["-u", "@reaper_keep"]
        self.server.run("set-option", "-t", f"{session_id}:", *option)

    def attach(self, session_id: str, key: Key) -> Client:
        """A user attaches a client."""
        who = (key.server, key.server_start, key.session_id)
        self._carried.wait_for_another((*who, "activity"), (*who, "came"))
        client = self.server.attach(session_id)
        self.clients.append(client)
        return client

    def leave(self, client: Client, how: str) -> None:
        """A client goes away (``detach``, ``kill``) or is suspended (``suspend``). It may be gone, with its session."""
        if client.tty in client.attached():
            # One that is suspended hears nothing.
            getattr(client, "kill" if client in self._suspended else how)()
        if how == "suspend" and client not in self._suspended:
            self._suspended.append(client)
            return
        self.clients.remove(client)
        self.server.clients.remove(client)
        client.close()

    def open_window(self, session_id: str) -> None:
        """One more window, which is not the current one."""
        self.server.run("new-window", "-d", "-t", f"{session_id}:", FOREVER)

    def print_in(self, pane: Pane) -> None:
        """A program of this pane prints something; tmux has read it when this returns."""
        self._carried.wait_for_another(pane.window)
        since = int(time.time())
        terminal = os.open(pane.tty, os.O_WRONLY | os.O_NOCTTY)
        try:
            os.write(terminal, b"hello\r\n")
        finally:
            os.close(terminal)
        wait_until(lambda: int(self.server.run("display-message", "-p", "-t", pane.window[2], "#{window_activity}")) >= since)

    def end_panes(self, session_id: str, panes: Sequence[Pane]) -> None:
        """The programs of these panes end, and the panes remain."""
        for pane in panes:
            self.server.run("set-option", "-w", "-t", pane.window[2], "remain-on-exit", "on")
            os.kill(pane.pid, signal.SIGKILL)
        # Now and then tmux misses the end of a child: since when a pane is dead it then tells when another one has ended.
        undated = ["display-message", "-p", "-t", f"{session_id}:", "#{W:#{P:#{?pane_dead_time,,1}}}"]
        wait_until(lambda: not self.server.run("run-shell", "-b", "true", ";", *undated))

    def restart_tmux(self) -> None:
        """The server ends, and with it its sessions and clients."""
        self.server.kill()
        for client in list(self.clients):
            self.leave(client, "kill")

    # The reaper

    def start_reaper(self) -> None:
        """Another process of the reaper, with the same state directory: it has no memory but that."""
        settings = Settings(
            registry="standard",
            database_url=f"sqlite:///{self.host.path}",
            tmux_sockets=[self.server.path],
            state_dir=self.server.directory / "state",
            snapshots=False,
            **asdict(LIMITS),
        )
        self._reaper = reaper = _Reaper(settings)
        reaper.terminals = [TimedTerminal(TmuxTerminal(self.server.path), self._carried, self.freeze)]
        reaper.clock = self.clock
        registry = cast("Registry", FreezableRegistry(reaper.registry, self.freeze))
        reaper.dependencies = replace(reaper.dependencies, terminals=reaper.terminals, clock=self.clock, registry=registry)
        self._plugin = ReaperPlugin()
        self._plugin.use(reaper)

    def restart_reaper(self) -> None:
        """The reaper's process ends, and another one starts."""
        self._plugin.close()
        self.start_reaper()

    def sweep(self, *, dry_run: bool = False, approve: Collection[Key] = ()) -> SweepReport:
        """A full sweep."""
        return self._plugin.sweep(dry_run=dry_run, approve=[SessionKey(self.server.path, *key) for key in approve])

    def hook(self, workspace: str, said: str) -> SweepReport:
        """What a hook brings about: its last look."""
        self._plugin._runner.look_at({workspace: Said(said)}, {workspace})
        return self._reaper.last

    def reset_breaker(self) -> None:
        """An operator frees the breaker."""
        reset_breaker(self._reaper)

    @property
    def owner_id(self) -> str:
        """What our sessions carry. To be asked after a full sweep."""
        return own_owner_id(self._reaper)

    @property
    def check_code(self) -> int:
        """The exit code of ``status --check`` now."""
        return read_status(self._reaper).check_code

    def history(self) -> list[Reap]:
        """All that was ever tried, by the ledger."""
        return read_history(self._reaper, 1000)
