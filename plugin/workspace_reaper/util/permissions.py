"""Check which other users can write to a path: who can write our configuration or our ledger can have any session killed.

This follows StrictModes of OpenSSH: the path itself, each directory above it and each symbolic link on the way must belong to
this user or to root, and no other user may write there. Two exceptions count as private: a sticky directory above it, such as
``/tmp``, in which only the owner of a file can remove it; and the group that Linux gives to each user alone, which makes
``rw-rw-r--`` the ordinary mode of a file.
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

# As many as Linux follows.
_MAX_LINKS = 40
_ROOT = 0
_ACL = "system.posix_acl_access"


@dataclass(frozen=True, slots=True)
class UnsafePermissions:
    """A path that another user can change.

    Attributes:
        place: The path with the wrong permissions.
        why: What is wrong with it.
        do: How to fix it; ends with a command.
    """

    place: str
    why: str
    do: str

    def message(self, what: str, path: str | Path) -> str:
        """Return the sentence about ``path``, which is that place or is reached through it. ``what`` names it."""
        begin = what if self.place == str(path) else f"{what} {path} is not safe:"
        return f"{begin} {self.why}: {self.do}"


def check_permissions(path: str | Path) -> UnsafePermissions | None:
    """Return what lets another user write at ``path`` or replace it.

    None means that nothing does, or that it cannot be determined: then opening the path fails and says why. If the path is
    missing, only the directories above it are checked. Root does not count as another user.
    """
    return _first_fault(path, with_end=True)


def check_path_to(path: str | Path) -> UnsafePermissions | None:
    """Check only what leads to ``path``, for a socket, whose own permissions mean something else."""
    return _first_fault(path, with_end=False)


def _first_fault(path: str | Path, *, with_end: bool) -> UnsafePermissions | None:
    with suppress(OSError):
        places, end = _way(os.path.join(os.getcwd(), os.fspath(path)))
        for place in places:
            if place != end or with_end:
                fault = _fault(place, os.lstat(place), is_end=place == end)
                if fault is not None:
                    return fault
    return None


def _way(path: str) -> tuple[list[str], str | None]:
    """Follow the absolute ``path`` like the kernel. Return the directories and symbolic links on the way, and the path at its
    end; None if the way ends before it."""
    here, places, links = "/", ["/"], 0
    rest = list(_names(path))
    while rest:
        name = rest.pop()
        if name == "..":
            here = os.path.dirname(here)
            continue
        place = os.path.join(here, name)
        try:
            info = os.lstat(place)
        except OSError:
            return places, None
        places.append(place)
        if not stat.S_ISLNK(info.st_mode):
            here = place
            continue
        links += 1
        if links > _MAX_LINKS:
            return places, None
        target = os.readlink(place)
        here = "/" if target.startswith("/") else here
        rest.extend(_names(target))
    return places, here


def _names(path: str) -> Iterator[str]:
    """Return the parts of a path, the last one first."""
    return (name for name in reversed(path.split("/")) if name not in ("", "."))


def _fault(place: str, info: os.stat_result, *, is_end: bool) -> UnsafePermissions | None:
    if info.st_uid not in (os.geteuid(), _ROOT) and not _is_outside(info.st_uid):
        return _foreign(place, info)
    if stat.S_ISLNK(info.st_mode):
        return None
    # What is in a sticky directory is checked too, and only its owner can remove it.
    is_sticky = stat.S_ISDIR(info.st_mode) and bool(info.st_mode & stat.S_ISVTX) and not is_end
    by_group = bool(info.st_mode & stat.S_IWGRP) and not _is_private(place, info.st_gid)
    by_others = bool(info.st_mode & stat.S_IWOTH)
    if is_sticky or not (by_group or by_others):
        return None
    by_whom = "others" if by_others else f"the group {_group_name(info.st_gid)}"
    bits = "".join(letter for letter, is_open in (("g", by_group), ("o", by_others)) if is_open)
    why = f"{place}, of the user {_user_name(info.st_uid)}, may be written by {by_whom} (mode {stat.S_IMODE(info.st_mode):04o})"
    return UnsafePermissions(place, why, f"chmod {bits}-w {shlex.quote(place)}")


def _foreign(place: str, info: os.stat_result) -> UnsafePermissions:
    me = _user_name(os.geteuid())
    what = "is a symbolic link of" if stat.S_ISLNK(info.st_mode) else "belongs to"
    whose = f"the user {_user_name(info.st_uid)} (mode {stat.S_IMODE(info.st_mode):04o})"
    why = f"{place} {what} {whose}, and the reaper runs as {me}"
    fix = f"chown {'-h ' if stat.S_ISLNK(info.st_mode) else ''}{me} {shlex.quote(place)}"
    return UnsafePermissions(place, why, f"run it as that user, set another path, or give it to this user, as root: {fix}")


def _is_outside(uid: int) -> bool:
    """Return whether this is the uid to which a user namespace maps all users outside of it, such as root. No user inside can
    be that one: see user_namespaces(7)."""
    try:
        overflow = Path("/proc/sys/fs/overflowuid").read_text(encoding="ascii")
        ranges = [line.split() for line in Path("/proc/self/uid_map").read_text(encoding="ascii").splitlines()]
    except OSError:
        return False
    inside = any(int(first) <= uid < int(first) + int(count) for first, _, count in ranges)
    return uid == int(overflow) and not inside


def _is_private(place: str, gid: int) -> bool:
    """Return whether only this user and root are members of the group, and no ACL gives its permissions to others."""
    if hasattr(os, "getxattr"):
        with suppress(OSError):  # it has no ACL
            os.getxattr(place, _ACL)
            return False
    if gid == _ROOT:  # by convention the group of those who may become root
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
