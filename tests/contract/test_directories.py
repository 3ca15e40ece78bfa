"""The port ``Directories``, real and simulated: directories, links, mounts of our own, and a server that does not answer."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.simulation.memory.directories import MemoryDirectories
from tests.tools.claims import mounted_disk_may_be_missing
from tests.tools.disks import small_disk
from tests.tools.machines import Machine, RealMachine, SimulatedMachine
from tests.tools.trees import RealTree, SimulatedTree, Tree
from workspace_reaper.model.directory import Directory, Sight, Workplace
from workspace_reaper.processes.linux import LinuxReader
from workspace_reaper.processes.portable import PortableReader
from workspace_reaper.processes.time_limit import MOST, LimitedCalls

pytestmark = pytest.mark.once

READER = LinuxReader if sys.platform == "linux" else PortableReader


@pytest.fixture
def silence() -> Iterator[threading.Event]:
    """A process that waits for it hangs until the test ends."""
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture(params=["disk", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path, silence: threading.Event, monkeypatch: pytest.MonkeyPatch) -> Place:
    if request.param == "memory":
        machine = SimulatedMachine(f"{SimulatedTree.top}/link to home")
        return Place(machine, SimulatedTree(machine.machine))
    return Place(RealMachine(READER), RealTree(tmp_path, monkeypatch, silence))


class Place:
    """A machine and its directories. ``there`` is one of them."""

    def __init__(self, machine: Machine, tree: Tree) -> None:
        self.machine = machine
        self.tree = tree
        self.directories = tree.directories
        self.top = Path(tree.top)
        self.there = self.top / "real" / "one"
        tree.make(self.there)

    def found(self, path: Path | str) -> Directory:
        directory = self.directories.find([str(path)])[str(path)]
        assert directory is not None
        return directory

    def looked(self, directory: Directory) -> Sight:
        return self.directories.look([directory])[directory]


def test_a_directory_and_its_parent(place: Place) -> None:
    there, own, parent = place.there, place.tree.identity(place.there), place.tree.identity(place.there.parent)
    assert place.found(there) == Directory(str(there), str(there), own, parent)
    assert place.looked(place.found(there)) == Sight(own, own, parent)


def test_a_directory_behind_a_link(place: Place) -> None:
    link, parent = place.top / "link", place.tree.identity(place.there.parent)
    place.tree.link(link, place.there.parent)
    directory = place.found(link / "one")
    assert (directory.resolved, directory.parent) == (str(place.there), parent)
    place.tree.remove(place.there)
    assert place.looked(directory) == Sight(parent=parent)
    place.tree.remove(link)
    place.tree.link(link, "link")
    assert place.looked(directory).error == "Too many levels of symbolic links"


def test_a_link_that_is_the_directory_itself_is_there_while_the_link_is(place: Place) -> None:
    place.tree.link(place.top / "link", place.there)
    directory = place.found(place.top / "link")
    place.tree.remove(place.there)
    assert (place.looked(directory).written is not None, place.looked(directory).resolved) == (True, None)


def test_what_is_no_directory_is_not_found(place: Place) -> None:
    top = place.top
    place.tree.make_file(top / "file")
    paths = [str(top / "file"), str(top / "nothing"), str(top / "file" / "below"), "", "relative", "/a\0b"]
    assert place.directories.find(paths) == {paths[0]: None, paths[1]: None}


def test_a_parent_that_is_a_file_now_is_unknown(place: Place) -> None:
    directory = place.found(place.there)
    place.tree.remove(place.there.parent)
    place.tree.make_file(place.there.parent)
    assert place.looked(directory).error == "Not a directory"


def test_a_parent_that_is_gone(place: Place) -> None:
    directory = place.found(place.there)
    place.tree.remove(place.there.parent)
    assert place.looked(directory) == Sight()


def test_a_directory_that_was_moved_away_and_one_that_took_its_place(place: Place) -> None:
    before = place.found(place.there)
    place.tree.move(place.there, place.top / "moved")
    assert place.looked(before) == Sight(parent=before.parent)
    assert place.found(place.top / "moved").inode == before.inode
    place.tree.make(place.there)
    sight = place.looked(before)
    assert sight.written == sight.resolved == place.tree.identity(place.there) != before.inode


def test_homes_are_known_in_both_forms(place: Place) -> None:
    place.tree.make(place.top / "home")
    place.tree.link(place.top / "link to home", "home")
    assert {str(place.top / "link to home"), str(place.top / "home")} <= place.directories.homes()


def test_what_is_certainly_missing(place: Place) -> None:
    top, there = place.top, place.there
    link, loop, file = top / "link", top / "loop", top / "file"
    place.tree.link(link, "nowhere")
    place.tree.link(loop, loop)
    place.tree.make_file(file)
    gone = {str(there / "gone"), str(top / "nowhere" / "at all")}
    unknown = {str(loop / "one"), str(file / "one"), str(there / ("n" * 300)), "a\0b"}
    assert place.directories.missing({str(there), str(link), *gone, *unknown}) == gone


# Working directories


def test_where_processes_work(place: Place) -> None:
    tree, there = place.tree, place.there
    with place.machine.spawn(cwd=there) as worker, place.machine.spawn() as ended:
        ended.end()
        identity, above = tree.identity(there), frozenset(tree.identity(one) for one in there.parents)
        places = place.directories.workplaces([worker.pid, ended.pid])
        assert places == {worker.pid: Workplace(identity, tree.links(there), above)}
        moved = place.top / "moved"
        tree.move(there, moved)
        found = place.directories.workplaces([worker.pid])[worker.pid]
        assert found is not None
        assert (found.inode, found.links > 0) == (identity, True)
        tree.remove(moved)
        above = frozenset(tree.identity(one) for one in moved.parents)
        assert place.directories.workplaces([worker.pid]) == {worker.pid: Workplace(identity, 0, above)}


def test_only_what_is_still_there_is_above_a_directory_that_was_removed(place: Place) -> None:
    deep = place.there / "deep"
    place.tree.make(deep)
    with place.machine.spawn(cwd=deep) as worker:
        place.tree.remove(place.there)
        above = frozenset(place.tree.identity(one) for one in place.there.parents)
        found = place.directories.workplaces([worker.pid])[worker.pid]
        assert found is not None
        assert (found.links, found.above) == (0, above)


def test_a_zombie_works_nowhere(place: Place) -> None:
    with place.machine.spawn(cwd=place.there) as child:
        child.become_zombie()
        assert place.directories.workplaces([child.pid]) == {}


# Mounts

MOUNTS = """
import os, subprocess, sys
from pathlib import Path
from tests.tools.claims import mounted_disk_may_be_missing
from workspace_reaper.processes.directories import SystemDirectories

def run(*command):
    subprocess.run(command, check=True)

disk = sys.argv[1]
mounted_disk_may_be_missing(
    SystemDirectories(),
    disk,
    mount=lambda: run("mount", "-t", "tmpfs", "none", disk),
    unmount=lambda: run("umount", disk),
    make=os.mkdir,
    remove=os.rmdir,
    alone="alone" in sys.argv,
)
"""


@pytest.mark.parametrize("alone", [False, True])
def test_i83_d_mounts(tmp_path: Path, alone: bool) -> None:
    """A tmpfs that is mounted again may have the same device and the same inodes: only what else was in it tells."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = [*small_disk(disk), sys.executable, "-c", MOUNTS, str(disk), *(["alone"] if alone else [])]
    path = os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": path})
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("alone", [False, True])
def test_mounts_of_the_simulation(alone: bool) -> None:
    machine = SimulatedMachine()
    tree = machine.machine.tree
    tree.make("/mnt/disk")
    mounted_disk_may_be_missing(
        MemoryDirectories(machine.machine),
        "/mnt/disk",
        mount=lambda: tree.mount("/mnt/disk"),
        unmount=lambda: tree.unmount("/mnt/disk"),
        make=tree.make,
        remove=tree.remove,
        alone=alone,
    )


def test_a_disk_of_the_simulation_that_is_mounted_again_has_what_was_on_it() -> None:
    machine = SimulatedMachine()
    tree, directories = machine.machine.tree, MemoryDirectories(machine.machine)
    tree.make("/mnt/disk")
    tree.mount("/mnt/disk")
    tree.make("/mnt/disk/one")
    found = directories.find(["/mnt/disk/one"])["/mnt/disk/one"]
    assert found is not None
    before = directories.look([found])[found]
    with machine.spawn(cwd="/mnt/disk/one") as worker:
        disk = tree.unmount("/mnt/disk")
        assert directories.look([found])[found].resolved is None
        assert directories.workplaces([worker.pid])[worker.pid] == Workplace(found.inode, 2, frozenset([disk.identity]))
    tree.mount("/mnt/disk", disk)
    assert directories.look([found])[found] == before


# What does not answer


def test_what_hangs_is_unknown_and_the_rest_is_known(place: Place) -> None:
    paths = [place.top / one / "one" for one in ("a", "b", "c")]
    for path in paths:
        place.tree.make(path)
    known = [place.found(path) for path in paths]
    place.tree.hang(place.top / "a")
    for _ in range(3):
        sights = place.directories.look(known)
        errors = [sights[directory].error for directory in known]
        assert errors == ["there is no answer within a second", None, None]
    hanging = [thread for thread in threading.enumerate() if thread.name == "workspace-reaper directories"]
    assert len(hanging) <= 1
    texts = [str(path) for path in paths]
    assert place.directories.find(texts).keys() == {*texts[1:]}
    assert place.directories.missing([f"{text} and more" for text in texts]) == {f"{text} and more" for text in texts[1:]}


def test_while_something_hangs_nothing_else_at_the_same_place_is_asked(place: Place) -> None:
    paths = [place.top / "a" / name for name in ("one", "two")]
    for path in paths:
        place.tree.make(path)
    known = [place.found(path) for path in paths]
    place.tree.hang(paths[0])
    for _ in range(2):
        sights = place.directories.look(known)
        assert {sights[directory].error for directory in known} == {"there is no answer within a second"}


def test_what_hung_in_the_simulation_is_known_once_it_answers() -> None:
    machine = SimulatedMachine()
    tree, directories = machine.machine.tree, MemoryDirectories(machine.machine)
    tree.make("/net/a/one")
    found = directories.find(["/net/a/one"])["/net/a/one"]
    assert found is not None
    before = directories.look([found])
    tree.hang("/net/a")
    assert directories.look([found])[found].error == "there is no answer within a second"
    with machine.spawn(cwd="/") as child:
        assert not machine.processes.is_inside(child.key, "/net/a/one")
    tree.hang("/net/a", on=False)
    assert directories.look([found]) == before


def test_two_workspaces_may_have_used_one_path(place: Place) -> None:
    for name in ("one", "two"):
        place.tree.make(place.top / name)
    link = place.top / "link"
    place.tree.link(link, "one")
    first = place.found(link)
    place.tree.remove(link)
    place.tree.link(link, "two")
    second = place.found(link)
    place.tree.remove(place.top / "two")
    sights = place.directories.look([first, second])
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
