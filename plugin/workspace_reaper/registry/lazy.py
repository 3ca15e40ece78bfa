"""A registry that is not opened until it is asked for rows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from workspace_reaper.model.ports import ChangeWatcher, Registry
from workspace_reaper.model.unknown import Unknown
from workspace_reaper.model.workspace import LookupResult

if TYPE_CHECKING:
    from workspace_reaper.registry.file_patterns import FilePattern
    from workspace_reaper.registry.schema import Schema
    from workspace_reaper.registry.schema_check import SchemaFinding


class OpenedRegistry(Registry, Protocol):
    """A registry of this package, for which its libraries are loaded. It holds no connection."""

    def examine(self) -> tuple[SchemaFinding, ...]:
        """Return the first problem of the live record that is fatal, or all problems that only cost time."""

    def watcher(self) -> ChangeWatcher:
        """Return a watcher of the record."""


class LazyRegistry(Registry):
    """A registry that imports its database library at the first look-up: ``status`` and ``history`` need only its name.

    Attributes:
        records: The absolute paths of its files, in which wildcards stand for names; none for a server.
    """

    def __init__(
        self, schema: Schema, location: str, load: Callable[[], OpenedRegistry], records: tuple[str, ...] = ()
    ) -> None:
        self._schema = schema
        self._location = location
        self._load = load
        self.records = records

    @property
    def name(self) -> str:
        return self._schema.name

    @property
    def location(self) -> str:
        return self._location

    def canonical(self, text: str) -> str | None:
        return self._schema.canonical(text)

    def look_up(
        self, ids: Collection[str], sentinels: Collection[str], *, every_spelling: bool = False
    ) -> LookupResult | Unknown:
        return self.database.look_up(ids, sentinels, every_spelling=every_spelling)

    def worktrees(self) -> frozenset[str] | Unknown:
        return self.database.worktrees()

    def examine(self) -> tuple[SchemaFinding, ...]:
        """Return what is wrong with the live database: see ``DatabaseRegistry``."""
        return self.database.examine()

    def watcher(self) -> ChangeWatcher:
        """Return a watcher of the database or the files."""
        return self.database.watcher()

    @cached_property
    def database(self) -> OpenedRegistry:
        """The registry itself. Nothing is opened yet."""
        return self._load()


def open_database(schema: Schema, database_url: str, environ: Mapping[str, str], *, busy_limit: float) -> LazyRegistry:
    """Return the registry over the database that the URL names, or over the files that a path with wildcards matches.

    Raises:
        ConfigurationError: The URL names no database.
    """
    from workspace_reaper.registry.location import is_server, pattern_in

    if is_server(database_url):
        from workspace_reaper.registry.postgres import ConnectionLimits, PostgresRegistry, server_of

        server = PostgresRegistry(schema, server_of(database_url), ConnectionLimits(lock=busy_limit))
        return LazyRegistry(schema, server.location, lambda: server)
    return open_files(schema, pattern_in(database_url, environ), busy_limit=busy_limit)


def open_files(schema: Schema, pattern: FilePattern, *, busy_limit: float) -> LazyRegistry:
    """Return the registry over the SQLite files that match the pattern."""
    from workspace_reaper.registry.file_patterns import record_patterns

    def load() -> OpenedRegistry:
        if not pattern.is_one_file:
            from workspace_reaper.registry.sqlite.several import SeveralDatabases

            return SeveralDatabases(schema, pattern, busy_limit=busy_limit)
        from workspace_reaper.registry.sqlite.registry import SqliteRegistry

        return SqliteRegistry(schema, pattern.path, busy_limit=busy_limit)

    return LazyRegistry(schema, pattern.shown, load, record_patterns([pattern]))
