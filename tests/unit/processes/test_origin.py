"""Which dead session a process came from that its environment names."""

from __future__ import annotations

import pytest

from tests.tools.builders import SERVER, process, session_key
from workspace_reaper.model.process import Origin, ProcessKey
from workspace_reaper.model.reap import RecordedProcess
from workspace_reaper.sweep.terminate import LeftoverProcesses, ProcessOrigins

LEFTOVERS = LeftoverProcesses(
    session_key(3), frozenset({"%7"}), None, [RecordedProcess(ProcessKey(50, 100.0), "sh", "%7", True)]
)
EMPTY = LeftoverProcesses(session_key(4), frozenset({"%8"}), None, [])


@pytest.mark.parametrize(
    ("server", "number", "pane", "started", "is_its_own"),
    [
        pytest.param(SERVER.pid, 3, "%7", 100.0, True, id="its session and its pane"),
        pytest.param(SERVER.pid, 3, "%1", 200.0, True, id="a pane of it that was closed before"),
        pytest.param(SERVER.pid, 1, "%7", 200.0, True, id="a pane that was moved into it"),
        pytest.param(SERVER.pid, 1, "%1", 200.0, False, id="another session and pane"),
        pytest.param(SERVER.pid + 1, 3, "%7", 200.0, False, id="another server"),
        pytest.param(SERVER.pid, 3, "%7", 99.0, False, id="older than all of it"),
        pytest.param(SERVER.pid, 4, "%8", 200.0, False, id="one of which no process was known"),
    ],
)
def test_by_session_or_by_pane(server: int, number: int, pane: str, started: float, is_its_own: bool) -> None:
    one = process(60, started=started, origin=Origin("/s", server, number, pane))
    assert ProcessOrigins([EMPTY, LEFTOVERS]).source_of(one) is (LEFTOVERS if is_its_own else None)


def test_without_an_origin_it_is_nobodys() -> None:
    assert ProcessOrigins([LEFTOVERS]).source_of(process(60)) is None
