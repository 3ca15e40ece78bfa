"""Details of single processes, from ``/proc/PID``."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress

from workspace_reaper.model.process import Details, Port
from workspace_reaper.processes.proc_files import PROC, link, names, read


def read_details(pid: int, sockets: Mapping[int, Port]) -> Details | None:
    """Return the details of what has this pid now; None if nothing can be read. ``sockets`` are those that listen, by inode."""
    base = f"{PROC}/{pid}"
    try:
        status = read(base + "/status")
    except OSError:
        return None
    argv = _argv(base)
    return Details(
        command=command_text(argv, _field(status, b"Name").decode("utf-8", "replace")),
        argv=argv,
        uids=_uids(status),
        memory_bytes=_memory(base, status),
        ports=ports_of(pid, sockets),
    )


def command_text(argv: Sequence[str], name: str) -> str:
    """Return the command line for display, quoted for a shell; ``name`` if it is empty.

    Bytes that are not UTF-8 become U+FFFD; control characters are kept. Empty arguments at the end are left out: a program
    that sets a title fills its old arguments with them.
    """
    words = list(argv)
    while words and not words[-1]:
        words.pop()
    return os.fsencode(shlex.join(words)).decode("utf-8", "replace") or name


def _argv(base: str) -> tuple[str, ...]:
    """Return the arguments. Each is terminated by NUL, except where a program has written a title over them.

    Undecodable bytes are escaped as Python does in its own arguments (PEP 383).
    """
    try:
        data = read(base + "/cmdline")
    except OSError:
        return ()
    return tuple(os.fsdecode(word) for word in data.removesuffix(b"\0").split(b"\0")) if data else ()


def _field(data: bytes, name: bytes) -> bytes:
    """Return the value in the line ``name:\\tvalue``, empty without that line. The kernel escapes a newline in a value."""
    _, _, rest = (b"\n" + data).partition(b"\n" + name + b":")
    return rest.partition(b"\n")[0].strip()


def _uids(status: bytes) -> frozenset[int] | None:
    """Return the real, effective, saved and file system uid."""
    try:
        return frozenset(int(uid) for uid in _field(status, b"Uid").split()) or None
    except ValueError:
        return None


def _memory(base: str, status: bytes) -> int:
    """Return the proportional set size, which only the process's own user may read; else the resident one; else 0."""
    try:
        size = _field(read(base + "/smaps_rollup"), b"Pss")
    except OSError:
        size = b""
    size = size or _field(status, b"VmRSS")
    digits = size.removesuffix(b" kB")
    return int(digits) * 1024 if digits.isdigit() else 0


# The state of a TCP socket that listens, and of a UDP socket that is bound and not connected: a connected one is a client's.
_STATES = {"tcp": b"0A", "udp": b"07"}

_SIZE = 65536


def listening_sockets() -> list[tuple[int, Port]]:
    """Return the listening sockets of this network namespace, each with its inode. A missing file (no IPv6) has none."""
    found = []
    for protocol, state in _STATES.items():
        for family in ("", "6"):
            with suppress(OSError, ValueError):
                found += _listening(protocol, state, read(f"{PROC}/net/{protocol}{family}", _SIZE))
    return found


def _listening(protocol: str, state: bytes, data: bytes) -> list[tuple[int, Port]]:
    """Parse ``sl local_address rem_address st … inode``; addresses are ``HEX:PORT``, the port in hex. Raise ``ValueError``."""
    rows = (row.split() for row in data.splitlines()[1:])
    return [
        (int(fields[9]), Port(protocol, int(fields[1].rpartition(b":")[2], 16)))
        for fields in rows
        if len(fields) > 9 and fields[3] == state
    ]


def ports_of(pid: int, sockets: Mapping[int, Port]) -> frozenset[Port]:
    """Return the ports of those sockets that the process itself holds open; none if its descriptors cannot be read."""
    held = set()
    directory = f"{PROC}/{pid}/fd"
    with suppress(OSError):
        for descriptor in names(directory) if sockets else ():
            with suppress(OSError):  # closed meanwhile
                target = link(f"{directory}/{descriptor}")
                if target.startswith("socket:[") and (port := sockets.get(int(target[8:-1]))):
                    held.add(port)
    return frozenset(held)
