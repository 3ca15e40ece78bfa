"""What the ledger says of the sessions that our kill ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from tests.simulation.oracle import judge_ledger
from tests.simulation.oracle.truth_records import End, Identity, Record

ONE = Identity("/tmp/s", 77, 1.0, "$1", 2.0)
# The same id on the next server.
OTHER = replace(ONE, server_pid=78, server_started=50.0)
END = End(ONE, frozenset({"a"}), "orphan", at=100.0)
RECORD = Record("r1", ONE, "a", "orphan", "reaped", intended_at=99.0)


def rules(ends: Sequence[End], records: Sequence[Record], **world: Any) -> list[str]:
    arguments = {"living": (), "now": 200.0, **world}
    return [violation.rule for violation in judge_ledger(ends, records, **arguments)]


@pytest.mark.parametrize(
    ("record", "found"),
    [
        pytest.param(RECORD, [], id="right"),
        pytest.param(replace(RECORD, intended_at=100.0), [], id="in the same moment"),
        pytest.param(replace(RECORD, intended_at=101.0), ["intent"], id="the intent came later"),
        pytest.param(replace(RECORD, identity=OTHER), ["unrecorded"], id="the record of another session"),
        pytest.param(replace(RECORD, outcome="spared"), ["outcome"], id="spared"),
        pytest.param(replace(RECORD, outcome="failed"), ["outcome"], id="failed"),
        pytest.param(replace(RECORD, workspace_id="b"), ["workspace"], id="another workspace"),
        pytest.param(replace(RECORD, reason="idle"), ["reason"], id="another reason"),
        pytest.param(replace(RECORD, outcome="open"), ["outcome", "open"], id="open for ever"),
    ],
)
def test_a_kill_has_its_record(record: Record, found: list[str]) -> None:
    assert rules([END], [record]) == found


@pytest.mark.parametrize(
    ("records", "found"),
    [
        pytest.param([replace(RECORD, outcome="open")], [], id="an open intent"),
        pytest.param([replace(RECORD, outcome="spared")], ["outcome"], id="a wrong one"),
        pytest.param([], ["unrecorded"], id="none"),
    ],
)
def test_an_intent_may_be_open_until_the_next_start(records: Sequence[Record], found: list[str]) -> None:
    assert rules([END], records, settled=False) == found


def test_the_last_intent_before_the_kill_tells_of_it() -> None:
    earlier = replace(RECORD, record_id="r0", outcome="failed", intended_at=50.0)
    assert rules([END], [RECORD, earlier]) == []


def test_a_kill_that_the_ledger_does_not_know() -> None:
    assert rules([END], []) == ["unrecorded"]


@pytest.mark.parametrize(
    ("world", "found"),
    [
        pytest.param({"living": {OTHER}}, [], id="another one lives"),
        pytest.param({"living": {ONE}}, ["alive"], id="it lives"),
        pytest.param({"ended_otherwise": {OTHER}}, [], id="another one ended by itself"),
        pytest.param({"ended_otherwise": {ONE}}, ["claimed"], id="it ended by itself"),
    ],
)
def test_what_is_called_reaped_is_gone_by_our_kill(world: dict[str, Any], found: list[str]) -> None:
    assert rules([], [RECORD], **world) == found


@pytest.mark.parametrize("outcome", ["spared", "failed"])
def test_what_is_not_called_reaped_may_live(outcome: str) -> None:
    assert rules([], [replace(RECORD, outcome=outcome)], living={ONE}, ended_otherwise={ONE}) == []


def test_a_session_is_reaped_once() -> None:
    assert rules([END], [RECORD, replace(RECORD, record_id="r2", intended_at=98.0)]) == ["twice"]


@pytest.mark.parametrize(
    ("before", "found"),
    [
        pytest.param(RECORD, [], id="the same"),
        pytest.param(replace(RECORD, outcome="open"), [], id="open before"),
        pytest.param(replace(RECORD, outcome="failed"), ["lost"], id="another outcome"),
        pytest.param(replace(RECORD, record_id="r9"), ["lost"], id="gone"),
    ],
)
def test_no_record_is_lost(before: Record, found: list[str]) -> None:
    assert rules([END], [RECORD], before=[before]) == found
