"""What is read before a kill, and what follows when it cannot be read."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from tests.tools.builders import DEFAULTS, HOUR, entry, facts, listing, observation, row, session
from tests.tools.leftovers import OneChild
from workspace_reaper.model.unknown import Source
from workspace_reaper.policy import rules
from workspace_reaper.sweep.context import ReapCandidate
from workspace_reaper.sweep.prepare import read_processes

IDLE = session(idle=49 * HOUR)


def test_without_a_table_of_processes_no_idle_session_may_be_killed() -> None:
    """A silent process that computes could not be told from an idle one."""
    candidate = ReapCandidate(entry(), IDLE.key, facts(row(), session=IDLE), rules.IDLE, "01J")
    context: Any = SimpleNamespace(
        dependencies=SimpleNamespace(processes=OneChild(blind=True)), settings=SimpleNamespace(thresholds=DEFAULTS)
    )
    unknown = read_processes(context, observation(listing(IDLE)), [candidate], None)
    assert unknown is not None
    assert unknown.source is Source.PROCESSES
