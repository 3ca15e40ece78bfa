"""The values that the reaper's hooks carry, all frozen, and the checks of a host's arguments."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone


@dataclass(frozen=True, slots=True)
class Candidate:
    """A tmux session that a reaper is about to end.

    Attributes:
        reap_id: The reap's id in the reaper's log and history, or None if it has none yet.
        socket: The absolute path of the tmux socket.
        session: The session's name.
        session_id: The session's tmux id, such as ``$3``.
        workspace_id: The workspace's id in the host's canonical text form.
        reason: The reaper's reason, such as ``deleted``, ``archived``, ``orphan`` or ``idle``.
        deadline: None if the session is to be ended at once. Otherwise the session is only announced now, and is ended at this
            time (aware, in UTC) at the earliest; plugins are asked again before that.
        host: The name of the workspace server, where the reaper serves several; else None.
    """

    reap_id: str | None
    socket: str
    session: str
    session_id: str
    workspace_id: str
    reason: str
    deadline: datetime | None
    host: str | None = None


@dataclass(frozen=True, slots=True)
class Reaped:
    """A tmux session that a reaper has ended. All plugins receive the same object and must not change it.

    Attributes:
        id: The reap's id in the reaper's log and history.
        at: When the reap began (aware, in UTC).
        socket: As in :class:`Candidate`.
        session: As in :class:`Candidate`.
        workspace_id: As in :class:`Candidate`.
        reason: As in :class:`Candidate`.
        outcome: Always ``reaped``.
        freed_bytes: The memory that the session's processes had used, or None if unknown.
        survivors: The session's processes that still run, each as ``{"pid": int, "command": str, "why": str}``.
        ended: The session's processes that ended, each as
            ``{"pid": int, "command": str, "signal": "HUP" | "TERM" | "KILL"}``.
        restorable: Whether the session's panes were saved, so that the reaper can show and restore them.
        host: As in :class:`Candidate`.
    """

    id: str
    at: datetime
    socket: str
    session: str
    workspace_id: str
    reason: str
    outcome: str
    freed_bytes: int | None
    # Excluded from the repr, which is logged if a plugin raises: there may be hundreds, and command lines are private.
    survivors: tuple[Mapping[str, object], ...] = field(repr=False)
    ended: tuple[Mapping[str, object], ...] = field(repr=False)
    restorable: bool
    host: str | None = None


@dataclass(frozen=True, slots=True)
class ReaperAlarm:
    """A condition that keeps a reaper from its work, or that needs attention, from its beginning to its end.

    Attributes:
        name: The alarm's name for programs, such as ``blind``, ``breaker`` or ``overdue``. At most one alarm of a name is
            active at a time.
        since: When the alarm began (aware, in UTC).
        detail: What is wrong, as a sentence, at the time of firing.
        clears_when: The condition that ends the alarm, as a sentence.
        ended_at: When the alarm ended (aware, in UTC), or None while it is active.
    """

    name: str
    since: datetime
    detail: str
    clears_when: str
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Veto:
    """A plugin's veto, as :meth:`WorkspacePlugins.ask_vetoes` returns it.

    Attributes:
        plugin: The plugin's name.
        session: The name of the session to hold back, on every socket that has one. None if the plugin gave no usable answer,
            which is a veto of all candidates.
        reason: The plugin's reason, or what it did instead of answering.
    """

    plugin: str
    session: str | None
    reason: str


def is_workspace_id(value: object) -> bool:
    """Return whether the value is non-blank text."""
    return isinstance(value, str) and bool(value) and not value.isspace()


def to_utc(value: object) -> datetime | None:
    """Convert an aware datetime to UTC. Return None for anything else, and for a time that UTC cannot express."""
    with suppress(Exception):  # a host's tzinfo may raise anything
        if isinstance(value, datetime) and value.utcoffset() is not None:
            return value.astimezone(timezone.utc)
    return None
