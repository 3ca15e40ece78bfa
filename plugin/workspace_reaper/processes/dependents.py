"""Evidence that others depend on a process, from its open files. Linux only."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from contextlib import suppress

from workspace_reaper.processes.proc_files import PROC, link, names, read
from workspace_reaper.processes.unix_sockets import UnixSocket, unix_sockets

_FUSE = "/dev/fuse"
_TERMINALS = ("/dev/ptmx", "/dev/pts/ptmx")


def needed_by(pid: int, own: Collection[int]) -> str | None:
    """Return who depends on the process, as a clause; None if there is no evidence.

    A process serves others if it serves a mounted file system, if terminals run in it that can be attached to, or if a process
    of another session is connected to a Unix socket on which it listens.

    Args:
        pid: The process.
        own: The pids of its session, which are no others.
    """
    opened = _opened(pid)
    if _FUSE in opened:
        return "it serves a mounted file system"
    inodes = [int(target[8:-1]) for target in opened if target.startswith("socket:[")]
    if not inodes:
        return None
    try:
        sockets = {one.inode: one for one in unix_sockets()}
    except OSError:
        return None
    held = [sockets[inode] for inode in inodes if inode in sockets]
    listening = {one.name: one for one in held if one.listens}
    if listening and not opened.isdisjoint(_TERMINALS):
        return "terminals run in it, and others may be attached to them"
    peers = {one.peer: one for one in held if one.name in listening and one.peer is not None}
    return _foreign_peer(peers, own)


def _foreign_peer(peers: Mapping[int, UnixSocket], own: Collection[int]) -> str | None:
    for name in names(PROC) if peers else ():
        if not name.isdigit() or int(name) in own:
            continue
        for inode in (int(target[8:-1]) for target in _opened(int(name)) if target.startswith("socket:[")):
            if inode in peers:
                return f"the process {name} ({_name(name)}) of another session is connected to it"
    return None


def _opened(pid: int) -> frozenset[str]:
    """Return what the process has open; nothing of a process that may not be read."""
    found = set()
    directory = f"{PROC}/{pid}/fd"
    with suppress(OSError):
        for descriptor in names(directory):
            with suppress(OSError):  # closed meanwhile
                found.add(link(f"{directory}/{descriptor}"))
    return frozenset(found)


def _name(pid: str) -> str:
    with suppress(OSError):
        return os.fsdecode(read(f"{PROC}/{pid}/comm").strip())
    return "?"
