"""What a schema has to say of a host: where its sessions live, where its database is, and what its tables mean.

A third party subclasses `Schema`, puts one instance behind an entry point of the group ``workspace_reaper.registries``,
and writes no SQL: it names column expressions (`WorkspaceColumns`), from which every statement of a look-up is built.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workspace_reaper.model.errors import ConfigurationError

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Table

__all__ = ["Home", "Schema", "WorkspaceColumns", "plain_text"]


@dataclass(frozen=True, slots=True)
class Home:
    """Where sessions of this host live.

    ``socket`` is a tmux socket's name (``tmux -L``) or an absolute path (``tmux -S``). Each of ``patterns`` is a regular
    expression that matches the whole name of a session and holds the workspace id in a group ``id``.
    """

    socket: str
    patterns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WorkspaceColumns:
    """Column expressions that tell a workspace, all from one table or correlated to it.

    ``id`` must be indexed, or a look-up reads the whole table. Flags give 0 or 1, false or true, or NULL for "never set";
    what a host does not know stays None. ``unique`` False says that several rows may name the same workspace, which then is
    known while one of them is there.
    """

    id: ColumnElement[str]
    archived: ColumnElement[Any] | None = None
    pinned: ColumnElement[Any] | None = None
    running: ColumnElement[Any] | None = None
    deleted: ColumnElement[Any] | None = None
    worktree_deleted: ColumnElement[Any] | None = None
    worktree: ColumnElement[Any] | None = None
    unique: bool = True


class Schema(ABC):
    """One kind of host. Its methods only tell; none of them opens a database."""

    name: str
    """Stable, and part of the registry's identity: a new name needs a new proof that it is the right registry."""

    optional: frozenset[str] = frozenset()
    """``table.column`` of the columns that a database may lack. All others of `tables` must be there."""

    reuses_ids: bool = False
    """Whether the next workspace may have the id of one that is gone. Then what is known of an id proves nothing of a session
    that was never seen together with a row."""

    @property
    def identity(self) -> str:
        """What a reader has to have in common with the one before to be the same registry: the name, if nothing else."""
        return self.name

    @property
    def remedy(self) -> str:
        """What to do where a database is not as this schema says."""
        return f"it is not the database of a {self.name} host that we know. Set database_url or registry"

    @property
    @abstractmethod
    def tables(self) -> Sequence[Table]:
        """The tables that are read, each with just the columns that matter."""

    @abstractmethod
    def facts(self, absent: frozenset[str]) -> WorkspaceColumns:
        """What a look-up selects. ``absent`` are those of `optional` that this database lacks: they can't be named."""

    @abstractmethod
    def homes(self, environ: Mapping[str, str]) -> tuple[Home, ...]:
        """The tmux sockets of this host, and what its sessions are called there."""

    @abstractmethod
    def default_database(self, environ: Mapping[str, str]) -> str:
        """The path (or the URL) of the host's database where nothing else is configured.

        ``ConfigurationError`` if a place can't be inspected, or there are several possible places and none has one.
        """

    def places(self, environ: Mapping[str, str]) -> Sequence[str]:
        """Every place where the host keeps its database or kept it in the past, the present one first. None where that can't
        be told. Nothing is looked at but what `default_database` looks at."""
        try:
            return (self.default_database(environ),)
        except ConfigurationError:
            return ()

    @abstractmethod
    def canonical(self, text: str) -> str | None:
        """The canonical workspace id, or None if this can't be one. A canonical id is its own canonical id."""


def plain_text(text: str) -> str | None:
    """The text itself, or None where no database could hold it as an id: empty, or not encodable."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return None
    return text or None
