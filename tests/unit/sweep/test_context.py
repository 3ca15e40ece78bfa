"""What is asked of a sweep, and what is kept of a candidate."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.tools.builders import NOW, entry, facts, process, session_key
from workspace_reaper.model.events import WorkspaceEvent
from workspace_reaper.model.process import Details
from workspace_reaper.model.reap import Outcome, RecordedProcess
from workspace_reaper.model.unknown import Source, Unknown
from workspace_reaper.policy import rules
from workspace_reaper.policy.process_tree import SessionProcess
from workspace_reaper.sweep.context import LONGEST_COMMAND, ReapCandidate, SweepContext, SweepRequest
from workspace_reaper.sweep.report import SweepReport


@pytest.mark.parametrize(
    ("request_", "full", "counts"),
    [
        (SweepRequest(), True, True),
        (SweepRequest(dry_run=True), True, False),
        (SweepRequest(suspects={"w1": WorkspaceEvent.DELETED}), False, False),
        (SweepRequest(suspects={}), False, False),
    ],
)
def test_only_a_full_sweep_that_writes_counts(request_: SweepRequest, full: bool, counts: bool) -> None:
    assert (request_.full, request_.counts, request_.stopping()) == (full, counts, False)


def test_what_could_not_be_read_is_reported_once() -> None:
    nothing: Any = None
    context = SweepContext(nothing, nothing, nothing, nothing, SweepRequest(), SweepReport("sweep", NOW), nothing)
    for _ in range(2):
        context.add_unknown(Unknown(Source.LEDGER, "the disk is full"))
    assert context.report.unknown == [Unknown(Source.LEDGER, "the disk is full")]


def test_the_recorded_processes_have_their_command_lines_and_no_zombies() -> None:
    shell, long, dead = process(50, name="sh"), process(51, name="node"), process(52)._replace(zombie=True)
    one = ReapCandidate(entry(), session_key(), facts(), rules.ARCHIVED, "reap 1")
    one.processes = [SessionProcess(each, "%1", descendant=True) for each in (shell, long, dead)]
    one.details = {long.key: Details("x" * 5000, ("x" * 5000,), None, 0, frozenset())}
    assert one.recorded_processes == (
        RecordedProcess(shell.key, "sh", "%1", descendant=True),
        RecordedProcess(long.key, "x" * LONGEST_COMMAND, "%1", descendant=True),
    )


def test_how_a_candidate_is_concluded() -> None:
    one = ReapCandidate(entry(), session_key(), facts(), rules.ARCHIVED, "reap 1")
    assert not one.is_concluded
    one.spare("attached")
    assert (one.entry.outcome, one.entry.protected_by, one.is_concluded) == (Outcome.SPARED, "attached", True)
    other = replace(one, entry=entry(2))
    other.fail("no answer")
    assert (other.entry.outcome, other.entry.protected_by) == (Outcome.FAILED, "no answer")
