"""The example hosts keep the contract: each passes the conformance kit, over real sockets, with real commits."""

from __future__ import annotations

import asyncio
import http.client
import importlib
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import urllib.parse
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from tests.tools.waiting import wait_until
from workspace_hookspecs.testing import HostConformance

pytestmark = pytest.mark.once

EXAMPLES = Path(__file__).parents[2] / "hookspecs" / "examples"
LIMIT = 60.0


class Client(ABC):
    """A server as its users have it, over HTTP; and its database, as its operator has it."""

    def __init__(self, database: Path) -> None:
        self.database = str(database)
        self.port = self.start()

    @abstractmethod
    def start(self) -> int:
        """Start the server; its port."""

    @abstractmethod
    def close(self) -> None:
        """Shut it down."""

    def ask(self, method: str, path: str) -> tuple[int, str]:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=LIMIT)) as connection:
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    def do(self, method: str, path: str, status: int = 200) -> str:
        answered, text = self.ask(method, path)
        assert answered == status, (answered, text)
        return text

    def create(self) -> str:
        return self.do("POST", "/workspaces", 201)

    def archive(self, workspace_id: str) -> None:
        self.do("POST", f"/workspaces/{workspace_id}/archive")

    def unarchive(self, workspace_id: str) -> None:
        self.do("POST", f"/workspaces/{workspace_id}/unarchive")

    def delete(self, workspace_id: str) -> None:
        self.do("DELETE", f"/workspaces/{workspace_id}")

    def failing_delete(self, workspace_id: str) -> None:
        """The database refuses at the last moment, when the row is deleted already."""
        with closing(sqlite3.connect(self.database)) as connection, connection:
            connection.execute("CREATE TRIGGER no AFTER DELETE ON workspaces BEGIN SELECT RAISE(ROLLBACK, 'no'); END")
        self.do("DELETE", f"/workspaces/{workspace_id}", 503)
        with closing(sqlite3.connect(self.database)) as connection, connection:
            connection.execute("DROP TRIGGER no")

    def state(self, workspace_id: str) -> str | None:
        with closing(sqlite3.connect(self.database)) as connection:
            row = connection.execute("SELECT archived FROM workspaces WHERE id = ?", [workspace_id]).fetchone()
        return None if row is None else "archived" if row[0] else "active"


class Threaded(Client):
    def start(self) -> int:
        self.server = importlib.import_module("threaded_server").Server(self.database)
        self.thread = threading.Thread(target=self.server.run)
        self.thread.start()
        return self.server.server_port

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join(LIMIT)


class Asynchronous(Client):
    def start(self) -> int:
        started = threading.Event()
        self.thread = threading.Thread(target=lambda: asyncio.run(self.serve(started)))
        self.thread.start()
        assert started.wait(LIMIT)
        return self.used

    async def serve(self, started: threading.Event) -> None:
        self.loop = asyncio.get_running_loop()
        self.server = importlib.import_module("asyncio_server").Server(self.database)

        def listening(port: int) -> None:
            self.used = port
            started.set()

        await self.server.run(listening)

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.server.stop.set)
        self.thread.join(LIMIT)


class Command(Client):
    """A server as a process, ended by TERM."""

    script = "preforking_server.py"

    def start(self) -> int:
        command = [sys.executable, "-W", "error", str(EXAMPLES / self.script), self.database]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        return urllib.parse.urlsplit(self.process.stdout.readline().strip()).port or 0

    def close(self) -> None:
        self.process.terminate()
        out, _ = self.process.communicate(timeout=LIMIT)
        assert (self.process.returncode, out) == (0, "")


class ThreadedCommand(Command):
    script = "threaded_server.py"


class AsynchronousCommand(Command):
    script = "asyncio_server.py"


@pytest.fixture(autouse=True)
def examples(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The examples can be imported, as where they are run from; afterwards they were never there. No reaper listens."""
    before = set(sys.modules)
    monkeypatch.setenv("WORKSPACE_PLUGINS_BLOCK", "reaper")
    monkeypatch.syspath_prepend(str(EXAMPLES))
    yield
    for name in set(sys.modules) - before:
        if Path(getattr(sys.modules[name], "__file__", None) or "/").parent == EXAMPLES:
            del sys.modules[name]


class TestThreaded(HostConformance):
    """The threaded server, in this process."""

    patience = 30.0

    @pytest.fixture
    def workspace_host(self, tmp_path: Path) -> Threaded:
        return Threaded(tmp_path / "host.db")


class TestAsyncio(HostConformance):
    """The asyncio server, in this process."""

    patience = 30.0

    @pytest.fixture
    def workspace_host(self, tmp_path: Path) -> Asynchronous:
        return Asynchronous(tmp_path / "host.db")


class TestPreforking(HostConformance):
    """The pre-forking server, in processes of its own."""

    patience = 30.0

    @pytest.fixture
    def workspace_host(self, tmp_path: Path) -> Command:
        return Command(tmp_path / "host.db")


@pytest.mark.parametrize("kind", [ThreadedCommand, AsynchronousCommand])
def test_term_ends_an_example_that_runs_as_a_program(kind: type[Command], tmp_path: Path) -> None:
    server = kind(tmp_path / "host.db")
    workspace_id = server.create()
    server.delete(workspace_id)
    assert server.ask("DELETE", f"/workspaces/{workspace_id}")[0] == 404
    assert server.ask("POST", "/elsewhere")[0] == 404
    server.close()


def test_workers_end_with_the_process_that_forked_them(tmp_path: Path) -> None:
    server = Command(tmp_path / "host.db")
    workers = psutil.Process(server.process.pid).children()
    assert len(workers) == 2
    os.kill(server.process.pid, signal.SIGKILL)
    server.process.communicate(timeout=LIMIT)
    wait_until(lambda: not any(worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE for worker in workers), LIMIT)


@pytest.mark.parametrize("name", ["threaded_server", "asyncio_server", "preforking_server"])
def test_an_example_is_small_and_shows_the_three_lines(name: str) -> None:
    text = (EXAMPLES / f"{name}.py").read_text(encoding="utf-8")
    assert len(text.splitlines()) < 100
    assert "WorkspacePlugins.load()  # 1: " in text
    assert ".ticking(every=60):  # 2: " in text
    assert "3: after the commit" in text or "(3, in the handler" in text
