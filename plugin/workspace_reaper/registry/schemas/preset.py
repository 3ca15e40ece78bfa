"""The schemas of presets: a table or files whose description, sockets and places stand in a file of `registry/presets`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from workspace_reaper.model.errors import ConfigurationError
from workspace_reaper.model.workspace import HostFiles, HostTable
from workspace_reaper.registry.file_patterns import FilePattern, expanded, pattern_of
from workspace_reaper.registry.lazy import LazyRegistry, open_database, open_files
from workspace_reaper.registry.presets.preset import Preset
from workspace_reaper.registry.schema import Home, Schema
from workspace_reaper.registry.schemas.files import FilesSchema
from workspace_reaper.registry.schemas.table import TableSchema


class _PresetSchema(Schema):
    """What a preset says of its host, instead of the configuration."""

    preset: Preset

    @property
    def remedy(self) -> str:
        """The advice for a record that does not fit the preset."""
        return (
            f"this version of {self.preset.title} may keep other data than the preset {self.preset.file} describes: "
            f"describe it in a preset of your own, or correct database_url"
        )

    def homes(self, environ: Mapping[str, str]) -> tuple[Home, ...]:
        return tuple(Home(socket, self.preset.patterns) for socket in self.preset.socket_names(environ))

    def default_database(self, environ: Mapping[str, str]) -> str:
        """Return the first place that exists, in which wildcards stand for names; the only one even if it does not."""
        places = self.places(environ)
        for place in places:
            if pattern_of(place).exists():
                return place
        if len(places) == 1:
            return places[0]
        raise ConfigurationError(
            f"database_url: not set, and {self.preset.title} keeps nothing in {' or '.join(places)}: start it once, or set "
            "database_url"
        )

    def places(self, environ: Mapping[str, str]) -> Sequence[str]:
        return self.preset.places(environ)


class TablePreset(_PresetSchema, TableSchema):
    """The schema of a preset whose host has a database."""

    def __init__(self, preset: Preset, described: HostTable) -> None:
        TableSchema.__init__(self, described)
        _describe(self, preset)

    def open(self, database_url: str | None, environ: Mapping[str, str], *, busy_limit: float) -> LazyRegistry:
        """Return the registry over the databases at the URL, or at the preset's place."""
        if database_url is not None:
            return open_database(self, database_url, environ, busy_limit=busy_limit)
        return open_files(self, pattern_of(self.default_database(environ)), busy_limit=busy_limit)


class FilesPreset(_PresetSchema, FilesSchema):
    """The schema of a preset whose host has files. ``database_url`` may name others: a path, with wildcards."""

    def __init__(self, preset: Preset, described: HostFiles) -> None:
        FilesSchema.__init__(self, described)
        _describe(self, preset)

    def patterns(self, database_url: str | None, environ: Mapping[str, str]) -> Sequence[FilePattern]:
        """Return the paths of the files."""
        if database_url is not None:
            return expanded([database_url], environ, "database_url")
        return (pattern_of(self.default_database(environ)),)


def _describe(schema: TablePreset | FilesPreset, preset: Preset) -> None:
    schema.preset = preset
    schema.name = preset.name
    schema.advises = preset.page is None
    schema.server = f"[{preset.title}](hosts/{preset.name}.md)" if preset.page else preset.title
    schema.database = ", or ".join(f"`{path}`" for path in preset.record)


def preset_schema(preset: Preset) -> Schema:
    """Return the schema of a preset.

    Raises:
        ConfigurationError: An expression needs a newer SQLite.
    """
    if isinstance(preset.described, HostTable):
        return TablePreset(preset, preset.described)
    return FilesPreset(preset, preset.described)
