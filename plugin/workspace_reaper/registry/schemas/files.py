"""Workspaces in files of any host, described in the configuration alone (`HostFiles`)."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING

from workspace_reaper.model.errors import ConfigurationError
from workspace_reaper.model.workspace import DescribedWorkspaces, HostFiles, HostTable
from workspace_reaper.registry.file_patterns import FilePattern, expanded, record_patterns, shown
from workspace_reaper.registry.lazy import LazyRegistry
from workspace_reaper.registry.schemas.table import TableSchema

if TYPE_CHECKING:
    from workspace_reaper.registry.files.registry import FilesRegistry

# The operators -> and ->> are as old as this.
_ARROWS_SINCE = (3, 38)


class FilesSchema(TableSchema):
    """The schema of files: that of the table ``items``, into which each look-up loads them, with the id as a column ``id``."""

    name = "files"
    record = "files"

    def __init__(self, described: HostFiles, sqlite: tuple[int, ...] = sqlite3.sqlite_version_info) -> None:
        """Check what does not depend on the files. ``sqlite`` is the version of SQLite.

        Raises:
            ConfigurationError: An expression needs a newer SQLite.
        """
        in_common = {field.name: getattr(described, field.name) for field in fields(DescribedWorkspaces)}
        super().__init__(HostTable(name="items", **(in_common | {"id": "id"})))
        self.files = described
        for name, expression in in_common.items():
            if sqlite < _ARROWS_SINCE and isinstance(expression, str) and "->" in expression:
                raise ConfigurationError(
                    f"files.{name}: the operator -> needs SQLite 3.38, and this Python has {'.'.join(map(str, sqlite))}: "
                    "write json_extract(value, '$.name')"
                )

    @property
    def identity(self) -> str:
        """The place of the workspaces in each file and their id: another one is another registry."""
        where = "" if self.files.where is None else f" where {self.files.where}"
        return f"files, {self.files.items or 'one workspace each'}, {self.files.id_type} {self.files.id}{where}"

    @property
    def remedy(self) -> str:
        """The advice for files that do not fit their description."""
        return "fix [files] in the configuration"

    def open(self, database_url: str | None, environ: Mapping[str, str], *, busy_limit: float) -> LazyRegistry:
        """Return the registry over the files. Raises ``ConfigurationError`` if their paths cannot be expanded."""
        patterns = self.patterns(database_url, environ)

        def load() -> FilesRegistry:
            from workspace_reaper.registry.files.registry import FilesRegistry

            return FilesRegistry(self, patterns)

        return LazyRegistry(self, shown(patterns), load, record_patterns(patterns))

    def patterns(self, database_url: str | None, environ: Mapping[str, str]) -> Sequence[FilePattern]:
        """Return the paths of the files."""
        return expanded(self.files.paths, environ)

    def default_database(self, environ: Mapping[str, str]) -> str:
        """Raise an error: there is no database."""
        raise ConfigurationError('database_url: registry = "files" reads no database. Use `files.paths`.')
