"""What a feed owes: it notices each commit, tells one workspace_list from another, and is never in the writer's way."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import Connection

from tests.tools.hosts import StandardHost, VibeKanbanHost, connected
from tests.tools.registries import registry_of
from tests.tools.waiting import wait_until
from tests.tools.writer import Writer, restore_elsewhere
from workspace_reaper.model.unknown import Source, Unknown
from workspace_reaper.model.workspace import LookupResult, WorkspaceList
from workspace_reaper.registry import load_schema
from workspace_reaper.registry.sqlite import watch as sqlite_watch
from workspace_reaper.registry.sqlite.registry import SqliteRegistry
from workspace_reaper.registry.sqlite.watch import SqliteWatcher

PATIENCE = 20.0
LONGER_THAN_A_TEST = 600.0

MakeWatcher = Callable[..., SqliteWatcher]


@pytest.fixture(scope="module")
def writer() -> Iterator[Writer]:
    with Writer() as process:
        yield process


@pytest.fixture(params=["DELETE", "WAL"])
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def host(tmp_path: Path, mode: str) -> VibeKanbanHost:
    return make(tmp_path / "data" / "db.v2.sqlite", mode)


@pytest.fixture
def watch() -> Iterator[MakeWatcher]:
    """Makes feeds, and closes them."""
    feeds = []

    def make_feed(path: Path, schema: str = "vibe-kanban", busy_limit: float = 0.1) -> SqliteWatcher:
        feeds.append(SqliteWatcher(SqliteRegistry(load_schema(schema), str(path), busy_limit=busy_limit)))
        return feeds[-1]

    yield make_feed
    for feed in feeds:
        feed.close()


def make(path: Path, mode: str, count: int = 5) -> VibeKanbanHost:
    path.parent.mkdir(parents=True, exist_ok=True)
    host = VibeKanbanHost(path)
    host.create()
    with connected(path) as connection:
        connection.execute(f"PRAGMA journal_mode = {mode}")
    host.insert([host.new_id(number) for number in range(count)])
    return host


def workspace_list(feed: SqliteWatcher) -> WorkspaceList:
    answer = feed.read()
    assert isinstance(answer, WorkspaceList), answer
    return answer


def settled(feed: SqliteWatcher) -> WorkspaceList:
    """A workspace_list after which the feed is at rest: writes that came right before it make it look twice."""
    found = workspace_list(feed)
    while feed.wait(0.5):
        found = workspace_list(feed)
    return found


def why_unknown(feed: SqliteWatcher) -> str:
    answer = feed.read()
    assert isinstance(answer, Unknown), answer
    assert answer.source is Source.REGISTRY
    return answer.reason


def delete(workspace_id: str) -> str:
    return f"DELETE FROM workspaces WHERE id = x'{workspace_id.replace('-', '')}'"


def archive(workspace_id: str) -> str:
    return f"UPDATE workspaces SET archived = 1 WHERE id = x'{workspace_id.replace('-', '')}'"


def copy(source: Path, target: Path) -> Path:
    """A copy by SQLite's means, so that it holds what is still in a log."""
    with closing(sqlite3.connect(source)) as one, closing(sqlite3.connect(target)) as other:
        one.backup(other)
    return target


def test_a_commit_is_noticed(host: VibeKanbanHost, watch: MakeWatcher, writer: Writer) -> None:
    feed = watch(host.path)
    before = settled(feed)
    one, two, *_ = sorted(before.workspaces)
    writer.commit(host.path, archive(one), delete(two))
    assert feed.wait(PATIENCE)
    after = workspace_list(feed)
    assert (after.workspaces, after.archived) == (before.workspaces - {two}, {one})
    assert (after.identity.location, after.identity.schema, after.identity.schema_version) == (
        before.identity.location,
        before.identity.schema,
        before.identity.schema_version,
    )
    assert before.identity.change_counter is not None
    assert after.identity.change_counter is not None
    assert after.identity.change_counter >= before.identity.change_counter


def test_without_a_commit_there_is_nothing(host: VibeKanbanHost, watch: MakeWatcher, writer: Writer) -> None:
    writer.commit(host.path)
    feed = watch(host.path)
    before = settled(feed)
    writer.roll_back(host.path, delete(min(before.workspaces)))
    assert not feed.wait(1.0)
    assert not feed.wait(0)


def test_before_the_first_read_it_cannot_be_told(host: VibeKanbanHost, watch: MakeWatcher) -> None:
    assert watch(host.path).wait(0)


def test_the_writer_finds_no_lock(host: VibeKanbanHost, watch: MakeWatcher, writer: Writer) -> None:
    feed = watch(host.path)
    free = ("BEGIN EXCLUSIVE", "ROLLBACK")
    writer.run(host.path, *free)
    for _ in range(5):
        feed.read()
        writer.run(host.path, *free)
        feed.wait(0.01)
        writer.run(host.path, *free)
    writer.run(host.path, "PRAGMA journal_mode = TRUNCATE", *free)


def test_a_server_that_stops_leaves_no_log(tmp_path: Path, watch: MakeWatcher, writer: Writer) -> None:
    """Else whoever copies the one file of a stopped server lacks what is in the log."""
    host = make(tmp_path / "db.v2.sqlite", "WAL")
    writer.commit(host.path, delete(host.new_id(0)))
    feed = watch(host.path)
    settled(feed)
    writer.close(host.path)
    assert list(tmp_path.iterdir()) == [host.path]
    assert workspace_list(feed).workspaces == {host.new_id(number) for number in range(1, 5)}


def test_a_server_that_changes_to_wal(tmp_path: Path, watch: MakeWatcher, writer: Writer) -> None:
    host = make(tmp_path / "db.v2.sqlite", "DELETE")
    feed = watch(host.path)
    settled(feed)
    writer.run(host.path, "PRAGMA journal_mode = WAL")
    assert feed.wait(PATIENCE)
    writer.run(host.path, "PRAGMA journal_mode = DELETE")
    settled(feed)
    writer.commit(host.path, delete(host.new_id(0)))
    assert feed.wait(PATIENCE)
    assert host.new_id(0) not in workspace_list(feed).workspaces


def test_locks_of_this_process_stay(host: VibeKanbanHost, watch: MakeWatcher, writer: Writer) -> None:
    """Closing any descriptor of a file drops the POSIX locks that the process holds on it."""
    with closing(sqlite3.connect(host.path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(delete(host.new_id(0)))
        feed = watch(host.path)
        feed.read()
        feed.close()
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            writer.run(host.path, "BEGIN IMMEDIATE")


def test_a_missing_file(tmp_path: Path, watch: MakeWatcher) -> None:
    path = tmp_path / "later" / "db.v2.sqlite"
    feed = watch(path)
    assert "does not exist" in why_unknown(feed)
    assert feed.wait(PATIENCE)
    assert not path.parent.exists()
    path.parent.mkdir()
    why_unknown(feed)
    assert list(path.parent.iterdir()) == []
    host = make(path, "DELETE")
    wait_until(lambda: feed.wait(PATIENCE) and isinstance(feed.read(), WorkspaceList))
    assert len(workspace_list(feed).workspaces) == 5
    assert host.new_id(1) in workspace_list(feed).workspaces


def test_a_file_that_vanishes_right_before_it_is_opened_is_not_made(host: VibeKanbanHost) -> None:
    class Vanishing(SqliteRegistry):
        def connect(self) -> Connection:
            host.path.unlink()
            return super().connect()

    watcher = SqliteWatcher(Vanishing(load_schema("vibe-kanban"), str(host.path), busy_limit=0.1))
    assert "cannot be opened" in why_unknown(watcher)
    assert not host.path.exists()
    watcher.close()


def test_replaced_by_rename(host: VibeKanbanHost, watch: MakeWatcher, tmp_path: Path) -> None:
    other = make(tmp_path / "other.sqlite", "DELETE", count=3)
    feed = watch(host.path)
    before = settled(feed)
    other.path.replace(host.path)
    assert feed.wait(PATIENCE)
    after = wait_until(lambda: found if isinstance(found := feed.read(), WorkspaceList) else None)
    assert after.identity.location != before.identity.location
    assert len(after.workspaces) == 3


def test_a_link_that_is_switched(tmp_path: Path, watch: MakeWatcher, writer: Writer) -> None:
    one, two = (make(tmp_path / name / "db.sqlite", "DELETE", count) for name, count in (("one", 1), ("two", 2)))
    link = tmp_path / "link" / "db.sqlite"
    link.parent.mkdir()
    link.symlink_to(one.path)
    feed = watch(link)
    before = settled(feed)
    writer.commit(one.path, archive(one.new_id(0)))
    assert feed.wait(PATIENCE)
    assert workspace_list(feed).archived == {one.new_id(0)}
    (tmp_path / "new").symlink_to(two.path)
    (tmp_path / "new").replace(link)
    assert feed.wait(PATIENCE)
    after = workspace_list(feed)
    assert after.identity.location != before.identity.location
    assert len(after.workspaces) == 2


def test_removed_and_made_anew(host: VibeKanbanHost, mode: str, watch: MakeWatcher, tmp_path: Path) -> None:
    """Although the file system may give the same inode again."""
    feed = watch(host.path)
    before = settled(feed)
    shutil.rmtree(host.path.parent)
    assert feed.wait(PATIENCE)
    assert "does not exist" in why_unknown(feed)
    make(host.path, mode)
    assert feed.wait(PATIENCE)
    assert workspace_list(feed).identity.location != before.identity.location


def test_the_inode_of_a_file_that_was_read_is_not_given_out_again(host: VibeKanbanHost, watch: MakeWatcher) -> None:
    feed = watch(host.path)
    before = settled(feed)
    content = host.path.read_bytes()
    for _ in range(20):
        host.path.unlink()
        host.path.write_bytes(content)
    assert feed.wait(PATIENCE)
    assert workspace_list(feed).identity.location != before.identity.location


@pytest.mark.parametrize("how", ["vacuum", "backup API", "shell", "tables"])
def test_content_put_there_as_a_whole_is_another_epoch(
    host: VibeKanbanHost, how: str, watch: MakeWatcher, writer: Writer, tmp_path: Path
) -> None:
    backup = copy(host.path, tmp_path / "backup")
    feed = watch(host.path)
    before = settled(feed)
    if how == "vacuum":
        writer.run(host.path, "VACUUM")
    elif how == "backup API":
        writer.restore(host.path, backup)
    elif how == "shell":
        restore_elsewhere(host.path, backup)
    else:
        writer.commit(host.path, "ALTER TABLE workspaces ADD COLUMN more TEXT")
    assert feed.wait(PATIENCE)
    after = workspace_list(feed)
    assert after.identity.schema_version != before.identity.schema_version
    assert (after.identity.location, after.workspaces) == (before.identity.location, before.workspaces)


def test_an_older_copy_turns_the_clock_back(host: VibeKanbanHost, watch: MakeWatcher, writer: Writer, tmp_path: Path) -> None:
    backup = copy(host.path, tmp_path / "backup")
    feed = watch(host.path)
    workspace_list(feed)
    host.insert([host.new_id(number) for number in range(100, 400)])
    before = settled(feed)
    # Content in the same file, as cp does it.
    with backup.open("rb") as source, host.path.open("r+b") as target:
        target.truncate()
        shutil.copyfileobj(source, target)
    assert feed.wait(PATIENCE)
    after = wait_until(lambda: found if isinstance(found := feed.read(), WorkspaceList) else None)
    assert after.identity.location == before.identity.location
    assert len(after.workspaces) == 5
    assert before.identity.change_counter is not None
    assert after.identity.change_counter is not None
    assert after.identity.change_counter < before.identity.change_counter


def put_back(backup: Path, path: Path) -> None:
    """Into the same file, as ``cp`` does it."""
    with backup.open("rb") as source, path.open("r+b") as target:
        target.truncate()
        shutil.copyfileobj(source, target)


@pytest.mark.parametrize("inserted", [5, 0])
def test_i82_an_older_copy_that_is_written_to_looks_like_one(
    host: VibeKanbanHost, mode: str, watch: MakeWatcher, tmp_path: Path, inserted: int
) -> None:
    """By then the count of changes is what it was, or greater."""
    backup = Path(shutil.copyfile(host.path, tmp_path / "backup"))
    feed = watch(host.path)
    lost = [host.new_id(number) for number in (100, 101)]
    for one in lost if mode == "DELETE" else lost[:1]:
        host.insert([one])
    before = settled(feed)
    put_back(backup, host.path)
    for number in range(5):
        host.archive(host.new_id(number))
    for number in range(10, 10 + inserted):
        host.insert([host.new_id(number)])
    after = workspace_list(feed)
    assert before.identity.change_counter is not None
    assert after.identity.change_counter is not None
    assert after.identity.change_counter >= before.identity.change_counter
    assert (after.identity.location, after.workspaces & set(lost)) == (before.identity.location, set())
    assert after.looks_restored is not None
    assert workspace_list(feed).looks_restored is None


@pytest.mark.parametrize("lost", [1, 2])
def test_i82_an_older_copy_to_which_nothing_was_written_yet_looks_like_one(
    tmp_path: Path, watch: MakeWatcher, lost: int
) -> None:
    """In WAL mode. The host is stopped, and its log is folded into the file."""
    host = make(tmp_path / "db.v2.sqlite", "WAL")
    backup = Path(shutil.copyfile(host.path, tmp_path / "backup"))
    feed = watch(host.path)
    for number in range(lost):
        host.insert([host.new_id(100 + number)])
    settled(feed)
    put_back(backup, host.path)
    assert workspace_list(feed).looks_restored is not None


STANDARD_COLUMNS = "id TEXT PRIMARY KEY, archived, pinned, running, deleted_at, worktree, worktree_deleted"

# A table of the standard schema, and the changes after which the numbers of its rows do not show which ones are the newest.
OUT_OF_ORDER: dict[str, tuple[str, list[str]]] = {
    "a view": (
        f"CREATE TABLE kept ({STANDARD_COLUMNS}); CREATE VIEW workspaces AS SELECT * FROM kept",
        ["INSERT INTO kept (id) VALUES ('x'), ('y')"],
    ),
    "no row numbers": (
        f"CREATE TABLE workspaces ({STANDARD_COLUMNS}) WITHOUT ROWID",
        ["INSERT INTO workspaces (id) VALUES ('x'), ('y')"],
    ),
    "an older row that is saved again": (
        f"CREATE TABLE workspaces ({STANDARD_COLUMNS})",
        ["INSERT INTO workspaces (id) VALUES ('x'), ('y')", "REPLACE INTO workspaces (id) VALUES ('w1')"],
    ),
    "numbers of the host's own": (
        f"CREATE TABLE workspaces (number INTEGER PRIMARY KEY, {STANDARD_COLUMNS.replace('PRIMARY KEY', 'UNIQUE')})",
        ["INSERT INTO workspaces (number, id) VALUES (-1, 'y'), (-2, 'x')"],
    ),
}


def out_of_order(path: Path, kind: str, mode: str) -> list[str]:
    """Make a database with eight older rows; the changes that make two newer ones."""
    table, changes = OUT_OF_ORDER[kind]
    with connected(path) as connection:
        connection.executescript(f"PRAGMA journal_mode = {mode}; {table}")
        base = changes[0].split()[2]
        connection.executemany(f"INSERT INTO {base} (id) VALUES (?)", [(f"w{number}",) for number in range(8)])
    return changes


def run_alone(path: Path, *statements: str) -> None:
    """Over a connection that is closed then: in WAL mode its log is folded into the file."""
    for statement in statements:
        with connected(path) as connection:
            connection.execute(statement)


@pytest.mark.parametrize(
    ("kind", "watched_before"), [*((kind, True) for kind in OUT_OF_ORDER), ("an older row that is saved again", False)]
)
def test_i82_an_older_copy_of_which_the_newest_rows_are_unknown_cannot_be_excluded(
    tmp_path: Path, kind: str, watched_before: bool, mode: str, watch: MakeWatcher
) -> None:
    path = tmp_path / "workspaces.sqlite"
    changes = out_of_order(path, kind, mode)
    backup = Path(shutil.copyfile(path, tmp_path / "backup"))
    feed = watch(path, "standard")
    if watched_before:
        settled(feed)
    run_alone(path, *changes)
    before = settled(feed)
    put_back(backup, path)
    after = workspace_list(feed)
    assert before.workspaces - after.workspaces == {"x", "y"}
    assert (after.looks_restored, after.may_be_restored is not None) == (None, True)
    assert workspace_list(feed).may_be_restored is None


@pytest.mark.parametrize("kind", ["an older row that is saved again", "numbers of the host's own"])
def test_i83_a_deletion_of_another_row_than_the_newest_is_no_restore(
    tmp_path: Path, kind: str, mode: str, watch: MakeWatcher
) -> None:
    """Although each commit of this host writes the file itself, and the newest rows were saved again in the same moment."""
    path = tmp_path / "workspaces.sqlite"
    changes = out_of_order(path, kind, mode)
    feed = watch(path, "standard")
    settled(feed)
    run_alone(path, *changes)
    settled(feed)
    for gone in ("w3", "x"):
        run_alone(path, f"DELETE FROM workspaces WHERE id = '{gone}'", "REPLACE INTO workspaces (id) VALUES ('w1')")
        after = workspace_list(feed)
        assert gone not in after.workspaces
        assert (after.looks_restored, after.may_be_restored) == (None, None)


@pytest.mark.parametrize("kind", ["a view", "no row numbers"])
def test_i83_a_deletion_without_row_numbers_is_no_restore_while_the_host_runs(
    tmp_path: Path, kind: str, mode: str, watch: MakeWatcher, writer: Writer
) -> None:
    """It keeps its connection open, so that in WAL mode a commit writes to the log alone."""
    path = tmp_path / "workspaces.sqlite"
    base = out_of_order(path, kind, mode)[0].split()[2]
    writer.commit(path, f"INSERT INTO {base} (id) VALUES ('x')")
    feed = watch(path, "standard")
    settled(feed)
    for gone in ("'x'", "'w1', 'w2'"):
        writer.commit(path, f"DELETE FROM {base} WHERE id IN ({gone})")
        assert workspace_list(feed).may_be_restored is None


def test_i83_the_newest_workspaces_that_are_deleted_look_like_no_restore(
    host: VibeKanbanHost, watch: MakeWatcher, writer: Writer
) -> None:
    """One after the other, and the two newest in one commit. The host keeps its connection open, as hosts do."""
    feed = watch(host.path)
    workspace_list(feed)
    for commits in ([4],), ([3, 2],), ([1], [0]):
        for gone in commits:
            writer.commit(host.path, *(delete(host.new_id(number)) for number in gone))
        assert workspace_list(feed).looks_restored is None


def test_the_newest_workspace_is_gone_after_a_look_that_failed(tmp_path: Path, watch: MakeWatcher, writer: Writer) -> None:
    """As many writes as one likes may have been made in between."""
    host = make(tmp_path / "db.v2.sqlite", "DELETE")
    feed = watch(host.path)
    settled(feed)
    writer.run(host.path, "BEGIN EXCLUSIVE", delete(host.new_id(4)))
    assert "is locked" in why_unknown(feed)
    writer.run(host.path, "COMMIT")
    assert workspace_list(feed).looks_restored is not None


def test_i83_which_rows_are_missing_changes_nothing_in_the_identity(
    host: VibeKanbanHost, watch: MakeWatcher, writer: Writer
) -> None:
    """The newest, the two newest in one commit, and all."""
    from workspace_reaper.policy.registry_identity import difference

    feed = watch(host.path)
    before = workspace_list(feed)
    for gone in ((4,), (3, 2), (1, 0)):
        writer.commit(host.path, *(delete(host.new_id(number)) for number in gone))
        after = workspace_list(feed)
        assert difference(before.identity, after.identity) is None
        assert after.replaced is None
    assert after.workspaces == set()
    writer.close(host.path)


def test_i82_a_sweep_and_the_watcher_find_the_same_identity(host: VibeKanbanHost, watch: MakeWatcher) -> None:
    feed, registry = watch(host.path), registry_of(host)
    for number in range(100, 400, 100):
        host.insert([host.new_id(one) for one in range(number, number + 100)])
        seen, looked_up = workspace_list(feed), registry.look_up((), ())
        assert isinstance(looked_up, LookupResult)
        assert looked_up.identity == seen.identity


def test_a_log_that_is_removed_takes_commits_with_it(tmp_path: Path, watch: MakeWatcher, writer: Writer) -> None:
    host = make(tmp_path / "db.v2.sqlite", "WAL")
    feed = watch(host.path)
    writer.commit(host.path, archive(host.new_id(0)))
    before = settled(feed)
    assert before.archived
    (tmp_path / "db.v2.sqlite-wal").unlink()
    (tmp_path / "db.v2.sqlite-shm").unlink()
    assert feed.wait(PATIENCE)
    after = wait_until(lambda: found if isinstance(found := feed.read(), WorkspaceList) else None)
    assert after.replaced == "its write-ahead log was removed, and the commits in it are lost"
    assert workspace_list(feed).replaced is None


def test_a_database_that_gives_pages_back(tmp_path: Path, watch: MakeWatcher, writer: Writer) -> None:
    path = tmp_path / "db.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA auto_vacuum = FULL")
    host = make(path, "WAL", count=400)
    feed = watch(path)
    before = settled(feed)
    writer.commit(path, *(delete(host.new_id(number)) for number in range(300)))
    assert feed.wait(PATIENCE)
    after = workspace_list(feed)
    assert before.identity.change_counter is not None
    assert after.identity.change_counter is not None
    assert after.identity.change_counter >= before.identity.change_counter


def test_many_rows(host: VibeKanbanHost, watch: MakeWatcher, writer: Writer) -> None:
    ids = [host.new_id(number) for number in range(5, 10_000)]
    host.insert(ids)
    feed = watch(host.path)
    before = settled(feed)
    assert before.workspaces == {*ids, *(host.new_id(number) for number in range(5))}
    writer.commit(host.path, delete(host.new_id(3)), archive(host.new_id(9_999)))
    assert feed.wait(PATIENCE)
    after = workspace_list(feed)
    assert before.workspaces - after.workspaces == {host.new_id(3)}
    assert after.archived == {host.new_id(9_999)}


Interrupt = Callable[..., None]


@pytest.fixture
def interrupt(monkeypatch: pytest.MonkeyPatch) -> Interrupt:
    """Has these things happen after the first transaction of a read, one in each read.

    No other process can be made to act between two transactions that follow each other at once.
    """
    read_rows = sqlite_watch.read_rows  # type: ignore[attr-defined] # imported there, and replaced there

    def interrupt(*happenings: Callable[[], object]) -> None:
        remaining = list(happenings)

        def interrupted(*arguments: Any) -> tuple[dict[str, None], set[str]]:
            if remaining:
                remaining.pop(0)()
            return read_rows(*arguments)

        monkeypatch.setattr(sqlite_watch, "read_rows", interrupted)

    return interrupt


def test_a_vacuum_between_two_chunks(host: VibeKanbanHost, watch: MakeWatcher, interrupt: Interrupt, writer: Writer) -> None:
    """Rows may have other numbers after it, so that a scan that continues would miss some."""
    watcher = watch(host.path, busy_limit=1.0)
    interrupt(lambda: writer.run(host.path, "VACUUM"))
    assert len(workspace_list(watcher).workspaces) == 5
    interrupt(*[lambda: writer.run(host.path, "VACUUM")] * 9)
    assert "again and again" in why_unknown(watcher)


def test_a_swap_between_two_chunks(host: VibeKanbanHost, watch: MakeWatcher, interrupt: Interrupt, tmp_path: Path) -> None:
    other = make(tmp_path / "other.sqlite", "DELETE", count=3)
    interrupt(lambda: other.path.replace(host.path))
    assert "replaced by another file" in why_unknown(watch(host.path))


def test_close_ends_a_read_with_its_chunk(host: VibeKanbanHost, watch: MakeWatcher, interrupt: Interrupt) -> None:
    host.insert([host.new_id(number) for number in range(5, 2_100)])
    watcher = watch(host.path)
    interrupt(watcher._closed.set)
    assert "closed" in why_unknown(watcher)


def test_rows_flagged_as_deleted_are_not_there(tmp_path: Path, watch: MakeWatcher) -> None:
    host = StandardHost(tmp_path / "workspaces.sqlite")
    host.create()
    host.insert(["a", "b"])
    host.flag_deleted("a")
    found = workspace_list(watch(host.path, "standard"))
    assert found.workspaces == {"b"}
    assert found.identity.sentinels == ("a", "b")


@pytest.mark.parametrize("change", ["CREATE VIEW workspaces AS SELECT * FROM kept", "no row numbers"])
def test_tables_without_row_numbers(tmp_path: Path, change: str, watch: MakeWatcher, writer: Writer) -> None:
    host = StandardHost(tmp_path / "workspaces.sqlite")
    host.create()
    host.insert([f"w{number}" for number in range(3_000)])
    columns = "id TEXT PRIMARY KEY, archived, pinned, running, deleted_at, worktree, worktree_deleted"
    second = change if change.startswith("CREATE") else f"CREATE TABLE workspaces ({columns}) WITHOUT ROWID"
    writer.commit(host.path, "ALTER TABLE workspaces RENAME TO kept", second)
    if "TABLE" in second:
        names = "id, archived, pinned, running, deleted_at, worktree, worktree_deleted"
        writer.commit(host.path, f"INSERT INTO workspaces SELECT {names} FROM kept")
    assert len(workspace_list(watch(host.path, "standard")).workspaces) == 3_000


def test_a_value_of_a_wrong_kind(host: VibeKanbanHost, watch: MakeWatcher, writer: Writer) -> None:
    feed = watch(host.path)
    settled(feed)
    writer.commit(host.path, "UPDATE workspaces SET archived = 'yes'")
    assert feed.wait(PATIENCE)
    listed = workspace_list(feed)
    assert (len(listed.workspaces), listed.archived) == (5, frozenset())


def test_locked(tmp_path: Path, watch: MakeWatcher, writer: Writer) -> None:
    host = make(tmp_path / "db.v2.sqlite", "DELETE")
    feed = watch(host.path)
    settled(feed)
    writer.run(host.path, "BEGIN EXCLUSIVE", delete(host.new_id(0)))
    assert feed.wait(PATIENCE)
    assert "is locked" in why_unknown(feed)
    writer.run(host.path, "COMMIT")
    assert feed.wait(PATIENCE)
    assert len(workspace_list(feed).workspaces) == 4


def test_sizes_and_times_of_the_files_show_a_commit_before_the_next_full_check(
    host: VibeKanbanHost, watch: MakeWatcher, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    watcher = watch(host.path)
    settled(watcher)
    monkeypatch.setattr(sqlite_watch, "_FULL_CHECK", LONGER_THAN_A_TEST)
    assert not watcher.wait(1.0)  # the last full check for a long time
    soon = threading.Timer(0.2, writer.commit, [host.path, delete(host.new_id(0))])
    soon.start()
    assert watcher.wait(PATIENCE)
    soon.join()


def test_writes_to_other_files_change_nothing(host: VibeKanbanHost, watch: MakeWatcher) -> None:
    watcher = watch(host.path)
    settled(watcher)
    soon = threading.Timer(0.2, (host.path.parent / "other").touch)
    soon.start()
    assert not watcher.wait(0.7)
    soon.join()


def test_a_second_write_within_one_tick_of_the_clock(host: VibeKanbanHost, watch: MakeWatcher) -> None:
    """Sizes and times of the files are then those that were read."""
    watcher = watch(host.path)
    settled(watcher)
    before = host.path.stat()
    with closing(sqlite3.connect(host.path)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(archive(host.new_id(0)))
        connection.commit()
        if (log := host.path.with_name(host.path.name + "-wal")).exists():
            assert watcher.wait(PATIENCE)  # the log is new
            workspace_list(watcher)
            times = log.stat()
            connection.execute(archive(host.new_id(1)))
            connection.commit()
            os.utime(log, ns=(times.st_atime_ns, times.st_mtime_ns))
            assert watcher.wait(PATIENCE)
        else:
            os.utime(host.path, ns=(before.st_atime_ns, before.st_mtime_ns))
            assert watcher.wait(PATIENCE)
    assert workspace_list(watcher).archived


def test_close_ends_a_wait(host: VibeKanbanHost, watch: MakeWatcher) -> None:
    feed = watch(host.path)
    settled(feed)
    answers: list[bool] = []
    waiting = threading.Thread(target=lambda: answers.append(feed.wait(LONGER_THAN_A_TEST)))
    waiting.start()
    feed.close()
    waiting.join(PATIENCE)
    assert answers == [False]
    assert "closed" in why_unknown(feed)


def test_i82_an_older_copy_with_as_many_commits_is_noticed(host: VibeKanbanHost, watch: MakeWatcher) -> None:
    """For SQLite nothing has changed: a connection that is kept shows what was there before."""
    older = bytearray(host.path.read_bytes())
    lost = [host.new_id(number) for number in (100, 101)]
    host.insert(lost)
    feed = watch(host.path)
    assert settled(feed).workspaces >= set(lost)
    with host.path.open("r+b") as file:
        # The change counter in the header, and its copy, by which SQLite knows that the header is valid.
        older[24:28] = older[92:96] = file.read(28)[24:]
        file.seek(0)
        file.write(older)
        file.truncate()
    assert feed.wait(PATIENCE)
    found = workspace_list(feed)
    assert not found.workspaces & set(lost)
    assert found.looks_restored or found.replaced


def test_an_interrupt_is_not_swallowed(host: VibeKanbanHost, watch: MakeWatcher) -> None:
    feed = watch(host.path)
    settled(feed)
    timer = threading.Timer(0.2, signal.raise_signal, [signal.SIGINT])
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        feed.wait(PATIENCE)
    timer.join()
