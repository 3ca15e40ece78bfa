"""The host's workspaces, read-only: which registries there are, and how one is opened.

A registry is an instance of `Schema`. Its name means, in this order: ``table`` or ``files``, which the configuration describes;
an entry point of this distribution in the group ``workspace_reaper.registries``; a preset of the user; a preset of this
package; an entry point of another distribution. Importing this package, loading a schema and ``open_registry`` import no
database library; the first look-up does.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from functools import cache
from importlib.metadata import Distribution, EntryPoint, PackageNotFoundError, distribution, distributions
from pathlib import Path

from workspace_reaper.model.errors import ConfigurationError
from workspace_reaper.model.ports import ChangeWatcher
from workspace_reaper.model.workspace import HostFiles, HostTable
from workspace_reaper.registry.lazy import LazyRegistry
from workspace_reaper.registry.presets import find_preset, preset_names
from workspace_reaper.registry.schema import Home, Schema, WorkspaceColumns

__all__ = [
    "Home",
    "LazyRegistry",
    "Schema",
    "WorkspaceColumns",
    "load_schema",
    "open_registry",
    "open_watcher",
    "preset_names",
    "registry_names",
]

_GROUP = "workspace_reaper.registries"

# The registries that are described in the configuration, and so have no entry points.
_TABLE = "table"
_FILES = "files"

# Seconds that a look-up waits for a lock before the registry is Unknown.
_BUSY_LIMIT = 1.0


def registry_names() -> list[str]:
    """Return the names of the installed registries, without ``table``, ``files`` and presets."""
    return sorted({point.name for point in _installed()})


def load_schema(
    name: str, table: HostTable | None = None, files: HostFiles | None = None, preset_dir: Path | None = None
) -> Schema:
    """Return the schema of the registry with that name.

    Args:
        name: The name of an entry point or a preset, ``table`` or ``files``.
        table: The table that the configuration describes, for the registry ``table``.
        files: The files that the configuration describes, for the registry ``files``.
        preset_dir: The directory of the user's own presets, ``NAME.toml``.

    Raises:
        ConfigurationError: There is no such registry, or it cannot be loaded. The field is ``registry``, ``table`` or
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
    # Ours come first: no other package can replace them, or slow down their look-up.
    if own := next((point for point in _own() if point.name == name), None):
        return _load(own)
    if preset := find_preset(name, preset_dir):
        from workspace_reaper.registry.schemas.preset import preset_schema

        return preset_schema(preset)
    return _load(_entry_point(name, preset_dir))


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
    return schema.open(database_url, environ, busy_limit=busy_limit)


def open_watcher(
    schema: Schema, database_url: str | None, environ: Mapping[str, str], *, busy_limit: float = _BUSY_LIMIT
) -> ChangeWatcher:
    """Return a watcher of the database or the files. The arguments and errors are those of `open_registry`."""
    return open_registry(schema, database_url, environ, busy_limit=busy_limit).watcher()


def _entry_point(name: str, preset_dir: Path | None) -> EntryPoint:
    """Return the entry point of that name in any distribution."""
    matching = {point.value: point for point in _installed() if point.name == name}
    if len(matching) == 1:
        return matching.popitem()[1]
    if matching:
        values = ", ".join(sorted(matching))
        raise ConfigurationError(f"registry: several installed packages name {name!r} ({values}): uninstall all but one")
    installed, presets = sorted({_TABLE, _FILES, *registry_names()}), preset_names(preset_dir)
    near = difflib.get_close_matches(name, [*installed, *presets], n=1)
    advice = f"Did you mean {near[0]!r}? Otherwise" if near else "Correct the name, or"
    where = "" if preset_dir is None else f"write a preset {preset_dir / 'NAME.toml'}, or "
    raise ConfigurationError(
        f"registry: unknown registry {name!r}; installed are: {', '.join(installed)}; presets are: {', '.join(presets)}. "
        f"{advice} {where}install the package that has it as an entry point of the group {_GROUP}"
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


def _load(point: EntryPoint) -> Schema:
    try:
        schema = point.load()
    except Exception as error:  # another package's module may raise anything while it is imported
        raise ConfigurationError(
            f"registry: {point.name!r} ({point.value}) cannot be loaded: {type(error).__name__}: {error}. "
            "Fix or uninstall the package that it belongs to"
        ) from error
    if not isinstance(schema, Schema):
        raise ConfigurationError(
            f"registry: {point.name!r} is of type {type(schema).__name__!r}, not a workspace_reaper.registry.Schema: "
            f"fix its entry point in the group {_GROUP}"
        )
    return schema
