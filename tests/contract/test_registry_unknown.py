"""What a registry can't read is Unknown, says why and what to do, and is never an empty answer."""

from __future__ import annotations

import os
import pwd
import shutil
import sqlite3
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.tools.hosts import HOSTS, CaoHost, Host, StandardHost, VibeKanbanHost, connected
from tests.tools.preload import preload_registries
from tests.tools.registries import opened, reason, rows
from workspace_reaper.model.unknown import Unknown
from workspace_reaper.model.workspace import LookupResult, Workspace
from workspace_reaper.registry.sqlite import registry as sqlite_registry
from workspace_reaper.registry.sqlite.connection import open_readonly
from workspace_reaper.registry.sqlite.errors import in_words

NOBODY = 65534


@pytest.fixture(params=list(HOSTS.values()), ids=list(HOSTS))
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Host:
    made: Host = request.param(tmp_path / "host.sqlite")
    made.create()
    return made


@pytest.fixture(params=["vibe-kanban", "standard"])
def flagged(request: pytest.FixtureRequest, tmp_path: Path) -> VibeKanbanHost | StandardHost:
    kind = VibeKanbanHost if request.param == "vibe-kanban" else StandardHost
    made = kind(tmp_path / "host.sqlite")
    made.create()
    return made


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that every user may enter; pytest's own may not be."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)


@contextmanager
def unprivileged() -> Iterator[None]:
    """As a user whom permissions bind, which root is not."""
    preload_registries()
    root = os.geteuid() == 0
    if root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


def test_a_missing_file_is_never_made(host: Host) -> None:
    host.path.unlink()
    assert "does not exist" in reason(opened(host).look_up([host.new_id(1)], []))
    assert list(host.path.parent.iterdir()) == []


def test_a_file_that_vanishes_right_before_it_is_opened_is_not_made(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """No other process can be made to act between the check of the file and its opening."""

    def opened_too_late(path: str, busy_limit: float) -> sqlite3.Connection:
        host.path.unlink()
        return open_readonly(path, busy_limit)

    monkeypatch.setattr(sqlite_registry, "open_readonly", opened_too_late)
    assert "cannot be opened" in reason(opened(host).look_up([host.new_id(1)], []))
    assert list(host.path.parent.iterdir()) == []


def test_a_file_that_comes_later_is_read(host: Host) -> None:
    away = host.path.rename(host.path.with_suffix(".away"))
    registry = opened(host)
    reason(registry.look_up([], []))
    away.rename(host.path)
    assert rows(registry.look_up([], [])).total == 0


def test_a_dangling_link(host: Host) -> None:
    host.path.unlink()
    host.path.symlink_to("nowhere")
    assert "does not exist" in reason(opened(host).look_up([], []))


def test_a_file_in_the_way(host: Host) -> None:
    assert "cannot be inspected" in reason(opened(host, path=host.path / "db.sqlite").look_up([], []))


def test_a_directory(host: Host) -> None:
    assert "is a directory" in reason(opened(host, path=host.path.parent).look_up([], []))


def test_a_fifo_does_not_hang(host: Host, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    assert "not a regular file" in reason(opened(host, path=tmp_path / "fifo").look_up([], []))


@pytest.mark.parametrize(
    "content", [b"no database at all, " * 100, b"SQLite format 3\0" + b"\xff" * 4096], ids=["text", "header"]
)
def test_garbage(host: Host, content: bytes) -> None:
    host.path.write_bytes(content)
    assert "not an SQLite database" in reason(opened(host).look_up([host.new_id(1)], []))


def test_a_damaged_page(host: Host) -> None:
    host.insert([host.new_id(number) for number in range(2_000)])
    with host.path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (host.path.stat().st_size - 4096))
    assert "is damaged" in reason(opened(host).look_up([host.new_id(1)], []))


def test_a_truncated_file(host: Host) -> None:
    host.insert([host.new_id(number) for number in range(2_000)])
    os.truncate(host.path, 4096)
    reason(opened(host).look_up([host.new_id(1)], []))


def test_an_empty_file_has_no_tables(host: Host) -> None:
    host.path.write_bytes(b"")
    assert f"has no table '{host.workspaces}'" in reason(opened(host).look_up([host.new_id(1)], []))


@pytest.mark.parametrize("asked", [True, False], ids=["asked", "nothing-asked"])
def test_a_missing_table(host: Host, asked: bool) -> None:
    for table in ("execution_processes", "sessions") if host.schema == "vibe-kanban" else (host.workspaces,):
        with connected(host.path) as connection:
            connection.execute(f"DROP TABLE {table}")
        text = reason(opened(host).look_up([host.new_id(1)] if asked else [], []))
        assert f"has no table {table!r}" in text
        assert "database_url" in text


@pytest.mark.parametrize(
    ("kind", "column"),
    [(VibeKanbanHost, "archived"), (VibeKanbanHost, "pinned"), (StandardHost, "deleted_at"), (CaoHost, "tmux_session")],
    ids=lambda value: value if isinstance(value, str) else value.schema,
)
def test_a_missing_column(tmp_path: Path, kind: type[VibeKanbanHost | StandardHost | CaoHost], column: str) -> None:
    host = kind(tmp_path / "host.sqlite")
    host.create()
    with connected(host.path) as connection:
        connection.execute(f"ALTER TABLE {host.workspaces} RENAME COLUMN {column} TO was_{column}")
    assert f"lacks {host.workspaces}.{column}" in reason(opened(host).look_up([host.new_id(1)], []))


@pytest.mark.parametrize("value", [2, -1, 0.5, "yes", b"\1"], ids=repr)
@pytest.mark.parametrize("column", ["archived", "pinned", "worktree_deleted"])
def test_a_flag_of_a_wrong_kind(tmp_path: Path, column: str, value: object) -> None:
    path = tmp_path / "db"
    host = VibeKanbanHost(path)
    with connected(path) as connection:  # columns without a type convert nothing
        connection.executescript(
            "CREATE TABLE workspaces(id BLOB PRIMARY KEY, container_ref, archived, pinned, worktree_deleted);"
            "CREATE TABLE sessions(id, workspace_id); CREATE TABLE execution_processes(id, session_id, status, run_reason)"
        )
        connection.execute(f"INSERT INTO workspaces(id, {column}) VALUES (?, ?)", (bytes(16), value))
    zero = "00000000-0000-0000-0000-000000000000"
    assert "neither 0 nor 1" in str(rows(opened(host).look_up([zero], [])).found[zero].unreadable)


def test_flags_never_set(tmp_path: Path) -> None:
    host = VibeKanbanHost(tmp_path / "db")
    with connected(host.path) as connection:
        connection.executescript(
            "CREATE TABLE workspaces(id BLOB PRIMARY KEY, container_ref, archived, pinned);"
            "CREATE TABLE sessions(id, workspace_id); CREATE TABLE execution_processes(id, session_id, status, run_reason)"
        )
        connection.execute("INSERT INTO workspaces(id) VALUES (?)", (bytes(16),))
    zero = "00000000-0000-0000-0000-000000000000"
    assert rows(opened(host).look_up([zero], [])).found == {zero: Workspace(zero)}


@pytest.mark.parametrize("value", ["text", 16, b"short"], ids=repr)
def test_an_id_of_a_wrong_kind(vibe: VibeKanbanHost, value: object) -> None:
    vibe.insert([vibe.new_id(1)])
    with connected(vibe.path) as connection:
        connection.execute("UPDATE workspaces SET id = ?", (value,))
    assert "not a BLOB of 16 bytes" in reason(opened(vibe).look_up([vibe.new_id(1)], []))


def test_a_text_id_that_is_a_blob(standard: StandardHost) -> None:
    standard.insert(["a"])
    with connected(standard.path) as connection:
        connection.execute("UPDATE workspaces SET id = ?", (b"a",))
    assert "not text" in reason(opened(standard).look_up(["a"], []))


def test_a_worktree_of_a_wrong_kind(flagged: VibeKanbanHost | StandardHost) -> None:
    one = flagged.new_id(1)
    flagged.insert([one], worktree=b"\xff")  # type: ignore[arg-type]
    assert "worktree" in str(rows(opened(flagged).look_up([one], [])).found[one].unreadable)


def test_a_path_that_is_no_utf_8(flagged: VibeKanbanHost | StandardHost) -> None:
    one = flagged.new_id(1)
    flagged.insert([one], worktree="/srv/worktree")
    flagged.path.write_bytes(flagged.path.read_bytes().replace(b"/srv/worktree", b"\xffsrv/worktree"))
    assert rows(opened(flagged).look_up([one], [])).found[one].worktree == "\udcffsrv/worktree"


def test_a_schema_that_is_no_utf_8(host: Host) -> None:
    host.path.write_bytes(host.path.read_bytes().replace(b"TABLE", b"T\xffBLE"))
    assert "is damaged" in reason(opened(host).look_up([host.new_id(1)], []))


def test_locked(host: Host) -> None:
    host.insert([host.new_id(1)])
    registry = opened(host)
    with closing(sqlite3.connect(host.path, isolation_level=None)) as server:
        server.execute("BEGIN EXCLUSIVE")
        text = reason(registry.look_up([host.new_id(1)], []))
        server.execute("ROLLBACK")
    assert "is locked" in text
    assert "0.05 s" in text
    assert rows(registry.look_up([host.new_id(1)], [])).total == 1


def test_a_lock_shorter_than_the_limit_is_waited_for(host: Host) -> None:
    registry = opened(host, busy_limit=30)
    answers: list[LookupResult | Unknown] = []
    reader = threading.Thread(target=lambda: answers.append(registry.look_up([], [])))
    with closing(sqlite3.connect(host.path, isolation_level=None)) as server:
        server.execute("BEGIN EXCLUSIVE")
        reader.start()
        reader.join(0.2)
        assert answers == []
        server.execute("COMMIT")
        reader.join(30)
    assert rows(answers[0]).total == 0


def test_a_hot_journal(host: Host, tmp_path: Path) -> None:
    """A server that died within a commit: only a writer may roll back."""
    host.insert([host.new_id(number) for number in range(2_000)])
    crashed = tmp_path / "crashed.sqlite"
    with closing(sqlite3.connect(host.path, isolation_level=None)) as server:
        server.execute("PRAGMA cache_size = 1")
        server.execute("BEGIN IMMEDIATE")
        server.execute(f"DELETE FROM {host.workspaces}")
        shutil.copy(host.path, crashed)
        shutil.copy(f"{host.path}-journal", f"{crashed}-journal")
        server.execute("ROLLBACK")
    text = reason(opened(host, path=crashed).look_up([host.new_id(1)], []))
    assert "needs recovery" in text
    assert "run the reaper as the host's user" in text


def test_a_file_that_this_user_may_not_read(host: Host, open_directory: Path) -> None:
    path = Path(shutil.copy(host.path, open_directory / "db"))
    path.chmod(0)
    with unprivileged():
        text = reason(opened(host, path=path).look_up([], []))
    assert "give it the right to read" in text


def test_a_place_that_this_user_may_not_look_at(host: Host, open_directory: Path) -> None:
    closed = open_directory / "closed"
    closed.mkdir()
    path = Path(shutil.copy(host.path, closed / "db"))
    closed.chmod(0)
    with unprivileged():
        text = reason(opened(host, path=path).look_up([], []))
    closed.chmod(0o700)
    assert "cannot be inspected (Permission denied)" in text


def test_a_write_ahead_log_of_another_user(host: Host, open_directory: Path) -> None:
    with connected(host.path) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    path = Path(shutil.copy(host.path, open_directory / "db"))
    path.chmod(0o444)
    open_directory.chmod(0o555)
    with unprivileged():
        text = reason(opened(host, path=path).look_up([], []))
    open_directory.chmod(0o755)
    assert "as the host's user" in text
    assert [entry.name for entry in open_directory.iterdir()] == ["db"]


def test_an_error_of_another_kind_is_told_as_it_is(host: Host) -> None:
    words = in_words(sqlite3.OperationalError("something new"), str(host.path), host.schema, 1.0)
    assert words == f"{host.path} cannot be read: something new."


@pytest.mark.parametrize("owner", ["named", "gone"])
def test_the_owner_is_told_where_there_is_one(host: Host, owner: str) -> None:
    if owner == "gone":
        host.path.unlink()
    words = in_words(sqlite3.OperationalError("unable to open database file"), str(host.path), host.schema, 1.0)
    named = f"the host's user ({pwd.getpwuid(os.geteuid()).pw_name}), or"
    assert (named in words) == (owner == "named")
