"""The feed over a real PostgreSQL: it notices commits and nothing else, and what it reads is one moment."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event

from tests.tools.hosts import EVERY_HOST, Host, StandardHost
from tests.tools.waiting import wait_until
from workspace_reaper.model.unknown import Unknown
from workspace_reaper.model.workspace import WorkspaceList
from workspace_reaper.registry import load_schema, open_watcher
from workspace_reaper.registry.postgres import ConnectionLimits, PostgresRegistry, server_of
from workspace_reaper.registry.postgres.watch import PostgresWatcher

if TYPE_CHECKING:
    from tests.tools.postgres import PostgresServer

pytestmark = pytest.mark.postgres

LONG = 60.0


@pytest.fixture(params=list(EVERY_HOST.values()), ids=list(EVERY_HOST))
def host(request: pytest.FixtureRequest, postgres: PostgresServer, tmp_path: Path) -> Host:
    made: Host = request.param(tmp_path, postgres.url(postgres.new_database()))
    made.create()
    return made


@pytest.fixture
def standard(postgres: PostgresServer, tmp_path: Path) -> StandardHost:
    made = StandardHost(tmp_path, postgres.url(postgres.new_database()))
    made.create()
    made.insert(["a", "b"])
    return made


@pytest.fixture
def feeds() -> Iterator[Any]:
    """Makes quick feeds, which are closed at the end."""
    made: list[PostgresWatcher] = []

    def make(host: Host, limits: ConnectionLimits | None = None) -> PostgresWatcher:
        assert host.server
        schema = load_schema(host.schema, getattr(host, "table", None))
        made.append(
            PostgresWatcher(PostgresRegistry(schema, server_of(host.server), limits or ConnectionLimits()), interval=0.01)
        )
        return made[-1]

    yield make
    for feed in made:
        feed.close()


def workspace_list(feed: PostgresWatcher) -> WorkspaceList:
    answer = feed.read()
    assert isinstance(answer, WorkspaceList), answer
    return answer


def test_all_there_is(host: Host, feeds: Any) -> None:
    ids = [host.new_id(number) for number in range(40)]
    host.insert(ids)
    told = workspace_list(feeds(host))
    assert told.workspaces == set(ids)
    assert told.archived == set()
    assert told.identity.sentinels == tuple(sorted(ids)[:32])
    assert told.identity.schema.partition(" ")[0] == host.schema
    if host.schema != "cao":
        host.archive(ids[0])  # type: ignore[attr-defined]
        assert workspace_list(feeds(host)).archived == {ids[0]}


def test_it_is_the_one_that_the_factory_makes(standard: StandardHost) -> None:
    feed = open_watcher(load_schema("standard"), standard.server, {})
    assert isinstance(feed, PostgresWatcher)
    assert workspace_list(feed).workspaces == {"a", "b"}
    feed.close()


def test_what_is_flagged_as_deleted_is_not_there(standard: StandardHost, feeds: Any) -> None:
    standard.flag_deleted("a")
    assert workspace_list(feeds(standard)).workspaces == {"b"}


def test_a_commit_is_noticed_and_a_rollback_changes_nothing(standard: StandardHost, feeds: Any) -> None:
    feed = feeds(standard)
    before = workspace_list(feed)
    assert not feed.wait(0)
    assert not feed.wait(0.05)
    standard.delete("a")
    assert feed.wait(LONG)
    after = workspace_list(feed)
    assert after.workspaces == {"b"}
    assert before.identity.change_counter is not None
    assert after.identity.change_counter is not None
    assert after.identity.change_counter > before.identity.change_counter
    assert (after.identity.location, after.identity.schema_version) == (
        before.identity.location,
        before.identity.schema_version,
    )
    assert not feed.wait(0.05)


def test_a_transaction_that_is_open_while_it_reads_is_noticed_when_it_commits(standard: StandardHost, feeds: Any) -> None:
    feed = feeds(standard)
    with standard.writing() as server:
        server.execute("DELETE FROM workspaces WHERE id = 'a'")
        assert workspace_list(feed).workspaces == {"a", "b"}
        assert not feed.wait(0.05)
    assert feed.wait(LONG)
    assert workspace_list(feed).workspaces == {"b"}


def test_a_commit_while_it_reads_is_noticed_afterwards(standard: StandardHost, feeds: Any) -> None:
    feed = feeds(standard)

    def delete(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if "deleted_at" in statement and "coalesce" in statement:
            standard.delete("a")

    event.listen(feed._registry._engine, "before_cursor_execute", delete)
    assert workspace_list(feed).workspaces == {"a", "b"}
    assert feed.wait(LONG)
    assert workspace_list(feed).workspaces == {"b"}


def test_before_the_first_read_nothing_is_known(standard: StandardHost, feeds: Any) -> None:
    assert feeds(standard).wait(LONG)


def test_no_transaction_is_open_while_it_waits(postgres: PostgresServer, standard: StandardHost, feeds: Any) -> None:
    feed = feeds(standard)
    workspace_list(feed)
    assert not feed.wait(0.05)
    ours = "SELECT state FROM pg_stat_activity WHERE application_name = 'workspace-reaper' AND state IS NOT NULL"
    assert set(postgres.execute(ours)) == {("idle",)}


@pytest.mark.parametrize("made_anew", ["dropped", "truncated", "rewritten"])
def test_the_epoch_changes_when_the_table_was_made_anew(
    postgres: PostgresServer, standard: StandardHost, feeds: Any, made_anew: str
) -> None:
    feed = feeds(standard)
    before = workspace_list(feed).identity.schema_version
    with standard.writing() as server:
        if made_anew == "truncated":
            server.execute("TRUNCATE workspaces")
        elif made_anew == "rewritten":
            server.execute("ALTER TABLE workspaces ADD COLUMN made double precision DEFAULT random()")
        else:
            server.execute("DROP TABLE workspaces")
    if made_anew == "dropped":
        standard.create()
    assert feed.wait(LONG)
    assert workspace_list(feed).identity.schema_version != before


@pytest.mark.parametrize(
    ("prepare", "hide"),
    [
        pytest.param(
            "ALTER TABLE workspaces RENAME TO every; CREATE VIEW workspaces AS SELECT * FROM every",
            "CREATE OR REPLACE VIEW workspaces AS SELECT * FROM every WHERE id <> 'a'",
            id="view",
        ),
        pytest.param(
            "ALTER TABLE workspaces RENAME TO every; CREATE VIEW most AS SELECT * FROM every;"
            "CREATE VIEW workspaces AS SELECT * FROM most",
            "CREATE OR REPLACE VIEW most AS SELECT * FROM every WHERE id <> 'a'",
            id="view of a view",
        ),
        pytest.param(
            "ALTER TABLE workspaces RENAME TO every; CREATE VIEW workspaces AS SELECT * FROM every",
            "TRUNCATE every",
            id="table of a view",
        ),
        pytest.param(
            "ALTER TABLE workspaces RENAME TO old; CREATE TABLE workspaces (LIKE old) PARTITION BY LIST (id);"
            "ALTER TABLE workspaces ATTACH PARTITION old FOR VALUES IN ('a', 'b')",
            "ALTER TABLE workspaces DETACH PARTITION old",
            id="partition",
        ),
        pytest.param(
            "CREATE TABLE one (CHECK (id = 'c')) INHERITS (workspaces); INSERT INTO one SELECT 'c', name, archived, pinned,"
            " running, deleted_at, worktree, worktree_deleted, created_at FROM workspaces WHERE id = 'a'",
            "ALTER TABLE one NO INHERIT workspaces",
            id="child",
        ),
        pytest.param("SELECT", "ALTER TABLE workspaces ENABLE ROW LEVEL SECURITY", id="row-level security"),
    ],
)
def test_the_epoch_changes_when_rows_were_hidden(
    postgres: PostgresServer, standard: StandardHost, feeds: Any, prepare: str, hide: str
) -> None:
    """Else they would be told as deletions."""
    with standard.writing() as server:
        server.executescript(prepare)
    feed = feeds(standard)
    before = workspace_list(feed)
    assert {"a", "b"} <= before.workspaces
    assert workspace_list(feed).identity.schema_version == before.identity.schema_version
    with standard.writing() as server:
        server.execute(hide)
    assert feed.wait(LONG)
    assert workspace_list(feed).identity.schema_version != before.identity.schema_version


def test_rows_that_are_hidden_while_it_reads(standard: StandardHost, feeds: Any) -> None:
    """PostgreSQL reads a view as it is now, also in a transaction that has begun before."""
    with standard.writing() as server:
        server.executescript("ALTER TABLE workspaces RENAME TO every; CREATE VIEW workspaces AS SELECT * FROM every")
    feed = feeds(standard)
    before = workspace_list(feed)
    hidden: list[str] = []

    def hide(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if "pg_database" in statement and not hidden:
            hidden.append("a")
            with standard.writing() as server:
                server.execute("CREATE OR REPLACE VIEW workspaces AS SELECT * FROM every WHERE id <> 'a'")

    event.listen(feed._registry._engine, "before_cursor_execute", hide)
    answer = feed.read()
    assert isinstance(answer, Unknown)
    assert "was created again while it was read" in answer.reason
    assert feed.wait(LONG)
    after = workspace_list(feed)
    assert after.workspaces == {"b"}
    assert after.identity.schema_version != before.identity.schema_version


def test_an_archived_flag_that_is_no_truth(standard: StandardHost, feeds: Any) -> None:
    with standard.writing() as server:
        server.execute("ALTER TABLE workspaces ALTER archived TYPE int USING 7")
    listed = workspace_list(feeds(standard))
    assert listed.workspaces
    assert not listed.archived


def test_a_server_that_restarts(postgres: PostgresServer, standard: StandardHost, feeds: Any) -> None:
    feed = feeds(standard)
    before = workspace_list(feed)
    postgres.stop()
    try:
        assert feed.wait(LONG)
        assert isinstance(feed.read(), Unknown)
        pause = feed._pause
        assert feed.wait(LONG)
        assert feed._pause == min(2 * pause, 5)  # it asks less and less often
    finally:
        postgres.start()
    assert feed.wait(LONG)
    after = workspace_list(feed)
    assert replace(after.identity, change_counter=before.identity.change_counter) == before.identity
    assert (after.workspaces, after.archived) == (before.workspaces, before.archived)
    assert not feed.wait(0.05)


def test_a_connection_that_the_server_ends(postgres: PostgresServer, standard: StandardHost, feeds: Any) -> None:
    feed = feeds(standard)
    workspace_list(feed)
    postgres.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'workspace-reaper'")
    assert feed.wait(LONG)
    assert workspace_list(feed).workspaces == {"a", "b"}


def test_closing_ends_a_wait(standard: StandardHost, feeds: Any) -> None:
    feed = feeds(standard)
    workspace_list(feed)
    answers: list[bool] = []
    waiter = threading.Thread(target=lambda: answers.append(feed.wait(LONG)))
    waiter.start()
    feed.close()
    waiter.join(LONG)
    assert answers == [False]
    assert not feed.wait(LONG)
    assert isinstance(feed.read(), Unknown)


@pytest.mark.parametrize("ended_by", ["the limit", "close"])
def test_a_server_that_stands_still(standard: StandardHost, feeds: Any, ended_by: str) -> None:
    feed = feeds(standard, ConnectionLimits(whole=0.3 if ended_by == "the limit" else 1000))
    workspace_list(feed)
    assert feed._kept is not None
    backend = feed._kept[0].connection.driver_connection.info.backend_pid
    answers: list[bool] = []
    waiter = threading.Thread(target=lambda: answers.append(feed.wait(LONG)))
    os.kill(backend, signal.SIGSTOP)
    try:
        waiter.start()
        if ended_by == "close":
            wait_until(feed._using.locked, 60)
            feed.close()
        waiter.join(LONG)
    finally:
        os.kill(backend, signal.SIGCONT)
    assert answers == [ended_by != "close"]
