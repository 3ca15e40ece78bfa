"""A table of any host, described in the configuration alone (`HostTable`)."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from workspace_reaper.model.errors import ConfigurationError
from workspace_reaper.model.workspace import HostTable, IdInSession, IdType
from workspace_reaper.registry.schema import Home, Schema, WorkspaceColumns, plain_text

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Table

    from workspace_reaper.registry.id_types import IdColumn

_NAME = re.compile(r"[^\W\d]\w*")
_QUOTED_NAME = re.compile(r'"((?:[^"]|"")+)"')
_HEX = re.compile(r"[0-9a-f]{32}", re.IGNORECASE)
_HYPHENS = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_NUMBER = re.compile(r"0|-?[1-9][0-9]{0,18}")
_LARGEST = 1 << 63
_EXPRESSIONS = ("archived", "deleted", "pinned", "running", "worktree_deleted", "worktree", "where", "session")


class TableSchema(Schema):
    """The schema of one table with a row for each workspace. Sockets, patterns and database have no default."""

    name = "table"

    def __init__(self, described: HostTable) -> None:
        self._described = described
        # SQLite assigns the number of the last row again once that is deleted, and a host may use a text again.
        self.reuses_ids = described.id_type in ("integer", "text")
        self.removes_worktree = described.removes_worktree
        self.records_sessions = described.session is not None
        self._canonical = _canonical(described.id_type, described.id_in_session)

    @cached_property
    def _table(self) -> Table:
        from sqlalchemy import Column, MetaData, String, Table
        from sqlalchemy.sql.elements import quoted_name

        described = self._described
        schema, _, name = described.name.rpartition(".")
        ids = [column for column in [_column_in(described.id)] if column is not None]
        expressions = (getattr(described, field) for field in _EXPRESSIONS)
        named = {column for text in expressions if text and (column := _column_in(text))}
        return Table(
            quoted_name(name, quote=True),
            MetaData(),
            *(Column(quoted_name(text, quote=True), self._id_type()) for text in ids),
            *(Column(quoted_name(text, quote=True), String()) for text in sorted(named.difference(ids))),
            schema=quoted_name(schema, quote=True) if schema else None,
        )

    @property
    def identity(self) -> str:
        """The table, its id and the condition: another table in the same database is another registry."""
        where = "" if self._described.where is None else f" where {self._described.where}"
        return f"table {self._described.name}, {self._described.id_type} {self._described.id}{where}"

    @property
    def remedy(self) -> str:
        """The advice for a table that does not fit its description."""
        return "fix [table] in the configuration, or database_url"

    @property
    def tables(self) -> Sequence[Table]:
        return (self._table,)

    def facts(self, absent: frozenset[str]) -> WorkspaceColumns:
        expressions: dict[str, Any] = {field: self._expression(field) for field in _EXPRESSIONS}
        return WorkspaceColumns(self._id(), source=self._table, any_row=frozenset(self._described.any_row), **expressions)

    def homes(self, environ: Mapping[str, str]) -> tuple[Home, ...]:
        return ()

    def default_database(self, environ: Mapping[str, str]) -> str:
        raise ConfigurationError('database_url: not set, and registry = "table" has no database of its own. Set database_url.')

    def canonical(self, text: str) -> str | None:
        """Return the id as decimal, as a lower-case UUID with hyphens, or as the text itself, depending on ``id_type``."""
        return self._canonical(text)

    def _id(self) -> ColumnElement[Any]:
        from sqlalchemy import literal_column

        text, column = self._described.id, _column_in(self._described.id)
        return literal_column(f"({text})", self._id_type()) if column is None else self._table.c[column]

    def _id_type(self) -> IdColumn:
        from workspace_reaper.registry import id_types

        types: dict[IdType, type[IdColumn]] = {
            "text": id_types.TextId,
            "uuid": id_types.UuidText,
            "uuid-hex": id_types.UuidHex,
            "uuid-blob": id_types.UuidBlob,
            "integer": id_types.WholeNumber,
        }
        return types[self._described.id_type]()

    def _expression(self, field: str) -> ColumnElement[Any] | None:
        text = getattr(self._described, field)
        if text is None:
            return None
        from sqlalchemy import literal_column

        column = _column_in(text)
        return literal_column(f"({text})") if column is None else self._table.c[column]


def _column_in(text: str) -> str | None:
    """Return the column that a key names, plainly or in double quotes; None if the key is an expression."""
    if _NAME.fullmatch(text):
        return text
    quoted = _QUOTED_NAME.fullmatch(text)
    return quoted[1].replace('""', '"') if quoted else None


def _canonical(id_type: IdType, in_session: IdInSession) -> Callable[[str], str | None]:
    if id_type == "text":
        return plain_text
    if id_type == "integer":
        return _whole_number
    return _uuid_of_digits if in_session == "hex" else _uuid


def _uuid(text: str) -> str | None:
    return text.lower() if _HYPHENS.fullmatch(text) else None


def _uuid_of_digits(text: str) -> str | None:
    """Return the UUID with hyphens. The text may have hyphens too: hooks use the canonical id."""
    return str(uuid.UUID(text)) if _HEX.fullmatch(text) else _uuid(text)


def _whole_number(text: str) -> str | None:
    """Return a number as a database prints it: no sign for zero, no leading zeros, at most 64 bits."""
    return text if _NUMBER.fullmatch(text) and -_LARGEST <= int(text) < _LARGEST else None
