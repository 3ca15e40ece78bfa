"""The host's workspaces, read-only: which registries are installed, and how one is opened.

A registry is an instance of `Schema` behind an entry point of the group ``workspace_reaper.registries``. Importing this
package, loading a schema and ``open_registry`` import no database library; the first look-up does.
"""

from __future__ import annotations

import difflib
import glob
import os
from collections.abc import Callable, Collection, Mapping
from functools import cache, cached_property
from importlib.metadata import Distribution, EntryPoint, PackageNotFoundError, distribution, distributions
from typing import TYPE_CHECKING, cast

from workspace_reaper.model.errors import ConfigurationError
from workspace_reaper.model.ports import ChangeWatcher, Registry
from workspace_reaper.model.unknown import Unknown
from workspace_reaper.model.workspace import HostFiles, HostTable, LookupResult
from workspace_reaper.registry.schema import Home, Schema, WorkspaceColumns

if TYPE_CHECKING:
    from workspace_reaper.registry.base import DatabaseRegistry
    from workspace_reaper.registry.files.registry import FilesRegistry
    from workspace_reaper.registry.postgres import PostgresRegistry
    from workspace_reaper.registry.schema_check import SchemaFinding
    from workspace_reaper.registry.schemas.files import FilesSchema

__all__ = [
    "Home",
    "LazyRegistry",
    "Schema",
    "WorkspaceColumns",
    "load_schema",
    "open_registry",
    "open_watcher",
    "registry_names",
]

_GROUP = "workspace_reaper.registries"

# The registries that are described in the configuration, and so have no entry points.
_TABLE = "table"
_FILES = "files"

# Seconds that a look-up waits for a lock before the registry is Unknown.
_BUSY_LIMIT = 1.0


def registry_names() -> list[str]:
    """Return the names of the installed registries, without ``table`` and ``files``."""
    return sorted({point.name for point in _installed()})


def load_schema(name: str, table: HostTable | None = None, files: HostFiles | None = None) -> Schema:
    """Return the schema of the registry with that name.

    Args:
        name: The name of an entry point, ``table`` or ``files``.
        table: The table that the configuration describes, for the registry ``table``.
        files: The files that the configuration describes, for the registry ``files``.

    Raises:
        ConfigurationError: No such registry is installed, or it cannot be loaded. The field is ``registry``, ``table`` or
            ``files``.
    """
    if name == _TABLE:
        from workspace_reaper.registry.schemas.table import TableSchema

        if table is None:
            raise ConfigurationError('table: not set, but registry = "table" needs it: describe the table in a section [table]')
        return TableSchema(table)
    if name == _FILES:
        from workspace_reaper.registry.schemas.files import FilesSchema

        if files is None:
            raise ConfigurationError('files: not set, but registry = "files" needs it: describe the files in a section [files]')
        return FilesSchema(files)
    schema = _load(_entry_point(name))
    if not isinstance(schema, Schema):
        raise ConfigurationError(
            f"registry: {name!r} is of type {type(schema).__name__!r}, not a workspace_reaper.registry.Schema: "
            f"fix its entry point in the group {_GROUP}"
        )
    return schema


class LazyRegistry(Registry):
    """A registry that imports its database library at the first look-up: ``status`` and ``history`` need only its name.

    Attributes:
        records: The absolute paths of its files, in which wildcards stand for names; none for a server.
    """

    def __init__(
        self, schema: Schema, location: str, load: Callable[[], DatabaseRegistry], records: tuple[str, ...] = ()
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
        self,
        ids: Collection[str],
        sentinels: Collection[str],
        *,
        every_spelling: bool = False,
        sessions: Collection[str] = (),
    ) -> LookupResult | Unknown:
        return self.database.look_up(ids, sentinels, every_spelling=every_spelling, sessions=sessions)

    def worktrees(self) -> frozenset[str] | Unknown:
        return self.database.worktrees()

    def examine(self) -> tuple[SchemaFinding, ...]:
        """Return what is wrong with the live database: see ``DatabaseRegistry``."""
        return self.database.examine()

    @cached_property
    def database(self) -> DatabaseRegistry:
        """The registry itself. Nothing is opened yet."""
        return self._load()


def open_registry(
    schema: Schema, database_url: str | None, environ: Mapping[str, str], *, busy_limit: float = _BUSY_LIMIT
) -> LazyRegistry:
    """Return the registry of that schema. Nothing is opened yet: an unreadable database is Unknown at the first look-up.

    Args:
        schema: How the database is read.
        database_url: Where the database is. None: the schema's default. The registry ``files`` has none.
        environ: The environment from which the schema takes its default, and the variables in ``files.paths``.
        busy_limit: Seconds that a look-up waits for a lock.

    Raises:
        ConfigurationError: ``database_url`` names neither an SQLite file nor a PostgreSQL database, or there is no default; or
            ``files.paths`` cannot be expanded.
    """
    if schema.name == _FILES:
        return _open_files(cast("FilesSchema", schema), environ)
    from workspace_reaper.registry.location import is_server, path_of

    url = database_url if database_url is not None else schema.default_database(environ)
    if is_server(url):
        from workspace_reaper.registry.postgres import ConnectionLimits, PostgresRegistry, server_of

        server = PostgresRegistry(schema, server_of(url), ConnectionLimits(lock=busy_limit))
        return LazyRegistry(schema, server.location, lambda: server)
    path = path_of(url)

    def load() -> DatabaseRegistry:
        from workspace_reaper.registry.sqlite.registry import SqliteRegistry

        return SqliteRegistry(schema, path, busy_limit=busy_limit)

    return LazyRegistry(schema, path, load, (glob.escape(os.path.realpath(path)),))


def _open_files(schema: FilesSchema, environ: Mapping[str, str]) -> LazyRegistry:
    from workspace_reaper.registry.files.patterns import expanded, record_patterns, shown

    patterns = expanded(schema.files.paths, environ)

    def load() -> DatabaseRegistry:
        from workspace_reaper.registry.files.registry import FilesRegistry

        return FilesRegistry(schema, patterns)

    return LazyRegistry(schema, shown(patterns), load, record_patterns(patterns))


def open_watcher(
    schema: Schema, database_url: str | None, environ: Mapping[str, str], *, busy_limit: float = _BUSY_LIMIT
) -> ChangeWatcher:
    """Return a watcher of the database or the files. The arguments and errors are those of `open_registry`."""
    database = open_registry(schema, database_url, environ, busy_limit=busy_limit).database
    if schema.name == _FILES:
        from workspace_reaper.registry.files.watch import FilesWatcher

        return FilesWatcher(cast("FilesRegistry", database))
    from workspace_reaper.registry.sqlite.registry import SqliteRegistry

    if isinstance(database, SqliteRegistry):
        from workspace_reaper.registry.sqlite.watch import SqliteWatcher

        return SqliteWatcher(database)
    from workspace_reaper.registry.postgres.watch import PostgresWatcher

    return PostgresWatcher(cast("PostgresRegistry", database))


def _entry_point(name: str) -> EntryPoint:
    """Return the entry point of that name. Ours come first: no other package can replace them, or slow down their look-up."""
    if own := next((point for point in _own() if point.name == name), None):
        return own
    matching = {point.value: point for point in _installed() if point.name == name}
    if len(matching) == 1:
        return matching.popitem()[1]
    if matching:
        values = ", ".join(sorted(matching))
        raise ConfigurationError(f"registry: several installed packages name {name!r} ({values}): uninstall all but one")
    known = sorted({_TABLE, _FILES, *registry_names()})
    near = difflib.get_close_matches(name, known, n=1)
    advice = f"Did you mean {near[0]!r}? Otherwise" if near else "Correct the name, or"
    raise ConfigurationError(
        f"registry: unknown registry {name!r}; installed are: {', '.join(known)}. {advice} install the package that has it "
        f"as an entry point of the group {_GROUP}"
    )


@cache
def _own() -> tuple[EntryPoint, ...]:
    """Return the registries of this distribution. They do not change while the process runs."""
    try:
        return tuple(_registries_of(distribution("workspace-reaper")))
    except PackageNotFoundError:  # a source tree that was not installed
        return ()


def _installed() -> list[EntryPoint]:
    return [point for one in distributions() for point in _registries_of(one)]


def _registries_of(one: Distribution) -> list[EntryPoint]:
    """Return the registries of a distribution: none if its entry points cannot be read.

    ``importlib.metadata.entry_points()`` raises for all distributions if one is malformed.
    """
    try:
        return [point for point in one.entry_points if point.group == _GROUP]
    except Exception:  # noqa: BLE001  a malformed file of another package; WorkspacePlugins.load logs it
        return []


def _load(point: EntryPoint) -> object:
    try:
        return point.load()
    except Exception as error:  # another package's module may raise anything while it is imported
        raise ConfigurationError(
            f"registry: {point.name!r} ({point.value}) cannot be loaded: {type(error).__name__}: {error}. "
            "Fix or uninstall the package that it belongs to"
        ) from error
