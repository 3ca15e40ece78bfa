"""A registry over a real PostgreSQL: which database it is, that it only reads and ends in time, and what it says else."""

from __future__ import annotations

import os
import re
import signal
import socket
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event

from tests.tools.hosts import StandardHost, VibeKanbanHost
from tests.tools.registries import reason, registry_of, rows
from workspace_reaper.model.errors import ConfigurationError
from workspace_reaper.model.workspace import HostTable, Workspace
from workspace_reaper.registry import load_schema, open_registry
from workspace_reaper.registry.postgres import ConnectionLimits, PostgresRegistry, server_of
from workspace_reaper.registry.postgres.errors import in_words

if TYPE_CHECKING:
    from tests.tools.postgres import PostgresServer

pytestmark = pytest.mark.postgres

UUID = "01234567-89ab-cdef-0123-456789abcdef"
SOON = ConnectionLimits(lock=0.1, statement=0.3, connect=2, whole=0.6)


@pytest.fixture
def standard(postgres: PostgresServer, tmp_path: Path) -> StandardHost:
    host = StandardHost(tmp_path, postgres.url(postgres.new_database()))
    host.create()
    host.insert(["a", "b"])
    return host


@pytest.fixture
def second_cluster() -> Iterator[PostgresServer]:
    from tests.tools.postgres import PostgresServer

    server = PostgresServer()
    yield server
    server.close()


def reader(
    url: str, schema: str = "standard", table: HostTable | None = None, *, limits: ConnectionLimits | None = None
) -> PostgresRegistry:
    return PostgresRegistry(load_schema(schema, table), server_of(url), limits or ConnectionLimits())


def hasty(url: str, schema: str = "standard", table: HostTable | None = None) -> PostgresRegistry:
    """A registry for tests of a time limit: a busy machine may exceed these limits."""
    return reader(url, schema, table, limits=SOON)


def database(host: StandardHost) -> str:
    assert host.server
    return re.search(r"/(host_\d+)\?", host.server)[1]  # type: ignore[index]


def meanwhile(registry: PostgresRegistry, sign: str, act: Any) -> None:
    """Do it right before each statement that has the sign."""

    def before(_connection: object, cursor: Any, statement: str, *_rest: object) -> None:
        if sign in statement:
            act(cursor.connection)

    event.listen(registry._engine, "before_cursor_execute", before)


# Which database it is


def test_the_place_is_that_of_this_database(postgres: PostgresServer, standard: StandardHost, tmp_path: Path) -> None:
    registry = registry_of(standard)
    place = rows(registry.look_up([], [])).identity.location
    assert place == rows(registry_of(standard).look_up([], [])).identity.location
    assert place.startswith(registry.location)
    other = StandardHost(tmp_path, postgres.url(postgres.new_database()))
    other.create()
    assert rows(registry_of(other).look_up([], [])).identity.location.partition("(")[2] != place.partition("(")[2]


def test_a_database_that_was_dropped_and_made_again_has_another_place(postgres: PostgresServer, standard: StandardHost) -> None:
    before = rows(registry_of(standard).look_up([], [])).identity.location
    postgres.execute(f"DROP DATABASE {database(standard)}")
    postgres.execute(f"CREATE DATABASE {database(standard)}")
    standard.create()
    assert rows(registry_of(standard).look_up([], [])).identity.location != before


def test_another_cluster_at_the_same_address_has_another_place(
    postgres: PostgresServer, second_cluster: PostgresServer, short_tmp: Path
) -> None:
    address, places = short_tmp / "socket", []
    for server in (postgres, second_cluster):
        StandardHost(short_tmp, server.url()).create()
        address.symlink_to(server.socket_directory)
        registry = open_registry(load_schema("standard"), f"postgres://postgres@/postgres?host={address}", {})
        places.append(rows(registry.look_up([], [])).identity.location)
        address.unlink()
        server.execute("DROP TABLE workspaces")
    # Both are a cluster's first database, with the same oid.
    assert re.sub(r"cluster \d+", "", places[0]) == re.sub(r"cluster \d+", "", places[1])
    assert places[0] != places[1]


def test_where_the_cluster_does_not_tell_its_identifier(postgres: PostgresServer, standard: StandardHost) -> None:
    name = database(standard)
    postgres.execute("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM public", name)
    postgres.execute("GRANT SELECT ON workspaces TO locked", name)
    registry = open_registry(load_schema("standard"), postgres.url(name, user="locked", password="secret"), {})
    answer = rows(registry.look_up(["a"], []))
    assert set(answer.found) == {"a"}
    assert re.search(r" \(database \d+\)$", answer.identity.location)


# How it reads


def test_one_look_up_is_one_transaction(standard: StandardHost) -> None:
    registry = registry_of(standard)
    assert isinstance(registry, PostgresRegistry)
    meanwhile(registry, "count", lambda _connection: standard.delete("a", "b"))
    answer = rows(registry.look_up(["a"], []))
    assert (set(answer.found), answer.total) == ({"a"}, 2)
    assert rows(registry.look_up(["a"], [])).total == 0


def test_it_leaves_nothing_open_and_says_who_it_is(postgres: PostgresServer, standard: StandardHost) -> None:
    registry = registry_of(standard)
    assert isinstance(registry, PostgresRegistry)
    ours = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'workspace-reaper'"
    seen: list[Any] = []
    meanwhile(registry, "count", lambda _connection: seen.extend(postgres.execute(ours)))
    rows(registry.look_up(["a"], []))
    assert seen == [(1,)]
    assert postgres.execute(f"{ours} AND state <> 'idle'") == [(0,)]


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("transaction_read_only", "on"),
        ("transaction_isolation", "repeatable read"),
        ("statement_timeout", "300ms"),
        ("lock_timeout", "100ms"),
        ("row_security", "off"),
        ("idle_in_transaction_session_timeout", "600ms"),
    ],
)
def test_its_session(standard: StandardHost, setting: str, value: str) -> None:
    assert standard.server
    with hasty(standard.server).session() as (connection, _):
        assert connection.exec_driver_sql(f"SHOW {setting}").scalar_one() == value


def test_its_transactions_are_read_only_where_a_pooler_drops_the_options(standard: StandardHost) -> None:
    assert standard.server
    with closing(server_of(standard.server).connect(SOON)) as connection:
        connection.execute("SET SESSION default_transaction_read_only = off")
        connection.commit()
        row = connection.execute("SHOW transaction_read_only").fetchone()
    assert row == ("on",)


def test_options_of_the_url_are_kept(standard: StandardHost) -> None:
    with reader(f"{standard.server}&options=-c%20geqo%3Doff").session() as (connection, _):
        assert connection.exec_driver_sql("SHOW geqo").scalar_one() == "off"
        assert connection.exec_driver_sql("SHOW transaction_read_only").scalar_one() == "on"


def test_an_expression_can_not_write(postgres: PostgresServer, standard: StandardHost) -> None:
    postgres.execute("CREATE SEQUENCE numbers", database(standard))
    table = HostTable("workspaces", "id", "text", archived="nextval('numbers') > 0")
    assert standard.server
    assert "read-only transaction" in reason(reader(standard.server, "table", table).look_up(["a"], []))


def test_the_plans_take_the_index(postgres: PostgresServer, standard: StandardHost) -> None:
    standard.insert([f"w{number}" for number in range(20_000)])
    postgres.execute("VACUUM ANALYZE workspaces", database(standard))
    registry = registry_of(standard)
    plans: list[str] = []
    assert isinstance(registry, PostgresRegistry)

    def explain(connection: Any, cursor: Any, statement: str, parameters: Any, _context: object, _many: object) -> None:
        if "FROM workspaces" in statement and not statement.startswith("EXPLAIN"):
            plan = connection.exec_driver_sql(f"EXPLAIN {statement}", parameters).scalars().all()
            plans.append("\n".join(plan))

    event.listen(registry._engine, "before_cursor_execute", explain)
    rows(registry.look_up(["w1", "w2"], ["w3"]))
    by_ids, oldest = (next(plan for plan in plans if sign in plan) for sign in ("ANY", "workspaces_pkey"))
    assert "Seq Scan" not in by_ids
    assert "Sort" not in oldest


def test_a_server_that_was_restarted(postgres: PostgresServer, standard: StandardHost) -> None:
    registry = registry_of(standard)
    before = rows(registry.look_up(["a"], []))
    postgres.stop()
    try:
        assert "does not listen" in reason(registry.look_up(["a"], []))
    finally:
        postgres.start()
    assert rows(registry.look_up(["a"], [])) == before


# How vibe-kanban's columns may look


@pytest.mark.parametrize("id_type", ["BYTEA", "UUID"])
def test_vibe_kanban_s_ids_and_words(postgres: PostgresServer, tmp_path: Path, id_type: str) -> None:
    name = postgres.new_database()
    host = VibeKanbanHost(tmp_path, postgres.url(name))
    host.create()
    one = host.new_id(1)
    host.insert([one])
    host.start(one)
    if id_type == "UUID":
        for table, column in (("sessions", "workspace_id"), ("execution_processes", "session_id")):
            postgres.execute(f"ALTER TABLE {table} DROP CONSTRAINT {table}_{column}_fkey", name)
        for table, column in (
            ("workspaces", "id"),
            ("sessions", "id"),
            ("sessions", "workspace_id"),
            ("execution_processes", "session_id"),
        ):
            postgres.execute(f"ALTER TABLE {table} ALTER {column} TYPE UUID USING encode({column}, 'hex')::uuid", name)
        postgres.execute("CREATE TYPE state AS ENUM ('running', 'completed')", name)
        postgres.execute("ALTER TABLE execution_processes DROP CONSTRAINT execution_processes_status_check", name)
        postgres.execute("ALTER TABLE execution_processes ALTER status DROP DEFAULT", name)
        postgres.execute("ALTER TABLE execution_processes ALTER status TYPE state USING status::state", name)
    assert rows(registry_of(host).look_up([one], [])).found == {one: Workspace(one, running=True)}


# What it says when it can't


@pytest.mark.parametrize(
    ("user", "password", "says"),
    [
        pytest.param("locked", "wrong&", "refuses the password", id="password"),
        pytest.param("nobody-here", "", "does not know this role", id="role"),
        pytest.param("no_password", "", "does not know this role", id="role with that word"),
        pytest.param("no%20database%20", "", "does not know this role", id="role with another word"),
    ],
)
def test_who_is_not_let_in(postgres: PostgresServer, user: str, password: str, says: str) -> None:
    text = reason(reader(postgres.url(user=user, password=password)).look_up([], []))
    assert says in text
    assert "wrong&" not in text


@pytest.mark.parametrize("name", ["gone", "password_store", "pg_hba.conf", "no%20role%20x", "shutting%20down"])
def test_no_such_database(postgres: PostgresServer, name: str) -> None:
    assert "is not there: correct the name of the database" in reason(reader(postgres.url(name)).look_up([], []))


def test_no_server(short_tmp: Path) -> None:
    with closing(socket.socket()) as reserved:
        reserved.bind(("127.0.0.1", 0))
        for place in (f"127.0.0.1:{reserved.getsockname()[1]}/x", f"/x?host={short_tmp}"):
            text = reason(reader(f"postgresql://me:secret@{place}").look_up([], []))
            assert "does not listen: start it" in text
            assert "secret" not in text


def test_no_such_host() -> None:
    assert "has no address" in reason(reader("postgresql://me@no-such-host.invalid/x").look_up([], []))
    assert "has no address" in reason(reader("postgresql://me@password.invalid/x").look_up([], []))


def test_a_port_that_there_is_not() -> None:
    text = reason(reader("postgresql://me@127.0.0.1:99999/x").look_up([], []))
    assert "has no port of that number: correct the port in database_url" in text


def test_a_server_that_does_not_answer() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        text = reason(hasty(f"postgresql://me@127.0.0.1:{silent.getsockname()[1]}/x").look_up([], []))
    assert "does not answer within 2 s" in text


def test_no_permission(postgres: PostgresServer, standard: StandardHost) -> None:
    url = postgres.url(database(standard), user="locked", password="secret")
    text = reason(reader(url).look_up(["a"], []))
    assert "may not be read by this role: GRANT SELECT" in text
    assert "secret" not in text


def test_rows_that_are_hidden_from_this_role(postgres: PostgresServer, standard: StandardHost) -> None:
    """Without an error they would seem to be gone."""
    name = database(standard)
    postgres.execute("GRANT SELECT ON workspaces TO locked", name)
    registry = reader(postgres.url(name, user="locked", password="secret"))
    assert rows(registry.look_up(["a"], [])).total == 2
    postgres.execute("ALTER TABLE workspaces ENABLE ROW LEVEL SECURITY", name)
    text = reason(registry.look_up(["a"], []))
    assert "hides rows from this role: ALTER ROLE" in text
    assert registry.examine()[0].text == text


def test_a_standby(postgres: PostgresServer, standard: StandardHost) -> None:
    """It has its primary's identifier, and perhaps not its latest rows."""
    registry = registry_of(standard)
    before = rows(registry.look_up(["a"], []))
    signal_file = postgres.socket_directory / "standby.signal"
    postgres.stop()
    try:
        signal_file.touch()
        postgres.start()
        text = reason(registry.look_up(["a"], []))
        assert "is a standby, which may lag: name the primary, or add target_session_attrs=primary to the URL" in text
        (finding,) = registry.examine()
        assert (finding.text, finding.fatal, finding.misfit) == (text, True, False)
        assert "is a standby" in reason(reader(f"{standard.server}&target_session_attrs=primary").look_up([], []))
    finally:
        postgres.stop()
        signal_file.unlink()
        postgres.start()
    assert rows(registry.look_up(["a"], [])) == before
    assert rows(reader(f"{standard.server}&target_session_attrs=primary").look_up([], [])).total == 2


def test_a_url_that_wants_to_write(standard: StandardHost) -> None:
    """libpq asks whether a session is read-only. Ours is not: its transactions are."""
    assert set(rows(reader(f"{standard.server}&target_session_attrs=read-write").look_up(["a"], [])).found) == {"a"}


def test_a_missing_table(postgres: PostgresServer) -> None:
    name = postgres.new_database()
    assert "has no table 'workspaces' (it has none that this user may see)" in reason(
        reader(postgres.url(name)).look_up([], [])
    )
    postgres.execute("CREATE TABLE workspace (id int)", name)
    postgres.execute("CREATE SCHEMA other", name)
    postgres.execute("CREATE TABLE other.workspaces (id int)", name)
    text = reason(reader(postgres.url(name)).look_up([], []))
    assert "(there are: workspace, other.workspaces)" in text


def test_missing_columns(postgres: PostgresServer, standard: StandardHost) -> None:
    postgres.execute("ALTER TABLE workspaces RENAME archived TO archive", database(standard))
    text = reason(registry_of(standard).look_up([], []))
    assert "lacks workspaces.archived (did you mean archive?)" in text
    assert "it is not a known database of a standard host" in text


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("ALTER TABLE workspaces ALTER archived TYPE text", "cannot evaluate archived: it gives text, not true or false"),
        ("ALTER TABLE workspaces ALTER worktree TYPE bytea USING NULL", "cannot evaluate worktree: it gives bytea, not text"),
        ("ALTER TABLE workspaces ALTER id TYPE bytea USING 'x'", "has ids that are bytea, not text"),
    ],
    ids=["flag", "worktree", "id"],
)
def test_a_column_of_another_kind(postgres: PostgresServer, standard: StandardHost, change: str, says: str) -> None:
    standard.delete("b")
    postgres.execute(change, database(standard))
    assert says in reason(registry_of(standard).look_up([], []))


def test_a_number_that_is_no_truth(postgres: PostgresServer, standard: StandardHost) -> None:
    postgres.execute("ALTER TABLE workspaces ALTER archived TYPE int USING 7", database(standard))
    found = rows(registry_of(standard).look_up(["a"], [])).found
    assert "archived of workspace a is 7, neither 0 nor 1" in str(found["a"].unreadable)
    assert "neither 0 nor 1" in registry_of(standard).examine()[0].text


def test_a_locked_table(standard: StandardHost) -> None:
    assert standard.server
    registry = hasty(standard.server)
    with standard.writing() as server:
        server.execute("LOCK TABLE workspaces IN ACCESS EXCLUSIVE MODE")
        text = reason(registry.look_up(["a"], []))
    assert "is locked, and was so for 0.1 s" in text
    assert rows(registry.look_up(["a"], [])).total == 2


def test_a_statement_that_takes_too_long(standard: StandardHost) -> None:
    table = HostTable("workspaces", "id", "text", archived="pg_sleep(60) IS NULL")
    assert standard.server
    assert "took longer than 0.3 s" in reason(hasty(standard.server, "table", table).look_up(["a"], []))


def test_a_server_that_stands_still(standard: StandardHost) -> None:
    """Its kernel goes on answering, and its limits are its own business: only we can end it."""
    assert standard.server
    registry = reader(standard.server, limits=ConnectionLimits(whole=0.6))
    stopped: list[int] = []

    def stop(connection: Any) -> None:
        stopped.append(connection.info.backend_pid)
        os.kill(stopped[-1], signal.SIGSTOP)

    meanwhile(registry, "count", stop)
    try:
        assert "did not answer for 0.6 s" in reason(registry.look_up(["a"], []))
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
    assert rows(reader(standard.server).look_up([], [])).total == 2


def test_no_index_is_a_warning(postgres: PostgresServer, standard: StandardHost) -> None:
    postgres.execute("ALTER TABLE workspaces DROP CONSTRAINT workspaces_pkey", database(standard))
    registry = registry_of(standard)
    (finding,) = registry.examine()
    assert (finding.fatal, "workspaces.id has no index" in finding.text) == (False, True)
    assert rows(registry.look_up(["a"], [])).total == 2
    postgres.execute("CREATE INDEX later ON workspaces (id) WHERE archived", database(standard))
    assert registry.examine() == (finding,)


# URLs


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("postgresql://me:secret@db:5433/app", "postgresql://db:5433/app"),
        ("postgres://me@db/app?sslmode=require", "postgresql://db:5432/app"),
        ("postgresql+psycopg://me:secret@db/app", "postgresql://db:5432/app"),
        ("postgresql://me:s%40crt@/app?host=/run/postgresql", "postgresql:///app?host=/run/postgresql&port=5432"),
        ("postgresql://me@db", "postgresql://db:5432/me"),
        ("postgresql://db/app?user=me&password=secret", "postgresql://db:5432/app"),
    ],
)
def test_the_location_has_no_password(url: str, location: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PGPORT", raising=False)
    server = server_of(url)
    assert server.location == location == open_registry(load_schema("cao"), url, {}).location
    assert "secret" not in repr(server)


@pytest.mark.parametrize("url", ["postgres://db/app?secret=1", "postgresql://[::1/secret"])
def test_a_url_that_can_not_be_read(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^database_url: .* write postgresql://user@host:5432/database") as raised:
        server_of(url)
    assert "secret" not in str(raised.value)
    assert raised.value.__cause__ is None


def test_a_password_is_never_repeated() -> None:
    server = server_of("postgresql://me:s%40crt@db/app?sslpassword=hush")
    assert server.without_password("tried s@crt, and hush") == "tried ***, and ***"
    assert in_words(ValueError("bad s@crt"), server, SOON) == "postgresql://db:5432/app cannot be read (bad ***)."
    assert replace(server, parameters={"password": ""}).without_password("as it is") == "as it is"
