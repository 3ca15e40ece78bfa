"""When the ledger's file can't be used: an error that names it and says what to do, and nothing on the disk made worse."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.tools.disks import small_disk
from workspace_reaper.ledger import SqliteLedger, migrations, open_ledger
from workspace_reaper.model.errors import LedgerError
from workspace_reaper.model.reap import Intent, ReapResult
from workspace_reaper.model.session import SessionKey
from workspace_reaper.model.state import BreakerState, Confirmation, CpuState, Finding, StateChanges

NOW = 1_763_800_000.5


def opened(state_dir: Path, *, read_only: bool = False, busy_seconds: float = 0.1) -> SqliteLedger:
    path = state_dir / "ledger.sqlite"
    return SqliteLedger(path, registry_name="standard", location="/db", read_only=read_only, busy_seconds=busy_seconds)


def intent(reap_id: str) -> Intent:
    return Intent(reap_id, "01S", NOW, SessionKey("/s", 1, 2, "$3", 4), "bc_x", "x", "orphan", {"padding": "x" * 3000})


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


# A file that is there, and is no ledger of ours.


def not_a_database(path: Path) -> None:
    path.write_bytes(b"state of something else, longer than the header of a database\n" * 50)


def damaged(path: Path) -> None:
    with closing(opened(path.parent)) as ledger:
        ledger.record_intents([intent("R1")])
    whole = path.read_bytes()
    path.write_bytes(whole[:200] + b"\xff" * (len(whole) - 200))


def of_another_program(path: Path) -> None:
    with closing(sqlite3.connect(path)) as raw, raw:
        raw.execute("CREATE TABLE reap (id INTEGER PRIMARY KEY)")


def stamped_by_another_program(path: Path) -> None:
    with closing(sqlite3.connect(path)) as raw, raw:
        raw.execute("PRAGMA application_id = 7")


def of_an_unreleased_version(path: Path) -> None:
    with closing(sqlite3.connect(path)) as raw, raw:
        raw.execute("CREATE TABLE reap (id INTEGER PRIMARY KEY)")
        raw.execute(f"PRAGMA application_id = {0x57526561}")
        raw.execute("PRAGMA user_version = 5")


def of_a_newer_version(path: Path) -> None:
    opened(path.parent).close()
    with closing(sqlite3.connect(path)) as raw, raw:
        raw.execute("PRAGMA user_version = 999")


@pytest.mark.parametrize("read_only", [False, True], ids=["write", "read"])
@pytest.mark.parametrize(
    ("make", "words"),
    [
        pytest.param(of_an_unreleased_version, "unreleased version .*: move it away", id="unreleased"),
        pytest.param(not_a_database, "not an SQLite database: move it away", id="not-a-database"),
        pytest.param(damaged, "damaged: move it away", id="damaged"),
        pytest.param(of_another_program, "database of another program: move it away", id="tables-of-another-program"),
        pytest.param(stamped_by_another_program, "database of another program: move it away", id="stamp-of-another-program"),
        pytest.param(of_a_newer_version, r"newer version .*schema is 999.*: upgrade workspace-reaper", id="newer"),
    ],
)
def test_a_file_that_is_no_ledger_of_ours_is_refused_and_left_as_it_is(
    tmp_path: Path, make: Callable[[Path], None], words: str, read_only: bool
) -> None:
    path = tmp_path / "ledger.sqlite"
    make(path)
    before = path.read_bytes()
    for _ in range(2):
        with pytest.raises(LedgerError, match=words) as caught:
            opened(tmp_path, read_only=read_only)
        assert str(path) in str(caught.value)
    assert path.read_bytes() == before


@pytest.mark.parametrize("read_only", [False, True], ids=["write", "read"])
def test_a_state_dir_that_is_a_file_is_refused(tmp_path: Path, read_only: bool) -> None:
    (tmp_path / "state").write_text("mine")
    with pytest.raises(LedgerError, match="move away the file that is in the place of a directory, or set another state_dir"):
        open_ledger(tmp_path / "state", registry_name="standard", location="/db", read_only=read_only)
    assert contents(tmp_path) == {"state": b"mine"}


@pytest.mark.parametrize("read_only", [False, True], ids=["write", "read"])
def test_a_directory_in_the_place_of_the_file_is_refused(tmp_path: Path, read_only: bool) -> None:
    (tmp_path / "ledger.sqlite").mkdir()
    with pytest.raises(LedgerError, match="move away the directory that is in its place"):
        opened(tmp_path, read_only=read_only)


def test_a_name_of_undecodable_bytes_is_told_in_text_that_can_be_printed(tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite").write_text("no database, but long enough to be read as the header of one" * 2)
    try:
        odd = tmp_path.rename(tmp_path.with_name("\udcff"))
    except OSError:
        pytest.skip("this file system takes no such name")
    with pytest.raises(LedgerError, match=r"\\xff/ledger\.sqlite") as caught:
        opened(odd)
    str(caught.value).encode()


# While it is open.


def test_a_lock_held_too_long_is_told_and_reads_go_on(tmp_path: Path) -> None:
    with closing(opened(tmp_path)) as ledger, closing(sqlite3.connect(tmp_path / "ledger.sqlite")) as other:
        ledger.record_intents([intent("R1")])
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerError, match=r"ledger\.sqlite cannot be used \(database is locked\): another program holds"):
            ledger.record_results([ReapResult("R1", NOW, "reaped")])
        assert [reap.outcome for reap in ledger.history(9)] == ["open"]
        ledger.save(StateChanges())
        ledger.record_intents([])
        ledger.record_results([])
        other.rollback()
        ledger.record_results([ReapResult("R1", NOW, "reaped")])
        assert [reap.outcome for reap in ledger.history(9)] == ["reaped"]


def test_a_lock_held_while_it_is_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite").touch()
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerError, match="another program holds its lock"):
            opened(tmp_path)
        other.execute("COMMIT")
    opened(tmp_path).close()


def test_a_lock_held_while_a_registry_is_enrolled_is_told(tmp_path: Path) -> None:
    with closing(opened(tmp_path)), closing(sqlite3.connect(tmp_path / "ledger.sqlite")) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerError, match="another program holds its lock"):
            SqliteLedger(tmp_path / "ledger.sqlite", registry_name="cao", location="/db", read_only=False, busy_seconds=0.1)


def test_damage_done_while_it_is_open_is_told_and_what_was_there_before_comes_back_with_it(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    with closing(opened(tmp_path)) as ledger:
        ledger.record_deletion("a", NOW)
    shutil.copy(path, tmp_path / "kept")
    with closing(opened(tmp_path)) as ledger:
        assert ledger.load_state([], NOW).reported.keys() == {"a"}
        path.unlink()
        path.write_bytes(b"\xff" * 8192)
        with pytest.raises(LedgerError, match="move it away"):
            ledger.load_state([], NOW)
        with pytest.raises(LedgerError, match="move it away"):
            ledger.save(StateChanges(seen=frozenset({"b"})))
        assert path.read_bytes() == b"\xff" * 8192
        (tmp_path / "kept").replace(path)
        assert ledger.load_state([], NOW).reported.keys() == {"a"}


@pytest.mark.parametrize(
    "statement",
    [
        pytest.param("UPDATE finding SET finding = 'levitating'", id="sight-of-a-later-version"),
        pytest.param("UPDATE registry SET sentinels = 'no JSON'", id="no-json"),
        pytest.param("UPDATE breaker SET tripped = '[[1]]'", id="no-session-key"),
        pytest.param("UPDATE cpu SET samples = '{}'", id="samples-are-no-list"),
        pytest.param("""UPDATE cpu SET samples = '[["/s", 1, 2, "$3", 4, 5.5]]'""", id="no-sample"),
    ],
)
def test_a_row_that_can_not_be_understood_is_an_error_and_never_left_out(tmp_path: Path, statement: str) -> None:
    with closing(opened(tmp_path)) as ledger:
        seen = {(SessionKey("/s", 1, 2, "$3", 4), Finding.ORPHAN): Confirmation(NOW, NOW)}
        ledger.save(StateChanges(confirmations=seen, breaker=BreakerState(latched=True), cpu=CpuState()))
        with closing(sqlite3.connect(tmp_path / "ledger.sqlite")) as raw, raw:
            raw.execute(statement)
        with pytest.raises(LedgerError, match="contains invalid data"):
            ledger.load_state([], NOW)


@pytest.mark.parametrize("text", ["", "no JSON", "{}", "7", "null", "[7]", '[["too", "few"]]'])
@pytest.mark.parametrize("column", ["processes", "ended", "survivors"])
def test_processes_that_can_not_be_understood_are_an_error_and_never_none(tmp_path: Path, column: str, text: str) -> None:
    with closing(opened(tmp_path)) as ledger:
        ledger.record_intents([intent("R1")])
        with closing(sqlite3.connect(tmp_path / "ledger.sqlite")) as raw, raw:
            raw.execute("DROP TRIGGER reap_intent_is_not_changed")
            raw.execute(f"UPDATE reap SET {column} = ?", (text,))
        readings: list[Callable[[], object]] = [lambda: ledger.history(9), lambda: ledger.find("R1")]
        if column == "processes":
            readings.append(lambda: ledger.load_state([], NOW))
        for read in readings:
            with pytest.raises(LedgerError, match="contains invalid data"):
                read()


def test_an_error_of_the_caller_undoes_its_transaction(tmp_path: Path) -> None:
    with closing(opened(tmp_path)) as ledger:
        with pytest.raises(TypeError):
            ledger.record_intents(
                [intent("R1"), Intent("R2", "01S", NOW, intent("R2").key, "s", "w", "idle", {"no JSON": object()})]
            )
        assert ledger.history(9) == []
        ledger.record_intents([intent("R1")])


# A full disk, and one that may not be written: a file system of our own in a mount namespace of our own.

IN_NAMESPACE = """
import json, os, shutil, sqlite3, subprocess, sys
from pathlib import Path
from workspace_reaper.model.errors import LedgerError
from workspace_reaper.ledger import open_ledger
from workspace_reaper.model.session import SessionKey
from workspace_reaper.model.reap import Intent, ReapResult
disk = Path(sys.argv[1])
state_dir = disk / "state"
result = {}
def mount(*arguments): subprocess.run(["mount", *arguments, str(disk)], check=True)
def opened(**how): return open_ledger(state_dir, registry_name="standard", location="/db", **how)
def intent(reap_id):
    return Intent(reap_id, "01S", 1.5, SessionKey("/s", 1, 2, "$3", 4), "bc_x", "x", "orphan", {"padding": "x" * 3000})
def error_of(what):
    try: what()
    except LedgerError as error: return str(error)
def fill():
    with open(disk / "filler", "wb", buffering=0) as filler:
        try:
            while True: filler.write(b"x" * 4096)
        except OSError: pass
"""


def in_namespace(script: str, disk: Path) -> Any:
    """Run the script where ``disk`` can be mounted over and nobody else sees it; what it puts into ``result``."""
    disk.mkdir()
    command = [*small_disk(disk), sys.executable, "-c", f"{IN_NAMESPACE}{script}\nprint(json.dumps(result))", str(disk)]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


def test_a_full_disk_is_told_nothing_is_half_written_and_all_goes_on_once_there_is_space(tmp_path: Path) -> None:
    result = in_namespace(
        """
mount("-t", "tmpfs", "-o", "size=1m", "none")
ledger = opened()
ledger.record_intents([intent("R1")])
fill()
result["intend"] = error_of(lambda: ledger.record_intents([intent(f"full-{n}") for n in range(50)]))
result["report"] = error_of(lambda: ledger.save_report("{}", "x" * 400_000, sweep="a", at=1.5, complete=True))
result["while full"] = [reap.intent.reap_id for reap in ledger.history(99)]
(disk / "filler").unlink()
ledger.record_intents([intent("R2")])
ledger.record_results([ReapResult("R1", 2.5, "reaped")])
ledger.close()
again = opened()
result["after"] = [(reap.intent.reap_id, reap.outcome) for reap in again.history(99)]
again.close()
result["whole"] = sqlite3.connect(state_dir / "ledger.sqlite").execute("PRAGMA integrity_check").fetchone()
""",
        tmp_path / "disk",
    )
    for write in ("intend", "report"):
        assert "state/ledger.sqlite cannot be used" in result[write]
        assert "free" in result[write]
    assert result["while full"] == ["R1"]
    assert result["after"] == [["R2", "open"], ["R1", "reaped"]]
    assert result["whole"] == ["ok"]


def test_a_disk_full_from_the_start_is_told(tmp_path: Path) -> None:
    result = in_namespace(
        """
mount("-t", "tmpfs", "-o", "size=1m", "none")
fill()
result["open"] = error_of(opened)
result["read"] = error_of(lambda: opened(read_only=True).close())
(disk / "filler").unlink()
opened().close()
""",
        tmp_path / "disk",
    )
    assert "free" in result["open"]
    assert result["read"] is None


def test_a_disk_too_full_to_migrate_is_told_and_the_older_ledger_stays_whole(tmp_path: Path) -> None:
    result = in_namespace(
        """
from workspace_reaper.ledger import migrations
from tests.tools.migrations import rebuild_reaps
mount("-t", "tmpfs", "-o", "size=4m", "none")
ledger = opened()
ledger.record_intents([intent(f"R{n}") for n in range(200)])
ledger.close()
migrations.MIGRATIONS += (rebuild_reaps(),)
older = sqlite3.connect(state_dir / "ledger.sqlite", isolation_level=None)
older.execute("PRAGMA journal_mode = DELETE")
fill()
result["open"] = error_of(opened)
result["version"] = older.execute("PRAGMA user_version").fetchone()
result["left"] = older.execute("SELECT count(*) FROM reap").fetchone()
older.close()
(disk / "filler").unlink()
again = opened()
result["after"] = len(again.load_state([], 1.5).open_intents)
again.close()
result["whole"] = sqlite3.connect(state_dir / "ledger.sqlite").execute("PRAGMA integrity_check").fetchone()
""",
        tmp_path / "disk",
    )
    assert "free" in result["open"]
    assert (result["version"], result["left"]) == ([len(migrations.MIGRATIONS)], [200])
    assert result["after"] == 200
    assert result["whole"] == ["ok"]


def test_a_disk_mounted_read_only_is_told(tmp_path: Path) -> None:
    result = in_namespace(
        """
mount("-t", "tmpfs", "-o", "size=4m", "none")
mount("-o", "remount,bind,ro")
result["missing"] = error_of(opened)
result["missing, read"] = error_of(lambda: opened(read_only=True).close())
mount("-o", "remount,bind,rw")
ledger = opened()
ledger.record_intents([intent("R1")])
shutil.copytree(state_dir, disk / "kept")
ledger.close()
shutil.rmtree(state_dir)
(disk / "kept").rename(state_dir)
mount("-o", "remount,bind,ro")
before = {path.name: path.read_bytes() for path in state_dir.iterdir()}
result["write"] = error_of(lambda: opened().record_intents([intent("R2")]))
result["read"] = error_of(lambda: opened(read_only=True).close())
result["same"] = before == {path.name: path.read_bytes() for path in state_dir.iterdir()}
mount("-o", "remount,bind,rw")
again = opened()
result["after"] = [reap.intent.reap_id for reap in again.history(9)]
again.close()
""",
        tmp_path / "disk",
    )
    assert "make that file system writable" in result["missing"]
    assert result["missing, read"] is None
    assert "run as its owner, on a file system that is mounted writable" in result["write"]
    assert result["read"] is None
    assert result["same"] is True
    assert result["after"] == ["R1"]


def test_a_limit_on_the_size_of_files_is_told(tmp_path: Path) -> None:
    script = """
import resource
state_dir = disk
ledger = opened()
ledger.record_intents([intent("R1")])
resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))
result["intend"] = error_of(lambda: ledger.record_intents([intent(f"R{n}") for n in range(2, 200)]))
result["left"] = [reap.intent.reap_id for reap in ledger.history(99)]
"""
    command = [sys.executable, "-c", f"{IN_NAMESPACE}{script}\nprint(json.dumps(result))", str(tmp_path)]
    result = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    assert "a limit is reached" in result["intend"]
    assert result["left"] == ["R1"]
