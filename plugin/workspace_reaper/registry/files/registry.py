"""A host's workspaces in files: read for one look-up, loaded into memory, and looked up there."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import create_engine
from sqlalchemy.engine import Connection
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from workspace_reaper.model.workspace import LookupResult, RegistryIdentity
from workspace_reaper.registry.base import DatabaseRegistry
from workspace_reaper.registry.files.documents import Record, RecordFiles
from workspace_reaper.registry.files.errors import UnreadableFiles
from workspace_reaper.registry.files.items import load, open_memory
from workspace_reaper.registry.files.keys import missing_keys
from workspace_reaper.registry.files.patterns import FilePattern, shown
from workspace_reaper.registry.queries import Statements, fetch
from workspace_reaper.registry.rows import Asked
from workspace_reaper.registry.schema_check import SchemaFinding
from workspace_reaper.registry.schemas.files import FilesSchema
from workspace_reaper.registry.sqlite.connection import raw
from workspace_reaper.registry.sqlite.registry import CHUNK, StatementCache, statements_of


class FilesRegistry(DatabaseRegistry):
    """The registry over files.

    Args:
        schema: How the files are read.
        patterns: Their paths.
    """

    _errors = (UnreadableFiles, SQLAlchemyError, sqlite3.Error)

    def __init__(self, schema: FilesSchema, patterns: Sequence[FilePattern]) -> None:
        super().__init__(schema)
        self._described = schema.files
        self._location = shown(patterns)
        self._cache: StatementCache = {}
        self._engine = create_engine("sqlite://", creator=open_memory, poolclass=NullPool)
        self.files = RecordFiles(patterns)

    @property
    def location(self) -> str:
        """The configured paths, expanded."""
        return self._location

    def statements_in(self, connection: Connection) -> Statements:
        return statements_of(self._schema, connection, self._cache)

    def identity_of(self, record: Record) -> RegistryIdentity:
        """Return what identifies the content, without sentinels."""
        return RegistryIdentity(record.location, self._schema.identity, None, record.change_counter)

    @contextmanager
    def loaded(self) -> Iterator[tuple[Connection, Record]]:
        """Read the files, and open a connection to what they contain, for one block."""
        record = self.files.read()
        with self._engine.connect() as connection:
            load(raw(connection), record.documents, self._described)
            yield connection, record

    @contextmanager
    def session(self) -> Iterator[tuple[Connection, str]]:
        with self.loaded() as (connection, record):
            yield connection, record.location

    def _in_words(self, error: Exception) -> str:
        return str(error) if isinstance(error, UnreadableFiles) else f"{self._location} cannot be evaluated: {error}."

    def _read(self, asked: Asked) -> LookupResult:
        with self.loaded() as (connection, record):
            fetched = fetch(connection, self.statements_in(connection), asked, self._is_id, CHUNK)
        return fetched.rows_of(self.identity_of(record))

    def _has_index(self, connection: Connection, read: Statements) -> bool:
        del connection, read
        return True

    def _examined(self) -> tuple[SchemaFinding, ...]:
        found = super()._examined()
        with self.loaded() as (connection, _):
            return (*found, *missing_keys(raw(connection), self._described))
