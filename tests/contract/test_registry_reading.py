"""How a registry reads: one transaction that ends with the look-up, never a write, and a bounded cost.

The cost is counted in steps of SQLite's virtual machine, so it is the same on every machine.
"""

from __future__ import annotations

import sqlite3
import uuid
from contextlib import closing
from pathlib import Path

import pytest

from tests.tools.hosts import HOSTS, Host, StandardHost, VibeKanbanHost, connected
from tests.tools.registries import listen, opened, reason, rows
from workspace_reaper.model.workspace import Workspace
from workspace_reaper.registry.sqlite.registry import SqliteRegistry


@pytest.fixture(params=list(HOSTS.values()), ids=list(HOSTS))
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Host:
    made: Host = request.param(tmp_path / "host.sqlite")
    made.create()
    return made


def counting(registry: SqliteRegistry) -> list[None]:
    """A list that grows by one for every step of SQLite from now on."""
    steps: list[None] = []
    listen(registry, lambda connection: connection.set_progress_handler(lambda: steps.append(None), 1))
    return steps


def test_a_host_commits_right_after_a_look_up(host: Host) -> None:
    host.insert([host.new_id(1)])
    registry = opened(host)
    with closing(sqlite3.connect(host.path, isolation_level=None, timeout=0)) as server:
        assert server.execute("PRAGMA journal_mode").fetchone() == ("delete",)
        answer = rows(registry.look_up([host.new_id(1)], []))
        server.execute("BEGIN EXCLUSIVE")
        server.execute(f"DELETE FROM {host.workspaces}")
        server.execute("COMMIT")
        assert set(answer.found) == {host.new_id(1)}
        assert rows(registry.look_up([host.new_id(1)], [])).found == {}


def test_a_host_commits_right_after_a_failed_look_up(standard: StandardHost) -> None:
    standard.insert(["a"])
    with connected(standard.path) as connection:
        connection.execute("ALTER TABLE workspaces RENAME TO others")
    registry = opened(standard)
    reason(registry.look_up(["a"], []))
    with closing(sqlite3.connect(standard.path, isolation_level=None, timeout=0)) as server:
        server.execute("BEGIN EXCLUSIVE")
        server.execute("COMMIT")


def test_one_look_up_is_one_transaction(host: Host) -> None:
    """A commit between two of its statements is not possible: the host has to wait for the end."""
    host.insert([host.new_id(1)])
    registry = opened(host)
    seen: list[str] = []

    def meddle(statement: str) -> None:
        if "count(" not in statement:
            return
        with closing(sqlite3.connect(host.path, isolation_level=None, timeout=0)) as server:
            try:
                server.execute(f"DELETE FROM {host.workspaces}")
            except sqlite3.OperationalError as error:
                seen.append(str(error))

    listen(registry, lambda connection: connection.set_trace_callback(meddle))
    answer = rows(registry.look_up([host.new_id(1)], []))
    assert seen == ["database is locked"]
    assert (len(answer.found), answer.total) == (1, 1)


def test_a_database_in_wal_mode(host: Host) -> None:
    with closing(sqlite3.connect(host.path, isolation_level=None, timeout=0)) as server:
        server.execute("PRAGMA journal_mode = WAL")
        host.insert([host.new_id(1)])
        registry = opened(host)
        assert rows(registry.look_up([host.new_id(1)], [])).total == 1
        server.execute("BEGIN IMMEDIATE")
        server.execute(f"DELETE FROM {host.workspaces}")
        assert rows(registry.look_up([host.new_id(1)], [])).total == 1
        server.execute("COMMIT")
        assert rows(registry.look_up([host.new_id(1)], [])).total == 0


def test_the_database_is_never_written(host: Host) -> None:
    host.insert([host.new_id(1)])
    before = (host.path.read_bytes(), host.path.stat().st_mtime_ns, sorted(host.path.parent.iterdir()))
    rows(opened(host).look_up([host.new_id(1)], []))
    assert (host.path.read_bytes(), host.path.stat().st_mtime_ns, sorted(host.path.parent.iterdir())) == before


@pytest.mark.parametrize("kind", [VibeKanbanHost, StandardHost], ids=lambda kind: kind.schema)
def test_a_look_up_does_not_cost_more_in_a_larger_database(tmp_path: Path, kind: type[VibeKanbanHost | StandardHost]) -> None:
    steps = []
    for size in (11_000, 33_000):
        host = kind(tmp_path / f"{size}.sqlite")
        host.create()
        host.insert([host.new_id(number) for number in range(size)])
        registry = opened(host)
        rows(registry.look_up([], []))
        counted = counting(registry)
        answer = rows(registry.look_up([host.new_id(number) for number in range(100)], []))
        assert (len(answer.found), answer.capped) == (100, True)
        steps.append(len(counted))
    assert steps[1] < steps[0] * 1.02


def test_many_running_workspaces_do_not_cost_each_other(vibe: VibeKanbanHost) -> None:
    ids = [vibe.new_id(number) for number in range(300)]
    vibe.insert(ids)
    with connected(vibe.path) as connection:
        connection.execute(
            "INSERT INTO sessions (id, workspace_id, created_at, updated_at) SELECT id, id, '', '' FROM workspaces"
        )
        connection.execute(
            "INSERT INTO execution_processes (id, session_id, run_reason, status, started_at, created_at, updated_at)"
            " SELECT id, id, 'devserver', 'running', '', '', '' FROM sessions"
        )
    registry = opened(vibe)
    steps = []
    for asked in (100, 300):
        counted = counting(registry)
        rows(registry.look_up(ids[:asked], []))
        steps.append(len(counted))
    assert steps[1] < 300 * 100


def test_sessions_cost_nothing_while_each_process_has_its_own(vibe: VibeKanbanHost) -> None:
    """The sessions are read in every spelling only for a process whose session is not found."""
    ids = [vibe.new_id(number) for number in range(3)]
    vibe.insert(ids)
    vibe.run(ids[0])
    registry = opened(vibe)
    steps = []
    for number in (1, 2000):
        with connected(vibe.path) as connection:
            connection.executemany(
                "INSERT INTO sessions (id, workspace_id, created_at, updated_at) VALUES (?, ?, '', '')",
                [(uuid.uuid4().bytes, uuid.UUID(ids[2]).bytes) for _ in range(number)],
            )
        counted = counting(registry)
        answer = rows(registry.look_up(ids[:2], []))
        assert answer.found == {ids[0]: Workspace(ids[0], running=True), ids[1]: Workspace(ids[1])}
        steps.append(len(counted))
    assert steps[1] < steps[0] * 1.1


@pytest.mark.parametrize("missing", [False, True])
def test_plans(vibe: VibeKanbanHost, missing: bool) -> None:
    """No statement scans a table, but those that stop at their limit, and the one for what is not found; none sorts."""
    vibe.insert([vibe.new_id(1), vibe.new_id(3)])
    registry = opened(vibe)
    traced: list[str] = []
    listen(registry, lambda connection: connection.set_trace_callback(traced.append))
    rows(registry.look_up([vibe.new_id(1), *[vibe.new_id(2)] * missing], [vibe.new_id(3)]))
    probes = ("pragma_table_xinfo", "LIMIT 0", "0 = 1")
    statements = [text for text in traced if text.startswith("SELECT") and not any(sign in text for sign in probes)]
    assert len(statements) == 3 + missing
    with closing(sqlite3.connect(vibe.path)) as connection:
        for statement in statements:
            plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}")]
            assert not any("TEMP B-TREE" in line for line in plan), plan
            is_bounded = " LIMIT " in statement or statement.startswith("SELECT CASE")
            assert is_bounded or not any(line.startswith("SCAN") and "respelled" not in line for line in plan), plan
