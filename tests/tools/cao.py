"""The published ``cao-server`` in a world of its own: a private home, a private tmux, a free port, a stand-in for the agent.

Its tmux is the default socket of its environment, which is not the machine's: ``TMUX_TMPDIR`` points into the directory.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.tools.hosts import connected
from tests.tools.tmux import TmuxServer
from tests.tools.waiting import wait_until
from workspace_reaper.ledger import open_ledger
from workspace_reaper.sweep.last_report import read_report

__all__ = ["QUICK", "CaoServer", "free_port", "stand_in"]

PATIENCE = 60.0
"""Seconds. It imports for several of them where the machine is busy."""

_AGENT = """#!/bin/sh
while [ -e "$HOME/hold" ]; do sleep 0.2; done
printf '\\342\\235\\257 '
while IFS= read -r line; do
    printf '> MOCK: %s\\n\\342\\235\\257 ' "$line"
done
"""

QUICK = {
    "WORKSPACE_REAPER_TICK": "0.2",
    "WORKSPACE_REAPER_MIN_AGE": "0",
    "WORKSPACE_REAPER_ACTIVITY_GRACE": "1",
    "WORKSPACE_REAPER_CONFIRMATION_GAP": "0",
}
"""Settings under which what should go does so within seconds."""


def stand_in(home: Path) -> None:
    """Put our own ``mock_cli`` on the PATH of login shells with this home: it prints a prompt, and answers lines.

    While there is a file ``hold`` in the home it does not come so far.
    """
    programs = home / "programs"
    programs.mkdir(parents=True)
    (programs / "mock_cli").write_text(_AGENT, encoding="utf-8")
    (programs / "mock_cli").chmod(0o755)
    (home / ".profile").write_text(f'PATH="{programs}:$PATH"\nPS1="$ "\n', encoding="utf-8")


class CaoServer:
    """One server; a context manager that ends it, its tmux server, and so all that runs there. ``directory`` is short: a socket
    is in it. ``variables`` are further ones of its environment."""

    def __init__(self, directory: Path, **variables: str) -> None:
        self.home = directory / "home"
        stand_in(self.home)
        sockets = directory / "t" / f"tmux-{os.getuid()}"
        sockets.mkdir(parents=True, mode=0o700)
        self.tmux = TmuxServer(name="default", directory=sockets)
        self.work = directory / "work"
        self.work.mkdir()
        self.log = directory / "server.log"
        self.port = free_port()
        kept = {name: value for name, value in os.environ.items() if name in ("LANG", "LC_ALL", "PYTHONPATH", "TZ")}
        self.environment = {
            **kept,
            "HOME": str(self.home),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "SHELL": "/bin/sh",
            "TERM": "screen",
            "TMUX_TMPDIR": str(directory / "t"),
            "CAO_HOME_DIR": str(self.home / "cao"),
            **variables,
        }
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> CaoServer:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait(10)
        self.tmux.close()

    @property
    def place(self) -> Path:
        """Where it keeps its files."""
        configured = self.environment.get("CAO_HOME_DIR")
        return Path(configured) if configured else self.home / ".aws" / "cli-agent-orchestrator"

    @property
    def database(self) -> Path:
        """Its SQLite database."""
        return self.place / "db" / "cli-agent-orchestrator.db"

    @property
    def pid(self) -> int:
        """The process that was started last."""
        assert self._process is not None
        return self._process.pid

    def start(self, command: Sequence[str] = ("cao-server",)) -> None:
        """Start it and wait until it answers."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [str(Path(sys.executable).parent / command[0]), *command[1:], "--port", str(self.port)],
                env=self.environment,
                cwd=self.work,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        wait_until(self._answers, PATIENCE, every=0.05)

    def stop(self) -> int:
        """End it as a service manager does; its exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(30)

    def kill(self) -> None:
        """End it with SIGKILL: nothing of it has a last word."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)

    def create(self, name: str, **body: str) -> str:
        """Make a session over its API; the id of its terminal. With ``initial_message`` it does not wait for the agent."""
        query = {"provider": "mock_cli", "agent_profile": "developer", "working_directory": str(self.work)}
        terminal: str = self.request("POST", "/sessions", query | {"session_name": name}, body)["id"]
        self.tmux.adopt()
        return terminal

    def create_all(self, *names: str) -> dict[str, str]:
        """Make sessions, all at the same time; the ids of their terminals."""
        with ThreadPoolExecutor(len(names)) as pool:
            return dict(zip(names, pool.map(self.create, names), strict=True))

    def delete(self, name: str) -> dict[str, Any]:
        """Delete a session over its API."""
        deleted: dict[str, Any] = self.request("DELETE", f"/sessions/{name}")
        return deleted

    def request(
        self, method: str, path: str, query: Mapping[str, str] | None = None, body: Mapping[str, str] | None = None
    ) -> Any:
        """Its answer. What it refuses is an ``AssertionError`` with its reason."""
        url = f"http://127.0.0.1:{self.port}{path}?{urllib.parse.urlencode(query or {})}"
        data = json.dumps(body).encode() if body else None
        asked = urllib.request.Request(url, data, {"Content-Type": "application/json"} if body else {}, method=method)
        try:
            with urllib.request.urlopen(asked, timeout=PATIENCE) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as refusal:
            with refusal:
                raise AssertionError(f"{method} {path}: {refusal.code} {refusal.read().decode()}") from None

    def forget(self, *names: str) -> None:
        """Delete the rows of these sessions and nothing else, as its housekeeping does with what is older than 14 days."""
        with connected(self.database, timeout=30) as connection:
            connection.executemany("DELETE FROM terminals WHERE tmux_session = ?", [(name,) for name in names])

    def update(self, name: str, column: str, value: object) -> None:
        """Set a column of all rows of a session."""
        with connected(self.database, timeout=30) as connection:
            connection.execute(f"UPDATE terminals SET {column} = ? WHERE tmux_session = ?", (value, name))

    def rows(self, *columns: str) -> dict[str, tuple[object, ...]]:
        """The sessions that its table names, each with these columns of one of its rows."""
        with connected(self.database, timeout=30) as connection:
            found = connection.execute(f"SELECT {', '.join(['tmux_session', *columns])} FROM terminals")
            return {row[0]: tuple(row[1:]) for row in found}

    @contextmanager
    def write_lock(self) -> Iterator[None]:
        """Be its concurrent writer: what it wants to write waits, for five seconds at most, and everybody reads on."""
        with closing(sqlite3.connect(self.database, timeout=30, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield
            connection.execute("ROLLBACK")

    def sessions(self) -> set[str]:
        """The names of all sessions on its tmux."""
        return set(self.tmux.run("list-sessions", "-F", "#{session_name}", check=False).split("\n")) - {""}

    def stamped(self, name: str) -> bool:
        """Whether the reaper has recognised that session."""
        return bool(self.tmux.run("show-options", "-qv", "-t", f"={name}:", "@workspace_owner", check=False))

    @property
    def state_dir(self) -> Path:
        """Where its reaper keeps what it remembers."""
        return self.home / ".local" / "state" / "workspace-reaper"

    def report(self) -> dict[str, Any]:
        """Its reaper's last full report, with ``sessions`` by name; empty before the first one."""
        database = str(self.database)
        with closing(open_ledger(self.state_dir, registry_name="cao", location=database, read_only=True)) as ledger:
            found = read_report(ledger) or {"sessions": []}
        return found | {"sessions": {line["session"]: line for line in found["sessions"]}}

    def swept(self, times: int = 2) -> None:
        """Wait until its reaper has swept so many times from the beginning."""
        for _ in range(times):
            last = self.report().get("sweep")
            wait_until(lambda last=last: self.report().get("sweep") != last, PATIENCE)  # type: ignore[misc]

    def logged(self) -> str:
        """All that is in its own log files."""
        return "".join(path.read_text(encoding="utf-8") for path in sorted((self.place / "logs").glob("*.log")))

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log.read_text(encoding="utf-8", errors="replace")
        with suppress(OSError, AssertionError):
            return bool(self.request("GET", "/health"))
        return False


def free_port() -> int:
    """A port on which nobody listens at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
