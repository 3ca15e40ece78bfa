"""The statements of the ledger, built once: SQLAlchemy compiles each at its first use and keeps it.

Parameters: ``registry_id`` in each (``of_registry`` in updates, where a column's name means its new value), the columns of
a row in inserts and updates, and the names seen in the conditions.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Float, LargeBinary, Text, bindparam, cast, delete, func, select, update
from sqlalchemy.dialects.sqlite import Insert, insert
from sqlalchemy.sql.elements import ColumnElement

from workspace_reaper.ledger.tables import Base
from workspace_reaper.model.reap import Outcome
from workspace_reaper.model.verdict import Reason

_tables = Base.metadata.tables
registry, workspace, testimony = _tables["registry"], _tables["workspace"], _tables["testimony"]
sighting, server, breaker = _tables["sighting"], _tables["server"], _tables["breaker"]
alarm, event, cpu, clock = _tables["alarm"], _tables["event"], _tables["cpu"], _tables["clock"]
reap, report = _tables["reap"], _tables["report"]


def _of(table: Any) -> ColumnElement[bool]:
    condition: ColumnElement[bool] = table.c.registry_id == bindparam("registry_id")
    return condition


def _upsert(table: Any, *columns: str) -> Insert:
    """Insert a row, or overwrite these columns of the row with the same primary key."""
    statement = insert(table)
    return statement.on_conflict_do_update(
        index_elements=list(table.primary_key.columns),
        set_={column: statement.excluded[column] for column in columns},
    )


# The registry itself.
ENROL = insert(registry).on_conflict_do_nothing()
FIND_REGISTRY = select(
    registry.c.id,
    registry.c.stamp,
    registry.c.generation,
    registry.c.place,
    registry.c.schema_name,
    registry.c.oldest,
    registry.c.total,
    registry.c.capped,
    registry.c.epoch,
    registry.c.clock,
).where(registry.c.name == bindparam("name"), registry.c.location == bindparam("location"))
GENERATION = select(registry.c.generation).where(registry.c.id == bindparam("registry_id"))
UPDATE_REGISTRY = update(registry).where(registry.c.id == bindparam("of_registry"))

# Workspaces. ``ids`` is a JSON list of escaped ids: one statement whatever their number.
_asked = func.json_each(bindparam("ids", type_=Text)).table_valued("value")
WORKSPACES = select(workspace.c.workspace_id, workspace.c.generation, workspace.c.named_generation, workspace.c.worktree).where(
    _of(workspace), workspace.c.workspace_id.in_(select(_asked.c.value))
)
SEE = _upsert(workspace, "generation")
NAME = _upsert(workspace, "named_at", "named_generation")
SET_WORKTREE = _upsert(workspace, "worktree")
TESTIMONY = select(testimony.c.workspace_id, testimony.c.at).where(_of(testimony))
TESTIFY = _upsert(testimony, "at")
SETTLE = delete(testimony).where(_of(testimony), testimony.c.workspace_id == bindparam("workspace_id"))

# What was seen of sessions and servers.
_key = ("socket", "server_pid", "server_start", "session_id", "created")
SIGHTINGS = select(
    *(sighting.c[column] for column in (*_key, "sight", "first_at", "last_at", "count", "workspace_id")),
).where(_of(sighting))
SIGHT = _upsert(sighting, "first_at", "last_at", "count", "workspace_id")
FORGET = delete(sighting).where(_of(sighting), *(sighting.c[column] == bindparam(column) for column in (*_key, "sight")))
SERVERS = select(server.c.socket, server.c.pid, server.c.start, server.c.process_start).where(_of(server))
SERVE = _upsert(server, "pid", "start", "process_start")
UNSERVE = delete(server).where(_of(server), server.c.socket == bindparam("socket"))
CPU = select(cpu.c.at, cpu.c.samples).where(_of(cpu))
SET_CPU = _upsert(cpu, "at", "samples")
_read = ("boot", "started", "slept", "lapses")
CLOCK = select(*(clock.c[column] for column in _read)).where(_of(clock))
SET_CLOCK = _upsert(clock, *_read)

# The reaper's own state.
_state = ("latched", "since", "cause", "tripped", "clear_sweeps", "excused")
BREAKER = select(*(breaker.c[column] for column in _state)).where(_of(breaker))
SET_BREAKER = _upsert(breaker, *_state)
ALARMS = select(alarm.c.name, alarm.c.since, alarm.c.detail, alarm.c.clears_when).where(_of(alarm))
CLEAR_ALARMS = delete(alarm).where(_of(alarm))
RAISE_ALARM = insert(alarm)
RECORD_EVENT = insert(event)
EVENTS = (
    select(event.c.at, event.c.kind, event.c.detail).where(_of(event)).order_by(event.c.id.desc()).limit(bindparam("limit"))
)

# Reaps.
_intent = (
    *(reap.c[column] for column in ("reap_id", "sweep_id", "at", *_key)),
    *(reap.c[column] for column in ("session", "workspace_id", "reason", "evidence", "boot", "worktree", "processes")),
)
_end = ("why", "freed_bytes", "ended", "survivors", "freed_ports", "held_ports", "snapshot")
_told = select(*_intent, reap.c.outcome, *(reap.c[column] for column in _end)).where(_of(reap))
INTEND = insert(reap)
CONCLUDE = (
    update(reap)
    .where(
        reap.c.registry_id == bindparam("of_registry"),
        reap.c.reap_id == bindparam("concluded_id"),
        reap.c.outcome == Outcome.OPEN.value,
    )
    .values({column: bindparam(column) for column in ("outcome", "concluded_at", *_end)})
)
OUTCOME = select(reap.c.outcome).where(_of(reap), reap.c.reap_id == bindparam("reap_id"))
OPEN_INTENTS = select(*_intent).where(_of(reap), reap.c.outcome == Outcome.OPEN.value).order_by(reap.c.seq)
_reaped_since = (_of(reap), reap.c.outcome == Outcome.REAPED.value, reap.c.concluded_at > bindparam("since"))
REAPED_SINCE = (
    select(reap.c.socket, reap.c.session, reap.c.concluded_at)
    .where(*_reaped_since, reap.c.workspace_id.in_(select(_asked.c.value)))
    .order_by(reap.c.concluded_at)
)
ORPHANS_SINCE = select(func.count()).where(*_reaped_since, reap.c.reason == Reason.ORPHAN.value)
HISTORY = _told.order_by(reap.c.seq.desc()).limit(bindparam("limit"))
FIND = _told.where(reap.c.reap_id == bindparam("reap_id"))

# Reports.
_saved = insert(report)
SAVE_REPORT = _saved.on_conflict_do_update(
    index_elements=["registry_id"],
    set_={
        "at": _saved.excluded.at,
        "complete_at": func.coalesce(_saved.excluded.complete_at, report.c.complete_at),
        **{column: _saved.excluded[column] for column in ("head", "sessions_of", "sessions")},
    },
)
TOUCH_REPORT = (
    update(report)
    .where(report.c.registry_id == bindparam("of_registry"), report.c.sessions_of == bindparam("same"))
    .values(
        at=bindparam("now"),
        complete_at=func.coalesce(bindparam("complete_now", type_=Float), report.c.complete_at),
        head=bindparam("new_head"),
    )
)
# Of a number Python would make as many bytes as it says.
LAST_REPORT = select(
    cast(report.c.head, LargeBinary).label("head"), cast(report.c.sessions, LargeBinary).label("sessions")
).where(_of(report))
LAST_COMPLETE = select(report.c.complete_at).where(_of(report))
