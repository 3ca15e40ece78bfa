"""What was found on a machine: plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["Database", "Kind", "Machine", "Socket"]


@dataclass(frozen=True, slots=True)
class Kind:
    """A registry that is installed: where it says its sessions live (absolute socket paths with patterns), or why it can't be
    used. ``everywhere``: its homes are the same without this environment's variables."""

    registry: str
    homes: Mapping[str, tuple[str, ...]]
    everywhere: bool = True
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Database:
    """A place where a registry may have its database.

    ``there``: it was read. ``absent``: nothing is there. ``unreadable``: it can't be inspected or is no such database, and
    ``detail`` says why. ``rows`` counts workspaces up to a bound (``capped``); ``known`` are those of the registry's sessions
    that it has a row for. ``path`` is a file's, or with ``is_server`` a URL without its password.
    """

    registry: str
    path: str
    state: Literal["there", "absent", "unreadable"]
    detail: str = ""
    rows: int = 0
    capped: bool = False
    known: int = 0
    is_server: bool = False


@dataclass(frozen=True, slots=True)
class Socket:
    """A tmux socket: the names of its sessions, or why it can't be told (``problem``).

    ``answered`` is False where certainly no server listens. ``matching`` are session names by the registry whose sessions they
    are; ``elsewhere`` those that are named like a registry's on a socket that this registry does not use.
    """

    path: str
    answered: bool = False
    problem: str | None = None
    sessions: tuple[str, ...] = ()
    matching: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    elsewhere: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Machine:
    """All of it. ``problems`` are sentences about what could not be looked at."""

    kinds: tuple[Kind, ...] = ()
    databases: tuple[Database, ...] = ()
    sockets: tuple[Socket, ...] = ()
    problems: tuple[str, ...] = ()

    def sessions_of(self, registry: str) -> tuple[str, ...]:
        """The sessions on the registry's own sockets that match its patterns."""
        return tuple(name for socket in self.sockets for name in socket.matching.get(registry, ()))
