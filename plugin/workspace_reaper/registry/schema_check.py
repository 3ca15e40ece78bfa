"""Checks that the tables of a database fit a schema, and describes in sentences what is wrong with them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count
from typing import Any

from sqlalchemy import ColumnElement, Executable, Table, select
from sqlalchemy import column as sql_column
from sqlalchemy import table as sql_table
from sqlalchemy.engine import Connection, Dialect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.elements import ColumnClause

from workspace_reaper.registry.queries import EXPRESSIONS, NO_ROW
from workspace_reaper.registry.schema import Schema, WorkspaceColumns

_SHOWN = 20
_NOT_ALLOWED = "42501"  # PostgreSQL's insufficient_privilege
_NO_COLUMN = re.compile(r"no such column: (?:.*\.)?(.+)")


class SchemaMismatch(Exception):
    """An error for a database that can be read, but does not fit the schema. The text contains what is wrong."""


@dataclass(frozen=True, slots=True)
class SchemaFinding:
    """A problem of a database.

    Attributes:
        text: The problem as a sentence.
        fatal: The registry is Unknown until it is fixed; otherwise the problem only costs time.
        misfit: The database was read, and it does not fit the schema.
        do: A statement that fixes it, if there is one.
    """

    text: str
    fatal: bool
    misfit: bool = False
    do: str = ""


def absent_columns(schema: Schema, there: Mapping[str, Collection[str]], tables: Callable[[], Iterable[str]]) -> frozenset[str]:
    """Return the optional columns that this database lacks, as ``table.column``.

    Args:
        schema: The schema that the database must fit.
        there: The columns of each table of the schema, by the table's full name; empty if the table is missing.
        tables: Returns the names of the tables that the database has, for the message.

    Raises:
        SchemaMismatch: The database lacks a table, or a column that is required.
    """
    missing: set[str] = set()
    for table in schema.tables:
        columns = there.get(table.fullname, ())
        if not columns:
            raise SchemaMismatch(f"has no table {table.fullname!r} ({_existing(table, tables())})")
        missing |= {f"{table.name}.{column.name}" for column in table.columns if column.name not in columns}
    if needed := sorted(missing - schema.optional):
        raise SchemaMismatch(f"lacks {', '.join(_with_nearest(name, schema, there) for name in needed)}")
    return frozenset(missing)


def probed(
    connection: Connection, facts: WorkspaceColumns, probe: Executable, there: Mapping[str, Collection[str]] | None = None
) -> Sequence[Any]:
    """Run ``probe``, and return the DB-API's description of each column.

    Args:
        connection: A connection in a transaction.
        facts: The column expressions that ``probe`` selects.
        probe: The statement of `Statements`.
        there: The columns of each table, for a database whose messages do not suggest the nearest one.

    Raises:
        SchemaMismatch: An expression cannot be evaluated, or does not yield one value for each row.
        DBAPIError: The database failed for another reason.
    """
    try:
        described, strange = _tried(connection, probe, 1 + len(EXPRESSIONS))
    except DBAPIError as error:
        connection.rollback()  # the error has ended the transaction
        raise (_failing_expression(connection, facts, there or {}) or error) from error
    if strange:
        raise _failing_expression(connection, facts, {}) or SchemaMismatch("cannot be read with these expressions")
    return described


def _tried(connection: Connection, probe: Executable, columns: int) -> tuple[Sequence[Any], bool]:
    """Return the description, and whether the statement selects anything but ``columns`` columns of each row.

    An aggregate yields one row for an empty selection: it would yield one for all workspaces.
    """
    result = connection.execute(probe)
    cursor: Any = result.cursor
    described = tuple(cursor.description)
    strange = len(described) != columns or cursor.fetchone() is not None
    result.close()
    return described, strange


def _failing_expression(
    connection: Connection, facts: WorkspaceColumns, there: Mapping[str, Collection[str]]
) -> SchemaMismatch | None:
    """Return the first expression that also fails alone, or None if the column of the id fails or a privilege is missing."""
    tables = select(facts.id).get_final_froms() if facts.source is None else [facts.source]
    for name in ("id", *EXPRESSIONS):
        expression = getattr(facts, name)
        if expression is None:
            continue
        try:
            _, strange = _tried(connection, select(expression).select_from(*tables).where(NO_ROW), 1)
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) == _NOT_ALLOWED:
                return None
            said = str(error.orig).splitlines()[0]
            is_column = name == "id" and not is_literal(expression)
            return None if is_column else SchemaMismatch(f"cannot evaluate {name} ({said}{_nearest_in(said, there)})")
        if strange:
            return SchemaMismatch(f"cannot evaluate {name}: it does not give one value for each row")
    return None


def is_literal(expression: ColumnElement[Any]) -> bool:
    """Return whether it is an expression as the configuration has it, and not a column of a table."""
    return isinstance(expression, ColumnClause) and expression.is_literal


def no_index(connection: Connection, table: Table, column: str) -> SchemaFinding:
    """Return the finding for an id without an index, for a column with a statement that this database accepts."""
    if column not in table.c:
        text = f"the id of {table.fullname} is an expression without an index: every look-up reads the whole table"
        return SchemaFinding(text, fatal=False)
    dialect = connection.dialect
    place, quoted = plain(dialect, dialect.identifier_preparer.format_table(table)), dialect.identifier_preparer.quote(column)
    index = ""  # PostgreSQL finds a free name itself
    if dialect.name == "sqlite":
        index = _free_name(connection, table, column)
        if table.schema is not None:  # here the index is qualified, and not the table
            index = f"{dialect.identifier_preparer.quote_schema(table.schema)}.{index}"
            place = dialect.identifier_preparer.format_table(table, use_schema=False)
    return SchemaFinding(
        f"{table.fullname}.{column} has no index: every look-up reads the whole table",
        fatal=False,
        do=f"CREATE INDEX {index}{' ' if index else ''}ON {place} ({plain(dialect, quoted)});",
    )


def plain(dialect: Dialect, quoted: str) -> str:
    """Return a quoted name as it is in SQL. For a DB-API with %-parameters, SQLAlchemy doubles each % in it."""
    return quoted.replace("%%", "%") if dialect.paramstyle in ("format", "pyformat") else quoted


def _free_name(connection: Connection, table: Table, column: str) -> str:
    """Return a name for an index that no table and no other index of this SQLite database has. Case does not matter there."""
    master = sql_table("sqlite_master", sql_column("name"), schema=table.schema)
    taken = {str(name).lower() for name in connection.execute(select(master.c.name)).scalars()}
    name = re.sub(r"[^A-Za-z0-9_]", "_", f"workspace_reaper_{table.name}_{column}")
    candidates = chain([name], (f"{name}_{number}" for number in count(2)))
    return next(one for one in candidates if one.lower() not in taken)


def _existing(table: Table, names: Iterable[str]) -> str:
    found = sorted(names)
    if not found:
        return "it has none that this user may see"
    near = difflib.get_close_matches(table.fullname, found, n=3, cutoff=0.4)
    ordered = list(dict.fromkeys([*near, *found]))
    more = f" and {len(ordered) - _SHOWN} more" if len(ordered) > _SHOWN else ""
    return f"there are: {', '.join(ordered[:_SHOWN])}{more}"


def _with_nearest(name: str, schema: Schema, there: Mapping[str, Collection[str]]) -> str:
    table, _, column = name.rpartition(".")
    near = _nearest(column, next(there[one.fullname] for one in schema.tables if one.name == table))
    return f"{name} (did you mean {near}?)" if near else name


def _nearest_in(said: str, there: Mapping[str, Collection[str]]) -> str:
    """Return a suggestion for the column that SQLite reports as missing."""
    missing = _NO_COLUMN.match(said)
    near = missing and _nearest(missing[1], {column for columns in there.values() for column in columns})
    return f"; did you mean {near}?" if near else ""


def _nearest(name: str, columns: Collection[str]) -> str | None:
    by_lower = {one.lower(): one for one in columns}
    near = difflib.get_close_matches(name.lower(), by_lower, n=1)
    return by_lower[near[0]] if near else None
