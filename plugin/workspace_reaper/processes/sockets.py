"""Who listens: ``/proc/net/{tcp,tcp6,udp,udp6}`` (proc_net(5))."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from workspace_reaper.model.process import Port
from workspace_reaper.processes.proc_files import PROC, link, names, read

__all__ = ["listening_sockets", "ports_of"]

# The state of a TCP socket that listens, and of a UDP one that is bound and not connected: a connected one is a client's.
_STATES = {"tcp": b"0A", "udp": b"07"}
_SIZE = 65536


def listening_sockets() -> list[tuple[int, Port]]:
    """The listening sockets of our own network namespace, each with its inode. A file that can't be read (no IPv6, say) has
    none."""
    found = []
    for protocol, state in _STATES.items():
        for family in ("", "6"):
            with suppress(OSError, ValueError):
                found += _listening(protocol, state, read(f"{PROC}/net/{protocol}{family}", _SIZE))
    return found


def _listening(protocol: str, state: bytes, data: bytes) -> list[tuple[int, Port]]:
    """``sl local_address rem_address st … inode``; addresses are ``HEX:PORT``, the port in hex. Raises ``ValueError``."""
    rows = (row.split() for row in data.splitlines()[1:])
    return [
        (int(fields[9]), Port(protocol, int(fields[1].rpartition(b":")[2], 16)))
        for fields in rows
        if len(fields) > 9 and fields[3] == state
    ]


def ports_of(pid: int, sockets: Mapping[int, Port]) -> frozenset[Port]:
    """Those of the sockets that the process itself holds open; none where its descriptors can't be read."""
    if not sockets:
        return frozenset()
    held = set()
    directory = f"{PROC}/{pid}/fd"
    try:
        descriptors = names(directory)
    except OSError:
        return frozenset()
    for descriptor in descriptors:
        try:
            target = link(f"{directory}/{descriptor}")
        except OSError:
            continue  # closed meanwhile
        if target.startswith("socket:["):
            port = sockets.get(int(target[8:-1]))
            if port is not None:
                held.add(port)
    return frozenset(held)
