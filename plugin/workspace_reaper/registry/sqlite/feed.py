"""File events, as a hint that somebody may have written to a database: they spare a feed the waiting for its next poll."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from watchfiles._rust_notify import RustNotify

__all__ = ["FileEvents"]

_STEP_MS = 100
"""watchfiles looks that often whether there were events, so this is what idling costs; it reports them one or two later."""

_RETRY = 60.0
"""Seconds until another try where the system gave no watcher."""

_WRITTEN = ("", "-journal", "-wal")
"""What SQLite appends to the names of the files that a commit writes."""

_Watched = tuple[tuple[str, int, int], ...]


class FileEvents:
    """Events of database files and of their journals. It watches their directories, so that a file may come and go.

    The system may have no events (network file systems), no watcher left (inotify's limits), or a name nearby that is no
    text, at which watchfiles stops. Then a wait only waits. For one thread; ``closed`` ends a wait from any other.
    """

    def __init__(self, closed: threading.Event) -> None:
        self._closed = closed
        self._watcher: RustNotify | None = None
        self._watched: _Watched | None = None
        self._retry_at = 0.0

    def wait(self, files: Collection[str], seconds: float) -> bool:
        """Wait until one of these files (absolute paths) was written to, made, moved or removed; whether it was."""
        deadline = time.monotonic() + seconds
        self._follow(files)
        if self._watcher is not None:
            try:
                return self._heard(self._watcher, {Path(file).name + end for file in files for end in _WRITTEN}, deadline)
            except RuntimeError:  # watchfiles' own error: the watcher is of no more use
                self._give_up()
        self._closed.wait(max(0.0, deadline - time.monotonic()))
        return False

    def close(self) -> None:
        """End the watcher."""
        if self._watcher is not None:
            self._watcher.close()
        self._watcher = self._watched = None

    def _heard(self, watcher: RustNotify, names: Collection[str], deadline: float) -> bool:
        # A deadline of our own: watchfiles measures its timeout with the wall clock, which may be set back.
        until = _Until(deadline, self._closed)
        while True:
            answer = watcher.watch(_STEP_MS, _STEP_MS, 0, until)
            if answer == "signal":  # in the main thread; watchfiles has taken the exception
                raise KeyboardInterrupt
            if isinstance(answer, str):
                return False
            if any(os.path.basename(path) in names for _, path in answer):  # noqa: PTH119 - a Path for each costs more
                return True

    def _follow(self, files: Collection[str]) -> None:
        """Watch the directories of these files, as they are at this moment."""
        watched = _directories(files)
        if watched != self._watched:
            self.close()
            self._watched, self._retry_at = watched, 0.0
        if self._watcher is None and watched and time.monotonic() >= self._retry_at:
            from watchfiles._rust_notify import RustNotify

            try:
                # No polling of its own: without events ours costs less.
                self._watcher = RustNotify([path for path, _, _ in watched], False, False, 0, False, True)
            except (OSError, RuntimeError, UnicodeError):
                self._give_up()

    def _give_up(self) -> None:
        watched = self._watched
        self.close()
        self._watched, self._retry_at = watched, time.monotonic() + _RETRY


class _Until:
    """An event that is set once the deadline has passed, or that other event is set."""

    def __init__(self, deadline: float, closed: threading.Event) -> None:
        self._deadline = deadline
        self._closed = closed

    def is_set(self) -> bool:
        return self._closed.is_set() or time.monotonic() >= self._deadline


def _directories(files: Collection[str]) -> _Watched:
    """The directories that exist, each with its device and inode: one that was made anew has to be watched anew."""
    found: dict[str, tuple[str, int, int]] = {}
    for file in files:
        directory = str(Path(file).parent)
        try:
            status = Path(directory).stat()
        except OSError:
            continue
        found[directory] = (directory, status.st_dev, status.st_ino)
    return tuple(sorted(found.values()))
