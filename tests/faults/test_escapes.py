"""Nothing that others have written acts on a terminal, in a shell, in tmux's formats or in SQL: names of sessions, windows and
directories, titles, what panes print, command lines, ids and paths in the database, its errors, and what plugins say."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import pty
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import pytest

import workspace_reaper
from tests.tools.hosts import connected
from tests.tools.tmux import TmuxServer
from tests.tools.waiting import wait_until
from tests.tools.world import World
from workspace_hookspecs import Candidate, WorkspacePlugins, hookimpl
from workspace_reaper.cli import main
from workspace_reaper.cli.tables import show_explanation, show_sweep
from workspace_reaper.daemon.logging import formatter
from workspace_reaper.operations.status import read_status
from workspace_reaper.plugin import ReaperPlugin
from workspace_reaper.setup.config_file import toml_text
from workspace_reaper.sweep.explain import explain
from workspace_reaper.util.console import print_table, say, say_marked, say_whole

TITLE = "\x1b]0;owned\x07"
CLIPBOARD = "\x1b]52;c;eA==\x07"
ESCAPES = f'{TITLE}{CLIPBOARD}\x1b[2J\x1bP$q"p\x1b\\\x9b31m\u202e\u2028\x85\r\n\x07\x7f[bold]'
RUN = "#(touch x)#{pid}$(touch x)`touch x`';touch x;'"
BAD = ESCAPES + RUN

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def acts(text: str) -> list[str]:
    """The lines that a terminal would not just show."""
    return [line for line in text.split("\n") if not line.isprintable()]


class Screen:
    """``workspace-reaper`` in this process, and all that it has printed."""

    def __init__(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        self.world = world
        self._patch = monkeypatch
        self.told: list[str] = []

    def __call__(self, *arguments: str, expect: Collection[int] = (0,)) -> str:
        plugin, out, err, code = ReaperPlugin(), io.StringIO(), io.StringIO(), 0
        words = ["workspace-reaper", "--config", str(self.world.write_config()), *arguments]
        with self._patch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            patch.setenv("WORKSPACE_REAPER_CONFIG", "/nowhere")
            patch.setattr(workspace_reaper, "plugin", plugin)
            patch.setattr(sys, "argv", words)
            patch.setattr(sys, "stdin", io.StringIO())
            try:
                main()
            except SystemExit as ended:
                code = int(ended.code or 0)
        plugin.close()
        told = out.getvalue() + err.getvalue()
        assert code in expect, (code, told)
        assert acts(told) == [], arguments
        self.told.append(told)
        return told


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with such a name; it is also where everything runs."""
    made = tmp_path / f"place {BAD}"
    made.mkdir(mode=0o700)
    monkeypatch.chdir(made)
    return made


@pytest.fixture
def world(place: Path) -> Iterator[World]:
    """The database, the configuration and the state directory are in that place."""
    with World(place, "standard", session_patterns=["(?s)ws-(?P<id>.+)"], kill_grace=0.2) as made:
        yield made


@pytest.fixture
def screen(world: World, monkeypatch: pytest.MonkeyPatch) -> Screen:
    return Screen(world, monkeypatch)


def start(world: World, name: str, *, server: TmuxServer | None = None) -> tuple[str, str]:
    """A session in a directory, with a title, a window, output and a command of such names; its name and its id.

    tmux rewrites much of it: what it makes of the name is what the host knows too.
    """
    server = server or world.server
    worktree = world.tmp / f"work {BAD}"
    worktree.mkdir(exist_ok=True)
    out = world.tmp / "out"
    out.write_bytes(f"\x1b[31mred\x1b[0m {CLIPBOARD}{TITLE}\x1bPq\x1b\\ shown\n".encode())
    forever = f"exec sh -c 'while :; do sleep 1000; done' {shlex.quote(BAD)}"
    command = f"cd {shlex.quote(str(worktree))}; cat {shlex.quote(str(out))}; {forever}"
    bad = BAD
    before = server.new_session("before")  # a server whose only command fails exits, also below the next command
    try:
        session_id = server.new_session(f"ws-{name}{bad}", command)
    except AssertionError:  # tmux 3.8 rewrites no control characters any more
        bad = re.sub(r"[\x00-\x1f\x7f]", "", BAD)
        session_id = server.new_session(f"ws-{name}{bad}", command)
    server.run("kill-session", "-t", before)
    target = f"{session_id}:"
    server.run("select-pane", "-t", target, "-T", BAD.replace("#", "##"))
    server.run("rename-window", "-t", target, "--", bad.replace("#", "##"))
    wait_until(lambda: "shown" in server.run("capture-pane", "-p", "-t", target))
    return server.show(session_id, "#{session_name}"), session_id


def test_i62_whatever_it_is_called_nothing_is_run_and_nothing_acts_on_a_terminal(
    world: World, screen: Screen, caplog: pytest.LogCaptureFixture
) -> None:
    """From the first look to the restored session, in text and in JSON, in the log, and in every file's name."""
    name, session_id = start(world, "a")
    kept, _ = start(world, "b")
    worktree = str(world.tmp / f"work {BAD}")
    is_found_again = "\x1b" in world.server.show(session_id, "#{pane_current_path}")
    with TmuxServer(name="s" + BAD.replace("/", "")[:40]) as other:
        start(world, "c", server=other)
        world.configure(tmux_sockets=[world.server.path, other.path])
        world.host.insert([name[3:], kept[3:]], archived=True, worktree=worktree)
        world.host.insert(["x\x1b[31m", TITLE])  # of which there is no session
        screen("keep", "--socket", world.server.path, "--", kept)
        for command in ("doctor", "sweep", "status", "history", "breaker"):
            options = ["--dry-run"] if command == "sweep" else []
            screen(command, *options, expect=(0, 1, 3))
            json.loads(screen(command, *options, "--json", expect=(0, 1, 3)))
        for one in (name, kept):
            screen("explain", "--socket", world.server.path, "--", one)
        screen("explain", "--", f"{name}{BAD}", expect=(2,))
        with caplog.at_level(logging.INFO):
            screen("sweep", expect=(0, 3))
        [reap] = json.loads(screen("history", "--json"))
        assert (reap["outcome"], reap["workspace_id"]) == ("reaped", name[3:])
        for option in ([], ["--full"], ["--json"]):
            assert "shown" in screen("show", *option, reap["id"]) or option == ["--json"]
        if not is_found_again:
            assert "these directories do not exist any more" in screen("restore", reap["id"], expect=(1,))
        screen("restore", *([] if is_found_again else ["--force"]), reap["id"])
        assert len(world.server.session_ids()) == 2, "it is back, beside the one that was kept"
        screen("status")
        on_terminal(world, "explain", "--socket", world.server.path, "--", kept)
    records = [record for record in caplog.records if record.name == "workspace_reaper"]
    assert any("reaped" in record.getMessage() for record in records)
    for log_format in ("keyvalue", "json"):
        lines = [formatter(log_format).format(record) for record in records]  # type: ignore[arg-type]
        assert acts("\n".join(lines)) == []
        assert all("\n" not in line for line in lines)
    assert not list(world.tmp.parent.rglob("x"))


def on_terminal(world: World, *arguments: str) -> None:
    """On a terminal there are colours, and nothing else that acts."""
    master, slave = pty.openpty()
    program = [sys.executable, "-c", "from workspace_reaper.cli import main; main()", "--config", str(world.write_config())]
    environment = world.environment(TERM="xterm-256color")
    process = subprocess.Popen([*program, *arguments], stdin=slave, stdout=slave, stderr=slave, env=environment)
    os.close(slave)
    parts = []
    with contextlib.suppress(OSError):  # how Linux tells that the other side is closed
        while part := os.read(master, 65536):
            parts.append(part)
    os.close(master)
    assert process.wait(60) == 0
    text = b"".join(parts).decode()
    assert "decided" in text
    assert acts(_COLOURS.sub("", text.replace("\r\n", "\n"))) == []


def test_what_a_database_says_of_itself_is_only_shown(world: World, screen: Screen) -> None:
    """Names of its tables and columns stand in errors."""
    with connected(world.host.path) as connection:
        quoted = BAD.replace('"', '""')
        connection.execute(f'ALTER TABLE workspaces RENAME TO "{quoted}"')
    for command in ("sweep", "doctor"):
        assert "workspaces" in screen(command, expect=(1, 3))
    assert not list(world.tmp.parent.rglob("x"))


def test_ids_are_never_part_of_a_statement(worlds: Callable[..., World]) -> None:
    """One that a database would take for the end of a text, and for what follows it."""
    world = worlds("standard", session_patterns=["ws-(?P<id>.+)"])
    ids = ["a'); DELETE FROM workspaces; --", "a' OR '1'='1", 'a" OR "1"="1', "%", "_", "\\", "?", ":id", "a;b"]
    made = {world.server.show(world.server.new_session(f"ws-{one}"), "#{session_name}")[3:]: one for one in ids}
    world.host.insert(["a", "b"])
    report = world.sweep()
    assert {entry.reason for entry in report.sessions} == {"orphan"}, "none of them is a row, whatever it says"
    world.host.insert(list(made))
    assert {entry.reason for entry in world.sweep().sessions} == {None}
    with connected(world.host.path) as connection:
        assert connection.execute("SELECT count(*) FROM workspaces").fetchone() == (len(made) + 2,)
    reaper = world.plugin.reaper()
    with reaper.reading() as ledger:
        assert set(ledger.load_state(set(made), 0).seen) == set(made)
        assert [ledger.find(one) for one in ids] == [None] * len(ids)


class Guard:
    """Vetoes everything, with these words."""

    def __init__(self, words: str) -> None:
        self.words = words

    @hookimpl
    def reaper_veto(self, candidates: list[Candidate]) -> dict[str, str]:
        return {each.session: self.words for each in candidates}


class Broken:
    """Gives no usable answer, with these words."""

    def __init__(self, words: str) -> None:
        self.words = words

    @hookimpl
    def reaper_veto(self, candidates: list[Candidate]) -> dict[str, str]:
        raise ValueError(self.words)


@pytest.mark.parametrize("kind", [Guard, Broken])
def test_what_a_plugin_says_is_only_shown(
    world: World, kind: Callable[[str], object], caplog: pytest.LogCaptureFixture
) -> None:
    world.host.insert(["a"], archived=True)
    world.session("a")
    plugins = WorkspacePlugins()
    plugins.register(kind(BAD), f"guard {BAD}")
    world.plugin.join(plugins)
    with caplog.at_level(logging.DEBUG):
        report = world.sweep()
    plugins.close()
    assert (report.count("reaped"), world.lives("a")) == (0, True)
    shown = printed(lambda: show_sweep(report))
    why = printed(lambda: show_explanation(explain(world.entry(report, "a"), world.plugin.reaper().sweep_settings.thresholds)))
    status = json.dumps(read_status(world.plugin.reaper()).as_dict())
    assert "guard" in why
    assert [acts(told) for told in (shown, why, status)] == [[], [], []]
    for record in caplog.records:
        assert acts(formatter("keyvalue").format(record)) == []
    assert not list(world.tmp.parent.rglob("x"))


def printed(show: Callable[[], object]) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as out:
        show()
    return out.getvalue()


def test_all_that_prints_escapes_whatever_it_is_given() -> None:
    """The last hurdle: each of the ways in which anything is printed."""
    told = printed(
        lambda: [
            say(BAD),
            say_marked(BAD, BAD),
            say_whole(BAD),
            print_table(("A", "B"), [(BAD, None), (1, BAD)], empty=""),
            print_table((), [], empty=BAD),
        ]
    )
    assert len(told.split("\n")) == 8
    assert acts(told) == []


def test_an_error_is_one_line_of_plain_text(screen: Screen) -> None:
    told = screen("explain", "--socket", BAD, "--", "a", expect=(2,))
    assert told.count("\n") == 1
    for command in ("show", "restore"):
        for one in (BAD, "../../x", "", "x" * 300, "/etc/passwd"):
            told = screen(command, "--", one, expect=(2,))
            assert "is not a" in told
            assert len(told) < 200


def test_what_init_writes_can_be_looked_at() -> None:
    assert toml_text(BAD).isprintable()
