"""``show``, ``restore`` and ``undo`` as a person or a program uses them."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import workspace_reaper
from tests.tools.reaped import all_text, reap, record
from tests.tools.waiting import wait_until
from tests.tools.world import World
from workspace_reaper.cli import main
from workspace_reaper.model.reap import EndedProcess, ProcessCleanup, Reap, SurvivingProcess
from workspace_reaper.model.session import SessionKey
from workspace_reaper.plugin import ReaperPlugin

pytestmark = pytest.mark.once

Command = Callable[..., subprocess.CompletedProcess[str]]
NAME = "vk_a"
OUTPUT = r"printf 'top\n'; seq 1 60; printf '\033[31mred\033[0m end\n'; exec sleep 100000"
AFTERMATH = ProcessCleanup(
    ended=(EndedProcess(41, "npm run dev", "TERM"),),
    survivors=(SurvivingProcess(42, "gpg-agent\x1b]0;x\x07", "it serves the whole login"),),
    freed_bytes=812_433_408,
    freed_ports=("tcp 3000",),
)


@pytest.fixture
def cli(world: World, monkeypatch: pytest.MonkeyPatch) -> Command:
    """``workspace-reaper`` in this process: a fresh plugin behind the entry point, as in a fresh process."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        plugin, out, err = ReaperPlugin(), io.StringIO(), io.StringIO()
        code: object = 0
        words = ["workspace-reaper", "--config", str(world.write_config()), *arguments]
        with monkeypatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            patch.setenv("WORKSPACE_REAPER_CONFIG", "/nowhere")
            patch.setattr(workspace_reaper, "plugin", plugin)
            patch.setattr(sys, "argv", words)
            try:
                main()
            except SystemExit as ended:
                code = ended.code or 0
        plugin.close()
        assert isinstance(code, int)
        return subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())

    return run


def told(done: subprocess.CompletedProcess[str]) -> Any:
    """The JSON that it printed."""
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


@pytest.fixture
def gone(world: World) -> Reap:
    """A session that was reaped and kept, beside one that lives."""
    world.server.new_session("beside")
    session_id = world.server.new_session(NAME, OUTPUT, "-x", "80", "-y", "24", "-c", str(world.tmp))
    wait_until(lambda: "red end" in all_text(world.server, session_id))
    pane = world.server.show(session_id, "#{pane_id}")
    return reap(world, session_id, commands={pane: ["npm", "run", "dev"]})


@pytest.fixture
def unkept(world: World) -> Reap:
    """A reap without a snapshot."""
    key = SessionKey(world.server.path, 1, 2, "$3", 4)
    return record(world, "01JUNKEPT0000000000000000A", key, "vk_b\n", snapshot="switched off", cleanup=AFTERMATH)


def test_show_tells_the_facts_and_the_last_screen(world: World, cli: Command, gone: Reap) -> None:
    done = cli("show", gone.intent.reap_id)
    assert (done.returncode, done.stderr) == (0, "")
    for text in (gone.intent.reap_id, NAME, "orphan", "idle: 2h", "row: none", "reaped", f"restore {gone.intent.reap_id}"):
        assert text in done.stdout
    assert done.stdout.endswith("59\n60\nred end\n")
    assert "top" not in done.stdout
    assert "npm run dev" in done.stdout
    assert "\x1b" not in done.stdout


def test_show_full_tells_all_of_it(world: World, cli: Command, gone: Reap) -> None:
    done = cli("show", "--full", gone.intent.reap_id)
    assert done.returncode == 0
    assert done.stdout.split("\n")[2:5] == ["top", "1", "2"]
    assert done.stdout.endswith("60\nred end\n")


@pytest.mark.parametrize("options", [[], ["--full"]], ids=["last screen", "full"])
@pytest.mark.parametrize("plain", [False, True], ids=["colours", "NO_COLOR"])
def test_on_a_terminal_there_are_colours(world: World, cli: Command, gone: Reap, options: list[str], plain: bool) -> None:
    text = on_a_terminal(world, "show", gone.intent.reap_id, *options, NO_COLOR="1" if plain else "")
    assert ("\x1b[31mred" in text) is not plain
    assert "red" in text


def on_a_terminal(world: World, *arguments: str, **environ: str) -> str:
    """What the command writes on a terminal, without a person in front of its pager."""
    master, slave = pty.openpty()
    program = [sys.executable, "-c", "from workspace_reaper.cli import main; main()", "--config", str(world.write_config())]
    environment = world.environment(PAGER="cat", TERM="xterm-256color", **environ)
    process = subprocess.Popen([*program, *arguments], stdin=slave, stdout=slave, stderr=slave, env=environment)
    os.close(slave)
    parts = []
    with contextlib.suppress(OSError):  # how Linux tells that the other side is closed
        while part := os.read(master, 65536):
            parts.append(part)
    os.close(master)
    assert process.wait(20) == 0
    return b"".join(parts).decode()


def test_show_json_has_the_facts_for_programs(world: World, cli: Command, gone: Reap) -> None:
    facts = told(cli("show", gone.intent.reap_id, "--json"))
    assert facts["id"] == gone.intent.reap_id
    assert (facts["session"], facts["outcome"], facts["restorable"], facts["not_restorable"]) == (NAME, "reaped", True, None)
    [pane] = facts["panes"]
    assert (pane["command"], pane["directory"], pane["width"]) == (["npm", "run", "dev"], str(world.tmp), 80)
    assert facts["evidence"]["idle_seconds"] == 7200


def test_without_a_snapshot_the_facts_are_shown_and_why_there_is_none(world: World, cli: Command, unkept: Reap) -> None:
    shown = cli("show", unkept.intent.reap_id)
    assert shown.returncode == 0
    for text in (
        "vk_b\\n",
        "npm run dev (41, TERM)",
        "gpg-agent\\x1b",
        "it serves",
        "812.4 MB",
        "tcp 3000",
        "no: switched off",
    ):
        assert text in shown.stdout
    assert "\x1b" not in shown.stdout
    assert told(cli("show", unkept.intent.reap_id, "--json"))["not_restorable"] == "switched off"
    for command in (["show", "--full"], ["restore"]):
        done = cli(*command, unkept.intent.reap_id)
        assert (done.returncode, done.stdout) == (1, "")
        assert "switched off" in done.stderr
    assert cli("undo").returncode == 2


def test_a_damaged_snapshot_hides_no_fact(world: World, cli: Command, gone: Reap) -> None:
    (world.state_dir / "snapshots" / gone.intent.reap_id / "session.json").write_text("{")
    shown = cli("show", gone.intent.reap_id)
    assert shown.returncode == 0
    assert NAME in shown.stdout
    assert "cannot be read" in shown.stdout
    done = cli("restore", gone.intent.reap_id)
    assert done.returncode == 1
    assert "cannot be read" in done.stderr


def test_an_id_may_be_shortened_and_its_case_does_not_matter(world: World, cli: Command, gone: Reap, unkept: Reap) -> None:
    for text in (gone.intent.reap_id.lower(), gone.intent.reap_id[:20].lower()):
        assert told(cli("show", text, "--json"))["id"] == gone.intent.reap_id
    assert told(cli("show", "01junk", "--json"))["id"] == unkept.intent.reap_id


@pytest.mark.parametrize("command", ["show", "restore"])
def test_an_unknown_id_is_2_and_lists_candidates(world: World, cli: Command, gone: Reap, command: str) -> None:
    other = record(world, gone.intent.reap_id[:-1] + "!", gone.intent.key, "vk_other", snapshot="off")
    for text in ("01JNOSUCHREAP", gone.intent.reap_id[:5], gone.intent.reap_id[:-1], "%", ""):
        done = cli(command, text)
        assert (done.returncode, done.stdout) == (2, ""), text
        assert gone.intent.reap_id in done.stderr
        assert other.intent.reap_id in done.stderr
        assert "Traceback" not in done.stderr


def test_an_empty_ledger_has_no_reap(world: World, cli: Command) -> None:
    for text in ("01JNOSUCHREAP", "R1"):
        done = cli("show", text)
        assert done.returncode == 2
        assert f"no reap has the id {text}. No session has been reaped yet" in done.stderr


def test_restore_says_what_is_back_and_that_it_stays(world: World, cli: Command, gone: Reap) -> None:
    done = cli("restore", gone.intent.reap_id.lower()[:22])
    assert (done.returncode, done.stderr) == (0, "")
    for text in (NAME, world.server.path, "1 window, 1 pane", "unkeep"):
        assert text in done.stdout
    again = cli("restore", gone.intent.reap_id)
    assert (again.returncode, again.stdout) == (1, "")
    assert "--as" in again.stderr
    assert cli("restore", gone.intent.reap_id, "--as", "vk_b").returncode == 0


def test_undo_brings_back_the_last(world: World, cli: Command, gone: Reap) -> None:
    done = cli("undo", "--as", "vk_again")
    assert done.returncode == 0
    assert gone.intent.reap_id in done.stdout
    assert "vk_again" in world.server.run("list-sessions")


@pytest.mark.parametrize("name", ["", "new\nline", "\x1b[31m"])
def test_a_name_that_nobody_could_read_is_a_usage_error(world: World, cli: Command, gone: Reap, name: str) -> None:
    done = cli("restore", gone.intent.reap_id, "--as", name)
    assert done.returncode == 2
    assert "--as" in done.stderr


def test_a_socket_that_cannot_be_read_is_3(world: World, cli: Command, gone: Reap) -> None:
    world.server.kill()
    Path(world.server.path).unlink(missing_ok=True)
    Path(world.server.path).write_text("no socket")
    done = cli("undo")
    assert (done.returncode, done.stdout) == (3, "")


def test_a_server_that_had_to_be_started_is_told(world: World, cli: Command, gone: Reap) -> None:
    world.server.kill()
    done = cli("undo")
    try:
        assert done.returncode == 0
        assert "a new one was started" in done.stdout
    finally:
        os.kill(int(world.server.run("display-message", "-p", "#{pid}")), signal.SIGTERM)


def test_history_and_show_agree(world: World, cli: Command, gone: Reap, unkept: Reap) -> None:
    for row in told(cli("history", "--json")):
        facts = told(cli("show", row["id"], "--json"))
        assert {name: facts[name] for name in row} == row
    assert json.dumps(told(cli("history", "--json")))
