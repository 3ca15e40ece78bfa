"""The reaper's own memory can't be written: then nothing dies, and it says so. A dry run writes nothing at all."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.faults.conftest import Erring
from tests.faults.steps import alarms, confirmations, history, recalled, sweep_during
from tests.tools.disks import small_disk
from tests.tools.front_tmux import Rule
from tests.tools.waiting import wait_until
from tests.tools.world import World, outcomes
from workspace_reaper.ledger import SqliteLedger
from workspace_reaper.model.unknown import Source
from workspace_reaper.model.verdict import Verdict
from workspace_reaper.operations.suspects import record_events
from workspace_reaper.sweep.context import SweepRequest
from workspace_reaper.sweep.report import SweepReport

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parents[2]


def contents(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in sorted(directory.rglob("*")) if path.is_file()}


def assert_nothing_died(world: World, report: SweepReport, *sessions: str) -> None:
    assert report.exit_code == 3
    assert not report.complete
    assert {unknown.source for unknown in report.unknown} == {Source.LEDGER}
    assert {entry.outcome for entry in report.sessions} <= {"none", "spared"}
    assert {entry.protected_by for entry in report.sessions} <= {"ledger", "unknown", None}
    assert all(map(world.lives, sessions))


@pytest.fixture
def condemned(world: World) -> str:
    """The workspace of a session that any sweep would reap."""
    workspace = world.workspace(archived=True)
    world.session(workspace)
    return workspace


def a_file(state_dir: Path) -> None:
    state_dir.write_text("something else")


def a_directory_in_its_place(state_dir: Path) -> None:
    (state_dir / "ledger.sqlite").mkdir(parents=True)


def garbage(state_dir: Path) -> None:
    state_dir.mkdir()
    (state_dir / "ledger.sqlite").write_text("what an SQLite database does not begin with\n" * 200)


@pytest.mark.parametrize("fault", [a_file, a_directory_in_its_place, garbage])
def test_a_state_dir_that_can_not_hold_it(world: World, condemned: str, fault: Callable[[Path], None]) -> None:
    fault(world.state_dir)
    before = contents(world.tmp)
    report = world.sweep()
    assert_nothing_died(world, report, condemned)
    assert str(world.state_dir) in report.unknown[0].reason
    after = contents(world.tmp)
    for name in (world.config.name, "state/sweep.lock"):
        after.pop(name, None)
        before.pop(name, None)
    assert after == before


def test_the_command_says_it_with_exit_code_3(world: World, condemned: str) -> None:
    a_file(world.state_dir)
    report = world.cli_json("sweep", expect=3)
    assert report["totals"]["reaped"] == 0
    assert [unknown["source"] for unknown in report["unknown"]] == ["ledger"]
    assert world.cli("status", "--check").returncode == 3
    assert world.lives(condemned)


def test_a_hook_loses_nothing_while_it_can_not_be_written(
    world: World, condemned: str, caplog: pytest.LogCaptureFixture
) -> None:
    a_file(world.state_dir)
    world.plugin.on_workspace_archived(condemned)
    wait_until(lambda: "unknown ledger, so none of its sessions are reaped" in caplog.text)
    assert world.lives(condemned)
    world.state_dir.unlink()
    # One of its later looks finds it.
    assert world.plugin.drain(30)
    assert not world.lives(condemned)


# A disk that is full, or may not be written: a file system of our own in a mount namespace of our own.

ON_A_SMALL_DISK = """
import json, shutil, subprocess, sys
from pathlib import Path
from tests.tools.hosts import VibeKanbanHost
from workspace_reaper.plugin import ReaperPlugin

config, disk, host, first, second = sys.argv[1:]
disk, host = Path(disk), VibeKanbanHost(Path(host))

def mount(*arguments):
    subprocess.run(["mount", *arguments, str(disk)], check=True)

def fill():
    with open(disk / "filler", "wb", buffering=0) as filler:
        try:
            while True:
                filler.write(b"x" * 512)
        except OSError:
            pass

def sweep(plugin=None):
    mine = plugin or ReaperPlugin()
    mine.configure(Path(config))
    report = mine.sweep()
    if plugin is None:
        mine.close()
    became = {one.workspace_id: one.outcome for one in report.sessions}
    return [report.exit_code, became, [one.source.value for one in report.unknown]]

told = {}
mount("-t", "tmpfs", "-o", "size=1m", "none")
fill()
told["full from the start"] = sweep()
(disk / "filler").unlink()
plugin = ReaperPlugin()
told["with space"] = sweep(plugin)
host.archive(first)
fill()
told["full again"] = sweep(plugin)
(disk / "filler").unlink()
told["with space again"] = sweep(plugin)
plugin.close()
host.archive(second)
mount("-o", "remount,ro")
told["read-only"] = sweep()
mount("-o", "remount,rw")
told["writable again"] = sweep()
print(json.dumps(told))
"""


def test_on_a_full_or_read_only_disk_nobody_dies_and_with_space_what_should_go_goes(world: World) -> None:
    disk = world.tmp / "disk"
    disk.mkdir()
    first, second, live = world.workspaces(3)
    world.configure(state_dir=str(disk / "state"))
    arguments = [str(world.write_config()), str(disk), str(world.host.path), first, second]
    command = [*small_disk(disk), sys.executable, "-c", ON_A_SMALL_DISK, *arguments]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(command, capture_output=True, text=True, cwd=world.tmp, env=environment, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)

    assert told["full from the start"] == [3, {}, ["ledger"]]
    assert told["with space"] == [0, {first: "none", second: "none", live: "none"}, []]
    code, became, unknown = told["full again"]
    assert (code, became[first], set(unknown)) == (3, "none", {"ledger"})
    assert told["with space again"][1][first] == "reaped"
    assert told["read-only"] == [3, {}, ["ledger"]]
    assert told["writable again"] == [0, {second: "reaped", live: "none"}, []]


# It is fine when the sweep begins, and not when the intent is to be written. The first tmux command of a sweep that changes
# anything stamps what the registry knows and keeps: everything before the intents is committed by then.

AT_THE_STAMP = {"command": "set-option", "times": 1, "hold": "before"}


def corrupt(state_dir: Path) -> None:
    for path in state_dir.glob("ledger.sqlite*"):
        path.write_bytes(b"\xff" * path.stat().st_size)


def test_damaged_between_the_start_and_the_intent_nobody_dies(world: World, condemned: str, erring: Erring) -> None:
    world.workspaces(1)
    with erring(Rule(**AT_THE_STAMP)) as front:  # type: ignore[arg-type]
        report = sweep_during(front, lambda: corrupt(world.state_dir), world.sweep)
    assert_nothing_died(world, report, condemned)
    assert world.entry(report, condemned).protected_by == "ledger"


LOCK = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
connection.execute("ROLLBACK")
"""


@contextmanager
def another_program_locks(path: Path) -> Iterator[Callable[[], None]]:
    """Gives what takes the lock; it is held until the end."""
    running: list[subprocess.Popen[str]] = []

    def take() -> None:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        running.append(subprocess.Popen([sys.executable, "-c", LOCK, str(path)], text=True, **pipes))  # type: ignore[call-overload]
        assert running[0].stdout is not None
        assert running[0].stdout.readline() == "held\n"

    yield take
    for process in running:
        process.communicate(timeout=20)


@contextmanager
def impatient(world: World) -> Iterator[Callable[[], SweepReport]]:
    """A sweep whose ledger waits for a lock no longer than a test likes to."""
    reaper = world.plugin.reaper()
    path = world.state_dir / "ledger.sqlite"
    names = {"registry_name": reaper.registry.name, "location": reaper.registry.location}
    with closing(SqliteLedger(path, **names, read_only=False, busy_seconds=0.2)) as ledger:
        yield lambda: reaper.run(SweepRequest(), [ledger])


def test_locked_between_the_start_and_the_intent_nobody_dies(world: World, condemned: str, erring: Erring) -> None:
    world.workspaces(1)
    path = world.state_dir / "ledger.sqlite"
    with impatient(world) as sweep, another_program_locks(path) as lock, erring(Rule(**AT_THE_STAMP)) as front:  # type: ignore[arg-type]
        report = sweep_during(front, lock, sweep)
    assert_nothing_died(world, report, condemned)
    assert world.entry(report, condemned).protected_by == "ledger"
    assert "another program holds it" in report.unknown[0].reason
    assert history(world) == []
    assert outcomes(world.sweep())[condemned] == "reaped"


def test_locked_after_the_kill_the_next_sweep_writes_what_became_of_it(world: World, condemned: str, erring: Erring) -> None:
    world.sweep(dry_run=True)
    path = world.state_dir / "ledger.sqlite"
    at_the_kill = Rule("kill-session", times=1, hold="after")
    with impatient(world) as sweep, another_program_locks(path) as lock, erring(at_the_kill) as front:
        report = sweep_during(front, lock, sweep)
    assert outcomes(report) == {condemned: "reaped"}
    assert report.exit_code == 3
    assert not world.lives(condemned)
    assert history(world) == [(condemned, "open", None)]

    assert world.sweep().exit_code == 0
    assert history(world) == [(condemned, "reaped", "found gone after an interruption")]


# A dry run.

SHARED_MEMORY = "ledger.sqlite-shm"
"""What SQLite makes beside a database in WAL mode while it is read; it holds no content."""


def test_a_dry_run_makes_nothing(world: World, condemned: str) -> None:
    world.write_config()
    before = contents(world.tmp)
    report = world.sweep(dry_run=True)
    assert (outcomes(report), report.exit_code) == ({condemned: "would-reap"}, 0)
    world.plugin.close()
    assert contents(world.tmp) == before
    assert not world.state_dir.exists()
    assert world.lives(condemned)
    assert world.server.show(next(iter(world.server.session_ids())), "#{@workspace_owner}") == ""


def test_a_dry_run_writes_nothing_and_counts_for_nothing(world: World) -> None:
    orphan, archived, live = world.workspaces(3)
    ids = {entry.workspace_id: str(entry.session_id) for entry in world.sweep().sessions}
    world.host.delete(orphan)
    world.sweep()
    world.host.archive(archived)
    late = world.workspace()
    ids[late] = world.session(late)
    remembered = recalled(world)
    world.plugin.close()
    world.configure()
    files = {name: data for name, data in contents(world.state_dir).items() if data}
    host = world.host.path.read_bytes()

    reports = [world.new_plugin().sweep(dry_run=True) for _ in range(3)]
    told = world.cli_json("sweep", "--dry-run")

    assert {name: data for name, data in contents(world.state_dir).items() if data and name != SHARED_MEMORY} == files
    assert world.host.path.read_bytes() == host
    for report in reports:
        assert outcomes(report) == {orphan: "would-reap", archived: "would-reap", live: "none", late: "none"}
    assert {entry["workspace_id"]: entry["outcome"] for entry in told["sessions"]} == outcomes(reports[0])
    assert (told["dry_run"], told["totals"]["condemned"], told["totals"]["reaped"]) == (True, 2, 0)
    assert world.server.session_ids() == set(ids.values())
    assert world.server.show(ids[late], "#{@workspace_owner}") == ""
    assert recalled(world) == remembered


def test_a_dry_run_leaves_no_file_behind(world: World, condemned: str) -> None:
    world.host.archive(condemned, on=False)
    world.sweep()
    world.plugin.close()
    world.configure()
    files = contents(world.state_dir)
    assert world.sweep(dry_run=True).exit_code == 0
    assert contents(world.state_dir) == files


def test_a_dry_run_confirms_nothing(world: World) -> None:
    orphan, _other = world.workspaces(2)
    ids = {entry.workspace_id: str(entry.session_id) for entry in world.sweep().sessions}
    world.host.delete(orphan)
    for _ in range(4):
        report = world.sweep(dry_run=True)
        assert world.entry(report, orphan).protected_by == "unconfirmed"
    assert confirmations(world, ids[orphan]) == 0
    assert outcomes(world.sweep())[orphan] == "none"
    assert alarms(world) == set()


def test_a_dry_run_does_not_latch_the_breaker(world: World) -> None:
    ids = world.workspaces(4)
    world.sweep()
    world.host.delete(*ids[:3])
    report = world.sweep(dry_run=True)
    assert (report.latched, report.exit_code) == (True, 3)
    assert not recalled(world).breaker.latched
    world.host.insert(ids[:3])
    assert (world.sweep().exit_code, alarms(world)) == (0, set())


def test_what_was_seen_can_not_be_written_before_the_kills(world: World, condemned: str) -> None:
    """The ledger takes reads, and refuses what the sweep must remember before anything dies."""
    world.sweep(dry_run=True)
    record_events(world.plugin.reaper(), {})  # makes the ledger
    with closing(sqlite3.connect(world.state_dir / "ledger.sqlite")) as ledger:
        ledger.execute("CREATE TRIGGER full BEFORE INSERT ON finding BEGIN SELECT RAISE(ABORT, 'no space'); END")
        ledger.commit()

    report = world.sweep()

    assert_nothing_died(world, report, condemned)
    assert (world.entry(report, condemned).verdict, world.entry(report, condemned).reason) == (Verdict.HOLD, "archived")
