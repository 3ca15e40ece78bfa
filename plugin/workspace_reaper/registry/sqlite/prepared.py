"""The statements of a look-up as SQL for sqlite3 itself: SQLAlchemy takes five times as long for each of them.

A reaper of many hosts reads as many databases in each sweep, most of them for a few sessions.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, cast

from sqlalchemy import Executable, Select
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine.interfaces import Dialect

from workspace_reaper.registry.queries import Statements
from workspace_reaper.registry.schema import Schema

# The name of the parameter that holds the ids.
_IDS = "ids"

# The columns of each table of the schema, in their order.
Columns = tuple[tuple[str, ...], ...]

_COLUMNS = "SELECT name FROM pragma_table_xinfo(?, ?)"


class SchemaChanged(Exception):
    """The tables have other columns than those for which the statements were made."""


class Result(list[Any]):
    """The rows of a statement, with the methods that ``queries.fetch`` uses of a result of SQLAlchemy."""

    def all(self) -> Sequence[Any]:
        """Return all rows."""
        return self

    def one(self) -> Any:
        """Return the only row."""
        (row,) = self
        return row

    def scalars(self) -> Sequence[Any]:
        """Return the first column."""
        return [row[0] for row in self]


class PreparedStatement:
    """One statement, for any number of ids."""

    def __init__(self, statement: Executable, dialect: Dialect) -> None:
        self._statement = cast("Select[Any]", statement)
        self._dialect = dialect
        # A number of ids changes with the sessions: not in most sweeps.
        self._compiled = lru_cache(maxsize=8)(self._compile)
        processors = [
            column.type.dialect_impl(dialect).result_processor(dialect, None) for column in self._statement.selected_columns
        ]
        self._converted = [(at, convert) for at, convert in enumerate(processors) if convert is not None]

    def run(self, connection: sqlite3.Connection, ids: Sequence[Any] = ()) -> Result:
        """Return the rows, with the values as SQLAlchemy converts them. Raises ``sqlite3.Error``."""
        sql, constants, places, bind = self._compiled(len(ids))
        values = [*constants]
        for place, one in zip(places, ids, strict=True):
            values[place] = bind(one)
        rows = connection.execute(sql, values).fetchall()
        if not self._converted:
            return Result(rows)
        return Result(map(self._convert, rows))

    def _convert(self, row: Sequence[Any]) -> Sequence[Any]:
        values = [*row]
        for at, convert in self._converted:
            values[at] = convert(values[at])
        return values

    def _compile(self, number: int) -> tuple[str, Sequence[Any], Sequence[int], Callable[[Any], Any]]:
        """Return the SQL, its parameters but the ids, the places of the ids among them, and what converts an id."""
        compiled = self._statement.compile(dialect=self._dialect)
        state = compiled.construct_expanded_state({_IDS: [None] * number} if number else None)
        own = {f"{_IDS}_{at}": at for at in range(1, number + 1)}
        names, parameters = state.positiontup or (), state.parameters
        places = {own[name]: place for place, name in enumerate(names) if name in own}
        processors = cast("Mapping[str, Callable[[Any], Any]]", {**compiled._bind_processors, **state.processors})
        constants = [
            None if name in own else processors[name](parameters[name]) if name in processors else parameters[name]
            for name in names
        ]
        bind = processors.get(f"{_IDS}_1", _unchanged)
        return state.statement, constants, [places[at] for at in range(1, number + 1)], bind


class PreparedStatements:
    """All statements of a look-up, for tables with these columns."""

    def __init__(self, schema: Schema, columns: Columns, read: Statements) -> None:
        self.read = read
        self._schema = schema
        self._columns = columns
        used = (read.by_ids, read.by_spelling, read.oldest, read.total)
        dialect = SQLiteDialect_pysqlite()
        self._prepared = {id(one): PreparedStatement(one, dialect) for one in used if one is not None}

    def on(self, connection: sqlite3.Connection) -> PreparedReader:
        """Return what runs them on this connection, which is in a transaction. Raises ``SchemaChanged``."""
        if columns_of(connection, self._schema) != self._columns:
            raise SchemaChanged
        return PreparedReader(connection, self._prepared)


class PreparedReader:
    """Runs prepared statements as a connection of SQLAlchemy runs those of which they were made."""

    def __init__(self, connection: sqlite3.Connection, prepared: Mapping[int, PreparedStatement]) -> None:
        self._connection = connection
        self._prepared = prepared

    def execute(self, statement: Executable, parameters: Mapping[str, Sequence[Any]] | None = None) -> Result:
        """Run the prepared form of this statement. Raises ``sqlite3.Error``."""
        return self._prepared[id(statement)].run(self._connection, (parameters or {}).get(_IDS, ()))


def columns_of(connection: sqlite3.Connection, schema: Schema) -> Columns:
    """Return the columns of the schema's tables, empty for a table that is missing. Raises ``sqlite3.Error``."""
    return tuple(tuple(name for (name,) in connection.execute(_COLUMNS, (table.name, table.schema))) for table in schema.tables)


def _unchanged(value: Any) -> Any:
    return value
