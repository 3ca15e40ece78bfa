"""Which registry the findings speak for. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from workspace_reaper.setup.discover import Database, Machine

__all__ = ["Choice", "HostCandidate", "choose"]

Strength = Literal["known", "quiet", "unknown"]


@dataclass(frozen=True, slots=True)
class HostCandidate:
    """A database that can be read, and what speaks for it.

    ``known``: sessions of its registry run, and it knows some of them. ``quiet``: none runs now. ``unknown``: some run, and it
    knows none of them, so it may be the wrong one.
    """

    database: Database
    strength: Strength
    sessions: int


@dataclass(frozen=True, slots=True)
class Choice:
    """What is to be configured, None where a person has to say; ``why`` is a sentence. ``others`` fit as well."""

    chosen: HostCandidate | None
    why: str
    others: tuple[HostCandidate, ...] = ()


def choose(machine: Machine) -> Choice:
    """The one registry that fits best. Its database must be there; one that knows a running session fits better than one
    without any session, and one that knows none of its sessions does not fit."""
    candidates = [_candidate(machine, database) for database in _certain(machine.databases)]
    for strength in ("known", "quiet"):
        fitting = [candidate for candidate in candidates if candidate.strength == strength]
        registries = list(dict.fromkeys(candidate.database.registry for candidate in fitting))
        if len(registries) > 1:
            names = " and ".join(registries)
            return Choice(None, f"{names} fit equally well: choose one. Each needs a reaper of its own.", tuple(fitting))
        if fitting:
            # Of several places the present one comes first: that is where the server itself looks.
            others = tuple(candidate for candidate in candidates if candidate is not fitting[0])
            return Choice(fitting[0], _why(fitting[0]), others)
    if candidates:
        first = candidates[0]
        text = f"{first.database.registry} has sessions here, and its database knows none of them: is it the right one?"
        return Choice(None, text, tuple(candidates))
    unreadable = next((database for database in machine.databases if database.state == "unreadable"), None)
    if unreadable is not None:
        text = f"{unreadable.registry}: {unreadable.path} can't be read, so nobody can say whether it is its database."
        return Choice(None, text)
    return Choice(None, "No database of a server that is known by name was found here.")


def _certain(databases: Iterable[Database]) -> Iterator[Database]:
    """Those that can be read. Past a place of the same registry that can't be read the server itself does not guess."""
    uncertain: set[str] = set()
    for database in databases:
        if database.state == "unreadable":
            uncertain.add(database.registry)
        elif database.state == "there" and database.registry not in uncertain:
            yield database


def _candidate(machine: Machine, database: Database) -> HostCandidate:
    sessions = len(machine.sessions_of(database.registry))
    strength: Strength = "known" if database.known else "unknown" if sessions else "quiet"
    return HostCandidate(database, strength, sessions)


def _why(candidate: HostCandidate) -> str:
    registry = candidate.database.registry
    if candidate.strength == "quiet":
        return f"{registry}: its database is here, and none of its sessions runs now."
    return f"{registry}: its database is here, and knows {candidate.database.known} of its {candidate.sessions} sessions."
