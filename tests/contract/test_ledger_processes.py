"""The ledger between processes: readers beside a writer, a writer that dies, forks, and two that start at once."""

from __future__ import annotations

import ctypes
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from workspace_reaper.ledger import SqliteLedger, open_ledger
from workspace_reaper.model.reap import Intent, ReapResult
from workspace_reaper.model.session import SessionKey
from workspace_reaper.model.state import StateChanges

NOW = 1_763_800_000.5
PRELUDE = """
import os, sqlite3, sys
from pathlib import Path
from workspace_reaper.ledger import open_ledger
from workspace_reaper.model.state import Alarm, BreakerState, StateChanges, RegistryState, ServerState
from workspace_reaper.model.session import SessionKey
from workspace_reaper.model.reap import Intent, ReapResult
def opened(state_dir): return open_ledger(Path(state_dir), registry_name="standard", location="/db")
def intent(reap_id): return Intent(reap_id, "01S", 1.5, SessionKey("/s", 1, 2, "$3", 4), "bc_x", "x", "orphan", {})
def say(text): print(text, flush=True)
"""


def opened(state_dir: Path, *, read_only: bool = False) -> SqliteLedger:
    return open_ledger(state_dir, registry_name="standard", location="/db", read_only=read_only)


@contextmanager
def running(script: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """Another Python with the ledger loaded; killed at the end if it still runs."""
    command = [sys.executable, "-c", PRELUDE + script, *map(str, arguments)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with process:
        try:
            yield process
        finally:
            process.kill()


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def tell(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def test_readers_are_neither_held_up_nor_confused_by_a_writer(tmp_path: Path) -> None:
    """Each change writes its number into four tables. No reader sees two numbers, also not of a change still in the middle."""
    writing = """
ledger = opened(sys.argv[1])
for number in range(1, 301):
    ledger.save(StateChanges(
        registry=RegistryState("", number),
        servers={"/s": ServerState(number, 1, None)},
        breaker=BreakerState(clear_sweeps=number),
        alarms={"x": Alarm("x", number, "", "")},
    ))
    if number == 1: say("begun")
with ledger._file.writing() as connection:
    connection.execute("UPDATE registry SET generation = 999")
    say("in the middle")
    sys.stdin.readline()
"""

    def numbers(ledger: SqliteLedger) -> set[float]:
        state = ledger.load_state([], NOW)
        breaker, registry = state.breaker.clear_sweeps, state.registry.generation
        return {
            breaker,
            registry,
            *(one.pid for one in state.servers.values()),
            *(one.since for one in state.alarms.values()),
        }

    with running(writing, tmp_path) as writer:
        assert said(writer) == "begun"
        for read_only in (True, False):
            with closing(opened(tmp_path, read_only=read_only)) as reader:
                assert [found for _ in range(150) if len(found := numbers(reader)) != 1] == []
        assert said(writer) == "in the middle"
        with closing(opened(tmp_path, read_only=True)) as reader:
            assert numbers(reader) == {300}


def test_a_kill_between_intent_and_outcome_leaves_the_intent_open(tmp_path: Path) -> None:
    dying = """
ledger = opened(sys.argv[1])
ledger.record_intents([intent("R1"), intent("R2")])
ledger.record_results([ReapResult("R1", 2.5, "reaped")])
say("intended")
sys.stdin.readline()
"""
    with running(dying, tmp_path) as process:
        assert said(process) == "intended"
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    with closing(opened(tmp_path)) as ledger:
        assert [one.reap_id for one in ledger.load_state([], NOW).open_intents] == ["R2"]
        ledger.record_results([ReapResult("R2", NOW, "reaped")])
        assert [reap.outcome for reap in ledger.history(9)] == ["reaped", "reaped"]


def test_processes_that_start_at_once_make_one_ledger_with_one_stamp(tmp_path: Path) -> None:
    starting = """
for number in range(12):
    say("ready")
    sys.stdin.readline()
    ledger = opened(f"{sys.argv[1]}/{number}/state")
    ledger.record_deletion(sys.argv[2], 1.5)
    say(ledger.registry().owner_id)
    ledger.close()
"""
    with running(starting, tmp_path, "a") as first, running(starting, tmp_path, "b") as second:
        for number in range(12):
            assert [said(first), said(second)] == ["ready", "ready"]
            tell(first)
            tell(second)
            stamps = {said(first), said(second)}
            with closing(opened(tmp_path / str(number) / "state")) as ledger:
                assert stamps == {ledger.registry().owner_id}
                assert ledger.load_state([], NOW).reported.keys() == {"a", "b"}


def test_two_reapers_write_in_turn(tmp_path: Path) -> None:
    writing = """
ledger = opened(sys.argv[1])
say("ready")
sys.stdin.readline()
for number in range(40):
    ledger.record_intents([intent(f"{sys.argv[2]}{number}")])
    ledger.record_results([ReapResult(f"{sys.argv[2]}{number}", 2.5, "reaped")])
"""
    with running(writing, tmp_path, "a") as first, running(writing, tmp_path, "b") as second:
        for process in (first, second):
            assert said(process) == "ready"
            tell(process)
        assert [first.wait(), second.wait()] == [0, 0]
    with closing(opened(tmp_path, read_only=True)) as ledger:
        assert sorted(reap.intent.reap_id for reap in ledger.history(999)) == sorted(
            f"{who}{n}" for who in "ab" for n in range(40)
        )
        assert {reap.outcome for reap in ledger.history(999)} == {"reaped"}


# Forks. A host forks when it likes, also while another thread is in the middle of a transaction.


@contextmanager
def child(fork: int) -> Iterator[None]:
    """What a forked child does (``fork`` is 0 in it): it ends here, with 0 if the block went through."""
    code = 1
    try:
        yield
        code = 0
    finally:
        os._exit(code)


def forked() -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 on: a fork with threads, which is what we test
        return os.fork()


def forked_past_python() -> int:
    """A fork of which Python is not told, as an embedding server may do it."""
    return int(ctypes.PyDLL(None).fork())


@pytest.mark.parametrize("fork", [forked, forked_past_python])
def test_parent_and_child_go_on_after_a_fork(tmp_path: Path, fork: object) -> None:
    assert callable(fork)
    with closing(opened(tmp_path)) as ledger:
        ledger.record_deletion("before", NOW)
        with ledger._file.reading() as connection:
            of_parent = connection
        pid = fork()
        if pid == 0:
            with child(pid):
                ledger.record_deletion("child", NOW)
                with ledger._file.reading() as connection:
                    assert connection is not of_parent
        assert os.waitpid(pid, 0)[1] == 0
        ledger.record_deletion("parent", NOW)
        assert ledger.load_state([], NOW).reported.keys() == {"before", "child", "parent"}
    with closing(opened(tmp_path)) as again:
        assert again.load_state([], NOW).reported.keys() == {"before", "child", "parent"}


def test_what_a_child_commits_outlives_the_close_of_its_parent(tmp_path: Path) -> None:
    """With a connection open over the fork, the parent's close removes the WAL that the child is writing to."""
    ledger = opened(tmp_path)
    ledger.record_deletion("before", NOW)
    (from_child, to_parent), (from_parent, to_child) = os.pipe(), os.pipe()
    pid = forked()
    if pid == 0:
        with child(pid):
            ledger.record_deletion("child opened", NOW)
            os.write(to_parent, b".")
            os.read(from_parent, 1)
            ledger.record_deletion("parent closed", NOW)
    os.read(from_child, 1)
    ledger.close()
    os.write(to_child, b".")
    assert os.waitpid(pid, 0)[1] == 0
    for descriptor in (from_child, to_parent, from_parent, to_child):
        os.close(descriptor)
    with closing(opened(tmp_path)) as again:
        assert again.load_state([], NOW).reported.keys() == {"before", "child opened", "parent closed"}


def test_a_fork_waits_for_the_transaction_of_another_thread(tmp_path: Path) -> None:
    begun, may_end = threading.Event(), threading.Event()
    with closing(opened(tmp_path)) as ledger:

        def transact() -> None:
            with ledger._file.writing() as connection:
                connection.execute("INSERT INTO deletion VALUES (1, 'thread', 1.5)")
                begun.set()
                may_end.wait(10)

        thread = threading.Thread(target=transact)
        thread.start()
        assert begun.wait(10)
        threading.Timer(0.05, may_end.set).start()
        pid = forked()
        if pid == 0:
            with child(pid):
                assert ledger.load_state([], NOW).reported.keys() == {"thread"}
                ledger.record_deletion("child", NOW)
        thread.join()
        assert os.waitpid(pid, 0)[1] == 0
        assert ledger.load_state([], NOW).reported.keys() == {"thread", "child"}


def test_a_fork_that_waits_in_vain_leaves_the_transaction_alone(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    ledger = SqliteLedger(path, registry_name="standard", location="/db", read_only=False, busy_seconds=-0.9)
    with closing(ledger), ledger._file.writing() as connection:
        connection.execute("INSERT INTO deletion VALUES (1, 'mine', 1.5)")
        pid = forked()
        if pid == 0:
            with child(pid):
                assert ledger.load_state([], NOW).reported.keys() == set()
        assert os.waitpid(pid, 0)[1] == 0
    with closing(opened(tmp_path)) as again:
        assert again.load_state([], NOW).reported.keys() == {"mine"}


def test_a_child_lets_go_of_an_inherited_connection_without_closing_it(tmp_path: Path) -> None:
    with closing(opened(tmp_path)) as ledger:
        with ledger._file.reading() as connection:
            inherited = connection
        ledger._file.after_fork_in_child()
        assert ledger.load_state([], NOW).reported.keys() == set()
        with ledger._file.reading() as connection:
            assert connection is not inherited
        with closing(inherited):
            assert inherited.execute("SELECT count(*) FROM registry").fetchone() == (1,)


def test_history_is_the_same_from_the_first_line_on_after_many_openings(tmp_path: Path) -> None:
    key = SessionKey("/s", 1, 2, "$3", 4)
    for number in range(5):
        with closing(opened(tmp_path)) as ledger:
            ledger.record_intents([Intent(f"R{number}", "01S", NOW, key, "bc_x", "x", "idle", {"n": number})])
            ledger.save(StateChanges(seen=frozenset({f"w{number}"})))
    with closing(opened(tmp_path, read_only=True)) as ledger:
        assert [reap.intent.evidence["n"] for reap in ledger.history(99)] == [4, 3, 2, 1, 0]
        assert len(ledger.load_state([f"w{number}" for number in range(5)], NOW).seen) == 5
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite")) as raw:
        assert raw.execute("PRAGMA integrity_check").fetchone() == ("ok",)
