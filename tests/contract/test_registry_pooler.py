"""A registry over PostgreSQL behind a real pgbouncer, which drops what is sent with a connection and shares connections."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event

from tests.tools.debian import CannotBeHad
from tests.tools.hosts import StandardHost
from tests.tools.registries import reason, rows
from workspace_reaper.model.unknown import Unknown
from workspace_reaper.model.workspace import HostTable, WorkspaceList
from workspace_reaper.registry import load_schema, open_registry, open_watcher
from workspace_reaper.registry.postgres import PostgresRegistry

if TYPE_CHECKING:
    from tests.tools.pgbouncer import Pooler
    from tests.tools.postgres import PostgresServer

pytestmark = pytest.mark.postgres

# 1.18, which knows nothing of options, and 1.24, which takes them apart and keeps track of some.
SUITES = ("bookworm", "trixie")


@pytest.fixture(scope="session", params=SUITES)
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.tools.pgbouncer import PACKAGES, pgbouncer

    kept = os.environ.get(PACKAGES)
    try:
        return pgbouncer(Path(kept).absolute() if kept else tmp_path_factory.getbasetemp().parent / "packages", request.param)
    except CannotBeHad as error:
        pytest.skip(f"no pgbouncer is available here: {error}")


@pytest.fixture
def pooler(request: pytest.FixtureRequest, program: Path, postgres: PostgresServer, database: str) -> Iterator[Pooler]:
    """In the mode of the test's parameter, if it has one, else one that gives each transaction to any client."""
    from tests.tools.pgbouncer import pooling

    del database  # its roles are there before the pooler, which lists them
    with pooling(program, postgres, getattr(request, "param", "transaction")) as running:
        yield running


@pytest.fixture
def database(postgres: PostgresServer, tmp_path: Path) -> Iterator[str]:
    """A host's database with two workspaces, and with what another client may lead a query to: a table of the same name in
    another schema, which is that of the role ``tenant``, and a view that shows one tenant's rows."""
    name = postgres.new_database()
    host = StandardHost(tmp_path, postgres.url(name))
    host.create()
    host.insert(["a", "b"])
    postgres.execute("CREATE ROLE tenant LOGIN", name)
    postgres.execute("CREATE ROLE reader LOGIN", name)
    postgres.execute("GRANT SELECT ON workspaces TO tenant, reader", name)
    postgres.execute("CREATE SCHEMA tenant AUTHORIZATION tenant", name)
    postgres.execute("CREATE TABLE tenant.workspaces (LIKE public.workspaces INCLUDING ALL)", name)
    postgres.execute("GRANT SELECT ON tenant.workspaces TO tenant", name)
    postgres.execute(
        "CREATE VIEW mine AS SELECT * FROM workspaces WHERE coalesce(current_setting('app.tenant', true), '') IN ('', id)", name
    )
    yield name
    postgres.execute(f"DROP DATABASE {name} WITH (FORCE)")
    postgres.execute("DROP ROLE tenant")
    postgres.execute("DROP ROLE reader")


def seen(url: str, table: HostTable | None = None) -> list[set[str]]:
    """The workspaces of the two ways in which the reaper reads: a look-up of those that exist, and the daemon's list."""
    schema = load_schema("table" if table else "standard", table)
    answer = rows(open_registry(schema, url, {}).look_up(["a", "b"], ["a"]))
    with closing(open_watcher(schema, url, {})) as watcher:
        listed = watcher.read()
        assert isinstance(listed, WorkspaceList), listed
    return [set(answer.found), set(listed.workspaces)]


def reasons(url: str) -> list[str]:
    """The reasons for which both are Unknown."""
    schema = load_schema("standard")
    with closing(open_watcher(schema, url, {})) as watcher:
        listed = watcher.read()
        assert isinstance(listed, Unknown), listed
    return [reason(open_registry(schema, url, {}).look_up(["a"], [])), listed.reason]


LEFT = {
    "search path": "SET search_path = tenant",
    "search path of a role": "SET ROLE tenant",
    "search path of a user": "SET SESSION AUTHORIZATION tenant",
    "temporary table": "CREATE TEMP TABLE workspaces AS SELECT * FROM public.workspaces WITH NO DATA",
    "temporary view": "CREATE TEMP VIEW workspaces AS SELECT * FROM public.workspaces WHERE false",
    "row security": "SET row_security = on",
    "may write": "SET default_transaction_read_only = off",
    "isolation": "SET default_transaction_isolation = 'read committed'",
    "no time limit": "SET statement_timeout = 0",
    "long time limit": "SET lock_timeout = '1h'",
    "encoding": "SET client_encoding = 'LATIN1'",
    "quotes": "SET standard_conforming_strings = off",
}


@pytest.mark.parametrize("left", LEFT.values(), ids=LEFT)
def test_i69_what_another_client_left_on_the_connection_changes_nothing(pooler: Pooler, database: str, left: str) -> None:
    with pooler.client(database) as client:
        client.execute(left)
        assert seen(pooler.url(database)) == [{"a", "b"}, {"a", "b"}]


def test_i69_a_setting_of_another_client_that_a_view_selects_by_changes_nothing(pooler: Pooler, database: str) -> None:
    with pooler.client(database) as client:
        client.execute("SET app.tenant = 'nobody'")
        assert client.execute("SELECT count(*) FROM mine").fetchone() == (0,)
        assert seen(pooler.url(database), HostTable("mine", "id", "text")) == [{"a", "b"}, {"a", "b"}]


def test_the_other_client_keeps_what_it_has_set(pooler: Pooler, database: str) -> None:
    with pooler.client(database) as client:
        client.execute("SET ROLE tenant")
        client.execute("SET statement_timeout = '7s'")
        client.execute("SET app.tenant = 'one'")
        seen(pooler.url(database))
        current = "SELECT current_user::text, current_setting('statement_timeout'), current_setting('app.tenant')"
        assert client.execute(current).fetchone() == ("tenant", "7s", "one")


def test_i69_a_temporary_table_is_not_read_in_place_of_one_that_is_missing(
    postgres: PostgresServer, pooler: Pooler, database: str
) -> None:
    postgres.execute("ALTER TABLE workspaces RENAME TO elsewhere", database)
    with pooler.client(database) as client:
        client.execute("CREATE TEMP TABLE workspaces AS SELECT * FROM elsewhere WITH NO DATA")
        assert all("workspaces" in text for text in reasons(pooler.url(database)))


@pytest.mark.parametrize("pooler", ["session", "transaction"], indirect=True)
@pytest.mark.parametrize("left", ["SELECT 1", "SET row_security = on", "SET search_path = public"])
def test_i69_rows_that_are_hidden_from_this_role_are_not_gone(
    postgres: PostgresServer, pooler: Pooler, database: str, left: str
) -> None:
    url = pooler.url(database, user="reader")
    with pooler.client(database, user="reader") as client:
        client.execute(left)
    assert seen(url) == [{"a", "b"}, {"a", "b"}]
    postgres.execute("ALTER TABLE workspaces ENABLE ROW LEVEL SECURITY", database)
    with pooler.client(database, user="reader") as client:
        assert client.execute("SELECT count(*) FROM workspaces").fetchone() == (0,)
    assert all("hides rows from this role: ALTER ROLE" in text for text in reasons(url))


@pytest.mark.parametrize("pooler", ["statement"], indirect=True)
def test_i69_a_pooler_that_splits_transactions_is_unknown(pooler: Pooler, database: str) -> None:
    assert all("is behind a pooler that splits transactions: set pool_mode" in text for text in reasons(pooler.url(database)))


@pytest.mark.parametrize("pooler", ["session", "transaction"], indirect=True)
@pytest.mark.parametrize(
    "options", ["-c%20search_path%3Dstored", "-csearch_path%3Dstored", "--search-path%3Dstored", "-c%20role%3Dstored"]
)
def test_i69_options_of_the_url_that_the_pooler_drops_hold(
    postgres: PostgresServer, pooler: Pooler, database: str, options: str
) -> None:
    """Without them another table of the same name is read, and its rows are others."""
    postgres.execute("CREATE SCHEMA stored", database)
    postgres.execute("ALTER TABLE workspaces SET SCHEMA stored", database)
    postgres.execute("CREATE TABLE public.workspaces (LIKE stored.workspaces INCLUDING ALL)", database)
    postgres.execute("CREATE ROLE stored", database)
    postgres.execute("GRANT USAGE ON SCHEMA stored TO stored", database)
    postgres.execute("GRANT SELECT ON stored.workspaces TO stored", database)
    try:
        assert seen(f"{pooler.url(database)}&options={options}") == [{"a", "b"}, {"a", "b"}]
    finally:
        postgres.execute("DROP OWNED BY stored", database)
        postgres.execute("DROP ROLE stored", database)


def test_i69_a_pooler_that_refuses_options_is_unknown(program: Path, postgres: PostgresServer, database: str) -> None:
    from tests.tools.pgbouncer import pooling

    with pooling(program, postgres, "transaction", ignored="") as pooler:
        assert seen(pooler.url(database)) == [{"a", "b"}, {"a", "b"}]
        texts = reasons(f"{pooler.url(database)}&options=-c%20search_path%3Dtenant")
    assert all("is behind a pooler that takes no options: remove options from database_url" in text for text in texts)


@pytest.mark.parametrize(
    "lost",
    ["row_security = on", "statement_timeout = 0", "lock_timeout = 0", "search_path = tenant"],
)
def test_i69_a_setting_that_does_not_hold_is_unknown(postgres: PostgresServer, database: str, lost: str) -> None:
    """As behind a pooler that gives each statement of a transaction to another connection."""
    registry = open_registry(load_schema("standard"), postgres.url(database), {}).database
    assert isinstance(registry, PostgresRegistry)

    def lose(_connection: object, cursor: Any, statement: str, *_rest: object) -> None:
        if statement.startswith("SELECT pg_catalog.current_setting"):
            cursor.connection.execute(f"SET LOCAL {lost}")

    event.listen(registry._engine, "before_cursor_execute", lose)
    assert f"does not keep the protection of a transaction ({lost.partition(' ')[0]} is " in reason(registry.look_up(["a"], []))


@pytest.mark.parametrize("pooler", ["session", "transaction"], indirect=True)
def test_the_daemon_notices_commits_through_a_pooler(postgres: PostgresServer, pooler: Pooler, database: str) -> None:
    with closing(open_watcher(load_schema("standard"), pooler.url(database), {})) as watcher:
        assert isinstance(watcher.read(), WorkspaceList)
        postgres.execute("DELETE FROM workspaces WHERE id = 'a'", database)
        assert watcher.wait(10)
        listed = watcher.read()
    assert isinstance(listed, WorkspaceList)
    assert set(listed.workspaces) == {"b"}


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("", {}),
        ("-c geqo=off", {"geqo": "off"}),
        ("-cgeqo=off  -c work_mem=4MB", {"geqo": "off", "work_mem": "4MB"}),
        ("--search-path=app", {"search_path": "app"}),
        (r"-c search_path=a\ b,c\\d", {"search_path": r"a b,c\d"}),
        ("-c a.b=x=y", {"a.b": "x=y"}),
        ("-c", {}),
        ("-S 100 -c geqo=off", {"geqo": "off"}),
    ],
)
def test_options_of_libpq(text: str, settings: dict[str, str]) -> None:
    from workspace_reaper.registry.postgres.protection import options_of

    assert options_of(text) == settings
