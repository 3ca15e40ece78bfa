"""Whatever the values, and whatever their order: the ledger loses nothing, also not by opening anew."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.contract.conftest import Opened
from tests.simulation.memory.ledger import MemoryFile
from workspace_reaper.ledger import open_ledger
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
from workspace_reaper.model.workspace import RegistryIdentity

pytestmark = pytest.mark.once

NOW = 1_763_800_000.5
ODD_NAME = "bc_\udcff \\udcff \\\\ \n \0 é 🦊 $(touch x)"


def in_a_file(state_dir: Path) -> Opened:
    return lambda name, location: open_ledger(state_dir, registry_name=name, location=location)


def in_memory(_state_dir: Path) -> Opened:
    return MemoryFile().open


LEDGERS = pytest.mark.parametrize("storage", [in_a_file, in_memory])


PHASES = [Phase.explicit, Phase.reuse, Phase.generate]  # each example is a file: to shrink one takes minutes

text = st.text(st.characters(codec=None) | st.sampled_from("\\\0u\ud800\udc80\udcff"), max_size=12)
few = st.sampled_from(["a", "b", ODD_NAME])
numbers = st.integers(0, 2**62)
moments = st.floats(0, 4e9)
keys = st.builds(SessionKey, few | text, st.integers(0, 2), st.integers(0, 2) | numbers, few, st.integers(0, 2))
sights = st.tuples(keys, st.sampled_from(Finding))
plain = st.recursive(
    st.none() | st.booleans() | numbers | moments | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=6,
)
alarms = st.builds(Alarm, few, moments, text, text)
identities = st.builds(
    RegistryIdentity, text, text, st.none() | text, st.none() | numbers, st.lists(text, max_size=4).map(tuple)
)
changes = st.builds(
    StateChanges,
    registry=st.none()
    | st.builds(
        RegistryState,
        text,
        st.integers(0, 99),
        identities,
        st.integers(0, 99),
        st.booleans(),
    ),
    seen=st.frozensets(few | text, max_size=4),
    confirmations=st.dictionaries(sights, st.builds(Confirmation, moments, moments, st.integers(1, 99)), max_size=4),
    forgotten=st.frozensets(sights, max_size=4),
    servers=st.dictionaries(few, st.none() | st.builds(ServerState, numbers, numbers, st.none() | moments), max_size=3),
    breaker=st.none()
    | st.builds(
        BreakerState,
        st.booleans(),
        st.none() | moments,
        text,
        st.frozensets(keys, max_size=3),
        st.integers(0, 9),
        st.frozensets(keys, max_size=3),
    ),
    settled=st.frozensets(few, max_size=2),
    alarms=st.none() | st.lists(alarms, max_size=3).map(lambda all_of_them: {alarm.name: alarm for alarm in all_of_them}),
    events=st.lists(st.builds(Event, moments, text, text), max_size=3).map(tuple),
    cpu=st.none()
    | st.builds(
        CpuState, st.none() | moments, st.dictionaries(keys, st.builds(CpuSample, moments, st.none() | moments), max_size=4)
    ),
    worktrees=st.dictionaries(few | text, text, max_size=3),
    clock=st.none()
    | st.builds(
        ClockState, text, st.none() | moments, moments, st.lists(st.builds(ClockSkew, moments, moments), max_size=3).map(tuple)
    ),
)
processes = st.builds(RecordedProcess, st.builds(ProcessKey, numbers, moments), text, text, st.booleans())
intents = st.builds(
    Intent,
    text.map(str.upper),
    text,
    moments,
    keys,
    text,
    text,
    text,
    st.dictionaries(text, plain, max_size=3),
    text,
    st.none() | text,
    st.lists(processes, max_size=3).map(tuple),
)
aftermaths = st.builds(
    ProcessCleanup,
    st.lists(st.builds(EndedProcess, numbers, text, text), max_size=3).map(tuple),
    st.lists(st.builds(SurvivingProcess, numbers, text, text), max_size=3).map(tuple),
    st.none() | numbers,
    st.lists(text, max_size=3).map(tuple),
    st.lists(text, max_size=3).map(tuple),
)


def after(state: LedgerState, change: StateChanges) -> LedgerState:
    """What a state must be once this change is written, told without a database."""
    registry = replace(change.registry, owner_id=state.registry.owner_id) if change.registry else state.registry
    confirmations = {seen: value for seen, value in state.confirmations.items() if seen not in change.forgotten}
    servers = {**state.servers, **change.servers}
    return replace(
        state,
        registry=registry,
        seen={**state.seen, **dict.fromkeys(change.seen, registry.generation)},
        confirmations={**confirmations, **change.confirmations},
        servers={socket: server for socket, server in servers.items() if server is not None},
        breaker=change.breaker or state.breaker,
        reported={one: at for one, at in state.reported.items() if one not in change.settled},
        alarms=state.alarms if change.alarms is None else change.alarms,
        cpu=change.cpu or state.cpu,
        worktrees={**state.worktrees, **change.worktrees},
        clock=change.clock or state.clock,
    )


@LEDGERS
@settings(max_examples=30, deadline=None, phases=PHASES)
@given(written=st.lists(changes, max_size=5), testified=st.sets(few | text, max_size=3))
def test_the_state_is_what_was_written_also_after_it_is_opened_again(
    storage: Callable[[Path], Opened], written: list[StateChanges], testified: set[str]
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        opened = storage(Path(directory))
        with closing(opened("standard", "/db")) as ledger:
            names = dict.fromkeys(testified, 1)
            expected = replace(LedgerState(ledger.registry()), reported=dict.fromkeys(testified, NOW), named=names)
            for workspace_id in testified:
                ledger.record_deletion(workspace_id, NOW)
            for change in written:
                ledger.save(change)
                expected = after(expected, change)
            ids = testified.union(*(change.seen | change.worktrees.keys() for change in written))
            assert ledger.load_state(ids, NOW) == expected
        with closing(opened("standard", "/db")) as again:
            assert again.load_state(ids, NOW) == expected
            assert again.events(99) == [event for change in reversed(written) for event in reversed(change.events)]


@LEDGERS
@settings(max_examples=30, deadline=None, phases=PHASES)
@given(
    written=st.lists(intents, unique_by=lambda one: one.reap_id, max_size=5),
    why=text,
    cleanup=aftermaths,
    snapshot=st.none() | text,
)
def test_a_reap_is_returned_as_it_was_written(
    storage: Callable[[Path], Opened], written: list[Intent], why: str, cleanup: ProcessCleanup, snapshot: str | None
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        opened = storage(Path(directory))
        with closing(opened(why, why)) as ledger:
            ledger.record_intents(written)
            ledger.record_results([ReapResult(one.reap_id, NOW, "failed", why, cleanup, snapshot) for one in written[::2]])
        with closing(opened(why, why)) as again:
            assert again.load_state([], NOW).open_intents == tuple(written[1::2])
            told = [
                Reap(one, "open") if number % 2 else Reap(one, "failed", why, cleanup, snapshot)
                for number, one in enumerate(written)
            ]
            assert again.history(99) == told[::-1]
            assert [again.find(one.reap_id) for one in written] == told
