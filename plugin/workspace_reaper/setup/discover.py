"""Databases, tmux sockets and sessions on this machine. Looking changes nothing: it creates no database, socket or server."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from workspace_reaper.model.errors import ConfigurationError
from workspace_reaper.model.session import NO_OWNER
from workspace_reaper.model.unknown import Unknown
from workspace_reaper.policy.session_names import SessionMatcher
from workspace_reaper.registry import Schema, load_schema, open_registry, registry_names
from workspace_reaper.registry.location import is_server, path_of
from workspace_reaper.tmux.sockets import socket_path
from workspace_reaper.tmux.terminal import TmuxTerminal


@dataclass(frozen=True, slots=True)
class InstalledRegistry:
    """A registry, by the name of its entry point: the absolute paths of the sockets with its sessions, and their patterns.

    ``everywhere``: the sockets do not depend on variables of this environment. ``problem``: why it cannot be used.
    """

    registry: str
    homes: Mapping[str, tuple[str, ...]]
    everywhere: bool = True
    problem: str | None = None
    schema: Schema | None = None

    def matching(self, socket: str, names: Iterable[str]) -> dict[str, str]:
        """Return the workspace id of each name that matches; on a socket of another registry by all patterns."""
        if self.schema is None:
            return {}
        patterns = tuple(pattern for some in self.homes.values() for pattern in some)
        matcher = SessionMatcher({socket: self.homes.get(socket, patterns)}, self.schema.canonical)
        found = {name: next(iter(matcher.workspace_ids(socket, name)), None) for name in names}
        return {name: workspace_id for name, workspace_id in found.items() if workspace_id is not None}


@dataclass(frozen=True, slots=True)
class Database:
    """A location where a registry may have its database.

    ``there``: it was read. ``absent``: it does not exist. ``unreadable``: it cannot be read or has other tables, and ``detail``
    says why. ``workspaces`` is the number of rows, up to a limit (``capped``). ``known_sessions`` is the number of running
    sessions that have a row. ``database`` is the path of a file, or with ``is_server`` a URL without its password.
    """

    registry: str
    database: str
    state: Literal["there", "absent", "unreadable"]
    detail: str = ""
    workspaces: int | None = None
    capped: bool = False
    known_sessions: int = 0
    is_server: bool = False


@dataclass(frozen=True, slots=True)
class Socket:
    """A tmux socket with the names of its sessions. ``problem``: why it, or a part of it, could not be read.

    ``answered`` is False if certainly no server is running. ``matching`` are session names by registry; ``elsewhere`` are
    those that match a registry that does not use this socket.
    """

    socket: str
    answered: bool = False
    problem: str | None = None
    sessions: tuple[str, ...] = ()
    matching: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    elsewhere: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Machine:
    """Everything that was found. ``problems`` are sentences about what could not be looked at."""

    registries: tuple[InstalledRegistry, ...] = ()
    databases: tuple[Database, ...] = ()
    sockets: tuple[Socket, ...] = ()
    problems: tuple[str, ...] = ()

    def sessions_of(self, registry: str) -> tuple[str, ...]:
        """Return the sessions on the registry's own sockets that match its patterns."""
        return tuple(name for socket in self.sockets for name in socket.matching.get(registry, ()))


def look_around(environ: Mapping[str, str]) -> Machine:
    """Return what the installed registries may be used with on this machine. Whatever fails is part of the result."""
    registries = [_installed(name, environ) for name in registry_names()]
    paths, problems = _socket_paths(registries, environ)
    sockets = [_look_at(path, registries) for path in paths]
    databases = [
        _database(one.registry, one.schema, location, _ids(one, sockets), environ)
        for one in registries
        if one.schema is not None
        for location in one.schema.places(environ)
    ]
    return Machine(tuple(registries), tuple(databases), tuple(sockets), tuple(problems))


def _installed(name: str, environ: Mapping[str, str]) -> InstalledRegistry:
    try:
        schema = load_schema(name)
        homes = _homes(schema, environ)
        return InstalledRegistry(name, homes, everywhere=homes == _homes(schema, {}), schema=schema)
    except Exception as error:  # noqa: BLE001  a third party's schema may raise anything
        return InstalledRegistry(name, {}, problem=str(error) or type(error).__name__)


def _homes(schema: Schema, environ: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    homes: dict[str, tuple[str, ...]] = {}
    for home in schema.homes(environ):
        path = socket_path(home.socket, environ)
        homes[path] = (*homes.get(path, ()), *home.patterns)
    return homes


def _socket_paths(registries: Iterable[InstalledRegistry], environ: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Return the sockets in tmux's own directory and the existing ones of the registries, and what could not be looked at."""
    problems: list[str] = []
    found = {path for one in registries for path in one.homes if _may_exist(Path(path))}
    try:
        directory = Path(socket_path("default", environ)).parent
        found |= {str(path) for path in directory.iterdir() if _is_socket(path)}
    except FileNotFoundError:  # no tmux has been started since the machine was
        pass
    except ConfigurationError as error:
        problems.append(str(error))
    except OSError as error:
        problems.append(f"the tmux sockets in {directory} cannot be listed ({error.strerror}): run as the user that owns them")
    return sorted(found), problems


def _is_socket(path: Path) -> bool:
    try:
        return stat.S_ISSOCK(path.stat().st_mode)
    except OSError:  # removed meanwhile, or a dangling link
        return False


def _may_exist(path: Path) -> bool:
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:  # tmux will say what is wrong
        return True
    return True


def _look_at(path: str, registries: Iterable[InstalledRegistry]) -> Socket:
    listing = TmuxTerminal(path).observe(NO_OWNER, panes=False)
    if isinstance(listing, Unknown):
        return Socket(path, problem=listing.reason)
    names = tuple(session.name for session in listing.sessions)
    unreadable = " ".join(unknown.reason for unknown in listing.unreadable) or None
    matching: dict[str, tuple[str, ...]] = {}
    elsewhere: dict[str, tuple[str, ...]] = {}
    for one in registries:
        if found := tuple(one.matching(path, names)):
            (matching if path in one.homes else elsewhere)[one.registry] = found
    return Socket(path, listing.answered, unreadable, names, matching, elsewhere)


def _ids(installed: InstalledRegistry, sockets: Sequence[Socket]) -> set[str]:
    """Return the workspaces of the registry's sessions, by their names."""
    return {
        workspace_id
        for socket in sockets
        for workspace_id in installed.matching(socket.socket, socket.matching.get(installed.registry, ())).values()
    }


def _database(name: str, schema: Schema, location: str, ids: set[str], environ: Mapping[str, str]) -> Database:
    server = is_server(location)
    try:
        path = location if server else path_of(location)
        if not server and (missing := _missing(name, path)) is not None:
            return missing
        registry = open_registry(schema, location, environ)
    except ConfigurationError as error:  # it never contains a URL, which may have a password
        return Database(name, "its own database", "unreadable", str(error))
    found = registry.look_up(ids, ())
    if isinstance(found, Unknown):
        return Database(name, registry.location, "unreadable", found.reason, is_server=server)
    return Database(name, registry.location, "there", "", found.total, found.capped, len(found.found), server)


def _missing(registry: str, path: str) -> Database | None:
    """Return None where a file may exist."""
    try:
        Path(path).stat()
    except (FileNotFoundError, NotADirectoryError):
        return Database(registry, path, "absent")
    except OSError as error:
        detail = f"It cannot be inspected ({error.strerror}). Run as the user of the host."
        return Database(registry, path, "unreadable", detail)
    return None
