"""Evidence that others depend on a process, from its open files. Linux only."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence, Set
from contextlib import suppress

from workspace_reaper.processes.proc_files import PROC, link, names, read
from workspace_reaper.processes.unix_sockets import UnixSocket, unix_sockets

_FUSE = "/dev/fuse"
_TERMINALS = ("/dev/ptmx", "/dev/pts/ptmx")


def needed(pids: Collection[int]) -> dict[int, str]:
    """Return who depends on each of these processes, as a clause, without those for which there is no evidence.

    A process serves others if it serves a mounted file system, if terminals run in it that can be attached to, or if another
    process than these is connected to a Unix socket that it listens on, has accepted or receives datagrams on. One process may
    listen while another has accepted the connection: both serve. A process that only sends datagrams, without ``connect(2)``,
    leaves no trace in the kernel and is no evidence.

    The sockets are read once for all processes, and the open files of all others only if some may be connected.
    """
    opened = {pid: _opened(pid) for pid in pids}
    found = {pid: "it serves a mounted file system" for pid, some in opened.items() if _FUSE in some}
    holders: defaultdict[int, set[int]] = defaultdict(set)
    for pid, some in opened.items():
        for inode in _inodes(some):
            holders[inode].add(pid)
    if not holders:
        return found
    try:
        sockets = unix_sockets()
    except OSError:
        return found
    for pid in {pid for one in sockets if one.listens for pid in holders.get(one.inode, ())}:
        if not opened[pid].isdisjoint(_TERMINALS):
            found.setdefault(pid, "terminals run in it, and others may be attached to them")
    for pid, client in _clients(_served(sockets, holders), opened).items():
        found.setdefault(pid, f"the process {client} ({_name(client)}) of another session is connected to it")
    return found


def _served(sockets: Sequence[UnixSocket], holders: Mapping[int, Set[int]]) -> dict[int, set[int]]:
    """Return the processes that serve each client's end of a connection, by its inode."""
    listening: defaultdict[tuple[bytes, bytes], set[int]] = defaultdict(set)
    for one in sockets:
        if one.listens:
            listening[one.address] |= holders.get(one.inode, set())
    addresses = {one.inode: one.address for one in sockets}
    # Clients of a datagram socket connect to its name. Two that have none are a pair, of which neither end is the server's.
    named = {one.inode: holders.get(one.inode, set()) for one in sockets if one.is_datagram and one.name}
    served: defaultdict[int, set[int]] = defaultdict(set)
    for one in sockets:
        for client in one.waiting:
            served[client] |= listening[one.address]
        if one.is_datagram:
            served[one.inode] |= named.get(one.peer or 0, set())
        # A client may have a name too. If no socket listens on either name, this end is taken for the server's.
        elif one.name and one.peer and (one.address in listening or addresses.get(one.peer) not in listening):
            served[one.peer] |= listening.get(one.address, set()) | holders.get(one.inode, set())
    return {client: by for client, by in served.items() if by}


def _clients(served: Mapping[int, Set[int]], own: Collection[int]) -> dict[int, str]:
    """Return a process that is not one of ``own`` and is connected, for each process that serves one."""
    clients: dict[int, str] = {}
    for name in names(PROC) if served else ():
        if name.isdigit() and int(name) not in own:
            for inode in _inodes(_opened(int(name))):
                clients.update(dict.fromkeys(served.get(inode, ()), name))
    return clients


def _inodes(opened: Collection[str]) -> list[int]:
    return [int(target[8:-1]) for target in opened if target.startswith("socket:[")]


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
