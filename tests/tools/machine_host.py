"""The host of the state machine: its database, the directories of its workspaces, a copy of that database, and a sibling."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from tests.tools.hosts import StandardHost, connected
from tests.tools.machine_facts import Registry, Row

__all__ = ["MachineHost"]


class MachineHost(StandardHost):
    """A host whose workspaces have a directory each, or none of them has.

    ``sibling`` is another database of the same kind, of which the reaper is not aware.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__(directory / "host.sqlite")
        self.sibling = StandardHost(directory / "sibling.sqlite")
        self._places = directory / "worktrees"
        self._places.mkdir()
        self._has_directories = False
        self._copy: bytes | None = None
        self.create()
        self.sibling.create()

    def use(self, journal: str, *, directories: bool) -> None:
        """Write in this mode of SQLite from now on; new workspaces have directories, or none."""
        self._has_directories = directories
        with self.writing() as connection:
            connection.execute(f"PRAGMA journal_mode = {journal}")

    # What is there, by SQL and calls of its own

    def rows(self) -> dict[str, Row]:
        """The table as it is now."""
        columns = "id, archived, pinned, running, deleted_at IS NOT NULL, worktree_deleted, worktree IS NOT NULL"
        with connected(self.path) as connection:
            rows = connection.execute(f"SELECT {columns} FROM workspaces").fetchall()
        return {one: Row(*map(bool, flags)) for one, *flags in rows}

    def registry(self) -> Registry:
        """What says whether the content was replaced: the version of the schema, and the count of changes in the header."""
        with connected(self.path) as connection:
            [version] = connection.execute("PRAGMA schema_version").fetchone()
        return Registry(version, int.from_bytes(self.path.read_bytes()[24:28], "big"))

    def directories(self) -> frozenset[str]:
        """The workspaces whose directories are there."""
        return frozenset(one.name for one in self._places.iterdir())

    @property
    def has_copy(self) -> bool:
        """There is a copy of the database, which may be restored."""
        return self._copy is not None

    # What the server and its operator do

    def insert(self, ids: Sequence[str], *, archived: bool = False, pinned: bool = False, worktree: str | None = None) -> None:
        for one in ids:
            if self._has_directories:
                place = self._places / one
                place.mkdir(exist_ok=True)
                worktree = str(place)
            super().insert([one], archived=archived, pinned=pinned, worktree=worktree)

    def insert_into_sibling(self, workspace: str) -> None:
        """The other database has this workspace from now on."""
        with self.sibling.writing() as connection:
            known = connection.execute("SELECT 1 FROM workspaces WHERE id = ?", (workspace,)).fetchall()
        if not known:
            self.sibling.insert([workspace])

    def delete_with_directories(self, *ids: str) -> None:
        """The server deletes workspaces, and all that belongs to them."""
        self.delete(*ids)
        self.remove_directories(*ids)

    def flag_deleted_with_directory(self, workspace: str) -> None:
        """The server keeps the row of a workspace that it deletes."""
        self.flag_deleted(workspace)
        self.remove_directories(workspace)

    def remove_directories(self, *ids: str) -> None:
        """The directories of workspaces are removed, where there are any."""
        for one in ids:
            shutil.rmtree(self._places / one, ignore_errors=True)

    def copy(self) -> None:
        """The operator copies the file."""
        self._copy = self.path.read_bytes()

    def restore(self, how: str) -> None:
        """The operator puts the copy into the place of what is in the file now: by SQLite (``backup``), or as it is."""
        assert self._copy is not None
        if how == "copy":
            with self.path.open("r+b") as file:
                file.write(self._copy)
                file.truncate()
            return
        source = self.path.with_name("copy.sqlite")
        source.write_bytes(self._copy)
        with closing(sqlite3.connect(source)) as copy, closing(sqlite3.connect(self.path)) as live:
            copy.backup(live)
