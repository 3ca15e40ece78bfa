"""A table that only the configuration describes: what it tells, and what is said where the description does not fit."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.tools.hosts import Host, TableHost
from tests.tools.registries import reason, rows
from workspace_reaper.model.errors import ConfigurationError
from workspace_reaper.model.unknown import Unknown
from workspace_reaper.model.workspace import HostTable, RecordedSession, Workspace
from workspace_reaper.registry import load_schema, open_registry, open_watcher
from workspace_reaper.registry.base import DatabaseRegistry

SERVERS = [pytest.param(None, id="sqlite"), pytest.param("postgres", id="postgres", marks=pytest.mark.postgres)]
UUID = "0123abcd-89ab-cdef-0123-456789abcdef"
HEX = UUID.replace("-", "")
BLOB = uuid.UUID(UUID).bytes


@pytest.fixture(params=SERVERS)
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Host:
    """A host with an empty database."""
    server = None
    if request.param is not None:
        postgres = request.getfixturevalue("postgres")
        server = postgres.url(postgres.new_database())
    return TableHost(tmp_path / "host.sqlite", server)


def described(host: Host, **told: Any) -> DatabaseRegistry:
    table = HostTable(**{"name": "tasks", "id": "id", "id_type": "text", **told})
    return open_registry(load_schema("table", table), host.place, {})


def tasks(host: Host, id_column: str = "TEXT PRIMARY KEY", *ids: object, columns: str = "status TEXT, flag INTEGER") -> None:
    with host.writing() as connection:
        connection.execute(f"CREATE TABLE tasks (id {id_column}, {columns})")
        connection.executemany("INSERT INTO tasks (id) VALUES (?)", [(one,) for one in ids])


def change(host: Host, sql: str) -> None:
    with host.writing() as connection:
        connection.execute(sql)


# What it tells


@pytest.mark.parametrize(
    ("id_type", "column", "stored", "canonical"),
    [
        pytest.param("text", "TEXT PRIMARY KEY", "a b", "a b", id="text"),
        pytest.param("text", "VARCHAR(20) PRIMARY KEY", "ö", "ö", id="varchar"),
        pytest.param("uuid", "TEXT PRIMARY KEY", UUID, UUID, id="uuid as text"),
        pytest.param("uuid", "UUID PRIMARY KEY", UUID, UUID, id="uuid of its own kind"),
        pytest.param("uuid", "CHAR(36) PRIMARY KEY", UUID, UUID, id="uuid as char"),
        pytest.param("uuid-hex", "CHAR(32) PRIMARY KEY", HEX, UUID, id="uuid-hex"),
        pytest.param("uuid-hex", "TEXT PRIMARY KEY", HEX, UUID, id="uuid-hex as text"),
        pytest.param("uuid-blob", "BLOB PRIMARY KEY", BLOB, UUID, id="uuid-blob"),
        pytest.param("integer", "INTEGER PRIMARY KEY", 7, "7", id="integer"),
        pytest.param("integer", "BIGINT PRIMARY KEY", -(1 << 63), str(-(1 << 63)), id="bigint"),
        pytest.param("integer", "SMALLINT PRIMARY KEY", 0, "0", id="smallint"),
    ],
)
def test_ids(host: Host, id_type: str, column: str, stored: object, canonical: str) -> None:
    tasks(host, column, stored)
    registry = described(host, id_type=id_type)
    assert registry.canonical(canonical) == canonical
    other = {"text": "x", "integer": str((1 << 63) - 1)}.get(id_type, str(uuid.UUID(int=1)))
    answer = rows(registry.look_up([canonical, other, "a\0b"], [canonical]))
    assert (answer.found, answer.sentinels_found) == ({canonical: Workspace(canonical)}, {canonical})
    assert (answer.identity.sentinels, answer.total) == ((canonical,), 1)
    assert registry.examine() == ()


@pytest.mark.parametrize(
    ("expression", "flagged"),
    [
        ("flag", {"b"}),
        ("flag = 1", {"b"}),
        ("status = 'archived'", {"a"}),
        ("status IS NULL", {"c"}),
        ("id IN (SELECT id FROM tasks WHERE status = 'archived')", {"a"}),
        ("status LIKE 'arch%'", {"a"}),
        ("status = ':x' OR status LIKE '100%'", set()),
        ("NULL", set()),
    ],
)
@pytest.mark.parametrize("fact", ["archived", "deleted", "pinned", "running", "worktree_deleted"])
def test_flags(host: Host, fact: str, expression: str, flagged: set[str]) -> None:
    tasks(host, "TEXT PRIMARY KEY", "a", "b", "c")
    change(host, "UPDATE tasks SET status = 'archived' WHERE id = 'a'")
    change(host, "UPDATE tasks SET flag = 1, status = 'open' WHERE id = 'b'")
    # A bare NULL has the type text in PostgreSQL.
    expression = "CAST(NULL AS INTEGER)" if expression == "NULL" else expression
    registry = described(host, **{fact: expression})
    found = rows(registry.look_up(["a", "b", "c"], [])).found
    assert {one for one, workspace in found.items() if getattr(workspace, fact)} == flagged
    assert registry.examine() == ()


def test_the_worktree(host: Host) -> None:
    tasks(host, "TEXT PRIMARY KEY", "a", "b")
    change(host, "UPDATE tasks SET status = 'x' WHERE id = 'a'")
    found = rows(described(host, worktree="'/srv/' || status").look_up(["a", "b"], [])).found
    assert (found["a"].worktree, found["b"].worktree) == ("/srv/x", None)


def test_a_column_that_tells_two_things(host: Host) -> None:
    tasks(host, "TEXT PRIMARY KEY", "a")
    registry = described(host, archived="flag", pinned="flag", worktree="id")
    assert rows(registry.look_up(["a"], [])).found == {"a": Workspace("a", worktree="a")}


@pytest.mark.parametrize(
    ("expression", "ids"),
    [
        ("substr(id, 1, 2)", {"ab", "xy"}),
        ("'w-' || id", {"w-abc", "w-xyz"}),
        ("CASE WHEN status IS NULL THEN id END", {"abc"}),
        ("(SELECT other.id FROM tasks AS other WHERE other.id = tasks.id)", {"abc", "xyz"}),
        ("replace(id, 'c', '%c')", {"ab%c", "xyz"}),
    ],
)
def test_an_id_that_is_an_expression(host: Host, expression: str, ids: set[str]) -> None:
    tasks(host, "TEXT PRIMARY KEY", "abc", "xyz")
    change(host, "UPDATE tasks SET status = 'x', flag = 1 WHERE id = 'xyz'")
    registry = described(host, id=expression, archived="flag = 1")
    answer = rows(registry.look_up([*ids, "other"], [*ids]))
    assert (set(answer.found), answer.total, answer.sentinels_found) == (ids, len(ids), ids)
    assert {one for one, row in answer.found.items() if row.archived} == {one for one in ids if one.strip("w-").startswith("x")}
    assert (set(answer.identity.sentinels), registry.worktrees()) == (ids, frozenset())
    findings = [(finding.fatal, finding.text, finding.do) for finding in registry.examine()]
    text = "the id of tasks is an expression without an index: every look-up reads the whole table"
    assert findings == ([] if host.server else [(False, text, "")])
    assert listed(host, id=expression) == ids


def listed(host: Host, **told: Any) -> frozenset[str]:
    """The workspaces that the watcher lists."""
    table = HostTable(**{"name": "tasks", "id": "id", "id_type": "text", **told})
    feed = open_watcher(load_schema("table", table), host.place, {})
    answer = feed.read()
    feed.close()
    assert not isinstance(answer, Unknown), answer
    return answer.workspaces


def test_a_number_that_is_an_expression(host: Host) -> None:
    tasks(host, "TEXT PRIMARY KEY", "job-7")
    registry = described(host, id="CAST(substr(id, 5) AS INTEGER)", id_type="integer")
    assert set(rows(registry.look_up(["7", "8"], [])).found) == {"7"}


def test_an_id_in_another_spelling_that_is_an_expression(host: Host) -> None:
    tasks(host, "TEXT PRIMARY KEY", UUID.upper())
    registry = described(host, id="lower(id) || ' '", id_type="uuid")
    assert set(rows(registry.look_up([UUID], [])).found) == {UUID}


@pytest.mark.parametrize("expression", ["max(id)", "nothing || id", "id, flag", "1 -- one"])
def test_an_id_that_cannot_be_evaluated(host: Host, expression: str) -> None:
    tasks(host, "TEXT PRIMARY KEY", "a", "b")
    text = told_by_both(described(host, id=expression), "a")
    assert "cannot evaluate id" in text or "has ids that are record" in text


@pytest.mark.parametrize(
    ("where", "ids"),
    [
        ("flag", {"b"}),
        ("flag = 1", {"b"}),
        ("status = 'job'", {"a"}),
        ("status IS NOT NULL OR flag = 1", {"a", "b"}),
        ("flag = 0", set()),
        ("NOT EXISTS (SELECT 1 FROM tasks AS other WHERE other.id > tasks.id)", {"c"}),
    ],
)
def test_rows_that_are_no_workspaces(host: Host, where: str, ids: set[str]) -> None:
    tasks(host, "TEXT PRIMARY KEY", "a", "b", "c")
    change(host, "UPDATE tasks SET status = 'job' WHERE id = 'a'")
    change(host, "UPDATE tasks SET flag = 1 WHERE id = 'b'")
    registry = described(host, where=where, worktree="'/srv/' || id")
    answer = rows(registry.look_up(["a", "b", "c"], ["a", "b", "c"], every_spelling=True))
    assert (set(answer.found), answer.total, answer.sentinels_found) == (ids, len(ids), ids)
    assert set(answer.identity.sentinels) == ids
    assert registry.worktrees() == {f"/srv/{one}" for one in ids}
    assert registry.examine() == ()
    assert listed(host, where=where) == ids


def test_a_row_that_is_no_workspace_is_not_found_in_another_spelling(host: Host) -> None:
    tasks(host, "TEXT PRIMARY KEY", "A ")
    change(host, "UPDATE tasks SET flag = 0")
    assert rows(described(host, where="flag").look_up(["a", "A"], [])).found == {}
    change(host, "UPDATE tasks SET flag = 1")
    assert set(rows(described(host, where="flag").look_up(["a", "A"], [])).found) == {"a", "A"}


def test_a_condition_that_is_no_truth_makes_no_row_disappear(host: Host) -> None:
    tasks(host, "TEXT PRIMARY KEY", "a")
    change(host, "UPDATE tasks SET status = 'no', flag = 2")
    assert "where of workspace a is 2, neither 0 nor 1, true nor false" in unreadable(described(host, where="flag"), "a")
    if host.server:
        told = told_by_both(described(host, where="status"), "a")
        assert "cannot evaluate where: it gives text, not true or false" in told
    else:
        assert "where of workspace a is 'no'" in unreadable(described(host, where="status"), "a")
        assert listed(host, where="status") == {"a"}


@pytest.mark.parametrize("where", ["max(flag)", "nothing = 1", '"nothing" = 1'])
def test_a_condition_that_cannot_be_evaluated(host: Host, where: str) -> None:
    tasks(host, "TEXT PRIMARY KEY", "a", "b")
    assert "cannot evaluate where" in told_by_both(described(host, where=where), "a")


def test_with_another_condition_it_is_another_registry(host: Host) -> None:
    tasks(host, "TEXT PRIMARY KEY")
    schemas = [
        rows(described(host, **told).look_up([], [])).identity.schema for told in ({}, {"where": "flag"}, {"where": "1 = 1"})
    ]
    assert len(set(schemas)) == 3
    assert schemas[0] == "table tasks, text id"


@pytest.mark.parametrize("recorded", [7, 7.0, b"7"], ids=["a number", "a real number", "bytes"])
def test_a_session_whose_name_is_no_text_is_in_doubt(tmp_path: Path, recorded: object) -> None:
    host = TableHost(tmp_path / "host.sqlite")  # a column of PostgreSQL has a type
    with host.writing() as connection:
        connection.execute("CREATE TABLE tasks (id TEXT PRIMARY KEY, session)")
        connection.execute("INSERT INTO tasks VALUES ('a', ?)", (recorded,))
    names = ["7", "7.0"]
    answer = rows(described(host, session="session").look_up([], [], sessions=names))
    assert [one for some in answer.of.values() for one in some] == [RecordedSession("a", is_certain=False)]


def test_a_session_s_name_that_is_an_expression(host: Host) -> None:
    tasks(host, "TEXT PRIMARY KEY", "a", "b")
    change(host, "UPDATE tasks SET status = 'x' WHERE id = 'a'")
    registry = described(host, session="'job-' || status")
    assert rows(registry.look_up([], [], sessions=["job-x", "job-"])).of == {"job-x": (RecordedSession("a"),)}
    assert registry.examine() == ()


@pytest.mark.parametrize("column", ["VARCHAR(20)", "CHAR(20)", "TEXT"])
def test_a_session_s_name_in_each_kind_of_text(host: Host, column: str) -> None:
    tasks(host, "TEXT PRIMARY KEY", "a", columns=f"session {column}")
    change(host, "UPDATE tasks SET session = 'main'")
    answer = rows(described(host, session="session").look_up([], [], sessions=["main"]))
    assert answer.of == {"main": (RecordedSession("a"),)}


def test_a_row_whose_id_cannot_be_read_names_no_session(host: Host) -> None:
    tasks(host, "TEXT", "", "a", columns="status TEXT")
    change(host, "UPDATE tasks SET status = 'main'")
    answer = rows(described(host, session="status").look_up([], [], sessions=["main"]))
    assert answer.of == {"main": (RecordedSession("a"),)}


def test_the_condition_applies_to_rows_that_name_sessions(host: Host) -> None:
    tasks(host, "TEXT PRIMARY KEY", "a", "b")
    change(host, "UPDATE tasks SET status = 'main', flag = 0")
    change(host, "UPDATE tasks SET flag = 1 WHERE id = 'b'")
    answer = rows(described(host, session="status", where="flag = 1").look_up([], [], sessions=["main"]))
    assert answer.of == {"main": (RecordedSession("b"),)}


def test_a_session_that_cannot_be_evaluated(host: Host) -> None:
    tasks(host, "TEXT PRIMARY KEY", "a")
    assert "cannot evaluate session" in told_by_both(described(host, session="nothing || id"), "a")
    if host.server:
        assert "cannot evaluate session: it gives integer, not text" in told_by_both(described(host, session="flag"), "a")


def test_state_in_another_table(host: Host) -> None:
    """As docs/hosts/table.md has it."""
    with host.writing() as connection:
        connection.execute("CREATE TABLE jobs (job_id INTEGER PRIMARY KEY, tmux_session TEXT, folder TEXT)")
        connection.execute("CREATE TABLE runs (job_id INTEGER, started_at TEXT, ended_at TEXT, outcome TEXT)")
        connection.executemany("INSERT INTO jobs (job_id) VALUES (?)", [(1,), (2,), (3,)])
        connection.executemany(
            "INSERT INTO runs VALUES (?, ?, ?, ?)",
            [
                (1, "2026-01-01", "2026-01-02", "merged"),
                (2, "2026-01-01", "2026-01-02", "merged"),
                (2, "2026-02-01", None, None),
            ],
        )
    told: dict[str, Any] = {
        "name": "jobs",
        "id": "job_id",
        "id_type": "integer",
        "session": "tmux_session",
        "running": "EXISTS (SELECT 1 FROM runs WHERE runs.job_id = jobs.job_id AND runs.ended_at IS NULL)",
        "archived": "(SELECT outcome = 'merged' FROM runs WHERE runs.job_id = jobs.job_id ORDER BY started_at DESC LIMIT 1)\n",
    }
    page = (Path(__file__).parents[2] / "docs/hosts/table.md").read_text("utf-8")
    assert all(told[key] in page for key in ("running", "archived"))
    registry = described(host, **told)
    found = rows(registry.look_up(["1", "2", "3"], [])).found
    assert {one: (row.archived, row.running) for one, row in found.items()} == {
        "1": (True, False),
        "2": (False, True),
        "3": (False, False),
    }
    assert registry.examine() == ()
    feed = open_watcher(load_schema("table", HostTable(**told)), host.place, {})
    try:
        before = feed.read()
        change(host, "UPDATE runs SET outcome = 'merged', ended_at = '2026-02' WHERE job_id = 2 AND ended_at IS NULL")
        assert feed.wait(30), "a change in the other table"
        after = feed.read()
    finally:
        feed.close()
    assert not isinstance(before, Unknown)
    assert not isinstance(after, Unknown)
    assert (before.archived, after.archived) == ({"1"}, {"1", "2"})


def test_names_that_need_quotes(host: Host) -> None:
    with host.writing() as connection:
        connection.execute('CREATE TABLE "Order" ("select" TEXT PRIMARY KEY, "isArchived" INTEGER, "a b" INTEGER)')
        connection.execute("""INSERT INTO "Order" VALUES ('x', 1, 1)""")
    registry = described(host, name="Order", id="select", archived="isArchived", pinned='"a b" = 1', running='"a b"')
    assert rows(registry.look_up(["x"], [])).found == {"x": Workspace("x", archived=True, pinned=True, running=True)}


def test_another_table_of_the_same_database_is_another_registry(host: Host) -> None:
    tasks(host, "TEXT PRIMARY KEY")
    change(host, "CREATE TABLE others (id TEXT PRIMARY KEY, flag INTEGER)")
    registry, other = described(host), described(host, name="others")
    assert (registry.name, registry.location) == (other.name, other.location) == ("table", registry.location)
    assert rows(registry.look_up([], [])).identity.schema != rows(other.look_up([], [])).identity.schema
    same = described(host, archived="flag = 1")
    assert rows(registry.look_up([], [])).identity.schema == rows(same.look_up([], [])).identity.schema


@pytest.mark.parametrize("name", ["main.tasks", "public.tasks"])
def test_a_table_with_its_schema(host: Host, name: str) -> None:
    tasks(host, "TEXT PRIMARY KEY", "a")
    registry = described(host, name=name, archived="flag")
    if name.startswith("main") == (host.server is None):
        assert rows(registry.look_up(["a"], [])).total == 1
        assert registry.examine() == ()
    else:
        assert f"has no table {name!r} (there are: tasks)" in reason(registry.look_up([], []))


# Where it does not fit


def told_by_both(registry: DatabaseRegistry, *ids: str) -> str:
    """What a look-up and the examination say, which is the same."""
    text = reason(registry.look_up(ids, []))
    (finding,) = registry.examine()
    assert (finding.text, finding.fatal) == (text, True)
    assert registry.location in text
    assert "fix [table] in the configuration" in text
    return text


def test_no_such_table(host: Host) -> None:
    change(host, "CREATE TABLE zebras (id TEXT)")
    change(host, "DROP TABLE zebras")
    assert "has no table 'tasks' (it has none that this user may see)" in told_by_both(described(host))
    change(host, "CREATE TABLE zebras (id TEXT)")
    change(host, "CREATE TABLE task (id TEXT)")
    change(host, "CREATE TABLE accounts (id TEXT)")
    assert "has no table 'tasks' (there are: task, accounts, zebras)" in told_by_both(described(host))


def test_many_other_tables(host: Host) -> None:
    with host.writing() as connection:
        for number in range(25):
            connection.execute(f"CREATE TABLE t{number:02} (id TEXT)")
    assert "t19 and 5 more)" in told_by_both(described(host))


@pytest.mark.parametrize(
    ("told", "says"),
    [
        pytest.param({"id": "Id_"}, "lacks tasks.Id_ (did you mean id?)", id="id"),
        pytest.param({"archived": "statsu"}, "lacks tasks.statsu (did you mean status?)", id="flag"),
        pytest.param({"pinned": "Flag"}, "lacks tasks.Flag (did you mean flag?)", id="case"),
        pytest.param({"pinned": "nothing_like_it"}, "lacks tasks.nothing_like_it: ", id="unlike any"),
        pytest.param({"archived": "statsu = 'x'"}, "cannot evaluate archived (", id="expression"),
        pytest.param({"running": "status = ("}, "cannot evaluate running (", id="syntax"),
        pytest.param({"worktree": "nope(status)"}, "cannot evaluate worktree (", id="function"),
    ],
)
def test_columns_and_expressions_that_are_not_there(host: Host, told: dict[str, str], says: str) -> None:
    tasks(host, "TEXT PRIMARY KEY")
    assert says in told_by_both(described(host, **told))


@pytest.mark.parametrize(
    "expression",
    ["\"statsu\" = 'busy'", 'status = "qq""`qq"', "coalesce(\"statsu\", 'it''s') = '\"' -- \"flag\""],
    ids=["name", "quotes", "among texts"],
)
@pytest.mark.parametrize("fact", ["deleted", "running", "worktree"])
def test_a_quoted_name_that_is_no_column_is_no_text(host: Host, fact: str, expression: str) -> None:
    """SQLite would take it for a text, and what is running would be so no more."""
    tasks(host, "TEXT PRIMARY KEY")
    expression = expression.replace(" --", "\n--") + "\n"
    text = told_by_both(described(host, **{fact: expression}))
    assert f"cannot evaluate {fact} (" in text
    if host.server is None:
        assert "no such column: " in text
        assert ("did you mean status?" in text) is ("statsu" in expression)


def test_a_quoted_name_of_another_table(host: Host) -> None:
    tasks(host, "TEXT PRIMARY KEY", "a", "b")
    with host.writing() as connection:
        connection.execute('CREATE TABLE "All Runs" ("Task" TEXT, "is `on`" INTEGER, "say ""on""" INTEGER)')
        connection.execute("""INSERT INTO "All Runs" VALUES ('a', 1, 1)""")
    told = 'EXISTS (SELECT 1 FROM "All Runs" AS r WHERE r."Task" = tasks.id AND "is `on`" = 1 AND "say ""on""" = 1)'
    registry = described(host, running=told + """ AND '"' = '"' /* "x" */""")
    found = rows(registry.look_up(["a", "b"], [])).found
    assert (found["a"].running, found["b"].running) == (True, False)
    assert registry.examine() == ()


def test_the_feed_takes_no_quoted_name_for_a_text(host: Host) -> None:
    tasks(host, "TEXT PRIMARY KEY", "a")
    table = HostTable("tasks", "id", "text", deleted="\"statsu\" = 'statsu'")
    feed = open_watcher(load_schema("table", table), host.place, {})
    answer = feed.read()
    feed.close()
    assert isinstance(answer, Unknown), answer
    assert "cannot evaluate deleted" in answer.reason


def test_the_expression_that_fails_is_named(host: Host) -> None:
    tasks(host, "TEXT PRIMARY KEY")
    text = told_by_both(described(host, archived="flag = 1", pinned="flag = 2", running="gone = 3"))
    assert "cannot evaluate running" in text
    assert "gone" in text


@pytest.mark.parametrize("fact", ["archived", "deleted", "pinned", "running", "worktree_deleted"])
def test_an_expression_that_gives_no_truth(host: Host, fact: str) -> None:
    tasks(host, "TEXT PRIMARY KEY", "a")
    change(host, "UPDATE tasks SET status = 'yes', flag = 2")
    text = described(host, **{fact: "status || '!'"})
    if host.server:
        told = told_by_both(text, "a")
        assert f"cannot evaluate {fact}: it gives text, not true or false" in told
        assert f"write an expression, such as {fact} = \"column = 'value'\"" in told
    else:
        assert f"{fact} of workspace a is 'yes!', neither 0 nor 1, true nor false" in unreadable(text, "a")
    assert f"{fact} of workspace a is 2, neither 0 nor 1, true nor false" in unreadable(described(host, **{fact: "flag"}), "a")


def unreadable(registry: DatabaseRegistry, workspace_id: str) -> str:
    """Why the row of this workspace cannot be read, as the look-up and the doctor say it."""
    why = str(rows(registry.look_up([workspace_id], [])).found[workspace_id].unreadable)
    [finding] = registry.examine()
    assert (finding.fatal, finding.text) == (False, f"{why}: that workspace is not reaped.")
    return why


@pytest.mark.parametrize("expression", ["max(flag)", "count(*) > 1", "flag), (flag", "flag = 1) OR (1 = 1", "1 -- one"])
def test_an_expression_that_is_not_one_value_for_each_row(host: Host, expression: str) -> None:
    """Of an aggregate SQLite gives one row for all workspaces: the others would seem to be gone."""
    tasks(host, "TEXT PRIMARY KEY", "a", "b")
    registry = described(host, pinned=expression)
    if " OR " in expression:
        assert set(rows(registry.look_up(["a", "b"], [])).found) == {"a", "b"}
    else:
        assert "cannot evaluate pinned" in told_by_both(registry, "a", "b")


def test_a_worktree_that_is_no_text(host: Host) -> None:
    tasks(host, "TEXT PRIMARY KEY", "a")
    change(host, "UPDATE tasks SET flag = 2")
    registry = described(host, worktree="flag")
    assert "worktree" in (told_by_both(registry, "a") if host.server else unreadable(registry, "a"))


@pytest.mark.parametrize(
    ("id_type", "column", "stored"),
    [
        pytest.param("text", "INTEGER PRIMARY KEY", 7, id="text that is a number"),
        pytest.param("text", "BLOB PRIMARY KEY", b"x", id="text that is bytes"),
        pytest.param("integer", "TEXT PRIMARY KEY", "seven", id="number that is text"),
        pytest.param("uuid", "BLOB PRIMARY KEY", b"x", id="uuid that is bytes"),
        pytest.param("uuid", "TEXT PRIMARY KEY", "w1", id="uuid that is another text"),
        pytest.param("uuid-blob", "TEXT PRIMARY KEY", "w1", id="bytes that are text"),
    ],
)
def test_ids_of_another_kind(host: Host, id_type: str, column: str, stored: object) -> None:
    """Else the look-ups would find none, and each workspace would seem to be gone."""
    tasks(host, column, stored)
    text = told_by_both(described(host, id_type=id_type))
    assert "has ids that are" in text or "a workspace id is" in text


def test_no_index(host: Host) -> None:
    tasks(host, "TEXT", "a")
    registry = described(host)
    (finding,) = registry.examine()
    assert not finding.fatal
    assert finding.text == "tasks.id has no index: every look-up reads the whole table"
    assert rows(registry.look_up(["a"], [])).total == 1
    change(host, "CREATE INDEX by_id ON tasks (id, flag)")
    assert registry.examine() == ()


@pytest.mark.parametrize(
    ("name", "written", "column"),
    [
        ("tasks", "tasks", "id"),
        ("Tasks", '"Tasks"', "Id"),
        ("order", '"order"', "select"),
        ("my tasks", '"my tasks"', "an id"),
        ("jobs-2", '"jobs-2"', "größe"),
        ("main.tasks", "main.tasks", "id"),
        ("we%ird", '"we%ird"', "p%c"),
        ("100%% done", '"100%% done"', "id"),
    ],
    ids=["plain", "upper case", "reserved words", "blanks", "other characters", "with its schema", "percent", "percents"],
)
def test_the_statement_that_creates_the_index_is_accepted_as_it_is(host: Host, name: str, written: str, column: str) -> None:
    if name.startswith("main.") and host.server is not None:
        change(host, "CREATE SCHEMA main")
    change(host, f'CREATE TABLE {written} ("{column}" TEXT)')
    change(host, f"INSERT INTO {written} VALUES ('a')")
    registry = described(host, name=name, id=f'"{column}"')
    (finding,) = registry.examine()
    change(host, finding.do)
    assert registry.examine() == ()
    assert rows(registry.look_up(["a"], [])).total == 1


@pytest.mark.parametrize("schema", ["", "main."], ids=["plain", "with its schema"])
def test_the_index_gets_a_name_that_is_not_taken(host: Host, schema: str) -> None:
    if schema and host.server is not None:
        change(host, "CREATE SCHEMA main")
    change(host, f"CREATE TABLE {schema}tasks (id TEXT)")
    taken = schema if host.server is None else ""
    change(host, f"CREATE INDEX {taken}WORKSPACE_REAPER_tasks_id ON {'' if taken else schema}tasks (id) WHERE id > 'a'")
    change(host, "CREATE TABLE workspace_reaper_tasks_id_2 (x TEXT)")
    registry = described(host, name=f"{schema}tasks")
    (finding,) = registry.examine()
    change(host, finding.do)
    assert registry.examine() == ()


def test_no_index_is_asked_for_a_view(host: Host) -> None:
    tasks(host, "TEXT", "a")
    change(host, "CREATE VIEW seen AS SELECT * FROM tasks")
    assert described(host, name="seen").examine() == ()


def test_a_table_that_changes_under_it(host: Host) -> None:
    tasks(host, "TEXT PRIMARY KEY", "a")
    registry = described(host, archived="flag = 1")
    rows(registry.look_up(["a"], []))
    change(host, "ALTER TABLE tasks RENAME COLUMN flag TO flags")
    assert "cannot evaluate archived" in told_by_both(registry, "a")
    change(host, "ALTER TABLE tasks RENAME COLUMN flags TO flag")
    rows(registry.look_up(["a"], []))


def test_a_missing_file_is_an_examination_s_finding(tmp_path: Path) -> None:
    (finding,) = described(TableHost(tmp_path / "gone.sqlite")).examine()
    assert finding.fatal
    assert "does not exist" in finding.text


# What the schema alone says


@pytest.mark.parametrize(
    ("id_type", "reused"), [("text", True), ("integer", True), ("uuid", False), ("uuid-hex", False), ("uuid-blob", False)]
)
def test_ids_that_may_be_given_out_again(id_type: Any, reused: bool) -> None:
    """SQLite's next row may have the number of the last one that was deleted, and a text can be any."""
    assert load_schema("table", HostTable("tasks", "id", id_type)).reuses_ids is reused


def test_it_has_no_defaults() -> None:
    schema = load_schema("table", HostTable("tasks", "id", "text"))
    assert schema.homes({}) == ()
    with pytest.raises(ConfigurationError, match=r"^database_url: not set"):
        open_registry(schema, None, {})
    with pytest.raises(ConfigurationError, match=r"^table: not set, .* describe the table in a section \[table\]"):
        load_schema("table")


@pytest.mark.parametrize(
    ("id_type", "in_session", "text", "canonical"),
    [
        ("text", "text", "A.b", "A.b"),
        ("text", "text", "", None),
        ("text", "text", "\udc80", None),
        ("uuid", "text", UUID.upper(), UUID),
        ("uuid", "text", HEX, None),
        ("uuid", "hex", HEX.upper(), UUID),
        ("uuid", "hex", UUID, UUID),
        ("uuid-blob", "hex", HEX, UUID),
        ("uuid-hex", "hex", HEX + "0", None),
        ("uuid-hex", "text", "{" + UUID + "}", None),
        ("integer", "text", "70", "70"),
        ("integer", "text", "-7", "-7"),
        ("integer", "text", "0", "0"),
        ("integer", "text", "007", None),
        ("integer", "text", "-0", None),
        ("integer", "text", "+7", None),
        ("integer", "text", "\u0667", None),
        ("integer", "text", "7\n", None),
        ("integer", "text", str(1 << 63), None),
        ("integer", "text", "9" * 5000, None),
    ],
)
def test_canonical(id_type: Any, in_session: Any, text: str, canonical: str | None) -> None:
    schema = load_schema("table", HostTable("t", "id", id_type, in_session))
    assert schema.canonical(text) == canonical
    assert canonical is None or schema.canonical(canonical) == canonical
