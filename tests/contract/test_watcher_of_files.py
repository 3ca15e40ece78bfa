"""What a feed of files owes: it notices each save, and tells an ordinary one from an older copy."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.tools.file_hosts import FILE_HOSTS, FilesHost, FolderHost, MapHost, TomlHost, YamlHost, saved
from tests.tools.registries import registry_of
from tests.tools.waiting import wait_until
from workspace_reaper.model.ports import ChangeWatcher
from workspace_reaper.model.unknown import Source, Unknown
from workspace_reaper.model.workspace import LookupResult, WorkspaceList
from workspace_reaper.policy.registry_identity import difference
from workspace_reaper.registry import load_schema, open_watcher
from workspace_reaper.registry.files.watch import FilesWatcher

PATIENCE = 20.0
LONGER_THAN_A_TEST = 600.0

MakeWatcher = Callable[[FilesHost], ChangeWatcher]


@pytest.fixture
def watch() -> Iterator[MakeWatcher]:
    """Makes feeds, and closes them."""
    feeds = []

    def make(host: FilesHost) -> ChangeWatcher:
        feeds.append(open_watcher(load_schema("files", None, host.files), None, {}))
        assert isinstance(feeds[-1], FilesWatcher)
        return feeds[-1]

    yield make
    for feed in feeds:
        feed.close()


@pytest.fixture(params=FILE_HOSTS.values(), ids=FILE_HOSTS)
def host(request: pytest.FixtureRequest, tmp_path: Path) -> FilesHost:
    return made(request.param, tmp_path)


def made(kind: type[FilesHost], tmp_path: Path, count: int = 5) -> FilesHost:
    """A host with these workspaces, in a directory of its own."""
    (tmp_path / "data").mkdir()
    host = kind(tmp_path / "data" / "host")
    host.insert([host.new_id(number) for number in range(count)])
    return host


def workspace_list(feed: ChangeWatcher) -> WorkspaceList:
    return wait_until(lambda: found if isinstance(found := feed.read(), WorkspaceList) else None, PATIENCE)


def settled(feed: ChangeWatcher) -> WorkspaceList:
    """A list after which the feed is at rest: writes that came right before it make it look twice."""
    found = workspace_list(feed)
    while feed.wait(0.7):
        found = workspace_list(feed)
    return found


def why_unknown(feed: ChangeWatcher) -> str:
    answer = feed.read()
    assert isinstance(answer, Unknown), answer
    assert answer.source is Source.REGISTRY
    return answer.reason


def test_a_save_is_noticed(host: FilesHost, watch: MakeWatcher) -> None:
    feed = watch(host)
    before = settled(feed)
    host.archive("w1")
    host.delete("w2")
    assert feed.wait(PATIENCE)
    after = workspace_list(feed)
    assert (after.workspaces, after.archived) == (before.workspaces - {"w2"}, {"w1"})
    assert difference(before.identity, after.identity) is None
    assert (after.replaced, after.looks_restored, after.may_be_restored) == (None, None, None)


def test_without_a_save_there_is_nothing(host: FilesHost, watch: MakeWatcher) -> None:
    feed = watch(host)
    settled(feed)
    (host.path.parent / "other").touch()
    assert not feed.wait(1.0)
    assert not feed.wait(0)


def test_before_the_first_read_it_cannot_be_told(host: FilesHost, watch: MakeWatcher) -> None:
    assert watch(host).wait(0)


def test_a_sweep_and_the_watcher_find_the_same_identity(host: FilesHost, watch: MakeWatcher) -> None:
    feed, registry = watch(host), registry_of(host)
    for number in range(10, 50, 20):
        host.insert([f"w{one}" for one in range(number, number + 20)])
        seen, looked_up = workspace_list(feed), registry.look_up((), ())
        assert isinstance(looked_up, LookupResult)
        assert looked_up.identity == seen.identity


def test_rows_flagged_as_deleted_are_not_there(host: FilesHost, watch: MakeWatcher) -> None:
    host.flag_deleted("w3")
    assert workspace_list(watch(host)).workspaces == {"w0", "w1", "w2", "w4"}


def test_a_new_file_and_one_that_vanishes(tmp_path: Path, watch: MakeWatcher) -> None:
    host = made(FolderHost, tmp_path)
    feed = watch(host)
    settled(feed)
    host.insert(["new"])
    assert feed.wait(PATIENCE)
    assert "new" in settled(feed).workspaces
    shutil.rmtree(host.file_of("w1").parent)  # type: ignore[attr-defined]
    assert feed.wait(PATIENCE)
    assert "w1" not in workspace_list(feed).workspaces


def test_a_second_write_within_one_tick_of_the_clock(tmp_path: Path, watch: MakeWatcher) -> None:
    """The stamp of the file may be the one that was read, so it is read again."""
    host = made(FilesHost, tmp_path)
    host.path.write_text(host.text())
    feed = watch(host)
    workspace_list(feed)
    assert feed.wait(PATIENCE)


def test_a_write_that_keeps_size_and_time_is_noticed(tmp_path: Path, watch: MakeWatcher) -> None:
    host = made(FilesHost, tmp_path)
    feed = watch(host)
    settled(feed)
    status = host.path.stat()
    host.path.write_text(host.text().replace("w1", "x1"))
    os.utime(host.path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert feed.wait(PATIENCE)
    assert "x1" in workspace_list(feed).workspaces


@pytest.mark.parametrize("damage", ["half", "removed", "emptied"])
def test_a_file_that_cannot_be_read_is_noticed_and_so_is_its_return(host: FilesHost, damage: str, watch: MakeWatcher) -> None:
    feed = watch(host)
    before = settled(feed)
    path = host.file_of("w1") if isinstance(host, FolderHost) else host.path
    content = path.read_bytes()
    if damage == "removed":
        shutil.rmtree(host.folder if isinstance(host, FolderHost) else host.path.parent)
    else:
        path.write_bytes(content[:7] if damage == "half" else b"")
    assert feed.wait(PATIENCE)
    assert str(path.parent) in why_unknown(feed) or damage == "removed"
    assert feed.wait(PATIENCE)
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(host, FolderHost) and damage == "removed":
        host.write()
    path.write_bytes(content)
    assert feed.wait(PATIENCE)
    assert workspace_list(feed).workspaces == before.workspaces


@pytest.mark.parametrize("kind", [FilesHost, FolderHost])
def test_another_directory_in_its_place_is_another_registry(tmp_path: Path, kind: type[FilesHost], watch: MakeWatcher) -> None:
    host = made(kind, tmp_path)
    feed = watch(host)
    before = settled(feed)
    place = host.folder if isinstance(host, FolderHost) else host.path.parent
    shutil.copytree(place, tmp_path / "copy")
    place.rename(tmp_path / "old")
    (tmp_path / "copy").rename(place)
    assert feed.wait(PATIENCE)
    assert difference(before.identity, workspace_list(feed).identity) is not None


# Older copies


def copied(source: Path, target: Path, *, keeps_time: bool) -> None:
    (shutil.copy2 if keeps_time else shutil.copyfile)(source, target)


@pytest.mark.parametrize("kind", [FilesHost, MapHost])
@pytest.mark.parametrize("renamed", [True, False])
def test_an_older_copy_with_its_own_time_turns_the_clock_back(
    tmp_path: Path, kind: type[FilesHost], renamed: bool, watch: MakeWatcher
) -> None:
    host = made(kind, tmp_path)
    feed = watch(host)
    before = settled(feed)
    copied(host.path, tmp_path / "backup", keeps_time=True)
    host.insert(["new"])
    now = settled(feed)
    assert difference(before.identity, now.identity) is None
    if renamed:
        (tmp_path / "backup").replace(host.path)
    else:
        copied(tmp_path / "backup", host.path, keeps_time=True)
    assert feed.wait(PATIENCE)
    assert "count of changes went back" in str(difference(now.identity, workspace_list(feed).identity))


@pytest.mark.parametrize("kind", [FilesHost, MapHost, TomlHost, YamlHost])
def test_an_older_copy_lacks_the_workspaces_that_arrived_last(
    tmp_path: Path, kind: type[FilesHost], watch: MakeWatcher
) -> None:
    """Whatever was written to it since."""
    host = made(kind, tmp_path)
    feed = watch(host)
    settled(feed)
    backup = host.text()
    for one in ("n1", "n2"):
        host.insert([one])
        settled(feed)
    saved(host.path, backup)
    after = workspace_list(feed)
    assert not after.workspaces & {"n1", "n2"}
    assert after.looks_restored is not None
    assert workspace_list(feed).looks_restored is None


def test_a_restore_of_each_file_lacks_the_files_that_arrived_last(tmp_path: Path, watch: MakeWatcher) -> None:
    host = made(FolderHost, tmp_path)
    feed = watch(host)
    settled(feed)
    for one in ("n1", "n2"):
        host.insert([one])
        settled(feed)
    for one in ("n1", "n2"):
        shutil.rmtree(host.file_of(one).parent)  # type: ignore[attr-defined]
    for number in range(5):
        file = host.file_of(f"w{number}")  # type: ignore[attr-defined]
        saved(file, file.read_bytes())
    after = workspace_list(feed)
    assert after.looks_restored is not None


def test_files_that_are_deleted_leave_the_others_alone(tmp_path: Path, watch: MakeWatcher) -> None:
    host = made(FolderHost, tmp_path)
    feed = watch(host)
    settled(feed)
    host.insert(["n1", "n2"])
    settled(feed)
    host.delete("n1", "n2")
    after = workspace_list(feed)
    assert "n1" not in after.workspaces
    assert (after.looks_restored, after.may_be_restored) == (None, None)


@pytest.mark.parametrize("kind", [FilesHost, MapHost])
def test_deletions_one_by_one_are_no_restore(tmp_path: Path, kind: type[FilesHost], watch: MakeWatcher) -> None:
    host = made(kind, tmp_path)
    feed = watch(host)
    settled(feed)
    host.insert(["new"])
    settled(feed)
    for one in ("new", "w4", "w0", "w2"):
        host.delete(one)
        after = workspace_list(feed)
        assert one not in after.workspaces
        assert (after.looks_restored, after.may_be_restored) == (None, None)


@pytest.mark.parametrize(
    ("kind", "gone", "is_unclear"),
    [
        (FilesHost, ("w3", "w4"), True),
        (FilesHost, ("w0", "w1"), True),
        (FilesHost, ("w1", "w3"), False),
        (TomlHost, ("w4",), True),
        (YamlHost, ("w4",), True),
        (TomlHost, ("w0",), False),
        (YamlHost, ("w3",), False),
    ],
)
def test_what_is_gone_from_an_end_of_the_file_is_not_certain(
    tmp_path: Path, kind: type[FilesHost], gone: tuple[str, ...], is_unclear: bool, watch: MakeWatcher
) -> None:
    """An older copy, of which the first read has not seen the later ones arrive; or half a file that is valid."""
    host = made(kind, tmp_path)
    feed = watch(host)
    settled(feed)
    host.delete(*gone)
    after = workspace_list(feed)
    assert after.looks_restored is None
    assert (after.may_be_restored is not None) is is_unclear


def test_the_last_one_is_gone_after_a_read_that_failed(tmp_path: Path, watch: MakeWatcher) -> None:
    """As many writes as one likes may have been made in between."""
    host = made(FilesHost, tmp_path)
    feed = watch(host)
    settled(feed)
    host.insert(["new"])
    settled(feed)
    host.path.write_bytes(b"")
    assert "empty" in why_unknown(feed)
    host.delete("new")
    assert workspace_list(feed).looks_restored is not None


# Ends


def test_many_workspaces(tmp_path: Path, watch: MakeWatcher) -> None:
    host = made(FilesHost, tmp_path, 10_000)
    feed = watch(host)
    assert len(workspace_list(feed).workspaces) == 10_000
    host.delete("w5000")
    assert feed.wait(PATIENCE)
    assert len(workspace_list(feed).workspaces) == 9_999


def test_a_file_that_is_written_all_the_time_is_still_read(tmp_path: Path, watch: MakeWatcher) -> None:
    host = made(FilesHost, tmp_path)
    feed, stopped = watch(host), threading.Event()

    def write() -> None:
        while not stopped.wait(0.005):
            host.write()

    writing = threading.Thread(target=write)
    writing.start()
    for _ in range(3):
        assert feed.wait(PATIENCE)
        workspace_list(feed)
    stopped.set()
    writing.join()


def test_close_ends_a_wait(host: FilesHost, watch: MakeWatcher) -> None:
    feed = watch(host)
    settled(feed)
    answers: list[bool] = []
    waiting = threading.Thread(target=lambda: answers.append(feed.wait(LONGER_THAN_A_TEST)))
    waiting.start()
    time.sleep(0.1)
    feed.close()
    waiting.join(PATIENCE)
    assert answers == [False]
    assert "closed" in why_unknown(feed)


def test_an_interrupt_is_not_swallowed(host: FilesHost, watch: MakeWatcher) -> None:
    feed = watch(host)
    settled(feed)
    timer = threading.Timer(0.2, signal.raise_signal, [signal.SIGINT])
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        feed.wait(PATIENCE)
    timer.join()
