"""Reaps, from rows to values and back. Rows are plain tuples in the order of the columns in ``statements``.

A process is a list in JSON, its fields in the order of its class.
"""

from __future__ import annotations

from typing import Any

from workspace_reaper.ledger.json_text import as_json, json_list, json_object
from workspace_reaper.ledger.rows import Row, session_key_row
from workspace_reaper.model.process import ProcessKey
from workspace_reaper.model.reap import (
    EndedProcess,
    Intent,
    Outcome,
    ProcessCleanup,
    Reap,
    ReapResult,
    RecordedProcess,
    SurvivingProcess,
)
from workspace_reaper.model.session import SessionKey

__all__ = ["intent", "intent_row", "outcome_row", "reap"]

_NOT_YET = ReapResult("", 0, Outcome.OPEN)
"""What the columns of the outcome hold while there is none."""


def intent(row: Any) -> Intent:
    """From (reap id, sweep id, at, the five of the session's key, session, workspace id, reason, evidence, boot, worktree,
    processes)."""
    reap_id, sweep_id, at, *key, session, workspace_id, reason, evidence, boot, worktree, processes = row
    return Intent(
        reap_id=reap_id,
        sweep_id=sweep_id,
        at=at,
        key=SessionKey(*key),
        session=session,
        workspace_id=workspace_id,
        reason=reason,
        evidence=json_object(evidence),
        boot=boot,
        worktree=worktree,
        processes=tuple(
            RecordedProcess(ProcessKey(pid, started), command, pane, descendant)
            for pid, started, command, pane, descendant in json_list(processes)
        ),
    )


def intent_row(value: Intent) -> Row:
    """All columns of an open reap."""
    return {
        "reap_id": value.reap_id,
        "sweep_id": value.sweep_id,
        "at": value.at,
        **session_key_row(value.key),
        "session": value.session,
        "workspace_id": value.workspace_id,
        "reason": value.reason,
        "evidence": as_json(dict(value.evidence)),
        "boot": value.boot,
        "worktree": value.worktree,
        "processes": as_json([[*one.key, one.command, one.pane, one.descendant] for one in value.processes]),
        **_end_row(_NOT_YET),
    }


def outcome_row(value: ReapResult) -> Row:
    """What ``statements.CONCLUDE`` takes."""
    return {"concluded_id": value.reap_id, "concluded_at": value.at, **_end_row(value)}


def _end_row(value: ReapResult) -> Row:
    after = value.aftermath
    return {
        "outcome": str(value.outcome),
        "why": value.why,
        "freed_bytes": after.freed_bytes,
        "ended": as_json([[one.pid, one.command, one.signal] for one in after.ended]),
        "survivors": as_json([[one.pid, one.command, one.why] for one in after.survivors]),
        "freed_ports": as_json(after.freed_ports),
        "held_ports": as_json(after.held_ports),
        "snapshot": value.snapshot,
    }


def reap(row: Any) -> Reap:
    """From an intent's columns and (outcome, why, freed bytes, ended, survivors, freed ports, held ports, snapshot)."""
    *intent_part, outcome, why, freed_bytes, ended, survivors, freed_ports, held_ports, snapshot = row
    aftermath = ProcessCleanup(
        ended=tuple(EndedProcess(*one) for one in json_list(ended)),
        survivors=tuple(SurvivingProcess(*one) for one in json_list(survivors)),
        freed_bytes=freed_bytes,
        freed_ports=tuple(json_list(freed_ports)),
        held_ports=tuple(json_list(held_ports)),
    )
    return Reap(intent(intent_part), Outcome(outcome), why, aftermath, snapshot)
