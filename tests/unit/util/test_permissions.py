"""Which groups count as private to a user: the user and group databases of a machine are given here."""

from __future__ import annotations

import grp
import os
import pwd
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from workspace_reaper.util.permissions import check_permissions

GROUP = 54321 if os.geteuid() == 0 else os.getegid()


def user(name: str, uid: int, gid: int) -> pwd.struct_passwd:
    return pwd.struct_passwd((name, "x", uid, gid, "", "/", "/bin/sh"))


def group(name: str, *members: str) -> grp.struct_group:
    return grp.struct_group((name, "x", GROUP, list(members)))


@dataclass(frozen=True)
class Machine:
    """This user's primary group, the group that may write, and the other users."""

    primary: int
    group: grp.struct_group
    others: Sequence[pwd.struct_passwd]


@pytest.mark.parametrize(
    ("machine", "private"),
    [
        pytest.param(Machine(GROUP, group("me"), []), True, id="the user's own group"),
        pytest.param(Machine(GROUP, group("me", "me"), []), True, id="which names the user as a member"),
        pytest.param(Machine(GROUP + 1, group("me"), []), False, id="a group of that name that is not the primary one"),
        pytest.param(Machine(GROUP, group("staff"), []), False, id="a primary group of another name"),
        pytest.param(Machine(GROUP, group("me", "other"), []), False, id="another member"),
        pytest.param(Machine(GROUP, group("me"), [user("other", 1, GROUP)]), False, id="the primary group of another user"),
        pytest.param(Machine(GROUP, group("me"), [user("other", 1, 1)]), True, id="another user with a group of his own"),
    ],
)
def test_a_directory_that_its_group_may_write_is_refused_unless_the_group_is_private(
    short_tmp: Path, monkeypatch: pytest.MonkeyPatch, machine: Machine, private: bool
) -> None:
    me = user("me", os.geteuid(), machine.primary)
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: me)
    monkeypatch.setattr(pwd, "getpwall", lambda: [me, *machine.others])
    monkeypatch.setattr(grp, "getgrgid", lambda gid: machine.group)
    directory = short_tmp / "shared"
    directory.mkdir()
    os.chown(directory, -1, GROUP)
    directory.chmod(0o775)
    fault = check_permissions(directory)
    assert (fault is None) is private
