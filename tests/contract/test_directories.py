"""The port ``Directories`` on this machine: real directories, links, mounts of our own, and a server that does not answer."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tools.disks import small_disk
from workspace_reaper.model.directory import Directory, Sight, Workplace
from workspace_reaper.processes import directories
from workspace_reaper.processes.directories import SystemDirectories
from workspace_reaper.processes.time_limit import MOST, LimitedCalls

pytestmark = pytest.mark.once


@pytest.fixture
def there(tmp_path: Path) -> Path:
    path = tmp_path / "real" / "one"
    path.mkdir(parents=True)
    return path


def inode(path: Path) -> str:
    status = path.stat()
    return f"{status.st_dev}:{status.st_ino}"


def found(path: Path | str) -> Directory:
    directory = SystemDirectories().find([str(path)])[str(path)]
    assert directory is not None
    return directory


def looked(directory: Directory) -> Sight:
    return SystemDirectories().look([directory])[directory]


def test_a_directory_and_its_parent(there: Path) -> None:
    assert found(there) == Directory(str(there), str(there), inode(there), inode(there.parent))
    assert looked(found(there)) == Sight(inode(there), inode(there), inode(there.parent))


def test_a_directory_behind_a_link(there: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(there.parent)
    directory = found(tmp_path / "link" / "one")
    assert (directory.resolved, directory.parent) == (str(there), inode(there.parent))
    shutil.rmtree(there)
    assert looked(directory) == Sight(parent=inode(there.parent))
    (tmp_path / "link").unlink()
    (tmp_path / "link").symlink_to("link")
    assert looked(directory).error == "Too many levels of symbolic links"


def test_a_link_that_is_the_directory_itself_is_there_while_the_link_is(there: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(there)
    directory = found(tmp_path / "link")
    shutil.rmtree(there)
    assert (looked(directory).written is not None, looked(directory).resolved) == (True, None)


def test_what_is_no_directory_is_not_found(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    paths = [str(tmp_path / "file"), str(tmp_path / "nothing"), str(tmp_path / "file" / "below"), "", "relative", "/a\0b"]
    assert SystemDirectories().find(paths) == {paths[0]: None, paths[1]: None}


def test_a_parent_that_is_a_file_now_is_unknown(there: Path) -> None:
    directory = found(there)
    shutil.rmtree(there.parent)
    there.parent.touch()
    assert looked(directory).error == "Not a directory"


def test_a_parent_that_is_gone(there: Path) -> None:
    directory = found(there)
    shutil.rmtree(there.parent)
    assert looked(directory) == Sight()


def test_homes_are_known_in_both_forms(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "link").symlink_to("home")
    homes = SystemDirectories({"HOME": str(tmp_path / "link")}).homes()
    assert {str(tmp_path / "link"), str(tmp_path / "home")} <= homes


def test_what_is_certainly_missing(there: Path, tmp_path: Path) -> None:
    link, loop, file = tmp_path / "link", tmp_path / "loop", tmp_path / "file"
    link.symlink_to("nowhere")
    loop.symlink_to(loop)
    file.touch()
    gone = {str(there / "gone"), str(tmp_path / "nowhere" / "at all")}
    unknown = {str(loop / "one"), str(file / "one"), str(there / ("n" * 300)), "a\0b"}
    assert SystemDirectories().missing({str(there), str(link), *gone, *unknown}) == gone


# Working directories


def test_where_processes_work(there: Path, tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "1000"], cwd=there) as sleeper, subprocess.Popen(["true"]) as ended:
        ended.wait()
        places = SystemDirectories().workplaces([sleeper.pid, ended.pid])
        above = frozenset(inode(one) for one in there.parents)
        assert places == {sleeper.pid: Workplace(inode(there), there.stat().st_nlink, above)}
        identity = inode(there)
        moved = there.rename(tmp_path / "moved")
        place = SystemDirectories().workplaces([sleeper.pid])[sleeper.pid]
        assert place is not None
        assert (place.inode, place.links > 0) == (identity, True)
        moved.rmdir()
        above = frozenset(inode(one) for one in moved.parents)
        assert SystemDirectories().workplaces([sleeper.pid]) == {sleeper.pid: Workplace(identity, 0, above)}
        sleeper.kill()


# Mounts

MOUNTS = """
import json, os, subprocess, sys
from dataclasses import asdict
from workspace_reaper.processes.directories import SystemDirectories
from workspace_reaper.model.directory import DirectoryRecord
from workspace_reaper.policy.witness import Surroundings, ask

def run(*command):
    subprocess.run(command, check=True)

disk, tree = sys.argv[1], os.path.join(sys.argv[1], "one")
around = Surroundings(1, (), (), ())
run("mount", "-t", "tmpfs", "none", disk)
os.mkdir(tree)
if "alone" not in sys.argv:
    os.mkdir(os.path.join(disk, "two"))
one = SystemDirectories()
found = one.find([tree])[tree]
record = DirectoryRecord("w1", 1, found, 1.0, 1, 1)

def told():
    witness = ask(record, one.look([found])[found], around, ())
    return [witness.presence.value, witness.why]

answers = {"there": told(), "below": found.is_below_mount, "neighbours": found.neighbours}
os.rmdir(tree)
answers["removed"] = told()
run("umount", disk)
answers["unmounted"] = told()
run("mount", "-t", "tmpfs", "none", disk)
answers["mounted again"] = told()
print(json.dumps(answers))
"""


@pytest.mark.parametrize("alone", [False, True])
def test_i83_d_mounts(tmp_path: Path, alone: bool) -> None:
    """A tmpfs that is mounted again may have the same device and the same inodes: only what else was in it tells."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = [*small_disk(disk), sys.executable, "-c", MOUNTS, str(disk), *(["alone"] if alone else [])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    assert (answers["below"], answers["neighbours"]) == (True, [] if alone else ["two"])
    assert answers["there"][0] == "there"
    assert answers["removed"][0] == ("unknown" if alone else "gone")
    assert answers["unmounted"][0] == answers["mounted again"][0] == "unknown"
    assert "a disk may be missing" in answers["unmounted"][1]
    assert "a disk may be missing" in answers["mounted again"][1]


# What does not answer


@pytest.fixture
def silence() -> Iterator[threading.Event]:
    """A process that waits for it hangs until the test ends."""
    event = threading.Event()
    yield event
    event.set()


def test_what_hangs_is_unknown_and_the_rest_is_known(
    tmp_path: Path, silence: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [tmp_path / place / "one" for place in ("a", "b", "c")]
    for path in paths:
        path.mkdir(parents=True)
    known, one = [found(path) for path in paths], SystemDirectories()
    ask = directories._at

    def hang(path: str) -> str | None:
        if path.startswith(str(tmp_path / "a")):
            silence.wait()
        return ask(path)

    monkeypatch.setattr(directories, "_at", hang)
    for _ in range(3):
        sights = one.look(known)
        errors = [sights[directory].error for directory in known]
        assert errors == ["there is no answer within a second", None, None]
    assert len([thread for thread in threading.enumerate() if thread.name == "workspace-reaper directories"]) == 1


def test_two_workspaces_may_have_used_one_path(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    link = tmp_path / "link"
    link.symlink_to("one")
    first = found(link)
    link.unlink()
    link.symlink_to("two")
    second = found(link)
    (tmp_path / "two").rmdir()
    sights = SystemDirectories().look([first, second])
    assert (sights[first].resolved, sights[second].resolved) == (first.inode, None)


def test_no_more_than_a_few_hang_at_once(silence: threading.Event) -> None:
    calls = LimitedCalls()
    for _ in range(3):
        answers = calls.run({number: (f"place {number}", silence.wait) for number in range(2 * MOST)})
        assert answers == {}
    hanging = [thread for thread in threading.enumerate() if thread.name == "workspace-reaper directories"]
    assert len(hanging) == MOST
    silence.set()
    for thread in hanging:
        thread.join(60)
    assert calls.run({1: ("place", os.getpid)}) == {1: os.getpid()}


def test_a_call_that_fails_reports_its_error() -> None:
    def fail() -> None:
        raise PermissionError(13, "Permission denied")

    answers = LimitedCalls().run({"a": ("here", fail), "b": ("here", os.getpid)})
    assert isinstance(answers["a"], PermissionError)
    assert answers["b"] == os.getpid()


def test_a_machine_without_threads_knows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert LimitedCalls().run({"a": ("here", os.getpid)}) == {}
