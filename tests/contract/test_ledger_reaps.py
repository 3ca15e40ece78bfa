"""What the sweep may rely on of the ledger's reaps: intents, outcomes, and the history that they make."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import pytest

from workspace_reaper.model.errors import LedgerError
from workspace_reaper.model.ports import Ledger
from workspace_reaper.model.process import ProcessKey
from workspace_reaper.model.reap import (
    EndedProcess,
    Intent,
    ProcessCleanup,
    Reap,
    ReapResult,
    RecordedProcess,
    SurvivingProcess,
)
from workspace_reaper.model.session import SessionKey

NOW = 1_763_800_000.5
HOUR = 3600.0
KEY = SessionKey("/tmp/tmux-0/x", 4711, 1_763_000_000, "$1", 1_763_000_001)
ODD_TEXT = os.fsdecode(b"node \xff\xfe \\xff \\\\ \"quoted\" 'single' \n\t\x1b[31m \0 \xc3\xa9 \xf0\x9f\xa6\x8a $(touch x)")
"""A command line with bytes that are no UTF-8, with what looks like their escape, and with NUL and control characters."""
RELATIVES = (
    RecordedProcess(ProcessKey(4712, 181_220.07), "/bin/bash", "%3", descendant=True),
    RecordedProcess(ProcessKey(4713, 181_220.1 + 0.2), ODD_TEXT, "%3", descendant=False),
    RecordedProcess(ProcessKey(2**22, 0.0), "", "", descendant=False),
)
AFTERMATH = ProcessCleanup(
    ended=(
        EndedProcess(4712, "/bin/bash", "HUP"),
        EndedProcess(4713, ODD_TEXT, "TERM"),
        EndedProcess(4714, "fork bomb", "KILL"),
    ),
    survivors=(SurvivingProcess(4715, ODD_TEXT, "it serves the whole login"), SurvivingProcess(4716, "", ODD_TEXT)),
    freed_bytes=812_433_408,
    freed_ports=("tcp 3000", "udp 5353"),
    held_ports=("tcp 8080",),
)


def intent(reap_id: str, **changed: Any) -> Intent:
    plain = Intent(reap_id, "01SWEEP", NOW, KEY, f"bc_{reap_id}", "some-id", "orphan", {"attached": 0, "row": None})
    return replace(plain, **changed)


def test_an_intent_is_open_until_its_outcome_is_written(ledger: Ledger) -> None:
    intents = [intent("R1"), intent("R2"), intent("R3"), intent("R4")]
    ledger.record_intents(intents)
    assert ledger.load_state([], NOW).open_intents == tuple(intents)
    ledger.record_results(
        [
            ReapResult("R3", NOW + 1, "failed", "no answer"),
            ReapResult("R1", NOW + 1, "reaped", None, ProcessCleanup(freed_bytes=812_433_408)),
            ReapResult("R2", NOW + 1, "spared", "attached"),
        ]
    )
    assert ledger.load_state([], NOW).open_intents == (intents[3],)
    assert ledger.history(9) == [
        Reap(intents[3], "open"),
        Reap(intents[2], "failed", "no answer"),
        Reap(intents[1], "spared", "attached"),
        Reap(intents[0], "reaped", None, ProcessCleanup(freed_bytes=812_433_408)),
    ]
    assert ledger.history(1) == [Reap(intents[3], "open")]


@pytest.mark.parametrize(
    ("outcomes", "message"),
    [
        pytest.param(["R1", "R9"], "R9 cannot be recorded: no intent has this id", id="unknown"),
        pytest.param(["R1", "R2"], "R2 cannot be recorded: it is already spared", id="already-concluded"),
        pytest.param(["R1", "R1"], "two outcomes of one reap", id="twice-in-one-batch"),
    ],
)
def test_an_outcome_is_written_once_and_a_batch_as_a_whole(ledger: Ledger, outcomes: list[str], message: str) -> None:
    ledger.record_intents([intent("R1"), intent("R2")])
    ledger.record_results([ReapResult("R2", NOW, "spared")])
    with pytest.raises(LedgerError, match=message):
        ledger.record_results([ReapResult(reap_id, NOW, "reaped") for reap_id in outcomes])
    assert [reap.outcome for reap in ledger.history(9)] == ["spared", "open"]
    ledger.record_results([ReapResult("R1", NOW, "reaped")])


def test_a_reap_id_is_used_once_and_a_batch_as_a_whole(ledger: Ledger) -> None:
    ledger.record_intents([intent("R1")])
    with pytest.raises(LedgerError, match="reap_id"):
        ledger.record_intents([intent("R2"), intent("R1", reason="idle")])
    assert ledger.history(9) == [Reap(intent("R1"), "open")]


@pytest.mark.parametrize("outcome", ["open", "exploded"])
def test_only_the_three_outcomes_are_taken(ledger: Ledger, outcome: str) -> None:
    ledger.record_intents([intent("R1")])
    with pytest.raises(LedgerError, match="CHECK"):
        ledger.record_results([ReapResult("R1", NOW, outcome)])
    assert ledger.history(9) == [Reap(intent("R1"), "open")]


def test_an_intent_tells_a_later_reaper_which_processes_were_the_sessions(ledger: Ledger) -> None:
    full = intent("R1", boot="b00t", worktree=ODD_TEXT, processes=RELATIVES)
    ledger.record_intents([full, intent("R2")])
    assert ledger.load_state([], NOW).open_intents == (full, intent("R2"))
    assert ledger.find("R1") == Reap(full, "open")


@pytest.mark.parametrize("outcome", ["reaped", "spared", "failed"])
@pytest.mark.parametrize("snapshot", [None, "not taken", ODD_TEXT], ids=["kept", "not-taken", "odd"])
@pytest.mark.parametrize("cleanup", [ProcessCleanup(), AFTERMATH], ids=["nothing", "much"])
def test_an_outcome_tells_what_became_of_the_processes_and_of_the_panes(
    ledger: Ledger, outcome: str, snapshot: str | None, cleanup: ProcessCleanup
) -> None:
    ledger.record_intents([intent("R1", processes=RELATIVES), intent("R2")])
    ledger.record_results([ReapResult("R1", NOW, outcome, ODD_TEXT, cleanup, snapshot)])
    told = Reap(intent("R1", processes=RELATIVES), outcome, ODD_TEXT, cleanup, snapshot)
    assert ledger.history(9) == [Reap(intent("R2"), "open"), told]
    assert ledger.find("R1") == told


def test_a_reap_is_found_by_its_whole_id_in_either_case(ledger: Ledger) -> None:
    ulid = "01KAPX7Z8Q0V5T3N2M1C4D6E9F"
    ledger.record_intents([intent(ulid), intent("01KAPX7Z8Q0V5T3N2M1C4D6E9G")])
    ledger.record_results([ReapResult(ulid, NOW, "reaped")])
    assert ledger.find(ulid) == ledger.find(ulid.lower()) == Reap(intent(ulid), "reaped")
    assert [ledger.find(other) for other in (ulid[:-1], ulid + "0", "", "%", "01KAPX7Z8Q%", ODD_TEXT)] == [None] * 6


def test_the_last_hour_counts_orphans_and_the_last_day_names_all_reaped(ledger: Ledger) -> None:
    moments = {
        "orphan-now": ("orphan", NOW, "reaped"),
        "orphan-59m": ("orphan", NOW - HOUR + 60, "reaped"),
        "orphan-60m": ("orphan", NOW - HOUR, "reaped"),
        "orphan-spared": ("orphan", NOW, "spared"),
        "orphan-failed": ("orphan", NOW, "failed"),
        "idle-now": ("idle", NOW, "reaped"),
        "idle-23h": ("idle", NOW - 23 * HOUR, "reaped"),
        "idle-24h": ("idle", NOW - 24 * HOUR, "reaped"),
    }
    begun = NOW - 48 * HOUR
    ledger.record_intents(
        [intent(name, at=begun, session=name, workspace_id=f"of {name}", reason=how) for name, (how, *_) in moments.items()]
    )
    ledger.record_results([ReapResult(name, at, outcome) for name, (_, at, outcome) in moments.items()])
    state = ledger.load_state([f"of {name}" for name in moments], NOW)
    assert state.orphans_last_hour == 2
    lately = ["orphan-now", "orphan-59m", "orphan-60m", "idle-now", "idle-23h"]
    assert state.reaped_lately == {("/tmp/tmux-0/x", name): moments[name][1] for name in lately}


def test_of_the_last_day_only_what_is_asked_for_is_read(ledger: Ledger) -> None:
    """A day may have many thousands of reaps, and a sweep asks for what is there now."""
    ids = ["w1", ODD_TEXT, "w2"]
    ledger.record_intents([intent(f"R{at}", session=f"s{at}", workspace_id=one, reason="orphan") for at, one in enumerate(ids)])
    ledger.record_results([ReapResult(f"R{at}", NOW, "reaped") for at, _ in enumerate(ids)])
    state = ledger.load_state(["w1", ODD_TEXT, "w3"], NOW)
    assert set(state.reaped_lately) == {("/tmp/tmux-0/x", "s0"), ("/tmp/tmux-0/x", "s1")}
    assert state.orphans_last_hour == 3
    assert ledger.load_state([], NOW).reaped_lately == {}


def test_reaps_of_a_clock_that_was_ahead_do_not_count(ledger: Ledger) -> None:
    """Otherwise they would use up the budget, and be reaped lately, until that time has come."""
    moments = {
        "soon": NOW + HOUR - 60,
        "in an hour": NOW + HOUR,
        "in a day": NOW + 24 * HOUR,
        "in a year": NOW + 365 * 24 * HOUR,
    }
    ledger.record_intents([intent(name, session=name, workspace_id=name, reason="orphan") for name in moments])
    ledger.record_results([ReapResult(name, at, "reaped") for name, at in moments.items()])
    state = ledger.load_state(list(moments), NOW)
    assert state.orphans_last_hour == 1
    assert {session for _, session in state.reaped_lately} == {"soon", "in an hour"}


def test_a_name_reaped_twice_tells_the_latest_time(ledger: Ledger) -> None:
    ledger.record_intents([intent("R1", session="same"), intent("R2", session="same")])
    ledger.record_results([ReapResult("R1", NOW - 5, "reaped"), ReapResult("R2", NOW - 50, "reaped")])
    assert ledger.load_state(["some-id"], NOW).reaped_lately == {("/tmp/tmux-0/x", "same"): NOW - 5}
