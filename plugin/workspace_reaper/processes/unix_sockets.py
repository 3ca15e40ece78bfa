"""Unix sockets and who is connected to them, from the kernel's socket diagnostics (``sock_diag(7)``). Linux only."""

from __future__ import annotations

import socket
import struct
from typing import NamedTuple

# From <linux/sock_diag.h>, <linux/unix_diag.h> and <linux/netlink.h>.
_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_REQUEST_DUMP = 0x301
_MESSAGE_ERROR, _MESSAGE_DONE = 2, 3
_ESTABLISHED, _CLOSED, _LISTENS = 1, 7, 10
_SHOW_NAME, _SHOW_FILE, _SHOW_PEER, _SHOW_WAITING = 1, 2, 4, 8
_NAME, _FILE, _PEER, _WAITING = 0, 1, 2, 3

_HEADER = struct.Struct("=IHHII")
_REQUEST = struct.Struct("=BBHIIIII")
_ANSWER = struct.Struct("=BBBBIII")
_ATTRIBUTE = struct.Struct("=HH")
_SHOW = _SHOW_NAME | _SHOW_FILE | _SHOW_PEER | _SHOW_WAITING
_NO_COOKIE = 0xFFFFFFFF

# Seconds.
_LIMIT = 1.0


class UnixSocket(NamedTuple):
    """A Unix socket. ``name`` is its path or abstract name, empty if it has none. ``peer`` is the inode of the socket at the
    other end, ``file`` the kernel's number of the file at the path, and ``waiting`` the inodes of the clients whose connections
    a listening socket has not accepted yet. Of a datagram socket and its clients, only each client has a peer."""

    inode: int
    is_datagram: bool
    listens: bool
    name: bytes
    peer: int | None
    file: bytes
    waiting: tuple[int, ...]

    @property
    def address(self) -> tuple[bytes, bytes]:
        """What a listening socket and those that it has accepted have in common. A path may be relative, or bound again."""
        return self.name, self.file


def unix_sockets() -> list[UnixSocket]:
    """Return the Unix sockets of this network namespace. Raise ``OSError`` if the kernel does not report them."""
    # Before Linux 5.15 a datagram socket is always closed, and later the one that its clients are connected to may be.
    states = 1 << _ESTABLISHED | 1 << _CLOSED | 1 << _LISTENS
    request = _REQUEST.pack(socket.AF_UNIX, 0, 0, states, 0, _SHOW, _NO_COOKIE, _NO_COOKIE)
    header = _HEADER.pack(_HEADER.size + len(request), _SOCK_DIAG_BY_FAMILY, _REQUEST_DUMP, 1, 0)
    found: list[UnixSocket] = []
    with socket.socket(getattr(socket, "AF_NETLINK", 16), socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as connection:
        connection.settimeout(_LIMIT)
        connection.send(header + request)
        while _read(connection.recv(1 << 16), found):
            pass
    return found


def _read(data: bytes, found: list[UnixSocket]) -> bool:
    """Add the sockets of one datagram. Return whether more follow. Raise ``OSError`` for the kernel's refusal."""
    at = 0
    while at + _HEADER.size <= len(data):
        length, kind, *_ = _HEADER.unpack_from(data, at)
        if kind == _MESSAGE_DONE:
            return False
        if kind == _MESSAGE_ERROR or length < _HEADER.size:
            raise OSError("the kernel does not report Unix sockets")
        found.append(_socket(data[at + _HEADER.size : at + length]))
        at += _aligned(length)
    return bool(data)


def _socket(message: bytes) -> UnixSocket:
    _, socket_type, state, _, inode, _, _ = _ANSWER.unpack_from(message)
    attributes: dict[int, bytes] = {}
    at = _ANSWER.size
    while at + _ATTRIBUTE.size <= len(message):
        length, kind = _ATTRIBUTE.unpack_from(message, at)
        attributes[kind] = message[at + _ATTRIBUTE.size : at + length]
        at += max(_ATTRIBUTE.size, _aligned(length))
    peer = attributes.get(_PEER)
    waiting = tuple(inode for (inode,) in struct.iter_unpack("=I", attributes.get(_WAITING, b"")))
    return UnixSocket(
        inode,
        socket_type == socket.SOCK_DGRAM,
        state == _LISTENS,
        attributes.get(_NAME, b""),
        int.from_bytes(peer, "little") if peer else None,
        attributes.get(_FILE, b""),
        waiting,
    )


def _aligned(length: int) -> int:
    return (length + 3) & ~3
