"""Reads all workspaces of an SQLite file, a few thousand rows at a time, so that a commit never waits for long."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import ColumnElement, Executable, Select, literal_column
from sqlalchemy.engine import Connection

from workspace_reaper.registry.id_types import OddId
from workspace_reaper.registry.location import DatabaseNotFound
from workspace_reaper.registry.queries import Statements
from workspace_reaper.registry.rows import ListedWorkspaces
from workspace_reaper.registry.schema import WorkspaceColumns
from workspace_reaper.registry.sqlite.connection import is_table, raw, schema_version, transaction

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
    id_text: Callable[[Any], str | OddId]
    columns: WorkspaceColumns

    @classmethod
    def prepare(cls, connection: Connection, read: Statements, table: str) -> Scan:
        """Compile the statements for this database; ``table`` is the name of the schema's first table."""
        paged = read.by_rowid and is_table(raw(connection), table)
        row: ColumnElement[Any] = literal_column("rowid" if paged else "0")
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
            id_text=cast("Callable[[Any], str | OddId]", id_text or _unchanged),
            columns=read.columns,
        )


def read_rows(connection: sqlite3.Connection, scan: Scan, closed: Callable[[], bool]) -> tuple[dict[str, int], frozenset[str]]:
    """Return the ids of all workspaces with the numbers of their rows, in that order, and the ids of the archived ones.

    ``closed`` is called between two chunks: it pauses for the host's busy handler, and returns True to end the scan. Raises
    ``ContentReplaced``, and ``DatabaseNotFound`` after ``closed``.
    """
    listed = ListedWorkspaces(scan.columns)
    after = _FIRST
    while True:
        with transaction(connection):
            if schema_version(connection) != scan.version:
                raise ContentReplaced
            rows = connection.execute(scan.chunk, {"after": after}).fetchall()
        for value, is_archived, number in rows:
            listed.add(scan.id_text(value), is_archived, number)
        if len(rows) < _CHUNK or not scan.paged:
            return listed.finish()
        after = rows[-1][2]
        if closed():
            raise DatabaseNotFound("is not read any more: the watcher was closed")


def _unchanged(value: Any) -> Any:
    return value
