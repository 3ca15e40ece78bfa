"""Every command as a person or a program uses it: exit codes, JSON, tables, and what is said when something is wrong."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.tools import report_json
from tests.tools.command_line import CommandLine, Done
from tests.tools.front_tmux import FrontTmux, Rule
from tests.tools.report_json import shape
from tests.tools.tmux import TmuxServer, takes_name
from tests.tools.world import World, outcomes, session_name
from workspace_reaper.policy.rules import RULES

pytestmark = pytest.mark.once

COMMANDS = ["demo", "sweep", "status", "explain", "keep", "unkeep", "history", "breaker", "doctor", "adopt"]
Worlds = Callable[..., World]


# A session whose row is there.
EVIDENCE = shape({**report_json.EVIDENCE, "row": report_json.ROW})
ENTRY = {**shape(report_json.ENTRY), "evidence": EVIDENCE}
AFTERMATH = {**shape(report_json.CLEANUP), "survivors": [], "freed_ports": [], "held_ports": []}
REPORT = {**shape(report_json.REPORT), "sessions": [{**ENTRY, **AFTERMATH}], "unknown": []}
HISTORY = {**shape(report_json.HISTORY), **AFTERMATH, "evidence": EVIDENCE, "by": "NoneType"}
BREAKER = {"state": "str", "since": "NoneType", "cause": "NoneType", "clears_when": "NoneType"}
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")

# sweep


def test_sweep_json_field_by_field_in_an_almost_empty_environment(world: World) -> None:
    """The process itself, without a locale, as a service manager starts it."""
    archived = world.workspace(archived=True)
    session_id = world.session(archived)
    world.server.new_session("not-ours")

    report = world.cli_json("sweep")

    assert shape(report) == REPORT
    assert MOMENT.fullmatch(report["started_at"])
    assert (report["dry_run"], report["complete"], report["breaker"]["state"]) == (False, True, "closed")
    totals = report["totals"]
    assert totals.pop("freed_bytes") > 0
    assert totals.pop("managed") == 1
    assert {name: count for name, count in totals.items() if count} == {"condemned": 1, "reaped": 1, "unmanaged": 1}
    [entry] = report["sessions"]
    assert (entry["socket"], entry["session"]) == (world.server.path, session_name(world.schema, archived))
    assert (entry["session_id"], entry["workspace_id"]) == (session_id, archived)
    assert (entry["verdict"], entry["reason"], entry["outcome"]) == ("reap", "archived", "reaped")
    assert world.server.run("list-sessions", "-F", "#{session_name}") == "not-ours"


def test_sweep_json_of_what_is_kept_held_and_unknown(reaper: CommandLine) -> None:
    world = reaper.world
    known, orphan, kept = world.workspaces(3)
    blind = TmuxServer()
    Path(blind.path).write_text("no socket")
    world.configure(tmux_sockets=[world.server.path, blind.path])
    reaper("sweep")
    world.host.delete(orphan)
    world.host.archive(kept)
    assert reaper("keep", session_name(world.schema, kept)).code == 3, "the other socket may have one of that name"
    assert reaper("keep", session_name(world.schema, kept), "--socket", world.server.path).code == 0

    done = reaper("sweep", "--json")
    blind.close()

    assert done.code == 3
    report = done.json
    assert report["complete"] is False
    assert shape(report["unknown"]) == [{"socket": "str", "error": "str", "source": "str", "session": "NoneType"}]
    assert report["unknown"][0]["socket"] == blind.path
    found = {entry["workspace_id"]: entry for entry in report["sessions"]}
    told = {one: (entry["verdict"], entry["reason"], entry["protected_by"], entry["outcome"]) for one, entry in found.items()}
    assert told == {
        known: ("keep", None, None, "none"),
        orphan: ("hold", "orphan", "unconfirmed", "none"),
        kept: ("hold", "archived", "kept", "none"),
    }
    assert found[orphan]["evidence"]["row"] is None


def test_a_dry_run_decides_everything_and_writes_nothing(reaper: CommandLine) -> None:
    world = reaper.world
    archived = world.workspace(archived=True)
    session_id = world.session(archived)
    report = reaper("sweep", "--dry-run", "--json").json
    assert (report["dry_run"], report["sessions"][0]["outcome"], report["sessions"][0]["reap_id"]) == (True, "would-reap", None)
    done = reaper("sweep", "--dry-run")
    assert done.code == 0
    assert "1 managed (0 keep, 0 hold, 1 reap), 1 would be reaped" in done.out
    assert world.lives(archived)
    assert not world.state_dir.exists()
    assert world.server.run("show-options", "-t", f"{session_id}:", check=False) == ""


def test_sweep_says_what_it_did_in_plain_lines(reaper: CommandLine) -> None:
    world = reaper.world
    archived = world.workspace(archived=True)
    world.session(archived)
    done = reaper("sweep")
    header, line, *_ = done.out.split("\n")
    assert header.split() == ["SESSION", "VERDICT", "REASON", "OUTCOME", "HELD", "BY", "IDLE", "AGE", "SOCKET"]
    assert line.split()[:5] == [session_name(world.schema, archived), "reap", "archived", "reaped", "-"]
    assert "1 managed (0 keep, 0 hold, 1 reap), 1 reaped, 0 spared, 0 failed, 0 unmanaged" in done.out


def test_sweep_fails_with_1_even_if_it_could_not_see_everything(reaper: CommandLine, front_tmux: FrontTmux) -> None:
    world = reaper.world
    for _ in range(2):
        world.session(world.workspace(archived=True))
    bad, _ = (name for name in world.server.run("list-sessions", "-F", "#{session_name}").split())
    unreadable = Rule("list-sessions", replace={"#{session_created}": ""}, sessions=[bad])
    front_tmux.rules(Rule("kill-session", real=False), unreadable)
    done = reaper("sweep")
    assert done.code == 1
    assert "UNKNOWN session" in done.out
    front_tmux.rules(unreadable)
    assert reaper("sweep").code == 3


def test_switched_off_is_0_and_not_configured_is_2(
    reaper: CommandLine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WORKSPACE_REAPER_ENABLED", "0")
    done = reaper("sweep", "--json")
    assert (done.code, done.json["abstained"], done.json["complete"]) == (0, "disabled", False)
    assert "no session was looked at: disabled" in reaper("sweep").out
    assert reaper("status", "--check").code == 0
    assert "switched off" in reaper("status").out
    empty = tmp_path / "empty.toml"
    empty.write_text(f'state_dir = "{tmp_path}/state"\n')
    done = reaper.bare("--config", str(empty), "sweep")
    assert (done.code, "set database_url or registry" in done.err) == (2, True)
    leads_on = f"workspace-reaper --config {empty} init' looks at this machine and writes that file, {empty}"
    assert leads_on in done.err
    status = reaper.bare("--config", str(empty), "status")
    assert (status.code, status.out.split("\n")[0]) == (
        0,
        "not configured, so nothing is reaped: set database_url or registry",
    )
    assert leads_on in status.out
    [line] = [
        check for check in reaper.bare("--config", str(empty), "doctor", "--json").json if check["check"] == "configuration"
    ]
    assert (line["state"], "not configured" in line["detail"], leads_on in line["do"]) == ("WARN", True, True)


# breaker


def test_the_breaker_is_shown_and_reset(reaper: CommandLine, latched: list[str]) -> None:
    world = reaper.world
    done = reaper("breaker", "--json")
    assert shape(done.json) == {**BREAKER, "since": "str", "cause": "str", "clears_when": "str"}
    assert done.json["state"] == "latched"
    assert "4 of 5 managed sessions have no row, or one marked deleted" in reaper("breaker").out
    assert reaper("sweep", "--dry-run").code == 3
    assert "The breaker is latched" in reaper("sweep").out
    assert reaper("breaker", "resett").code == 2
    assert "released: the next sweep would reap 4 orphans" in reaper("breaker", "reset").out
    assert reaper("breaker", "--json").json == {"state": "closed", "since": None, "cause": None, "clears_when": None}
    assert "closed" in reaper("breaker", "reset").out
    assert shape(reaper("breaker", "reset", "--json").json) == {**BREAKER, "released": "int"}
    done = reaper("sweep")
    assert done.code == 0
    assert not any(map(world.lives, latched))


# status, explain, history


def test_status_json_and_check_before_and_after(reaper: CommandLine) -> None:
    world = reaper.world
    archived = world.workspace(archived=True)
    world.session(archived)
    done = reaper("status", "--json")
    assert done.code == 0
    assert (done.json["sweep"], done.json["last_complete_sweep"], done.json["sessions"]) == (None, None, [])
    assert reaper("status", "--check").code == 3
    assert "no full sweep yet" in reaper("status").out

    swept = reaper("sweep", "--json").json
    done = reaper("status", "--json")
    alarm = {"alarms": [], "breaker": BREAKER, "last_complete_sweep": "str", "enabled": "bool", "announced": [], "renamed": []}
    alarm["daemon"] = "NoneType"
    changed = dict.fromkeys(["changed_at", "changed", "proven_when"], "NoneType")
    assert shape(done.json) == {**REPORT, **alarm, "registry": {**REPORT["registry"], **changed}}
    assert done.json["sessions"] == swept["sessions"]
    assert MOMENT.fullmatch(done.json["last_complete_sweep"])
    assert reaper("status", "--check").code == 0
    assert "no alarm" in reaper("status").out

    world.host.path.rename(world.tmp / "away")
    assert reaper("sweep").code == 3
    done = reaper("status", "--check", "--json")
    assert done.code == 1
    assert shape(done.json["alarms"]) == [dict.fromkeys(["name", "since", "detail", "clears_when"], "str")]
    assert done.json["alarms"][0]["name"] == "unreadable"
    assert "NOT complete" in reaper("status").out


def test_explain_json_and_table(reaper: CommandLine) -> None:
    world = reaper.world
    pinned = world.workspace(pinned=True)
    session_id = world.session(pinned)
    world.server.new_session("not-ours")
    world.configure(idle_ttl=0)
    name = session_name(world.schema, pinned)
    explained = reaper("explain", name, "--json").json
    told = shape({**explained, "facts": {}})
    nothing = {"outcome": "str", "reap_id": "NoneType", "protected_by": "str"}
    rule = {"reason": "str", "holds": "bool", "held_by": [], "because": "str"}
    assert told == {**ENTRY, **nothing, "facts": {}, "rules": [rule], "decided": "str", "unknown": []}
    assert explained["decided"] == "hold: idle, held by pinned"
    assert [(one["reason"], one["held_by"]) for one in explained["rules"] if one["holds"]] == [("idle", ["pinned"])]
    assert [one["reason"] for one in explained["rules"]] == [rule.name for rule in RULES]
    assert explained["facts"]["server"]["pid"] == world.server.pid
    assert {"created", "client_activity", "last_output", "attached_clients", "row", "owner", "now"} <= explained["facts"].keys()
    done = reaper("explain", session_id)
    assert done.code == 0
    assert "decided: hold: idle, held by pinned" in done.out
    assert "the workspace is pinned" in done.out

    foreign = reaper("explain", "not-ours", "--json")
    assert (foreign.code, foreign.json["verdict"], foreign.json["rules"]) == (0, "unmanaged", [])
    assert "its name matches no configured pattern" in foreign.json["decided"]


def test_history_is_newest_first_and_as_long_as_wanted(reaper: CommandLine) -> None:
    world = reaper.world
    assert reaper("history", "--json").json == []
    assert "nothing has been reaped yet" in reaper("history").out
    ids = [world.workspace(archived=True) for _ in range(3)]
    for one in ids:
        world.session(one)
        assert outcomes(world.sweep()) == {one: "reaped"}
    told = reaper("history", "--json").json
    assert [entry["workspace_id"] for entry in told] == ids[::-1]
    assert shape(told[0]) == HISTORY
    assert [entry["workspace_id"] for entry in reaper("history", "--json", "--limit", "2").json] == ids[:0:-1]
    done = reaper("history", "--limit", "1")
    assert (told[0]["id"] in done.out, told[1]["id"] in done.out) == (True, False)
    assert reaper("history", "--limit", "0").code == 2


# keep, and which session is meant


def test_keep_and_unkeep(reaper: CommandLine) -> None:
    world = reaper.world
    archived = world.workspace(archived=True)
    session_id = world.session(archived)
    name = session_name(world.schema, archived)
    done = reaper("keep", name)
    assert (done.code, done.out) == (0, f"{name} ({session_id}) on {world.server.path} is kept\n")
    assert reaper("sweep", "--json").json["sessions"][0]["protected_by"] == "kept"
    assert reaper("unkeep", session_id).out.endswith("is no longer kept\n")
    assert reaper("sweep", "--json").json["totals"]["reaped"] == 1
    done = reaper("keep", name)
    assert (done.code, f"no session {name}" in done.err) == (2, True)


@pytest.mark.parametrize("command", ["explain", "keep", "unkeep"])
def test_a_name_on_two_sockets_is_an_error_that_lists_both(
    worlds: Worlds, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    world = worlds(servers=2)
    reaper = CommandLine(world, monkeypatch)
    workspace = world.workspace()
    for server in world.servers:
        world.session(workspace, server=server)
    name = session_name(world.schema, workspace)
    done = reaper(command, name)
    assert done.code == 2
    assert all(server.path in done.err for server in world.servers)
    assert "--socket" in done.err
    assert reaper(command, name, "--socket", world.servers[1].path).code == 0
    kept = [server.run("list-sessions", "-F", "#{@reaper_keep}") for server in world.servers]
    assert kept == ["", "1" if command == "keep" else ""]


def test_which_session_is_meant_must_be_certain(reaper: CommandLine, front_tmux: FrontTmux) -> None:
    """No prefix, no pattern; and a socket that can't be read may hold it."""
    world = reaper.world
    workspace = world.workspace()
    world.session(workspace)
    world.server.new_session("not-ours")
    name = session_name(world.schema, workspace)
    for wrong in (name[:-1], name[:-1] + "*", "=" + name, "", "$99"):
        assert reaper("keep", "--", wrong).code == 2
    done = reaper("keep", "not-ours")
    assert (done.code, "never reaped" in done.err) == (2, True)
    front_tmux.rules(Rule("list-sessions", exit_code=1, stderr="lost server\n"))
    for command in ("explain", "keep"):
        done = reaper(command, name)
        assert (done.code, "lost server" in done.err) == (3, True)


NASTY = [
    "$(touch x)",
    "`touch x`",
    "#(touch x)",
    "#{pane_pid}",
    "'; touch x; '",
    "-t",
    "a\nb",
    "\x1b[31mx\x07",
    "[bold]b[/bold]",
    "left\u202eright",
    "line\u2028line\u0085line",
]


def test_names_are_never_run_expanded_or_sent_to_the_terminal(
    worlds: Worlds, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    world = worlds("standard", session_patterns=["(?s).+-(?P<id>w[0-9]+)"])
    reaper = CommandLine(world, monkeypatch)
    monkeypatch.chdir(tmp_path)
    nasty = [bad for bad in NASTY if takes_name(bad)]
    new = [world.server.new_session(f"{bad}-w{number}") for number, bad in enumerate(nasty)]
    names = [world.server.show(session_id, "#{session_name}") for session_id in new]
    world.host.insert([f"w{number}" for number in range(len(nasty))], archived=True)
    for name in names:
        explained = reaper("explain", "--json", "--", name)
        assert (explained.code, explained.json["decided"]) == (0, "reap: archived")
        assert all(line.isprintable() for line in reaper("explain", "--", name).out.splitlines())
        assert reaper("keep", "--", name).code == 0
    assert {entry["protected_by"] for entry in reaper("sweep", "--json").json["sessions"]} == {"kept"}
    for name in names:
        assert reaper("unkeep", "--", name).code == 0
    done = reaper("sweep")
    assert (done.code, f"{len(names)} reaped" in done.out) == (0, True)
    assert all(line.isprintable() for line in done.out.splitlines())
    told = reaper("history")
    assert "[bold]b[/bold]" in told.out, "nothing in a name is taken for markup"
    assert len(told.out.splitlines()) == len(names) + 1, "one line for each"
    assert all(line.isprintable() for line in told.out.splitlines())
    assert {entry["session"] for entry in reaper("history", "--json").json} >= {"$(touch x)-w0", "#(touch x)-w2"}
    assert not list(tmp_path.rglob("x"))


# usage and configuration


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_help(reaper: CommandLine, command: str) -> None:
    done = reaper.bare(command, "--help")
    assert done.code == 0
    assert re.search(rf"Usage: .* {command} ", done.out)
    assert done.out == reaper.bare(command, "-h").out


@pytest.mark.parametrize(
    ("command", "words"),
    [
        pytest.param("init", "Write this file (default: the one that all commands read).", id="init --output"),
        pytest.param("init", "Without this option a terminal is required.", id="init --write"),
        pytest.param("restore", "Name of the restored session (default: its old name).", id="restore --as"),
        pytest.param("run", "service definition that starts it at each login", id="run"),
    ],
)
def test_the_help_is_whole(reaper: CommandLine, command: str, words: str) -> None:
    """Nothing in it is taken for markup, and it does not say more than is so."""
    assert words in " ".join(reaper.bare(command, "--help").out.replace("│", " ").split())


def test_the_help_lists_every_command_and_the_version_is_told(reaper: CommandLine) -> None:
    done = reaper.bare("--help")
    assert done.code == 0
    assert all(command in done.out for command in COMMANDS)
    assert "Start with 'demo', then 'init', 'doctor', and 'sweep --dry-run'." in done.out
    assert re.fullmatch(r"workspace-reaper \d+\.\d+\.\d+\n", reaper.bare("--version").out)


@pytest.mark.parametrize(
    "arguments",
    [
        ("reap",),
        ("sweep", "--force"),
        ("explain",),
        ("history", "--limit", "many"),
        ("breaker", "open"),
        ("sweep", "--approve", "--dry-run"),
        ("sweep", "--approve", "--json"),
        ("sweep", "--yes"),
        ("sweep", "--yes", "--dry-run"),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_2(reaper: CommandLine, arguments: tuple[str, ...]) -> None:
    done = reaper(*arguments)
    assert done.code == 2
    assert done.err
    assert not reaper.world.state_dir.exists()


BAD = {
    "idle_tll = 5": "idle_tll",
    'idle_ttl = "soon"': "idle_ttl",
    "tmux_sockets = []": "tmux_sockets",
    "session_patterns = []": "session_patterns",
    'session_patterns = ["x"]': "session_patterns",
    'registry = "nobody"': "nobody",
    'enabled = "perhaps"': "enabled",
    "not toml": "TOML",
}


@pytest.mark.parametrize("command", ["sweep", "status"])
def test_a_bad_configuration_names_the_field_and_the_file(reaper: CommandLine, tmp_path: Path, command: str) -> None:
    bad = tmp_path / "bad.toml"
    for line, named in BAD.items():
        bad.write_text(("" if line.startswith("registry") else 'registry = "vibe-kanban"\n') + line + "\n")
        done = reaper.bare("--config", str(bad), command)
        assert (done.code, done.out) == (2, "")
        assert named in done.err
        if named != "nobody":
            assert str(bad) in done.err


def test_a_configuration_that_is_not_there_or_a_bad_variable_is_2(reaper: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    done = reaper.bare("--config", "/nowhere/at.toml", "sweep")
    assert (done.code, "/nowhere/at.toml" in done.err) == (2, True)
    assert reaper.bare("sweep").code == 2
    monkeypatch.setenv("WORKSPACE_REAPER_IDLE_TTL", "soon")
    done = reaper("sweep")
    assert (done.code, "WORKSPACE_REAPER_IDLE_TTL" in done.err) == (2, True)


LEDGER_READERS = ["sweep", "status", "history", "breaker", "explain", "keep", "unkeep"]


@pytest.mark.parametrize("command", LEDGER_READERS)
def test_a_ledger_that_can_not_be_read_is_3(reaper: CommandLine, command: str) -> None:
    world = reaper.world
    archived = world.workspace(archived=True)
    world.state_dir.mkdir(mode=0o700)
    file = world.state_dir / "ledger.sqlite"
    file.write_bytes(b"this is no database" * 100)
    session_id = world.session(archived)
    world.server.set_option(session_id, "@workspace_owner", "abc")
    done = reaper(command, *([session_id] if command in ("explain", "keep", "unkeep") else []))
    assert done.code == 3
    assert file.name in done.out + done.err
    assert "registry's stamp" not in done.out + done.err
    assert "0 managed" not in done.out
    assert ("nothing could be read" in done.out) is (command == "sweep")
    assert world.lives(archived)


# doctor


def checks(done: Done) -> dict[str, dict[str, str]]:
    """Each line by what was looked at; a socket's by that word alone."""
    told = done.json
    assert all(set(check) == {"check", "state", "detail", "do"} for check in told)
    assert all(check["do"] for check in told if check["state"] != "OK")
    return {check["check"].split(" /")[0]: check for check in told}


def test_doctor_finds_nothing_wrong_and_changes_nothing(reaper: CommandLine) -> None:
    reaper.world.session(reaper.world.workspace())
    found = checks(reaper("doctor", "--json"))
    assert {name: check["state"] for name, check in found.items()} == {
        "entry point": "OK",
        "configuration": "OK",
        "tmux": "OK",
        "locale": "OK",
        "socket": "OK",
        "database": "OK",
        "state_dir": "OK",
        "ledger": "WARN",
    }
    assert "no full sweep yet" in found["ledger"]["detail"]
    assert not reaper.world.state_dir.exists()
    reaper("sweep")
    assert {check["state"] for check in checks(reaper("doctor", "--json")).values()} == {"OK"}
    done = reaper("doctor")
    assert done.code == 0
    assert re.match(r"OK   entry point: .*\nOK   configuration: ", done.out)


@pytest.fixture
def locked(world: World) -> Iterator[Callable[[], object]]:
    """Lock the host's database until the test ends."""
    with closing(sqlite3.connect(world.host.path, isolation_level=None)) as connection:
        yield lambda: connection.execute("BEGIN EXCLUSIVE")


BREAKAGES: dict[str, tuple[str, str, str]] = {
    "no tmux": ("tmux", "FAIL", "no tmux on PATH"),
    "old tmux": ("tmux", "FAIL", "3.1c is older than tmux 3.2a"),
    "missing database": ("database", "FAIL", "does not exist"),
    "empty database": ("database", "WARN", "no rows"),
    "no database": ("database", "FAIL", "host.sqlite"),
    "locked database": ("database", "FAIL", "locked"),
    "unreadable socket": ("socket", "FAIL", "no server running"),
    "state_dir below a file": ("state_dir", "FAIL", "is not writable"),
    "state_dir open to all": ("state_dir", "FAIL", "may be written by others"),
    "latched breaker": ("alarm breaker", "WARN", "have no row, or one marked deleted"),
    "foreign stamp": ("socket", "WARN", "another reaper's owner mark"),
    "switched off": ("configuration", "WARN", "switched off"),
}


@pytest.mark.parametrize("breakage", BREAKAGES)
def test_doctor_names_what_is_broken(
    reaper: CommandLine,
    breakage: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    world = reaper.world
    if breakage not in ("empty database", "unreadable socket", "latched breaker"):
        session_id = world.session(world.workspace())
    if breakage == "no tmux":
        monkeypatch.setenv("PATH", str(tmp_path))
    elif breakage == "old tmux":
        old = tmp_path / "old"
        old.mkdir()
        (old / "tmux").write_text("#!/bin/sh\necho tmux 3.1c\n")
        (old / "tmux").chmod(0o755)
        monkeypatch.setenv("PATH", f"{old}:/usr/bin:/bin")
    elif breakage == "missing database":
        world.host.path.unlink()
    elif breakage == "no database":
        world.host.path.write_bytes(b"this is no database" * 100)
    elif breakage == "locked database":
        request.getfixturevalue("locked")()
    elif breakage == "unreadable socket":
        Path(world.server.path).write_text("no socket")
    elif breakage == "state_dir below a file":
        (tmp_path / "file").touch()
        world.configure(state_dir=str(tmp_path / "file" / "state"))
    elif breakage == "state_dir open to all":
        world.state_dir.mkdir()
        world.state_dir.chmod(0o777)
    elif breakage == "latched breaker":
        request.getfixturevalue("latched")
    elif breakage == "foreign stamp":
        world.server.set_option(session_id, "@workspace_owner", "abc")
    elif breakage == "switched off":
        world.configure(enabled=False)
    done = reaper("doctor", "--json")
    name, state, words = BREAKAGES[breakage]
    found = checks(done)[name]
    assert (found["state"], words in found["detail"]) == (state, True), found
    assert done.code == (1 if state == "FAIL" else 0)
