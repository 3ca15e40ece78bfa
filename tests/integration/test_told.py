"""What people are told: rows for what they are, totals that add up, the daemon by its pid, and how many a reset lets go."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict

import pytest

from tests.tools.command_line import CommandLine
from tests.tools.daemons import PATIENCE, Daemon
from tests.tools.hosts import StandardHost, TableHost, connected
from tests.tools.waiting import wait_until
from tests.tools.world import World, session_name
from workspace_reaper.operations.sessions import keep_session

pytestmark = pytest.mark.once

Worlds = Callable[..., World]
Change = Callable[[World, list[str]], object]


# A row that is marked deleted


@pytest.fixture(params=["standard", "table"])
def flagging(request: pytest.FixtureRequest, worlds: Worlds, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """The command line of a host that marks what it deletes, and never removes a row."""
    world = worlds("standard", confirmation_gap=3600)
    if request.param == "table":
        world.host = TableHost(world.tmp / "table.sqlite")
        world.host.create()
        world.configure(
            registry="table", database_url=f"sqlite:///{world.host.path}", session_patterns=["ws-(?P<id>[0-9a-f]{32})"]
        )
        table = {name: value for name, value in asdict(world.host.table).items() if value is not None}
        monkeypatch.setenv("WORKSPACE_REAPER_TABLE", json.dumps(table))
    return CommandLine(world, monkeypatch)


def flagged(reaper: CommandLine) -> str:
    """The name of a session whose row is marked deleted. Another one is alive."""
    world = reaper.world
    ids = [world.host.new_id(number) for number in (1, 2)]
    world.host.insert(ids)
    names = [
        f"ws-{one.replace('-', '')}" if isinstance(world.host, TableHost) else StandardHost.session_name(one) for one in ids
    ]
    world.server.new_sessions(names)
    assert reaper("sweep").code == 0
    world.host.flag_deleted(ids[0])
    return names[0]


def test_a_row_that_is_marked_deleted_is_reported_as_that(flagging: CommandLine) -> None:
    name = flagged(flagging)
    [entry] = [one for one in flagging("sweep", "--json").json["sessions"] if one["session"] == name]
    assert (entry["verdict"], entry["reason"], entry["protected_by"]) == ("hold", "orphan", "unconfirmed")
    assert entry["evidence"]["row"]["deleted"] is True
    assert entry["evidence"]["proven"] is True
    explained = flagging("explain", name).out
    assert "The row is marked deleted" in explained
    assert "have found the row marked deleted (1 so far)" in explained
    assert "no row" not in explained
    assert "registry has no" not in explained


# The daemon


def test_the_status_names_the_daemon_that_runs(reaper: CommandLine) -> None:
    world = reaper.world
    world.session(world.workspace())
    assert reaper("status").out.splitlines().count("daemon            not running") == 1
    with Daemon(world) as daemon:
        shown = reaper("status", "--json").json["daemon"]
        assert shown == {"pid": daemon.process.pid, "since": shown["since"]}
        assert f"daemon            running, pid {daemon.process.pid}, since {shown['since']}" in reaper("status").out
        daemon.kill()
        assert reaper("status", "--json").json["daemon"] is None


# The breaker


def ended(world: World, ids: list[str]) -> None:
    world.server.run("kill-session", "-t", f"={session_name(world.schema, ids[0])}:")


def known_again(world: World, ids: list[str]) -> None:
    world.host.insert(ids[:1])


def kept(world: World, ids: list[str]) -> None:
    keep_session(world.plugin.reaper(), session_name(world.schema, ids[0]), on=True)


@pytest.mark.parametrize(
    ("change", "counts"),
    [
        (lambda _world, _ids: None, (4, 0, 0)),
        (ended, (3, 0, 1)),
        (known_again, (3, 0, 1)),
        (kept, (3, 1, 0)),
    ],
    ids=["nothing", "one has ended", "one is known again", "one is kept"],
)
@pytest.mark.parametrize("form", ["text", "json"])
def test_a_reset_says_how_many_sessions_it_lets_go(
    reaper: CommandLine, latched: list[str], change: Change, counts: tuple[int, int, int], form: str
) -> None:
    change(reaper.world, latched)
    if form == "json":
        assert reaper("breaker", "reset", "--json").json["released"] == counts[0]
    else:
        orphans, held, gone = counts
        released, others = reaper("breaker", "reset").out.split(". ", 1)
        assert released == f"released: the next sweep would reap {orphans} orphans"
        assert f", {held} are protected by something else, and {gone} have ended or have a row again." in others
    assert reaper("sweep", "--json").json["totals"]["reaped"] == counts[0]


def test_a_reset_says_what_it_cannot_see(reaper: CommandLine, latched: list[str]) -> None:
    reaper.world.host.path.rename(reaper.world.tmp / "away.sqlite")
    done = reaper("breaker", "reset")
    assert done.code == 0
    assert "Which sessions the next sweep would reap is not known" in done.out
    assert "UNKNOWN registry" in done.out
    assert all(map(reaper.world.lives, latched))


@pytest.mark.parametrize("way", ["reset", "approve", "trip"])
def test_the_daemon_logs_each_change_of_the_breaker_whoever_causes_it(
    reaper: CommandLine, latched: list[str], way: str
) -> None:
    """The daemon sweeps rarely here, so that what another process does comes between two of its sweeps."""
    world = reaper.world
    world.configure(tick=2)
    with Daemon(world) as daemon:
        world.plugin.close()
        if way == "reset":
            world.settings["orphan_confirmations"] = 99
            assert reaper("breaker", "reset").code == 0
        elif way == "approve":
            reaper("sweep", "--approve", "--yes")
        else:
            assert reaper("breaker", "reset").code == 0
            daemon.wait_for_line("breaker released")
            wait_until(lambda: not any(map(world.lives, latched)), PATIENCE)
            more = world.workspaces(9)
            world.sweep()
            world.host.delete(*more)
            reaper("sweep")
            assert reaper("breaker", "--json").json["state"] == "latched"
        wanted = {"reset": "breaker released", "approve": "breaker approved", "trip": "breaker latched"}[way]
        wait_until(lambda: any(line["event"] == wanted for line in daemon.log), PATIENCE)
        assert daemon.stop() == 0
        lines = [line for line in daemon.log if line["event"] == wanted]
    assert len(lines) == 1
    assert lines[0]["detail"]


# A configuration that cannot be used

UNUSABLE = {
    "a bad duration": {"tick": "now and then"},
    "an unknown key": {"database_ur": "x"},
    "an unknown registry": {"registry": "nonesuch"},
    "a URL that cannot be read": {"database_url": "mysql://host/db"},
    "a table that is not described": {"registry": "table"},
}


@pytest.mark.parametrize("wrong", UNUSABLE)
def test_doctor_diagnoses_a_bad_configuration_and_goes_on(reaper: CommandLine, wrong: str) -> None:
    world = reaper.world
    world.session(world.workspace())
    world.sweep()
    world.settings.update(UNUSABLE[wrong])
    done = reaper("doctor", "--json")
    assert done.code == 1
    checks = {check["check"]: check for check in done.json}
    [name] = UNUSABLE[wrong]
    assert checks["configuration"]["state"] == "FAIL"
    assert name in checks["configuration"]["detail"]
    assert {checks[one]["state"] for one in ("entry point", "tmux", "locale", "state_dir")} == {"OK"}
    assert str(world.state_dir) in checks["state_dir"]["detail"]
    assert reaper("doctor").out.count("FAIL") == 1
    canary = [check for check in reaper("doctor", "--canary", "--json").json if check["check"] == "canary"]
    assert [(check["state"], check["detail"]) for check in canary] == [("FAIL", "not tried: the configuration cannot be used")]


@pytest.mark.parametrize("wrong", ["a bad duration", "an unknown key"])
def test_what_a_bad_configuration_says_of_the_host_is_checked(reaper: CommandLine, wrong: str) -> None:
    world = reaper.world
    world.session(world.workspace())
    world.sweep()
    world.settings.update(UNUSABLE[wrong])
    checks = {check["check"]: check for check in reaper("doctor", "--json").json}
    assert str(world.host.path) in checks["database"]["detail"]
    assert checks[f"socket {world.server.path}"]["state"] == "OK"
    assert checks["ledger"]["state"] == "OK"


@pytest.mark.parametrize("how", ["missing", "not TOML", "writable by others"])
def test_doctor_goes_on_without_a_file_that_cannot_be_read(reaper: CommandLine, how: str) -> None:
    file = reaper.world.tmp / "other.toml"
    if how != "missing":
        file.write_text("[[[" if how == "not TOML" else "tick = 5")
        file.chmod(0o622 if how == "writable by others" else 0o600)
    done = reaper.bare("--config", str(file), "doctor", "--json")
    checks = {check["check"]: check for check in done.json}
    assert done.code == 1
    assert (checks["configuration"]["state"], str(file) in checks["configuration"]["detail"]) == ("FAIL", True)
    assert checks["tmux"]["state"] == "OK"


def test_doctor_prints_a_statement_that_can_be_executed_as_it_is(flagging: CommandLine) -> None:
    world = flagging.world
    with connected(world.host.path) as connection:
        [(table,)] = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        columns = [row[1] for row in connection.execute(f'PRAGMA table_info("{table}")').fetchall()]
        connection.execute(f'ALTER TABLE "{table}" RENAME TO old')
        connection.execute(f'CREATE TABLE "{table}" AS SELECT {", ".join(columns)} FROM old')
        connection.execute("DROP TABLE old")
    [statement] = [line.strip() for line in flagging("doctor").out.splitlines() if "CREATE INDEX" in line]
    with connected(world.host.path) as connection:
        connection.execute(statement)
    assert "CREATE INDEX" not in flagging("doctor").out
