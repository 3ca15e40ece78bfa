"""Places where another user can write are refused, with what to do: real files, owners, modes and links."""

from __future__ import annotations

import grp
import logging
import os
import pwd
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.tools.front_tmux import FrontTmux
from tests.tools.world import World
from workspace_reaper.ledger import open_ledger
from workspace_reaper.ledger.locks import FileSweepLock, Holder, InstanceLock
from workspace_reaper.model.errors import ConfigurationError, LedgerError
from workspace_reaper.model.session import Listing
from workspace_reaper.model.unknown import Unknown
from workspace_reaper.operations import doctor
from workspace_reaper.settings import load_settings
from workspace_reaper.snapshots.files import make_root
from workspace_reaper.tmux.responses import not_ours
from workspace_reaper.tmux.terminal import TmuxTerminal
from workspace_reaper.util.files import make_private
from workspace_reaper.util.permissions import UnsafePermissions, check_path_to, check_permissions

pytestmark = pytest.mark.once

NOBODY = 65534
ME = pwd.getpwuid(os.geteuid()).pw_name

Worlds = Callable[..., World]


def give_away(path: Path) -> None:
    """To the user nobody, a symbolic link itself."""
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    os.chown(path, NOBODY, -1, follow_symlinks=False)


def fault(path: Path) -> UnsafePermissions:
    found = check_permissions(path)
    assert found is not None
    return found


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file in a directory of its own, both private."""
    path = tmp_path / "own" / "file"
    path.parent.mkdir(mode=0o700)
    path.touch(mode=0o600)
    return path


# What is as it should be


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o400])
def test_a_private_file_may_be_read_by_all(file: Path, mode: int) -> None:
    file.chmod(mode)
    file.parent.chmod(0o755)
    assert check_permissions(file) is None
    assert check_permissions(file.parent) is None


@pytest.mark.parametrize("missing", ["gone", "gone/further", "file/below a file"])
def test_what_is_missing_is_as_safe_as_what_leads_there(file: Path, missing: str) -> None:
    assert check_permissions(file.parent / missing) is None
    file.parent.chmod(0o777)
    assert fault(file.parent / missing).place == str(file.parent)


def test_nobody_can_take_away_what_is_ours_from_a_sticky_directory(file: Path) -> None:
    file.parent.chmod(0o1777)
    assert check_permissions(file) is None
    assert fault(file.parent).do == f"chmod o-w {file.parent}", "it is no place of our own, though"


def test_a_link_of_ours_to_a_place_of_ours(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "link").symlink_to("own/../own")
    monkeypatch.chdir(tmp_path)
    for path in (tmp_path / "link" / "file", Path("link/file"), Path("link/../link/./file")):
        assert check_permissions(path) is None
    file.chmod(0o666)
    assert fault(Path("link/file")).place == str(file)


def test_links_without_end_are_for_whoever_opens_them(tmp_path: Path) -> None:
    (tmp_path / "round").symlink_to("round")
    assert check_permissions(tmp_path / "round") is None


def test_a_name_that_can_not_be_one() -> None:
    assert check_permissions("/" + "x" * 5000) is None


# Who else may write


@pytest.mark.parametrize("mode", [0o602, 0o666, 0o777])
@pytest.mark.parametrize("which", ["file", "directory", "above"])
def test_what_all_may_write_is_refused(file: Path, tmp_path: Path, which: str, mode: int) -> None:
    place = {"file": file, "directory": file.parent, "above": tmp_path}[which]
    place.chmod(mode | 0o100)
    found = fault(file)
    assert found.why == f"{place}, of the user {ME}, may be written by others (mode {mode | 0o100:04o})"
    assert found.do == f"chmod o-w {place}"
    subprocess.run(found.do, shell=True, check=True)
    assert check_permissions(file) is None, "what it says mends it"


def test_a_name_that_a_shell_would_take_apart(tmp_path: Path) -> None:
    odd = tmp_path / "a b; $(touch x)"
    odd.mkdir()
    odd.chmod(0o777)
    subprocess.run(fault(odd).do, shell=True, check=True, cwd=tmp_path)
    assert check_permissions(odd) is None
    assert not list(tmp_path.rglob("x"))


def private_user() -> pwd.struct_passwd | None:
    """A user, not root, with a group of the same name that is nobody else's; on most systems ``daemon``."""
    for user in pwd.getpwall():
        try:
            group = grp.getgrgid(user.pw_gid)
        except KeyError:
            continue
        alone = [one.pw_name for one in pwd.getpwall() if one.pw_gid == user.pw_gid] == [user.pw_name]
        if user.pw_uid not in (0, NOBODY) and group.gr_name == user.pw_name and not group.gr_mem and alone:
            return user
    return None


@contextmanager
def acting_as(user: pwd.struct_passwd) -> Iterator[None]:
    os.seteuid(user.pw_uid)
    try:
        yield
    finally:
        os.seteuid(0)


def test_the_group_of_one_user_alone_is_as_good_as_private(short_tmp: Path) -> None:
    """Where each user has a group of his own, ``rw-rw-r--`` is the ordinary mode of a file."""
    user = private_user()
    if os.geteuid() != 0 or user is None:
        pytest.skip("only root can be two users, and there must be one with a group of his own")
    short_tmp.chmod(0o755)
    path = short_tmp / "file"
    path.touch()
    path.chmod(0o664)
    os.chown(path, user.pw_uid, user.pw_gid)
    with acting_as(user):
        assert check_permissions(path) is None
    os.chown(path, 0, user.pw_gid)
    found = fault(path)
    assert found.why == f"{path}, of the user root, may be written by the group {user.pw_name} (mode 0664)"
    assert found.do == f"chmod g-w {path}"
    os.chown(path, user.pw_uid, NOBODY)
    with acting_as(user):
        assert "may be written by the group" in fault(path).why, "a group of several users"
    primary = {one.pw_gid for one in pwd.getpwall()}
    os.chown(path, user.pw_uid, next(group.gr_gid for group in grp.getgrall() if group.gr_gid not in primary))
    with acting_as(user):
        assert "may be written by the group" in fault(path).why, "a group that is nobody's own"
    os.chown(path, user.pw_uid, 4_000_000)
    with acting_as(user):
        assert "may be written by the group 4000000" in fault(path).why, "a group of whom nobody knows who is in it"


def test_root_and_the_group_of_root_are_nobody_else(file: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root has files of root")
    file.chmod(0o664)
    file.parent.chmod(0o775)
    assert check_permissions(file) is None


def test_permissions_for_single_users_are_not_those_of_the_group(file: Path) -> None:
    """An access control list: its mask stands where the group's permissions would."""
    acl = bytes.fromhex("0200000001000600ffffffff02000600feff000004000000ffffffff10000600ffffffff20000000ffffffff")
    try:
        os.setxattr(file, "system.posix_acl_access", acl)
    except (OSError, AttributeError):
        pytest.skip("this file system, or this system, has no such lists")
    assert stat.S_IMODE(file.stat().st_mode) == 0o660
    subprocess.run(fault(file).do, shell=True, check=True)
    assert check_permissions(file) is None


# Whose it is


@pytest.mark.parametrize("which", ["file", "directory", "above"])
def test_what_belongs_to_another_user_is_refused(file: Path, tmp_path: Path, which: str) -> None:
    place = {"file": file, "directory": file.parent, "above": tmp_path}[which]
    give_away(place)
    found = fault(file)
    name = pwd.getpwuid(NOBODY).pw_name
    assert found.place == str(place)
    assert f"{place} belongs to the user {name} (mode 0" in found.why
    assert f"the reaper runs as {ME}" in found.why
    mend = found.do.rpartition("as root: ")[2]
    subprocess.run(mend, shell=True, check=True)
    assert check_permissions(file) is None


def test_another_user_s_link_is_refused_although_it_leads_to_a_place_of_ours(file: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(file.parent)
    (tmp_path / "ours").symlink_to("link")
    give_away(link)
    found = fault(tmp_path / "ours" / "file")
    assert found.why.startswith(f"{link} is a symbolic link of the user {pwd.getpwuid(NOBODY).pw_name} ")
    subprocess.run(found.do.rpartition("as root: ")[2], shell=True, check=True)
    assert check_permissions(tmp_path / "ours" / "file") is None


def test_a_link_of_ours_into_someone_else_s_place_is_refused(file: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(file)
    give_away(file.parent)
    assert fault(tmp_path / "link").place == str(file.parent)


def test_root_s_own_links_are_followed(short_tmp: Path) -> None:
    """As the link at ``/tmp`` on some systems, which no other user made."""
    user = private_user()
    if os.geteuid() != 0 or user is None:
        pytest.skip("only root can be two users, and there must be another one")
    short_tmp.chmod(0o755)
    (short_tmp / "own").mkdir(mode=0o700)
    os.chown(short_tmp / "own", user.pw_uid, user.pw_gid)
    (short_tmp / "link").symlink_to("own")
    with acting_as(user):
        assert check_permissions(short_tmp / "link" / "file") is None


def test_inside_a_user_namespace_those_outside_are_no_other_users(short_tmp: Path) -> None:
    """Of them not even root is known there: in a container without privileges every directory above would be refused."""
    give_away(short_tmp)
    unshare = ["unshare", "--user", "--map-root-user"]
    if shutil.which("unshare") is None or subprocess.run([*unshare, "true"], capture_output=True).returncode:
        pytest.skip("no user namespace can be made here")
    short_tmp.chmod(0o755)
    assert fault(short_tmp).place == str(short_tmp)
    code = "import sys; from workspace_reaper.util.permissions import check_permissions; print(check_permissions(sys.argv[1]))"
    done = subprocess.run([*unshare, sys.executable, "-c", code, str(short_tmp)], capture_output=True, text=True, check=True)
    assert done.stdout == "None\n"


# What we make ourselves


@pytest.mark.parametrize("umask", [0o000, 0o002, 0o022, 0o777], ids=oct)
def test_directories_of_ours_are_private_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        make_private(tmp_path / "a" / "b" / "c")
        make_private(tmp_path / "a" / "b" / "c")
    finally:
        os.umask(before)
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*")} == {0o700}
    assert check_permissions(tmp_path / "a" / "b" / "c") is None


def test_a_directory_can_not_be_made_below_a_file(file: Path) -> None:
    for path in (file, file / "below"):
        with pytest.raises(NotADirectoryError):
            make_private(path)


# The configuration


def test_a_configuration_that_others_may_write_is_not_read(file: Path) -> None:
    file.write_text("tick = 30\n")
    assert load_settings(file, {}).tick == 30
    file.chmod(0o646)
    with pytest.raises(ConfigurationError) as caught:
        load_settings(file, {})
    why = f"{file}, of the user {ME}, may be written by others (mode 0646)"
    assert str(caught.value) == f"the configuration file {why}: chmod o-w {file}"
    file.chmod(0o600)
    file.parent.chmod(0o777)
    with pytest.raises(ConfigurationError, match=re.escape(f"file {file} is not safe: {file.parent}, of the user")):
        load_settings(file, {})


def test_a_configuration_of_another_user_is_not_read(file: Path) -> None:
    give_away(file)
    with pytest.raises(ConfigurationError, match=f"the configuration file {file} belongs to the user"):
        load_settings(file, {})


def test_the_command_line_says_so_and_ends_with_2(world: World) -> None:
    world.tmp.chmod(0o777)
    done = world.cli("sweep")
    world.tmp.chmod(0o700)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"the configuration file {world.config} is not safe: {world.tmp}, of the user {ME}" in done.stderr
    assert done.stderr.endswith(f": chmod o-w {world.tmp}\n")


def test_in_a_host_it_is_an_error_in_the_log_and_nothing_dies(world: World, caplog: pytest.LogCaptureFixture) -> None:
    archived = world.workspace(archived=True)
    world.session(archived)
    plugin = world.new_plugin()
    world.config.chmod(0o666)
    plugin.on_workspace_archived(archived)
    plugin.on_tick(None)  # type: ignore[arg-type]
    assert plugin.drain(30)
    [record] = [one for one in caplog.records if one.name == "workspace_reaper"]
    assert record.levelno == logging.ERROR
    assert f"chmod o-w {world.config}" in record.getMessage()
    assert world.lives(archived)
    assert not world.state_dir.exists()


# The state directory


def test_a_ledger_in_a_directory_that_others_may_write_is_neither_read_nor_written(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    archived = world.workspace(archived=True)
    world.session(archived)
    world.state_dir.mkdir()
    world.state_dir.chmod(0o777)
    for dry_run in (True, False):
        report = world.sweep(dry_run=dry_run)
        [unknown] = report.unknown
        assert unknown.reason.startswith(f"The state directory {world.state_dir}, of the user {ME}, may be written by others")
        assert unknown.reason.endswith(f": chmod o-w {world.state_dir}")
        assert report.exit_code == 3
    assert {record.levelno for record in caplog.records} == {logging.ERROR}
    assert list(world.state_dir.iterdir()) == []
    assert world.lives(archived)
    world.state_dir.chmod(0o755)
    assert world.sweep().count("reaped") == 1


@pytest.mark.parametrize("read_only", [False, True], ids=["write", "read"])
@pytest.mark.parametrize("way", ["open file", "foreign file", "foreign link", "link into a foreign place", "foreign parent"])
def test_a_ledger_that_is_not_ours_alone_is_refused(tmp_path: Path, way: str, read_only: bool) -> None:
    state_dir = tmp_path / "above" / "state"
    ledger = state_dir / "ledger.sqlite"
    open_ledger(state_dir, registry_name="standard", location="/db").close()
    before = ledger.read_bytes()
    if way == "open file":
        ledger.chmod(0o606)
    elif way == "foreign file":
        give_away(ledger)
    elif way == "foreign link":
        (tmp_path / "link").symlink_to(state_dir)
        give_away(tmp_path / "link")
        state_dir = tmp_path / "link"
    elif way == "link into a foreign place":
        (tmp_path / "link").symlink_to(state_dir)
        give_away(state_dir)
        state_dir = tmp_path / "link"
    else:
        give_away(state_dir.parent)
    with pytest.raises(LedgerError, match=r"^The (ledger|state directory) /.*: (chmod|run it as that user)"):
        open_ledger(state_dir, registry_name="standard", location="/db", read_only=read_only)
    assert ledger.read_bytes() == before


def test_nothing_is_made_in_a_directory_that_others_may_write(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    state_dir = tmp_path / "state"
    with pytest.raises(LedgerError, match="may be written by others"):
        open_ledger(state_dir, registry_name="standard", location="/db")
    with pytest.raises(LedgerError, match="may be written by others"):
        FileSweepLock(state_dir).held().__enter__()
    with pytest.raises(LedgerError, match="may be written by others"):
        InstanceLock(state_dir).held(Holder(1, "", "")).__enter__()
    assert list(tmp_path.iterdir()) == []


def test_snapshots_are_not_kept_in_another_user_s_directory(tmp_path: Path) -> None:
    (tmp_path / "snapshots").mkdir(mode=0o755)
    give_away(tmp_path / "snapshots")
    with pytest.raises(PermissionError, match="belongs to the user with uid"):
        make_root(tmp_path / "snapshots")
    assert stat.S_IMODE((tmp_path / "snapshots").stat().st_mode) == 0o755


@pytest.mark.parametrize("where", ["itself", "above"])
def test_the_doctor_tells_it_and_what_mends_it(world: World, where: str) -> None:
    place = world.state_dir if where == "itself" else world.state_dir.parent / "above"
    place.mkdir()
    place.chmod(0o777)
    world.configure(state_dir=str(place if where == "itself" else place / "state"))
    found = {check.check: check for check in doctor.examine([world.plugin.reaper()])}
    assert (found["state_dir"].state, found["state_dir"].do) == ("FAIL", f"chmod o-w {place}")
    assert "may be written by others (mode 0777)" in found["state_dir"].detail
    assert found["ledger"].state == "FAIL"
    place.chmod(0o700)
    found = {check.check: check for check in doctor.examine([world.plugin.reaper()])}
    assert found["state_dir"].state == "OK"


# Sockets


def test_a_socket_where_another_user_could_put_his_is_not_even_connected_to(
    tmux_server_in: Callable[[Path], str], short_tmp: Path, front_tmux: FrontTmux
) -> None:
    path = tmux_server_in(short_tmp)
    assert isinstance(TmuxTerminal(path).observe("0"), Listing)
    before = len(front_tmux.calls())
    short_tmp.chmod(0o777)
    answer = TmuxTerminal(path).observe("0")
    assert isinstance(answer, Unknown)
    assert answer.reason.startswith(f"The socket {path} is not safe: {short_tmp}, of the user {ME}, may be written by others")
    assert len(front_tmux.calls()) == before
    short_tmp.chmod(0o1777)
    assert isinstance(TmuxTerminal(path).observe("0"), Listing), "a sticky one is as good as private"


@pytest.fixture
def tmux_server_in(request: pytest.FixtureRequest) -> Callable[[Path], str]:
    """Starts a tmux server on a socket in that directory; the path of the socket."""
    from tests.tools.tmux import TmuxServer

    def start(directory: Path) -> str:
        server = TmuxServer(directory=directory)
        request.addfinalizer(server.close)
        server.new_session("one")
        return server.path

    return start


def test_another_user_s_link_to_a_socket_of_ours(short_tmp: Path) -> None:
    """He may let it lead to another of our servers at any moment."""
    (short_tmp / "s").touch()
    (short_tmp / "link").symlink_to("s")
    assert not_ours(f"{short_tmp}/link") is None
    give_away(short_tmp / "link")
    assert f"{short_tmp}/link is a symbolic link of the user" in (not_ours(f"{short_tmp}/link") or "")


def test_the_permissions_of_a_socket_itself_are_tmux_s_own(short_tmp: Path) -> None:
    (short_tmp / "s").touch()
    (short_tmp / "s").chmod(0o777)
    assert check_path_to(short_tmp / "s") is None
    assert check_permissions(short_tmp / "s") is not None
