"""What the sweep ends of a session, and what it leaves alone, where little can be read."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping

import pytest

from tests.tools.builders import (
    SERVER,
    Somewhere,
    process,
    session_key,
    table,
)
from workspace_reaper.model.process import Details, Origin, Port, ProcessKey, ProcessTable, SignalResult
from workspace_reaper.model.reap import RecordedProcess
from workspace_reaper.sweep.terminate import LeftoverProcesses, ProcessOrigins, Termination

CHILD = process(4711, parent=1)


class OneChild:
    """A machine on which one process of the session is left, until a signal ends it."""

    boot = "this boot"

    def __init__(self) -> None:
        self.signals: list[int] = []

    def table(self) -> ProcessTable:
        return table() if self.signals else table(CHILD)

    def living(self, keys: Collection[ProcessKey]) -> frozenset[ProcessKey]:
        return frozenset() if self.signals else frozenset(keys) & {CHILD.key}

    def details(self, keys: Collection[ProcessKey]) -> Mapping[ProcessKey, Details]:
        return dict.fromkeys(keys, Details("sh", ("sh",), frozenset({os.geteuid()}), 0, frozenset()))

    def listening(self) -> frozenset[Port]:
        return frozenset()

    def may_live(self, pid: int, started: float | None) -> bool:
        return True

    def own_location(self) -> Somewhere:
        return Somewhere()

    def signal(self, key: ProcessKey, number: int) -> SignalResult:
        self.signals.append(number)
        return SignalResult.SENT


RECORDED = (RecordedProcess(CHILD.key, "sh", "%1", True),)


@pytest.mark.parametrize("shown", [None, frozenset({"%1"})], ids=["its socket can't be read", "its pane is still listed"])
def test_what_may_still_be_in_a_pane_gets_no_signal(shown: frozenset[str] | None) -> None:
    processes = OneChild()
    left = LeftoverProcesses(session_key(), frozenset({"%1"}), None, RECORDED)
    termination = Termination(processes, grace=0.0, everywhere=True, own_uid=os.geteuid(), shown={SERVER.pid: shown})  # type: ignore[arg-type]
    cleanup = termination.run([left])[session_key()]
    assert processes.signals == []
    assert [one.pid for one in cleanup.survivors] == [4711]
    assert cleanup.ended == ()


# Where a process comes from

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
