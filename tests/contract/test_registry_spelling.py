"""A row that exists exists: ids in other spellings, several rows for a workspace, rows without an id, and odd rows."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.tools.hosts import Host, TableHost, VibeKanbanHost
from tests.tools.registries import opened, rows
from workspace_reaper.model.workspace import HostTable, Workspace, WorkspaceList
from workspace_reaper.registry import load_schema, open_registry, open_watcher
from workspace_reaper.registry.base import DatabaseRegistry

UUID = "0f0e0d0c-0b0a-4908-8706-05040302010a"
HEX, BLOB = uuid.UUID(UUID).hex, uuid.UUID(UUID).bytes
OTHER = str(uuid.UUID(int=1))

SERVERS = [pytest.param(None, id="sqlite"), pytest.param("postgres", id="postgres", marks=pytest.mark.postgres)]


@pytest.fixture(params=SERVERS)
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Host:
    server = None
    if request.param is not None:
        postgres = request.getfixturevalue("postgres")
        server = postgres.url(postgres.new_database())
    return TableHost(tmp_path / "host.sqlite", server)


def table(**described: Any) -> HostTable:
    return HostTable(**{"name": "tasks", "id": "id", "id_type": "text", **described})


def tasks(
    host: Host, id_column: str, *stored: tuple[object, ...], columns: str = "state TEXT", **described: Any
) -> DatabaseRegistry:
    """A table of one's own kind with these rows, and the registry that reads it."""
    with host.writing() as connection:
        connection.execute(f"CREATE TABLE tasks (id {id_column}, {columns})")
        marks = ", ".join("?" * (1 + columns.count(",") + 1))
        filled = [(*row, *[None] * (columns.count(",") + 2 - len(row))) for row in stored]
        connection.executemany(f"INSERT INTO tasks VALUES ({marks})", filled)
    return open_registry(load_schema("table", table(**described)), host.place, {}).database


def found(registry: DatabaseRegistry, *ids: str) -> dict[str, Workspace]:
    return dict(rows(registry.look_up(ids, ids)).found)


SPELLINGS = {
    "upper case": UUID.upper(),
    "mixed case": UUID[:8].upper() + UUID[8:],
    "without hyphens": HEX,
    "upper case without hyphens": HEX.upper(),
    "braces": "{" + UUID + "}",
    "braces and upper case": "{" + UUID.upper() + "}",
    "a URN": f"urn:uuid:{UUID}",
    "a space behind it": f"{UUID} ",
    "spaces around it": f"  {UUID.upper()}  ",
}


@pytest.mark.parametrize("id_type", ["uuid", "uuid-hex"])
@pytest.mark.parametrize("stored", SPELLINGS.values(), ids=SPELLINGS.keys())
def test_i70_a_row_with_its_id_in_another_spelling_exists(host: Host, id_type: str, stored: str) -> None:
    """The row is there with an upper-case id: "gone"."""
    registry = tasks(host, "VARCHAR(60) PRIMARY KEY", (stored, "archived"), id_type=id_type, archived="state = 'archived'")
    answer = rows(registry.look_up([UUID, OTHER], [UUID]))
    assert answer.found == {UUID: Workspace(UUID, archived=True)}
    assert answer.sentinels_found == {UUID}
    assert answer.identity.sentinels == (UUID,)
    assert [one.text for one in registry.examine()] == []


@pytest.mark.parametrize(
    "stored", [UUID, UUID.upper(), HEX, UUID.encode(), BLOB], ids=["text", "upper", "hex", "bytes", "blob"]
)
@pytest.mark.parametrize("id_type", ["uuid", "uuid-hex", "uuid-blob"])
def test_i70_sqlite_stores_any_form_in_any_column(tmp_path: Path, id_type: str, stored: object) -> None:
    registry = tasks(TableHost(tmp_path / "db"), "PRIMARY KEY", (stored,), id_type=id_type)
    assert found(registry, UUID, OTHER) == {UUID: Workspace(UUID)}


@pytest.mark.parametrize("id_type", ["uuid", "uuid-hex"])
def test_i70_white_space_around_an_id_does_not_count(host: Host, id_type: str) -> None:
    """The row is there with a line feed behind its id: "gone"."""
    spaces = [chr(number) for number in range(0x110000) if chr(number).isspace()]
    ids = [str(uuid.UUID(int=number)) for number, _ in enumerate(spaces)]
    stored = [(f"{space}{one}\r{space}",) for one, space in zip(ids, spaces, strict=True)]
    registry = tasks(host, "VARCHAR(60) PRIMARY KEY", *stored, id_type=id_type)
    assert found(registry, *ids, UUID) == {one: Workspace(one) for one in ids}


@pytest.mark.parametrize("stored", [UUID.encode(), HEX.upper().encode() + b"\n", BLOB], ids=["text", "hex", "blob"])
def test_i70_bytes_may_be_a_text(host: Host, stored: bytes) -> None:
    registry = tasks(host, "BYTEA PRIMARY KEY", (stored, "archived"), (b"\xff\0",), id_type="uuid-blob", **FLAGS)
    assert found(registry, UUID, OTHER) == {UUID: Workspace(UUID, archived=True)}


@pytest.mark.parametrize("stored", ["w1\n", "\tW1"], ids=ascii)
def test_i70_a_text_with_white_space_other_than_spaces_is_in_doubt(host: Host, stored: str) -> None:
    answer = found(tasks(host, "TEXT PRIMARY KEY", (stored, "archived"), **FLAGS), "w1", "w2")
    assert set(answer) == {"w1"}
    assert "which may be another spelling of 'w1'" in str(answer["w1"].unreadable)


def test_i70_a_row_of_vibe_kanban_that_was_rewritten_as_text(tmp_path: Path) -> None:
    host = VibeKanbanHost(tmp_path / "db.v2.sqlite")
    host.create()
    one, other = host.new_id(1), host.new_id(2)
    host.insert([one, other])
    with host.writing() as connection:
        connection.execute("UPDATE workspaces SET id = ? WHERE id = ?", (one.upper(), uuid.UUID(one).bytes))
    assert set(found(opened(host), one, other)) == {one, other}


REWRITTEN = [
    ("workspaces", "id"),
    ("sessions", "workspace_id"),
    ("sessions", "id"),
    ("execution_processes", "session_id"),
]


@pytest.mark.parametrize("spelling", ["upper({})", "lower({}) || char(10)"])
@pytest.mark.parametrize("columns", [REWRITTEN[at : at + 1] for at in range(4)] + [REWRITTEN[::2], REWRITTEN[1::2]], ids=repr)
def test_i70_a_process_runs_whose_ids_have_different_spellings(
    tmp_path: Path, columns: list[tuple[str, str]], spelling: str
) -> None:
    """The row is found, but its workspace does not run."""
    host = VibeKanbanHost(tmp_path / "db.v2.sqlite")
    host.create()
    ids = [host.new_id(number) for number in range(4)]
    host.insert(ids, archived=True)
    host.run(ids[0])
    host.start(ids[1], run_reason="devserver")
    host.start(ids[2], status="completed")
    with host.writing() as connection:
        connection.commit()
        connection.execute("PRAGMA foreign_keys = OFF")
        for name, column in columns:
            connection.execute(f"UPDATE {name} SET {column} = {spelling.format(f'hex({column})')}")
    expected = {one: Workspace(one, archived=True, running=one == ids[0]) for one in ids}
    assert found(opened(host), *ids) == expected


@pytest.mark.parametrize("stored", ["7", " 7", "007", 7.0, "+7", "7\r\n", "\u00a07"], ids=ascii)
def test_i70_a_number_in_another_form(tmp_path: Path, stored: object) -> None:
    registry = tasks(TableHost(tmp_path / "db"), "PRIMARY KEY", (stored,), (8,), id_type="integer")
    assert found(registry, "7", "9") == {"7": Workspace("7")}


def test_i70_spaces_do_not_count_in_a_text(host: Host) -> None:
    registry = tasks(host, "CHAR(6) PRIMARY KEY", ("w1    ",), ("w2",))
    assert found(registry, "w1", "w2", "w3") == {"w1": Workspace("w1"), "w2": Workspace("w2")}
    feed = open_watcher(load_schema("table", table()), host.place, {})
    listed = feed.read()
    feed.close()
    assert isinstance(listed, WorkspaceList)


@pytest.mark.parametrize("stored", ["\u00c91", "\u00c91 ", " \u00c91"], ids=ascii)
def test_i70_spaces_do_not_count_around_a_letter_that_is_not_ascii(host: Host, stored: str) -> None:
    registry = tasks(host, "TEXT PRIMARY KEY", (stored, "archived"), ("\u00e91\t", "open"), **FLAGS)
    assert found(registry, "\u00c91") == {"\u00c91": Workspace("\u00c91", archived=True)}


@pytest.mark.parametrize("column", ["TEXT", "TEXT COLLATE NOCASE"])
def test_i70_a_text_that_differs_in_case_is_in_doubt(tmp_path: Path, column: str) -> None:
    """It may be another workspace's: it neither counts as absent, nor does it say what the row says."""
    registry = tasks(TableHost(tmp_path / "db"), f"{column} PRIMARY KEY", ("AB", "archived"), archived="state = 'archived'")
    answer = found(registry, "ab", "cd")
    assert set(answer) == {"ab"}
    assert not answer["ab"].archived
    assert "the table has the id 'AB', which may be another spelling of 'ab'" in str(answer["ab"].unreadable)


@pytest.mark.parametrize("stored", ["a.b", "a:b", "A.b "])
def test_i70_a_text_with_a_character_that_tmux_replaces_is_in_doubt(host: Host, stored: str) -> None:
    registry = tasks(host, "TEXT PRIMARY KEY", (stored, "archived"), ("c.d", "open"), ("c_d", "archived"), **FLAGS)
    answer = found(registry, "a_b", "c_d", "e_f")
    assert "which may be another spelling of 'a_b'" in str(answer.pop("a_b").unreadable)
    assert answer == {"c_d": Workspace("c_d", archived=True)}


def test_where_both_spellings_exist_each_is_its_own(host: Host) -> None:
    registry = tasks(host, "TEXT PRIMARY KEY", ("AB", "archived"), ("ab", "open"), archived="state = 'archived'")
    assert found(registry, "ab", "AB") == {"ab": Workspace("ab"), "AB": Workspace("AB", archived=True)}


@pytest.mark.parametrize("order", [1, -1], ids=["as written", "reversed"])
def test_i70_texts_that_differ_in_case_have_each_their_own_row(host: Host, order: int) -> None:
    """All but one counted as absent."""
    stored = [("App ", "archived"), ("app ", "open"), (" APP", "archived"), ("aPP", "open")]
    registry = tasks(host, "TEXT PRIMARY KEY", *stored[::order], archived="state = 'archived'")
    answer = found(registry, "App", "app", "APP", "apP")
    unread = answer.pop("apP")
    assert answer == {"App": Workspace("App", archived=True), "app": Workspace("app"), "APP": Workspace("APP", archived=True)}
    assert "which may be another spelling of 'apP'" in str(unread.unreadable)


# Several rows for one workspace

STATES = {
    "one is open": (("archived", "open"), Workspace("a")),
    "all are archived": (("archived", "archived"), Workspace("a", archived=True)),
    "one is deleted, the other open": (("deleted", "open"), Workspace("a")),
    "one is deleted, the other archived": (("deleted", "archived"), Workspace("a", archived=True)),
    "all are deleted": (("deleted", "deleted"), Workspace("a", deleted=True)),
    "one runs": (("archived", "runs"), Workspace("a", running=True)),
    "one runs and is deleted": (("deleted", "runs deleted", "open"), Workspace("a")),
    "one is pinned": (("open", "pinned"), Workspace("a", pinned=True)),
}
FLAGS = {
    "archived": "state = 'archived'",
    "deleted": "state LIKE '%deleted'",
    "running": "state LIKE 'runs%'",
    "pinned": "state = 'pinned'",
}


@pytest.mark.parametrize("order", [1, -1], ids=["as written", "reversed"])
@pytest.mark.parametrize(("states", "expected"), STATES.values(), ids=STATES.keys())
def test_i71_several_rows_are_one_workspace(host: Host, states: tuple[str, ...], expected: Workspace, order: int) -> None:
    """One closed row of several decides for a session with live ones."""
    registry = tasks(host, "TEXT", *[("a", state) for state in states[::order]], ("b", "archived"), **FLAGS)
    assert found(registry, "a", "b") == {"a": expected, "b": Workspace("b", archived=True)}


def test_i71_rows_in_different_spellings_are_one_workspace(host: Host) -> None:
    registry = tasks(host, "TEXT", (UUID.upper(), "archived"), (HEX, "open"), id_type="uuid", **FLAGS)
    assert found(registry, UUID) == {UUID: Workspace(UUID)}


OTHER_ROWS = {
    "archived": ("archived", "open", Workspace(UUID)),
    "deleted": ("deleted", "open", Workspace(UUID)),
    "bare": ("bare", "open", Workspace(UUID)),
    "all archived": ("archived", "archived", Workspace(UUID, archived=True)),
    "archived, deleted": ("archived", "deleted", Workspace(UUID, archived=True)),
    "runs": ("archived", "runs", Workspace(UUID, running=True)),
}


@pytest.mark.parametrize("other", [UUID.upper(), f"{HEX}\t"], ids=["upper", "hex"])
@pytest.mark.parametrize(("canonical", "second", "expected"), OTHER_ROWS.values(), ids=OTHER_ROWS.keys())
def test_i71_a_row_in_the_usual_spelling_does_not_decide_alone(
    host: Host, canonical: str, second: str, other: str, expected: Workspace
) -> None:
    flags = {**FLAGS, "worktree_deleted": "state = 'bare'"}
    registry = tasks(host, "TEXT", (UUID, canonical), (other, second), (OTHER, "archived"), id_type="uuid", **flags)
    assert found(registry, UUID, OTHER) == {UUID: expected, OTHER: Workspace(OTHER, archived=True)}


def test_i71_an_unreadable_row_in_another_spelling_counts(tmp_path: Path) -> None:
    stored = [("w1", 1), ("w1 ", "odd"), ("W1", 0)]
    registry = tasks(TableHost(tmp_path / "db"), "TEXT", *stored, columns="state", archived="state")
    assert "archived of workspace w1 is 'odd'" in str(found(registry, "w1")["w1"].unreadable)


def test_i71_the_daemon_takes_a_workspace_for_archived_only_if_all_its_rows_are(host: Host) -> None:
    for states, archived in ((("open", "archived"), set()), (("archived", "archived"), {"a"})):
        with host.writing() as connection:
            connection.execute("DROP TABLE IF EXISTS tasks")
        tasks(host, "TEXT", *[("a", state) for state in states], **FLAGS)
        feed = open_watcher(load_schema("table", table(**FLAGS)), host.place, {})
        listed = feed.read()
        feed.close()
        assert isinstance(listed, WorkspaceList)
        assert (listed.workspaces, listed.archived) == ({"a"}, archived)


def test_i71_the_configuration_may_say_that_one_row_is_enough(host: Host) -> None:
    states = [("a", "archived"), ("a", "open"), ("a", "runs")]
    registry = tasks(host, "TEXT", *states, any_row=("archived",), **FLAGS)
    assert found(registry, "a") == {"a": Workspace("a", archived=True)}


# Rows without an id, and odd rows


@pytest.mark.parametrize("at", [0, 1, 2], ids=["first", "in the middle", "last"])
def test_i72_a_row_without_an_id_belongs_to_no_workspace(host: Host, at: int) -> None:
    """One row with a NULL session name stops everything, or only ``doctor``, or only ``run``."""
    stored: list[tuple[object, ...]] = [("a",), ("b",)]
    stored.insert(at, (None,))
    registry = tasks(host, "TEXT", *stored)
    answer = rows(registry.look_up(["a", "b", "c"], []))
    assert set(answer.found) == {"a", "b"}
    assert (answer.total, set(answer.identity.sentinels)) == (2, {"a", "b"})
    assert [one.text for one in registry.examine() if "index" not in one.text] == []
    feed = open_watcher(load_schema("table", table()), host.place, {})
    listed = feed.read()
    feed.close()
    assert isinstance(listed, WorkspaceList)
    assert listed.workspaces == {"a", "b"}


@pytest.mark.parametrize("odd", ["not-a-uuid", "", 16, b"short", 0.5], ids=repr)
def test_i87_one_odd_id_is_no_workspace_and_the_others_go_on(tmp_path: Path, odd: object) -> None:
    """One row with an odd id stops all reaping."""
    host = TableHost(tmp_path / "db")
    registry = tasks(host, "PRIMARY KEY", (UUID,), (odd,), id_type="uuid")
    answer = rows(registry.look_up([UUID, OTHER], []))
    assert set(answer.found) == {UUID}
    assert answer.identity.sentinels == (UUID,)
    [finding] = registry.examine()
    assert not finding.fatal
    assert f"a workspace id is {odd!r}, not a UUID" in finding.text
    feed = open_watcher(load_schema("table", table(id_type="uuid")), host.place, {})
    listed = feed.read()
    feed.close()
    assert isinstance(listed, WorkspaceList)
    assert listed.workspaces == {UUID}


@pytest.mark.parametrize("value", [2, -1, 0.5, "yes", b"\1"], ids=repr)
def test_i87_one_odd_flag_makes_its_own_workspace_unreadable(tmp_path: Path, value: object) -> None:
    host = TableHost(tmp_path / "db")
    registry = tasks(host, "TEXT PRIMARY KEY", ("a", value), ("b", 1), columns="state", archived="state")
    answer = found(registry, "a", "b")
    assert answer["b"] == Workspace("b", archived=True)
    assert f"archived of workspace a is {value!r}, neither 0 nor 1, true nor false" in str(answer["a"].unreadable)
    [finding] = registry.examine()
    assert (finding.fatal, "that workspace is not reaped" in finding.text) == (False, True)


@pytest.mark.parametrize(("text", "flag"), [("true", True), ("FALSE", False), ("1", True), (" 0 ", False)])
def test_words_are_read_as_flags(tmp_path: Path, text: str, flag: bool) -> None:
    registry = tasks(TableHost(tmp_path / "db"), "TEXT PRIMARY KEY", ("a", text), archived="state")
    assert found(registry, "a") == {"a": Workspace("a", archived=flag)}


def test_i87_text_that_is_no_utf_8_is_read_as_the_bytes_that_it_is(tmp_path: Path) -> None:
    host = TableHost(tmp_path / "db")
    registry = tasks(host, "TEXT PRIMARY KEY", ("a", "/srv/w"), ("b", "/srv/b"), worktree="state")
    with host.writing() as connection:
        connection.execute("UPDATE tasks SET state = CAST(x'2FFF' AS TEXT) WHERE id = 'a'")
    assert found(registry, "a", "b") == {"a": Workspace("a", worktree="/\udcff"), "b": Workspace("b", worktree="/srv/b")}


def test_a_generated_column_is_a_column(tmp_path: Path) -> None:
    columns = "state TEXT, is_archived INTEGER GENERATED ALWAYS AS (state = 'archived') VIRTUAL"
    host = TableHost(tmp_path / "db")
    with host.writing() as connection:
        connection.execute(f"CREATE TABLE tasks (id TEXT PRIMARY KEY, {columns})")
        connection.execute("INSERT INTO tasks VALUES ('a', 'archived')")
    registry = open_registry(load_schema("table", table(archived="is_archived")), host.place, {}).database
    assert found(registry, "a") == {"a": Workspace("a", archived=True)}


def test_a_view_is_read(host: Host) -> None:
    tasks(host, "TEXT", (UUID.upper(), "archived"), (None, "open"))
    with host.writing() as connection:
        connection.execute("CREATE VIEW seen AS SELECT id, state FROM tasks")
    described = table(name="seen", id_type="uuid", **FLAGS)
    registry = open_registry(load_schema("table", described), host.place, {}).database
    assert found(registry, UUID, OTHER) == {UUID: Workspace(UUID, archived=True)}


def test_a_table_of_other_ids_is_unknown(tmp_path: Path) -> None:
    """Otherwise each workspace would seem to be gone."""
    registry = tasks(TableHost(tmp_path / "db"), "TEXT PRIMARY KEY", ("w1",), ("w2",), id_type="uuid")
    answer = registry.look_up([UUID], [])
    assert "a workspace id is 'w1', not a UUID" in getattr(answer, "reason", "")
