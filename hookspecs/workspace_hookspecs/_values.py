"""What the hooks of the reaper carry: plain, frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Candidate:
    """A tmux session that a reaper is about to end.

    ``socket`` is the absolute path of its tmux socket, ``session`` its name, ``session_id`` tmux's ``$n``. ``workspace_id`` is
    in the host's canonical text form. ``reason`` is the reaper's own word for it, such as ``deleted``, ``archived``,
    ``orphan`` or ``idle``. ``reap_id`` names the reap in the reaper's log and history, where it has a name already.

    ``deadline`` is aware, in UTC, and None for a session that goes at once. Otherwise the session is only announced now, and
    goes then; plugins are asked about it again.
    """

    reap_id: str | None
    socket: str
    session: str
    session_id: str
    workspace_id: str
    reason: str
    deadline: datetime | None


@dataclass(frozen=True, slots=True)
class Reaped:
    """A tmux session that a reaper has ended. All plugins get the same object: change nothing in it.

    ``id`` names the reap in the reaper's log and history. ``at`` is when it was begun: aware, in UTC. ``socket``, ``session``,
    ``workspace_id`` and ``reason`` are those of :class:`Candidate`. ``outcome`` is always ``reaped``.

    ``freed_bytes`` is the memory that its processes had held, None where that is not known. ``survivors`` are processes of the
    session that live on, each as ``{"pid": int, "command": str, "why": str}``; ``ended`` those that ended, each as
    ``{"pid": int, "command": str, "signal": "HUP" | "TERM" | "KILL"}``. ``restorable``: its panes were kept before it was
    ended, and the reaper can show them and bring them back.
    """

    id: str
    at: datetime
    socket: str
    session: str
    workspace_id: str
    reason: str
    outcome: str
    freed_bytes: int | None
    # Not in the repr, which is logged when a plugin raises: there may be hundreds, and a command line is nobody's business.
    survivors: tuple[Mapping[str, object], ...] = field(repr=False)
    ended: tuple[Mapping[str, object], ...] = field(repr=False)
    restorable: bool


@dataclass(frozen=True, slots=True)
class ReaperAlarm:
    """Something that keeps a reaper from its work, or that somebody should know: it begins, and it is over once its cause is.

    ``name`` is the reaper's own word for it, fit for a program, such as ``blind``, ``breaker`` or ``overdue``; at most one
    alarm of a name is on at a time. ``since`` is when it began: aware, in UTC. ``detail`` is what is wrong and ``clears_when``
    what ends it, both for a person; ``detail`` is as it was when it is told. ``ended_at`` is aware, in UTC, and None while
    the alarm is on.
    """

    name: str
    since: datetime
    detail: str
    clears_when: str
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Veto:
    """What :meth:`WorkspacePlugins.ask_vetoes` returns: a plugin's word against a candidate, and its reason.

    ``session`` is the candidate's name; a veto holds it on each socket where it stands. None: the plugin gave no usable answer,
    which counts as a veto of all candidates, and ``reason`` says what it did instead.
    """

    plugin: str
    session: str | None
    reason: str
