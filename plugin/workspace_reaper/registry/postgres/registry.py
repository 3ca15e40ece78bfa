"""The registry over a PostgreSQL database: one connection and one read-only transaction for each look-up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import create_engine, event
from sqlalchemy.engine import Connection
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from workspace_reaper.model.workspace import LookupResult, RegistryIdentity
from workspace_reaper.registry.base import DatabaseRegistry
from workspace_reaper.registry.postgres.catalog import (
    columns_of,
    epoch_of,
    fitted,
    has_index,
    identity_of,
    snapshot_of,
    table_names,
)
from workspace_reaper.registry.postgres.connection import ConnectionLimits, Lifeline, ServerAddress
from workspace_reaper.registry.postgres.errors import ConnectionEnded, in_words
from workspace_reaper.registry.postgres.protection import protect
from workspace_reaper.registry.queries import Statements, fetch, statements
from workspace_reaper.registry.rows import Asked
from workspace_reaper.registry.schema import Schema
from workspace_reaper.registry.schema_check import absent_columns, is_literal, probed

_LIFELINE = "lifeline"


class PostgresRegistry(DatabaseRegistry):
    """The registry over one database of a server."""

    _errors = (SQLAlchemyError, ConnectionEnded)

    def __init__(self, schema: Schema, server: ServerAddress, limits: ConnectionLimits) -> None:
        super().__init__(schema)
        self._server = server
        self._limits = limits
        self._cache: dict[tuple[frozenset[str], tuple[int, ...]], Statements] = {}
        self._engine = create_engine(
            "postgresql+psycopg://",
            creator=lambda: server.connect(limits),
            poolclass=NullPool,
            use_native_hstore=False,
        )
        # Inserted before all other listeners: the statements that SQLAlchemy runs on a new connection are bounded too.
        event.listen(self._engine, "connect", self._bound, insert=True)
        event.listen(self._engine, "begin", lambda connection: protect(connection, limits))

    @property
    def location(self) -> str:
        """The URL for display, without user and password."""
        return self._server.location

    @contextmanager
    def session(self) -> Iterator[tuple[Connection, str]]:
        """Open a connection. The read-only transaction begins with the first statement and ends with the block."""
        with self._engine.connect() as connection:
            lifeline: Lifeline = connection.info[_LIFELINE]
            try:
                yield connection, self.place_in(connection)
            except SQLAlchemyError as error:
                if lifeline.is_cut:
                    raise self.stood_still() from error
                raise
            finally:
                lifeline.close()

    def stood_still(self) -> ConnectionEnded:
        """Return the error for a connection whose lifeline was cut."""
        return ConnectionEnded(f"did not answer for {self._limits.whole:g} s: check the server and the network to it")

    def keep_open(self) -> tuple[Connection, Lifeline]:
        """Open a connection. The caller closes both, and releases the lifeline while no statement runs."""
        connection = self._engine.connect()
        return connection, connection.info[_LIFELINE]

    def place_in(self, connection: Connection) -> str:
        """Return the location and identity of the connected database. Raises ``ConnectionEnded`` for a standby."""
        return f"{self.location} ({identity_of(connection)})"

    def identity_in(self, connection: Connection, place: str) -> RegistryIdentity:
        """Return what identifies the content, without sentinels. The connection is in a transaction."""
        counter = int(snapshot_of(connection).split(":")[1])
        return RegistryIdentity(place, self._schema.identity, epoch_of(connection, self._schema.tables), counter)

    def statements_in(self, connection: Connection) -> Statements:
        absent = absent_columns(self._schema, columns_of(connection, self._schema.tables), lambda: table_names(connection))
        facts = self._schema.facts(absent)
        described = probed(connection, facts, statements(facts, by_rowid=False).probe)
        types = tuple(column.type_code for column in described)
        read = self._cache.get((absent, types))
        if read is None:
            read = self._cache[absent, types] = statements(fitted(facts, types), by_rowid=False, arrays=True)
        return read

    def _bound(self, raw: Any, record: Any) -> None:
        record.info[_LIFELINE] = Lifeline(raw.fileno(), self._limits.whole)

    def _in_words(self, error: Exception) -> str:
        return in_words(error, self._server, self._limits)

    def _is_id(self, text: str) -> bool:
        # A text in PostgreSQL cannot contain NUL, and a query with one is an error.
        return "\0" not in text and super()._is_id(text)

    def _read(self, asked: Asked) -> LookupResult:
        with self.session() as (connection, place):
            fetched = fetch(connection, self.statements_in(connection), asked, self._is_id)
            found = self.identity_in(connection, place)
        return fetched.rows_of(found)

    def _has_index(self, connection: Connection, read: Statements) -> bool:
        del read  # the catalogue is enough
        column = self._schema.facts(frozenset()).id
        # That an expression has one shows only in the plan for a large table.
        return is_literal(column) or has_index(connection, self._schema.tables[0], str(column.key))
