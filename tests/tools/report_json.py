"""The JSON of a report, field by field, as the unit tests expect it. The tests of the command line compare names and types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.tools.builders import SOCKET

__all__ = ["ABSENCE", "CLEANUP", "ENTRY", "EVIDENCE", "HISTORY", "REPORT", "ROW", "shape"]

ROW: Mapping[str, Any] = {"archived": True, "pinned": False, "running": True, "deleted": False, "worktree_deleted": False}

EVIDENCE: Mapping[str, Any] = {
    "attached": 0,
    "idle_seconds": 79_200,
    "idle_by": "output",
    "age_seconds": 604_800,
    "row": None,
    "confirmations": 2,
    "proven": True,
    "kept": False,
    "panes_dead": False,
    "reported_event": None,
    "cpu_idle_seconds": None,
    "announced": None,
    "veto": None,
}

ABSENCE: Mapping[str, Any] = {
    "generation": 0,
    "known_in_generation": None,
    "owner": "none",
    "knows_other_sessions": False,
    "breaker": "closed",
    "approved": False,
    "directory": None,
    "directory_says": None,
    "witnessed": 0,
    "doubtful": False,
}
"""What the evidence has in addition where there is no row."""

ENTRY: Mapping[str, Any] = {
    "socket": SOCKET,
    "session": "ws_w1",
    "session_id": "$1",
    "workspace_id": "w1",
    "verdict": "reap",
    "reason": "orphan",
    "protected_by": None,
    "outcome": "reaped",
    "reap_id": "01JDR",
    "deadline": None,
    "released_when": None,
    "evidence": {**EVIDENCE, **ABSENCE},
}

CLEANUP: Mapping[str, Any] = {
    "freed_bytes": 4096,
    "ended": [{"pid": 6, "command": r"sh\x1b", "signal": "TERM"}],
    "survivors": [{"pid": 7, "command": r"sh\x1b", "why": "why"}],
    "freed_ports": ["tcp 3000"],
    "held_ports": ["udp 53"],
    "restorable": True,
}
"""What an entry has in addition once its session is reaped."""

REPORT: Mapping[str, Any] = {
    "sweep": "01JDQ",
    "started_at": "2026-09-21T14:13:20Z",
    "dry_run": False,
    "complete": False,
    "abstained": None,
    "unknown": [
        {"socket": SOCKET, "error": r"the activity of ws_w5\x1b is empty", "source": "session", "session": r"ws_w5\x1b"},
        {"socket": None, "error": r"the database is\nlocked", "source": "registry", "session": None},
    ],
    "totals": {
        "managed": 6,
        "condemned": 3,
        "held": 2,
        "reaped": 1,
        "spared": 1,
        "failed": 1,
        "unmanaged": 7,
        "other_owner": 0,
        "freed_bytes": 812_433_408,
    },
    "vetoes": [],
    "clock": {"stepped_seconds": 0},
    "breaker": {"state": "latched"},
    "registry": {"identity": "standard file 1", "generation": 1, "rows": 8, "rows_capped": False},
    "seconds": {"observe": 0.0123, "look_up": 0.002, "judge": 0.001, "kill": 0.5, "total": 0.6},
}
"""All but ``sessions``."""

HISTORY: Mapping[str, Any] = {
    "id": "reap 1",
    "at": "2026-09-21T14:12:20Z",
    "socket": SOCKET,
    "session": r"ws_w1\x1b",
    "workspace_id": "w1",
    "reason": "orphan",
    "evidence": {"attached": 0},
    "outcome": "spared",
    "by": "attached",
    **CLEANUP,
}
"""An entry of ``history --json``."""


def shape(value: Any) -> Any:
    """Return the names and types in a JSON value, of a list those of its first element: what programs rely on."""
    if isinstance(value, Mapping):
        return {name: shape(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [shape(inner) for inner in value[:1]]
    return type(value).__name__
