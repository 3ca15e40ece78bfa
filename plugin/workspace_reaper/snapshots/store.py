"""``SnapshotStore``: the port ``Snapshots`` on a directory."""

from __future__ import annotations

import gzip
import os
import stat
import time
import zlib
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from workspace_reaper.model.errors import SnapshotError
from workspace_reaper.model.ports import Terminal
from workspace_reaper.model.snapshot import SessionSnapshot, SnapshotOrder
from workspace_reaper.snapshots.files import SESSION_FILE, is_reap_id, pane_file, why_not, workplace
from workspace_reaper.snapshots.format import from_json
from workspace_reaper.snapshots.retention import discard, is_kept, prune
from workspace_reaper.snapshots.write import SnapshotWriter
from workspace_reaper.util.text import readable_lines

__all__ = ["SnapshotStore"]


class SnapshotStore:
    """The snapshots under ``state_dir``, each in a directory named by its reap: ``session.json``, and ``pane-N.gz`` for pane
    ``%N``. At most ``lines`` of each pane are kept, for ``days``, and ``max_bytes`` of all together.

    Building it touches nothing. Safe beside another process with the same directory.
    """

    def __init__(self, state_dir: Path, *, lines: int, days: int, max_bytes: int) -> None:
        self._root = state_dir / "snapshots"
        self._lines = lines
        self._days = days
        self._max_bytes = max_bytes

    def take(self, terminal: Terminal, orders: Sequence[SnapshotOrder]) -> Mapping[str, str]:
        """Keep the panes of these sessions, each whole or not at all. Those that are not kept, by reap id, each with the reason
        for a person. What was kept under the same id before is replaced. Never raises for tmux or for the disk."""
        sound = [order for order in orders if is_reap_id(order.reap_id)]
        failures = {
            order.reap_id: f"{order.reap_id!r} is no id of a reap." for order in orders if not is_reap_id(order.reap_id)
        }
        if not sound:
            return failures
        try:
            with workplace(self._root) as work:
                failures |= SnapshotWriter(self._root, work, sound, time.time).run(terminal, self._lines)
        except OSError as error:
            failures |= {order.reap_id: why_not(error, self._root) for order in sound}
        return failures

    def has(self, reap_id: str) -> bool:
        """Whether something was kept under that id. It may have been damaged since: ``read`` tells."""
        return is_kept(self._root, reap_id)

    def read(self, reap_id: str) -> SessionSnapshot:
        """The snapshot, but for the content of its panes. Raises ``SnapshotError`` if it is missing or damaged."""
        path = self._path(reap_id, SESSION_FILE)
        try:
            with _opened(path) as file:
                snapshot = from_json(file.read())
            if snapshot.reap_id != reap_id:
                raise ValueError(f"it is the one of {snapshot.reap_id}")
        except (OSError, ValueError) as error:
            raise _unreadable(path, error) from error
        return snapshot

    def scrollback(self, reap_id: str, pane_id: str) -> Iterator[bytes]:
        """The lines of that pane, oldest first, each with its newline, as tmux told them. They are read as they are asked for.
        Raises ``SnapshotError``, also on the way, if they are missing or damaged."""
        path = self._path(reap_id, _pane_file(pane_id))
        try:
            with _opened(path) as file, gzip.open(file) as lines:
                yield from lines
        except (OSError, EOFError, zlib.error) as error:
            raise _unreadable(path, error) from error

    def last_screen(self, reap_id: str, pane_id: str, *, colours: bool = True) -> tuple[str, ...]:
        """What the pane showed at last: lines to be printed, each with its own colours, control characters escaped. Raises
        ``SnapshotError``."""
        panes = (pane for window in self.read(reap_id).windows for pane in window.panes)
        height = next((pane.height for pane in panes if pane.pane_id == pane_id), None)
        if height is None:
            raise SnapshotError(f"The snapshot {reap_id} has no pane {pane_id!r}.")
        # All of them are read: a colour may have been switched on long before the screen begins.
        return tuple(deque(readable_lines(self.scrollback(reap_id, pane_id), colours=colours), maxlen=height))

    def discard(self, reap_ids: Collection[str]) -> None:
        """Remove what was kept under these ids. Never raises for the disk: what stays goes when it is too old."""
        discard(self._root, reap_ids)

    def prune(self, now: float, spare: Collection[str]) -> int:
        """Remove what is older than ``days`` by its id, then the oldest above ``max_bytes``, but for these ids; and what a
        crash left behind. How many snapshots are gone. Never raises for the disk."""
        return prune(self._root, now, days=self._days, max_bytes=self._max_bytes, spare=spare)

    def _path(self, reap_id: str, name: str) -> Path:
        if not is_kept(self._root, reap_id):
            raise SnapshotError(
                f"Nothing is kept of the reap {reap_id!r}: its snapshot was not taken, or removed when too old."
            )
        return self._root / reap_id / name


def _pane_file(pane_id: str) -> str:
    try:
        return pane_file(pane_id)
    except ValueError as error:
        raise SnapshotError(str(error)) from error


def _opened(path: Path) -> BinaryIO:
    """The file, if it is a regular one, no symbolic link, and not empty (gzip takes that for no text). Raises ``OSError``."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    info = os.fstat(descriptor)
    if not stat.S_ISREG(info.st_mode) or not info.st_size:
        os.close(descriptor)
        raise OSError("it is no regular file, or empty")
    return os.fdopen(descriptor, "rb")


def _unreadable(path: Path, error: Exception) -> SnapshotError:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else error
    return SnapshotError(f"The snapshot's file {path} can't be read: {reason}.")
