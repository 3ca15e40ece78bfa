"""Every registry tells the same of its host, over databases made as the hosts make them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import pytest
from _pytest.mark.structures import ParameterSet

from tests.simulation.memory.registry import MemoryHost, MemoryRegistry
from tests.tools.file_hosts import FilesHost, MapHost
from tests.tools.hosts import EVERY_HOST, CaoHost, Host, StandardHost, TableHost, VibeKanbanHost
from tests.tools.recording_hosts import NamingFilesHost, RecordingHost
from tests.tools.registries import registry_of, rows
from workspace_reaper.model.ports import Registry
from workspace_reaper.model.workspace import FLAGS, RecordedSession, Workspace

SERVERS = [pytest.param(None, id="sqlite"), pytest.param("postgres", id="postgres", marks=pytest.mark.postgres)]
Flagged: TypeAlias = "VibeKanbanHost | StandardHost | TableHost | FilesHost | MemoryHost"
FILES = {"files": FilesHost, "files-map": MapHost}
Recording: TypeAlias = "RecordingHost | NamingFilesHost | MemoryHost"


def everywhere(kinds: Mapping[str, type], files: Mapping[str, type] = FILES) -> list[ParameterSet]:
    """These hosts over a file and over PostgreSQL, hosts with files, and the host of the simulation in memory."""
    places = [
        pytest.param((kind, server.values[0]), id=f"{server.id}-{name}", marks=server.marks)
        for name, kind in kinds.items()
        for server in SERVERS
    ]
    in_files = [pytest.param((kind, None), id=name) for name, kind in files.items()]
    return [*places, *in_files, pytest.param((MemoryHost, None), id="memory")]


def url_of(request: pytest.FixtureRequest, server: str | None) -> str | None:
    """The URL of an empty PostgreSQL database, or None for a file."""
    if server is None:
        return None
    postgres = request.getfixturevalue("postgres")
    url: str = postgres.url(postgres.new_database())
    return url


def port_of(host: Host | MemoryHost) -> Registry:
    """The port over that host."""
    return MemoryRegistry(host) if isinstance(host, MemoryHost) else registry_of(host)


def has_row_numbers(host: Host | MemoryHost) -> bool:
    """Whether its rows have an order that no write changes."""
    return host.server is None and not isinstance(host, FilesHost)


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest) -> str | None:
    return url_of(request, request.param)


@pytest.fixture(params=everywhere(EVERY_HOST))
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Host:
    kind, server = request.param
    made: Host = kind(tmp_path / "host.sqlite", url_of(request, server))
    made.create()
    return made


@pytest.fixture
def vibe(tmp_path: Path, server: str | None) -> VibeKanbanHost:
    made = VibeKanbanHost(tmp_path / "db.v2.sqlite", server)
    made.create()
    return made


@pytest.fixture
def standard(tmp_path: Path, server: str | None) -> StandardHost:
    made = StandardHost(tmp_path / "workspaces.sqlite", server)
    made.create()
    return made


@pytest.fixture(params=everywhere({name: kind for name, kind in EVERY_HOST.items() if hasattr(kind, "archive")}))
def flagged(request: pytest.FixtureRequest, tmp_path: Path) -> Flagged:
    kind, server = request.param
    made: Flagged = kind(tmp_path / "host.sqlite", url_of(request, server))
    made.create()
    return made


def test_found_are_those_asked_for_that_are_there(host: Host) -> None:
    here, other, gone = (host.new_id(number) for number in range(3))
    host.insert([here, other, gone], worktree="/srv/worktree")
    host.delete(gone)

    answer = rows(port_of(host).look_up([here, gone], []))

    assert set(answer.found) == {here}
    assert answer.found[here].workspace_id == here
    assert answer.total == 2
    assert not answer.capped


def test_nothing_asked(host: Host) -> None:
    host.insert([host.new_id(1)])
    answer = rows(port_of(host).look_up([], []))
    assert (answer.found, answer.sentinels_found, answer.total) == ({}, frozenset(), 1)


def test_an_empty_table_is_an_answer(host: Host) -> None:
    answer = rows(port_of(host).look_up([host.new_id(1)], [host.new_id(2)]))
    assert (answer.found, answer.sentinels_found, answer.identity.sentinels, answer.total) == ({}, frozenset(), (), 0)


def test_every_fact_at_rest(flagged: Flagged) -> None:
    one = flagged.new_id(1)
    flagged.insert([one], worktree="/srv/wörktree")
    assert rows(port_of(flagged).look_up([one], [])).found[one] == Workspace(one, worktree="/srv/wörktree")


def test_the_directories_of_all_rows(flagged: Flagged) -> None:
    ids = [flagged.new_id(number) for number in range(3)]
    for one in ids[:2]:
        flagged.insert([one], worktree=f"/srv/{one}")
    flagged.insert(ids[2:])
    registry = port_of(flagged)
    assert registry.worktrees() == {f"/srv/{one}" for one in ids[:2]}
    flagged.delete(ids[0])
    assert registry.worktrees() == {f"/srv/{ids[1]}"}


def test_a_row_that_was_made_later_has_a_higher_place(host: Host) -> None:
    ids = [host.new_id(number) for number in (3, 1, 2)]
    for one in ids:
        host.insert([one])
    found = rows(port_of(host).look_up(ids, [])).found
    assert [found[one].place for one in ids] == ([1, 2, 3] if has_row_numbers(host) else [None] * 3)


@pytest.mark.parametrize("archived", [True, False], ids=["archived", "not-archived"])
@pytest.mark.parametrize("pinned", [True, False], ids=["pinned", "not-pinned"])
def test_flags(flagged: Flagged, archived: bool, pinned: bool) -> None:
    one, other = flagged.new_id(1), flagged.new_id(2)
    flagged.insert([one, other])
    flagged.archive(one, on=archived)
    flagged.pin(one, on=pinned)
    found = rows(port_of(flagged).look_up([one, other], [])).found
    assert (found[one].archived, found[one].pinned) == (archived, pinned)
    assert (found[other].archived, found[other].pinned) == (False, False)


@pytest.mark.parametrize("ask", [1, 3_000], ids=["one", "3000"])
def test_many_ids(host: Host, ask: int) -> None:
    ids = [host.new_id(number) for number in range(ask)]
    host.insert(ids)
    answer = rows(port_of(host).look_up([*ids, host.new_id(-1)], ids[:5]))
    assert set(answer.found) == set(ids)
    assert answer.sentinels_found == set(ids[:5])


@pytest.mark.parametrize("count", [10_000, 10_001])
def test_the_count_is_bounded(host: Host, count: int) -> None:
    host.insert([host.new_id(number) for number in range(count)])
    answer = rows(port_of(host).look_up([], []))
    assert (answer.total, answer.capped) == (10_000, count > 10_000)


def test_oldest_and_anchors(host: Host) -> None:
    ids = [host.new_id(number) for number in range(40)]
    for one in ids:
        host.insert([one])
    registry = port_of(host)
    first = rows(registry.look_up([], []))
    # PostgreSQL's rows move when they are written to, and a host may sort its list: there they are the first by their ids.
    expected = ids if has_row_numbers(host) else sorted(ids)
    assert first.identity.sentinels == tuple(expected[:32])

    host.delete(expected[0], expected[3])
    second = rows(registry.look_up([expected[5]], first.identity.sentinels))
    assert second.sentinels_found == set(expected[:32]) - {expected[0], expected[3]}
    assert set(second.found) == {expected[5]}
    assert second.identity.sentinels[0] == expected[1]


@pytest.mark.parametrize(
    "strange",
    [
        "",
        "x",
        "cao-absent",
        "\udc80",
        "0" * 32,
        "zzzzzzzz-zzzz-zzzz-zzzz-zzzzzzzzzzzz",
        "a\0b",
        "'; drop table workspaces --",
    ],
    ids=["empty", "short", "absent", "surrogate", "zeros", "no-hex", "nul", "quote"],
)
def test_what_can_be_no_id_is_not_found(host: Host, strange: str) -> None:
    one = host.new_id(1)
    host.insert([one])
    answer = rows(port_of(host).look_up([strange, one], [strange]))
    assert set(answer.found) == {one}
    assert answer.sentinels_found == frozenset()


@pytest.mark.parametrize("reason_", ["setupscript", "cleanupscript", "archivescript", "codingagent"])
def test_running_in_vibe_kanban(vibe: VibeKanbanHost, reason_: str) -> None:
    one, other = vibe.new_id(1), vibe.new_id(2)
    vibe.insert([one, other])
    process = vibe.start(one, run_reason=reason_)
    registry = registry_of(vibe)
    found = rows(registry.look_up([one, other], [])).found
    assert (found[one].running, found[other].running) == (True, False)
    vibe.finish(process)
    assert not rows(registry.look_up([one], [])).found[one].running


@pytest.mark.parametrize("status", ["completed", "failed", "killed"])
def test_a_process_that_ended_does_not_run(vibe: VibeKanbanHost, status: str) -> None:
    vibe.insert([vibe.new_id(1)])
    vibe.start(vibe.new_id(1), status=status)
    assert not rows(registry_of(vibe).look_up([vibe.new_id(1)], [])).found[vibe.new_id(1)].running


def test_a_dev_server_alone_is_not_work(vibe: VibeKanbanHost) -> None:
    one = vibe.new_id(1)
    vibe.insert([one])
    vibe.start(one, run_reason="devserver")
    registry = registry_of(vibe)
    assert not rows(registry.look_up([one], [])).found[one].running
    vibe.start(one, run_reason="codingagent")
    assert rows(registry.look_up([one], [])).found[one].running


DEEDS = {
    "archive": "archived",
    "pin": "pinned",
    "run": "running",
    "flag_deleted": "deleted",
    "delete_worktree": "worktree_deleted",
}
SET_FLAGS = [(name, deed) for name, kind in EVERY_HOST.items() for deed in DEEDS if hasattr(kind, deed)]
KINDS: dict[str, type[Host]] = {**EVERY_HOST, **FILES}


@pytest.mark.parametrize("name", KINDS)
def test_a_host_sets_each_flag_that_its_schema_reads(tmp_path: Path, name: str) -> None:
    read = registry_of(KINDS[name](tmp_path / "host.sqlite")).schema.facts(frozenset())
    sets = {fact for deed, fact in DEEDS.items() if hasattr(KINDS[name], deed)}
    assert sets == {one for one in FLAGS if getattr(read, one) is not None}


@pytest.mark.parametrize(("name", "deed"), SET_FLAGS)
def test_each_flag_that_the_host_sets_is_read(tmp_path: Path, server: str | None, name: str, deed: str) -> None:
    host = EVERY_HOST[name](tmp_path / "host.sqlite", server)
    reads_each_flag(host, deed)


@pytest.mark.parametrize("deed", DEEDS)
@pytest.mark.parametrize("kind", FILES.values(), ids=FILES)
def test_each_flag_in_a_file_is_read(tmp_path: Path, kind: type[FilesHost], deed: str) -> None:
    reads_each_flag(kind(tmp_path / "host.sqlite"), deed)


def reads_each_flag(host: Host, deed: str) -> None:
    host.create()
    one, other = host.new_id(1), host.new_id(2)
    host.insert([one, other])
    registry = registry_of(host)
    before = rows(registry.look_up([one, other], [])).found
    getattr(host, deed)(one)
    after = rows(registry.look_up([one, other], [])).found
    assert after == {one: replace(before[one], **{DEEDS[deed]: True}), other: before[other]}


def test_an_older_database_and_its_migration(tmp_path: Path, server: str | None) -> None:
    host = VibeKanbanHost(tmp_path / "old.sqlite", server, worktree_deleted=False)
    host.create()
    one = host.new_id(1)
    host.insert([one], archived=True)
    registry = registry_of(host)
    before = rows(registry.look_up([one], []))
    assert before.found[one] == Workspace(one, archived=True)

    with host.writing() as connection:
        host.migrate(connection)
    host.delete_worktree(one)
    after = rows(registry.look_up([one], []))
    assert after.found[one] == Workspace(one, archived=True, worktree_deleted=True)
    assert (after.identity.schema, after.identity.location) == (before.identity.schema, before.identity.location)


@pytest.mark.parametrize("column", ["name", "created_at", "worktree_deleted"])
def test_a_standard_table_may_lack_a_column(standard: StandardHost, column: str) -> None:
    standard.insert(["a"], pinned=True)
    with standard.writing() as connection:
        connection.execute(f"ALTER TABLE workspaces RENAME COLUMN {column} TO other")
    assert rows(registry_of(standard).look_up(["a"], [])).found == {"a": Workspace("a", pinned=True)}


def test_known_while_one_terminal_names_it(tmp_path: Path, server: str | None) -> None:
    host = CaoHost(tmp_path / "cao.db", server)
    host.create()
    host.insert(["cao-a", "cao-a", "cao-b", "cao-a"])
    registry = registry_of(host)
    answer = rows(registry.look_up(["cao-a", "cao-b", "cao"], []))
    assert answer.found == {"cao-a": Workspace("cao-a"), "cao-b": Workspace("cao-b")}
    assert (answer.total, answer.identity.sentinels) == (2, ("cao-a", "cao-b"))

    with host.writing() as connection:
        connection.execute("DELETE FROM terminals WHERE id IN (SELECT id FROM terminals WHERE tmux_session = 'cao-a' LIMIT 2)")
    assert set(rows(registry.look_up(["cao-a"], [])).found) == {"cao-a"}
    host.delete("cao-a")
    assert rows(registry.look_up(["cao-a"], [])).found == {}


@pytest.mark.parametrize("kind", EVERY_HOST.values(), ids=EVERY_HOST)
def test_nothing_is_wrong_with_a_host_s_own_database(tmp_path: Path, server: str | None, kind: type[Host]) -> None:
    host = kind(tmp_path / "host.sqlite", server)
    host.create()
    host.insert([host.new_id(1)])
    assert registry_of(host).examine() == ()


@pytest.mark.parametrize("kind", ["view", "no-rowid"])
def test_what_has_no_row_numbers(tmp_path: Path, server: str | None, kind: str) -> None:
    host = StandardHost(tmp_path / "workspaces.sqlite", server)
    host.create()
    host.insert(["b", "a"])
    with host.writing() as connection:
        connection.execute("ALTER TABLE workspaces RENAME TO rows_of_mine")
        if kind == "view":
            connection.execute("CREATE VIEW workspaces AS SELECT * FROM rows_of_mine")
        else:
            ending = "WITHOUT ROWID" if server is None else ""
            connection.execute(
                "CREATE TABLE workspaces (id TEXT PRIMARY KEY, archived BOOLEAN, pinned BOOLEAN, running BOOLEAN,"
                f" deleted_at DATETIME, worktree TEXT) {ending}"
            )
            connection.execute("INSERT INTO workspaces (id) VALUES ('b'), ('a')")
    registry = registry_of(host)
    answer = rows(registry.look_up(["a", "c"], ["b"]))
    assert (set(answer.found), answer.sentinels_found, answer.total) == ({"a"}, {"b"}, 2)
    assert set(answer.identity.sentinels) == {"a", "b"}
    assert registry.examine() == ()


def test_a_row_that_appears_between_two_look_ups(host: Host) -> None:
    """The first answer stays what it was: its holder does not see the row."""
    one, other = host.new_id(1), host.new_id(2)
    host.insert([other])
    registry = port_of(host)
    before = rows(registry.look_up([one], [other]))
    host.insert([one])
    after = rows(registry.look_up([one], [other]))
    assert (set(before.found), before.total, before.sentinels_found) == (set(), 1, {other})
    assert (set(after.found), after.total, after.sentinels_found) == ({one}, 2, {other})
    host.delete(one, other)
    gone = rows(registry.look_up([one], [other]))
    assert (set(gone.found), gone.total, gone.sentinels_found) == (set(), 0, set())


# Rows that name sessions


@pytest.fixture(params=everywhere({"table": RecordingHost}, {"files": NamingFilesHost}))
def recording(request: pytest.FixtureRequest, tmp_path: Path) -> Recording:
    kind, server = request.param
    made: Recording = kind(tmp_path / "host.sqlite", url_of(request, server))
    made.create()
    return made


def naming(host: Recording, *names: str) -> dict[str, tuple[RecordedSession, ...]]:
    """Which rows name these sessions. All of their workspaces are found."""
    answer = rows(port_of(host).look_up([], [], sessions=names))
    assert set(answer.found) == {one.workspace_id for some in answer.of.values() for one in some}
    return dict(answer.of)


def test_the_rows_that_name_sessions(recording: Recording) -> None:
    one, other, without = (recording.new_id(number) for number in (1, 2, 3))
    recording.insert([one, other, without])
    recording.record_session(one, "Main")
    recording.record_session(other, "ö")
    recording.record_session(without, None)
    answer = rows(port_of(recording).look_up([without], [], sessions=["Main", "ö", "mine"]))
    assert answer.of == {"Main": (RecordedSession(one),), "ö": (RecordedSession(other),)}
    assert set(answer.found) == {one, other, without}
    recording.delete(one)
    assert naming(recording, "Main", "ö") == {"ö": (RecordedSession(other),)}
    assert rows(port_of(recording).look_up([one], [])).of == {}


@pytest.mark.parametrize(
    ("recorded", "name", "is_certain"),
    [
        pytest.param("a.b:c", "a.b:c", True, id="as it is"),
        pytest.param("a.b:c", "a_b_c", True, id="as tmux writes it"),
        pytest.param("a_b", "a.b", False, id="the other way round"),
        pytest.param("Main", "main", False, id="another case"),
        pytest.param(" main\n", "main", False, id="with white space"),
        pytest.param("A.B ", "a_b", False, id="all of these"),
        pytest.param("%_'\"\\$", "%_'\"\\$", True, id="characters of SQL"),
        pytest.param("main", "main2", None, id="a longer one"),
        pytest.param("m%", "main", None, id="a wildcard"),
        pytest.param("", "x", None, id="empty"),
        pytest.param("  ", " ", None, id="blank"),
        pytest.param("x" * 1_000_000, "x", None, id="huge"),
    ],
)
def test_how_a_row_may_name_a_session(recording: Recording, recorded: str, name: str, is_certain: bool | None) -> None:
    one = recording.new_id(1)
    recording.insert([one])
    recording.record_session(one, recorded)
    assert naming(recording, name) == ({} if is_certain is None else {name: (RecordedSession(one, is_certain),)})


def test_several_rows_that_name_one_session(recording: Recording) -> None:
    one, other, gone = (recording.new_id(number) for number in (1, 2, 3))
    recording.insert([one, other, gone])
    for each in (one, other, gone):
        recording.record_session(each, "main")
    recording.flag_deleted(gone)
    found = naming(recording, "main")["main"]
    assert sorted(found, key=lambda each: each.workspace_id) == [
        RecordedSession(one),
        RecordedSession(other),
        RecordedSession(gone, deleted=True),
    ]


def test_many_sessions_are_looked_up_at_once(recording: Recording) -> None:
    ids = [recording.new_id(number) for number in range(1, 1_001)]
    recording.insert(ids)
    if isinstance(recording, MemoryHost):
        recording.sessions = {one: f"Agent-{one}" for one in ids}
    found = naming(recording, *(f"Agent-{one}" for one in ids), *(f"mine {one}" for one in ids))
    assert found == {f"Agent-{one}": (RecordedSession(one),) for one in ids}


def test_a_host_that_records_no_sessions(standard: StandardHost) -> None:
    standard.insert(["main"])
    answer = rows(registry_of(standard).look_up([], [], sessions=["main"]))
    assert (answer.of, answer.found) == ({}, {})
