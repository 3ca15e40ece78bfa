"""The ledger's file: who may read it, when it is written, and what a reader does to it (nothing)."""

from __future__ import annotations

import os
import sqlite3
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from workspace_reaper.ledger import SqliteLedger, open_ledger
from workspace_reaper.model.errors import LedgerError
from workspace_reaper.model.ports import Ledger
from workspace_reaper.model.reap import Intent, Outcome, ReapResult
from workspace_reaper.model.session import SessionKey
from workspace_reaper.model.state import CpuSample, CpuState, Event, LedgerState, RegistryState, StateChanges

NOW = 1_763_800_000.5
INTENT = Intent("R1", "01SWEEP", NOW, SessionKey("/s", 1, 2, "$3", 4), "bc_x", "x", "orphan", {})


def opened(state_dir: Path, *, registry: str = "standard", read_only: bool = False) -> SqliteLedger:
    return open_ledger(state_dir, registry_name=registry, location="/db", read_only=read_only)


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def ledger(state_dir: Path) -> Iterator[Ledger]:
    with closing(opened(state_dir)) as ledger:
        yield ledger


def test_no_change_writes_nothing(ledger: Ledger, state_dir: Path) -> None:
    ledger.save(StateChanges(seen=frozenset({"a"})))
    wal = state_dir / "ledger.sqlite-wal"
    with closing(sqlite3.connect(state_dir / "ledger.sqlite")) as watcher:

        def version() -> tuple[object, ...]:
            return watcher.execute("PRAGMA data_version").fetchone()[0], wal.stat().st_mtime_ns, wal.stat().st_size

        before = version()
        ledger.save(StateChanges())
        ledger.record_intents([])
        ledger.record_results([])
        ledger.registry()
        ledger.load_state(["a", "b"], NOW)
        assert version() == before
        ledger.save(StateChanges(alarms={}, events=(Event(NOW, "k", "d"),)))
        assert version() != before


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777], ids=oct)
def test_directory_and_files_are_for_this_user_alone(tmp_path: Path, umask: int) -> None:
    (tmp_path / "above").mkdir()
    state_dir = tmp_path / "above" / "state"
    before = os.umask(umask)
    try:
        ledger = opened(state_dir)
        ledger.record_deletion("a", NOW)
    finally:
        os.umask(before)
    with closing(ledger):
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in state_dir.iterdir()}
    assert modes == dict.fromkeys(["ledger.sqlite", "ledger.sqlite-wal", "ledger.sqlite-shm"], 0o600)
    assert stat.S_IMODE(state_dir.stat().st_mode) == 0o700


def test_missing_parents_of_the_directory_are_made_and_one_that_is_there_is_left_alone(tmp_path: Path) -> None:
    state_dir = tmp_path / "a" / "b" / "c"
    opened(state_dir).close()
    state_dir.chmod(0o750)
    opened(state_dir).close()
    assert stat.S_IMODE(state_dir.stat().st_mode) == 0o750


UNDECODABLE = ["\udcff"] if sys.platform == "linux" else []  # other file systems refuse such a name


@pytest.mark.parametrize("name", ["with space", "q?x=1#y%41&mode=memory", "é🦊", *UNDECODABLE], ids=ascii)
def test_any_name_of_a_directory_will_do(tmp_path: Path, name: str) -> None:
    with closing(opened(tmp_path / name)) as ledger:
        ledger.record_deletion("a", NOW)
    assert [path.name for path in (tmp_path / name).iterdir()] == ["ledger.sqlite"]
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_relative_directory_stays_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    with closing(opened(Path("state"))) as ledger:
        monkeypatch.chdir(tmp_path / "elsewhere")
        ledger.record_deletion("a", NOW)
        assert ledger.load_state([], NOW).reported.keys() == {"a"}
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_the_file_is_in_wal_mode(ledger: Ledger, state_dir: Path) -> None:
    with closing(sqlite3.connect(state_dir / "ledger.sqlite")) as raw:
        assert raw.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_closed_ledger_says_so(state_dir: Path) -> None:
    ledger = opened(state_dir)
    ledger.close()
    ledger.close()
    with pytest.raises(LedgerError, match=r"ledger\.sqlite is closed"):
        ledger.registry()
    assert [path.name for path in state_dir.iterdir()] == ["ledger.sqlite"]


def test_any_thread_may_use_it(ledger: Ledger) -> None:
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for step in range(20):
                ledger.record_deletion(f"{number}-{step}", NOW)
                ledger.load_state([f"{number}-{step}"], NOW)
        except BaseException as error:  # noqa: BLE001 (handed to the test)
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(ledger.load_state([], NOW).reported) == 80


@pytest.mark.parametrize("replaced", [False, True], ids=["removed", "replaced"])
def test_a_file_taken_away_under_us_is_noticed(tmp_path: Path, replaced: bool) -> None:
    with closing(opened(tmp_path / "other")) as other:
        other.record_deletion("theirs", NOW)
    with closing(opened(tmp_path / "state")) as ledger:
        ledger.record_deletion("ours", NOW)
        stamp = ledger.registry().owner_id
        for path in (tmp_path / "state").iterdir():
            path.unlink()
        if replaced:
            (tmp_path / "other" / "ledger.sqlite").rename(tmp_path / "state" / "ledger.sqlite")
        assert ledger.load_state([], NOW).reported.keys() == ({"theirs"} if replaced else set())
        assert (ledger.registry().owner_id == stamp) is not replaced
        ledger.record_deletion("new", NOW)
    with closing(opened(tmp_path / "state")) as again:
        assert "new" in again.load_state([], NOW).reported


# Reading only.


WRITES: dict[str, Callable[[SqliteLedger], None]] = {
    "remember": lambda ledger: ledger.save(StateChanges(seen=frozenset({"a"}))),
    "remember-cpu": lambda ledger: ledger.save(StateChanges(cpu=CpuState())),
    "remember-worktrees": lambda ledger: ledger.save(StateChanges(worktrees={"a": "/w/a"})),
    "remember-nothing": lambda ledger: ledger.save(StateChanges()),
    "testify": lambda ledger: ledger.record_deletion("a", NOW),
    "named": lambda ledger: ledger.record_named("a", NOW),
    "intend": lambda ledger: ledger.record_intents([INTENT]),
    "intend-nothing": lambda ledger: ledger.record_intents([]),
    "conclude": lambda ledger: ledger.record_results([ReapResult("R1", NOW, "reaped")]),
    "conclude-nothing": lambda ledger: ledger.record_results([]),
    "save_report": lambda ledger: ledger.save_report("{}", "[]", sweep="a", at=NOW, complete=True),
}


@pytest.mark.parametrize("there", [False, True], ids=["missing", "there"])
@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_nothing_can_be_written_into_a_ledger_open_for_reading(
    state_dir: Path, write: Callable[[SqliteLedger], None], there: bool
) -> None:
    if there:
        opened(state_dir).close()
    with closing(opened(state_dir, read_only=True)) as ledger, pytest.raises(LedgerError, match="reading only"):
        write(ledger)


@pytest.mark.parametrize("there", [False, True], ids=["missing", "there"])
def test_sqlite_itself_refuses_to_write_into_a_ledger_open_for_reading(state_dir: Path, there: bool) -> None:
    if there:
        opened(state_dir).close()
    with closing(opened(state_dir, read_only=True)) as ledger:
        with pytest.raises(LedgerError, match="readonly"), ledger._file.reading() as connection:
            connection.execute("INSERT INTO deletion VALUES (1, 'a', 1.5)")
        assert ledger.load_state([], NOW).reported.keys() == set()


@pytest.mark.parametrize("made", ["nothing", "directory", "empty-file"])
def test_a_missing_ledger_reads_as_an_empty_one_and_nothing_is_made(tmp_path: Path, made: str) -> None:
    state_dir = tmp_path / "state"
    if made != "nothing":
        state_dir.mkdir()
    if made == "empty-file":
        (state_dir / "ledger.sqlite").touch()
    before = {path: path.stat() for path in [tmp_path, *tmp_path.rglob("*")]}
    with closing(opened(state_dir, read_only=True)) as ledger:
        stamp = ledger.registry().owner_id
        assert ledger.load_state(["a"], NOW) == LedgerState(RegistryState(stamp))
        assert (ledger.history(9), ledger.find("R1"), ledger.events(9), ledger.last_report()) == ([], None, [], None)
    after = {path: path.stat() for path in [tmp_path, *tmp_path.rglob("*")]}
    assert list(after) == list(before)
    assert [status.st_mtime_ns for status in after.values()] == [status.st_mtime_ns for status in before.values()]


def test_a_registry_never_enrolled_reads_as_empty(state_dir: Path) -> None:
    opened(state_dir).close()
    with closing(opened(state_dir, registry="cao", read_only=True)) as ledger:
        assert ledger.load_state(["a"], NOW) == LedgerState(ledger.registry())
    with closing(sqlite3.connect(state_dir / "ledger.sqlite")) as raw:
        assert raw.execute("SELECT configured_name FROM registry").fetchall() == [("standard",)]


def test_a_reader_sees_what_the_writer_commits(state_dir: Path) -> None:
    with closing(opened(state_dir, read_only=True)) as reader:
        assert reader.load_state([], NOW).reported.keys() == set()
        with closing(opened(state_dir)) as writer:
            writer.record_deletion("a", NOW)
            assert reader.load_state([], NOW).reported.keys() == {"a"}
            assert reader.registry() == writer.registry()


def test_a_sweep_without_news_writes_one_page_whatever_the_number_of_samples(ledger: Ledger, state_dir: Path) -> None:
    started = 1_763_000_000
    keys = [SessionKey("/tmp/tmux-0/x", 4711, started, f"${number}", started + number) for number in range(1000)]
    samples = {key: CpuSample(number / 7, NOW) for number, key in enumerate(keys)}

    def written(at: float) -> int:
        before = wal.stat().st_size
        ledger.save(StateChanges(cpu=CpuState(at, samples)))
        return wal.stat().st_size - before

    wal = state_dir / "ledger.sqlite-wal"
    everything = written(NOW)
    assert written(NOW + 60) == written(NOW + 120) < everything / 20


@pytest.mark.parametrize(
    "statement",
    [
        pytest.param("DELETE FROM reap", id="delete-reap"),
        pytest.param("UPDATE reap SET reason = 'idle' WHERE outcome = 'open'", id="change-intent"),
        pytest.param("UPDATE reap SET boot = 'other' WHERE outcome = 'open'", id="change-boot"),
        pytest.param("UPDATE reap SET worktree = NULL WHERE outcome = 'open'", id="change-worktree"),
        pytest.param(
            "UPDATE reap SET processes = '[[1, 2.5, \"init\", \"%1\", true]]' WHERE outcome = 'open'", id="change-processes"
        ),
        pytest.param("UPDATE reap SET why = 'other' WHERE outcome = 'reaped'", id="change-outcome"),
        pytest.param("UPDATE reap SET survivors = '[]' WHERE outcome = 'reaped'", id="change-survivors"),
        pytest.param("UPDATE reap SET snapshot = NULL WHERE outcome = 'reaped'", id="change-snapshot"),
        pytest.param("UPDATE reap SET outcome = 'open', concluded_at = NULL WHERE outcome = 'reaped'", id="reopen"),
        pytest.param("DELETE FROM event", id="delete-event"),
        pytest.param("UPDATE event SET detail = 'other'", id="change-event"),
    ],
)
def test_the_file_itself_refuses_to_rewrite_history(ledger: Ledger, state_dir: Path, statement: str) -> None:
    ledger.record_intents([INTENT, replace(INTENT, reap_id="R2")])
    ledger.record_results([ReapResult("R1", NOW, Outcome.REAPED)])
    ledger.save(StateChanges(events=(Event(NOW, "tripped", "3 of 3"),)))
    with (
        closing(sqlite3.connect(state_dir / "ledger.sqlite")) as raw,
        pytest.raises(sqlite3.IntegrityError, match=r"only|once"),
    ):
        raw.execute(statement)
