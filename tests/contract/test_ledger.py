"""What the sweep may rely on of the ledger: `ports.Ledger`, over real files."""

from __future__ import annotations

import os
import sqlite3
import stat
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from workspace_reaper.errors import LedgerError
from workspace_reaper.ledger import SqliteLedger, open_ledger
from workspace_reaper.memory import (
    Alarm,
    BreakerState,
    Changes,
    Event,
    Intent,
    Memory,
    Outcome,
    Reap,
    RegistryMemory,
    ServerMemory,
    Sight,
    Sighting,
)
from workspace_reaper.model import SessionKey
from workspace_reaper.ports import Ledger

NOW = 1_763_800_000.5
HOUR = 3600.0
ODD_NAME = "bc_\udcff \\udcff \\\\ \n \0 é 🦊 $(touch x)"


def opened(state_dir: Path, *, registry: str = "standard", location: str = "/db", read_only: bool = False) -> SqliteLedger:
    return open_ledger(state_dir, registry_name=registry, location=location, read_only=read_only)


def key(number: int, socket: str = "/tmp/tmux-0/x") -> SessionKey:
    return SessionKey(socket, 4711, 1_763_000_000, f"${number}", 1_763_000_000 + number)


def intent(reap_id: str, **changed: Any) -> Intent:
    plain = Intent(reap_id, "01SWEEP", NOW, key(1), f"bc_{reap_id}", "some-id", "orphan", {"attached": 0, "row": None})
    return replace(plain, **changed)


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def ledger(state_dir: Path) -> Iterator[Ledger]:
    with closing(opened(state_dir)) as ledger:
        yield ledger


# The registry and its stamp.


def test_a_stamp_is_minted_once_for_each_configured_registry(state_dir: Path) -> None:
    names = [("standard", "/db"), ("standard", "/other"), ("cao", "/db")]
    stamps = []
    for _ in range(2):
        for registry, location in names:
            with closing(opened(state_dir, registry=registry, location=location)) as ledger:
                stamps.append(ledger.registry().stamp)
    assert stamps[:3] == stamps[3:]
    assert len(set(stamps)) == 3
    assert all(len(bytes.fromhex(stamp)) == 8 for stamp in stamps)


def test_a_registry_never_read_has_generation_0(ledger: Ledger) -> None:
    assert ledger.registry() == RegistryMemory(ledger.registry().stamp)
    assert ledger.recall(["a"], NOW) == Memory(ledger.registry())


def test_what_is_remembered_of_the_registry_is_replaced_but_for_the_stamp(ledger: Ledger) -> None:
    stamp = ledger.registry().stamp
    known = RegistryMemory("forged", 3, "dev:1 ino:2", "vibe-kanban/1", frozenset({"a", "b"}), 99_000, True)
    ledger.remember(Changes(registry=known))
    assert ledger.registry() == replace(known, stamp=stamp) == ledger.recall([], NOW).registry


def test_registries_share_nothing_but_the_file(state_dir: Path, ledger: Ledger) -> None:
    ledger.remember(
        Changes(
            registry=replace(ledger.registry(), generation=1),
            seen=frozenset({"a"}),
            sightings={(key(1), Sight.ORPHAN): Sighting(NOW, NOW)},
            servers={"/s": ServerMemory(1, 2, 3.0)},
            breaker=BreakerState(True, NOW, "3 of 3"),
            alarms={"x": Alarm("x", NOW, "d", "c")},
            events=(Event(NOW, "k", "d"),),
        )
    )
    ledger.testify("a", NOW)
    ledger.intend([intent("R1"), intent("R2")])
    ledger.conclude([Outcome("R1", NOW, "reaped")])
    ledger.save_report("{}", "[]", sweep="a", at=NOW, complete=True)
    with closing(opened(state_dir, location="/other")) as other:
        assert other.recall(["a"], NOW) == Memory(other.registry())
        assert (other.history(9), other.events(9), other.last_report()) == ([], [], None)
        with pytest.raises(LedgerError, match="no such intent"):
            other.conclude([Outcome("R2", NOW, "reaped")])
        other.remember(Changes(forgotten=frozenset({(key(1), Sight.ORPHAN)}), servers={"/s": None}, settled=frozenset({"a"})))
        other.remember(Changes(alarms={}, breaker=BreakerState()))
    memory = ledger.recall(["a"], NOW)
    assert memory.sightings
    assert memory.servers
    assert memory.testimony.keys() == {"a"}
    assert memory.alarms
    assert memory.breaker.latched


# Workspaces.


def test_seen_is_told_for_the_ids_asked_for_with_the_generation_that_saw_them(ledger: Ledger) -> None:
    ledger.remember(Changes(registry=replace(ledger.registry(), generation=1), seen=frozenset({"a", "b", "c"})))
    ledger.remember(Changes(registry=replace(ledger.registry(), generation=2), seen=frozenset({"b"})))
    ledger.remember(Changes(seen=frozenset({"d"})))
    assert ledger.recall(["a", "b", "d", "never"], NOW).seen == {"a": 1, "b": 2, "d": 2}
    assert ledger.recall([], NOW).seen == {}


def test_thousands_of_ids_are_asked_for_at_once(ledger: Ledger) -> None:
    ids = [f"{number:032x}" for number in range(40_000)]
    ledger.remember(Changes(seen=frozenset(ids[::2])))
    assert set(ledger.recall(ids, NOW).seen) == set(ids[::2])


def test_testimony_is_kept_until_settled_and_the_name_for_ever(ledger: Ledger) -> None:
    for _ in range(2):
        ledger.testify("gone", NOW)
        ledger.named("archived", NOW)
    memory = ledger.recall([], NOW)
    assert (memory.testimony, memory.named) == ({"gone": NOW}, {})
    ledger.remember(Changes(settled=frozenset({"gone", "never"})))
    memory = ledger.recall(["gone", "archived", "never"], NOW)
    assert (memory.testimony, memory.named) == ({}, {"gone": 1, "archived": 1})
    assert memory.seen == {}
    ledger.testify("gone", NOW)
    ledger.testify("gone", NOW + 9)
    assert ledger.recall([], NOW).testimony == {"gone": NOW + 9}


def test_a_workspace_named_and_seen_is_both(ledger: Ledger) -> None:
    ledger.named("a", NOW)
    ledger.remember(Changes(seen=frozenset({"a", "b"})))
    ledger.named("b", NOW)
    memory = ledger.recall(["a", "b"], NOW)
    assert memory.seen == {"a": 0, "b": 0}
    assert memory.named == {"a": 1, "b": 1}


def test_a_name_goes_with_the_generation_under_which_it_was_last_given(ledger: Ledger) -> None:
    ledger.named("a", NOW)
    ledger.remember(Changes(registry=replace(ledger.registry(), generation=3)))
    ledger.named("b", NOW)
    assert ledger.recall(["a", "b"], NOW).named == {"a": 1, "b": 3}
    ledger.named("a", NOW)
    assert ledger.recall(["a", "b"], NOW).named == {"a": 3, "b": 3}


# Reaps.


def test_an_intent_is_open_until_its_outcome_is_written(ledger: Ledger) -> None:
    intents = [intent("R1"), intent("R2"), intent("R3"), intent("R4")]
    ledger.intend(intents)
    assert ledger.recall([], NOW).open_intents == tuple(intents)
    ledger.conclude(
        [
            Outcome("R3", NOW + 1, "failed", "no answer"),
            Outcome("R1", NOW + 1, "reaped", None, 812_433_408),
            Outcome("R2", NOW + 1, "spared", "attached"),
        ]
    )
    assert ledger.recall([], NOW).open_intents == (intents[3],)
    assert ledger.history(9) == [
        Reap(intents[3], "open"),
        Reap(intents[2], "failed", "no answer"),
        Reap(intents[1], "spared", "attached"),
        Reap(intents[0], "reaped", None, 812_433_408),
    ]
    assert ledger.history(1) == [Reap(intents[3], "open")]


@pytest.mark.parametrize(
    ("outcomes", "message"),
    [
        pytest.param(["R1", "R9"], "R9 can't be written: there is no such intent", id="unknown"),
        pytest.param(["R1", "R2"], "R2 can't be written: it is already concluded as spared", id="already-concluded"),
        pytest.param(["R1", "R1"], "two outcomes at once", id="twice-in-one-batch"),
    ],
)
def test_an_outcome_is_written_once_and_a_batch_as_a_whole(ledger: Ledger, outcomes: list[str], message: str) -> None:
    ledger.intend([intent("R1"), intent("R2")])
    ledger.conclude([Outcome("R2", NOW, "spared")])
    with pytest.raises(LedgerError, match=message):
        ledger.conclude([Outcome(reap_id, NOW, "reaped") for reap_id in outcomes])
    assert [reap.outcome for reap in ledger.history(9)] == ["spared", "open"]
    ledger.conclude([Outcome("R1", NOW, "reaped")])


def test_a_reap_id_is_used_once_and_a_batch_as_a_whole(ledger: Ledger) -> None:
    ledger.intend([intent("R1")])
    with pytest.raises(LedgerError, match="reap_id"):
        ledger.intend([intent("R2"), intent("R1", reason="idle")])
    assert ledger.history(9) == [Reap(intent("R1"), "open")]


@pytest.mark.parametrize("outcome", ["open", "exploded"])
def test_only_the_three_outcomes_are_taken(ledger: Ledger, outcome: str) -> None:
    ledger.intend([intent("R1")])
    with pytest.raises(LedgerError, match="CHECK"):
        ledger.conclude([Outcome("R1", NOW, outcome)])
    assert ledger.history(9) == [Reap(intent("R1"), "open")]


@pytest.mark.parametrize(
    "statement",
    [
        pytest.param("DELETE FROM reap", id="delete-reap"),
        pytest.param("UPDATE reap SET reason = 'idle' WHERE outcome = 'open'", id="change-intent"),
        pytest.param("UPDATE reap SET why = 'other' WHERE outcome = 'reaped'", id="change-outcome"),
        pytest.param("UPDATE reap SET outcome = 'open', concluded_at = NULL WHERE outcome = 'reaped'", id="reopen"),
        pytest.param("DELETE FROM event", id="delete-event"),
        pytest.param("UPDATE event SET detail = 'other'", id="change-event"),
    ],
)
def test_the_file_itself_refuses_to_rewrite_history(ledger: Ledger, state_dir: Path, statement: str) -> None:
    ledger.intend([intent("R1"), intent("R2")])
    ledger.conclude([Outcome("R1", NOW, "reaped")])
    ledger.remember(Changes(events=(Event(NOW, "tripped", "3 of 3"),)))
    with (
        closing(sqlite3.connect(state_dir / "ledger.sqlite")) as raw,
        pytest.raises(sqlite3.IntegrityError, match=r"only|once"),
    ):
        raw.execute(statement)


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
    ledger.intend([intent(name, at=NOW - 48 * HOUR, session=name, reason=reason) for name, (reason, _, _) in moments.items()])
    ledger.conclude([Outcome(name, at, outcome) for name, (_, at, outcome) in moments.items()])
    memory = ledger.recall([], NOW)
    assert memory.orphans_last_hour == 2
    lately = ["orphan-now", "orphan-59m", "orphan-60m", "idle-now", "idle-23h"]
    assert memory.reaped_lately == {("/tmp/tmux-0/x", name): moments[name][1] for name in lately}


def test_a_name_reaped_twice_tells_the_latest_time(ledger: Ledger) -> None:
    ledger.intend([intent("R1", session="same"), intent("R2", session="same")])
    ledger.conclude([Outcome("R1", NOW - 5, "reaped"), Outcome("R2", NOW - 50, "reaped")])
    assert ledger.recall([], NOW).reaped_lately == {("/tmp/tmux-0/x", "same"): NOW - 5}


# Reports and events.


def test_the_last_report_is_kept_as_it_was_and_the_last_complete_sweep_beside_it(ledger: Ledger) -> None:
    def kept() -> tuple[object, object]:
        return ledger.last_report(), ledger.recall((), NOW).last_complete

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
    assert (ledger.last_report(), ledger.recall((), NOW).last_complete) == (("2", "one"), NOW + 1)
    assert ledger.touch_report("3", same="a", at=NOW + 2, complete=False)
    assert not ledger.touch_report("4", same="b", at=NOW + 3, complete=True)
    assert (ledger.last_report(), ledger.recall((), NOW).last_complete) == (("3", "one"), NOW + 1)


def test_events_are_told_newest_first(ledger: Ledger) -> None:
    events = tuple(Event(NOW - number, "kind", f"{number}") for number in range(5))
    ledger.remember(Changes(events=events[:3]))
    ledger.remember(Changes(events=events[3:]))
    assert ledger.events(3) == [events[4], events[3], events[2]]


# The file.


def test_no_change_writes_nothing(ledger: Ledger, state_dir: Path) -> None:
    ledger.remember(Changes(seen=frozenset({"a"})))
    wal = state_dir / "ledger.sqlite-wal"
    with closing(sqlite3.connect(state_dir / "ledger.sqlite")) as watcher:

        def version() -> tuple[object, ...]:
            return watcher.execute("PRAGMA data_version").fetchone()[0], wal.stat().st_mtime_ns, wal.stat().st_size

        before = version()
        ledger.remember(Changes())
        ledger.intend([])
        ledger.conclude([])
        ledger.registry()
        ledger.recall(["a", "b"], NOW)
        assert version() == before
        ledger.remember(Changes(alarms={}, events=(Event(NOW, "k", "d"),)))
        assert version() != before


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777], ids=oct)
def test_directory_and_files_are_for_this_user_alone(tmp_path: Path, umask: int) -> None:
    (tmp_path / "above").mkdir()
    state_dir = tmp_path / "above" / "state"
    before = os.umask(umask)
    try:
        ledger = opened(state_dir)
        ledger.testify("a", NOW)
    finally:
        os.umask(before)
    with closing(ledger):
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in state_dir.iterdir()}
    assert modes == dict.fromkeys(["ledger.sqlite", "ledger.sqlite-wal", "ledger.sqlite-shm"], 0o600)
    assert stat.S_IMODE(state_dir.stat().st_mode) == 0o700


def test_missing_parents_of_the_directory_are_made_and_one_that_is_there_is_left_alone(tmp_path: Path) -> None:
    state_dir = tmp_path / "a" / "b" / "c"
    opened(state_dir).close()
    state_dir.chmod(0o750)
    opened(state_dir).close()
    assert stat.S_IMODE(state_dir.stat().st_mode) == 0o750


UNDECODABLE = ["\udcff"] if sys.platform == "linux" else []  # other file systems refuse such a name


@pytest.mark.parametrize("name", ["with space", "q?x=1#y%41&mode=memory", "é🦊", *UNDECODABLE], ids=ascii)
def test_any_name_of_a_directory_will_do(tmp_path: Path, name: str) -> None:
    with closing(opened(tmp_path / name)) as ledger:
        ledger.testify("a", NOW)
    assert [path.name for path in (tmp_path / name).iterdir()] == ["ledger.sqlite"]
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_relative_directory_stays_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    with closing(opened(Path("state"))) as ledger:
        monkeypatch.chdir(tmp_path / "elsewhere")
        ledger.testify("a", NOW)
        assert ledger.recall([], NOW).testimony.keys() == {"a"}
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_the_file_is_in_wal_mode(ledger: Ledger, state_dir: Path) -> None:
    with closing(sqlite3.connect(state_dir / "ledger.sqlite")) as raw:
        assert raw.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_closed_ledger_says_so(state_dir: Path) -> None:
    ledger = opened(state_dir)
    ledger.close()
    ledger.close()
    with pytest.raises(LedgerError, match=r"ledger\.sqlite is closed"):
        ledger.registry()
    assert [path.name for path in state_dir.iterdir()] == ["ledger.sqlite"]


def test_any_thread_may_use_it(ledger: Ledger) -> None:
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for step in range(20):
                ledger.testify(f"{number}-{step}", NOW)
                ledger.recall([f"{number}-{step}"], NOW)
        except BaseException as error:  # noqa: BLE001 (handed to the test)
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(ledger.recall([], NOW).testimony) == 80


@pytest.mark.parametrize("replaced", [False, True], ids=["removed", "replaced"])
def test_a_file_taken_away_under_us_is_noticed(tmp_path: Path, replaced: bool) -> None:
    with closing(opened(tmp_path / "other")) as other:
        other.testify("theirs", NOW)
    with closing(opened(tmp_path / "state")) as ledger:
        ledger.testify("ours", NOW)
        stamp = ledger.registry().stamp
        for path in (tmp_path / "state").iterdir():
            path.unlink()
        if replaced:
            (tmp_path / "other" / "ledger.sqlite").rename(tmp_path / "state" / "ledger.sqlite")
        assert ledger.recall([], NOW).testimony.keys() == ({"theirs"} if replaced else set())
        assert (ledger.registry().stamp == stamp) is not replaced
        ledger.testify("new", NOW)
    with closing(opened(tmp_path / "state")) as again:
        assert "new" in again.recall([], NOW).testimony


# Reading only.


WRITES: dict[str, Callable[[SqliteLedger], None]] = {
    "remember": lambda ledger: ledger.remember(Changes(seen=frozenset({"a"}))),
    "remember-nothing": lambda ledger: ledger.remember(Changes()),
    "testify": lambda ledger: ledger.testify("a", NOW),
    "named": lambda ledger: ledger.named("a", NOW),
    "intend": lambda ledger: ledger.intend([intent("R1")]),
    "intend-nothing": lambda ledger: ledger.intend([]),
    "conclude": lambda ledger: ledger.conclude([Outcome("R1", NOW, "reaped")]),
    "conclude-nothing": lambda ledger: ledger.conclude([]),
    "save_report": lambda ledger: ledger.save_report("{}", "[]", sweep="a", at=NOW, complete=True),
}


@pytest.mark.parametrize("there", [False, True], ids=["missing", "there"])
@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_nothing_can_be_written_into_a_ledger_open_for_reading(
    state_dir: Path, write: Callable[[SqliteLedger], None], there: bool
) -> None:
    if there:
        opened(state_dir).close()
    with closing(opened(state_dir, read_only=True)) as ledger, pytest.raises(LedgerError, match="reading only"):
        write(ledger)


@pytest.mark.parametrize("there", [False, True], ids=["missing", "there"])
def test_sqlite_itself_refuses_to_write_into_a_ledger_open_for_reading(state_dir: Path, there: bool) -> None:
    if there:
        opened(state_dir).close()
    with closing(opened(state_dir, read_only=True)) as ledger:
        with pytest.raises(LedgerError, match="readonly"), ledger._store.reading() as connection:
            connection.exec_driver_sql("INSERT INTO testimony VALUES (1, 'a', 1.5)")
        assert ledger.recall([], NOW).testimony.keys() == set()


@pytest.mark.parametrize("made", ["nothing", "directory", "empty-file"])
def test_a_missing_ledger_reads_as_an_empty_one_and_nothing_is_made(tmp_path: Path, made: str) -> None:
    state_dir = tmp_path / "state"
    if made != "nothing":
        state_dir.mkdir()
    if made == "empty-file":
        (state_dir / "ledger.sqlite").touch()
    before = {path: path.stat() for path in [tmp_path, *tmp_path.rglob("*")]}
    with closing(opened(state_dir, read_only=True)) as ledger:
        stamp = ledger.registry().stamp
        assert ledger.recall(["a"], NOW) == Memory(RegistryMemory(stamp))
        assert (ledger.history(9), ledger.events(9), ledger.last_report()) == ([], [], None)
    after = {path: path.stat() for path in [tmp_path, *tmp_path.rglob("*")]}
    assert list(after) == list(before)
    assert [status.st_mtime_ns for status in after.values()] == [status.st_mtime_ns for status in before.values()]


def test_a_registry_never_enrolled_reads_as_empty(state_dir: Path) -> None:
    opened(state_dir).close()
    with closing(opened(state_dir, registry="cao", read_only=True)) as ledger:
        assert ledger.recall(["a"], NOW) == Memory(ledger.registry())
    with closing(sqlite3.connect(state_dir / "ledger.sqlite")) as raw:
        assert raw.execute("SELECT name FROM registry").fetchall() == [("standard",)]


def test_a_reader_sees_what_the_writer_commits(state_dir: Path) -> None:
    with closing(opened(state_dir, read_only=True)) as reader:
        assert reader.recall([], NOW).testimony.keys() == set()
        with closing(opened(state_dir)) as writer:
            writer.testify("a", NOW)
            assert reader.recall([], NOW).testimony.keys() == {"a"}
            assert reader.registry() == writer.registry()


# Whatever the values, and whatever their order: nothing is lost, also not by opening anew.

PHASES = [Phase.explicit, Phase.reuse, Phase.generate]  # each example is a file: to shrink one takes minutes

text = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("\\\0u\udc80\udcff"), max_size=12)
few = st.sampled_from(["a", "b", ODD_NAME])
numbers = st.integers(0, 2**62)
moments = st.floats(0, 4e9)
keys = st.builds(SessionKey, few | text, st.integers(0, 2), st.integers(0, 2) | numbers, few, st.integers(0, 2))
sights = st.tuples(keys, st.sampled_from(Sight))
plain = st.recursive(
    st.none() | st.booleans() | numbers | moments | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=6,
)
alarms = st.builds(Alarm, few, moments, text, text)
changes = st.builds(
    Changes,
    registry=st.none()
    | st.builds(
        RegistryMemory, text, st.integers(0, 99), text, text, st.frozensets(text, max_size=4), st.integers(0, 99), st.booleans()
    ),
    seen=st.frozensets(few | text, max_size=4),
    sightings=st.dictionaries(sights, st.builds(Sighting, moments, moments, st.integers(1, 99)), max_size=4),
    forgotten=st.frozensets(sights, max_size=4),
    servers=st.dictionaries(few, st.none() | st.builds(ServerMemory, numbers, numbers, st.none() | moments), max_size=3),
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
)


def after(memory: Memory, change: Changes) -> Memory:
    """What a memory must be once this change is written, told without a database."""
    registry = replace(change.registry, stamp=memory.registry.stamp) if change.registry else memory.registry
    sightings = {seen: value for seen, value in memory.sightings.items() if seen not in change.forgotten}
    servers = {**memory.servers, **change.servers}
    return replace(
        memory,
        registry=registry,
        seen={**memory.seen, **dict.fromkeys(change.seen, registry.generation)},
        sightings={**sightings, **change.sightings},
        servers={socket: server for socket, server in servers.items() if server is not None},
        breaker=change.breaker or memory.breaker,
        testimony={one: at for one, at in memory.testimony.items() if one not in change.settled},
        alarms=memory.alarms if change.alarms is None else change.alarms,
    )


@settings(max_examples=30, deadline=None, phases=PHASES)
@given(st.lists(changes, max_size=5), st.sets(few | text, max_size=3))
def test_memory_is_what_was_written_also_after_opening_anew(written: list[Changes], testified: set[str]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        with closing(opened(Path(directory))) as ledger:
            names = dict.fromkeys(testified, 1)
            expected = replace(Memory(ledger.registry()), testimony=dict.fromkeys(testified, NOW), named=names)
            for workspace_id in testified:
                ledger.testify(workspace_id, NOW)
            for change in written:
                ledger.remember(change)
                expected = after(expected, change)
            ids = testified.union(*(change.seen for change in written))
            assert ledger.recall(ids, NOW) == expected
        with closing(opened(Path(directory))) as again:
            assert again.recall(ids, NOW) == expected
            assert again.events(99) == [event for change in reversed(written) for event in reversed(change.events)]


@settings(max_examples=20, deadline=None, phases=PHASES)
@given(
    st.lists(
        st.builds(Intent, text, text, moments, keys, text, text, text, st.dictionaries(text, plain, max_size=3)),
        unique_by=lambda one: one.reap_id,
        max_size=5,
    ),
    text,
)
def test_an_intent_is_told_as_it_was_written(intents: list[Intent], why: str) -> None:
    with tempfile.TemporaryDirectory() as directory:
        with closing(opened(Path(directory), registry=why, location=why)) as ledger:
            ledger.intend(intents)
            ledger.conclude([Outcome(one.reap_id, NOW, "failed", why, 7) for one in intents[::2]])
        with closing(opened(Path(directory), registry=why, location=why, read_only=True)) as again:
            assert again.recall([], NOW).open_intents == tuple(intents[1::2])
            told = [Reap(one, "open") if index % 2 else Reap(one, "failed", why, 7) for index, one in enumerate(intents)]
            assert again.history(99) == told[::-1]
