"""Whether a process works inside a directory: a real one, and one of the simulation."""

from __future__ import annotations

import os
import pwd
import shutil
import sys
from pathlib import Path

import pytest

from tests.tools.machines import LINUX_OR_MEMORY, MACHINES, Machine, RealMachine, SimulatedMachine
from tests.tools.real_processes import BOTH, LINUX, Started, in_namespaces
from tests.tools.trees import RealTree, SimulatedTree, Tree
from workspace_reaper.model.machine_ports import Processes
from workspace_reaper.model.process import ProcessKey
from workspace_reaper.processes.linux import LinuxReader
from workspace_reaper.processes.portable import PortableReader
from workspace_reaper.processes.processes import SystemProcesses
from workspace_reaper.processes.working_directory import inside_of

pytestmark = pytest.mark.once

READERS = [LinuxReader, PortableReader] if sys.platform == "linux" else [PortableReader]


class Place:
    """A machine, and the directories in which its processes work."""

    def __init__(self, machine: Machine, tree: Tree) -> None:
        self.machine = machine
        self.tree = tree
        self.top = Path(tree.top)
        self.home = self.top / "home" / "me"
        self.worktree = self.top / "worktrees" / "one"
        tree.make(self.home)
        tree.make(self.worktree / "deep" / "er")

    @property
    def processes(self) -> Processes:
        return self.machine.processes


@pytest.fixture(params=MACHINES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """The home of its user is below the same directory."""
    if request.param is None:
        machine = SimulatedMachine(f"{SimulatedTree.top}/home/me")
        return Place(machine, SimulatedTree(machine.machine))
    return Place(RealMachine(request.param, tmp_path / "home" / "me"), RealTree(tmp_path))


@pytest.fixture
def worktree(tmp_path: Path) -> Path:
    """A workspace's directory with one below it."""
    path = tmp_path / "worktrees" / "one"
    (path / "deep" / "er").mkdir(parents=True, exist_ok=True)
    return path


@pytest.mark.parametrize("below", [".", "deep", "deep/er"])
def test_inside(place: Place, below: str) -> None:
    worktree = place.worktree
    with place.machine.spawn(cwd=worktree / below) as child:
        assert place.processes.is_inside(child.key, str(worktree))
        assert place.processes.is_inside(child.key, f"{worktree}/")
        assert place.processes.is_inside(child.key, f"{worktree}/deep/..")
        assert place.processes.is_inside(child.key, str(worktree.parent))


def test_outside(place: Place) -> None:
    worktree = place.worktree
    beside = worktree.with_name("one-more")
    place.tree.make(beside)
    with place.machine.spawn(cwd=beside) as child:
        assert not place.processes.is_inside(child.key, str(worktree))
    with place.machine.spawn(cwd=worktree.parent) as child:
        assert not place.processes.is_inside(child.key, str(worktree))
    with place.machine.spawn(cwd=worktree / "deep") as child:
        assert not place.processes.is_inside(child.key, str(worktree / "deep" / "er"))


def test_the_path(place: Place) -> None:
    """For a first look: it stays that of a directory that was deleted."""
    worktree = place.worktree
    deep = worktree / "deep" / "er"
    with place.machine.spawn(cwd=deep) as child:
        assert place.processes.working_directory(child.key) == str(deep)
        assert place.processes.working_directory(child.key._replace(started=child.key.started + 1)) is None
        place.tree.remove(deep)
        assert str(place.processes.working_directory(child.key)).removesuffix(" (deleted)") == str(deep)
    assert place.processes.working_directory(ProcessKey(2**30, 0.0)) is None


def test_links(place: Place) -> None:
    worktree = place.worktree
    alias = place.top / "alias"
    place.tree.link(alias, worktree)
    with place.machine.spawn(cwd=alias / "deep") as child:
        assert place.processes.is_inside(child.key, str(worktree))
        assert place.processes.is_inside(child.key, str(alias))
    place.tree.link(worktree / "out", place.top)
    with place.machine.spawn(cwd=worktree / "out") as child:
        assert not place.processes.is_inside(child.key, str(worktree)), "the link lies inside, the directory does not"


def test_a_process_that_moves(place: Place) -> None:
    worktree = place.worktree
    with place.machine.spawn(cwd=worktree) as child:
        assert place.processes.is_inside(child.key, str(worktree))
        child.change_directory(place.top)
        assert not place.processes.is_inside(child.key, str(worktree))


def test_a_directory_that_moves_takes_along_who_works_in_it(place: Place) -> None:
    worktree = place.worktree
    with place.machine.spawn(cwd=worktree / "deep") as child:
        place.tree.move(worktree, worktree.with_name("two"))
        assert place.processes.is_inside(child.key, str(worktree.with_name("two")))
        assert not place.processes.is_inside(child.key, str(worktree))
        assert place.processes.working_directory(child.key) == str(worktree.with_name("two") / "deep")


@pytest.mark.parametrize("wide", ["", "/", "//", "/.", ".", "..", "relative", "\0", "/\0", "\ud800", "/\ud800", "/x" * 5000])
def test_what_is_too_wide_or_no_directory(place: Place, worktree: Path, wide: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(worktree)
    worktree = place.worktree
    with place.machine.spawn(cwd=worktree) as child:
        assert not place.processes.is_inside(child.key, wide)


def test_a_home_is_too_wide_and_so_is_what_holds_it(place: Place) -> None:
    home = place.top / "home" / "me"
    place.tree.make(home / "code" / "one")
    place.tree.link(place.top / "alias", home)
    with place.machine.spawn(cwd=home / "code" / "one") as child:
        assert place.processes.is_inside(child.key, str(home / "code"))
        for wide in (home, home.parent, place.top, place.top.parent, place.top / "alias", home / "code" / ".."):
            assert not place.processes.is_inside(child.key, str(wide)), wide


def test_the_home_of_the_list_of_users_is_too_wide() -> None:
    home = pwd.getpwuid(os.geteuid()).pw_dir
    with Started(cwd=home) as child:
        for reader in READERS:
            assert not SystemProcesses({}, reader=reader()).is_inside(child.key, home)


@pytest.mark.parametrize("home", ["", "relative", "/", "/gone/long/ago"])
def test_an_odd_home_hinders_nothing(worktree: Path, home: str) -> None:
    with Started(cwd=worktree) as child:
        for reader in READERS:
            assert SystemProcesses({"HOME": home}, reader=reader()).is_inside(child.key, str(worktree))


def test_the_root_is_too_wide_for_a_user_without_a_home(worktree: Path) -> None:
    assert inside_of(str(worktree), [], str(worktree), lambda: None)
    assert not inside_of("/", [], str(worktree), lambda: None)


def test_a_file_has_nothing_inside(place: Place) -> None:
    worktree = place.worktree
    place.tree.make_file(worktree / "file")
    with place.machine.spawn(cwd=worktree) as child:
        assert not place.processes.is_inside(child.key, str(worktree / "file"))
        assert not place.processes.is_inside(child.key, str(worktree / "file" / "x"))


def test_another_process_is_not_inside(place: Place) -> None:
    worktree = place.worktree
    with place.machine.spawn(cwd=worktree) as child:
        key = child.key
        assert not place.processes.is_inside(ProcessKey(key.pid, key.started - 1), str(worktree))
    assert not place.processes.is_inside(key, str(worktree))
    assert not place.processes.is_inside(ProcessKey(2**31, 1.0), str(worktree))


def test_a_directory_that_is_gone(place: Place) -> None:
    worktree = place.worktree
    place.tree.link(place.top / "alias", worktree.parent)
    place.tree.link(place.top / "link", worktree)
    with place.machine.spawn(cwd=worktree / "deep") as child, place.machine.spawn(cwd=place.top) as other:
        place.tree.remove(worktree)
        assert place.processes.is_inside(child.key, str(worktree))
        assert place.processes.is_inside(child.key, f"{worktree}/deep/")
        assert place.processes.is_inside(child.key, str(place.top / "alias" / "one"))
        assert place.processes.is_inside(child.key, str(place.top / "link"))
        assert not place.processes.is_inside(child.key, str(worktree / "deep" / "er"))
        assert not place.processes.is_inside(child.key, str(worktree.with_name("on")))
        assert not place.processes.is_inside(child.key, str(worktree.with_name("one-more")))
        assert not place.processes.is_inside(child.key, str(worktree / ".." / "one" / "deep" / ".." / ".." / ".."))
        assert not place.processes.is_inside(other.key, str(worktree))
    assert not place.processes.is_inside(ProcessKey(2**31, 1.0), str(worktree))


def test_a_way_up_from_what_is_gone_leads_nowhere(place: Place) -> None:
    """Its text would be that of the directory above, below which others were deleted."""
    worktree = place.worktree
    other = worktree.with_name("two")
    place.tree.make(other)
    with place.machine.spawn(cwd=other) as child:
        place.tree.remove(other)
        assert not place.processes.is_inside(child.key, str(worktree.with_name("gone") / ".."))


def test_a_deleted_home_is_too_wide(place: Place) -> None:
    work = place.top / "home" / "me" / "work"
    place.tree.make(work)
    with place.machine.spawn(cwd=work) as child:
        place.tree.remove(place.top / "home")
        assert place.processes.is_inside(child.key, str(work))
        assert not place.processes.is_inside(child.key, str(work.parent))
        assert not place.processes.is_inside(child.key, str(work.parent.parent))


def test_a_directory_whose_name_ends_as_if_it_were_deleted(place: Place) -> None:
    worktree = place.worktree
    odd = worktree.with_name("gone (deleted)")
    place.tree.make(odd)
    with place.machine.spawn(cwd=odd) as child:
        assert place.processes.is_inside(child.key, str(odd))
        assert not place.processes.is_inside(child.key, str(worktree.with_name("gone")))


@pytest.mark.parametrize("place", LINUX_OR_MEMORY, indirect=True)
def test_a_directory_that_was_made_anew_is_another_one(place: Place) -> None:
    worktree = place.worktree
    with place.machine.spawn(cwd=worktree) as child:
        place.tree.remove(worktree)
        place.tree.make(worktree)
        assert not place.processes.is_inside(child.key, str(worktree))


@pytest.mark.parametrize("reader", BOTH)
def test_a_mounted_alias(reader: type, worktree: Path, tmp_path: Path) -> None:
    code = """
worktree, alias = Path(sys.argv[1]), Path(sys.argv[2])
mount("--bind", worktree, alias)
with Started(cwd=alias / "deep") as child:
    assert processes.is_inside(child.key, str(worktree))
    assert processes.is_inside(child.key, str(alias))
    assert not processes.is_inside(child.key, str(worktree / "deep" / "er"))
with Started(cwd=worktree / "deep") as child:
    assert processes.is_inside(child.key, str(alias))
# The root under another name is too wide as well.
mount("--bind", "/", alias)
with Started(cwd=worktree) as child:
    assert not processes.is_inside(child.key, str(alias))
"""
    alias = tmp_path / "alias"
    alias.mkdir()
    in_namespaces(code, worktree, alias, reader=reader)


@pytest.mark.parametrize("reader", BOTH)
def test_a_directory_mounted_below_itself(reader: type, worktree: Path) -> None:
    """It has the inode of the directory above it, as only the root has otherwise."""
    code = """
worktree = Path(sys.argv[1])
mount("--bind", worktree, worktree / "deep")
with Started(cwd=worktree / "deep" / "deep") as child:
    assert processes.is_inside(child.key, str(worktree))
    assert processes.is_inside(child.key, str(worktree.parent))
homely = SystemProcesses({"HOME": str(worktree / "deep")}, reader=processes._reader)
with Started(cwd=worktree) as child:
    assert not homely.is_inside(child.key, str(worktree.parent))
"""
    in_namespaces(code, worktree, reader=reader)


@LINUX
def test_the_same_path_in_another_mount_namespace(worktree: Path, tmp_path: Path) -> None:
    """There it is another directory. One that is gone is told by its path, which says nothing about ours."""
    in_namespaces("pass", flags=())  # skips where that can't be
    processes = SystemProcesses({}, reader=LinuxReader())
    other = tmp_path / "other"
    (other / "one" / "deep").mkdir(parents=True)
    code = (
        "import subprocess\n"
        "assert ctypes.CDLL(None).unshare(0x00020000) == 0\n"
        "subprocess.run(['mount', '--make-rprivate', '/'], check=True)\n"
        "subprocess.run(['mount', '--bind', sys.argv[1], sys.argv[2]], check=True)\n"
        "os.chdir(sys.argv[2] + '/one/deep')"
    )
    with Started(code, str(other), str(worktree.parent), environ=dict(os.environ)) as child:
        assert Path(f"/proc/{child.pid}/cwd").readlink() == worktree / "deep"
        assert not processes.is_inside(child.key, str(worktree))
        assert processes.is_inside(child.key, str(other))
        shutil.rmtree(other / "one")
        shutil.rmtree(worktree)
        assert str(Path(f"/proc/{child.pid}/cwd").readlink()).endswith("(deleted)")
        assert not processes.is_inside(child.key, str(worktree))
