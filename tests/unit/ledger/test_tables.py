"""The migrations of the ledger, the tables they make, and the text that goes into them."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool
from sqlmodel import SQLModel

from workspace_reaper.ledger.json_text import as_json, json_list, json_object
from workspace_reaper.ledger.migrations import APPLICATION_ID, MIGRATIONS, migrate, version_of
from workspace_reaper.ledger.tables import Base
from workspace_reaper.ledger.text_type import escape, unescape
from workspace_reaper.model.errors import LedgerError


@pytest.fixture
def raw() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        yield connection


def schema(raw: sqlite3.Connection) -> dict[str, object]:
    """All of it that matters, whatever the spelling of the statements that made it."""

    def rows(pragma: str) -> list[tuple[Any, ...]]:
        return raw.execute(pragma).fetchall()

    tables = {name: " ".join(sql.split()) for name, sql in rows("SELECT name, sql FROM sqlite_master WHERE type = 'table'")}
    return {
        name: {
            "columns": rows(f"PRAGMA table_info({name})"),
            "indexes": sorted(
                (str(columns), unique, origin, partial)
                for _, index, unique, origin, partial in rows(f"PRAGMA index_list({name})")
                for columns in [rows(f"PRAGMA index_info({index})")]
            ),
            "checks": sorted(part.split(" CHECK ")[-1].strip(" ,)") for part in sql.split(",") if " CHECK " in part),
            "clustered": "WITHOUT ROWID" in sql,
        }
        for name, sql in tables.items()
    }


def test_the_migrations_make_the_tables_of_the_models(raw: sqlite3.Connection, tmp_path: Path) -> None:
    migrate(raw, "here")
    path = tmp_path / "modelled.sqlite"
    engine = create_engine("sqlite://", creator=lambda: sqlite3.connect(path), poolclass=NullPool)
    Base.metadata.create_all(engine)
    with closing(sqlite3.connect(path)) as modelled:
        assert schema(raw) == schema(modelled)
    assert len(schema(raw)) == len(Base.metadata.tables) == 12


def test_a_migrated_file_says_whose_it_is_and_how_far_it_got(raw: sqlite3.Connection) -> None:
    assert version_of(raw, "here") == 0
    migrate(raw, "here")
    migrate(raw, "here")
    assert version_of(raw, "here") == len(MIGRATIONS)
    assert raw.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)


def test_a_later_migration_keeps_what_is_there(raw: sqlite3.Connection) -> None:
    migrate(raw, "here")
    raw.execute("INSERT INTO event VALUES (1, 1, 1.5, 'k', 'd')")
    migrate(raw, "here", [*MIGRATIONS, ("ALTER TABLE event ADD COLUMN more TEXT",), ("CREATE TABLE another (id INTEGER)",)])
    assert version_of(raw, "here", len(MIGRATIONS) + 2) == len(MIGRATIONS) + 2
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


def test_a_migration_that_fails_leaves_the_one_before(raw: sqlite3.Connection) -> None:
    migrate(raw, "here")
    before = schema(raw)
    with pytest.raises(sqlite3.OperationalError):
        migrate(raw, "here", [*MIGRATIONS, ("CREATE TABLE another (id INTEGER)", "CREATE TABLE event (id INTEGER)")])
    assert schema(raw) == before
    assert version_of(raw, "here") == len(MIGRATIONS)
    assert not raw.in_transaction


def test_a_newer_file_is_refused(raw: sqlite3.Connection) -> None:
    migrate(raw, "here", [*MIGRATIONS, ("CREATE TABLE another (id INTEGER)",)])
    with pytest.raises(LedgerError, match=r"here was written by a newer version .*update workspace-reaper"):
        migrate(raw, "here")


def test_a_host_built_on_sqlmodel_never_meets_our_tables() -> None:
    assert not set(Base.metadata.tables) & set(SQLModel.metadata.tables)
    assert Base.metadata is not SQLModel.metadata


def test_errors_and_values_load_without_the_ledger() -> None:
    script = "import sys, workspace_reaper.model.state, workspace_reaper.model.ports; sys.exit('sqlmodel' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


@pytest.mark.parametrize("text", ["", "no JSON", "{}", '"text"', "null", "7"])
def test_what_is_empty_in_another_way_is_no_list(text: str) -> None:
    with pytest.raises(ValueError, match=r"no list|Expecting value"):
        json_list(text)


@pytest.mark.parametrize("text", ["", "no JSON", "[]", '"text"', "null", "7"])
def test_what_is_empty_in_another_way_is_no_object(text: str) -> None:
    with pytest.raises(ValueError, match=r"no object|Expecting value"):
        json_object(text)


def test_text_in_json_comes_back_also_with_lone_surrogates_side_by_side() -> None:
    value = ["\ud800\udc00", "\U00010000", '\udcff\0"\\\n']
    assert json_list(unescape(escape(as_json(value)))) == value


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        pytest.param("bc_0123", "bc_0123", id="plain"),
        pytest.param("é🦊", "é🦊", id="unicode"),
        pytest.param("\udcff", r"\udcff", id="undecodable-byte"),
        pytest.param(r"\udcff", r"\\udcff", id="text-that-looks-escaped"),
        pytest.param("a\0b", r"a\u0000b", id="nul"),
    ],
)
def test_text_is_escaped(text: str, stored: str) -> None:
    assert escape(text) == stored
    assert unescape(stored) == text


@given(st.text(st.characters(codec=None) | st.sampled_from("\\\0u0dcf\ud800\udcff")))
def test_any_text_comes_back_and_is_valid_without_nul(text: str) -> None:
    stored = escape(text)
    assert unescape(stored) == text
    assert b"\0" not in stored.encode()
