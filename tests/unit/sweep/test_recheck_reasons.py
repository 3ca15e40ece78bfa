"""The recheck: only what is selected again, for the same reason and as the same workspace, gets a guard."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import pytest

from tests.tools.builders import (
    DEFAULTS,
    HOUR,
    NAMES,
    NOW,
    ProcessesThatAre,
    circumstances,
    facts,
    listing,
    registry,
    row,
    rows,
    session,
)
from workspace_reaper.model.reap import Outcome
from workspace_reaper.model.state import ClockReading
from workspace_reaper.model.verdict import Verdict
from workspace_reaper.model.workspace import LookupResult, Workspace
from workspace_reaper.policy import rules
from workspace_reaper.sweep.context import ReapCandidate, SweepRequest
from workspace_reaper.sweep.recheck import Recheck
from workspace_reaper.sweep.report import SessionReport
from workspace_reaper.sweep.rivals import NO_RIVALS

IDLE = session(idle=49 * HOUR)


@dataclass(frozen=True)
class Answering:
    """A registry that has these rows."""

    answer: LookupResult

    def look_up(self, ids: Collection[str], sentinels: Collection[str], **_how: bool) -> LookupResult:
        return self.answer


def candidate() -> ReapCandidate:
    """A session that was selected for being idle."""
    line = SessionReport(IDLE.key.socket, IDLE.name, IDLE.key.session_id, "w1", Verdict.REAP, "idle", key=IDLE.key)
    return ReapCandidate(line, IDLE.key, facts(row(), session=IDLE), rules.IDLE, "01J")


def recheck(now: Workspace) -> Recheck:
    dependencies = SimpleNamespace(
        processes=ProcessesThatAre(),
        registry=Answering(rows(now)),
        matcher=NAMES,
        clock=SimpleNamespace(read=lambda: ClockReading(float(NOW), float(NOW), float(NOW))),
        snapshots=None,
    )
    settings, state = (
        SimpleNamespace(thresholds=DEFAULTS),
        SimpleNamespace(doubt=None, own_options=SimpleNamespace(knows=lambda _session: True)),
    )
    unasked: Any = None  # no candidate rests on a directory
    context: Any = SimpleNamespace(
        dependencies=dependencies, settings=settings, state=state, request=SweepRequest(), rivals=NO_RIVALS
    )
    return Recheck(context, circumstances(), registry("w1"), unasked, [])


def test_what_is_selected_again_for_the_same_reason_gets_a_guard() -> None:
    selected = candidate()
    guards = recheck(row()).guards(listing(IDLE), [selected])
    assert guards == {IDLE.key: rules.IDLE.guard(facts(row(), session=IDLE), DEFAULTS)}
    assert selected.entry.outcome is Outcome.NONE


@pytest.mark.parametrize(
    ("there", "now", "saviour"),
    [
        pytest.param(IDLE, row(archived=True), "workspace", id="selected for another reason"),
        pytest.param(IDLE, row(pinned=True), "pinned", id="protected meanwhile"),
        pytest.param(replace(IDLE, name="ws_w2"), row(2), "unmanaged", id="renamed to the name of a living workspace"),
        pytest.param(replace(IDLE, activity=NOW), row(), "active", id="no longer idle"),
    ],
)
def test_all_else_is_spared(there: Any, now: Workspace, saviour: str) -> None:
    selected = candidate()
    assert recheck(now).guards(listing(there), [selected]) == {}
    assert (selected.entry.outcome, selected.entry.protected_by) == (Outcome.SPARED, saviour)
