"""What the sweep may rely on of the ledger: `ports.Ledger`, over a real file and in memory."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from tests.contract.conftest import Opened
from workspace_reaper.model.errors import LedgerError
from workspace_reaper.model.events import WorkspaceEvent
from workspace_reaper.model.ports import Ledger
from workspace_reaper.model.reap import Intent, ReapResult
from workspace_reaper.model.session import SessionKey
from workspace_reaper.model.state import (
    Alarm,
    BreakerState,
    ClockSkew,
    ClockState,
    Confirmation,
    CpuSample,
    CpuState,
    Event,
    Finding,
    LedgerState,
    RegistryState,
    ServerState,
    StateChanges,
)
from workspace_reaper.model.workspace import PartIdentity, RegistryIdentity

NOW = 1_763_800_000.5
PARTS = (PartIdentity("/srv/a\udcff.db", "7", 8), PartIdentity("/srv/b.db"))
HOUR = 3600.0
ODD_NAME = "bc_\udcff \\udcff \\\\ \n \0 é 🦊 $(touch x)"


def key(number: int, socket: str = "/tmp/tmux-0/x") -> SessionKey:
    return SessionKey(socket, 4711, 1_763_000_000, f"${number}", 1_763_000_000 + number)


def intent(reap_id: str, **changed: Any) -> Intent:
    plain = Intent(reap_id, "01SWEEP", NOW, key(1), f"bc_{reap_id}", "some-id", "orphan", {"attached": 0, "row": None})
    return replace(plain, **changed)


# The registry and its stamp.


def test_a_stamp_is_minted_once_for_each_configured_registry(opened: Opened) -> None:
    names = [("standard", "/db"), ("standard", "/other"), ("cao", "/db")]
    stamps = []
    for _ in range(2):
        for registry, location in names:
            with closing(opened(registry, location)) as ledger:
                stamps.append(ledger.registry().owner_id)
    assert stamps[:3] == stamps[3:]
    assert len(set(stamps)) == 3
    assert all(len(bytes.fromhex(stamp)) == 8 for stamp in stamps)


def test_a_registry_never_read_has_generation_0(ledger: Ledger) -> None:
    assert ledger.registry() == RegistryState(ledger.registry().owner_id)
    assert ledger.load_state(["a"], NOW) == LedgerState(ledger.registry())


def test_what_is_remembered_of_the_registry_is_replaced_but_for_the_stamp(ledger: Ledger) -> None:
    stamp = ledger.registry().owner_id
    known = RegistryState(
        "forged", 3, RegistryIdentity("dev:1 ino:2", "vibe-kanban/1", "7", 8, ("b", "a"), PARTS), 99_000, True
    )
    ledger.save(StateChanges(registry=known))
    assert ledger.registry() == replace(known, owner_id=stamp) == ledger.load_state([], NOW).registry


def test_registries_share_nothing_but_the_file(opened: Opened, ledger: Ledger) -> None:
    ledger.save(
        StateChanges(
            registry=replace(ledger.registry(), generation=1),
            seen=frozenset({"a"}),
            confirmations={(key(1), Finding.ORPHAN): Confirmation(NOW, NOW)},
            servers={"/s": ServerState(1, 2, 3.0)},
            breaker=BreakerState(True, NOW, "3 of 3"),
            alarms={"x": Alarm("x", NOW, "d", "c")},
            events=(Event(NOW, "k", "d"),),
            cpu=CpuState(NOW, {key(1): CpuSample(1.5)}),
            worktrees={"a": "/w/a"},
            clock=ClockState("boot", NOW),
        )
    )
    ledger.record_deletion("a", NOW)
    ledger.record_intents([intent("R1"), intent("R2")])
    ledger.record_results([ReapResult("R1", NOW, "reaped")])
    ledger.save_report("{}", "[]", sweep="a", at=NOW, complete=True)
    with closing(opened("standard", "/other")) as other:
        assert other.load_state(["a"], NOW) == LedgerState(other.registry())
        assert (ledger.longer_ids(0), other.longer_ids(0)) == (["a"], [])
        assert (other.history(9), other.find("R1"), other.events(9), other.last_report()) == ([], None, [], None)
        with pytest.raises(LedgerError, match="no intent has this id"):
            other.record_results([ReapResult("R2", NOW, "reaped")])
        other.save(
            StateChanges(forgotten=frozenset({(key(1), Finding.ORPHAN)}), servers={"/s": None}, settled=frozenset({"a"}))
        )
        other.save(StateChanges(alarms={}, breaker=BreakerState(), cpu=CpuState(), worktrees={"a": "/w/other"}))
        other.save(StateChanges(clock=ClockState("other", 0.0)))
    state = ledger.load_state(["a"], NOW)
    assert state.confirmations
    assert state.servers
    assert state.reported.keys() == {"a"}
    assert state.alarms
    assert state.breaker.latched
    assert state.cpu == CpuState(NOW, {key(1): CpuSample(1.5)})
    assert state.worktrees == {"a": "/w/a"}
    assert state.clock == ClockState("boot", NOW)


# Workspaces.


def test_seen_is_told_for_the_ids_asked_for_with_the_generation_that_saw_them(ledger: Ledger) -> None:
    ledger.save(StateChanges(registry=replace(ledger.registry(), generation=1), seen=frozenset({"a", "b", "c"})))
    ledger.save(StateChanges(registry=replace(ledger.registry(), generation=2), seen=frozenset({"b"})))
    ledger.save(StateChanges(seen=frozenset({"d"})))
    assert ledger.load_state(["a", "b", "d", "never"], NOW).seen == {"a": 1, "b": 2, "d": 2}
    assert ledger.load_state([], NOW).seen == {}


def test_ids_are_long_by_their_own_characters(ledger: Ledger) -> None:
    """Not by those of their escapes."""
    ledger.save(StateChanges(seen=frozenset({"a" * 12, "b" * 13, "c" * 11 + "\udcff"})))
    ledger.record_named("d" * 13, NOW)
    assert sorted(ledger.longer_ids(12)) == ["b" * 13, "d" * 13]


def test_thousands_of_ids_are_asked_for_at_once(ledger: Ledger) -> None:
    ids = [f"{number:032x}" for number in range(40_000)]
    ledger.save(StateChanges(seen=frozenset(ids[::2])))
    assert set(ledger.load_state(ids, NOW).seen) == set(ids[::2])


def test_report_is_kept_until_settled_and_the_name_for_ever(ledger: Ledger) -> None:
    for _ in range(2):
        ledger.record_deletion("gone", NOW)
        ledger.record_named("archived", NOW)
    state = ledger.load_state([], NOW)
    assert (state.reported, state.named) == ({"gone": NOW}, {})
    ledger.save(StateChanges(settled=frozenset({"gone", "never"})))
    state = ledger.load_state(["gone", "archived", "never"], NOW)
    assert (state.reported, state.named) == ({}, {"gone": 1, "archived": 1})
    assert state.seen == {}
    ledger.record_deletion("gone", NOW)
    ledger.record_deletion("gone", NOW + 9)
    assert ledger.load_state([], NOW).reported == {"gone": NOW + 9}


@pytest.mark.parametrize(
    ("events", "kept"),
    [
        pytest.param("vanished removed", "removed", id="a removal outweighs a row that vanished"),
        pytest.param("removed vanished", "removed", id="whichever comes first"),
        pytest.param("removed doubted", "doubted", id="a doubt outweighs a removal"),
        pytest.param("vanished doubted removed vanished", "doubted", id="until it is settled"),
    ],
)
def test_what_the_daemon_saw_go(ledger: Ledger, events: str, kept: str) -> None:
    for event in events.split():
        ledger.record_removal("a", WorkspaceEvent(event), NOW)
    assert [removal.event for removal in ledger.load_state([], NOW).removals.values()] == [kept]
    ledger.save(StateChanges(settled=frozenset({"a"})))
    assert ledger.load_state([], NOW).removals == {}


def test_a_workspace_named_and_seen_is_both(ledger: Ledger) -> None:
    ledger.record_named("a", NOW)
    ledger.save(StateChanges(seen=frozenset({"a", "b"})))
    ledger.record_named("b", NOW)
    state = ledger.load_state(["a", "b"], NOW)
    assert state.seen == {"a": 0, "b": 0}
    assert state.named == {"a": 1, "b": 1}


def test_a_name_goes_with_the_generation_under_which_it_was_last_given(ledger: Ledger) -> None:
    ledger.record_named("a", NOW)
    ledger.save(StateChanges(registry=replace(ledger.registry(), generation=3)))
    ledger.record_named("b", NOW)
    assert ledger.load_state(["a", "b"], NOW).named == {"a": 1, "b": 3}
    ledger.record_named("a", NOW)
    assert ledger.load_state(["a", "b"], NOW).named == {"a": 3, "b": 3}


def test_a_worktree_is_told_for_the_ids_asked_for_and_the_last_one_counts(ledger: Ledger) -> None:
    ledger.save(StateChanges(worktrees={"a": "/w/a", "b": ODD_NAME}))
    ledger.save(StateChanges(worktrees={"a": "/w/moved"}))
    ledger.save(StateChanges(seen=frozenset({"a", "c"})))
    assert ledger.load_state(["a", "b", "c", "never"], NOW).worktrees == {"a": "/w/moved", "b": ODD_NAME}
    assert ledger.load_state(["b"], NOW).worktrees == {"b": ODD_NAME}
    assert ledger.load_state([], NOW).worktrees == {}


def test_a_worktree_says_nothing_of_whether_a_workspace_was_seen_or_named(ledger: Ledger) -> None:
    ledger.save(StateChanges(registry=replace(ledger.registry(), generation=3), worktrees={"a": "/w/a", "b": "/w/b"}))
    state = ledger.load_state(["a", "b"], NOW)
    assert (state.seen, state.named) == ({}, {})
    ledger.save(StateChanges(seen=frozenset({"a"})))
    ledger.record_named("a", NOW)
    ledger.save(StateChanges(registry=replace(ledger.registry(), generation=4), worktrees={"a": "/w/moved"}))
    state = ledger.load_state(["a", "b"], NOW)
    assert (state.seen, state.named) == ({"a": 3}, {"a": 3})
    assert state.worktrees == {"a": "/w/moved", "b": "/w/b"}


# CPU time.


def test_cpu_samples_are_replaced_as_a_whole(ledger: Ledger) -> None:
    assert ledger.load_state([], NOW).cpu == CpuState()
    odd = {key(1, ODD_NAME): CpuSample(0.1 + 0.2, NOW), key(2): CpuSample(0.0)}
    for samples in (odd, {key(2): CpuSample(5.25)}, {}):
        ledger.save(StateChanges(cpu=CpuState(NOW, samples)))
        assert ledger.load_state([], NOW).cpu == CpuState(NOW, samples)
    ledger.save(StateChanges(cpu=CpuState(None, odd)))
    assert ledger.load_state([], NOW).cpu == CpuState(None, odd)


def test_the_clocks_are_replaced_as_a_whole(ledger: Ledger) -> None:
    assert ledger.load_state([], NOW).clock == ClockState()
    skews = (ClockSkew(NOW - 0.5, 1e10), ClockSkew(NOW, 0.1 + 0.2))
    for clock in (ClockState("one", NOW / 3, 0.25, skews), ClockState(ODD_NAME, -1.5), ClockState()):
        ledger.save(StateChanges(clock=clock))
        assert ledger.load_state([], NOW).clock == clock


def test_cpu_samples_that_another_process_wrote_count_over_those_known_here(opened: Opened, ledger: Ledger) -> None:
    ours, theirs = CpuState(NOW, {key(1): CpuSample(1.0)}), CpuState(NOW + 1, {key(1): CpuSample(2.0)})
    with closing(opened("standard", "/db")) as other:
        for _ in range(2):
            ledger.save(StateChanges(cpu=ours))
            assert other.load_state([], NOW).cpu == ledger.load_state([], NOW).cpu == ours
            other.save(StateChanges(cpu=theirs))
            assert other.load_state([], NOW).cpu == ledger.load_state([], NOW).cpu == theirs


def test_cpu_samples_are_as_written_whatever_a_caller_does_to_its_own(ledger: Ledger) -> None:
    samples = {key(1): CpuSample(1.0)}
    ledger.save(StateChanges(cpu=CpuState(NOW, samples)))
    samples[key(2)] = CpuSample(2.0)
    told = ledger.load_state([], NOW).cpu.samples
    assert told == {key(1): CpuSample(1.0)}
    assert isinstance(told, dict)
    told.clear()
    assert ledger.load_state([], NOW).cpu.samples == {key(1): CpuSample(1.0)}
    ledger.save(StateChanges(cpu=CpuState(NOW, samples)))
    assert ledger.load_state([], NOW).cpu.samples == samples


# Reports and events.


def test_the_last_report_is_kept_as_it_was_and_the_last_complete_sweep_beside_it(ledger: Ledger) -> None:
    def kept() -> tuple[object, object]:
        return ledger.last_report(), ledger.load_state((), NOW).last_complete

    assert kept() == (None, None)
    ledger.save_report("1", "one", sweep="a", at=NOW, complete=False)
    assert kept() == (("1", "one"), None)
    ledger.save_report("2", "two", sweep="b", at=NOW + 1, complete=True)
    big = "x" * 400_000
    ledger.save_report("3", big, sweep="c", at=NOW + 2, complete=False)
    assert kept() == (("3", big), NOW + 1)


def test_a_new_head_is_kept_only_beside_the_sessions_that_it_was_written_for(ledger: Ledger) -> None:
    assert not ledger.touch_report("1", same="a", at=NOW, complete=True)
    assert ledger.last_report() is None
    ledger.save_report("1", "one", sweep="a", at=NOW, complete=False)
    assert ledger.touch_report("2", same="a", at=NOW + 1, complete=True)
    assert (ledger.last_report(), ledger.load_state((), NOW).last_complete) == (("2", "one"), NOW + 1)
    assert ledger.touch_report("3", same="a", at=NOW + 2, complete=False)
    assert not ledger.touch_report("4", same="b", at=NOW + 3, complete=True)
    assert (ledger.last_report(), ledger.load_state((), NOW).last_complete) == (("3", "one"), NOW + 1)


def test_events_are_told_newest_first(ledger: Ledger) -> None:
    events = tuple(Event(NOW - number, "kind", f"{number}") for number in range(5))
    ledger.save(StateChanges(events=events[:3]))
    ledger.save(StateChanges(events=events[3:]))
    assert ledger.events(3) == [events[4], events[3], events[2]]


def test_events_after_a_number_are_told_oldest_first(ledger: Ledger) -> None:
    assert ledger.events_after(None) == (0, [])
    events = tuple(Event(NOW - number, "kind", f"{number}") for number in range(4))
    ledger.save(StateChanges(events=events[:2]))
    latest, told = ledger.events_after(None)
    assert (latest > 0, told) == (True, [])
    assert ledger.events_after(0)[1] == [*events[:2]]
    ledger.save(StateChanges(events=events[2:]))
    now, told = ledger.events_after(latest)
    assert (now > latest, told) == (True, [*events[2:]])
    assert ledger.events_after(now) == (now, [])
