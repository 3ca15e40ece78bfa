"""A host's workspaces in an SQLite file: opened read-only for one look-up, read in one transaction, closed."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Collection, Iterable
from itertools import islice
from typing import Any
from urllib.parse import quote

from sqlalchemy import create_engine
from sqlalchemy.engine import Connection, Row
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from workspace_reaper.model import Rows, Source, Unknown
from workspace_reaper.registry.columns import WrongValue
from workspace_reaper.registry.place import Misplaced, identity
from workspace_reaper.registry.queries import OLDEST, TOTAL_BOUND, Statements, statements, workspace
from workspace_reaper.registry.schema import Schema
from workspace_reaper.registry.wording import Unfit, in_words

__all__ = ["SqliteRegistry"]

_CHUNK = 30_000 if sqlite3.sqlite_version_info >= (3, 32) else 900
"""Ids in one statement. SQLite takes 32,766 variables in one, and 999 before 3.32."""


class SqliteRegistry:
    """The port ``Registry`` over one file. It holds no connection, so it may be used from any thread and after a fork."""

    def __init__(self, schema: Schema, path: str, *, busy_limit: float) -> None:
        """``path`` is absolute; ``busy_limit`` is in seconds."""
        self._schema = schema
        self._path = path
        self._busy_limit = busy_limit
        self._statements: dict[frozenset[str], Statements] = {}
        # As a URL, a path with "?", "#" or "%" would open, and make, another file.
        self._engine = create_engine("sqlite://", creator=self._open, poolclass=NullPool)

    @property
    def name(self) -> str:
        """The schema's name."""
        return self._schema.name

    @property
    def location(self) -> str:
        """The absolute path, as configured: symbolic links are not followed."""
        return self._path

    def canonical(self, text: str) -> str | None:
        """The canonical workspace id, or None if this can't be one."""
        return self._schema.canonical(text)

    def look_up(self, ids: Collection[str], anchors: Collection[str]) -> Rows | Unknown:
        """Read the ids and the anchors. Whatever keeps it from that is Unknown, and says what to do; nothing is raised."""
        try:
            return self._read(ids, anchors)
        except (SQLAlchemyError, sqlite3.Error, UnicodeDecodeError, Misplaced, Unfit, WrongValue) as error:
            # UnicodeDecodeError: a garbled schema, quoted in SQLite's own message.
            return Unknown(Source.REGISTRY, in_words(error, self._path, self._schema.name, self._busy_limit))

    def _open(self) -> sqlite3.Connection:
        # isolation_level None: BEGIN is ours, or each statement would read in a transaction of its own.
        uri = f"file://{quote(os.fsencode(self._path))}?mode=ro"
        return sqlite3.connect(uri, uri=True, timeout=self._busy_limit, isolation_level=None)

    def _read(self, ids: Collection[str], anchors: Collection[str]) -> Rows:
        place = identity(self._path)
        possible = {text for text in {*ids, *anchors} if self._schema.canonical(text) == text}
        # In journal_mode=DELETE a reader's transaction keeps the host from committing. Leaving this block ends it.
        with self._engine.connect() as connection:
            connection.exec_driver_sql("BEGIN")
            read = self._statements_for(connection)
            matching = _by_ids(connection, read, possible)
            oldest = dict.fromkeys(connection.execute(read.oldest).scalars())
            total, rows = connection.execute(read.total).one()
        known = {row[0]: workspace(row) for row in matching}
        if identity(self._path) != place:
            raise Misplaced("was replaced by another file while it was read: the next look-up reads the new one")
        return Rows(
            found={asked: known[asked] for asked in ids if asked in known},
            place=place,
            schema=self._schema.name,
            total=min(total, TOTAL_BOUND),
            capped=rows > TOTAL_BOUND,
            oldest=tuple(islice(oldest, OLDEST)),
            anchors=frozenset(anchors) & known.keys(),
        )

    def _statements_for(self, connection: Connection) -> Statements:
        absent = _absent(connection, self._schema)
        if absent not in self._statements:
            self._statements[absent] = statements(self._schema.facts(absent))
        return self._statements[absent]


def _absent(connection: Connection, schema: Schema) -> frozenset[str]:
    """The optional columns that this database lacks; ``Unfit`` if it lacks any other."""
    missing: set[str] = set()
    for table in schema.tables:
        there = set(connection.exec_driver_sql("SELECT name FROM pragma_table_info(?)", (table.name,)).scalars())
        if not there:
            raise Unfit(f"has no table {table.name!r}")
        missing |= {f"{table.name}.{column}" for column in table.columns.keys() if column not in there}  # noqa: SIM118
    if needed := sorted(missing - schema.optional):
        raise Unfit(f"lacks {', '.join(needed)}")
    return frozenset(missing)


def _by_ids(connection: Connection, read: Statements, ids: Iterable[str]) -> list[Row[Any]]:
    remaining = iter(ids)
    rows: list[Row[Any]] = []
    while chunk := list(islice(remaining, _CHUNK)):
        rows += connection.execute(read.by_ids, {"ids": chunk}).all()
    return rows
