"""Whether a process works inside a directory."""

from __future__ import annotations

import os
import pwd
import shutil
import sys
from pathlib import Path

import pytest

from tests.tools.real_processes import BOTH, LINUX, Started, in_namespaces
from workspace_reaper.model.process import ProcessKey
from workspace_reaper.processes.linux import LinuxReader
from workspace_reaper.processes.portable import PortableReader
from workspace_reaper.processes.processes import SystemProcesses
from workspace_reaper.processes.working_directory import inside_of

pytestmark = pytest.mark.once

READERS = [LinuxReader, PortableReader] if sys.platform == "linux" else [PortableReader]


@pytest.fixture(params=BOTH)
def processes(request: pytest.FixtureRequest, tmp_path: Path) -> SystemProcesses:
    home = tmp_path / "home" / "me"
    home.mkdir(parents=True)
    return SystemProcesses({"HOME": str(home)}, reader=request.param())


@pytest.fixture
def worktree(tmp_path: Path) -> Path:
    """A workspace's directory with one below it."""
    path = tmp_path / "worktrees" / "one"
    (path / "deep" / "er").mkdir(parents=True)
    return path


@pytest.mark.parametrize("below", [".", "deep", "deep/er"])
def test_inside(processes: SystemProcesses, worktree: Path, below: str) -> None:
    with Started(cwd=worktree / below) as child:
        assert processes.is_inside(child.key, str(worktree))
        assert processes.is_inside(child.key, f"{worktree}/")
        assert processes.is_inside(child.key, f"{worktree}/deep/..")
        assert processes.is_inside(child.key, str(worktree.parent))


def test_outside(processes: SystemProcesses, worktree: Path) -> None:
    beside = worktree.with_name("one-more")
    beside.mkdir()
    with Started(cwd=beside) as child:
        assert not processes.is_inside(child.key, str(worktree))
    with Started(cwd=worktree.parent) as child:
        assert not processes.is_inside(child.key, str(worktree))
    with Started(cwd=worktree / "deep") as child:
        assert not processes.is_inside(child.key, str(worktree / "deep" / "er"))


def test_the_path(processes: SystemProcesses, worktree: Path) -> None:
    """For a first look: it stays that of a directory that was deleted."""
    deep = worktree / "deep" / "er"
    with Started(cwd=deep) as child:
        assert processes.working_directory(child.key) == str(deep)
        assert processes.working_directory(child.key._replace(started=child.key.started + 1)) is None
        deep.rmdir()
        assert str(processes.working_directory(child.key)).removesuffix(" (deleted)") == str(deep)
    assert processes.working_directory(ProcessKey(2**30, 0.0)) is None


def test_links(processes: SystemProcesses, worktree: Path, tmp_path: Path) -> None:
    alias = tmp_path / "alias"
    alias.symlink_to(worktree)
    with Started(cwd=alias / "deep") as child:
        assert processes.is_inside(child.key, str(worktree))
        assert processes.is_inside(child.key, str(alias))
    (worktree / "out").symlink_to(tmp_path)
    with Started(cwd=worktree / "out") as child:
        assert not processes.is_inside(child.key, str(worktree)), "the link lies inside, the directory does not"


def test_a_process_that_moves(processes: SystemProcesses, worktree: Path, tmp_path: Path) -> None:
    code = "print('in', flush=True)\nprint('ready', flush=True)\nsys.stdin.readline()\nos.chdir(sys.argv[1])"
    with Started(code, str(tmp_path), cwd=worktree) as child:
        assert processes.is_inside(child.key, str(worktree))
        child.say("go on")
        assert child.line() == "ready"
        assert not processes.is_inside(child.key, str(worktree))


@pytest.mark.parametrize("wide", ["", "/", "//", "/.", ".", "..", "relative", "\0", "/\0", "\ud800", "/\ud800", "/x" * 5000])
def test_what_is_too_wide_or_no_directory(
    processes: SystemProcesses, worktree: Path, wide: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(worktree)
    with Started(cwd=worktree) as child:
        assert not processes.is_inside(child.key, wide)


def test_a_home_is_too_wide_and_so_is_what_holds_it(processes: SystemProcesses, tmp_path: Path) -> None:
    home = tmp_path / "home" / "me"
    (home / "code" / "one").mkdir(parents=True)
    (tmp_path / "alias").symlink_to(home)
    with Started(cwd=home / "code" / "one") as child:
        assert processes.is_inside(child.key, str(home / "code"))
        for wide in (home, home.parent, tmp_path, tmp_path.parent, tmp_path / "alias", home / "code" / ".."):
            assert not processes.is_inside(child.key, str(wide)), wide


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


def test_a_file_has_nothing_inside(processes: SystemProcesses, worktree: Path) -> None:
    (worktree / "file").touch()
    with Started(cwd=worktree) as child:
        assert not processes.is_inside(child.key, str(worktree / "file"))
        assert not processes.is_inside(child.key, str(worktree / "file" / "x"))


def test_another_process_is_not_inside(processes: SystemProcesses, worktree: Path) -> None:
    with Started(cwd=worktree) as child:
        key = child.key
        assert not processes.is_inside(ProcessKey(key.pid, key.started - 1), str(worktree))
    assert not processes.is_inside(key, str(worktree))
    assert not processes.is_inside(ProcessKey(2**31, 1.0), str(worktree))


def test_a_directory_that_is_gone(processes: SystemProcesses, worktree: Path, tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to(worktree.parent)
    (tmp_path / "link").symlink_to(worktree)
    with Started(cwd=worktree / "deep") as child, Started(cwd=tmp_path) as other:
        shutil.rmtree(worktree)
        assert processes.is_inside(child.key, str(worktree))
        assert processes.is_inside(child.key, f"{worktree}/deep/")
        assert processes.is_inside(child.key, str(tmp_path / "alias" / "one"))
        assert processes.is_inside(child.key, str(tmp_path / "link"))
        assert not processes.is_inside(child.key, str(worktree / "deep" / "er"))
        assert not processes.is_inside(child.key, str(worktree.with_name("on")))
        assert not processes.is_inside(child.key, str(worktree.with_name("one-more")))
        assert not processes.is_inside(child.key, str(worktree / ".." / "one" / "deep" / ".." / ".." / ".."))
        assert not processes.is_inside(other.key, str(worktree))
    assert not processes.is_inside(ProcessKey(2**31, 1.0), str(worktree))


def test_a_way_up_from_what_is_gone_leads_nowhere(processes: SystemProcesses, worktree: Path) -> None:
    """Its text would be that of the directory above, below which others were deleted."""
    other = worktree.with_name("two")
    other.mkdir()
    with Started(cwd=other) as child:
        shutil.rmtree(other)
        assert not processes.is_inside(child.key, str(worktree.with_name("gone") / ".."))


def test_a_deleted_home_is_too_wide(processes: SystemProcesses, tmp_path: Path) -> None:
    work = tmp_path / "home" / "me" / "work"
    work.mkdir()
    with Started(cwd=work) as child:
        shutil.rmtree(tmp_path / "home")
        assert processes.is_inside(child.key, str(work))
        assert not processes.is_inside(child.key, str(work.parent))
        assert not processes.is_inside(child.key, str(work.parent.parent))


def test_a_directory_whose_name_ends_as_if_it_were_deleted(processes: SystemProcesses, worktree: Path) -> None:
    odd = worktree.with_name("gone (deleted)")
    odd.mkdir()
    with Started(cwd=odd) as child:
        assert processes.is_inside(child.key, str(odd))
        assert not processes.is_inside(child.key, str(worktree.with_name("gone")))


@LINUX
def test_a_directory_that_was_made_anew_is_another_one(worktree: Path) -> None:
    processes = SystemProcesses({}, reader=LinuxReader())
    with Started(cwd=worktree) as child:
        shutil.rmtree(worktree)
        worktree.mkdir()
        assert not processes.is_inside(child.key, str(worktree))


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
