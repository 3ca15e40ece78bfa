"""A look-up of an unchanged SQLite database is answered from the last one, if that speaks for keeping everything."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tools.hosts import VibeKanbanHost, connected
from workspace_reaper.model.unknown import Unknown
from workspace_reaper.model.workspace import LookupResult
from workspace_reaper.registry import load_schema, open_registry
from workspace_reaper.registry.sqlite import unchanged
from workspace_reaper.registry.sqlite.unchanged import UnchangedLookup


class Database:
    """A host's database, its registry's answer to one question, and how often it was read for that."""

    def __init__(self, host: VibeKanbanHost) -> None:
        self.host = host
        self.ids = [host.new_id(1), host.new_id(2)]
        self.reads = 0
        self.registry = open_registry(load_schema(host.schema), host.place, {})
        self.lookup = UnchangedLookup(str(host.path))
        self.host.insert(self.ids)
        self.settle()

    def settle(self) -> None:
        """Date the last write a minute back, as if nothing had been written since."""
        for file in (self.host.path, Path(f"{self.host.path}-wal")):
            if file.exists():
                os.utime(file, (time.time() - 60, time.time() - 60))

    def look_up(self) -> LookupResult:
        found = self.lookup.look_up(self.ids, (), self._read)
        assert isinstance(found, LookupResult)
        return found

    def _read(self) -> LookupResult | Unknown:
        self.reads += 1
        return self.registry.look_up(self.ids, (), every_spelling=True)


@pytest.fixture(params=["delete", "wal"])
def database(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Database]:
    host = VibeKanbanHost(tmp_path / "host.sqlite")
    host.create()
    with connected(host.path) as writer:
        writer.execute(f"PRAGMA journal_mode = {request.param}")
        yield Database(host)


def test_an_unchanged_database_is_read_once(database: Database) -> None:
    first = database.look_up()
    assert database.look_up() == first
    assert set(first.found) == set(database.ids)
    assert database.reads == 1


def test_a_commit_is_read(database: Database) -> None:
    database.look_up()
    database.host.delete(database.ids[0])
    assert set(database.look_up().found) == {database.ids[1]}


def test_another_file_is_read(database: Database, tmp_path: Path) -> None:
    database.look_up()
    other = VibeKanbanHost(tmp_path / "other.sqlite")
    other.create()
    other.insert(database.ids[:1])
    for suffix in ("-wal", "-shm"):
        Path(f"{database.host.path}{suffix}").unlink(missing_ok=True)
    other.path.replace(database.host.path)
    assert set(database.look_up().found) == {database.ids[0]}


def test_a_write_that_may_hide_behind_the_last_one_is_read(database: Database) -> None:
    database.host.insert([database.host.new_id(3)])  # in the same tick of the kernel's clock as the look-up
    database.look_up()
    database.look_up()
    assert database.reads == 2


def test_an_answer_holds_for_a_while_only(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unchanged, "_LONGEST", 0.0)
    database.look_up()
    database.look_up()
    assert database.reads == 2


def test_another_question_is_read(database: Database) -> None:
    database.look_up()
    database.ids.append(database.host.new_id(9))
    assert set(database.look_up().found) == set(database.ids[:2])
    assert database.reads == 2


def test_an_absence_is_always_read(database: Database) -> None:
    database.ids.append(database.host.new_id(9))
    database.look_up()
    database.look_up()
    assert database.reads == 2


def test_a_row_for_which_a_session_may_go_is_always_read(database: Database) -> None:
    database.host.archive(database.ids[0])
    database.settle()
    database.look_up()
    database.look_up()
    assert database.reads == 2


def test_what_cannot_be_read_is_read_again(database: Database) -> None:
    for file in (database.host.path, *(Path(f"{database.host.path}{suffix}") for suffix in ("-wal", "-shm"))):
        file.unlink(missing_ok=True)
    assert isinstance(database.lookup.look_up(database.ids, (), database._read), Unknown)
    assert isinstance(database.lookup.look_up(database.ids, (), database._read), Unknown)
    assert database.reads == 2


def test_the_registry_answers_so_but_never_a_recheck(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = getattr(database.registry, "database", database.registry)
    first = registry.look_up(database.ids, ())
    opened = []
    real = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *args, **options: opened.append(args) or real(*args, **options))
    assert registry.look_up(database.ids, ()) is first
    assert not opened
    assert registry.look_up(database.ids, (), every_spelling=True) == first
    assert opened


def test_a_schema_that_changes_is_checked_anew(database: Database) -> None:
    registry = getattr(database.registry, "database", database.registry)
    assert isinstance(registry.look_up(database.ids, (), every_spelling=True), LookupResult)
    with connected(database.host.path) as connection:
        connection.execute("ALTER TABLE workspaces RENAME COLUMN archived TO was_archived")
    found = registry.look_up(database.ids, (), every_spelling=True)
    assert isinstance(found, Unknown)
    assert "archived" in found.reason
