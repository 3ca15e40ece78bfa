"""The migrations of the ledger, and the tables they make."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from workspace_reaper.ledger import migrations
from workspace_reaper.ledger.migrations import APPLICATION_ID, MIGRATIONS, migrate, version_of
from workspace_reaper.model.errors import LedgerError


@pytest.fixture
def raw() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        yield connection


def add(monkeypatch: pytest.MonkeyPatch, *more: tuple[str, ...]) -> None:
    """From now on this is a later version, which knows more migrations."""
    monkeypatch.setattr(migrations, "MIGRATIONS", (*MIGRATIONS, *more))


def schema(raw: sqlite3.Connection) -> list[Any]:
    return raw.execute("SELECT type, name, sql FROM sqlite_master ORDER BY name").fetchall()


def test_a_migrated_file_says_whose_it_is_and_how_far_it_got(raw: sqlite3.Connection) -> None:
    assert version_of(raw, "here") == 0
    migrate(raw, "here")
    migrate(raw, "here")
    assert version_of(raw, "here") == len(MIGRATIONS)
    assert raw.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)


def test_a_later_migration_keeps_what_is_there(raw: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    migrate(raw, "here")
    raw.execute("INSERT INTO event VALUES (1, 1, 1.5, 'k', 'd')")
    add(monkeypatch, ("ALTER TABLE event ADD COLUMN more TEXT",), ("CREATE TABLE another (id INTEGER)",))
    migrate(raw, "here")
    assert version_of(raw, "here") == len(MIGRATIONS) + 2
    assert raw.execute("SELECT * FROM event").fetchall() == [(1, 1, 1.5, "k", "d", None)]


def test_a_migration_that_another_process_has_just_done_is_not_done_again(tmp_path: Path) -> None:
    with (
        closing(sqlite3.connect(tmp_path / "x", isolation_level=None)) as late,
        closing(sqlite3.connect(tmp_path / "x", isolation_level=None)) as early,
    ):
        begun: list[str] = []

        def first_the_other(statement: str) -> None:
            if statement == "BEGIN IMMEDIATE" and not begun:
                begun.append(statement)
                migrate(early, "here")

        late.set_trace_callback(first_the_other)
        migrate(late, "here")
        assert begun
        assert version_of(late, "here") == len(MIGRATIONS)
        assert not late.in_transaction


def test_a_migration_that_fails_leaves_the_one_before(raw: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    migrate(raw, "here")
    before = schema(raw)
    add(monkeypatch, ("CREATE TABLE another (id INTEGER)", "CREATE TABLE event (id INTEGER)"))
    with pytest.raises(sqlite3.OperationalError):
        migrate(raw, "here")
    assert schema(raw) == before
    assert version_of(raw, "here") == len(MIGRATIONS)
    assert not raw.in_transaction


def test_a_newer_file_is_refused(raw: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as later:
        add(later, ("CREATE TABLE another (id INTEGER)",))
        migrate(raw, "here")
    with pytest.raises(LedgerError, match=r"here was written by a newer version .*upgrade workspace-reaper"):
        migrate(raw, "here")
