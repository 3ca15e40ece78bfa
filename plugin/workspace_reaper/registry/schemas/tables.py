"""The tables of the built-in hosts, each with only the columns that are read.

A module of its own, because SQLModel takes 0.4 s of CPU time to import: schemas are loaded by every command, and tables only by
those that read the host's database. Each host has a base with a registry of its own, which keeps its tables apart from those of
a host that is itself built on SQLModel.
"""

from __future__ import annotations

from datetime import datetime, timezone

from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

from workspace_reaper.registry.id_types import TextId, UuidBlob

__all__ = ["CaoBase", "CaoTerminal", "StandardBase", "VibeKanbanBase", "WorkspaceRow"]


def _now() -> datetime:
    return datetime.now(timezone.utc)


class StandardBase(SQLModel, registry=registry()):
    """The base of the standard schema's table."""


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


class VibeKanbanBase(SQLModel, registry=registry()):
    """The base of the tables of bettercoding and vibe-kanban."""


class VibeKanbanWorkspace(VibeKanbanBase, table=True):
    """A workspace. ``worktree_deleted`` was added on 2026-03-02; ``container_ref`` is the path of the worktree."""

    __tablename__ = "workspaces"

    id: str = Field(sa_type=UuidBlob, primary_key=True)
    container_ref: str | None = None
    archived: int
    pinned: int
    worktree_deleted: int | None = None


class CodingSession(VibeKanbanBase, table=True):
    """A conversation in a workspace, which the server calls a session; not a tmux session."""

    __tablename__ = "sessions"

    id: str = Field(sa_type=UuidBlob, primary_key=True)
    workspace_id: str = Field(sa_type=UuidBlob)


class ExecutionProcess(VibeKanbanBase, table=True):
    """A process of a conversation. ``status`` is ``running`` while it runs; a ``devserver`` does not count as work."""

    __tablename__ = "execution_processes"

    id: str = Field(sa_type=UuidBlob, primary_key=True)
    session_id: str = Field(sa_type=UuidBlob)
    status: str
    run_reason: str


class CaoBase(SQLModel, registry=registry()):
    """The base of CLI Agent Orchestrator's table."""


class CaoTerminal(CaoBase, table=True):
    """One window of a session. ``initial_delivery`` and ``deferred_init_failure`` are JSON."""

    __tablename__ = "terminals"

    id: str = Field(primary_key=True)
    tmux_session: str = Field(sa_type=TextId)
    initial_delivery: str | None = None
    deferred_init_external_owner: int | None = None
    deferred_init_failure: str | None = None
    deferred_init_runtime_reclaimed: int | None = None
