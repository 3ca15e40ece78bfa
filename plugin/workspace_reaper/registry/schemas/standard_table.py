"""The table of the schema ``standard``.

A server creates it with `create_tables` and writes `WorkspaceRow` objects through `writable_engine`, or with SQL. Importing
this module loads SQLModel, which takes long. So the schema imports it only to read the table.
"""

from __future__ import annotations

import os
import sqlite3
from datetime import datetime, timezone
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import registry
from sqlalchemy.pool import NullPool
from sqlmodel import Field, SQLModel

from workspace_reaper.registry.id_types import TextId


class StandardBase(SQLModel, registry=registry()):
    """A base with a registry of its own, which keeps the table apart from the tables of a host that uses SQLModel too."""


class WorkspaceRow(StandardBase, table=True):
    """A workspace. A host deletes the row or sets ``deleted_at``. Times are UTC.

    ``running`` means that work continues in it. ``worktree`` is a path, and ``worktree_deleted`` means that nothing is there.
    """

    __tablename__ = "workspaces"

    id: str = Field(sa_type=TextId, primary_key=True)
    name: str | None = None
    archived: bool = False
    pinned: bool = False
    running: bool = False
    deleted_at: datetime | None = None
    worktree: str | None = None
    worktree_deleted: bool = False
    created_at: datetime = Field(default_factory=lambda: datetime.now(timezone.utc))


def writable_engine(path: str | os.PathLike[str]) -> Engine:
    """Return an engine for a host's own writes, for any path. It creates the file, but not its directory."""
    uri = f"file://{quote(os.fsencode(Path(path).absolute()))}?mode=rwc"
    return create_engine("sqlite://", creator=lambda: sqlite3.connect(uri, uri=True), poolclass=NullPool)


def create_tables(path: str | os.PathLike[str]) -> None:
    """Create the table ``workspaces`` in the database at ``path``, the file and its directory, if they do not exist."""
    Path(path).absolute().parent.mkdir(parents=True, exist_ok=True)
    StandardBase.metadata.create_all(writable_engine(path))
