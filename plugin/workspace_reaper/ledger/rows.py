"""What is remembered, from rows to values and back. Rows are plain tuples in the order of the columns in ``statements``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from workspace_reaper.ledger.json_text import as_json, json_list
from workspace_reaper.ledger.text_type import escape
from workspace_reaper.model.session import SessionKey
from workspace_reaper.model.state import (
    Alarm,
    BreakerState,
    ClockSkew,
    ClockState,
    Confirmation,
    Finding,
    FindingKey,
    RegistryState,
    ServerState,
)
from workspace_reaper.model.workspace import RegistryIdentity

__all__ = [
    "alarm_row",
    "breaker",
    "breaker_row",
    "clock",
    "clock_row",
    "ids_parameter",
    "registry",
    "registry_row",
    "server_row",
    "session_key_row",
    "sight_key_row",
    "sighting_row",
    "sightings",
]

Row = dict[str, Any]

_OWNER_ID = re.compile("[0-9a-f]+")
_SIGHTS = {sight.value: sight for sight in Finding}


def ids_parameter(ids: Iterable[str]) -> str:
    """Workspace ids as the JSON list that ``statements`` take as ``ids``."""
    return as_json([escape(text) for text in ids])


def registry(row: Any) -> RegistryState:
    """From (stamp, generation, place, schema, oldest, total, capped, epoch, clock)."""
    owner_id, generation, place, schema, oldest, total, capped, epoch, clock = row
    if not _OWNER_ID.fullmatch(owner_id):
        raise ValueError(f"{owner_id!r} is not an owner id")
    identity = RegistryIdentity(place, schema, epoch, clock, tuple(json_list(oldest)))
    return RegistryState(owner_id, generation, identity, total, capped)


def registry_row(memory: RegistryState) -> Row:
    """All but the owner id, which is never changed."""
    identity = memory.identity
    return {
        "generation": memory.generation,
        "place": identity.location,
        "schema_name": identity.schema,
        "oldest": as_json(identity.sentinels),
        "total": memory.total,
        "capped": memory.capped,
        "epoch": identity.schema_version,
        "clock": identity.change_counter,
    }


def sightings(rows: Iterable[Any]) -> dict[FindingKey, Confirmation]:
    """From (the five of a session's key, sight, first, last, count, workspace). Raises ``KeyError`` for a sight of a later
    version."""
    return {
        (SessionKey(socket, server_pid, server_start, session_id, created), _SIGHTS[sight]): Confirmation(*seen)
        for socket, server_pid, server_start, session_id, created, sight, *seen in rows
    }


def session_key_row(key: SessionKey) -> Row:
    """The columns that say which session it is."""
    return {
        "socket": key.socket,
        "server_pid": key.server_pid,
        "server_start": key.server_start,
        "session_id": key.session_id,
        "created": key.created,
    }


def sight_key_row(key: FindingKey) -> Row:
    """The columns that say whose sighting it is."""
    return {**session_key_row(key[0]), "sight": key[1].value}


def sighting_row(key: FindingKey, seen: Confirmation) -> Row:
    """All columns of a sighting."""
    row = {"first_at": seen.first_at, "last_at": seen.last_at, "count": seen.count, "workspace_id": seen.workspace_id}
    return {**sight_key_row(key), **row}


def server_row(socket: str, server: ServerState) -> Row:
    """All columns of a server."""
    return {"socket": socket, "pid": server.pid, "start": server.start, "process_start": server.process_start}


def breaker(row: Any) -> BreakerState:
    """From (latched, since, cause, tripped, clear sweeps, excused); None is a breaker that never tripped."""
    if row is None:
        return BreakerState()
    latched, since, cause, tripped, clear_sweeps, excused = row
    return BreakerState(latched, since, cause, _keys(tripped), clear_sweeps, _keys(excused))


def breaker_row(state: BreakerState) -> Row:
    """All columns of the breaker."""
    return {
        "latched": state.latched,
        "since": state.since,
        "cause": state.cause,
        "tripped": _keys_text(state.tripped),
        "clear_sweeps": state.clear_sweeps,
        "excused": _keys_text(state.excused),
    }


def clock(row: Any) -> ClockState:
    """From (boot, started, slept, lapses); None is that of a ledger without any."""
    if row is None:
        return ClockState()
    boot, started, slept, lapses = row
    return ClockState(boot, started, slept, tuple(ClockSkew(at, seconds) for at, seconds in json_list(lapses)))


def clock_row(memory: ClockState) -> Row:
    """All columns of the clocks."""
    lapses = as_json([[lapse.at, lapse.seconds] for lapse in memory.lapses])
    return {"boot": memory.boot, "started": memory.offset, "slept": memory.slept, "lapses": lapses}


def _keys(text: str) -> frozenset[SessionKey]:
    return frozenset(SessionKey(*key) for key in json_list(text))


def _keys_text(keys: Iterable[SessionKey]) -> str:
    return as_json(sorted(keys))


def alarm_row(alarm: Alarm) -> Row:
    """All columns of an alarm."""
    return {"name": alarm.name, "since": alarm.since, "detail": alarm.detail, "clears_when": alarm.clears_when}
