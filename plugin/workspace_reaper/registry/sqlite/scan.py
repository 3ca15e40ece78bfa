"""Reads all workspaces of an SQLite file, a few thousand rows at a time, so that a commit never waits for long."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import ColumnElement, Executable, Select, literal_column
from sqlalchemy.engine import Connection

from workspace_reaper.registry.location import DatabaseNotFound
from workspace_reaper.registry.queries import Statements, flag
from workspace_reaper.registry.sqlite.connection import raw, schema_version, transaction

# The number of rows that are read in one transaction. A commit may have to wait for it, about a millisecond.
_CHUNK = 2_000

_FIRST = -(2**63)


class ContentReplaced(Exception):
    """An error for content that was replaced between two chunks, so that the rows may have other numbers."""


@dataclass(frozen=True, slots=True)
class Scan:
    """The statements of a scan as SQL for sqlite3 itself, for one version of the schema.

    ``paged`` is False where rows have no numbers by which to continue: then the first chunk holds all rows. ``id_text``
    converts the value of an id column to the canonical id.
    """

    version: int
    chunk: str
    oldest: str
    paged: bool
    id_text: Callable[[Any], str]

    @classmethod
    def prepare(cls, connection: Connection, read: Statements, table: str) -> Scan:
        """Compile the statements for this database; ``table`` is the name of the schema's first table."""
        paged = read.by_rowid and _is_table(raw(connection), table)
        row: ColumnElement[Any] = literal_column("rowid" if paged else "NULL")
        chunk = cast("Select[Any]", read.workspace_list).add_columns(row)
        if paged:
            chunk = chunk.where(row > literal_column(":after")).order_by(row).limit(_CHUNK)
        dialect = connection.dialect
        id_text = read.columns.id.type.dialect_impl(dialect).result_processor(dialect, None)

        def sql(statement: Executable) -> str:
            return str(cast("Select[Any]", statement).compile(dialect=dialect, compile_kwargs={"literal_binds": True}))

        return cls(
            version=schema_version(raw(connection)),
            chunk=sql(chunk),
            oldest=sql(read.oldest),
            paged=paged,
            id_text=cast("Callable[[Any], str]", id_text or _unchanged),
        )


def read_rows(connection: sqlite3.Connection, scan: Scan, closed: Callable[[], bool]) -> tuple[dict[str, None], set[str]]:
    """Return the ids of all workspaces, in the order of their rows, and those of the archived ones.

    ``closed`` is called between two chunks: it pauses for the host's busy handler, and returns True to end the scan. Raises
    ``ContentReplaced``, ``DatabaseNotFound`` after ``closed``, and ``WrongValue``.
    """
    ids: dict[str, None] = {}
    archived: set[str] = set()
    after = _FIRST
    while True:
        with transaction(connection):
            if schema_version(connection) != scan.version:
                raise ContentReplaced
            rows = connection.execute(scan.chunk, {"after": after}).fetchall()
        for value, is_archived, _ in rows:
            workspace_id = scan.id_text(value)
            ids[workspace_id] = None
            # Compared with 0 only to save the call: any value but 0, 1 and NULL is an error.
            if is_archived != 0 and flag(is_archived, "archived", workspace_id):
                archived.add(workspace_id)
        if len(rows) < _CHUNK or not scan.paged:
            return ids, archived
        after = rows[-1][2]
        if closed():
            raise DatabaseNotFound("is not read any more: the watcher was closed")


def _is_table(connection: sqlite3.Connection, name: str) -> bool:
    """Return whether this is a table and not a view. In some versions of SQLite each row of a view has the number NULL."""
    query = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ? COLLATE NOCASE"
    return connection.execute(query, (name,)).fetchone() is not None


def _unchanged(value: Any) -> Any:
    return value
