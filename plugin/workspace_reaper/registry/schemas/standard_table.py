"""The table of the standard schema. A module of its own, because SQLModel takes long to import: only this table needs it."""

from __future__ import annotations

from datetime import datetime, timezone

from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

from workspace_reaper.registry.id_types import TextId


def _now() -> datetime:
    return datetime.now(timezone.utc)


class StandardBase(SQLModel, registry=registry()):
    """A base with a registry of its own, which keeps the table apart from those of a host that is itself built on SQLModel."""


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
    created_at: datetime = Field(default_factory=_now)
