"""Deletions and archivings, written to a real database by another process, become hooks: these, once, and no others."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import sqlite3
from collections.abc import Callable, Collection, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.simulation.memory.registry import MemoryHost, MemoryRegistry
from tests.tools.hosts import StandardHost, VibeKanbanHost, connected
from tests.tools.tmux import TmuxServer
from tests.tools.waiting import wait_until
from tests.tools.writer import Writer, restore_elsewhere
from workspace_reaper.daemon.watcher import DatabaseWatcher, LivingSessions
from workspace_reaper.ledger import open_ledger
from workspace_reaper.model.errors import LedgerError, SweepLocked
from workspace_reaper.model.session import NO_OWNER, Listing
from workspace_reaper.model.state import ServerState, StateChanges
from workspace_reaper.model.unknown import Source, Unknown
from workspace_reaper.model.workspace import WorkspaceList
from workspace_reaper.policy.session_names import SessionMatcher
from workspace_reaper.processes.processes import SystemProcesses
from workspace_reaper.registry import load_schema, open_registry, open_watcher
from workspace_reaper.tmux.terminal import TmuxTerminal

pytestmark = pytest.mark.once

PATIENCE = 30.0
COUNT = 12


@dataclass
class Told:
    """The hooks that were fired, in order."""

    deleted: list[str] = field(default_factory=list)
    archived: list[str] = field(default_factory=list)
    vanished: list[str] = field(default_factory=list)
    doubted: list[str] = field(default_factory=list)
    refuse: bool = False
    invalidated: list[str] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)
    order: list[str] = field(default_factory=list)

    def invalidate(self, why: str) -> None:
        self.order.append("invalidate")
        if self.failures:
            raise self.failures.pop()
        self.invalidated.append(why)

    def workspace_deleted(self, workspace_id: str) -> None:
        self.order.append("deleted")
        self.deleted.append(workspace_id)
        if self.refuse:
            raise RuntimeError("a plugin that raises")

    def workspace_archived(self, workspace_id: str) -> None:
        self.archived.append(workspace_id)

    def workspace_vanished(self, workspace_id: str, *, as_by_restore: bool) -> None:
        (self.doubted if as_by_restore else self.vanished).append(workspace_id)


class Bench:
    """A host, its server in another process, and a database watcher that has had its initial read."""

    def __init__(
        self,
        host: VibeKanbanHost | StandardHost,
        writer: Writer,
        log: pytest.LogCaptureFixture,
        sessions: Collection[str] | None,
    ) -> None:
        self.host, self.writer, self.log, self.told = host, writer, log, Told()
        self.sessions = sessions
        schema = load_schema(host.schema)
        registry = open_registry(schema, str(host.path), {}, busy_limit=0.2)
        self.changes = open_watcher(schema, str(host.path), {}, busy_limit=0.2)
        self.watcher = DatabaseWatcher(self.changes, self.told, registry, lambda: self.sessions, self.told.invalidate)

    def __enter__(self) -> Bench:
        self.watcher.start(PATIENCE)
        wait_until(lambda: self.watcher._past is not None or self.events(), PATIENCE)
        return self

    def __exit__(self, *_: object) -> None:
        assert self.watcher.stop(PATIENCE)

    @property
    def path(self) -> Path:
        return self.host.path

    def id(self, number: int) -> str:
        return self.host.new_id(number)

    def delete(self, *numbers: int) -> list[str]:
        return [f"DELETE FROM workspaces WHERE id = {self._literal(number)}" for number in numbers]

    def archive(self, number: int) -> str:
        return f"UPDATE workspaces SET archived = 1 WHERE id = {self._literal(number)}"

    def _literal(self, number: int) -> str:
        text = self.id(number)
        return f"x'{text.replace('-', '')}'" if isinstance(self.host, VibeKanbanHost) else f"'{text}'"

    def events(self) -> list[str]:
        """What was logged."""
        return [record.fields["event"] for record in self.log.records if hasattr(record, "fields")]

    def await_event(self, event: str, times: int = 1) -> str:
        """Wait until this was logged; the text."""
        wait_until(lambda: self.events().count(event) >= times, PATIENCE)
        return next(r.getMessage() for r in reversed(self.log.records) if getattr(r, "fields", {}).get("event") == event)

    def await_deleted(self, *numbers: int) -> None:
        """Wait until just these were told as deleted."""
        expected = {self.id(number) for number in numbers}
        wait_until(lambda: expected <= set(self.told.deleted), PATIENCE)
        assert sorted(self.told.deleted) == sorted(expected)

    def is_well(self) -> None:
        """It goes on as before: the next deletion is told, and nothing else has been."""
        self.host.insert([self.id(number) for number in range(800, 810)])
        so_far = list(self.told.deleted)
        wait_until(lambda: self.id(809) in (past.workspace_list.workspaces if (past := self.watcher._past) else ()), PATIENCE)
        self.writer.commit(self.path, *self.delete(800))
        wait_until(lambda: self.told.deleted != so_far, PATIENCE)
        assert self.told.deleted == [*so_far, self.id(800)]


@pytest.fixture(scope="module")
def writer() -> Iterator[Writer]:
    with Writer() as process:
        yield process


@pytest.fixture(params=["DELETE", "WAL"])
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


Benches = Callable[..., Bench]


def vibe(path: Path, mode: str = "DELETE", count: int = COUNT) -> VibeKanbanHost:
    path.parent.mkdir(exist_ok=True)
    host = VibeKanbanHost(path)
    host.create()
    with connected(path) as connection:
        connection.execute(f"PRAGMA journal_mode = {mode}")
    host.insert([host.new_id(number) for number in range(count)])
    return host


@pytest.fixture
def benches(writer: Writer, caplog: pytest.LogCaptureFixture) -> Iterator[Benches]:
    caplog.set_level(logging.INFO, "workspace_reaper")
    made: list[Bench] = []

    def make(host: VibeKanbanHost | StandardHost, sessions: Collection[str] | None = ()) -> Bench:
        made.append(Bench(host, writer, caplog, sessions))
        return made[-1].__enter__()

    yield make
    for bench in made:
        bench.__exit__()


@pytest.fixture
def bench(benches: Benches, tmp_path: Path, mode: str) -> Bench:
    return benches(vibe(tmp_path / "data" / "db.v2.sqlite", mode))


def backup_of(bench: Bench, tmp_path: Path) -> Path:
    target = tmp_path / "backup.sqlite"
    with closing(sqlite3.connect(bench.path)) as one, closing(sqlite3.connect(target)) as other:
        one.backup(other)
    return target


def test_each_change_is_told_once(bench: Bench) -> None:
    bench.writer.commit(bench.path, *bench.delete(0))
    bench.await_deleted(0)
    bench.writer.commit(bench.path, bench.archive(1))
    wait_until(lambda: bench.told.archived, PATIENCE)
    bench.writer.roll_back(bench.path, *bench.delete(2), bench.archive(3))
    bench.writer.commit(bench.path, bench.archive(4), *bench.delete(5))
    wait_until(lambda: len(bench.told.archived) == 2, PATIENCE)
    bench.await_deleted(0, 5)
    bench.writer.commit(bench.path, bench.archive(6), *bench.delete(6))
    bench.await_deleted(0, 5, 6)
    assert bench.told.archived == [bench.id(1), bench.id(4)]
    assert "deletions suppressed" not in bench.events()


def test_the_writer_is_never_in_the_way_of_a_lock(bench: Bench) -> None:
    for number in range(3):
        bench.writer.commit(bench.path, *bench.delete(number))
        bench.await_deleted(*range(number + 1))
        bench.writer.run(bench.path, "BEGIN EXCLUSIVE", "ROLLBACK")


def test_the_first_census_tells_nothing(benches: Benches, tmp_path: Path) -> None:
    host = vibe(tmp_path / "db.v2.sqlite")
    host.archive(host.new_id(1))
    bench = benches(host)
    bench.is_well()
    assert bench.told.archived == []


def test_rows_flagged_as_deleted(benches: Benches, tmp_path: Path) -> None:
    host = StandardHost(tmp_path / "workspaces.sqlite")
    host.create()
    host.insert([host.new_id(number) for number in range(5)])
    bench = benches(host)
    bench.writer.commit(bench.path, "UPDATE workspaces SET deleted_at = '2026-11-22' WHERE id = 'w3'")
    bench.await_deleted(3)


@pytest.mark.parametrize("commits", [1, COUNT])
def test_too_many_at_once(bench: Bench, commits: int) -> None:
    """In one commit none is told; in a commit for each, at most half of them."""
    everything = bench.delete(*range(COUNT))
    if commits == 1:
        bench.writer.commit(bench.path, *everything)
    else:
        for one in everything:
            bench.writer.commit(bench.path, one)
    assert "vanished" in bench.await_event("deletions suppressed")
    wait_until(lambda: (past := bench.watcher._past) and not past.workspace_list.workspaces, PATIENCE)
    assert len(bench.told.deleted) <= (0 if commits == 1 else COUNT // 2)


def test_too_many_of_those_with_a_session(bench: Bench) -> None:
    bench.sessions = {bench.id(number) for number in range(5)}
    bench.writer.commit(bench.path, *bench.delete(0, 1, 2, 9))
    assert "3 of 5 workspaces with a session vanished" in bench.await_event("deletions suppressed")
    assert bench.told.deleted == []


def swap_by_rename(bench: Bench, tmp_path: Path) -> None:
    # SQLite would apply a log that is left there to the other database.
    bench.path.with_name(bench.path.name + "-wal").unlink(missing_ok=True)
    vibe(tmp_path / "other.sqlite", count=3).path.replace(bench.path)


def swap_by_link(bench: Bench, tmp_path: Path) -> None:
    other = vibe(tmp_path / "other.sqlite", count=3).path
    (tmp_path / "link").symlink_to(other)
    (tmp_path / "link").replace(bench.path)


def remove_and_make_anew(bench: Bench, tmp_path: Path) -> None:
    shutil.rmtree(bench.path.parent)
    vibe(bench.path, count=COUNT - 1)


def restore_by_rename(bench: Bench, tmp_path: Path) -> None:
    bench.path.with_name(bench.path.name + "-wal").unlink(missing_ok=True)
    (tmp_path / "backup.sqlite").replace(bench.path)


def restore_by_shell(bench: Bench, tmp_path: Path) -> None:
    restore_elsewhere(bench.path, tmp_path / "backup.sqlite")


def restore_by_backup(bench: Bench, tmp_path: Path) -> None:
    bench.writer.restore(bench.path, tmp_path / "backup.sqlite")
    bench.writer.close(bench.path)


def restore_by_copy(bench: Bench, tmp_path: Path) -> None:
    """As it is done while the server is stopped, which has folded its log."""
    with closing(sqlite3.connect(bench.path, isolation_level=None)) as connection:
        wait_until(lambda: connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0, PATIENCE)
    shutil.copyfile(tmp_path / "backup.sqlite", bench.path)


def vacuum_and_delete(bench: Bench, tmp_path: Path) -> None:
    """In the time of one look: which of the two took the row can't be told."""
    with closing(sqlite3.connect(bench.path, isolation_level=None)) as connection:
        connection.executescript(f"BEGIN; ALTER TABLE workspaces ADD COLUMN more TEXT; {bench.delete(COUNT)[0]}; COMMIT")


@pytest.mark.parametrize(
    "change",
    [
        swap_by_rename,
        swap_by_link,
        remove_and_make_anew,
        restore_by_rename,
        restore_by_shell,
        restore_by_backup,
        restore_by_copy,
        vacuum_and_delete,
    ],
)
def test_a_database_that_is_no_longer_the_same(
    bench: Bench, mode: str, change: Callable[[Bench, Path], None], tmp_path: Path
) -> None:
    """An older copy lacks the workspaces that were made since: that is no deletion."""
    backup_of(bench, tmp_path)
    bench.host.insert([bench.id(COUNT)])
    wait_until(lambda: (past := bench.watcher._past) and bench.id(COUNT) in past.workspace_list.workspaces, PATIENCE)
    change(bench, tmp_path)
    bench.await_event("deletions suppressed")
    assert bench.told.deleted == []
    bench.is_well()
    assert len(bench.told.invalidated) >= 1


def test_a_changed_database_is_invalidated_before_anything_else(bench: Bench) -> None:
    """However often that fails; and it is said once."""
    errors = [SweepLocked("another one sweeps"), LedgerError("the disk is full")]
    bench.told.failures = list(errors)
    bench.writer.commit(bench.path, "ALTER TABLE workspaces ADD COLUMN more TEXT", *bench.delete(0))
    assert str(errors[-1]) in bench.await_event("change not recorded")
    bench.writer.commit(bench.path, *bench.delete(1))
    bench.await_deleted(1)
    assert bench.told.order == ["invalidate", "invalidate", "invalidate", "deleted"]
    assert len(bench.told.invalidated) == bench.events().count("change not recorded") == 1


def test_i83_an_emptied_database_is_the_same_and_only_the_directories_can_prove_a_deletion(bench: Bench) -> None:
    bench.writer.commit(bench.path, "DELETE FROM workspaces")
    assert f"{COUNT} of {COUNT} workspaces vanished" in bench.await_event("deletions suppressed")
    assert (bench.told.deleted, bench.told.invalidated) == ([], [])
    wait_until(lambda: sorted(bench.told.vanished) == sorted(map(bench.id, range(COUNT))), PATIENCE)


def test_i82_a_restore_in_wal_mode_of_a_table_without_row_numbers_is_no_deletion(benches: Benches, tmp_path: Path) -> None:
    """Nothing shows which row is the newest. The host is stopped, so that its log is folded into the file."""
    host = StandardHost(tmp_path / "workspaces.sqlite")
    columns = "id TEXT PRIMARY KEY, archived, pinned, running, deleted_at, worktree, worktree_deleted"
    with connected(host.path) as connection:
        connection.executescript(f"PRAGMA journal_mode = WAL; CREATE TABLE workspaces ({columns}) WITHOUT ROWID")
        connection.executemany("INSERT INTO workspaces (id) VALUES (?)", [(host.new_id(number),) for number in range(COUNT)])
    shutil.copyfile(host.path, tmp_path / "backup.sqlite")
    with connected(host.path) as connection:
        connection.execute("INSERT INTO workspaces (id) VALUES ('new')")
    bench = benches(host)
    restore_by_copy(bench, tmp_path)
    wait_until(lambda: bench.told.vanished or bench.told.deleted, PATIENCE)
    assert (bench.told.vanished, bench.told.deleted, bench.told.doubted) == (["new"], [], [])


def test_nothing_is_invalidated_where_there_were_merely_too_many(bench: Bench) -> None:
    bench.writer.commit(bench.path, *bench.delete(*range(COUNT - 3)))
    bench.await_event("deletions suppressed")
    bench.is_well()
    assert bench.told.invalidated == []


def test_a_paused_watcher_continues_and_reports_nothing(bench: Bench) -> None:
    bench.watcher.pause()
    bench.writer.commit(bench.path, *bench.delete(0))
    wait_until(lambda: (past := bench.watcher._past) and bench.id(0) not in past.workspace_list.workspaces, PATIENCE)
    assert bench.watcher.stop(PATIENCE)
    assert bench.told.deleted == []


def test_a_vacuum_alone(bench: Bench) -> None:
    bench.writer.run(bench.path, "VACUUM")
    bench.await_event("new initial read")
    bench.is_well()


def test_a_database_that_is_locked(bench: Bench, mode: str) -> None:
    bench.writer.run(bench.path, "BEGIN EXCLUSIVE", *bench.delete(0))
    if mode == "DELETE":
        bench.await_event("database unknown")
    bench.writer.run(bench.path, "COMMIT")
    bench.await_deleted(0)
    assert bench.events().count("database unknown") == bench.events().count("database known") == (mode == "DELETE")


def test_a_database_that_is_missing_at_first(benches: Benches, tmp_path: Path) -> None:
    bench = benches(VibeKanbanHost(tmp_path / "db.v2.sqlite"))
    assert "does not exist" in bench.await_event("database unknown")
    bench.host.create()
    bench.await_event("database known")
    bench.is_well()
    assert bench.events().count("database unknown") == 1


def test_a_row_that_a_look_up_still_finds(benches: Benches, tmp_path: Path, writer: Writer) -> None:
    """A workspace_list in several transactions may miss a row that is there."""
    bench = benches(vibe(tmp_path / "db.v2.sqlite"))
    assert bench.watcher.stop(PATIENCE)
    registry = open_registry(load_schema("vibe-kanban"), str(bench.path), {})
    changes = open_watcher(load_schema("vibe-kanban"), str(bench.path), {})

    class Missing:
        """It reads as the change watcher does, and misses a row at the second look."""

        looks = 0

        def wait(self, timeout: float) -> bool:
            return changes.wait(0) or self.looks < 2

        def read(self) -> WorkspaceList | Unknown:
            self.looks += 1
            answer = changes.read()
            if self.looks == 2 and isinstance(answer, WorkspaceList):
                fewer = answer.workspaces - {bench.id(1)}
                return WorkspaceList(answer.identity, fewer, answer.archived)
            return answer

        def close(self) -> None:
            changes.close()

    missing, told = Missing(), Told()
    watcher = DatabaseWatcher(missing, told, registry, frozenset, told.invalidate)
    watcher.start(PATIENCE)
    wait_until(lambda: missing.looks >= 2, PATIENCE)
    writer.commit(bench.path, *bench.delete(2))
    wait_until(lambda: told.deleted, PATIENCE)
    assert watcher.stop(PATIENCE)
    assert told.deleted == [bench.id(2)]


class Faulty:
    """A change watcher that fails in ways in which ours should not."""

    def __init__(self, *answers: WorkspaceList | Unknown | Exception) -> None:
        self.answers = list(answers)
        self.closed = False

    def wait(self, timeout: float) -> bool:
        return not self.closed

    def read(self) -> WorkspaceList | Unknown:
        if not self.answers:
            return Unknown(Source.REGISTRY, "no more")
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> None:
        self.closed = True


def unused(tmp_path: Path) -> tuple[Any, ...]:
    """What a watcher takes in addition, for one that never compares."""
    told = Told()
    return told, open_registry(load_schema("standard"), str(tmp_path / "no"), {}), frozenset, told.invalidate


def test_nothing_ends_the_thread(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    watcher = DatabaseWatcher(Faulty(RuntimeError("odd")), *unused(tmp_path))
    before = watcher.heartbeat
    watcher.start(PATIENCE)
    wait_until(lambda: "watching the database failed" in caplog.text, PATIENCE)
    assert watcher.heartbeat > before
    assert watcher.stop(PATIENCE)


def test_a_look_up_that_is_unknown_is_asked_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    host = vibe(tmp_path / "db.v2.sqlite")
    changes = open_watcher(load_schema("vibe-kanban"), str(host.path), {})
    before = changes.read()
    host.delete(host.new_id(1))
    now = changes.read()
    changes.close()
    told = Told()
    registry = open_registry(load_schema("vibe-kanban"), str(host.path), {})
    host.path.rename(tmp_path / "moved")
    watcher = DatabaseWatcher(Faulty(before, *[now] * 100), told, registry, frozenset, told.invalidate)
    watcher.start(PATIENCE)
    wait_until(lambda: "does not exist" in caplog.text, PATIENCE)
    (tmp_path / "moved").rename(host.path)
    wait_until(lambda: told.deleted, PATIENCE)
    assert watcher.stop(PATIENCE)
    assert told.deleted == [host.new_id(1)]


def test_a_plugin_that_raises(bench: Bench) -> None:
    bench.told.refuse = True
    bench.writer.commit(bench.path, *bench.delete(0, 1))
    bench.await_deleted(0, 1)
    bench.await_event("hook failed", times=2)


def test_a_watcher_that_was_never_started(tmp_path: Path) -> None:
    changes = Faulty()
    assert DatabaseWatcher(changes, *unused(tmp_path)).stop(PATIENCE)
    assert changes.closed


REGISTRY = MemoryRegistry(MemoryHost())


def test_living_sessions(tmux_server: TmuxServer, short_tmp: Path, tmp_path: Path) -> None:
    opened = partial(open_ledger, tmp_path / "state", registry_name="standard", location="here")

    def living(*sockets: str) -> LivingSessions:
        return LivingSessions([TmuxTerminal(socket) for socket in sockets], names, REGISTRY, opened, SystemProcesses())

    state_dir = tmp_path / "state"
    tmux_server.new_session("ws-one")
    tmux_server.new_session("other")
    nobody = str(short_tmp / "nobody")
    names = SessionMatcher({tmux_server.path: ("ws-(?P<id>.+)",), nobody: ("(?P<id>.+)",)}, lambda text: text)
    assert living(tmux_server.path, nobody)() == {"one"}
    (short_tmp / "file").touch()
    assert living(str(short_tmp / "file"), tmux_server.path)() is None
    state_dir.chmod(0o777)
    assert living(tmux_server.path)() is None, "the ledger cannot be read"


def test_i103_sessions_whose_socket_was_removed_are_not_gone(tmux_server: TmuxServer, tmp_path: Path) -> None:
    """With no living session in sight, no number of deleted rows would be too many."""
    tmux_server.new_session("ws-one")
    terminal, processes = TmuxTerminal(tmux_server.path), SystemProcesses()
    opened = partial(open_ledger, tmp_path / "state", registry_name="standard", location="here")
    names = SessionMatcher({tmux_server.path: ("ws-(?P<id>.+)",)}, lambda text: text)
    living = LivingSessions([terminal], names, REGISTRY, opened, processes)
    listing = terminal.observe(NO_OWNER)
    assert isinstance(listing, Listing)
    assert listing.server is not None
    pid = listing.server.pid
    with opened(read_only=False) as ledger:
        server = ServerState(pid, listing.server.start, processes.start_time(pid))
        ledger.save(StateChanges(servers={tmux_server.path: server}))
    assert living() == {"one"}
    Path(tmux_server.path).unlink()
    assert living() is None
    os.kill(pid, signal.SIGUSR1)
    wait_until(lambda: living() == {"one"}, PATIENCE)
