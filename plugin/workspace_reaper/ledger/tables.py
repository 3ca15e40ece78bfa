"""The tables of the ledger. Times are Unix seconds (UTC). What the file really holds is made by ``migrations``.

The base has a registry of its own: a host may itself be built on SQLModel, and its tables and ours must never meet.
"""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Index, LargeBinary, UniqueConstraint
from sqlalchemy.orm import registry as orm_registry
from sqlmodel import Field, SQLModel

from workspace_reaper.ledger.text_type import SafeText

__all__ = [
    "AlarmRow",
    "Base",
    "BreakerRow",
    "ClockRow",
    "CpuRow",
    "EventRow",
    "ReapRow",
    "RegistryRow",
    "ReportRow",
    "ServerRow",
    "SightingRow",
    "TestimonyRow",
    "WorkspaceRow",
]

_CLUSTERED = {"sqlite_with_rowid": False}


class Base(SQLModel, registry=orm_registry()):
    """The base of these tables and of no other."""


class RegistryRow(Base, table=True):
    """A configured registry: all other tables are scoped by its ``id``. ``oldest`` is a JSON list of workspace ids."""

    __tablename__ = "registry"
    __table_args__ = (UniqueConstraint("name", "location"),)

    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(sa_type=SafeText)
    location: str = Field(sa_type=SafeText)
    stamp: str = Field(sa_type=SafeText)
    generation: int
    place: str = Field(sa_type=SafeText)
    schema_name: str = Field(sa_type=SafeText)
    oldest: str = Field(sa_type=SafeText)
    total: int
    capped: bool
    epoch: str | None = Field(sa_type=SafeText)
    clock: int | None


class WorkspaceRow(Base, table=True):
    """A workspace that the registry has known: the generation that last recognised it; when a hook last named it, and under
    which generation; the directory that its row last named."""

    __tablename__ = "workspace"
    __table_args__ = _CLUSTERED

    registry_id: int = Field(primary_key=True)
    workspace_id: str = Field(primary_key=True, sa_type=SafeText)
    generation: int | None
    named_at: float | None
    named_generation: int | None
    worktree: str | None = Field(sa_type=SafeText)


class TestimonyRow(Base, table=True):
    """A workspace that a hook named as deleted, until that is settled."""

    __tablename__ = "testimony"
    __table_args__ = _CLUSTERED

    registry_id: int = Field(primary_key=True)
    workspace_id: str = Field(primary_key=True, sa_type=SafeText)
    at: float


class SightingRow(Base, table=True):
    """What earlier full sweeps saw of a session. The first columns are those of ``SessionKey``, in its order."""

    __tablename__ = "sighting"
    __table_args__ = _CLUSTERED

    registry_id: int = Field(primary_key=True)
    socket: str = Field(primary_key=True, sa_type=SafeText)
    server_pid: int = Field(primary_key=True)
    server_start: int = Field(primary_key=True)
    session_id: str = Field(primary_key=True, sa_type=SafeText)
    created: int = Field(primary_key=True)
    sight: str = Field(primary_key=True, sa_type=SafeText)
    first_at: float
    last_at: float
    count: int
    workspace_id: str | None = Field(sa_type=SafeText)


class ServerRow(Base, table=True):
    """A tmux server that had sessions in the last full sweep."""

    __tablename__ = "server"
    __table_args__ = _CLUSTERED

    registry_id: int = Field(primary_key=True)
    socket: str = Field(primary_key=True, sa_type=SafeText)
    pid: int
    start: int
    process_start: float | None


class BreakerRow(Base, table=True):
    """The breaker. ``tripped`` and ``excused`` are JSON lists of session keys, each a list in the order of ``SessionKey``."""

    __tablename__ = "breaker"

    registry_id: int = Field(primary_key=True)
    latched: bool
    since: float | None
    cause: str = Field(sa_type=SafeText)
    tripped: str = Field(sa_type=SafeText)
    clear_sweeps: int
    excused: str = Field(sa_type=SafeText)


class AlarmRow(Base, table=True):
    """An alarm that is on."""

    __tablename__ = "alarm"
    __table_args__ = _CLUSTERED

    registry_id: int = Field(primary_key=True)
    name: str = Field(primary_key=True, sa_type=SafeText)
    since: float
    detail: str = Field(sa_type=SafeText)
    clears_when: str = Field(sa_type=SafeText)


class ClockRow(Base, table=True):
    """The machine's clocks, by the last full sweep that found them changed. ``started`` is the wall clock less the time since
    the machine's start, ``slept`` how much of that it slept; ``lapses`` is a JSON list of [at, seconds]."""

    __tablename__ = "clock"

    registry_id: int = Field(primary_key=True)
    boot: str = Field(sa_type=SafeText)
    started: float | None
    slept: float
    lapses: str = Field(sa_type=SafeText)


class CpuRow(Base, table=True):
    """CPU time of the sessions in the last full sweep that took samples. ``samples`` is JSON as ``samples`` writes it.

    An update that moves ``at`` alone writes one page: of a row that spans several, SQLite writes those that change (3.24 on,
    as is upsert; 1,000 samples take 25).
    """

    __tablename__ = "cpu"

    registry_id: int = Field(primary_key=True)
    at: float | None
    samples: str = Field(sa_type=SafeText)


class EventRow(Base, table=True):
    """Something that happened to the reaper itself. Triggers refuse to change or delete a row."""

    __tablename__ = "event"

    id: int | None = Field(default=None, primary_key=True)
    registry_id: int
    at: float
    kind: str = Field(sa_type=SafeText)
    detail: str = Field(sa_type=SafeText)


class ReapRow(Base, table=True):
    """An intent and its outcome. Triggers refuse to delete a row, to change an intent, or to change a written outcome.

    ``evidence``, ``processes``, ``ended``, ``survivors`` and both columns of ports are JSON as ``reap_codec`` writes it.
    ``snapshot`` is NULL where the panes were kept, else why they were not.
    """

    __tablename__ = "reap"
    __table_args__ = (
        UniqueConstraint("reap_id"),
        CheckConstraint("outcome IN ('open', 'reaped', 'spared', 'failed')"),
        CheckConstraint("(outcome = 'open') = (concluded_at IS NULL)"),
        Index("reap_by_outcome", "outcome", "registry_id", "concluded_at"),
    )

    seq: int | None = Field(default=None, primary_key=True)
    registry_id: int
    reap_id: str = Field(sa_type=SafeText)
    sweep_id: str = Field(sa_type=SafeText)
    at: float
    socket: str = Field(sa_type=SafeText)
    server_pid: int
    server_start: int
    session_id: str = Field(sa_type=SafeText)
    created: int
    session: str = Field(sa_type=SafeText)
    workspace_id: str = Field(sa_type=SafeText)
    reason: str = Field(sa_type=SafeText)
    evidence: str = Field(sa_type=SafeText)
    boot: str = Field(sa_type=SafeText)
    worktree: str | None = Field(sa_type=SafeText)
    processes: str = Field(sa_type=SafeText)
    outcome: str = Field(sa_type=SafeText)
    concluded_at: float | None
    why: str | None = Field(sa_type=SafeText)
    freed_bytes: int | None
    ended: str = Field(sa_type=SafeText)
    survivors: str = Field(sa_type=SafeText)
    freed_ports: str = Field(sa_type=SafeText)
    held_ports: str = Field(sa_type=SafeText)
    snapshot: str | None = Field(sa_type=SafeText)


class ReportRow(Base, table=True):
    """The last full report, JSON as UTF-8, in two parts: ``head``, and ``sessions`` as of the sweep ``sessions_of``. Not
    compressed: with 400 KB that took four times as long as writing it."""

    __tablename__ = "report"

    registry_id: int = Field(primary_key=True)
    at: float
    complete_at: float | None
    head: bytes = Field(sa_type=LargeBinary)
    sessions_of: str = Field(sa_type=SafeText)
    sessions: bytes = Field(sa_type=LargeBinary)
