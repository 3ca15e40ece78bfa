"""What a sweep makes of the directories of workspaces; ``tests/faults/test_witness.py`` has the whole of it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from tests.tools.builders import ledger_state, listing, observation, rows, session
from workspace_reaper.model.unknown import Source, Unknown
from workspace_reaper.sweep.witnesses import Witnesses


def test_i83_where_the_processes_cannot_be_read_it_is_unknown_whether_a_directory_was_moved() -> None:
    processes = SimpleNamespace(table=lambda: Unknown(Source.PROCESSES, "/proc is hidden"))
    context: Any = SimpleNamespace(dependencies=SimpleNamespace(processes=processes))
    witnesses = Witnesses(context, observation(listing(session())), ledger_state(), rows())
    assert witnesses._workplaces_of([(session(), "w1")]) == {"w1": None}
