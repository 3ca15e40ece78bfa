"""Other plugins hold sessions back and hear of reaps: in a host, with bare pluggy, at the command line, after a fork."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pluggy
import pytest

import workspace_hookspecs
from tests.tools.distributions import install
from tests.tools.world import World, session_name
from workspace_hookspecs import Candidate, Reaped, ReaperAlarm, WorkspacePlugins, hookimpl
from workspace_reaper.cli.bootstrap import close_plugins, load_plugin
from workspace_reaper.ledger import SqliteLedger
from workspace_reaper.model.errors import ConfigurationError, LedgerError
from workspace_reaper.model.reap import ReapResult, Vetoes
from workspace_reaper.operations.status import read_history

pytestmark = pytest.mark.once

LIMIT = 30.0

GUARD = """
import json, os
from dataclasses import asdict
from workspace_hookspecs import hookimpl

def note(kind, value):
    with open(os.environ["RECORD"], "a", encoding="utf-8") as record:
        print(json.dumps([kind, value], default=str), file=record)

@hookimpl
def on_tick(now):
    note("tick", now)

@hookimpl
def reaper_veto(candidates):
    note("asked", [asdict(each) for each in candidates])
    return json.loads(os.environ.get("ANSWER", "{}"))

@hookimpl
def on_session_reaped(reap):
    note("reaped", asdict(reap))

def close():
    note("closed", None)
"""

RAISING = """
from workspace_hookspecs import hookimpl

@hookimpl
def reaper_veto(candidates):
    raise ValueError("no word from the release server")
"""


class Guard:
    """Vetoes the sessions with these names; or raises, or does whatever the function does."""

    def __init__(self, answer: Callable[[], object] | Mapping[str, str] | None = None) -> None:
        self.answer = answer
        self.asked: list[list[Candidate]] = []
        self.reaps: list[Reaped] = []

    @hookimpl
    def reaper_veto(self, candidates: Sequence[Candidate]) -> object:
        self.asked.append(list(candidates))
        return self.answer() if callable(self.answer) else self.answer

    @hookimpl
    def on_session_reaped(self, reap: Reaped) -> None:
        self.reaps.append(reap)


def name_of(workspace_id: str) -> str:
    return session_name("vibe-kanban", workspace_id)


def archived(world: World, count: int) -> list[str]:
    """Workspaces that are archived, with their sessions: all are condemned."""
    return world.workspaces(count, archived=True)


# In a host


class Reader:
    """Takes the place of the other plugins: when it hears of a reap it reads what the ledger says of it."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.read: list[list[str]] = []

    def vetoes(self, candidates: Sequence[Candidate]) -> Vetoes:
        return Vetoes()

    def reaped(self, reap: Reaped) -> None:
        self.read.append(
            [one.outcome for one in read_history(self._world.plugin.reaper(), 10) if one.intent.reap_id == reap.id]
        )

    def alarm(self, alarm: ReaperAlarm) -> None:
        pass


def test_when_a_plugin_hears_of_a_reap_its_outcome_is_in_the_ledger(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the sweep that kills, and in the one that closes what an earlier one could not write."""
    world.session(world.workspace(pinned=True))
    archived(world, 1)
    reader, reaper = Reader(world), world.plugin.reaper()
    reaper.plugins = reader
    world.sweep()
    assert reader.read == [["reaped"]]

    archived(world, 1)

    def full(ledger: SqliteLedger, results: Sequence[ReapResult]) -> None:
        raise LedgerError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(SqliteLedger, "record_results", full)
        assert world.sweep().unknown
    assert reader.read == [["reaped"]]
    world.sweep()
    assert reader.read == [["reaped"]] * 2


def test_a_veto_saves_one_session_and_the_others_go(world: World) -> None:
    saved, gone = archived(world, 2)
    guard = Guard({name_of(saved): "deploying"})
    with WorkspacePlugins() as plugins:
        plugins.register(world.plugin, "reaper")
        plugins.register(guard, "release-guard")
        report = world.sweep()
        assert plugins.drain(LIMIT)

    assert (world.lives(saved), world.lives(gone)) == (True, False)
    assert world.entry(report, gone).outcome == "reaped"
    assert world.entry(report, saved).outcome != "reaped"
    (asked,) = guard.asked
    assert {each.workspace_id for each in asked} == {saved, gone}
    assert {each.reason for each in asked} == {"archived"}
    assert {each.socket for each in asked} == {world.server.path}
    (reap,) = guard.reaps
    assert (reap.session, reap.workspace_id, reap.reason, reap.outcome) == (name_of(gone), gone, "archived", "reaped")
    assert reap.id == world.entry(report, gone).reap_id


def refuse() -> object:
    raise ValueError("no")


@pytest.mark.parametrize("answer", [refuse, lambda: ["a list"]], ids=["raises", "answers nonsense"])
def test_i06_no_usable_answer_holds_everything_until_there_is_one(world: World, answer: Callable[[], object]) -> None:
    ids = archived(world, 3)
    guard = Guard(answer)
    with WorkspacePlugins() as plugins:
        plugins.register(world.plugin, "reaper")
        plugins.register(Guard(), "before")
        plugins.register(guard, "wrong")
        plugins.register(Guard(), "after")
        world.sweep()
        assert all(world.lives(each) for each in ids)
        guard.answer = None
        world.sweep()
        assert not any(world.lives(each) for each in ids)


def test_a_plugin_that_hangs_holds_everything_and_is_asked_once(world: World) -> None:
    ids = archived(world, 2)
    go = threading.Event()
    guard = Guard(lambda: go.wait(LIMIT) and None)
    with WorkspacePlugins() as plugins:
        plugins.register(world.plugin, "reaper")
        plugins.register(guard, "hanging")
        for _ in range(2):
            world.sweep()
            assert all(world.lives(each) for each in ids)
        assert len(guard.asked) == 1
        go.set()


@pytest.mark.parametrize("how", ["deleted", "archived", "tick"])
def test_i06_every_wake_up_asks(world: World, how: str) -> None:
    (workspace_id,) = archived(world, 1)
    if how == "deleted":
        world.host.delete(workspace_id)
    guard = Guard({name_of(workspace_id): "deploying"})
    with WorkspacePlugins() as plugins:
        plugins.register(world.plugin, "reaper")
        plugins.register(guard, "guard")
        if how == "tick":
            plugins.tick()
        else:
            getattr(plugins, f"workspace_{how}")(workspace_id)
        assert plugins.drain(LIMIT)
    assert guard.asked
    assert world.lives(workspace_id)


def test_who_never_joined_asks_nobody_and_reaps(world: World) -> None:
    (gone,) = archived(world, 1)
    world.sweep()
    assert not world.lives(gone)


# With bare pluggy


def test_with_bare_pluggy_a_joined_reaper_asks_and_tells(world: World) -> None:
    saved, gone = archived(world, 2)
    manager = pluggy.PluginManager("workspace_server")
    manager.add_hookspecs(workspace_hookspecs)
    manager.register(world.plugin, "reaper")
    guard = Guard({name_of(saved): "deploying"})
    manager.register(guard, "guard")
    world.plugin.join(manager)

    world.sweep()
    assert world.plugin.drain(LIMIT)

    assert (world.lives(saved), world.lives(gone)) == (True, False)
    assert [reap.workspace_id for reap in guard.reaps] == [gone]
    manager.register(Guard(refuse), "wrong")
    world.host.insert(more := [world.host.new_id(1000)], archived=True)
    world.session(more[0])
    world.sweep()
    assert world.lives(more[0])


def test_what_is_joined_after_the_reaper_was_built_is_asked_too(world: World) -> None:
    (saved,) = archived(world, 1)
    world.plugin.reaper()
    with WorkspacePlugins() as plugins:
        plugins.register(world.plugin, "reaper")
        plugins.register(Guard({name_of(saved): "deploying"}), "guard")
        world.sweep()
    assert world.lives(saved)


# After a fork

FORKED = """
import os, sys
from pathlib import Path
from workspace_hookspecs import WorkspacePlugins, hookimpl
from workspace_reaper.plugin import ReaperPlugin

class Guard:
    @hookimpl
    def reaper_veto(self, candidates):
        return {each.session: "deploying" for each in candidates}

reaper = ReaperPlugin()
reaper.configure(Path(sys.argv[1]))
plugins = WorkspacePlugins()
plugins.register(reaper, "reaper")
plugins.register(Guard(), "guard")
if sys.argv[2] == "built":
    reaper.sweep(dry_run=True)
child = os.fork()
if child == 0:
    report = reaper.sweep()
    os.write(1, " ".join(entry.outcome for entry in report.sessions).encode())
    os._exit(0)
_, status = os.waitpid(child, 0)
assert status == 0, status
"""


@pytest.mark.parametrize("when", ["unbuilt", "built"])
def test_a_forked_host_asks_too(world: World, when: str) -> None:
    (saved,) = archived(world, 1)
    arguments = ["-W", "ignore:This process:DeprecationWarning", "-c", FORKED, str(world.write_config()), when]
    ended = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=LIMIT, env=world.environment())
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "reaped" not in ended.stdout
    assert world.lives(saved)


# At the command line


class Installed:
    """Plugins that are installed beside the reaper, for the command line to find."""

    def __init__(self, world: World, tmp: Path) -> None:
        self.world = world
        self.site = tmp / "site"
        self.file = tmp / "record"

    def add(self, name: str, source: str) -> None:
        module = f"installed_{name.replace('-', '_')}"
        install(self.site, f"a-{name}", {module: source}, f"[workspace_server]\n{name} = {module}\n")

    def run(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        return self.world.cli(*arguments, PYTHONPATH=str(self.site), RECORD=str(self.file), **environ)

    @property
    def record(self) -> list[tuple[str, object]]:
        """What the plugin ``GUARD`` noted."""
        lines = self.file.read_text(encoding="utf-8").splitlines() if self.file.exists() else []
        return [tuple(json.loads(line)) for line in lines]


@pytest.fixture
def installed(world: World, tmp_path: Path) -> Installed:
    return Installed(world, tmp_path)


def test_the_command_line_asks_and_tells_installed_plugins_and_ticks_none(world: World, installed: Installed) -> None:
    """One that can't be loaded stops nothing, and is told of."""
    saved, gone = archived(world, 2)
    installed.add("broken", "raise ValueError('at import')")
    installed.add("guard", GUARD)

    done = installed.run("sweep", "--json", ANSWER=json.dumps({name_of(saved): "deploying"}))

    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines() == [
        "workspace-reaper: warning: cannot load plugin 'broken' (installed_broken): skipped (ValueError: at import)",
        "workspace-reaper: warning: could not be loaded, so they cannot veto the reaping of a session: broken",
    ]
    assert (world.lives(saved), world.lives(gone)) == (True, False)
    assert {each["workspace_id"]: each["protected_by"] for each in json.loads(done.stdout)["sessions"]} == {
        saved: "veto",
        gone: None,
    }
    (asked, about), (reaped, reap), *rest = installed.record
    assert (asked, reaped, rest) == ("asked", "reaped", [("closed", None)])
    assert {each["workspace_id"] for each in about} == {saved, gone}  # type: ignore[attr-defined]
    assert reap["workspace_id"] == gone  # type: ignore[index]


def test_i06_at_the_command_line_one_that_raises_holds_everything(world: World, installed: Installed) -> None:
    ids = archived(world, 2)
    installed.add("wrong", RAISING)
    done = installed.run("sweep", "--json")
    assert all(world.lives(each) for each in ids)
    assert "no word from the release server" in done.stdout
    assert done.stderr.count("no word from the release server") == 1
    assert "Traceback" not in done.stderr


def test_a_blocked_plugin_is_not_asked(world: World, installed: Installed) -> None:
    (gone,) = archived(world, 1)
    installed.add("broken", "raise ValueError('at import')")
    installed.add("guard", GUARD)
    done = installed.run("sweep", WORKSPACE_PLUGINS_BLOCK="guard,broken", ANSWER=json.dumps({name_of(gone): "deploying"}))
    assert (done.returncode, done.stderr) == (0, "")
    assert installed.record == []
    assert not world.lives(gone)


@pytest.mark.parametrize(
    ("source", "why"),
    [
        pytest.param(None, "WORKSPACE_PLUGINS_BLOCK blocks the plugin 'reaper'", id="blocked"),
        pytest.param(GUARD, "refers to installed_.*, which is another program", id="another program"),
        pytest.param("raise ValueError('at import')", "cannot be loaded: ValueError: at import", id="broken"),
    ],
)
def test_without_the_reaper_there_is_a_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str | None, why: str
) -> None:
    monkeypatch.setenv("WORKSPACE_PLUGINS_BLOCK", "" if source else "reaper")
    if source:
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.setenv("RECORD", str(tmp_path / "record"))
        module = f"installed_{uuid.uuid4().hex}"
        install(tmp_path, "another", {module: source}, f"[workspace_server]\nreaper = {module}\n")
    with pytest.raises(ConfigurationError, match=why):
        load_plugin(None)
    close_plugins()


def test_a_plugin_that_hangs_does_not_hold_the_command_line(world: World, installed: Installed) -> None:
    (saved,) = archived(world, 1)
    installed.add(
        "hanging", RAISING.replace('raise ValueError("no word from the release server")', "import time; time.sleep(600)")
    )
    done = installed.run("sweep")
    assert "it gave no answer within 1 s" in done.stderr
    assert world.lives(saved)


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise LookupError("no words")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        pytest.param(ValueError("no room"), "the disk is full (ValueError: no room)", id="not said yet"),
        pytest.param(ValueError("full"), "the disk is full", id="said already"),
        pytest.param(KeyError(), "the disk is full (KeyError)", id="without words"),
        pytest.param(Unspeakable(), "the disk is full (", id="that can't be shown"),
    ],
)
def test_what_a_plugin_raises_is_one_line_and_hides_nothing_from_other_handlers(
    error: Exception, line: str, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    load_plugin(None)
    close_plugins()
    logging.getLogger("workspace_hookspecs").error("the disk is full", exc_info=error)
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith(f"workspace-reaper: warning: {line}")
    assert ("Unspeakable" in said) == isinstance(error, Unspeakable)
    assert [record.message for record in caplog.records] == ["the disk is full"]
