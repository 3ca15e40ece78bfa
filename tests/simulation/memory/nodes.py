"""The nodes of a simulated tree: directories, files and symbolic links, of file systems that can be mounted."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass, field

__all__ = ["FileSystem", "NoAnswer", "Node", "all_below", "entries_of", "entry", "system_error"]

_LONGEST_NAME = 255


class NoAnswer(Exception):
    """A server that holds this directory does not answer: a real caller would be blocked."""


@dataclass(slots=True)
class FileSystem:
    device: int
    last_inode: int = 0


@dataclass(slots=True, eq=False)
class Node:
    """A directory, a file (``entries`` is None), or a symbolic link (with a ``target``).

    ``mounted`` is the root of the file system that is mounted on it, and ``covers`` the directory on which a root is mounted.
    """

    system: FileSystem
    inode: int
    name: str
    parent: Node | None
    entries: dict[str, Node] | None = None
    target: str | None = None
    is_removed: bool = False
    hangs: bool = False
    mounted: Node | None = None
    covers: Node | None = None
    identity: str = field(init=False)

    def __post_init__(self) -> None:
        self.identity = f"{self.system.device}:{self.inode}"

    @property
    def links(self) -> int:
        """The number of links, 0 once it was removed."""
        return 0 if self.is_removed else 2 + sum(one.entries is not None for one in (self.entries or {}).values())

    def up(self) -> Node:
        """What ``..`` is in it. The root is its own parent, and so is that of a file system that is not mounted any more."""
        node = self
        while node.covers is not None:
            node = node.covers
        return node.parent or node

    def upwards(self) -> Iterator[Node]:
        """Yield it and all above it up to the root."""
        node = self
        while True:
            yield node
            above = node.up()
            if above is node:
                return
            node = above

    def path(self) -> str:
        """Its path, which is that before its removal if it was removed."""
        names: list[str] = []
        node = self
        while True:
            while node.covers is not None:
                node = node.covers
            if node.parent is None:
                return "/" + "/".join(reversed(names))
            names.append(node.name)
            node = node.parent


def entry(node: Node, name: str) -> Node:
    """What is in the directory under that name: the root of what is mounted there, if anything is."""
    if len(os.fsencode(name)) > _LONGEST_NAME:
        raise system_error(errno.ENAMETOOLONG)
    child = entries_of(node).get(name)
    if child is None:
        raise system_error(errno.ENOENT)
    while child.mounted is not None:
        child = child.mounted
    if child.hangs:
        raise NoAnswer
    return child


def entries_of(node: Node) -> dict[str, Node]:
    if node.entries is None:
        raise system_error(errno.ENOTDIR)
    return node.entries


def all_below(node: Node) -> Iterator[Node]:
    """It and all below it, and what is mounted there."""
    yield node
    for child in [*(node.entries or {}).values(), *filter(None, [node.mounted])]:
        yield from all_below(child)


def system_error(number: int) -> OSError:
    return OSError(number, os.strerror(number))
