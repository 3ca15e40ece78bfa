"""Looks at the machine, and changes nothing on it: no database, no socket and no tmux server comes into being."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import Literal

from workspace_reaper.model.errors import ConfigurationError
from workspace_reaper.model.session import NO_OWNER
from workspace_reaper.model.unknown import Unknown
from workspace_reaper.policy.session_names import SessionMatcher
from workspace_reaper.registry import GROUP, Schema, load_schema, open_registry
from workspace_reaper.registry.location import is_server, path_of
from workspace_reaper.tmux import TmuxTerminal, socket_path

__all__ = ["Database", "FoundBy", "Machine", "Socket", "look_around"]


def look_around(environ: Mapping[str, str]) -> Machine:
    """The databases, sockets and sessions that the installed registries may have to do with. Raises for none of them."""
    schemas, kinds = _schemas(environ)
    paths, problems = _socket_paths(kinds, environ)
    sockets = [_look_at(path, schemas, kinds) for path in paths]
    homes = {kind.registry: kind.homes for kind in kinds}
    databases = [
        _database(name, schema, place, _ids(name, schema, sockets, homes[name]), environ)
        for name, schema in schemas.items()
        for place in schema.places(environ)
    ]
    return Machine(tuple(kinds), tuple(databases), tuple(sockets), tuple(problems))


def _schemas(environ: Mapping[str, str]) -> tuple[dict[str, Schema], list[FoundBy]]:
    """Those that can be used, by the name of their entry point, which is what a configuration says; and all."""
    schemas: dict[str, Schema] = {}
    kinds: list[FoundBy] = []
    for name in sorted({point.name for point in entry_points(group=GROUP)}):
        try:
            schema = load_schema(name)
            homes = _homes(schema, environ)
            kinds.append(FoundBy(name, homes, everywhere=homes == _homes(schema, {})))
        except Exception as error:  # noqa: BLE001  a third party's schema may raise anything
            kinds.append(FoundBy(name, {}, problem=str(error) or type(error).__name__))
        else:
            schemas[name] = schema
    return schemas, kinds


def _homes(schema: Schema, environ: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    homes: dict[str, tuple[str, ...]] = {}
    for home in schema.homes(environ):
        path = socket_path(home.socket, environ)
        homes[path] = (*homes.get(path, ()), *home.patterns)
    return homes


def _socket_paths(kinds: Iterable[FoundBy], environ: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """The sockets in tmux's own directory, and those of the registries that are there; with what could not be looked at."""
    problems: list[str] = []
    found: set[str] = set()
    try:
        directory = Path(socket_path("default", environ)).parent
        found = {str(place) for place in directory.iterdir() if _is_socket(place)}
    except FileNotFoundError:  # no tmux since the machine was started
        pass
    except ConfigurationError as error:
        problems.append(str(error))
    except OSError as error:
        problems.append(f"The tmux sockets in {directory} can't be listed ({error.strerror}): run as the user that owns them.")
    homes = {path for kind in kinds for path in kind.homes}
    return sorted(found | {path for path in homes if _is_something(Path(path))}), problems


def _is_socket(place: Path) -> bool:
    try:
        return stat.S_ISSOCK(place.stat().st_mode)
    except OSError:  # gone since, or a link to nowhere: no socket of tmux
        return False


def _is_something(place: Path) -> bool:
    """Whether anything may be there: what can't be looked at is told by tmux, and not skipped."""
    try:
        place.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def _look_at(path: str, schemas: Mapping[str, Schema], kinds: Sequence[FoundBy]) -> Socket:
    listing = TmuxTerminal(path).observe(NO_OWNER, panes=False)
    if isinstance(listing, Unknown):
        return Socket(path, problem=listing.reason)
    names = tuple(session.name for session in listing.sessions)
    unreadable = " ".join(unknown.reason for unknown in listing.unreadable) or None
    at_home: dict[str, tuple[str, ...]] = {}
    elsewhere: dict[str, tuple[str, ...]] = {}
    for kind in kinds:
        everywhere = tuple(pattern for patterns in kind.homes.values() for pattern in patterns)
        if kind.registry in schemas:
            known = SessionMatcher({path: kind.homes.get(path, everywhere)}, schemas[kind.registry].canonical)
            matching = tuple(name for name in names if known.workspace_id(path, name) is not None)
            if matching:
                (at_home if path in kind.homes else elsewhere)[kind.registry] = matching
    return Socket(path, listing.answered, unreadable, names, at_home, elsewhere)


def _ids(name: str, schema: Schema, sockets: Sequence[Socket], homes: Mapping[str, tuple[str, ...]]) -> set[str]:
    """The workspaces that the registry's sessions say they belong to."""
    names = SessionMatcher(homes, schema.canonical)
    found = (names.workspace_id(one.path, session) for one in sockets for session in one.matching.get(name, ()))
    return set(filter(None, found))


def _database(name: str, schema: Schema, place: str, ids: set[str], environ: Mapping[str, str]) -> Database:
    server = is_server(place)
    try:
        path = place if server else path_of(place)
        if not server and (missing := _missing(name, path)) is not None:
            return missing
        registry = open_registry(schema, place, environ)
    except ConfigurationError as error:  # it never repeats a URL, which may hold a password
        return Database(name, "its own database", "unreadable", str(error))
    answer = registry.look_up(ids, ())
    if isinstance(answer, Unknown):
        return Database(name, registry.location, "unreadable", answer.reason, is_server=server)
    return Database(
        name,
        registry.location,
        "there",
        rows=answer.total,
        capped=answer.capped,
        known=len(answer.found),
        is_server=server,
    )


def _missing(registry: str, place: str) -> Database | None:
    """None where a file may be."""
    try:
        Path(place).stat()
    except (FileNotFoundError, NotADirectoryError):
        return Database(registry, place, "absent")
    except OSError as error:
        return Database(registry, place, "unreadable", f"It can't be inspected ({error.strerror}). Run as the host's user.")
    return None


@dataclass(frozen=True, slots=True)
class FoundBy:
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

    kinds: tuple[FoundBy, ...] = ()
    databases: tuple[Database, ...] = ()
    sockets: tuple[Socket, ...] = ()
    problems: tuple[str, ...] = ()

    def sessions_of(self, registry: str) -> tuple[str, ...]:
        """The sessions on the registry's own sockets that match its patterns."""
        return tuple(name for socket in self.sockets for name in socket.matching.get(registry, ()))
