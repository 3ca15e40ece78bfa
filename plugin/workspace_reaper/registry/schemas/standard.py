"""Our own schema: the embedded default, for ``demo`` and for a host that has no table of its own.

Such a host makes the table with `create_tables` and writes `WorkspaceRow` objects through `writable_engine`, or with SQL.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from urllib.parse import quote

from platformdirs import user_data_dir
from sqlalchemy import Engine, Table, create_engine
from sqlalchemy.orm import registry
from sqlalchemy.pool import NullPool
from sqlmodel import Field, SQLModel

from workspace_reaper.registry.id_types import TextId
from workspace_reaper.registry.schema import Home, Schema, WorkspaceColumns, plain_text

__all__ = ["STANDARD", "Standard", "WorkspaceRow", "create_tables", "writable_engine"]


def _now() -> datetime:
    return datetime.now(timezone.utc)


class StandardBase(SQLModel, registry=registry()):
    """Its own registry keeps this table apart from a host's that is itself built on SQLModel."""


class WorkspaceRow(StandardBase, table=True):
    """A workspace. A host deletes the row, or sets ``deleted_at``; ``running`` says that work goes on in it; ``worktree`` is
    a path, and ``worktree_deleted`` says that nothing is there any more. Times are UTC."""

    __tablename__ = "workspaces"

    id: str = Field(sa_type=TextId, primary_key=True)
    name: str | None = None
    archived: bool = False
    pinned: bool = False
    running: bool = False
    deleted_at: datetime | None = None
    worktree: str | None = None
    worktree_deleted: bool = False
    created_at: datetime = Field(default_factory=_now)


_WORKSPACES = StandardBase.metadata.tables["workspaces"]


class Standard(Schema):
    """Sessions ``ws-ID`` on the socket ``workspaces``."""

    name = "standard"
    server = "a Python server that uses [our table](hosts/python.md)"
    database = "`workspaces.sqlite` in the user's data directory"
    optional = frozenset({"workspaces.name", "workspaces.created_at", "workspaces.worktree_deleted"})

    @property
    def tables(self) -> Sequence[Table]:
        return (_WORKSPACES,)

    def facts(self, absent: frozenset[str]) -> WorkspaceColumns:
        columns = _WORKSPACES.c
        return WorkspaceColumns(
            id=columns.id,
            archived=columns.archived,
            pinned=columns.pinned,
            running=columns.running,
            deleted=columns.deleted_at.is_not(None),
            worktree_deleted=None if "workspaces.worktree_deleted" in absent else columns.worktree_deleted,
            worktree=columns.worktree,
        )

    def homes(self, environ: Mapping[str, str]) -> tuple[Home, ...]:  # noqa: ARG002
        return (Home("workspaces", ("ws-(?P<id>[A-Za-z0-9][A-Za-z0-9_-]*)",)),)

    def default_database(self, environ: Mapping[str, str]) -> str:  # noqa: ARG002
        """In the user's data directory, as platformdirs tells it from the environment of this process."""
        return str(Path(user_data_dir("workspace-reaper")) / "workspaces.sqlite")

    def canonical(self, text: str) -> str | None:
        """The text itself."""
        return plain_text(text)


def writable_engine(path: str | os.PathLike[str]) -> Engine:
    """An engine for a host's own writes, right for any path. It makes the file, not its directory."""
    uri = f"file://{quote(os.fsencode(Path(path).absolute()))}?mode=rwc"
    return create_engine("sqlite://", creator=lambda: sqlite3.connect(uri, uri=True), poolclass=NullPool)


def create_tables(path: str | os.PathLike[str]) -> None:
    """Make the table ``workspaces`` in the database at ``path``, and its directory, where they are missing."""
    Path(path).absolute().parent.mkdir(parents=True, exist_ok=True)
    StandardBase.metadata.create_all(writable_engine(path))


STANDARD = Standard()
