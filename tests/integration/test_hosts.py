"""Several hosts in one reaper, on a real tmux: whose a session is where their patterns overlap."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from tests.tools import commands
from tests.tools.daemons import Daemon
from tests.tools.hosts import StandardHost, connected
from tests.tools.tmux import TmuxServer
from tests.tools.waiting import wait_until
from workspace_reaper.model.events import WorkspaceEvent, key_of
from workspace_reaper.model.unknown import Unknown
from workspace_reaper.model.verdict import Verdict
from workspace_reaper.model.workspace import LookupResult
from workspace_reaper.operations.reapers import Reapers, reapers_for
from workspace_reaper.operations.runner import ReaperRunner
from workspace_reaper.operations.suspects import record_events
from workspace_reaper.settings import Settings
from workspace_reaper.sweep.context import SweepRequest
from workspace_reaper.sweep.report import SessionReport, SweepReport

PATTERNS = {"a": [r"ws-(?P<id>.+)", r"a-(?P<id>.+)"], "b": [r"ws-(?P<id>.+)", r"b-(?P<id>.+)"]}


class TwoHosts:
    """Hosts ``a`` and ``b`` on one tmux server. Both claim ``ws-ID``, and each a name of its own, ``a-ID`` and ``b-ID``."""

    def __init__(self, tmp: Path, server: TmuxServer) -> None:
        self.server = server
        self.tmp = tmp
        self.hosts = {name: StandardHost(tmp / f"{name}.sqlite") for name in PATTERNS}
        for host in self.hosts.values():
            host.create()
        self.reapers = self._started()

    def _started(self) -> Reapers:
        hosts: Any = [
            {
                "name": name,
                "registry": "standard",
                "database_url": str(host.path),
                "tmux_sockets": [self.server.path],
                "session_patterns": PATTERNS[name],
            }
            for name, host in self.hosts.items()
        ]
        once: Any = {"activity_grace": 0, "min_age": 0, "confirmation_gap": 0}
        return reapers_for(Settings(state_dir=self.tmp / "state", hosts=hosts, **once), {})

    def sweep(self, **request: Any) -> SweepReport:
        return self.reapers.sweep(SweepRequest(**request))

    def swept(self) -> SessionReport:
        """The entry of the only session after one sweep."""
        [entry] = self.sweep().sessions
        return entry

    def lives(self, name: str) -> bool:
        return name in self.server.run("list-sessions", "-F", "#{session_name}", check=False).split("\n")


@pytest.fixture
def two(tmp_path: Path) -> Iterator[TwoHosts]:
    with TmuxServer() as server:
        server.new_session("keeper")
        world = TwoHosts(tmp_path, server)
        yield world
        world.reapers.close()


def test_each_host_reaps_its_own(two: TwoHosts) -> None:
    for name, host in two.hosts.items():
        host.insert(["old"], archived=True)
        host.insert(["new"])
        two.server.new_session(f"{name}-old")
        two.server.new_session(f"{name}-new")
    report = two.sweep()
    assert report.complete
    assert {(entry.host, entry.workspace_id): entry.outcome for entry in report.sessions} == {
        ("a", "old"): "reaped",
        ("a", "new"): "none",
        ("b", "old"): "reaped",
        ("b", "new"): "none",
    }
    assert [one["name"] for one in report.as_dict()["hosts"]] == ["a", "b"]
    assert two.lives("a-new")
    assert two.lives("b-new")
    assert not two.lives("a-old")


def test_a_name_that_both_claim_belongs_to_the_host_whose_record_knows_it(two: TwoHosts) -> None:
    two.hosts["b"].insert(["1"], archived=True)
    two.server.new_session("ws-1")
    entry = two.swept()
    assert (entry.host, entry.reason, entry.outcome) == ("b", "archived", "reaped")


@pytest.mark.parametrize("rows", [("a", "b"), ()], ids=["both know it", "none knows it"])
def test_a_session_that_no_single_host_knows_is_left_alone(two: TwoHosts, rows: tuple[str, ...]) -> None:
    for name in rows:
        two.hosts[name].insert(["1"], archived=True)
    two.server.new_session("ws-1")
    for _ in range(4):
        entry = two.swept()
        assert (entry.host, entry.verdict, entry.protected_by) == (None, Verdict.HOLD, "contested")
        assert entry.as_json()["contested"] == ["a", "b"]
    assert two.lives("ws-1")


def test_what_a_host_knew_before_tells_whose_it_is(two: TwoHosts) -> None:
    two.hosts["a"].insert(["1", "2"])
    two.server.new_session("ws-1")
    two.server.new_session("a-2")
    two.sweep()
    for option in ("@workspace_owner", "@reaper_workspace", "@reaper_self"):
        two.server.run("set-option", "-u", "-t", "=ws-1:", option)
    two.hosts["a"].delete("1")
    reports = [two.sweep() for _ in range(2)]
    [entry] = [entry for entry in reports[-1].sessions if entry.session == "ws-1"]
    assert (entry.host, entry.reason, entry.outcome) == ("a", "orphan", "reaped")


def test_a_marked_session_stays_with_its_host_and_a_rival_that_knows_its_name_saves_it(two: TwoHosts) -> None:
    two.hosts["a"].insert(["1"])
    two.server.new_session("ws-1")
    assert two.swept().host == "a"
    two.hosts["b"].insert(["1"])
    two.hosts["a"].archive("1")
    entry = two.swept()
    assert (entry.host, entry.reason, entry.protected_by, entry.outcome) == ("a", "archived", "contested", "none")
    two.hosts["b"].delete("1")
    entry = two.swept()
    assert (entry.host, entry.outcome) == ("a", "reaped")


def unreadable(host: StandardHost) -> None:
    with connected(host.path) as connection:
        connection.execute("ALTER TABLE workspaces RENAME TO others")


def test_while_one_record_cannot_be_read_what_it_claims_stays_and_the_other_host_goes_on(two: TwoHosts) -> None:
    two.hosts["a"].insert(["1", "2"], archived=True)
    two.server.new_session("ws-1")
    two.server.new_session("a-2")
    two.server.new_session("b-3")
    unreadable(two.hosts["b"])
    report = two.sweep()
    found = {entry.session: (entry.host, entry.outcome, entry.protected_by) for entry in report.sessions}
    assert found == {"ws-1": (None, "none", "unknown"), "a-2": ("a", "reaped", None), "b-3": ("b", "none", "unknown")}
    assert report.exit_code == 3
    assert {name: one.complete for name, one in report.hosts.items()} == {"a": True, "b": False}
    assert two.lives("ws-1")
    assert two.lives("b-3")


def test_a_record_that_becomes_unreadable_saves_a_marked_session_that_its_host_claims(two: TwoHosts) -> None:
    two.hosts["a"].insert(["1"])
    two.server.new_session("ws-1")
    two.sweep()
    two.hosts["a"].archive("1")
    unreadable(two.hosts["b"])
    entry = two.swept()
    assert (entry.host, entry.protected_by) == ("a", "contested")
    assert two.lives("ws-1")


def test_a_rivals_row_that_appears_after_the_verdict_saves_the_session(two: TwoHosts) -> None:
    """Its record is asked again in the recheck."""
    two.hosts["a"].insert(["1"], archived=True)
    two.server.new_session("ws-1")
    registry, asked = two.reapers.hosts[1].registry, []
    real = registry.look_up

    def look_up(ids: Any, sentinels: Any, *, every_spelling: bool = False) -> LookupResult | Unknown:
        rows = real(ids, sentinels, every_spelling=every_spelling)
        asked.append(every_spelling)
        if asked.count(True) == 1:  # the verdict has been reached
            two.hosts["b"].insert(["1"])
        return rows

    registry.look_up = look_up  # type: ignore[method-assign]
    entry = two.swept()
    assert (entry.host, entry.outcome, entry.protected_by) == ("a", "spared", "contested")
    assert two.lives("ws-1")


def test_a_hook_of_one_host_deletes_nothing_of_another_with_the_same_id(two: TwoHosts) -> None:
    two.hosts["a"].insert(["7", "8"])
    two.server.new_session("a-7")
    two.server.new_session("b-7")
    two.sweep()
    two.hosts["a"].delete("7")
    report = two.reapers.hosts[0].sweep(SweepRequest(suspects={"7": _deleted(two)}))
    assert {entry.session: entry.outcome for entry in report.sessions} == {"a-7": "reaped"}
    assert two.lives("b-7")


def _deleted(two: TwoHosts) -> Any:
    record_events(two.reapers.hosts[0], {"7": WorkspaceEvent.DELETED})
    return WorkspaceEvent.DELETED


def test_the_breaker_of_one_host_holds_nothing_of_another(two: TwoHosts) -> None:
    for name, host in two.hosts.items():
        host.insert([str(number) for number in range(5)])
        two.server.new_sessions([f"{name}-{number}" for number in range(5)])
    two.sweep()
    two.hosts["a"].delete(*(str(number) for number in range(4)))
    two.hosts["b"].delete("0")
    reports = [two.sweep() for _ in range(3)]
    assert {name: one.latched for name, one in reports[-1].hosts.items()} == {"a": True, "b": False}
    assert reports[-1].exit_code == 3
    assert not two.lives("b-0")
    assert all(two.lives(f"a-{number}") for number in range(5))


class Cli:
    """The same two hosts through the command line, with a configuration file."""

    def __init__(self, two: TwoHosts) -> None:
        hosts = "".join(
            f'[[hosts]]\nname = "{name}"\nregistry = "standard"\ndatabase_url = "{host.path}"\n'
            f'tmux_sockets = ["{two.server.path}"]\nsession_patterns = {json.dumps(PATTERNS[name])}\n'
            for name, host in two.hosts.items()
        )
        self._config = two.tmp / "reaper.toml"
        self.tmp = two.tmp
        limits = "activity_grace = 0\nmin_age = 0\nconfirmation_gap = 0\n"
        self._config.write_text(f'state_dir = "{two.tmp}/state"\n{limits}{hosts}')
        self._config.chmod(0o600)

    def write_config(self) -> Path:
        """The configuration file."""
        return self._config

    def environment(self, **more: str) -> dict[str, str]:
        """What a service manager would give."""
        return {"PATH": os.environ["PATH"], "HOME": str(self.tmp), "LC_ALL": "C", **more}

    def run(self, *arguments: str, expect: int = 0) -> str:
        done = commands.run(["--config", str(self._config), *arguments], env=self.environment(), cwd=self.tmp, stdin="")
        assert done.returncode == expect, (done.stdout, done.stderr)
        return done.stdout + done.stderr

    def json(self, *arguments: str, expect: int = 0) -> Any:
        return json.loads(self.run(*arguments, "--json", expect=expect))


def test_the_commands_show_the_host(two: TwoHosts) -> None:
    two.hosts["a"].insert(["1"], archived=True)
    two.hosts["b"].insert(["2"])
    for name in ("a-1", "b-2", "ws-9"):
        two.server.new_session(name)
    cli = Cli(two)
    swept = cli.json("sweep")
    assert {entry["session"]: entry["host"] for entry in swept["sessions"]} == {"a-1": "a", "b-2": "b", "ws-9": None}
    assert swept["totals"]["reaped"] == 1
    status = cli.json("status")
    assert [(one["name"], one["complete"], one["breaker"]["state"]) for one in status["hosts"]] == [
        ("a", True, "closed"),
        ("b", True, "closed"),
    ]
    assert {entry["session"]: entry["host"] for entry in status["sessions"]} == {"a-1": "a", "b-2": "b", "ws-9": None}
    assert [(alarm["host"], alarm["name"]) for alarm in status["alarms"]] == [("a", "contested")]
    assert [(reap["host"], reap["workspace_id"]) for reap in cli.json("history")] == [("a", "1")]
    assert [one["host"] for one in cli.json("breaker")] == ["a", "b"]
    assert cli.json("explain", "b-2")["host"] == "b"
    assert cli.json("explain", "ws-9")["host"] is None
    assert "ws-9" in cli.run("status", "--check", expect=1)
    assert "host              b" in cli.run("status")
    assert {"a: database", "b: database"} <= {check["check"] for check in cli.json("doctor", expect=0)}


def test_a_command_for_one_host_asks_for_its_name(two: TwoHosts) -> None:
    cli = Cli(two)
    assert "a, b" in cli.run("breaker", "reset", expect=2)
    assert cli.run("--host", "b", "breaker", "reset")
    assert "there is no host c" in cli.run("--host", "c", "status", expect=2)


class Looks:
    """What a plugin with these reapers does about reported workspaces."""

    def __init__(self, two: TwoHosts) -> None:
        self.runner = ReaperRunner()
        self.runner.replace(two.reapers, lambda: None)

    def __call__(self, reported: str, event: WorkspaceEvent) -> None:
        self.runner.look_at({reported: event}, [reported])


def test_a_hook_counts_for_the_only_host_whose_ledger_knows_the_workspace(two: TwoHosts) -> None:
    two.hosts["a"].insert(["7", "8"])
    for name in ("a-7", "b-7"):
        two.server.new_session(name)
    two.sweep()
    two.hosts["a"].delete("7")
    Looks(two)("7", WorkspaceEvent.DELETED)
    assert not two.lives("a-7")
    assert two.lives("b-7")


def test_a_hook_about_a_workspace_that_both_know_is_left_to_the_records(two: TwoHosts) -> None:
    for name, host in two.hosts.items():
        host.insert(["7", "8"])
        two.server.new_session(f"{name}-7")
    two.sweep()
    two.hosts["a"].delete("7")
    Looks(two)("7", WorkspaceEvent.DELETED)
    assert two.lives("b-7")
    with two.reapers.hosts[0].reading() as ledger:
        assert ledger.load_state((), 0.0).reported == {}


def test_what_the_daemon_saw_of_one_host_is_looked_at_in_that_host(two: TwoHosts) -> None:
    for name, host in two.hosts.items():
        host.insert(["7", "8"])
        two.server.new_session(f"{name}-7")
    two.sweep()
    two.hosts["b"].delete("7")
    Looks(two)(key_of("b", "7"), WorkspaceEvent.REMOVED)
    assert two.lives("a-7")
    assert not two.lives("b-7")


def test_the_daemon_notices_a_deletion_in_each_host(two: TwoHosts) -> None:
    """From the commit to the end of the session, also where both hosts have the same id."""
    for name, host in two.hosts.items():
        host.insert(["7", "8", "9"])
        two.server.new_sessions([f"{name}-7", f"{name}-8", f"{name}-9"])
    with Daemon(cast("Any", Cli(two))) as daemon:
        wait_until(lambda: two.server.run("list-sessions", "-F", "#{?@reaper_self,1,}").count("1") == 6, 30)
        two.hosts["b"].delete("7")
        wait_until(lambda: not two.lives("b-7"), 30)
        assert two.lives("a-7")
        two.hosts["a"].archive("8")
        wait_until(lambda: not two.lives("a-8"), 30)
        assert two.lives("b-8")
        started = next(line for line in daemon.log if line["event"] == "started")
        assert started["hosts"] == "a,b"
        assert daemon.stop() == 0
