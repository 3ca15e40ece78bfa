"""Who else may write at a place of ours? Whoever can write our configuration or our memory can have any session killed.

As OpenSSH's StrictModes looks at it: the place itself, each directory above it, and each symbolic link on the way must belong
to this user or to root, and nobody else may write it. Beyond StrictModes, two things are as good as private: a directory above
that is sticky, such as ``/tmp``, in which nobody can touch what another user owns; and the group that Linux gives to each user
alone, which makes ``rw-rw-r--`` the ordinary mode of a file there.
"""

from __future__ import annotations

import grp
import os
import pwd
import shlex
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

__all__ = ["UnsafePermissions", "check_permissions", "distrust_of_way"]

_MOST_LINKS = 40
"""As many as Linux follows."""
_ROOT = 0
_ACL = "system.posix_acl_access"


@dataclass(frozen=True, slots=True)
class UnsafePermissions:
    """``why`` says what is wrong with which place; ``do`` how it is mended, at its end a command."""

    place: str
    why: str
    do: str

    def told_of(self, what: str, path: str | Path) -> str:
        """The whole sentence about ``path``, which is that place, or is reached through it. ``what`` it is comes first."""
        begin = what if self.place == str(path) else f"{what} {path} is not safe:"
        return f"{begin} {self.why}: {self.do}"


def check_permissions(path: str | Path) -> UnsafePermissions | None:
    """What lets another user write at ``path``, or put something else in its place; None where there is nothing, or nobody can
    tell: whoever opens it is told why. Where it is missing, only what leads there is looked at. Root is no other user."""
    return _first_fault(path, with_end=True)


def distrust_of_way(path: str | Path) -> UnsafePermissions | None:
    """The same of all that leads to ``path``, whatever is there: of a socket, whose permissions mean something else."""
    return _first_fault(path, with_end=False)


def _first_fault(path: str | Path, *, with_end: bool) -> UnsafePermissions | None:
    with suppress(OSError):
        places, end = _way(os.path.join(os.getcwd(), os.fspath(path)))  # noqa: PTH118, PTH109  pathlib would resolve ".."
        for place in places:
            if place != end or with_end:
                fault = _fault(place, os.lstat(place), is_end=place == end)
                if fault is not None:
                    return fault
    return None


def _way(path: str) -> tuple[list[str], str | None]:
    """The directories and symbolic links on the way to the absolute ``path``, as the kernel goes, and what is at its end; None
    where the way ends before."""
    here, places, links = "/", ["/"], 0
    rest = list(_names(path))
    while rest:
        name = rest.pop()
        if name == "..":
            here = os.path.dirname(here)  # noqa: PTH120
            continue
        place = os.path.join(here, name)  # noqa: PTH118
        try:
            info = os.lstat(place)
        except OSError:
            return places, None
        places.append(place)
        if not stat.S_ISLNK(info.st_mode):
            here = place
            continue
        links += 1
        if links > _MOST_LINKS:
            return places, None
        target = os.readlink(place)  # noqa: PTH115
        here = "/" if target.startswith("/") else here
        rest.extend(_names(target))
    return places, here


def _names(path: str) -> Iterator[str]:
    """The last one first."""
    return (name for name in reversed(path.split("/")) if name not in ("", "."))


def _fault(place: str, info: os.stat_result, *, is_end: bool) -> UnsafePermissions | None:
    if info.st_uid not in (os.geteuid(), _ROOT) and not _is_outside(info.st_uid):
        return _foreign(place, info)
    if stat.S_ISLNK(info.st_mode):
        return None
    # What stands in a sticky directory is looked at too, and only its owner can take it away.
    is_sticky = stat.S_ISDIR(info.st_mode) and bool(info.st_mode & stat.S_ISVTX) and not is_end
    by_group = bool(info.st_mode & stat.S_IWGRP) and not _is_private(place, info.st_gid)
    by_others = bool(info.st_mode & stat.S_IWOTH)
    if is_sticky or not (by_group or by_others):
        return None
    whom = "others" if by_others else f"the group {_group_name(info.st_gid)}"
    bits = "".join(letter for letter, is_open in (("g", by_group), ("o", by_others)) if is_open)
    why = f"{place}, of the user {_user_name(info.st_uid)}, may be written by {whom} (mode {stat.S_IMODE(info.st_mode):04o})"
    return UnsafePermissions(place, why, f"chmod {bits}-w {shlex.quote(place)}")


def _foreign(place: str, info: os.stat_result) -> UnsafePermissions:
    me = _user_name(os.geteuid())
    what = "is a symbolic link of" if stat.S_ISLNK(info.st_mode) else "belongs to"
    whose = f"the user {_user_name(info.st_uid)} (mode {stat.S_IMODE(info.st_mode):04o})"
    why = f"{place} {what} {whose}, and the reaper runs as {me}"
    mend = f"chown {'-h ' if stat.S_ISLNK(info.st_mode) else ''}{me} {shlex.quote(place)}"
    return UnsafePermissions(place, why, f"run it as that user, name another place, or, if it is to be yours, as root: {mend}")


def _is_outside(uid: int) -> bool:
    """In a user namespace all that belongs to users outside, root first of all, seems to belong to one user whom nobody inside
    can be (user_namespaces(7))."""
    try:
        overflow = Path("/proc/sys/fs/overflowuid").read_text(encoding="ascii")
        ranges = [line.split() for line in Path("/proc/self/uid_map").read_text(encoding="ascii").splitlines()]
    except OSError:
        return False
    inside = any(int(first) <= uid < int(first) + int(count) for first, _, count in ranges)
    return uid == int(overflow) and not inside


def _is_private(place: str, gid: int) -> bool:
    """Whether only this user and root are in that group, and the permissions of the group are those of that group alone."""
    if hasattr(os, "getxattr"):
        with suppress(OSError):  # it has none
            os.getxattr(place, _ACL)
            return False
    if gid == _ROOT:  # by custom the group of those who may become root
        return True
    try:
        me, group = pwd.getpwuid(os.geteuid()), grp.getgrgid(gid)
    except KeyError:
        return False
    if me.pw_gid != gid or group.gr_name != me.pw_name or set(group.gr_mem) - {me.pw_name}:
        return False
    return all(user.pw_gid != gid or user.pw_uid == me.pw_uid for user in pwd.getpwall())


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _group_name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
