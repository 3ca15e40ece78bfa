"""A host's workspaces in an SQLite file: opened read-only for one look-up, read in one transaction, closed."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from typing import Any

from sqlalchemy import ColumnClause, create_engine, literal_column, select
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from workspace_reaper.model.workspace import LookupResult, RegistryIdentity
from workspace_reaper.registry.base import DatabaseRegistry
from workspace_reaper.registry.location import DatabaseNotFound, identity
from workspace_reaper.registry.queries import Statements, fetch, statements
from workspace_reaper.registry.rows import Asked
from workspace_reaper.registry.schema import Schema, WorkspaceColumns
from workspace_reaper.registry.schema_check import absent_columns, probed
from workspace_reaper.registry.sqlite.connection import begin, count_of_changes, is_table, open_readonly, raw, schema_version
from workspace_reaper.registry.sqlite.errors import in_words

# The number of ids in one statement. SQLite permits 32,766 variables in one, and 999 before 3.32.
CHUNK = 30_000 if sqlite3.sqlite_version_info >= (3, 32) else 900

# The statements by the optional columns that the database lacks, and by whether its rows have numbers.
StatementCache = dict[tuple[frozenset[str], bool], Statements]


class SqliteRegistry(DatabaseRegistry):
    """The registry over one file.

    Args:
        schema: How the file is read.
        path: The absolute path of the file.
        busy_limit: Seconds that a look-up waits for a lock.
    """

    # UnicodeDecodeError: a garbled schema, quoted in SQLite's own message.
    _errors = (SQLAlchemyError, sqlite3.Error, UnicodeDecodeError, DatabaseNotFound)

    def __init__(self, schema: Schema, path: str, *, busy_limit: float) -> None:
        super().__init__(schema)
        self._path = path
        self._busy_limit = busy_limit
        self._cache: StatementCache = {}
        self._engine = create_engine("sqlite://", creator=lambda: open_readonly(path, busy_limit), poolclass=NullPool)

    @property
    def location(self) -> str:
        """The absolute path, as configured: symbolic links are not followed."""
        return self._path

    def connect(self) -> Connection:
        """Open a connection, for a caller that closes it."""
        return self._engine.connect()

    def statements_in(self, connection: Connection) -> Statements:
        return statements_of(self._schema, connection, self._cache)

    def identity_in(self, connection: Connection, location: str) -> RegistryIdentity:
        """Return what identifies the content, without sentinels. The connection is in a transaction."""
        sqlite = raw(connection)
        version, counter = schema_version(sqlite), count_of_changes(sqlite, self._path)
        return RegistryIdentity(location, self._schema.identity, f"schema version {version}", counter)

    @contextmanager
    def session(self) -> Iterator[tuple[Connection, str]]:
        """Open a connection in a transaction. In ``journal_mode=DELETE`` the host cannot commit until the block ends."""
        location = identity(self._path)
        with self._engine.connect() as connection:
            begin(raw(connection))
            yield connection, location

    def _in_words(self, error: Exception) -> str:
        return in_words(error, self._path, self.name, self._busy_limit)

    def _read(self, asked: Asked) -> LookupResult:
        with self.session() as (connection, location):
            fetched = fetch(connection, self.statements_in(connection), asked, self._is_id, CHUNK)
            found = self.identity_in(connection, location)
        if identity(self._path) != location:
            raise DatabaseNotFound("was replaced by another file while it was read: the next look-up reads the new one")
        return fetched.rows_of(found)

    def _has_index(self, connection: Connection, read: Statements) -> bool:
        if not is_table(raw(connection), self._schema.tables[0].name):
            return True  # a view, which cannot have one
        compiled = read.by_ids.params(ids=["0"]).compile(connection, compile_kwargs={"render_postcompile": True})  # type: ignore[attr-defined]
        unbound = (None,) * len(compiled.positiontup or ())
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}", unbound)
        return not any(parent == 0 and detail.startswith("SCAN") for _, parent, _, detail in plan)


def statements_of(schema: Schema, connection: Connection, cache: StatementCache) -> Statements:
    """Return the statements of a schema for the database of this connection, as it is now. Raises ``SchemaMismatch``."""
    there = {table.fullname: _columns(connection, table.name, table.schema) for table in schema.tables}
    absent = absent_columns(schema, there, lambda: _table_names(connection))
    by_rowid = _has_rowid(connection, schema)
    read = cache.get((absent, by_rowid))
    if read is None:
        read = cache[absent, by_rowid] = statements(strict(schema.facts(absent)), by_rowid=by_rowid)
    probed(connection, read.columns, read.probe, there)
    return read


def _table_names(connection: Connection) -> Iterable[str]:
    return connection.exec_driver_sql(
        "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite@_%' ESCAPE '@'"
    ).scalars()


def _columns(connection: Connection, name: str, schema: str | None) -> set[str]:
    try:
        return set(connection.exec_driver_sql("SELECT name FROM pragma_table_xinfo(?, ?)", (name, schema)).scalars())
    except DBAPIError as error:
        if schema is not None and "unknown database" in str(error.orig):
            return set()
        raise


def _has_rowid(connection: Connection, schema: Schema) -> bool:
    """Return whether the first table has a ``rowid``. A view has none, and neither has a table ``WITHOUT ROWID``."""
    try:
        connection.execute(select(literal_column("rowid")).select_from(schema.tables[0]).limit(literal_column("0"))).close()
    except DBAPIError as error:
        if "rowid" in str(error.orig):
            return False
        raise
    return True


# Tokens that may contain a double quote without being a quoted name, and then quoted names.
_TOKEN = re.compile(
    r"""'(?:[^']|'')*'|`(?:[^`]|``)*`|\[[^\]]*\]|--[^\n]*|/\*.*?(?:\*/|\Z)|"(?P<name>(?:[^"]|"")*)\"""", re.DOTALL
)


def strict(facts: WorkspaceColumns) -> WorkspaceColumns:
    """Return the same expressions with each name in double quotes written in backquotes.

    SQLite takes an unknown name in double quotes for a text, so a misspelt expression would be permanently false. In backquotes
    it is an error in every version (https://sqlite.org/quirks.html).
    """
    literals: dict[str, Any] = {}
    for field in fields(facts):
        value = getattr(facts, field.name)
        if isinstance(value, ColumnClause) and value.is_literal:
            literals[field.name] = literal_column(strict_text(value.name), value.type)
    return replace(facts, **literals) if literals else facts


def strict_text(expression: str) -> str:
    """Return one expression as `strict` does."""
    return _TOKEN.sub(_in_backquotes, expression)


def _in_backquotes(token: re.Match[str]) -> str:
    name = token["name"]
    if name is None:
        return token[0]
    escaped = name.replace('""', '"').replace("`", "``")
    return f"`{escaped}`"
