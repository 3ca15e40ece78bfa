"""Our own schema: the default, for ``demo`` and for a host that has no table of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from platformdirs import user_data_dir

from workspace_reaper.registry.schema import Home, Schema, WorkspaceColumns, plain_text

if TYPE_CHECKING:
    from sqlalchemy import Table


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
        """Return the path in the user's data directory, which platformdirs derives from the environment of this process."""
        return str(Path(user_data_dir("workspace-reaper")) / "workspaces.sqlite")

    def canonical(self, text: str) -> str | None:
        """Return the text itself."""
        return plain_text(text)


STANDARD = Standard()
