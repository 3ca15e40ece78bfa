"""``init`` on machines in small: real databases, real tmux servers, the real command; and nothing comes into being."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pty
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.tools.distributions import install
from tests.tools.hosts import CaoHost, StandardHost, VibeKanbanHost
from tests.tools.tmux import TmuxServer, takes_name
from tests.tools.waiting import wait_until
from workspace_reaper.cli import main
from workspace_reaper.registry import registry_names
from workspace_reaper.settings import load_settings

pytestmark = pytest.mark.once

PROGRAM = "from workspace_reaper.cli import main; main()"
LIMIT = 60.0


class Machine:
    """A home and a tmux directory of their own."""

    def __init__(self, home: Path, tmp: Path, stack: ExitStack) -> None:
        self.home, self.tmp, self._stack = home, tmp, stack
        self.sockets = tmp / f"tmux-{os.getuid()}"
        self.sockets.mkdir(mode=0o700)
        self.config = home / ".config" / "workspace-reaper" / "workspace-reaper.toml"

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
        return {**kept, "HOME": str(self.home), "TMUX_TMPDIR": str(self.tmp), "LC_ALL": "C", "TERM": "dumb"}

    def tmux(self, name: str) -> TmuxServer:
        return self._stack.enter_context(TmuxServer(name=name, directory=self.sockets))

    def kanban(self, place: str = "bettercoding") -> VibeKanbanHost:
        directory = self.home / ".local" / "share" / place
        directory.mkdir(parents=True)
        host = VibeKanbanHost(directory / "db.v2.sqlite")
        host.create()
        return host

    def everything(self) -> dict[str, bytes | None]:
        """All that is on it, with content, but for sockets."""
        places = [*self.home.rglob("*"), *self.tmp.rglob("*")]
        return {str(place): place.read_bytes() if place.is_file() else None for place in places}


@pytest.fixture
def machine(tmp_path: Path, short_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    home = tmp_path / "home"
    home.mkdir()
    for name in list(os.environ):
        if name.startswith(("XDG_", "BC_", "CAO_", "WORKSPACE_", "TMUX")):
            monkeypatch.delenv(name)
    with ExitStack() as stack:
        made = Machine(home, short_tmp, stack)
        monkeypatch.setenv("HOME", str(home))
        monkeypatch.setenv("TMUX_TMPDIR", str(short_tmp))
        yield made


Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def init(monkeypatch: pytest.MonkeyPatch) -> Command:
    """``workspace-reaper init`` in this process, without a terminal."""

    def run(*arguments: str, before: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        out, err, code = io.StringIO(), io.StringIO(), 0
        words = ["workspace-reaper", *before, "init", *arguments]
        with monkeypatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            patch.setattr(sys, "argv", words)
            patch.setattr(sys, "stdin", io.StringIO())
            try:
                main()
            except SystemExit as ended:
                code = int(ended.code or 0)
        return subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())

    return run


def told(done: subprocess.CompletedProcess[str]) -> Any:
    assert (done.returncode, done.stderr) == (0, ""), done
    return json.loads(done.stdout)


def states(found: Any) -> dict[tuple[str, str], str]:
    return {(one["registry"], Path(one["database"]).parent.name): one["state"] for one in found["databases"]}


def test_a_machine_with_nothing_stays_one(machine: Machine, init: Command) -> None:
    before = machine.everything()
    found = told(init("--json"))
    assert set(states(found).values()) == {"absent"}
    assert {registry for registry, _ in states(found)} == set(registry_names())
    known = {
        ("vibe-kanban", "bettercoding"),
        ("vibe-kanban", "vibe-kanban"),
        ("standard", "workspace-reaper"),
        ("cao", "db"),
    }
    assert {one for one in states(found) if one[0] in dict(known)} == known
    assert (found["sockets"], found["problems"], found["chosen"], found["written"]) == ([], [], None, False)
    assert found["file"] == str(machine.config)
    done = init()
    assert (done.returncode, done.stderr) == (0, "")
    assert "Nothing is written. To write the file, add --write." in done.stdout
    assert "    enabled = false\n" in done.stdout
    assert machine.everything() == before


def test_both_homes_of_vibe_kanban(machine: Machine, init: Command) -> None:
    current, legacy = machine.kanban(), machine.kanban("vibe-kanban")
    ids = [current.new_id(number) for number in range(3)]
    current.insert(ids)
    legacy.insert(ids[:1])
    servers = [machine.tmux(name) for name in ("bettercoding", "vibe-kanban")]
    servers[0].new_sessions([f"bc_{uuid.UUID(ids[0]).hex}", f"bc_{uuid.UUID(ids[1]).hex}", f"bc_{'f' * 32}", "mine"])
    servers[1].new_sessions([f"vk_{uuid.UUID(ids[0]).hex}"])
    before = machine.everything()
    found = told(init("--json"))
    assert [(one["workspaces"], one["known_sessions"]) for one in found["databases"] if one["state"] == "there"] == [
        (3, 2),
        (1, 1),
    ]
    by_name = {Path(one["socket"]).name: one for one in found["sockets"]}
    assert len(by_name["bettercoding"]["matching"]["vibe-kanban"]) == 3
    assert "mine" in by_name["bettercoding"]["sessions"]
    assert len(by_name["vibe-kanban"]["matching"]["vibe-kanban"]) == 1
    assert found["chosen"] == {"registry": "vibe-kanban", "database": str(current.path)}
    assert found["why"] == "vibe-kanban: its database was found, and has 2 of its 4 sessions."
    assert machine.everything() == before
    words = init().stdout
    assert f"{current.path}: 3 workspaces, with 2 of its 4 sessions" in words
    assert "4 sessions: 3 of vibe-kanban, such as bc_" in words
    assert "1 others, such as mine" in words


def test_the_written_file_is_what_the_other_commands_read(machine: Machine, init: Command, monkeypatch) -> None:
    host = machine.kanban()
    done = init("--write")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{machine.config} is written. Next steps:" in done.stdout
    assert "'workspace-reaper service systemd' for a unit that starts it at each login" in done.stdout
    assert machine.config.stat().st_mode & 0o777 == 0o600
    settings = load_settings()
    assert (settings.registry, settings.database_url) == ("vibe-kanban", f"sqlite:///{host.path}")
    assert (settings.enabled, settings.configured) == (False, True)
    assert load_settings(None, {"WORKSPACE_REAPER_ENABLED": "1"}).enabled
    # A socket directory that hangs on a variable is written down.
    assert settings.tmux_sockets == (str(machine.sockets / "bettercoding"), str(machine.sockets / "vibe-kanban"))


def test_the_preview_that_it_recommends_works_at_once(machine: Machine, init: Command) -> None:
    host = machine.kanban()
    [known] = ids = [host.new_id(1)]
    host.insert(ids)
    machine.tmux("bettercoding").new_session(f"bc_{uuid.UUID(known).hex}")
    told(init("--write", "--json"))
    swept = subprocess.run(
        [sys.executable, "-c", PROGRAM, "sweep", "--dry-run", "--json"],
        env=machine.environment,
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    assert (swept.returncode, swept.stderr) == (0, "")
    report = json.loads(swept.stdout)
    assert (report["abstained"], report["totals"]["managed"]) == (None, 1)


def test_cao_on_the_default_socket_and_the_standard_table(machine: Machine, init: Command) -> None:
    for host, place in (
        (CaoHost, machine.home / ".aws" / "cli-agent-orchestrator" / "db" / "cli-agent-orchestrator.db"),
        (StandardHost, machine.home / ".local" / "share" / "workspace-reaper" / "workspaces.sqlite"),
    ):
        place.parent.mkdir(parents=True)
        host(place).create()
        host(place).insert(["cao-x", "y"])
    machine.tmux("default").new_sessions(["cao-x", "vim"])
    found = told(init("--json"))
    assert found["chosen"]["registry"] == "cao"
    machine.tmux("workspaces").new_sessions(["ws-y"])
    found = told(init("--json"))
    assert found["chosen"] is None
    assert found["why"] == "cao and standard fit equally well: choose one. Each requires its own reaper."
    assert {one["registry"] for one in found["others"]} == {"cao", "standard"}


def test_what_can_not_be_seen_is_told(machine: Machine, init: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    # A server that hangs, a socket without one, one that is no tmux's, and databases that are none.
    hanging = machine.tmux("hangs")
    hanging.new_session("x")
    hanging.stop()
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(machine.sockets / "stale"))
    stale.close()
    (machine.sockets / "plain").write_text("no socket")
    (machine.sockets / "nowhere").symlink_to("gone")
    (machine.sockets / "bettercoding").write_text("no socket, at a registry's home")
    monkeypatch.setenv("BC_DATA_DIR", str(machine.home / "data"))
    place = machine.home / "data" / "db.v2.sqlite"
    place.mkdir(parents=True)
    monkeypatch.setenv("CAO_HOME_DIR", str(machine.home / ("x" * 300)))
    found = told(init("--json"))
    sockets = {Path(one["socket"]).name: one for one in found["sockets"]}
    assert set(sockets) == {"hangs", "stale", "bettercoding"}
    assert "did not answer" in sockets["hangs"]["problem"]
    assert (sockets["stale"]["problem"], sockets["stale"]["answered"]) == (None, False)
    assert "not a socket" in sockets["bettercoding"]["problem"]
    by_state = {(one["registry"], one["state"]): one["detail"] for one in found["databases"]}
    assert "is a directory" in by_state["vibe-kanban", "unreadable"]
    assert "File name too long" in by_state["cao", "unreadable"]
    assert found["chosen"] is None


def test_a_tmux_directory_that_can_not_be_found_out_is_told(machine: Machine, init: Command, monkeypatch) -> None:
    monkeypatch.setenv("TMUX_TMPDIR", "/" + "x" * 300)
    found = told(init("--json"))
    assert any("TMUX_TMPDIR=" in text for text in found["problems"])
    machine.sockets.rmdir()
    monkeypatch.setenv("TMUX_TMPDIR", str(machine.tmp))
    assert told(init("--json"))["problems"] == []
    machine.sockets.write_text("in the way")
    assert any("cannot be listed (Not a directory)" in text for text in told(init("--json"))["problems"])


THIRD_PARTY = """
from workspace_reaper.registry.schemas.standard import Standard

class Other(Standard):
    def default_database(self, environ):
        return environ["OTHER_DATABASE"]

OTHER = Other()

class Dear(Standard):
    def default_database(self, environ):
        return "mysql://nobody@nowhere/nothing"

DEAR = Dear()

class Server(Standard):
    def default_database(self, environ):
        return "postgresql://reaper:secret@127.0.0.1:1/app?sslmode=disable"

SERVER = Server()
"""


def test_registries_of_others(machine: Machine, init: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    points = "".join(f"{name.lower()} = third_party:{name}\n" for name in ("OTHER", "DEAR", "SERVER", "MISSING"))
    install(machine.home / "site", "third-party", {"third_party": THIRD_PARTY}, f"[workspace_reaper.registries]\n{points}")
    monkeypatch.syspath_prepend(str(machine.home / "site"))
    odd = machine.home / 'a "b" \\c\n#d.sqlite'
    StandardHost(odd).create()
    monkeypatch.setenv("OTHER_DATABASE", str(odd))
    found = told(init("--json", "--write"))
    state = {one["registry"]: (one["state"], one["detail"]) for one in found["databases"]}
    assert state["other"] == ("there", "")
    assert "'mysql'" in state["dear"][1]
    assert state["server"][0] == "unreadable"
    assert "secret" not in json.dumps(found)
    assert [text.split(":")[0] for text in found["problems"]] == ["missing"]
    assert found["chosen"]["registry"] == "other"
    settings = load_settings()
    assert (settings.registry, settings.database_url) == ("other", f"sqlite:///{odd}")


def test_names_with_odd_characters_are_shown_and_not_obeyed(machine: Machine, init: Command) -> None:
    host = machine.kanban()
    escape = "\x1b[31m" if takes_name("\x1b[31m") else ""
    machine.tmux("bettercoding").new_session(f"a {escape}\N{BELL}é#{{pid}}")
    done = init("--write")
    assert done.returncode == 0
    assert "\x1b" not in done.stdout + machine.config.read_text()
    assert load_settings().database_url == f"sqlite:///{host.path}"


def test_a_file_that_exists_is_kept(machine: Machine, init: Command) -> None:
    machine.config.parent.mkdir(parents=True)
    machine.config.write_text("tick = 7\n")
    refused = init("--write")
    assert (refused.returncode, "exists: add --force" in refused.stderr) == (2, True)
    assert init("--write", "--json").returncode == 2
    assert "Nothing is written: " in init().stdout
    assert machine.config.read_text() == "tick = 7\n"
    done = init("--write", "--force")
    assert done.returncode == 0
    old = machine.config.with_name("workspace-reaper.toml.old")
    assert f"the old file is {old}" in done.stdout
    assert old.read_text() == "tick = 7\n"
    assert not load_settings().enabled


@pytest.mark.parametrize("how", ["--output", "--config", "variable"])
def test_another_file(machine: Machine, init: Command, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    other = machine.home / "my files" / "other.toml"
    if how == "variable":
        monkeypatch.setenv("WORKSPACE_REAPER_CONFIG", str(other))
    arguments = ("--output", str(other)) if how == "--output" else ()
    done = init("--write", *arguments, before=("--config", str(other)) if how == "--config" else ())
    assert done.returncode == 0
    assert not load_settings(other).enabled
    assert not machine.config.exists()
    command = "workspace-reaper" if how == "variable" else f"workspace-reaper --config '{other}'"
    assert f"2. {command} doctor" in done.stdout


def test_what_can_not_be_written_is_exit_code_1(machine: Machine, init: Command) -> None:
    done = init("--write", "--output", "/proc/nowhere/x.toml")
    assert (done.returncode, "cannot be written" in done.stderr) == (1, True)


@contextlib.contextmanager
def on_a_terminal(machine: Machine, *arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The program on a terminal of its own, and the terminal's other side. It does not outlive the block."""
    master, slave = pty.openpty()
    command = [sys.executable, "-c", PROGRAM, *arguments]
    with subprocess.Popen(
        command, stdin=slave, stdout=slave, stderr=slave, env=machine.environment, start_new_session=True
    ) as process:
        os.close(slave)
        try:
            yield process, master
        finally:
            process.kill()
            os.close(master)


@pytest.mark.parametrize(("answer", "code", "written"), [("y\n", 0, True), ("\x03", 1, False)])
def test_on_a_terminal_it_asks(machine: Machine, answer: str, code: int, written: bool) -> None:
    with on_a_terminal(machine, "init") as (process, master):
        shown = b""
        while not shown.replace(b"\r\n", b"").endswith(b"? [y/N]: "):
            shown += os.read(master, 65536)
        # A signal right before the program sleeps in its read would be noticed after an answer only.
        wait_until(lambda: psutil.Process(process.pid).status() == psutil.STATUS_SLEEPING, LIMIT)
        if answer == "\x03":
            os.kill(process.pid, signal.SIGINT)
        else:
            os.write(master, answer.encode())
        with contextlib.suppress(OSError):  # how Linux tells that the other side is closed
            while part := os.read(master, 65536):
                shown += part
        assert process.wait(LIMIT) == code
    assert machine.config.exists() is written
    assert (b"is written. Next steps:" in shown.replace(b"\r\n", b" ")) is written
