"""The description of a kind of host: where its sessions and its database are, and what the columns of its tables mean.

To add a registry, subclass `Schema` and name one instance in an entry point of the group ``workspace_reaper.registries``. A
schema contains no SQL: it names column expressions (`WorkspaceColumns`), from which all statements are built.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from workspace_reaper.model.errors import ConfigurationError

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, FromClause, Table


@dataclass(frozen=True, slots=True)
class Home:
    """A tmux socket on which sessions of a host run.

    Attributes:
        socket: The name of a socket (``tmux -L``), or an absolute path (``tmux -S``).
        patterns: Regular expressions. Each matches the whole name of a session and has a group ``id``, the workspace id.
    """

    socket: str
    patterns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WorkspaceColumns:
    """The column expressions of a workspace, all from one table or correlated to it.

    A flag is 0 or 1, false or true, or NULL, which means false. What the host does not record is None.

    Attributes:
        id: The workspace id. Without an index on it, each look-up reads the whole table.
        archived: Whether the workspace is archived.
        pinned: Whether the workspace is never reaped for being idle.
        running: Whether a process of the workspace runs, other than a dev server.
        deleted: Whether the row counts as deleted.
        worktree_deleted: Whether the workspace's directory was deleted.
        worktree: The path of the workspace's directory.
        where: Whether the row is a workspace. NULL means that it is none.
        session: The name of the workspace's tmux session, or NULL.
        source: The table, where ``id`` is an expression and no column of it.
        unique: False if a workspace may have several rows; it then exists while it has at least one.
        any_row: The flags that a workspace with several rows has if one of its rows has them. It has the others if all of its
            rows have them, or all that do not count as deleted.
    """

    id: ColumnElement[str]
    archived: ColumnElement[Any] | None = None
    pinned: ColumnElement[Any] | None = None
    running: ColumnElement[Any] | None = None
    deleted: ColumnElement[Any] | None = None
    worktree_deleted: ColumnElement[Any] | None = None
    worktree: ColumnElement[Any] | None = None
    where: ColumnElement[Any] | None = None
    session: ColumnElement[Any] | None = None
    source: FromClause | None = None
    unique: bool = True
    any_row: frozenset[str] = frozenset({"pinned", "running"})


class SchemaDescription(NamedTuple):
    """A registry as the documentation shows it. Each field is Markdown."""

    name: str
    server: str
    sessions: str
    database: str


class Schema(ABC):
    """A kind of host. No method opens a database."""

    name: str
    """A stable name, a part of the registry's identity: under a new name the registry must prove itself again."""

    server: str = ""
    """The servers that it is for, as the documentation names them."""

    database: str = ""
    """Where their database is by default, as the documentation puts it."""

    optional: frozenset[str] = frozenset()
    """The columns, as ``table.column``, that a database may lack. All others of `tables` are required."""

    reuses_ids: bool = False
    """Whether a new workspace may get the id of a deleted one. Then what is recorded about an id proves nothing about a session
    that was never seen together with a row."""

    records_sessions: bool = False
    """Whether rows name their sessions: whether `facts` has the field ``session``."""

    removes_worktree: bool = True
    """Whether the host removes the directory of a workspace that it deletes. If not, a directory says nothing about a row."""

    @property
    def identity(self) -> str:
        """What distinguishes this schema from others in the registry's identity: its name, unless overridden."""
        return self.name

    @property
    def remedy(self) -> str:
        """The advice for a database that does not fit this schema."""
        return f"it is not a known database of a {self.name} host: correct database_url or registry"

    @property
    @abstractmethod
    def tables(self) -> Sequence[Table]:
        """The tables that are read, with the columns that are used."""

    @abstractmethod
    def facts(self, absent: frozenset[str]) -> WorkspaceColumns:
        """Return the columns to select. ``absent`` are the columns of `optional` that this database lacks: do not use them."""

    @abstractmethod
    def homes(self, environ: Mapping[str, str]) -> tuple[Home, ...]:
        """Return the tmux sockets of this host, with the patterns of its session names."""

    @abstractmethod
    def default_database(self, environ: Mapping[str, str]) -> str:
        """Return the path or the URL of the host's database for a configuration that does not set one.

        Raises:
            ConfigurationError: A place cannot be examined, or none of several possible places has a database.
        """

    def places(self, environ: Mapping[str, str]) -> Sequence[str]:
        """Return every place where the host has or had its database, the current one first; nothing if that is unknown.

        It examines only what `default_database` examines.
        """
        try:
            return (self.default_database(environ),)
        except ConfigurationError:
            return ()

    @abstractmethod
    def canonical(self, text: str) -> str | None:
        """Return the canonical workspace id, or None if the text cannot be an id. A canonical id is its own canonical id."""

    def describe(self) -> SchemaDescription:
        """Return what the documentation's table of registries shows."""
        sessions = [f"`{pattern}` on `{home.socket}`" for home in self.homes({}) for pattern in home.patterns]
        return SchemaDescription(self.name, self.server, ", ".join(sessions), self.database)


def plain_text(text: str) -> str | None:
    """Return the text, or None if no database can store it as an id: it is empty or cannot be encoded."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return None
    return text or None
