"""The tables of other hosts, with only the columns that are read.

This is a separate module because every command loads the schemas, but only those that read the host's database need SQLAlchemy,
whose import is slow.
"""

from __future__ import annotations

from sqlalchemy import Column, Integer, MetaData, String, Table

from workspace_reaper.registry.id_types import TextId, UuidBlob

# ``worktree_deleted`` was added on 2026-03-02; ``container_ref`` is the path of the worktree.
VIBE_KANBAN_WORKSPACES = Table(
    "workspaces",
    MetaData(),
    Column("id", UuidBlob(), primary_key=True),
    Column("container_ref", String()),
    Column("archived", Integer()),
    Column("pinned", Integer()),
    Column("worktree_deleted", Integer()),
)

# The conversations in a workspace, which the server calls sessions. They are not tmux sessions.
VIBE_KANBAN_SESSIONS = Table(
    "sessions", MetaData(), Column("id", UuidBlob(), primary_key=True), Column("workspace_id", UuidBlob())
)

# ``status`` is ``running`` while a process runs; a ``devserver`` does not count as work.
VIBE_KANBAN_PROCESSES = Table(
    "execution_processes",
    MetaData(),
    Column("id", UuidBlob(), primary_key=True),
    Column("session_id", UuidBlob()),
    Column("status", String()),
    Column("run_reason", String()),
)

# The windows of a session. ``initial_delivery`` and ``deferred_init_failure`` are JSON.
CAO_TERMINALS = Table(
    "terminals",
    MetaData(),
    Column("id", String(), primary_key=True),
    Column("tmux_session", TextId()),
    Column("initial_delivery", String()),
    Column("deferred_init_external_owner", Integer()),
    Column("deferred_init_failure", String()),
    Column("deferred_init_runtime_reclaimed", Integer()),
)
