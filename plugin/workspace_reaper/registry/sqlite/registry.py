"""A host's workspaces in an SQLite file: opened read-only for one look-up, read in one transaction, closed."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import ColumnClause, create_engine, literal_column, select
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from workspace_reaper.model.unknown import Unknown
from workspace_reaper.model.workspace import LookupResult, RegistryIdentity
from workspace_reaper.registry.base import DatabaseRegistry, try_some_rows
from workspace_reaper.registry.id_types import WrongValue
from workspace_reaper.registry.location import DatabaseNotFound, identity
from workspace_reaper.registry.queries import Statements, fetch, statements
from workspace_reaper.registry.schema import Schema, WorkspaceColumns
from workspace_reaper.registry.schema_check import SchemaFinding, SchemaMismatch, absent_columns, no_index, probed
from workspace_reaper.registry.sqlite.connection import open_readonly
from workspace_reaper.registry.sqlite.errors import in_words
from workspace_reaper.registry.sqlite.files import change_counter

_CHUNK = 30_000 if sqlite3.sqlite_version_info >= (3, 32) else 900

"""Ids in one statement. SQLite takes 32,766 variables in one, and 999 before 3.32."""

T = TypeVar("T")


class SqliteRegistry(DatabaseRegistry):
    """The registry over one file."""

    def __init__(self, schema: Schema, path: str, *, busy_limit: float) -> None:
        """``path`` is absolute; ``busy_limit`` is in seconds."""
        super().__init__(schema)
        self._path = path
        self._busy_limit = busy_limit
        self._cache: dict[tuple[frozenset[str], bool], Statements] = {}
        self._engine = create_engine("sqlite://", creator=lambda: open_readonly(path, busy_limit), poolclass=NullPool)

    @property
    def location(self) -> str:
        """The absolute path, as configured: symbolic links are not followed."""
        return self._path

    def connect(self) -> Connection:
        """Open a connection, for a caller that closes it."""
        return self._engine.connect()

    def statements_in(self, connection: Connection) -> Statements:
        """Return the statements for this database as it is now. Raises ``SchemaMismatch``."""
        schema = self._schema
        there = {table.fullname: _columns(connection, table.name, table.schema) for table in schema.tables}
        absent = absent_columns(schema, there, lambda: _table_names(connection))
        by_rowid = _has_rowid(connection, schema)
        read = self._cache.get((absent, by_rowid))
        if read is None:
            read = self._cache[absent, by_rowid] = statements(strict(schema.facts(absent)), by_rowid=by_rowid)
        probed(connection, read.columns, read.probe, there)
        return read

    def or_unknown(self, work: Callable[[], T]) -> T | Unknown:
        try:
            return work()
        except (SchemaMismatch, WrongValue) as error:
            return self._unknown(self._words(error))
        except (SQLAlchemyError, sqlite3.Error, UnicodeDecodeError, DatabaseNotFound) as error:
            # UnicodeDecodeError: a garbled schema, quoted in SQLite's own message.
            return self._unknown(in_words(error, self._path, self.name, self._busy_limit))

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        # In journal_mode=DELETE a reader's transaction keeps the host from committing. Leaving this block ends it.
        with self._engine.connect() as connection:
            connection.exec_driver_sql("BEGIN")
            yield connection

    def _read(self, ids: Collection[str], sentinels: Collection[str]) -> LookupResult:
        place = identity(self._path)
        possible = self._possible(ids, sentinels)
        with self._transaction() as connection:
            fetched = fetch(connection, self.statements_in(connection), _chunks(possible))
            version = connection.exec_driver_sql("PRAGMA schema_version").scalar_one()
            counter = change_counter(self._path)
        if identity(self._path) != place:
            raise DatabaseNotFound("was replaced by another file while it was read: the next look-up reads the new one")
        found = RegistryIdentity(place, self._schema.identity, f"schema version {version}", counter)
        return fetched.rows_of(found, ids, sentinels)

    def _examined(self) -> tuple[SchemaFinding, ...]:
        identity(self._path)
        with self._transaction() as connection:
            read = self.statements_in(connection)
            fetch(connection, read, [])
            try_some_rows(connection, read)
            facts = self._schema.facts(frozenset())
            if facts.unique and _scans(connection, read):
                return (no_index(self._schema.tables[0].fullname, str(facts.id.key)),)
        return ()


def _table_names(connection: Connection) -> Iterable[str]:
    return connection.exec_driver_sql(
        "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite@_%' ESCAPE '@'"
    ).scalars()


def _columns(connection: Connection, name: str, schema: str | None) -> set[str]:
    try:
        return set(connection.exec_driver_sql("SELECT name FROM pragma_table_info(?, ?)", (name, schema)).scalars())
    except DBAPIError as error:
        if schema is not None and "unknown database" in str(error.orig):
            return set()
        raise


def _has_rowid(connection: Connection, schema: Schema) -> bool:
    """Whether the first table has one: a view has none, and a table need not."""
    try:
        connection.execute(select(literal_column("rowid")).select_from(schema.tables[0]).limit(literal_column("0"))).close()
    except DBAPIError as error:
        if "rowid" in str(error.orig):
            return False
        raise
    return True


def _scans(connection: Connection, read: Statements) -> bool:
    """Whether a look-up of one id reads the whole table."""
    compiled = read.by_ids.params(ids=["0"]).compile(connection, compile_kwargs={"render_postcompile": True})  # type: ignore[attr-defined]
    unbound = (None,) * len(compiled.positiontup or ())
    plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}", unbound)
    return any(parent == 0 and detail.startswith("SCAN") for _, parent, _, detail in plan)


def _chunks(ids: Iterable[str]) -> Iterator[list[str]]:
    remaining = iter(ids)
    while chunk := list(islice(remaining, _CHUNK)):
        yield chunk


# What may hold a double quote without being a name in such quotes, and then these names.
_TOKEN = re.compile(
    r"""'(?:[^']|'')*'|`(?:[^`]|``)*`|\[[^\]]*\]|--[^\n]*|/\*.*?(?:\*/|\Z)|"(?P<name>(?:[^"]|"")*)\"""", re.DOTALL
)


def strict(facts: WorkspaceColumns) -> WorkspaceColumns:
    """The same facts, where a name in double quotes is never a text: an expression with a slip of the pen is an error, and
    not permanently false. In backquotes a name is always one (https://sqlite.org/quirks.html), in every version."""
    literals: dict[str, Any] = {}
    for field in fields(facts):
        value = getattr(facts, field.name)
        if isinstance(value, ColumnClause) and value.is_literal:
            literals[field.name] = literal_column(_TOKEN.sub(_in_backquotes, value.name), value.type)
    return replace(facts, **literals) if literals else facts


def _in_backquotes(token: re.Match[str]) -> str:
    name = token["name"]
    if name is None:
        return token[0]
    escaped = name.replace('""', '"').replace("`", "``")
    return f"`{escaped}`"
