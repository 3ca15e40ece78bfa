"""Loads documents into an SQLite database in memory: a view ``items`` with a row for each workspace."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable
from functools import partial

from workspace_reaper.model.workspace import HostFiles
from workspace_reaper.registry.files.documents import Document
from workspace_reaper.registry.files.errors import UnreadableFiles
from workspace_reaper.registry.schema_check import SchemaMismatch
from workspace_reaper.registry.sqlite.registry import strict_text

# The largest number of workspaces in all files.
MOST_ITEMS = 100_000

# Two paths may lead to one file. Its items count once, unless the path makes other ids of them. A view has no row numbers: the
# place of an item in a file says nothing about its age.
_TABLES = """
    CREATE TABLE loaded (id, key, value, path, stem, file, number, UNIQUE (id, file, number));
    CREATE VIEW items AS SELECT id, key, value, path, stem FROM loaded;
"""

_VALUE = """CASE WHEN type IN ('true', 'false', 'null') THEN type WHEN type = 'text' THEN json_quote(value)
    ELSE CAST(value AS TEXT) END"""

# Paths are passed as bytes, because they may be any bytes.
_EACH = f"""SELECT key, {_VALUE} AS value, CAST(:path AS TEXT) AS path, CAST(:stem AS TEXT) AS stem, id AS _number
    FROM json_each(:json, :items)"""  # no part comes from outside

_WHOLE = "SELECT NULL AS key, :json AS value, CAST(:path AS TEXT) AS path, CAST(:stem AS TEXT) AS stem, 0 AS _number"


def open_memory() -> sqlite3.Connection:
    """Return an empty database in memory. It may be closed by another thread than the one that opened it."""
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    connection.text_factory = partial(str, encoding="utf-8", errors="surrogateescape")
    return connection


def load(connection: sqlite3.Connection, documents: Iterable[Document], described: HostFiles) -> None:
    """Create the view ``items``, and load the workspaces of the documents.

    Raises:
        SchemaMismatch: The id cannot be evaluated, or is NULL for each item of a file that has items.
        UnreadableFiles: A document has neither a list nor a map at the place of the items, or there are too many.
    """
    connection.executescript(f"{_TABLES} BEGIN;")  # without it, each statement would be a transaction
    source = _WHOLE if described.items is None else _EACH
    expression = _checked_id(connection, described.id, source)
    insert = f"""INSERT OR IGNORE INTO loaded
        SELECT {expression}, key, value, path, stem, :file, _number FROM ({source})"""  # the operator's expression
    numbers: dict[tuple[int, int], int] = {}
    for document in documents:
        if described.items is not None:
            _check_items(connection, document, described.items)
        file = numbers.setdefault((document.stamp.device, document.stamp.inode), len(numbers))
        try:
            connection.execute(insert, {**_parameters(document, described.items), "file": file})
        except sqlite3.Error as error:
            raise SchemaMismatch(f"cannot evaluate id for an item of {document.path} ({error})") from error
        if connection.total_changes > MOST_ITEMS:
            raise UnreadableFiles(
                f"{document.path} and the files before it have more than {MOST_ITEMS} items: that is the limit."
            )
    connection.execute("COMMIT")
    without = _file_without_ids(connection, described.where)
    if without is not None:
        raise SchemaMismatch(f"yields no id for any item of {without}: {described.id} is NULL there")


def _file_without_ids(connection: sqlite3.Connection, where: str | None) -> str | None:
    """Return a file that has workspaces, and none with an id."""
    condition = "1" if where is None else f"({strict_text(where)})"
    try:
        found = connection.execute(f"SELECT path FROM loaded WHERE {condition} GROUP BY file HAVING count(id) = 0").fetchone()
    except sqlite3.Error as error:
        raise SchemaMismatch(f"cannot evaluate where ({error})") from error
    return found[0] if found else None


def _parameters(document: Document, items: str | None) -> dict[str, object]:
    stem = os.path.splitext(os.path.basename(document.path))[0]
    return {"path": os.fsencode(document.path), "stem": os.fsencode(stem), "json": document.json, "items": items}


def _checked_id(connection: sqlite3.Connection, expression: str, source: str) -> str:
    """Return the expression in brackets. An aggregate would yield one row, and so one workspace, for each file."""
    text = f"({strict_text(expression)})"
    nothing = dict.fromkeys(("path", "stem", "json", "items"))
    try:
        cursor = connection.execute(f"SELECT {text} FROM ({source}) WHERE 0 = 1", nothing)
        if len(cursor.description) != 1 or cursor.fetchone() is not None:
            raise SchemaMismatch("cannot evaluate id: it does not give one value for each item")
    except sqlite3.Error as error:
        raise SchemaMismatch(f"cannot evaluate id ({error})") from error
    return text


def _check_items(connection: sqlite3.Connection, document: Document, items: str) -> None:
    try:
        (kind,) = connection.execute("SELECT json_type(?, ?)", (document.json, items)).fetchone()
    except sqlite3.Error as error:
        raise SchemaMismatch(f"cannot read items ({error})") from error
    if kind not in ("array", "object"):
        what = "nothing" if kind is None else f"a value of the type {kind}"
        raise UnreadableFiles(
            f"{document.path} has {what} at {items}, not a list or a map: correct files.items, if this lasts."
        )
