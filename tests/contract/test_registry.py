"""Every registry tells the same of its host, over databases made as the hosts make them."""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
from pathlib import Path

import pytest
from tests.tools.hosts import HOSTS, CaoHost, Host, StandardHost, VibeKanbanHost, connected
from tests.tools.registries import listen, opened, reason, rows

from workspace_reaper.model import Workspace
from workspace_reaper.registry import load_schema, open_registry


@pytest.fixture(params=list(HOSTS.values()), ids=list(HOSTS))
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Host:
    made: Host = request.param(tmp_path / "host.sqlite")
    made.create()
    return made


@pytest.fixture
def vibe(tmp_path: Path) -> VibeKanbanHost:
    made = VibeKanbanHost(tmp_path / "db.v2.sqlite")
    made.create()
    return made


@pytest.fixture
def standard(tmp_path: Path) -> StandardHost:
    made = StandardHost(tmp_path / "workspaces.sqlite")
    made.create()
    return made


@pytest.fixture(params=["vibe-kanban", "standard"])
def flagged(request: pytest.FixtureRequest, tmp_path: Path) -> VibeKanbanHost | StandardHost:
    kind = VibeKanbanHost if request.param == "vibe-kanban" else StandardHost
    made = kind(tmp_path / "host.sqlite")
    made.create()
    return made


def test_found_are_those_asked_for_that_are_there(host: Host) -> None:
    here, other, gone = (host.new_id(number) for number in range(3))
    host.insert([here, other, gone], worktree="/srv/worktree")
    host.delete(gone)

    answer = rows(opened(host).look_up([here, gone], []))

    assert set(answer.found) == {here}
    assert answer.found[here].workspace_id == here
    assert answer.total == 2
    assert not answer.capped


def test_nothing_asked(host: Host) -> None:
    host.insert([host.new_id(1)])
    answer = rows(opened(host).look_up([], []))
    assert (answer.found, answer.anchors, answer.total) == ({}, frozenset(), 1)


def test_an_empty_table_is_an_answer(host: Host) -> None:
    answer = rows(opened(host).look_up([host.new_id(1)], [host.new_id(2)]))
    assert (answer.found, answer.anchors, answer.oldest, answer.total) == ({}, frozenset(), (), 0)


def test_every_fact_at_rest(flagged: VibeKanbanHost | StandardHost) -> None:
    one = flagged.new_id(1)
    flagged.insert([one], worktree="/srv/wörktree")
    assert rows(opened(flagged).look_up([one], [])).found[one] == Workspace(one, worktree="/srv/wörktree")


@pytest.mark.parametrize("archived", [True, False], ids=["archived", "not-archived"])
@pytest.mark.parametrize("pinned", [True, False], ids=["pinned", "not-pinned"])
def test_flags(flagged: VibeKanbanHost | StandardHost, archived: bool, pinned: bool) -> None:
    one, other = flagged.new_id(1), flagged.new_id(2)
    flagged.insert([one, other])
    flagged.archive(one, on=archived)
    flagged.pin(one, on=pinned)
    found = rows(opened(flagged).look_up([one, other], [])).found
    assert (found[one].archived, found[one].pinned) == (archived, pinned)
    assert (found[other].archived, found[other].pinned) == (False, False)


@pytest.mark.parametrize("ask", [1, 3_000], ids=["one", "3000"])
def test_many_ids(host: Host, ask: int) -> None:
    ids = [host.new_id(number) for number in range(ask)]
    host.insert(ids)
    answer = rows(opened(host).look_up([*ids, host.new_id(-1)], ids[:5]))
    assert set(answer.found) == set(ids)
    assert answer.anchors == set(ids[:5])


def test_more_ids_than_one_statement_takes(standard: StandardHost) -> None:
    """Also with SQLite's own default limit, which some systems raise."""
    ids = [standard.new_id(number) for number in range(40_000)]
    standard.insert(ids)
    registry = opened(standard)
    if sys.version_info >= (3, 11):
        listen(registry, lambda connection: connection.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 32_766))
    answer = rows(registry.look_up(ids, []))
    assert len(answer.found) == 40_000
    assert (answer.total, answer.capped) == (10_000, True)


@pytest.mark.parametrize("count", [10_000, 10_001])
def test_the_count_is_bounded(host: Host, count: int) -> None:
    host.insert([host.new_id(number) for number in range(count)])
    answer = rows(opened(host).look_up([], []))
    assert (answer.total, answer.capped) == (10_000, count > 10_000)


def test_oldest_and_anchors(host: Host) -> None:
    ids = [host.new_id(number) for number in range(40)]
    for one in ids:
        host.insert([one])
    registry = opened(host)
    first = rows(registry.look_up([], []))
    assert first.oldest == tuple(ids[:32])

    host.delete(ids[0], ids[3])
    second = rows(registry.look_up([ids[5]], first.oldest))
    assert second.anchors == set(ids[:32]) - {ids[0], ids[3]}
    assert set(second.found) == {ids[5]}
    assert second.oldest[0] == ids[1]


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
    answer = rows(opened(host).look_up([strange, one], [strange]))
    assert set(answer.found) == {one}
    assert answer.anchors == frozenset()


@pytest.mark.parametrize("reason_", ["setupscript", "cleanupscript", "archivescript", "codingagent"])
def test_running_in_vibe_kanban(vibe: VibeKanbanHost, reason_: str) -> None:
    one, other = vibe.new_id(1), vibe.new_id(2)
    vibe.insert([one, other])
    process = vibe.start(one, run_reason=reason_)
    registry = opened(vibe)
    found = rows(registry.look_up([one, other], [])).found
    assert (found[one].running, found[other].running) == (True, False)
    vibe.finish(process)
    assert not rows(registry.look_up([one], [])).found[one].running


@pytest.mark.parametrize("status", ["completed", "failed", "killed"])
def test_a_process_that_ended_does_not_run(vibe: VibeKanbanHost, status: str) -> None:
    vibe.insert([vibe.new_id(1)])
    vibe.start(vibe.new_id(1), status=status)
    assert not rows(opened(vibe).look_up([vibe.new_id(1)], [])).found[vibe.new_id(1)].running


def test_a_dev_server_alone_is_not_work(vibe: VibeKanbanHost) -> None:
    one = vibe.new_id(1)
    vibe.insert([one])
    vibe.start(one, run_reason="devserver")
    registry = opened(vibe)
    assert not rows(registry.look_up([one], [])).found[one].running
    vibe.start(one, run_reason="codingagent")
    assert rows(registry.look_up([one], [])).found[one].running


def test_worktree_deleted(flagged: VibeKanbanHost | StandardHost) -> None:
    one, other = flagged.new_id(1), flagged.new_id(2)
    flagged.insert([one, other])
    flagged.delete_worktree(one)
    found = rows(opened(flagged).look_up([one, other], [])).found
    assert (found[one].worktree_deleted, found[other].worktree_deleted) == (True, False)


def test_an_older_database_and_its_migration(tmp_path: Path) -> None:
    host = VibeKanbanHost(tmp_path / "old.sqlite", worktree_deleted=False)
    host.create()
    one = host.new_id(1)
    host.insert([one], archived=True)
    registry = opened(host)
    before = rows(registry.look_up([one], []))
    assert before.found[one] == Workspace(one, archived=True)

    with connected(host.path) as connection:
        host.migrate(connection)
    host.delete_worktree(one)
    after = rows(registry.look_up([one], []))
    assert after.found[one] == Workspace(one, archived=True, worktree_deleted=True)
    assert (after.schema, after.place) == (before.schema, before.place)


def test_running_in_the_standard_table(standard: StandardHost) -> None:
    standard.insert(["a", "b"])
    standard.run("a")
    found = rows(opened(standard).look_up(["a", "b"], [])).found
    assert (found["a"].running, found["b"].running) == (True, False)


@pytest.mark.parametrize("column", ["name", "created_at", "worktree_deleted"])
def test_a_standard_table_may_lack_a_column(standard: StandardHost, column: str) -> None:
    standard.insert(["a"], pinned=True)
    with connected(standard.path) as connection:
        connection.execute(f"ALTER TABLE workspaces RENAME COLUMN {column} TO other")
    assert rows(opened(standard).look_up(["a"], [])).found == {"a": Workspace("a", pinned=True)}


def test_flagged_deleted(standard: StandardHost) -> None:
    standard.insert(["a", "b"])
    standard.flag_deleted("a")
    found = rows(opened(standard).look_up(["a", "b"], [])).found
    assert (found["a"].deleted, found["b"].deleted) == (True, False)


def test_known_while_one_terminal_names_it(tmp_path: Path) -> None:
    host = CaoHost(tmp_path / "cao.db")
    host.create()
    host.insert(["cao-a", "cao-a", "cao-b", "cao-a"])
    registry = opened(host)
    answer = rows(registry.look_up(["cao-a", "cao-b", "cao"], []))
    assert answer.found == {"cao-a": Workspace("cao-a"), "cao-b": Workspace("cao-b")}
    assert (answer.total, answer.oldest) == (2, ("cao-a", "cao-b"))

    with connected(host.path) as connection:
        connection.execute(
            "DELETE FROM terminals WHERE rowid IN (SELECT rowid FROM terminals WHERE tmux_session = 'cao-a' LIMIT 2)"
        )
    assert set(rows(registry.look_up(["cao-a"], [])).found) == {"cao-a"}
    host.delete("cao-a")
    assert rows(registry.look_up(["cao-a"], [])).found == {}


@pytest.mark.parametrize("name", ["a b", "what?mode=rwc", "hash#tag", "100%41", "ö", "-x", "file:x"])
def test_odd_paths(host: Host, tmp_path: Path, name: str) -> None:
    directory = tmp_path / name
    directory.mkdir()
    host.insert([host.new_id(1)])
    moved = host.path.rename(directory / name)
    before = sorted(tmp_path.rglob("*"))
    for url in (str(moved), f"sqlite:///{moved}"):
        registry = open_registry(load_schema(host.schema), url, {})
        assert set(rows(registry.look_up([host.new_id(1)], [])).found) == {host.new_id(1)}
        assert registry.location == str(moved)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_path_that_is_no_text(standard: StandardHost, tmp_path: Path) -> None:
    standard.insert(["a"])
    moved = standard.path.rename(tmp_path / os.fsdecode(b"\xff.sqlite"))
    assert rows(opened(standard, path=moved).look_up(["a"], [])).total == 1


def test_one_file_has_one_place(host: Host, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(host.path)
    first = rows(opened(host).look_up([], []))
    host.insert([host.new_id(1)])
    assert rows(opened(host, path=link).look_up([], [])).place == first.place
    assert str(host.path.resolve()) in first.place
    assert first.schema == host.schema == opened(host).name
    assert opened(host).canonical(host.new_id(1)) == host.new_id(1)


def test_another_file_has_another_place(host: Host, tmp_path: Path) -> None:
    registry = opened(host)
    before = rows(registry.look_up([], []))
    shutil.copy(host.path, tmp_path / "copy")
    (tmp_path / "copy").replace(host.path)
    after = rows(registry.look_up([], []))
    assert after.place != before.place


def test_a_file_replaced_while_it_is_read_is_unknown(host: Host, tmp_path: Path) -> None:
    registry = opened(host)
    shutil.copy(host.path, tmp_path / "copy")

    def replace(_connection: sqlite3.Connection) -> None:
        if (tmp_path / "copy").exists():
            (tmp_path / "copy").replace(host.path)

    listen(registry, replace)
    assert "replaced by another file" in reason(registry.look_up([], []))
    assert rows(registry.look_up([], [])).total == 0
