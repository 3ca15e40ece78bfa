"""bettercoding and vibe-kanban: facts from their published sources and migrations.

Ids are BLOBs of 16 bytes. A deleted workspace is a row that is gone. The server runs in ``journal_mode=DELETE``.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from workspace_reaper.model.errors import ConfigurationError
from workspace_reaper.registry.schema import Home, Schema, WorkspaceColumns

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Table

_UUID = re.compile(r"([0-9a-f]{8})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{12})", re.IGNORECASE)
_CANONICAL = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_DATABASE = "db.v2.sqlite"


class VibeKanban(Schema):
    """The schema with two sockets: ``bc_`` + 32 hex digits on the current one, ``vk_`` + 32 hex digits on the legacy one."""

    name = "vibe-kanban"
    server = "[bettercoding and vibe-kanban](hosts/bettercoding.md)"
    database = "`db.v2.sqlite` in `BC_DATA_DIR`; otherwise in the data directory of bettercoding, or of vibe-kanban"
    optional = frozenset({"workspaces.worktree_deleted"})

    @cached_property
    def tables(self) -> Sequence[Table]:
        """The tables of workspaces, of the conversations in them, which the server calls sessions, and of their processes."""
        from sqlalchemy import Column, Integer, MetaData, String, Table

        from workspace_reaper.registry.id_types import UuidBlob

        metadata = MetaData()
        workspaces = Table(
            "workspaces",
            metadata,
            Column("id", UuidBlob(), primary_key=True),
            Column("container_ref", String()),  # the path of the worktree
            Column("archived", Integer()),
            Column("pinned", Integer()),
            Column("worktree_deleted", Integer()),  # since 2026-03-02
        )
        sessions = Table("sessions", metadata, Column("id", UuidBlob(), primary_key=True), Column("workspace_id", UuidBlob()))
        processes = Table(
            "execution_processes",
            metadata,
            Column("id", UuidBlob(), primary_key=True),
            Column("session_id", UuidBlob()),
            Column("status", String()),  # "running" while it runs
            Column("run_reason", String()),  # a "devserver" does not count as work
        )
        return workspaces, sessions, processes

    def facts(self, absent: frozenset[str]) -> WorkspaceColumns:
        from sqlalchemy import Text, cast, or_, select

        table, *others = self.tables
        workspaces, (sessions, processes) = table.c, (other.c for other in others)
        # Cast to text, so that SQLite does not use its index on status: with it, each workspace costs a pass over all running
        # processes. In PostgreSQL the column may be an enumeration.
        status, run_reason = cast(processes.status, Text), cast(processes.run_reason, Text)
        running = (
            select(processes.id)
            .where(sessions.workspace_id == workspaces.id, processes.session_id == sessions.id)
            .where(status == "running", run_reason.is_distinct_from("devserver"))
            .correlate(table)
            .exists()
        )
        return WorkspaceColumns(
            id=workspaces.id,
            archived=workspaces.archived,
            pinned=workspaces.pinned,
            running=or_(running, self._running_in_another_spelling()),
            worktree_deleted=None if "workspaces.worktree_deleted" in absent else workspaces.worktree_deleted,
            worktree=workspaces.container_ref,
        )

    def _running_in_another_spelling(self) -> ColumnElement[bool]:
        """Return whether a process runs, also where two of the tables have an id in different spellings.

        The subquery does not depend on the workspace: SQLite runs it once, for the running processes, by the index on status.
        A process costs a pass over all sessions only if its session is not found by the index.
        """
        from sqlalchemy import func, select

        from workspace_reaper.registry.id_types import OnlySqlite, folded_uuid

        workspaces, sessions, processes = self.tables
        respelled, session_id = sessions.alias("respelled"), processes.c.session_id
        by_id = select(folded_uuid(sessions.c.workspace_id)).where(sessions.c.id == session_id)
        by_spelling = select(folded_uuid(respelled.c.workspace_id)).where(
            folded_uuid(respelled.c.id) == folded_uuid(session_id)
        )
        found = func.coalesce(*(each.correlate(processes).scalar_subquery() for each in (by_id, by_spelling)))
        running = select(found).where(processes.c.status == "running", processes.c.run_reason.is_distinct_from("devserver"))
        return OnlySqlite(folded_uuid(workspaces.c.id).in_(running))

    def homes(self, environ: Mapping[str, str]) -> tuple[Home, ...]:
        """Return the two sockets with their patterns.

        ``BC_CLI_TMUX_SOCKET`` and ``BC_CLI_TMUX_LEGACY_SOCKET`` override their names. If only the first one is set, the legacy
        socket has that name + ``-legacy``. If both names are equal there is only one socket.
        """
        override = environ.get("BC_CLI_TMUX_SOCKET")
        current = override or "bettercoding"
        legacy = environ.get("BC_CLI_TMUX_LEGACY_SOCKET") or (f"{override}-legacy" if override else "vibe-kanban")
        homes = (Home(current, ("bc_(?P<id>[0-9a-f]{32})",)), Home(legacy, ("vk_(?P<id>[0-9a-f]{32})",)))
        return homes[:1] if legacy == current else homes

    def default_database(self, environ: Mapping[str, str]) -> str:
        """Return the path in ``BC_DATA_DIR`` or, if that is not set, the first existing database of the two servers."""
        if directory := environ.get("BC_DATA_DIR"):
            return str(Path(directory) / _DATABASE)
        places = _places(environ, sys.platform)
        for place in places:
            if _exists(place):
                return str(place)
        looked = " and ".join(map(str, places))
        raise ConfigurationError(
            f"database_url: not set, and the {self.name} host has no database in {looked}. Set database_url."
        )

    def places(self, environ: Mapping[str, str]) -> Sequence[str]:
        """Return the path in ``BC_DATA_DIR`` if that is set, then those of bettercoding and vibe-kanban."""
        directory = environ.get("BC_DATA_DIR")
        named = [str(Path(directory) / _DATABASE)] if directory else []
        return list(dict.fromkeys([*named, *map(str, _places(environ, sys.platform))]))

    def canonical(self, text: str) -> str | None:
        """Return the lower-case UUID with hyphens for 32 hex digits with or without hyphens."""
        if _CANONICAL.fullmatch(text):
            return text
        match = _UUID.fullmatch(text)
        return "-".join(match.groups()).lower() if match else None


def _places(environ: Mapping[str, str], platform: str) -> tuple[Path, ...]:
    """Return where the two servers keep their database, in the order in which they look."""
    home = Path(environ.get("HOME") or Path.home())
    if platform == "darwin":
        data, prefix = home / "Library" / "Application Support", "ai.bloop."
    else:
        configured = environ.get("XDG_DATA_HOME", "")
        # The XDG specification requires that a relative path is ignored.
        data, prefix = Path(configured) if os.path.isabs(configured) else home / ".local" / "share", ""  # noqa: PTH117
    return tuple(data / f"{prefix}{name}" / _DATABASE for name in ("bettercoding", "vibe-kanban"))


def _exists(place: Path) -> bool:
    """Return whether the file exists. A path that cannot be examined is an error: the server does not skip it either."""
    try:
        place.stat()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise ConfigurationError(
            f"database_url: not set, and {place} cannot be inspected ({error.strerror}). "
            "Run as the host's user, or set database_url."
        ) from error
    return True


VIBE_KANBAN = VibeKanban()
