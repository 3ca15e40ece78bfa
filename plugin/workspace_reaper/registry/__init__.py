"""The host's workspaces, read-only: which schemas there are, and how one is opened.

A schema is looked up by name: the built-in ones first, then the entry points of the group ``workspace_reaper.registries``,
whose objects are instances of `Schema`. Importing this package, loading a schema and
``open_registry`` import no database library; the first look-up does.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import cached_property
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, cast

from workspace_reaper.model.errors import ConfigurationError
from workspace_reaper.model.ports import ChangeWatcher, Registry
from workspace_reaper.model.unknown import Unknown
from workspace_reaper.model.workspace import HostTable, LookupResult
from workspace_reaper.registry.schema import Home, Schema, WorkspaceColumns

if TYPE_CHECKING:
    from workspace_reaper.registry.base import DatabaseRegistry
    from workspace_reaper.registry.postgres import PostgresRegistry
    from workspace_reaper.registry.schema_check import Finding

__all__ = [
    "BUSY_LIMIT",
    "GROUP",
    "Home",
    "LazyRegistry",
    "Schema",
    "WorkspaceColumns",
    "load_schema",
    "open_registry",
    "open_watcher",
]

GROUP = "workspace_reaper.registries"

BUSY_LIMIT = 1.0
"""Seconds that a look-up waits for a lock before the registry is Unknown."""

_BUILT_IN = {
    "standard": ("workspace_reaper.registry.schemas.standard", "STANDARD"),
    "vibe-kanban": ("workspace_reaper.registry.schemas.vibe_kanban", "VIBE_KANBAN"),
    "cao": ("workspace_reaper.registry.schemas.cao", "CAO"),
}
_TABLE = "table"


def load_schema(name: str, table: HostTable | None = None) -> Schema:
    """The schema of that name; of ``table``, which only the registry of that name has, if it is ``table``.

    ``ConfigurationError`` (field ``registry`` or ``table``) if there is none, or it can't be loaded.
    """
    if name == _TABLE:
        from workspace_reaper.registry.schemas.table import TableSchema

        if table is None:
            raise ConfigurationError('table: not set, and registry = "table" needs it. Describe the table in [table].')
        return TableSchema(table)
    if name in _BUILT_IN:
        module, attribute = _BUILT_IN[name]
        schema: object = getattr(import_module(module), attribute)
    else:
        schema = _load(_entry_point(name))
    if not isinstance(schema, Schema):
        raise ConfigurationError(
            f"registry: {name!r} names {type(schema).__name__!r}, which is no workspace_reaper.registry.Schema: "
            f"mend its entry point in the group {GROUP}."
        )
    return schema


class LazyRegistry(Registry):
    """A registry that imports its database library at the first look-up: ``status`` and ``history`` need only its name."""

    def __init__(self, schema: Schema, location: str, load: Callable[[], DatabaseRegistry]) -> None:
        self._schema = schema
        self._location = location
        self._load = load

    @property
    def name(self) -> str:
        return self._schema.name

    @property
    def location(self) -> str:
        return self._location

    def canonical(self, text: str) -> str | None:
        return self._schema.canonical(text)

    def look_up(self, ids: Collection[str], sentinels: Collection[str]) -> LookupResult | Unknown:
        return self.database.look_up(ids, sentinels)

    def examine(self) -> tuple[Finding, ...]:
        """Return what is wrong with the live database: see ``DatabaseRegistry``."""
        return self.database.examine()

    @cached_property
    def database(self) -> DatabaseRegistry:
        """The registry itself. Nothing is opened yet."""
        return self._load()


def open_registry(
    schema: Schema, database_url: str | None, environ: Mapping[str, str], *, busy_limit: float = BUSY_LIMIT
) -> LazyRegistry:
    """Return the registry of that schema. Nothing is opened yet: an unreadable database is Unknown at the first look-up.

    Args:
        schema: How the database is read.
        database_url: Where it is; None is the schema's default.
        environ: The environment, for that default.
        busy_limit: How many seconds a look-up waits for a lock.

    Raises:
        ConfigurationError: The URL is neither an SQLite file nor a PostgreSQL database, or the default is unknown.
    """
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

    return LazyRegistry(schema, path, load)


def open_watcher(
    schema: Schema, database_url: str | None, environ: Mapping[str, str], *, busy_limit: float = BUSY_LIMIT
) -> ChangeWatcher:
    """Return what notices commits to the database. The arguments and errors are those of ``open_registry``."""
    registry = open_registry(schema, database_url, environ, busy_limit=busy_limit).database
    from workspace_reaper.registry.sqlite.registry import SqliteRegistry

    if isinstance(registry, SqliteRegistry):
        from workspace_reaper.registry.sqlite.watch import SqliteWatcher

        return SqliteWatcher(registry)
    from workspace_reaper.registry.postgres.watch import PostgresWatcher

    return PostgresWatcher(cast("PostgresRegistry", registry))


def _entry_point(name: str) -> EntryPoint:
    found = {(point.name, point.value): point for point in entry_points(group=GROUP)}
    matching = [point for point in found.values() if point.name == name]
    if len(matching) == 1:
        return matching[0]
    if matching:
        values = ", ".join(sorted(point.value for point in matching))
        raise ConfigurationError(
            f"registry: {name!r} is named by several installed packages ({values}): uninstall all but one."
        )
    known = ", ".join(sorted({*_BUILT_IN, _TABLE, *(point.name for point in found.values())}))
    raise ConfigurationError(
        f"registry: {name!r} is not known. Known are: {known}. Others are entry points of the group {GROUP}: "
        "install the package that brings yours."
    )


def _load(point: EntryPoint) -> object:
    try:
        return point.load()
    except Exception as error:  # a third party's module may raise anything while it is imported
        raise ConfigurationError(
            f"registry: {point.name!r} ({point.value}) can't be loaded: {type(error).__name__}: {error}. "
            "Mend or uninstall the package that brings it."
        ) from error
