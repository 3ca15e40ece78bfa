"""A machine in small: tmux servers, a host's database, a state directory, and reapers that are configured for them."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.tools import commands
from tests.tools.file_hosts import FILE_HOSTS
from tests.tools.hosts import HOSTS, Host
from tests.tools.recording_hosts import RECORDING_HOSTS
from tests.tools.tmux import TmuxServer
from workspace_reaper.plugin import ReaperPlugin
from workspace_reaper.sweep.report import SessionReport, SweepReport

__all__ = ["World", "outcomes", "session_name"]

KINDS: dict[str, type[Host]] = {**HOSTS, **FILE_HOSTS, **RECORDING_HOSTS}

AT_ONCE = {
    "activity_grace": 0,
    "min_age": 0,
    "confirmation_gap": 0,
}
"""Nothing is too young or too fresh: what protects a session in a test is what the test is about."""


def session_name(schema: str, workspace_id: str) -> str:
    """The name that the host gives a workspace's session."""
    return KINDS[schema].session_name(workspace_id)


def outcomes(report: SweepReport) -> dict[str, str]:
    """What became of each session, by workspace id."""
    return {entry.workspace_id: entry.outcome for entry in report.sessions}


def _assignments(settings: Mapping[str, object]) -> str:
    return "".join(f"{name} = {json.dumps(value)}\n" for name, value in settings.items())


class World:
    """Use it as a context manager; everything that it started is gone at the end.

    ``host`` is the host's own side of the database, ``server`` the first tmux server. ``settings`` are those of the
    configuration file, on top of ``AT_ONCE``.
    """

    def __init__(self, tmp: Path, schema: str = "vibe-kanban", *, servers: int = 1, **settings: object) -> None:
        self._stack = ExitStack()
        self.tmp = tmp
        self.schema = schema
        self.host: Any = KINDS[schema](tmp / "host.sqlite")
        self.host.create()
        self.servers = [self._stack.enter_context(TmuxServer()) for _ in range(servers)]
        self.state_dir = tmp / "state"
        self.config = tmp / "workspace-reaper.toml"
        self.settings: dict[str, object] = {
            **AT_ONCE,
            **self.host.settings,
            "tmux_sockets": [server.path for server in self.servers],
            "state_dir": str(self.state_dir),
            **settings,
        }
        self._numbers = iter(range(1, 1_000_000))
        self._plugin: ReaperPlugin | None = None

    def __enter__(self) -> World:
        return self

    def __exit__(self, *_: object) -> None:
        if self._plugin is not None:
            self._plugin.close()
        self._stack.close()

    @property
    def server(self) -> TmuxServer:
        """The first tmux server."""
        return self.servers[0]

    def second(self, name: str, host: Host | None = None, **settings: object) -> World:
        """Another reaper's world on the same tmux servers: its own state directory, and its own database if one is given."""
        other = object.__new__(World)
        other.__dict__.update(self.__dict__)
        other._stack = ExitStack()
        other._plugin = None
        other.host = host or self.host
        other.state_dir = self.tmp / f"state-{name}"
        other.config = self.tmp / f"{name}.toml"
        other.settings = {
            **self.settings,
            **other.host.settings,
            "state_dir": str(other.state_dir),
            **settings,
        }
        self._stack.enter_context(other)
        return other

    def configure(self, **settings: object) -> None:
        """Change settings; reapers made from now on have them."""
        self.settings.update(settings)
        self._plugin = None

    def workspace(self, **flags: Any) -> str:
        """A new workspace, in the host's table; its id."""
        workspace_id: str = self.host.new_id(next(self._numbers))
        self.host.insert([workspace_id], **flags)
        return workspace_id

    def session(self, workspace_id: str, *, server: TmuxServer | None = None, command: str | None = None) -> str:
        """Start the workspace's session; its id, such as ``$3``."""
        name = session_name(self.schema, workspace_id)
        server = server or self.server
        return server.new_session(name, command) if command else server.new_session(name)

    def workspaces(self, count: int, *, sessions: bool = True, **flags: Any) -> list[str]:
        """Many workspaces at once, each with a session unless told otherwise; their ids."""
        ids = [self.host.new_id(next(self._numbers)) for _ in range(count)]
        self.host.insert(ids, **flags)
        if sessions:
            self.server.new_sessions([session_name(self.schema, one) for one in ids])
        return ids

    def lives(self, workspace_id: str, server: TmuxServer | None = None) -> bool:
        """tmux still has the workspace's session."""
        names = (server or self.server).run("list-sessions", "-F", "#{session_name}", check=False).split("\n")
        return session_name(self.schema, workspace_id) in names

    # The reaper, in this process

    @property
    def plugin(self) -> ReaperPlugin:
        """One plugin for the life of the world, as in a host."""
        if self._plugin is None:
            self._plugin = self.new_plugin()
        return self._plugin

    def new_plugin(self) -> ReaperPlugin:
        """Another plugin with the same configuration, as after a restart of the host."""
        self.write_config()
        plugin = ReaperPlugin()
        plugin.configure(self.config)
        self._stack.callback(plugin.close)
        return plugin

    def write_config(self) -> Path:
        """The configuration file, as JSON's scalars and lists happen to be TOML. A dictionary is a section."""
        sections = {name: value for name, value in self.settings.items() if isinstance(value, dict)}
        top = {name: value for name, value in self.settings.items() if name not in sections}
        blocks = [_assignments(top), *(f"[{name}]\n{_assignments(section)}" for name, section in sections.items())]
        self.config.write_text("".join(blocks))
        self.config.chmod(0o600)  # whatever the umask: one that others may write is refused
        return self.config

    def sweep(self, **options: Any) -> SweepReport:
        """One full sweep."""
        return self.plugin.sweep(**options)

    def entry(self, report: SweepReport, workspace_id: str) -> SessionReport:
        """The workspace's line in a report that has one."""
        found = [entry for entry in report.sessions if entry.workspace_id == workspace_id]
        assert found, f"the report has no session of the workspace {workspace_id}"
        return found[0]

    # The reaper, as a command

    def environment(self, **more: str) -> dict[str, str]:
        """What a service manager would give: PATH, HOME, no locale."""
        return {"PATH": os.environ["PATH"], "HOME": str(self.tmp), "LC_ALL": "C", **more}

    def cli(self, *arguments: str, stdin: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
        """Run ``workspace-reaper`` in an environment that has almost nothing."""
        self.write_config()
        return commands.run(
            ["--config", str(self.config), *arguments], env=self.environment(**environ), cwd=self.tmp, stdin=stdin
        )

    def cli_json(self, *arguments: str, expect: int = 0) -> Any:
        """The JSON that a command prints, when it exits with the code that is expected."""
        done = self.cli(*arguments, "--json")
        assert done.returncode == expect, (done.returncode, done.stdout, done.stderr)
        return json.loads(done.stdout)
