"""What nobody can beat, and what others do: raw tmux and raw SQLite, a process for each session, libtmux's objects."""

from __future__ import annotations

import sqlite3
import subprocess
import time
import uuid
from collections.abc import Sequence
from contextlib import closing
from urllib.parse import quote

import libtmux

from tests.tools.tmux import TmuxServer, clean_environment
from tests.tools.world import World
from workspace_reaper.model.session import SessionKey
from workspace_reaper.model.verdict import Expiry, Guard
from workspace_reaper.tmux.commands import kill_line
from workspace_reaper.tmux.formats import PANE_FORMAT, SERVER_FORMAT, session_format

__all__ = ["feed", "guarded_lines", "libtmux_kills", "libtmux_listing", "listing", "query", "seed_kills", "seed_look"]

_SESSIONS = session_format("0" * 16)


def _tmux(server: TmuxServer, *arguments: str, stdin: str | None = None) -> bytes:
    command = [server.tmux, "-u", "-S", server.path, *arguments]
    source = None if stdin is None else stdin.encode()
    return subprocess.run(command, input=source, capture_output=True, env=clean_environment(), check=True).stdout


def listing(server: TmuxServer) -> bytes:
    """One tmux process that lists sessions and panes with the fields of our own listing."""
    arguments = ["list-sessions", "-F", _SESSIONS, ";", "display-message", "-p", SERVER_FORMAT]
    return _tmux(server, *arguments, ";", "list-panes", "-a", "-F", PANE_FORMAT)


def query(world: World, ids: Sequence[str]) -> list[tuple[object, ...]]:
    """One connection, one query for these workspaces."""
    marks = ",".join("?" * len(ids))
    sql = (
        "SELECT id, archived, pinned, worktree_deleted, container_ref, EXISTS (SELECT 1 FROM sessions JOIN execution_processes"
        " ON execution_processes.session_id = sessions.id WHERE sessions.workspace_id = workspaces.id"
        " AND status = 'running' AND run_reason != 'devserver')"
        f" FROM workspaces WHERE id IN ({marks})"
    )
    uri = f"file:{quote(str(world.host.path))}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True)) as connection:
        return connection.execute(sql, [uuid.UUID(one).bytes for one in ids]).fetchall()


def guarded_lines(server: TmuxServer, session_ids: Sequence[str]) -> str:
    """The very lines that end these archived sessions, with what is true of each now."""
    wanted = set(session_ids)
    fields = "#{session_id} #{pid} #{start_time} #{session_created} #{session_activity}"
    lines = []
    for row in server.run("list-sessions", "-F", fields).split("\n"):
        session_id, pid, start, created, activity = row.split(" ")
        if session_id in wanted:
            key = SessionKey(server.path, int(pid), int(start), session_id, int(created))
            lines.append(
                kill_line(Guard(key, int(activity), True, None, False, owner="", workspace=""), Expiry(int(time.time()), 600))
            )
    return "".join(lines)


def feed(server: TmuxServer, lines: str) -> None:
    """One tmux process that works off the lines."""
    _tmux(server, "source-file", "-", stdin=lines)


def seed_look(world: World, server: TmuxServer, ids: Sequence[str]) -> None:
    """The seed's way to look: one listing, then a query for each session."""
    listing(server)
    for one in ids:
        query(world, [one])


def seed_kills(world: World, server: TmuxServer, names: Sequence[str], ids: Sequence[str]) -> None:
    """The seed's way to reap: for each session a query, a listing process and a kill process, by name."""
    for name, one in zip(names, ids, strict=True):
        query(world, [one])
        listing(server)
        _tmux(server, "kill-session", "-t", name)


def libtmux_listing(server: TmuxServer) -> int:
    """libtmux's object way to look."""
    return len(libtmux.Server(socket_path=server.path).sessions)


def libtmux_kills(server: TmuxServer, count: int) -> None:
    """libtmux's object way to reap."""
    for session in list(libtmux.Server(socket_path=server.path).sessions)[:count]:
        session.kill()
