"""Which of the registries that were found is the one to configure. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from workspace_reaper.setup.discover import Database, Machine

Strength = Literal["known", "quiet", "unknown"]


@dataclass(frozen=True, slots=True)
class HostCandidate:
    """A database that can be read, and how well it fits.

    ``known``: sessions of its registry are running, and it has rows of some. ``quiet``: no session is running. ``unknown``:
    sessions are running, but it has a row of none, so it may be the wrong database.
    """

    database: Database
    strength: Strength
    sessions: int


@dataclass(frozen=True, slots=True)
class Choice:
    """The chosen registry, or None if a person has to choose. ``why`` is a sentence. ``others`` are the alternatives."""

    chosen: HostCandidate | None
    why: str
    others: tuple[HostCandidate, ...] = ()


def choose(machine: Machine) -> Choice:
    """Return the registry that fits best, if exactly one does.

    Its database must exist. One with rows of running sessions fits better than one without any session. One that has no row
    of its running sessions does not fit.
    """
    candidates = [_candidate(machine, database) for database in _certain(machine.databases)]
    for strength in ("known", "quiet"):
        fitting = [candidate for candidate in candidates if candidate.strength == strength]
        registries = list(dict.fromkeys(candidate.database.registry for candidate in fitting))
        if len(registries) > 1:
            names = " and ".join(registries)
            return Choice(None, f"{names} fit equally well: choose one. Each requires its own reaper.", tuple(fitting))
        if fitting:
            # A registry lists the current location of its database before older ones.
            others = tuple(candidate for candidate in candidates if candidate is not fitting[0])
            return Choice(fitting[0], _why(fitting[0]), others)
    if candidates:
        name = candidates[0].database.registry
        text = f"{name} has running sessions, but its database has no row of them: is it the right database?"
        return Choice(None, text, tuple(candidates))
    for database in machine.databases:
        if database.state == "unreadable":
            return Choice(None, f"{database.registry}: {database.database} cannot be read, so it is unknown whether it fits.")
    return Choice(None, "No database of a supported server was found.")


def _certain(databases: Iterable[Database]) -> Iterator[Database]:
    """Yield the readable ones, except those after an unreadable location of the same registry, which may be the right one."""
    uncertain: set[str] = set()
    for database in databases:
        if database.state == "unreadable":
            uncertain.add(database.registry)
        elif database.state == "there" and database.registry not in uncertain:
            yield database


def _candidate(machine: Machine, database: Database) -> HostCandidate:
    sessions = len(machine.sessions_of(database.registry))
    strength: Strength = "known" if database.known_sessions else "unknown" if sessions else "quiet"
    return HostCandidate(database, strength, sessions)


def _why(candidate: HostCandidate) -> str:
    database, sessions = candidate.database, candidate.sessions
    rows = f"has {database.known_sessions} of its {sessions} sessions" if sessions else "none of its sessions is running"
    return f"{database.registry}: its database was found, and {rows}."
