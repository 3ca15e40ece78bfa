"""The port ``Snapshots`` over a directory."""

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
from workspace_reaper.model.ports import Snapshots, Terminal
from workspace_reaper.model.snapshot import SessionSnapshot, SnapshotOrder
from workspace_reaper.snapshots.files import SESSION_FILE, is_reap_id, pane_file, staging_directory, why_not
from workspace_reaper.snapshots.format import from_json
from workspace_reaper.snapshots.retention import discard, is_kept, prune
from workspace_reaper.snapshots.write import SnapshotWriter
from workspace_reaper.util.text import readable_lines


class SnapshotStore(Snapshots):
    """The snapshots in ``state_dir/snapshots``, each in a directory named by its reap: ``session.json``, and ``pane-N.gz`` for
    pane ``%N``.

    Creating this object touches nothing. Several processes may use the same directory.

    Args:
        state_dir: The reaper's state directory.
        lines: At most this many lines of each pane are kept.
        days: How long a snapshot is kept.
        max_bytes: The limit of all snapshots together, in bytes.
    """

    def __init__(self, state_dir: Path, *, lines: int, days: int, max_bytes: int) -> None:
        self._root = state_dir / "snapshots"
        self._lines = lines
        self._days = days
        self._max_bytes = max_bytes

    def take(self, terminal: Terminal, orders: Sequence[SnapshotOrder]) -> Mapping[str, str]:
        sound = [order for order in orders if is_reap_id(order.reap_id)]
        failures = {order.reap_id: f"{order.reap_id!r} is not a reap id." for order in orders if not is_reap_id(order.reap_id)}
        if not sound:
            return failures
        try:
            with staging_directory(self._root) as work:
                failures |= SnapshotWriter(self._root, work, sound, time.time).run(terminal, self._lines)
        except OSError as error:
            failures |= {order.reap_id: why_not(error, self._root) for order in sound}
        return failures

    def has(self, reap_id: str) -> bool:
        return is_kept(self._root, reap_id)

    def read(self, reap_id: str) -> SessionSnapshot:
        path = self._path(reap_id, SESSION_FILE)
        try:
            with _opened(path) as file:
                snapshot = from_json(file.read())
            if snapshot.reap_id != reap_id:
                raise ValueError(f"it belongs to the reap {snapshot.reap_id}")
        except (OSError, ValueError) as error:
            raise _unreadable(path, error) from error
        return snapshot

    def scrollback(self, reap_id: str, pane_id: str) -> Iterator[bytes]:
        path = self._path(reap_id, _pane_file(pane_id))
        try:
            with _opened(path) as file, gzip.open(file) as lines:
                yield from lines
        except (OSError, EOFError, zlib.error) as error:
            raise _unreadable(path, error) from error

    def last_screen(self, reap_id: str, pane_id: str, *, colours: bool = True) -> tuple[str, ...]:
        panes = (pane for window in self.read(reap_id).windows for pane in window.panes)
        height = next((pane.height for pane in panes if pane.pane_id == pane_id), None)
        if height is None:
            raise SnapshotError(f"The snapshot {reap_id} has no pane {pane_id!r}.")
        # All lines are read: a colour may have been switched on long before the screen begins.
        return tuple(deque(readable_lines(self.scrollback(reap_id, pane_id), colours=colours), maxlen=height))

    def discard(self, reap_ids: Collection[str]) -> None:
        discard(self._root, reap_ids)

    def prune(self, now: float, spare: Collection[str]) -> int:
        return prune(self._root, now, days=self._days, max_bytes=self._max_bytes, spare=spare)

    def _path(self, reap_id: str, name: str) -> Path:
        if not is_kept(self._root, reap_id):
            raise SnapshotError(
                f"The reap {reap_id!r} has no snapshot: it was not taken, or it was removed when it was too old."
            )
        return self._root / reap_id / name


def _pane_file(pane_id: str) -> str:
    try:
        return pane_file(pane_id)
    except ValueError as error:
        raise SnapshotError(str(error)) from error


def _opened(path: Path) -> BinaryIO:
    """Open a regular file that is not empty: gzip would read an empty one as empty text. Raises ``OSError``."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    info = os.fstat(descriptor)
    if not stat.S_ISREG(info.st_mode) or not info.st_size:
        os.close(descriptor)
        raise OSError("it is empty or not a regular file")
    return os.fdopen(descriptor, "rb")


def _unreadable(path: Path, error: Exception) -> SnapshotError:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else error
    return SnapshotError(f"The snapshot's file {path} cannot be read: {reason}.")
