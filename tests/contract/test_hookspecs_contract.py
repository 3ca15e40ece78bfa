"""Tests of the contract as its README documents it: every hook, bare pluggy, and the examples, which are run."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import json
import os
import re
import sqlite3
import subprocess
import sys
import typing
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from datetime import datetime, timezone
from operator import attrgetter
from pathlib import Path

import pluggy
import pytest

import workspace_hookspecs
from tests.tools.distributions import install
from workspace_hookspecs import Candidate, Reaped, ReaperAlarm, Veto, WorkspacePlugins, hookimpl

README = Path(__file__).parents[2] / "hookspecs" / "README.md"
HOOKS = sorted(
    name for name in dir(workspace_hookspecs) if hasattr(getattr(workspace_hookspecs, name), "workspace_server_spec")
)
LIMIT = 30.0
MOMENT = datetime(2026, 11, 22, 10, tzinfo=timezone.utc)
CANDIDATE = Candidate("01J", "/tmp/tmux-0/default", "vk_w", "$3", "w", "archived", None)
REAPED = Reaped(
    "01J",
    MOMENT,
    "/tmp/tmux-0/default",
    "vk_w",
    "w",
    "archived",
    "reaped",
    4096,
    survivors=({"pid": 7, "command": "gpg-agent", "why": "it serves the whole login"},),
    ended=({"pid": 8, "command": "sleep 1000", "signal": "TERM"},),
    restorable=True,
)
ALARM = ReaperAlarm("blind", MOMENT, "no complete sweep yet", "a full sweep reads everything")
VALUES = {"Candidate": Candidate, "Reaped": Reaped, "ReaperAlarm": ReaperAlarm}

RECORDER = """
import os, sqlite3
from contextlib import closing
from workspace_hookspecs import hookimpl

def note(hook, argument):
    with closing(sqlite3.connect(os.environ["DATABASE"])) as database:
        rows = database.execute("SELECT id, archived FROM workspaces ORDER BY id").fetchall()
    with open(os.environ["RECORD"], "a", encoding="utf-8") as record:
        print(hook, argument, rows, sep="|", file=record)

@hookimpl
def on_workspace_deleted(workspace_id):
    note("deleted", workspace_id)

@hookimpl
def on_workspace_archived(workspace_id):
    note("archived", workspace_id)

@hookimpl
def on_tick(now):
    note("tick", now.tzinfo)

def close():
    note("close", None)
"""


class Recorder:
    def __init__(self) -> None:
        self.calls: list[tuple[str, object]] = []

    @hookimpl
    def on_workspace_deleted(self, workspace_id: str) -> None:
        self.calls.append(("on_workspace_deleted", workspace_id))

    @hookimpl
    def on_workspace_archived(self, workspace_id: str) -> None:
        self.calls.append(("on_workspace_archived", workspace_id))

    @hookimpl
    def on_tick(self, now: datetime) -> None:
        self.calls.append(("on_tick", now))

    @hookimpl
    def reaper_veto(self, candidates: Sequence[Candidate]) -> Mapping[str, str]:
        self.calls.append(("reaper_veto", candidates))
        return {"vk_w": "busy"}

    @hookimpl
    def on_session_reaped(self, reap: Reaped) -> None:
        self.calls.append(("on_session_reaped", reap))

    @hookimpl
    def on_reaper_alarm(self, alarm: ReaperAlarm) -> None:
        self.calls.append(("on_reaper_alarm", alarm))


def fired(fire: Callable[[WorkspacePlugins], None]) -> list[tuple[str, object]]:
    recorder = Recorder()
    with WorkspacePlugins() as plugins:
        plugins.register(recorder, "recorder")
        fire(plugins)
        assert plugins.drain(LIMIT)
    return recorder.calls


def python_with(site: Path, **variables: str) -> dict[str, str]:
    """Return an environment in which the plugins in ``site`` are loaded and no others."""
    paths = [str(site), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "WORKSPACE_PLUGINS_BLOCK": "reaper", **variables}


def readme_blocks() -> list[str]:
    """Return the complete programs in the README."""
    return re.findall(r"^```python\n(.*?)^```$", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def test_the_hooks_are_these_six() -> None:
    assert HOOKS == [
        "on_reaper_alarm",
        "on_session_reaped",
        "on_tick",
        "on_workspace_archived",
        "on_workspace_deleted",
        "reaper_veto",
    ]
    assert set(HOOKS) <= set(workspace_hookspecs.__all__)


@pytest.mark.parametrize("hook", HOOKS)
def test_the_readme_has_the_hooks_exact_signature(hook: str) -> None:
    (function,) = ast.parse(inspect.getsource(getattr(workspace_hookspecs, hook))).body
    assert isinstance(function, ast.FunctionDef)
    assert function.returns is not None
    signature = f"{hook}({ast.unparse(function.args)}) -> {ast.unparse(function.returns)}"
    assert f"`{signature}`" in README.read_text(encoding="utf-8")


@pytest.mark.parametrize("hook", HOOKS)
def test_each_hook_has_a_test_of_its_own(hook: str) -> None:
    assert f"test_hook_{hook}" in globals()


@pytest.mark.parametrize("hook", HOOKS)
def test_each_hook_documents_when_it_is_fired_its_threads_guarantees_and_arguments(hook: str) -> None:
    documentation = inspect.getdoc(getattr(workspace_hookspecs, hook)) or ""
    assert re.search(r"\*\*When a (host|reaper) (fires|asks) it:\*\*", documentation)
    for part in ("Threads", "Guarantees"):
        assert f"**{part}" in documentation
    arguments = documentation.split("\nArgs:\n")[1]
    for parameter in inspect.signature(getattr(workspace_hookspecs, hook)).parameters:
        assert f"    {parameter}: " in arguments


@pytest.mark.parametrize("hook", HOOKS)
def test_no_hook_is_historic_or_has_a_default_and_only_the_veto_has_a_result(hook: str) -> None:
    function = getattr(workspace_hookspecs, hook)
    assert function.workspace_server_spec["historic"] is False
    assert function.workspace_server_spec["firstresult"] is False
    hints = typing.get_type_hints(function, localns=VALUES)
    assert hints.pop("return") == (Mapping[str, str] if hook == "reaper_veto" else type(None))
    assert set(hints.values()) <= {str, datetime, Sequence[Candidate], Reaped, ReaperAlarm}
    assert all(parameter.default is parameter.empty for parameter in inspect.signature(function).parameters.values())


def test_hook_on_workspace_deleted() -> None:
    assert fired(lambda plugins: plugins.workspace_deleted("w")) == [("on_workspace_deleted", "w")]


def test_hook_on_workspace_archived() -> None:
    assert fired(lambda plugins: plugins.workspace_archived("w")) == [("on_workspace_archived", "w")]


def test_hook_on_tick() -> None:
    assert fired(lambda plugins: plugins.tick(MOMENT)) == [("on_tick", MOMENT)]


def test_hook_reaper_veto() -> None:
    answers: list[Veto] = []
    asked = fired(lambda plugins: answers.extend(plugins.ask_vetoes([CANDIDATE])))
    assert asked == [("reaper_veto", (CANDIDATE,))]
    assert answers == [Veto("recorder", "vk_w", "busy")]


def test_hook_on_session_reaped() -> None:
    assert fired(lambda plugins: plugins.session_reaped(REAPED)) == [("on_session_reaped", REAPED)]


def test_hook_on_reaper_alarm() -> None:
    over = dataclasses.replace(ALARM, ended_at=MOMENT)
    calls = fired(lambda plugins: [plugins.reaper_alarm(one) for one in (ALARM, over)] and None)
    assert calls == [("on_reaper_alarm", ALARM), ("on_reaper_alarm", over)]


def test_the_values_are_frozen_and_slotted_and_are_json_but_for_their_times() -> None:
    for value in (CANDIDATE, REAPED, ALARM, Veto("p", None, "why")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, dataclasses.fields(value)[0].name, "other")
        assert not hasattr(value, "__dict__")
        json.dumps(dataclasses.asdict(value), default=datetime.isoformat)


def test_what_is_logged_of_a_reap_has_no_command_line() -> None:
    assert "sleep 1000" not in repr(REAPED)
    assert "gpg-agent" not in repr(REAPED)


def test_bare_pluggy_works_with_the_module_as_the_specification() -> None:
    manager = pluggy.PluginManager("workspace_server")
    manager.add_hookspecs(workspace_hookspecs)
    recorder = Recorder()
    manager.register(recorder)
    manager.check_pending()
    moment = datetime.now(timezone.utc)
    assert manager.hook.reaper_veto(candidates=[CANDIDATE]) == [{"vk_w": "busy"}]
    assert manager.hook.on_session_reaped(reap=REAPED) == []
    assert manager.hook.on_reaper_alarm(alarm=ALARM) == []
    assert recorder.calls == [
        ("reaper_veto", [CANDIDATE]),
        ("on_session_reaped", REAPED),
        ("on_reaper_alarm", ALARM),
    ]
    recorder.calls.clear()
    assert manager.hook.on_workspace_deleted(workspace_id="d") == []
    assert manager.hook.on_workspace_archived(workspace_id="a") == []
    assert manager.hook.on_tick(now=moment) == []
    assert recorder.calls == [("on_workspace_deleted", "d"), ("on_workspace_archived", "a"), ("on_tick", moment)]


def test_every_public_name_is_there_and_documented() -> None:
    for name in workspace_hookspecs.__all__:
        assert hasattr(workspace_hookspecs, name)
    public = [member for name, member in vars(WorkspacePlugins).items() if not name.startswith("_")]
    assert all(inspect.getdoc(member) for member in [workspace_hookspecs, WorkspacePlugins, *public])
    with pytest.raises(AttributeError, match="no attribute 'WorkspacePlugin'"):
        attrgetter("WorkspacePlugin")(workspace_hookspecs)


def test_the_complete_host_of_the_readme_runs(tmp_path: Path) -> None:
    host, _ = readme_blocks()
    assert len(host.splitlines()) < 20
    database, record = tmp_path / "host.db", tmp_path / "record"
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("CREATE TABLE workspaces (id TEXT PRIMARY KEY, archived INTEGER NOT NULL DEFAULT 0)")
        connection.executemany("INSERT INTO workspaces (id) VALUES (?)", [("one",), ("two",), ("three",)])
    (tmp_path / "host.py").write_text(host, encoding="utf-8")
    install(tmp_path / "site", "a-recorder", {"recorder": RECORDER}, "[workspace_server]\nrecorder = recorder\n")
    ended = subprocess.run(
        [sys.executable, "-W", "error", str(tmp_path / "host.py"), str(database)],
        env=python_with(tmp_path / "site", DATABASE=str(database), RECORD=str(record)),
        input="delete one\narchive two\n",
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    calls = [line.split("|") for line in record.read_text(encoding="utf-8").splitlines()]
    assert [call[:2] for call in calls] == [["tick", "UTC"], ["deleted", "one"], ["archived", "two"], ["close", "None"]]
    seen = {call[0]: dict(ast.literal_eval(call[2])) for call in calls}
    assert "one" not in seen["deleted"]
    assert seen["archived"]["two"] == 1
    assert seen["close"] == {"two": 1, "three": 0}


VETO_HOST = """
import sys
from datetime import datetime, timezone
from operator import attrgetter
from pathlib import Path
from workspace_hookspecs import Candidate, Reaped, WorkspacePlugins

some = [Candidate(None, "/socket", f"vk_{each}", "$1", each, "idle", None) for each in ("one", "two")]
with WorkspacePlugins.load() as plugins:
    for veto in plugins.ask_vetoes(some, timeout=20):
        print(veto.plugin, veto.session, veto.reason)
    now = datetime(2026, 11, 22, 10, tzinfo=timezone.utc)
    plugins.session_reaped(Reaped("01J", now, "/socket", "vk_two", "two", "idle", "reaped", 4096, (), (), True))
    assert plugins.drain(20)
    Path(sys.argv[1], "one").unlink()
    Path(sys.argv[1]).rmdir()
    for veto in plugins.ask_vetoes(some, timeout=20):
        print(veto.plugin, veto.session, veto.reason)
"""


def test_the_complete_veto_plugin_of_the_readme_runs(tmp_path: Path) -> None:
    _, plugin = readme_blocks()
    assert len(plugin.splitlines()) < 20
    deploying = tmp_path / "deploying"
    deploying.mkdir()
    (deploying / "one").touch()
    (tmp_path / "host.py").write_text(VETO_HOST, encoding="utf-8")
    install(tmp_path / "site", "a-guard", {"guard": plugin}, "[workspace_server]\nguard = guard\n")
    ended = subprocess.run(
        [sys.executable, "-W", "error", str(tmp_path / "host.py"), str(deploying)],
        env=python_with(tmp_path / "site", DEPLOYING=str(deploying)),
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    first, second = ended.stdout.splitlines()
    assert first == "guard vk_one deploying"
    assert second.startswith("guard None it raised FileNotFoundError: ")
    assert (tmp_path / "reaped.log").read_text(encoding="utf-8") == "2026-11-22 10:00:00+00:00 vk_two idle 4096\n"


def test_importing_the_marker_loads_next_to_nothing() -> None:
    script = "import sys, pluggy; before = set(sys.modules); import workspace_hookspecs; print(*(set(sys.modules) - before))"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=LIMIT, check=True)
    loaded = set(ended.stdout.split())
    assert {name for name in loaded if name.startswith("workspace_hookspecs")} == {
        "workspace_hookspecs",
        "workspace_hookspecs._specs",
    }
    assert loaded & {"asyncio", "importlib.metadata", "logging", "sqlite3"} == set()


def test_what_a_host_needs_loads_no_event_loop_and_no_metadata_before_load() -> None:
    script = "import sys; from workspace_hookspecs import WorkspacePlugins; WorkspacePlugins().close(); print(*sys.modules)"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=LIMIT, check=True)
    assert set(ended.stdout.split()) & {"asyncio", "importlib.metadata", "email", "sqlite3"} == set()


def test_logging_is_not_configured_and_no_signal_handler_is_installed() -> None:
    script = """if True:
        import logging, signal
        handlers = {number: signal.getsignal(number) for number in signal.valid_signals()}
        from workspace_hookspecs import WorkspacePlugins
        with WorkspacePlugins.load() as plugins, plugins.ticking(every=60):
            plugins.workspace_deleted("x")
        assert handlers == {number: signal.getsignal(number) for number in signal.valid_signals()}
        assert not logging.getLogger().handlers
        assert not logging.getLogger("workspace_hookspecs").handlers
        assert logging.getLogger("workspace_hookspecs").level == logging.NOTSET
    """
    environment = {**os.environ, "WORKSPACE_PLUGINS_BLOCK": "reaper"}
    subprocess.run([sys.executable, "-c", script], env=environment, timeout=LIMIT, check=True)
