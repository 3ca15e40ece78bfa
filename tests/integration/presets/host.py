"""What the hosts of the presets have in common: a home directory in which they keep their record in its default place."""

from __future__ import annotations

import json
import sqlite3
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import closing
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.tools.hosts import Host
from workspace_reaper.registry import preset_names

__all__ = ["NOW", "DatabaseHost", "JsonHost", "PresetHost", "preset_hosts"]

NOW = "2026-11-22T10:00:00.000000000+01:00"


class PresetHost(Host):
    """A host as its source makes it. An id is what the group ``id`` of its pattern yields.

    ``ends`` are the methods after which a session is reaped, and ``stays`` those after which it is not: what the host does, or
    its user in it. ``others`` are names of sessions that are not the host's, or that the preset leaves alone.
    """

    ends: Sequence[str] = ("delete", "archive")
    stays: Sequence[str] = ()
    others: Sequence[str] = ()

    def __init__(self, path: Path, server: str | None = None) -> None:
        assert server is None
        super().__init__(path)
        self.home = path.parent

    @property
    def settings(self) -> dict[str, object]:
        return {"registry": self.schema}

    @property
    @abstractmethod
    def file(self) -> Path:
        """The record, or one file of it."""

    def further_names(self, workspace_id: str) -> list[str]:
        """The names of the further sessions of a workspace."""
        return []


class JsonHost(PresetHost):
    """A host with one file in JSON, which it writes as a whole and in place."""

    record: str

    def __init__(self, path: Path, server: str | None = None) -> None:
        super().__init__(path, server)
        self.items: dict[str, dict[str, Any]] = {}

    @property
    def file(self) -> Path:
        """The file."""
        return self.home / self.record

    def create(self) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.save()

    @abstractmethod
    def document(self) -> object:
        """What the file contains."""

    @abstractmethod
    def item(self, number: int, workspace_id: str, worktree: str | None) -> dict[str, Any]:
        """A new workspace."""

    def save(self) -> None:
        """Write the file."""
        self.file.write_text(json.dumps(self.document(), indent=2))

    def insert(self, ids: Sequence[str], *, archived: bool = False, pinned: bool = False, worktree: str | None = None) -> None:
        assert not archived
        assert not pinned
        for one in ids:
            self.items[one] = self.item(len(self.items), one, worktree)
        self.save()

    def delete(self, *ids: str) -> None:
        for one in ids:
            del self.items[one]
        self.save()


class DatabaseHost(PresetHost):
    """A host with an SQLite database in WAL mode. It leaves no connection open."""

    record: str
    tables: str

    @property
    def file(self) -> Path:
        """The database."""
        return self.home / self.record

    def create(self) -> None:
        self.new_database(self.file)

    def new_database(self, file: Path) -> None:
        """Make a database with the host's tables."""
        file.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(file)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript(self.tables)

    def write(self, statement: str, *rows: Sequence[object], file: Path | None = None) -> None:
        """Run a statement for each row, in one transaction."""
        with closing(sqlite3.connect(file or self.file)) as connection, connection:
            connection.executemany(statement, rows)


def preset_hosts() -> Mapping[str, type[PresetHost]]:
    """The host of each preset of the package."""
    modules = {name: import_module(f"tests.integration.presets.{name.replace('-', '_')}") for name in preset_names()}
    return {name: module.Host for name, module in modules.items()}
