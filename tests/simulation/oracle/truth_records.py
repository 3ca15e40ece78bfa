"""What the ledger says, beside which sessions truly ended by our kill. Times are true times (``truth.py``)."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["End", "Identity", "Record"]


@dataclass(frozen=True, slots=True)
class Identity:
    """The identity of a session: no name, and not the id alone, which another server uses again."""

    socket: str
    server_pid: int
    server_started: float
    session_id: str
    created: float


@dataclass(frozen=True, slots=True)
class End:
    """A session that truly ended by our kill. ``workspaces`` are those to which it belonged; the record names one of them."""

    identity: Identity
    workspaces: frozenset[str]
    reason: str
    at: float


@dataclass(frozen=True, slots=True)
class Record:
    """A record of the ledger. ``outcome``: ``open`` while there is only the intent, ``reaped``, ``spared`` or ``failed``.

    ``intended_at`` is when the intent was committed.
    """

    record_id: str
    identity: Identity
    workspace_id: str
    reason: str
    outcome: str
    intended_at: float
