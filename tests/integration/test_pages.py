"""The pages for each kind of server: what they say to type is typed, and what they say one sees is seen."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.tools.hosts import StandardHost, VibeKanbanHost
from tests.tools.pages import bash, follow
from tests.tools.tmux import TmuxServer
from tests.tools.waiting import wait_until

pytestmark = pytest.mark.daemon

PAGES = Path(__file__).parents[2] / "docs" / "hosts"
LONG = 60.0


class Machine:
    """A user of a private machine: a home, tmux sockets, and what a page says is installed."""

    def __init__(self, home: Path, stack: ExitStack) -> None:
        self.home = home
        self.environment = {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "HOME": str(home),
            "TMUX_TMPDIR": str(home),
            "LC_ALL": "C",
        }
        self.run = bash(self.environment, home, timeout=LONG)
        self._stack = stack
        self._daemon: subprocess.Popen[str] | None = None

    def server(self, socket: str) -> TmuxServer:
        """The tmux server behind the socket of that name."""
        directory = self.home / f"tmux-{os.getuid()}"
        directory.mkdir(mode=0o700, exist_ok=True)
        return self._stack.enter_context(TmuxServer(name=socket, directory=directory))

    def start(self) -> str:
        """The daemon, as its unit starts it; until it is ready."""
        self._daemon = subprocess.Popen(
            ["workspace-reaper", "run"], env=self.environment, cwd=self.home, stderr=subprocess.PIPE, text=True
        )
        self._stack.callback(self.stop)
        assert self._daemon.stderr is not None
        for line in self._daemon.stderr:
            if "event=started" in line:
                return ""
        raise AssertionError("it ended before it was ready")

    def stop(self) -> str:
        """As a service manager does it."""
        if self._daemon is not None:
            self._daemon.send_signal(signal.SIGTERM)
            self._daemon.communicate(timeout=LONG)
            assert self._daemon.returncode == 0
            self._daemon = None
        return ""


@pytest.fixture
def machine(short_tmp: Path) -> Iterator[Machine]:
    with ExitStack() as stack:
        yield Machine(short_tmp, stack)


def installed() -> str:
    """The tests run where it is installed."""
    return ""


def once(act: Callable[[], object], then: Callable[[], str]) -> Callable[[], str]:
    """Does the first thing at the first call only."""
    done: list[object] = []

    def both() -> str:
        if not done:
            done.append(act())
        return then()

    return both


def test_bettercoding(machine: Machine) -> None:
    path = machine.home / ".local/share/bettercoding/db.v2.sqlite"
    path.parent.mkdir(parents=True)
    host = VibeKanbanHost(path)
    host.create()
    ids = [host.new_id(number) for number in range(3)]
    host.insert(ids)
    server = machine.server("bettercoding")
    for one in ids:
        server.new_session(f"bc_{one.replace('-', '')}")
    follow(
        PAGES / "bettercoding.md",
        machine.run,
        instead={
            "pipx install workspace-reaper": installed,
            "systemctl --user daemon-reload": installed,
            "systemctl --user enable --now workspace-reaper.service": machine.start,
            "workspace-reaper history": once(lambda: host.delete(ids[0]), lambda: machine.run("workspace-reaper history")),
            "systemctl --user disable --now workspace-reaper.service": machine.stop,
            "pipx uninstall workspace-reaper": installed,
        },
        patiently=["workspace-reaper history", "workspace-reaper status"],
        patience=LONG,
    )
    assert len(server.session_ids()) == 2
    assert not (machine.home / ".local/state/workspace-reaper").exists()


def test_any_other_server(machine: Machine) -> None:
    path = machine.home / "app.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE jobs (job_id INTEGER PRIMARY KEY, state TEXT NOT NULL, folder TEXT)")
        connection.executemany("INSERT INTO jobs VALUES (?, 'open', ?)", [(1, None), (2, str(machine.home))])
        connection.commit()
    server = machine.server("jobs")
    for number in (1, 2):
        server.new_session(f"job-{number}")

    def delete() -> None:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("DELETE FROM jobs WHERE job_id = 1")
            connection.commit()

    follow(
        PAGES / "table.md",
        machine.run,
        instead={
            "pipx install workspace-reaper": installed,
            "workspace-reaper run": machine.start,
            "workspace-reaper history": once(delete, lambda: machine.run("workspace-reaper history")),
            "rm -r ~/.config/workspace-reaper ~/.local/state/workspace-reaper": lambda: (
                machine.stop() + machine.run("rm -r ~/.config/workspace-reaper ~/.local/state/workspace-reaper")
            ),
            "pipx uninstall workspace-reaper": installed,
        },
        patiently=["workspace-reaper history"],
        patience=LONG,
    )
    assert len(server.session_ids()) == 1


def test_a_server_that_keeps_files(machine: Machine) -> None:
    state = machine.home / ".claude-squad" / "state.json"
    state.parent.mkdir()
    (example,) = re.findall(r"```json\n(.*?)```", (PAGES / "files.md").read_text(encoding="utf-8"), re.DOTALL)
    document = json.loads(example)
    state.write_text(example)
    server = machine.server("default")
    for name in ("Fixlogin", "docsv1_2"):
        server.new_session(f"claudesquad_{name}")

    def delete() -> None:
        state.write_text(json.dumps({**document, "instances": document["instances"][1:]}))

    follow(
        PAGES / "files.md",
        machine.run,
        instead={
            "pipx install workspace-reaper": installed,
            "workspace-reaper run": machine.start,
            "workspace-reaper history": once(delete, lambda: machine.run("workspace-reaper history")),
            "rm -r ~/.config/workspace-reaper ~/.local/state/workspace-reaper": lambda: (
                machine.stop() + machine.run("rm -r ~/.config/workspace-reaper ~/.local/state/workspace-reaper")
            ),
            "pipx uninstall workspace-reaper": installed,
        },
        patiently=["workspace-reaper history"],
        patience=LONG,
    )
    assert len(server.session_ids()) == 1


SERVER = """
import sqlite3, sys
from workspace_hookspecs import WorkspacePlugins
plugins = WorkspacePlugins.load()
with plugins.ticking(every=60):
    for line in sys.stdin:
        with sqlite3.connect(sys.argv[1]) as database:
            database.execute("DELETE FROM workspaces WHERE id = ?", [line.strip()])
        plugins.workspace_deleted(line.strip())
plugins.drain(30)
plugins.close()
"""


def test_a_python_server(machine: Machine) -> None:
    path = machine.home / ".local/share/workspace-reaper/workspaces.sqlite"
    path.parent.mkdir(parents=True)
    host = StandardHost(path)
    host.create()
    host.insert(["one", "two"])
    server = machine.server("workspaces")
    server.new_session("ws-one")
    server.new_session("ws-two")

    def delete() -> None:
        command = [sys.executable, "-c", SERVER, str(path)]
        done = subprocess.run(command, env=machine.environment, input="one\n", text=True, timeout=LONG)
        assert done.returncode == 0

    follow(
        PAGES / "python.md",
        machine.run,
        instead={
            "pip install workspace-hookspecs": installed,
            "pip install workspace-reaper": installed,
            "workspace-reaper history": once(delete, lambda: machine.run("workspace-reaper history")),
            "pip uninstall -y workspace-reaper": installed,
        },
        patiently=["workspace-reaper history"],
        patience=LONG,
    )
    wait_until(lambda: len(server.session_ids()) == 1)
