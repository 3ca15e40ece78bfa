"""A simulated tree of directories: file systems, mounts, symbolic links, and what hangs.

Paths are resolved as the kernel does it, and a directory that is removed lives on as long as somebody works in it.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Collection, Iterator

from tests.simulation.memory.nodes import FileSystem, NoAnswer, Node, all_below, entries_of, entry, system_error

__all__ = ["MemoryTree", "NoAnswer", "Node"]

_LINKS = 40
_LONGEST_PATH = 4096


class MemoryTree:
    """All directories of a machine. Identities repeat as they do on a real one: the device of a file system that was unmounted
    is given to the next, and each counts its inodes from 1."""

    def __init__(self) -> None:
        self._devices: dict[int, FileSystem] = {}
        self._resolved: dict[tuple[str, bool], Node | OSError | NoAnswer] = {}
        self.root = self._new_system()

    # What a user, a host or an operator does

    def make(self, path: str, *, inode: int | None = None) -> Node:
        """Make a directory, and those above it that are missing.

        ``inode`` gives it that of one that was removed, as file systems do.
        """
        return self._add(path, inode, {}, None)

    def make_file(self, path: str) -> Node:
        return self._add(path, None, None, None)

    def link(self, path: str, target: str) -> Node:
        """Make a symbolic link."""
        return self._add(path, None, None, target)

    def remove(self, path: str) -> None:
        """Remove what is there, with all below it. Of a symbolic link only the link."""
        node = self.resolve(path, follow=False)
        if node.parent is None or node.covers is not None or _is_busy(node):
            raise system_error(errno.EBUSY)
        entries_of(node.parent).pop(node.name)
        _remove(node)
        self._resolved.clear()

    def move(self, old: str, new: str) -> None:
        """Rename it. What works in it stays in it."""
        node = self.resolve(old, follow=False)
        place, name = self._place(new)
        if node.parent is None or name in entries_of(place):
            raise system_error(errno.EEXIST)
        entries_of(node.parent).pop(node.name)
        node.parent, node.name = place, name
        entries_of(place)[name] = node
        self._resolved.clear()

    def mount(self, path: str, root: Node | None = None) -> None:
        """Mount an empty file system there, or again one that was unmounted, by its root."""
        place = self.resolve(path)
        made = root or self._new_system()
        self._devices[made.system.device] = made.system
        place.mounted, made.covers = made, place
        self._resolved.clear()

    def unmount(self, path: str) -> Node:
        """Detach the file system that is mounted there, and return its root. What works in it stays in it."""
        root = self.resolve(path)
        if root.covers is None:
            raise system_error(errno.EINVAL)
        root.covers.mounted = None
        root.covers = None
        self._devices.pop(root.system.device)
        self._resolved.clear()
        return root

    def hang(self, path: str, *, on: bool = True) -> None:
        """A request for it, or for something below it, gets no answer from now on. Off: everything answers again."""
        if on:
            self.resolve(path, follow=False).hangs = True
        else:
            for node in all_below(self.root):
                node.hangs = False
        self._resolved.clear()

    # What paths lead to

    def resolve(self, path: str, *, follow: bool = True) -> Node:
        """Return what is at the path. Raise ``OSError``, ``ValueError`` or `NoAnswer`.

        Args:
            path: An absolute path.
            follow: Whether to follow a symbolic link that is there.
        """
        found = self._resolved.get((path, follow))
        if found is None:
            try:
                found = self._walk(path, follow)
            except (OSError, NoAnswer) as error:
                found = error
            self._resolved[path, follow] = found
        if isinstance(found, Node):
            return found
        raise found

    def at(self, path: str) -> str | None:
        """Return the identity of what is at the path, None if nothing is. A symbolic link is not followed."""
        try:
            return self.resolve(path, follow=False).identity
        except FileNotFoundError:
            return None

    def real_path(self, path: str) -> str:
        """Return the path without symbolic links. What is missing is taken as it is written."""
        text = ""
        for name in path.split("/"):
            if name == "..":
                text = text.rpartition("/")[0]
            elif name not in ("", "."):
                text = self._real_step(text, name)
        return text or "/"

    def is_inside(self, directory: Node, path: str, homes: Collection[str]) -> bool:
        """Return whether a working directory is the one at the path or below it; see ``Processes.is_inside``."""
        if not path.startswith("/"):
            return False
        try:
            wanted = self.resolve(path)
        except FileNotFoundError:
            return directory.is_removed and self._is_below_removed(directory, path, homes)
        except (OSError, ValueError, NoAnswer):
            return False
        is_too_wide = wanted is self.root or any(wanted in home.upwards() for home in self._there(homes))
        return not is_too_wide and wanted in directory.upwards()

    def _is_below_removed(self, directory: Node, path: str, homes: Collection[str]) -> bool:
        real = self.real_path(path)
        if self._exists(real):
            return False
        return not any(_is_below(self.real_path(home), real) for home in homes) and _is_below(directory.path(), real)

    def _there(self, homes: Collection[str]) -> Iterator[Node]:
        for home in homes:
            try:
                yield self.resolve(home)
            except (OSError, NoAnswer):
                continue

    def _exists(self, path: str) -> bool:
        try:
            return self.at(path) is not None
        except (OSError, NoAnswer):
            return False

    def _real_step(self, text: str, name: str) -> str:
        path = f"{text}/{name}"
        try:
            return self.resolve(path).path().rstrip("/")
        except FileNotFoundError:
            target = self.resolve(path, follow=False).target if self._exists(path) else None
            return path if target is None else self.real_path(target if target.startswith("/") else f"{text}/{target}")
        except OSError:
            return path

    def _walk(self, path: str, follow: bool) -> Node:
        if "\0" in path:
            raise ValueError("embedded null byte")
        if len(os.fsencode(path)) >= _LONGEST_PATH:
            raise system_error(errno.ENAMETOOLONG)
        if not path.startswith("/"):
            raise system_error(errno.ENOENT)
        node, links = self.root, 0
        pending = path.split("/")[::-1]
        while pending:
            name = pending.pop()
            if node.entries is None:
                raise system_error(errno.ENOTDIR)
            if name in ("", "."):
                continue
            child = node.up() if name == ".." else entry(node, name)
            if child.target is not None and (pending or follow):
                links += 1
                if links > _LINKS:
                    raise system_error(errno.ELOOP)
                node = self.root if child.target.startswith("/") else node
                pending.extend(child.target.split("/")[::-1])
                continue
            node = child
        return node

    def _add(self, path: str, inode: int | None, entries: dict[str, Node] | None, target: str | None) -> Node:
        place, name = self._place(path)
        if name in entries_of(place):
            raise system_error(errno.EEXIST)
        if inode is None:
            place.system.last_inode += 1
        node = Node(place.system, place.system.last_inode if inode is None else inode, name, place, entries, target)
        entries_of(place)[name] = node
        self._resolved.clear()
        return node

    def _place(self, path: str) -> tuple[Node, str]:
        """The directory that contains the path, made if it is missing, and the name in it."""
        above, _, name = path.rstrip("/").rpartition("/")
        try:
            return self.resolve(above or "/"), name
        except FileNotFoundError:
            return self.make(above), name

    def _new_system(self) -> Node:
        device = next(number for number in range(1, len(self._devices) + 2) if number not in self._devices)
        system = self._devices[device] = FileSystem(device, 1)
        return Node(system, 1, "", None, {})


def _is_busy(node: Node) -> bool:
    return any(one.mounted is not None for one in all_below(node))


def _remove(node: Node) -> None:
    for one in list(all_below(node)):
        one.is_removed = True


def _is_below(path: str, top: str) -> bool:
    return path == top or path.startswith(f"{top}/")
