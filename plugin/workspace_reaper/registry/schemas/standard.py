"""Our own schema: the embedded default, for ``demo`` and for a host that has no table of its own.

Such a host makes the table with `create_tables` and writes `WorkspaceRow` objects through `writable_engine`, or with SQL.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from platformdirs import user_data_dir

from workspace_reaper.registry.schema import Home, Schema, WorkspaceColumns, plain_text

if TYPE_CHECKING:
    from sqlalchemy import Engine, Table


class Standard(Schema):
    """Sessions ``ws-ID`` on the socket ``workspaces``."""

    name = "standard"
    server = "a Python server that uses [our table](hosts/python.md)"
    database = "`workspaces.sqlite` in the user's data directory"
    optional = frozenset({"workspaces.name", "workspaces.created_at", "workspaces.worktree_deleted"})

    @property
    def tables(self) -> Sequence[Table]:
        from workspace_reaper.registry.schemas.standard_table import StandardBase

        return (StandardBase.metadata.tables["workspaces"],)

    def facts(self, absent: frozenset[str]) -> WorkspaceColumns:
        columns = self.tables[0].c
        return WorkspaceColumns(
            id=columns.id,
            archived=columns.archived,
            pinned=columns.pinned,
            running=columns.running,
            deleted=columns.deleted_at.is_not(None),
            worktree_deleted=None if "workspaces.worktree_deleted" in absent else columns.worktree_deleted,
            worktree=columns.worktree,
        )

    def homes(self, environ: Mapping[str, str]) -> tuple[Home, ...]:
        return (Home("workspaces", ("ws-(?P<id>[A-Za-z0-9][A-Za-z0-9_-]*)",)),)

    def default_database(self, environ: Mapping[str, str]) -> str:
        """In the user's data directory, as platformdirs tells it from the environment of this process."""
        return str(Path(user_data_dir("workspace-reaper")) / "workspaces.sqlite")

    def canonical(self, text: str) -> str | None:
        """The text itself."""
        return plain_text(text)


def writable_engine(path: str | os.PathLike[str]) -> Engine:
    """An engine for a host's own writes, right for any path. It makes the file, not its directory."""
    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    uri = f"file://{quote(os.fsencode(Path(path).absolute()))}?mode=rwc"
    return create_engine("sqlite://", creator=lambda: sqlite3.connect(uri, uri=True), poolclass=NullPool)


def create_tables(path: str | os.PathLike[str]) -> None:
    """Make the table ``workspaces`` in the database at ``path``, and its directory, where they are missing."""
    from workspace_reaper.registry.schemas.standard_table import StandardBase

    Path(path).absolute().parent.mkdir(parents=True, exist_ok=True)
    StandardBase.metadata.create_all(writable_engine(path))


STANDARD = Standard()
