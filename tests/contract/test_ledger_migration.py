"""A ledger that an older version made: nothing in it is lost, and nothing that happens while it is migrated does harm."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import sqlite3
import warnings
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.tools.migrations import rebuild_reaps
from workspace_reaper.ledger import SqliteLedger, migrations, open_ledger
from workspace_reaper.ledger.migrations import migrate, version_of
from workspace_reaper.model.errors import LedgerError
from workspace_reaper.model.process import ProcessKey
from workspace_reaper.model.reap import Intent, ProcessCleanup, Reap, ReapResult, RecordedProcess, SurvivingProcess
from workspace_reaper.model.session import SessionKey
from workspace_reaper.model.state import (
    Alarm,
    BreakerState,
    Confirmation,
    CpuSample,
    CpuState,
    Event,
    Finding,
    LedgerState,
    RegistryState,
    ServerState,
    StateChanges,
)
from workspace_reaper.model.workspace import RegistryIdentity

pytestmark = pytest.mark.once

NOW = 1_763_800_000.5
KEY = SessionKey("/s", 1, 2, "$3", 4)

VERSION_1 = r"""
INSERT INTO registry
    (id, configured_name, configured_location, owner_id, generation, location, schema, sentinels, total, capped)
    VALUES (1, 'standard', '/db', '5ca1ab1e', 2, 'dev:1 ino:2', 'standard/1', '["a","b"]', 2, 0);
INSERT INTO workspace (registry_id, workspace_id, generation, named_at, named_generation)
    VALUES (1, 'a', 2, NULL, NULL), (1, 'b', NULL, 1763800000.5, 1), (1, 'odd \\ \udcff', 1, 1.5, 1);
INSERT INTO deletion (registry_id, workspace_id, at) VALUES (1, 'b', 1763800000.5);
INSERT INTO finding VALUES (1, '/s', 1, 2, '$3', 4, 'orphan', 1.5, 2.5, 2, NULL);
INSERT INTO server (registry_id, socket, pid, start, process_start) VALUES (1, '/s', 1, 2, 3.5);
INSERT INTO breaker (registry_id, latched, since, cause, tripped, clear_sweeps, approved)
    VALUES (1, 1, 1.5, '3 of 3', '[["/s",1,2,"$3",4]]', 1, '[]');
INSERT INTO alarm (registry_id, name, since, detail, clears_when) VALUES (1, 'breaker', 1.5, 'detail', 'when');
INSERT INTO event (id, registry_id, at, kind, detail) VALUES (1, 1, 1.5, 'tripped', '3 of 3');
INSERT INTO report VALUES (1, 2.5, 1.5, x'7b7d', '01S', x'5b5d');
INSERT INTO reap (seq, registry_id, reap_id, sweep_id, at, socket, server_pid, server_start, session_id, created, session,
    workspace_id, reason, evidence, boot, processes, outcome, concluded_at, why, ended, survivors, freed_bytes, freed_ports,
    held_ports, snapshot)
VALUES
    (1, 1, 'R1', '01S', 1.5, '/s', 1, 2, '$3', 4, 'bc_1', 'a', 'idle', '{"n":null}', '', '[]', 'reaped', 1763800000.5, NULL,
        '[]', '[]', 9, '[]', '[]', 'not taken'),
    (2, 1, 'R2', '01S', 1.5, '/s', 1, 2, '$3', 4, 'bc_\udcff', 'b', 'orphan', '{}', '', '[]', 'open', NULL, NULL,
        '[]', '[]', NULL, '[]', '[]', 'not taken'),
    (3, 1, 'R3', '01S', 1.5, '/s', 1, 2, '$3', 4, 'bc_3', 'c', 'dead', '{"n":3}', '', '[]', 'spared', 2.5, 'attached',
        '[]', '[]', NULL, '[]', '[]', 'not taken'),
    (7, 2, 'R7', '01S', 1.5, '/s', 1, 2, '$3', 4, 'bc_7', 'd', 'idle', '{}', '', '[]', 'failed', 2.5, 'no answer',
        '[]', '[]', NULL, '[]', '[]', 'not taken');
"""
"""Rows as the version that knows one migration writes them."""

ODD = "odd \\ \udcff"
OPEN = Intent("R2", "01S", 1.5, KEY, "bc_\udcff", "b", "orphan", {})
HISTORY = [
    Reap(Intent("R3", "01S", 1.5, KEY, "bc_3", "c", "dead", {"n": 3}), "spared", "attached"),
    Reap(OPEN, "open"),
    Reap(Intent("R1", "01S", 1.5, KEY, "bc_1", "a", "idle", {"n": None}), "reaped", None, ProcessCleanup(freed_bytes=9)),
]
MEMORY = LedgerState(
    registry=RegistryState("5ca1ab1e", 2, RegistryIdentity("dev:1 ino:2", "standard/1", sentinels=("a", "b")), 2, False),
    seen={"a": 2, ODD: 1},
    confirmations={(KEY, Finding.ORPHAN): Confirmation(1.5, 2.5, 2)},
    servers={"/s": ServerState(1, 2, 3.5)},
    breaker=BreakerState(True, 1.5, "3 of 3", frozenset({KEY}), 1),
    reported={"b": NOW},
    named={"b": 1, ODD: 1},
    reaped_lately={("/s", "bc_1"): NOW},
    open_intents=(OPEN,),
    alarms={"breaker": Alarm("breaker", 1.5, "detail", "when")},
    last_complete=1.5,
)


def opened(state_dir: Path, *, read_only: bool = False) -> SqliteLedger:
    return open_ledger(state_dir, registry_name="standard", location="/db", read_only=read_only)


def version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as raw:
        return version_of(raw, "here")


@pytest.fixture
def older(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a ledger that only the first migration made, for a version that knows one more than there are."""
    path = tmp_path / "state" / "ledger.sqlite"
    path.parent.mkdir(mode=0o700)
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        raw.execute("PRAGMA journal_mode = WAL")
        with monkeypatch.context() as patch:
            patch.setattr(migrations, "MIGRATIONS", migrations.MIGRATIONS[:1])
            migrate(raw, "here")
        raw.executescript(VERSION_1)
    assert version(path) == 1
    monkeypatch.setattr(migrations, "MIGRATIONS", (*migrations.MIGRATIONS, rebuild_reaps()))
    return path


def assert_all_is_told(ledger: SqliteLedger) -> None:
    assert ledger.load_state(["a", "b", ODD, "c"], NOW) == MEMORY
    assert ledger.history(9) == HISTORY
    assert [ledger.find(reap_id) for reap_id in ("R1", "R2", "R3", "R7")] == [*reversed(HISTORY), None]
    assert ledger.events(9) == [Event(1.5, "tripped", "3 of 3")]
    assert ledger.last_report() == ("{}", "[]")


def test_all_that_the_first_version_wrote_is_told_with_no_snapshot_taken(older: Path) -> None:
    for _ in range(2):
        with closing(opened(older.parent)) as ledger:
            assert_all_is_told(ledger)
            assert {reap.snapshot for reap in ledger.history(9)} == {"not taken"}
    with closing(opened(older.parent, read_only=True)) as reader:
        assert_all_is_told(reader)
    assert version(older) == len(migrations.MIGRATIONS)


def test_reaps_of_other_registries_come_along_in_their_order(older: Path) -> None:
    opened(older.parent).close()
    with closing(sqlite3.connect(older)) as raw:
        kept = raw.execute("SELECT seq, registry_id, reap_id, outcome, concluded_at, why FROM reap ORDER BY seq").fetchall()
    assert kept == [
        (1, 1, "R1", "reaped", NOW, None),
        (2, 1, "R2", "open", None, None),
        (3, 1, "R3", "spared", 2.5, "attached"),
        (7, 2, "R7", "failed", 2.5, "no answer"),
    ]


def test_a_migrated_ledger_takes_what_the_new_version_writes(older: Path) -> None:
    cleanup = ProcessCleanup(survivors=(SurvivingProcess(7, "sleep", "not ours"),), freed_ports=("tcp 80",))
    new = Intent(
        "R8", "01T", NOW, KEY, "bc_8", "a", "idle", {}, "b00t", "/w/a", (RecordedProcess(ProcessKey(7, 8.5), "sh", "%1", True),)
    )
    with closing(opened(older.parent)) as ledger:
        ledger.record_results([ReapResult("R2", NOW, "failed", "the reaper crashed", cleanup)])
        ledger.record_intents([new])
        ledger.save(StateChanges(worktrees={"a": "/w/a", "new": "/w/new"}, cpu=CpuState(NOW, {KEY: CpuSample(1.5)})))
    with closing(opened(older.parent)) as again:
        assert again.find("R2") == Reap(OPEN, "failed", "the reaper crashed", cleanup)
        state = again.load_state(["a", "new"], NOW)
        assert state.open_intents == (new,)
        assert state.worktrees == {"a": "/w/a", "new": "/w/new"}
        assert state.seen == {"a": 2}
        assert state.cpu == CpuState(NOW, {KEY: CpuSample(1.5)})


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("DELETE FROM reap", "append-only"),
        ("UPDATE reap SET reason = 'dead' WHERE reap_id = 'R2'", "intent is written once"),
        ("UPDATE reap SET why = NULL WHERE reap_id = 'R3'", "outcome is written once"),
        ("UPDATE reap SET processes = '[]' WHERE reap_id = 'R2'", "intent is written once"),
        ("UPDATE reap SET outcome = 'exploded' WHERE reap_id = 'R2'", "CHECK"),
    ],
)
def test_a_migrated_ledger_refuses_to_rewrite_history(older: Path, statement: str, words: str) -> None:
    opened(older.parent).close()
    with closing(sqlite3.connect(older)) as raw, pytest.raises(sqlite3.Error, match=words):
        raw.execute(statement)


def test_a_reader_refuses_an_older_ledger_and_leaves_it_as_it_is(older: Path) -> None:
    before = older.read_bytes()
    for _ in range(2):
        with pytest.raises(LedgerError, match="older version of workspace-reaper: sweep once to migrate it"):
            opened(older.parent, read_only=True)
    assert older.read_bytes() == before
    assert [path.name for path in older.parent.iterdir()] == ["ledger.sqlite"]


# Processes that die in the middle of a migration, and two that do it at once.


def in_child(work: Callable[[], None]) -> int:
    """Run ``work`` in a forked process, which has no connection open; its pid."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 on: a fork with threads, of which we use none
        pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return pid


def test_a_kill_at_any_statement_leaves_the_older_ledger_whole_or_the_newer_one(older: Path, tmp_path: Path) -> None:
    seen = []
    for number in itertools.count():
        path = tmp_path / f"{number}" / "ledger.sqlite"
        shutil.copytree(older.parent, path.parent)

        def migrate_and_die(path: Path = path, number: int = number) -> None:
            left = iter(range(number))

            def run_out(_: str) -> None:
                if next(left, None) is None:
                    os.kill(os.getpid(), signal.SIGKILL)

            raw = sqlite3.connect(path, isolation_level=None)
            raw.set_trace_callback(run_out)
            migrate(raw, "here")

        status = os.waitpid(in_child(migrate_and_die), 0)[1]
        seen.append(version(path))
        with closing(opened(path.parent)) as ledger:
            assert_all_is_told(ledger)
        with closing(sqlite3.connect(path)) as raw:
            assert raw.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            assert raw.execute("SELECT name FROM sqlite_master WHERE name LIKE 'new%'").fetchall() == []
        if status == 0:
            break
        assert os.WTERMSIG(status) == signal.SIGKILL
    killed = len(seen) - 1
    assert seen == [1] * killed + [len(migrations.MIGRATIONS)]
    assert killed > sum(map(len, migrations.MIGRATIONS[1:]))


def test_processes_that_migrate_at_once_do_it_once(older: Path, tmp_path: Path) -> None:
    for number in range(12):
        state_dir = tmp_path / f"{number}"
        shutil.copytree(older.parent, state_dir)
        waiting, go = os.pipe()

        def migrate_when_told(state_dir: Path = state_dir, waiting: int = waiting, go: int = go) -> None:
            os.close(go)
            os.read(waiting, 1)
            with closing(opened(state_dir)) as ledger:
                assert_all_is_told(ledger)

        children = [in_child(migrate_when_told) for _ in range(3)]
        os.close(waiting)
        os.close(go)
        assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
        with closing(opened(state_dir, read_only=True)) as ledger:
            assert_all_is_told(ledger)


def test_all_that_are_missing_are_done_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader of a new ledger must never find one that looks as if an older version had made it."""
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite", isolation_level=None)) as raw:
        with monkeypatch.context() as patch:
            patch.setattr(migrations, "MIGRATIONS", (*migrations.MIGRATIONS, ("no SQL",)))
            with pytest.raises(sqlite3.OperationalError):
                migrate(raw, "here")
        assert version_of(raw, "here") == 0
        migrate(raw, "here")
        assert version_of(raw, "here") == len(migrations.MIGRATIONS)
