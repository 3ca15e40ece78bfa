"""Where a storm happens: a host, its sessions, the reaper beside them, and a clock that is ahead as far as the storm wants."""

from __future__ import annotations

import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from tests.tools.clocks import Later
from tests.tools.disks import SmallDisk
from tests.tools.front_registry import FrontRegistry
from tests.tools.hosts import VibeKanbanHost
from tests.tools.storm_table import CONDEMNED, KINDS, Looks, Member
from tests.tools.storm_tmux import PlannedTmux
from tests.tools.tmux import TmuxServer
from workspace_reaper.operations.reaper import Reaper
from workspace_reaper.registry import load_schema, open_registry
from workspace_reaper.settings import Settings
from workspace_reaper.tmux.terminal import TmuxTerminal

__all__ = ["LONG", "SHORT", "Scene", "Stage", "theatre_of"]

SHORT, LONG = 0.4, 60.0
"""Seconds that a tmux command may take while it errs, and while it does not."""

THEATRES = ("tmux", "tmux", "tmux", "tmux", "registry", "registry", "both", "ledger full", "ledger read-only")


def theatre_of(seed: int) -> str:
    """Where the storm of this seed is."""
    return Random(seed).choice(THEATRES)


@dataclass
class Stage:
    """What storms of one process share: a tmux server that outlives them, a tmux in front of it, a database to begin with, and
    for the storms of the ledger a small disk."""

    server: TmuxServer
    front: PlannedTmux
    template: Path
    directory: Path
    disk: SmallDisk | None = None

    @classmethod
    @contextmanager
    def built(cls, directory: Path, disk: SmallDisk | None = None) -> Iterator[Stage]:
        """A stage in this directory; all of it is gone at the end."""
        with TmuxServer() as server:
            server.new_session("base")
            server.run("set-option", "-g", "remain-on-exit", "on")
            # Rows that never have a session.
            host = VibeKanbanHost(directory / "template.sqlite")
            host.create()
            host.insert([host.new_id(number) for number in range(3)])
            yield cls(server, PlannedTmux(directory / "front"), host.path, directory, disk)


class Scene:
    """The sessions of one storm and the reaper beside them. ``story`` is what has happened, for a person."""

    def __init__(self, stage: Stage, seed: int) -> None:
        self.stage = stage
        self.server = stage.server
        self.random = Random(seed)
        self.theatre = self.random.choice(THEATRES)
        self.story = [f"theatre: {self.theatre}"]
        self.clock = Later()
        self.members: list[Member] = []
        self.looks = Looks(time.time())
        self.stack = ExitStack()
        self.directory = stage.directory / f"seed-{seed}"
        self.directory.mkdir()
        self.stack.callback(shutil.rmtree, self.directory)
        self.host = VibeKanbanHost(Path(shutil.copy(stage.template, self.directory / "host.sqlite")))
        self._cast()
        self._start()
        state = self.directory / "state"
        if self.theatre.startswith("ledger"):
            state = self.disk.path / f"seed-{seed}"
            self.stack.callback(shutil.rmtree, state, ignore_errors=True)
        self._settings = Settings(
            registry="vibe-kanban",
            database_url=str(self.host.path),
            tmux_sockets=[self.server.path],
            state_dir=state,
            kill_grace=0.2,
            snapshots=self.random.random() < 0.6,
        )
        self.registry = FrontRegistry(
            open_registry(load_schema("vibe-kanban"), str(self.host.path), {}, busy_limit=0.02),
        )
        self.start_reaper()

    @property
    def disk(self) -> SmallDisk:
        """Where the ledger is, in the storms that it is about."""
        assert self.stage.disk is not None, "the storms of the ledger need a small disk"
        return self.stage.disk

    def _cast(self) -> None:
        random = self.random
        fates = random.sample(CONDEMNED, random.randint(2, len(CONDEMNED)))
        others = ["pinned", "running", "kept", "stranger", "foreign", "unmanaged"]
        fates += random.sample(others, random.randint(2, len(others)))
        if random.random() < 0.25:
            fates.append("attached")
        if self.theatre not in ("registry", "both") and random.random() < 0.5:
            fates.append("lied about")  # where the row may be lost as well, a hook and the lack of a row convict
        bare = sum(not KINDS[kind].row for kind in fates)
        fates += ["newcomer"] + ["living"] * (bare + 3)  # so many that the breaker has no reason
        random.shuffle(fates)
        for kind in fates:
            workspace_id = str(uuid.UUID(int=random.getrandbits(128)))
            name = "vk_" + uuid.UUID(workspace_id).hex + ("x" if kind == "unmanaged" else "")
            self.members.append(Member(kind, workspace_id, name))
        self.story.append("cast: " + ", ".join(fates))

    def _start(self) -> None:
        lines = []
        for member in self.members:
            lines.append(f"new-session -d -P -F '#{{session_id}}' -s {member.name} '{KINDS[member.kind].command}'\n")
            if member.kind in ("kept", "foreign"):
                option = "@reaper_keep 1" if member.kind == "kept" else "@workspace_owner feedc0de"
                lines.append(f"set-option -t ={member.name}: {option}\n")
        self.stack.callback(self._end)
        started = self.server.run("source-file", "-", stdin="".join(lines)).split()
        for member, session_id in zip(self.members, started, strict=True):
            member.session_id = session_id
            if member.kind == "attached":
                self.stack.callback(self.server.attach(session_id).close)
        without = ("stranger", "foreign", "unmanaged")
        self.host.insert([member.workspace_id for member in self.members if member.kind not in without])

    def _end(self) -> None:
        ours = {member.session_id for member in self.members} & self.there()
        self.server.run("source-file", "-", stdin="".join(f"kill-session -t {one}\n" for one in ours))

    def start_reaper(self) -> None:
        """A new reaper, as after a restart of its process."""
        self.reaper = Reaper(self._settings, {})
        self.stack.callback(self.reaper.close)
        self.reaper.clock = self.clock
        self.reaper.dependencies = replace(self.reaper.dependencies, clock=self.clock, registry=self.registry)
        self.let_tmux_take(LONG)

    def let_tmux_take(self, seconds: float) -> None:
        """The time limit of a tmux command."""
        terminals = [TmuxTerminal(self.server.path, limit=seconds)]
        self.reaper.terminals = terminals
        self.reaper.dependencies = replace(self.reaper.dependencies, terminals=terminals)

    def change_the_world(self) -> None:
        """The host archives and deletes; ``yesterday`` is a copy of its database from before."""
        self.yesterday = Path(shutil.copy(self.host.path, self.directory / "yesterday.sqlite"))
        VibeKanbanHost(self.yesterday).delete(*self._ids("newcomer"))
        for one in self._ids("archived", "archived by hook", "kept", "running"):
            self.host.archive(one)
        for one in self._ids("pinned"):
            self.host.pin(one)
        for one in self._ids("running"):
            self.host.start(one)
        for one in self._ids("worktree-deleted"):
            self.host.delete_worktree(one)
        self.host.delete(*self._ids("orphan", "deleted", "attached"))

    def _ids(self, *kinds: str) -> list[str]:
        return [member.workspace_id for member in self.members if member.kind in kinds]

    def advance(self, seconds: float) -> None:
        """So much time goes by."""
        self.clock.seconds += seconds
        self.story.append(f"  {seconds} s go by")

    def there(self) -> set[str]:
        """The ids of all sessions, by the real tmux."""
        return set(self.server.run("list-sessions", "-F", "#{session_id}").split())

    def rows(self) -> int:
        """So many rows the host has."""
        with self.host.writing() as connection:
            return int(connection.execute("SELECT count(*) FROM workspaces").fetchone()[0])
