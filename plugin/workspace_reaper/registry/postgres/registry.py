"""The registry over a PostgreSQL database: one connection and one read-only transaction for each look-up."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from sqlalchemy import create_engine, event
from sqlalchemy.engine import Connection
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from workspace_reaper.model.unknown import Unknown
from workspace_reaper.model.workspace import LookupResult, RegistryIdentity
from workspace_reaper.registry.base import DatabaseRegistry, try_some_rows
from workspace_reaper.registry.id_types import WrongValue
from workspace_reaper.registry.postgres.catalog import columns_of, fitted, has_index, identity_of, table_names
from workspace_reaper.registry.postgres.connection import ConnectionLimits, Lifeline, ServerAddress
from workspace_reaper.registry.postgres.errors import ConnectionEnded, in_words
from workspace_reaper.registry.queries import Statements, fetch, statements
from workspace_reaper.registry.schema import Schema
from workspace_reaper.registry.schema_check import SchemaFinding, SchemaMismatch, absent_columns, no_index, probed

T = TypeVar("T")

_LIFELINE = "lifeline"


class PostgresRegistry(DatabaseRegistry):
    """The registry over one database of a server."""

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
        # Before all others, so that what SQLAlchemy asks of a new connection is bounded too.
        event.listen(self._engine, "connect", self._bound, insert=True)

    @property
    def location(self) -> str:
        """A URL without user and password."""
        return self._server.location

    @property
    def server(self) -> ServerAddress:
        """Where it reads."""
        return self._server

    @contextmanager
    def session(self) -> Iterator[Connection]:
        """A connection, in the read-only transaction that begins with the first statement and ends with the block. Raises
        SQLAlchemy's errors, and ``ConnectionEnded``."""
        with self._engine.connect() as connection:
            lifeline: Lifeline = connection.info[_LIFELINE]
            try:
                yield connection
            except SQLAlchemyError as error:
                if lifeline.is_cut:
                    raise self.stood_still() from error
                raise
            finally:
                lifeline.close()

    def stood_still(self) -> ConnectionEnded:
        """Why its lifeline was cut."""
        return ConnectionEnded(f"stood still for {self._limits.whole:g} s: look at the server, and at the way to it")

    def keep_open(self) -> tuple[Connection, Lifeline]:
        """A connection for a caller who closes both, and lets go of the lifeline while it waits for nothing."""
        connection = self._engine.connect()
        return connection, connection.info[_LIFELINE]

    def place_in(self, connection: Connection) -> str:
        """The very database at the other end. ``ConnectionEnded`` if it is not the one that is written to."""
        return f"{self.location} ({identity_of(connection)})"

    def statements_in(self, connection: Connection) -> Statements:
        """The statements for this database as it is now; ``SchemaMismatch`` if it is not one of this schema."""
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

    def or_unknown(self, work: Callable[[], T]) -> T | Unknown:
        try:
            return work()
        except (SchemaMismatch, WrongValue) as error:
            return self._unknown(self._words(error))
        except (SQLAlchemyError, ConnectionEnded) as error:
            return self._unknown(in_words(error, self._server, self._limits))

    def _read(self, ids: Collection[str], sentinels: Collection[str]) -> LookupResult:
        # No text of PostgreSQL's holds a NUL, and asking for one is an error.
        possible = [text for text in self._possible(ids, sentinels) if "\0" not in text]
        with self.session() as connection:
            place = self.place_in(connection)
            fetched = fetch(connection, self.statements_in(connection), [possible] if possible else [])
        return fetched.rows_of(RegistryIdentity(place, self._schema.identity), ids, sentinels)

    def _examined(self) -> tuple[SchemaFinding, ...]:
        with self.session() as connection:
            self.place_in(connection)
            read = self.statements_in(connection)
            fetch(connection, read, [])
            try_some_rows(connection, read)
            facts, table = self._schema.facts(frozenset()), self._schema.tables[0]
            if facts.unique and not has_index(connection, table, str(facts.id.key)):
                return (no_index(table.fullname, str(facts.id.key)),)
        return ()
