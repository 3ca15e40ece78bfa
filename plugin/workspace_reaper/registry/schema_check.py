"""Whether the tables of a database are those of a schema, and what is wrong with them in words."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Executable, FromClause, Table, select
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from workspace_reaper.model.workspace import FLAGS
from workspace_reaper.registry.queries import NO_ROW
from workspace_reaper.registry.schema import Schema, WorkspaceColumns

_SHOWN = 20
_NOT_ALLOWED = "42501"  # PostgreSQL's insufficient_privilege
_NO_COLUMN = re.compile(r"no such column: (?:.*\.)?(.+)")


class SchemaMismatch(Exception):
    """The database can be read, and its tables are not those of the schema. The text says what is wrong."""


@dataclass(frozen=True, slots=True)
class SchemaFinding:
    """Something that is wrong with a database, as a sentence. ``fatal``: the registry is Unknown until it is
    fixed; otherwise it only costs time. ``misfit``: it was read, and is not what the schema says of it."""

    text: str
    fatal: bool
    misfit: bool = False


def absent_columns(schema: Schema, there: Mapping[str, Collection[str]], tables: Callable[[], Iterable[str]]) -> frozenset[str]:
    """The optional columns that this database lacks; ``SchemaMismatch`` if it lacks a table, or any other column.

    ``there`` are the columns of each table of the schema (by its full name), none where the table is missing; ``tables``
    tells the names of those that the database has.
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
    """What the database says of each column that ``probe`` selects of these facts, as the DB-API describes it.
    ``SchemaMismatch`` if an expression can't be evaluated, or does not give one value for each row; the database's own error
    where it is not the expressions. ``there``: the columns of each table, for a database that names no nearest one itself."""
    try:
        described, strange = _tried(connection, probe, 2 + len(FLAGS))
    except DBAPIError as error:
        connection.rollback()  # of the transaction that the error has ended
        raise (_failing_expression(connection, facts, there or {}) or error) from error
    if strange:
        raise _failing_expression(connection, facts, {}) or SchemaMismatch("can't be asked with these expressions")
    return described


def _tried(connection: Connection, probe: Executable, columns: int) -> tuple[Sequence[Any], bool]:
    """The description, and whether it selects something else than so many columns of each row. An aggregate gives a row
    where there is none, and would give one for all workspaces."""
    result = connection.execute(probe)
    cursor: Any = result.cursor
    described = tuple(cursor.description)
    strange = len(described) != columns or cursor.fetchone() is not None
    result.close()
    return described, strange


def _failing_expression(
    connection: Connection, facts: WorkspaceColumns, there: Mapping[str, Collection[str]]
) -> SchemaMismatch | None:
    """The expression that fails alone as well; None if the ids do, or this user may not, which the error explains."""
    for name in (None, *FLAGS, "worktree"):
        expression = facts.id if name is None else getattr(facts, name)
        if expression is None:
            continue
        try:
            _, strange = _tried(connection, select(expression).select_from(*_tables(facts)).where(NO_ROW), 1)
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) == _NOT_ALLOWED:
                return None
            said = str(error.orig).splitlines()[0]
            return None if name is None else SchemaMismatch(f"can't tell {name} ({said}{_nearest_in(said, there)})")
        if strange:
            return SchemaMismatch(f"can't tell {name}: it does not give one value for each row")
    return None


def _tables(facts: WorkspaceColumns) -> Sequence[FromClause]:
    return select(facts.id).get_final_froms()


def no_index(table: str, column: str) -> SchemaFinding:
    """Of an id by which every look-up reads the whole table."""
    return SchemaFinding(
        f"{table}.{column} has no index: every look-up reads the whole table. Ask for one: CREATE INDEX ON {table} ({column}).",
        fatal=False,
    )


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
    """The nearest to the column that SQLite says is not there."""
    missing = _NO_COLUMN.match(said)
    near = missing and _nearest(missing[1], {column for columns in there.values() for column in columns})
    return f"; did you mean {near}?" if near else ""


def _nearest(name: str, columns: Collection[str]) -> str | None:
    by_lower = {one.lower(): one for one in columns}
    near = difflib.get_close_matches(name.lower(), by_lower, n=1)
    return by_lower[near[0]] if near else None
