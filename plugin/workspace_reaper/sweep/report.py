"""The report of one sweep: the object that hosts get, and the JSON that programs read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

from workspace_reaper.model.reap import Outcome, ProcessCleanup, Reap
from workspace_reaper.model.session import SessionKey
from workspace_reaper.model.state import Event
from workspace_reaper.model.unknown import Unknown
from workspace_reaper.model.verdict import Verdict
from workspace_reaper.model.workspace import FLAGS
from workspace_reaper.policy.facts import Facts
from workspace_reaper.policy.verdict import Judgement
from workspace_reaper.util.text import printable
from workspace_reaper.util.time import iso

__all__ = ["Seconds", "SessionReport", "SweepReport", "evidence", "iso", "printable", "reap_as_json"]


def evidence(facts: Facts) -> dict[str, Any]:
    """Return the facts on which a verdict rests, as plain JSON. Ages are in seconds. ``row`` is None if there is none."""
    session = facts.session
    return {
        "attached": max(session.attached, int(session.is_attached)),
        "idle_seconds": int(facts.idle_seconds),
        "idle_by": facts.idle_by.value if facts.idle_by else None,
        "age_seconds": int(facts.age_seconds),
        "row": None if facts.row is None else {flag: getattr(facts.row, flag) for flag in FLAGS},
        "confirmations": facts.confirmations,
        "proven": facts.proven,
        "kept": session.kept,
        "panes_dead": session.all_panes_dead,
        "reported_event": facts.reported.value if facts.reported else None,
        "cpu_idle_seconds": None if facts.busy_at is None else int(facts.since(facts.busy_at)),
        "announced": iso(facts.announced_at),
        "veto": None if facts.veto is None else printable(facts.veto),
        **({"renamed": True} if facts.renamed else {}),
        **(_absence(facts) if facts.gone else {}),
    }


def _absence(facts: Facts) -> dict[str, Any]:
    """Return the facts that decide in addition if the row is absent or marked deleted."""
    return {
        "generation": facts.generation,
        "known_in_generation": facts.known_in_generation,
        "owner": facts.session.owner.value,
        "knows_other_sessions": facts.knows_other_sessions,
        "breaker": "latched" if facts.latched else "closed",
        "approved": facts.approved,
        "directory": facts.witness.presence.value if facts.witness else None,
        "directory_says": printable(facts.witness.why) if facts.witness else None,
        "witnessed": facts.witnessed,
        "doubtful": facts.doubtful,
    }


def cleanup_as_json(cleanup: ProcessCleanup) -> dict[str, Any]:
    """Return the processes of a reaped session as reports and ``history`` show them."""
    return {
        "freed_bytes": cleanup.freed_bytes,
        "ended": [{"pid": one.pid, "command": printable(one.command), "signal": one.signal} for one in cleanup.ended],
        "survivors": [{"pid": one.pid, "command": printable(one.command), "why": one.why} for one in cleanup.survivors],
        "freed_ports": list(cleanup.freed_ports),
        "held_ports": list(cleanup.held_ports),
    }


@dataclass(slots=True)
class SessionReport:
    """One managed session in a report. ``facts`` is None for a session that could not be read.

    ``host`` is the name of its host, if the reaper has several. ``contested`` are those that claim a session which belongs to
    none of them. ``protected_by`` says what protects or spared it, or what failed. ``released_when`` says for each protection
    that rests on an absent row when it ends.
    """

    socket: str
    session: str
    session_id: str | None
    workspace_id: str
    verdict: Verdict
    reason: str | None = None
    protected_by: str | None = None
    outcome: Outcome = Outcome.NONE
    reap_id: str | None = None
    key: SessionKey | None = None
    facts: Facts | None = None
    judgement: Judgement | None = None
    cleanup: ProcessCleanup | None = None
    restorable: bool = False
    deadline: float | None = None
    released_when: Mapping[str, str] | None = None
    host: str | None = None
    contested: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return the entry of ``sweep --json``."""
        return {
            **({"host": self.host} if self.host is not None else {}),
            **({"host": None, "contested": list(self.contested)} if self.contested else {}),
            "socket": self.socket,
            "session": printable(self.session),
            "session_id": self.session_id,
            "workspace_id": self.workspace_id,
            "verdict": self.verdict.value,
            "reason": self.reason,
            "protected_by": None if self.protected_by is None else printable(self.protected_by),
            "outcome": self.outcome.value,
            "reap_id": self.reap_id,
            "deadline": iso(self.deadline),
            "released_when": dict(self.released_when) if self.released_when else None,
            "evidence": evidence(self.facts) if self.facts else None,
            **({**cleanup_as_json(self.cleanup), "restorable": self.restorable} if self.cleanup else {}),
        }


@dataclass(slots=True)
class Seconds:
    """How long each part of a sweep took. ``steps`` are the parts of ``kill``: prepare, recheck, kill, terminate, record."""

    observe: float = 0.0
    look_up: float = 0.0
    judge: float = 0.0
    kill: float = 0.0
    total: float = 0.0
    steps: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Add the time of the block to one of the steps of ``kill``."""
        started = perf_counter()
        try:
            yield
        finally:
            self.steps[name] = self.steps.get(name, 0.0) + perf_counter() - started

    def as_json(self) -> dict[str, float]:
        """Return the ``seconds`` of a report, rounded to a tenth of a millisecond."""
        parts = {"observe": self.observe, "look_up": self.look_up, "judge": self.judge, "kill": self.kill}
        return {name: round(value, 4) for name, value in {**parts, "total": self.total}.items()}


@dataclass(slots=True)
class SweepReport:
    """What ``sweep`` returns.

    Attributes:
        complete: False if anything was Unknown.
        abstained: Why the sweep read nothing (``disabled``, ``not configured``), else None.
        other_owner: How many of the unmanaged sessions match by name and carry another reaper's owner mark.
        inherited: The sessions that only seem to have an option of ours, which is set elsewhere, by option.
        disowned: The names of those of them whose workspace has, or had, a row in our registry.
        unknown_sessions: How many matching sessions the registry knows, as a clause; None if all of them.
        contradicted: Workspaces that a hook named and whose rows do not agree (yet).
        refused: Why nothing of what an operator approved was approved.
        events: What the ledger records about the reaper itself, such as the start of an alarm.
        vetoes: Sentences about plugins that could not be asked and so have vetoed everything.
        hosts: The reports of the hosts by name, if the reaper has several.
        stepped: The step of the wall clock since the last full sweep, in seconds. After one, no session is reaped as idle.
    """

    sweep: str
    started_at: float
    dry_run: bool = False
    full: bool = True
    abstained: str | None = None
    sessions: list[SessionReport] = field(default_factory=list)
    unknown: list[Unknown] = field(default_factory=list)
    unmanaged: int = 0
    other_owner: int = 0
    disowned: tuple[str, ...] = ()
    inherited: Mapping[str, Sequence[str]] = field(default_factory=dict)
    freed_bytes: int = 0
    latched: bool = False
    registry: Mapping[str, Any] = field(default_factory=dict)
    unknown_sessions: str | None = None
    contradicted: frozenset[str] = frozenset()
    refused: str | None = None
    events: list[Event] = field(default_factory=list)
    vetoes: list[str] = field(default_factory=list)
    stepped: float = 0.0
    hosts: Mapping[str, SweepReport] = field(default_factory=dict)
    seconds: Seconds = field(default_factory=Seconds)

    @property
    def complete(self) -> bool:
        """Return whether everything that the sweep read could be read."""
        return not self.unknown and self.abstained is None

    def count(self, outcome: Outcome) -> int:
        """Return how many sessions had that outcome."""
        return sum(session.outcome == outcome for session in self.sessions)

    @property
    def condemned(self) -> int:
        """Return how many sessions had the verdict ``reap``."""
        return sum(session.verdict is Verdict.REAP for session in self.sessions)

    @property
    def held(self) -> int:
        """Return how many sessions had the verdict ``hold``."""
        return sum(session.verdict is Verdict.HOLD for session in self.sessions)

    @property
    def exit_code(self) -> int:
        """Return the exit code of the sweep.

        0: done. 1: something failed, which takes precedence over 3. 2: not configured. 3: something could not be read or asked,
        or the breaker is latched.
        """
        if self.abstained == "not configured":
            return 2
        if self.count(Outcome.FAILED):
            return 1
        return 3 if self.unknown or self.latched or self.vetoes else 0

    def as_dict(self) -> dict[str, Any]:
        """Return the object that ``sweep --json`` prints."""
        head = self.head()
        return {**head, "sessions": [session.as_json() for session in self.sessions]}

    def head(self) -> dict[str, Any]:
        """Return all of it except the sessions."""
        return {
            "sweep": self.sweep,
            "started_at": iso(self.started_at),
            "dry_run": self.dry_run,
            "complete": self.complete,
            "abstained": self.abstained,
            "unknown": [
                {
                    "socket": unknown.socket,
                    "error": printable(unknown.reason),
                    "source": unknown.source.value,
                    "session": None if unknown.session is None else printable(unknown.session),
                }
                for unknown in self.unknown
            ],
            "totals": {
                "managed": len(self.sessions),
                "condemned": self.condemned,
                "held": self.held,
                "reaped": self.count(Outcome.REAPED),
                "spared": self.count(Outcome.SPARED),
                "failed": self.count(Outcome.FAILED),
                "unmanaged": self.unmanaged,
                "other_owner": self.other_owner,
                "freed_bytes": self.freed_bytes,
            },
            "vetoes": [printable(text) for text in self.vetoes],
            "clock": {"stepped_seconds": round(self.stepped)},
            "breaker": {"state": "latched" if self.latched else "closed"},
            "registry": dict(self.registry),
            **({"hosts": [one.as_host(name) for name, one in self.hosts.items()]} if self.hosts else {}),
            "seconds": self.seconds.as_json(),
        }

    def as_host(self, name: str) -> dict[str, Any]:
        """Return the entry of one host in the report of several."""
        return {
            "name": name,
            "complete": self.complete,
            "breaker": {"state": "latched" if self.latched else "closed"},
            "registry": dict(self.registry),
        }

    def to_json(self) -> str:
        """Return ``as_dict`` as text, in ASCII so that it survives any locale."""
        return json.dumps(self.as_dict(), separators=(",", ":"))


def reap_as_json(reap: Reap, *, restorable: bool, host: str | None = None) -> dict[str, Any]:
    """Return one entry of ``history --json``.

    ``restorable``: its snapshot still exists. ``host`` is the name of its host, if there are several.
    """
    intent = reap.intent
    return {
        **({} if host is None else {"host": host}),
        "id": intent.reap_id,
        "at": iso(intent.at),
        "socket": intent.key.socket,
        "session": printable(intent.session),
        "workspace_id": intent.workspace_id,
        "reason": intent.reason,
        "evidence": dict(intent.evidence),
        "outcome": reap.outcome.value,
        "by": reap.why,
        **cleanup_as_json(reap.cleanup),
        "restorable": restorable,
    }
