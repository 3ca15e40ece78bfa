"""Take the snapshots of many sessions at once: first all of them into a workplace, then to the disk, then under their names.

A power failure must not leave a snapshot that is empty behind a name that says it is there, so files are synced before they
are renamed. All at the end: most are on the disk by then, and it costs a third of syncing each as it is written (200 sessions
on ext4: 0.7 ms each). Nothing is killed before all of this is done.
"""

from __future__ import annotations

import os
import shutil
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from workspace_reaper.model.ports import Terminal
from workspace_reaper.model.snapshot import (
    CapturedPane,
    CapturedSession,
    CaptureFailure,
    SessionSnapshot,
    SnapshotOrder,
    WindowSnapshot,
)
from workspace_reaper.snapshots.files import SESSION_FILE, make_directory, pane_file, why_not
from workspace_reaper.snapshots.format import to_json
from workspace_reaper.util.files import create_private_file, sync

__all__ = ["SnapshotWriter"]

_LEVEL = 1
"""A sweep waits for it. Of 16 MB with a colour on each character, the worst case, 1 makes 2.4 MB in 57 ms, and 6 1.8 MB in
360 ms."""
_GZIP = 16 + zlib.MAX_WBITS
_SPOOL = "spool"
_LITTLE = 1 << 20


class SnapshotWriter:
    """The snapshots of these orders, on their way from ``work`` (a workplace) to ``root``."""

    def __init__(self, root: Path, work: Path, orders: Sequence[SnapshotOrder], now: Callable[[], float]) -> None:
        self._root = root
        self._work = work
        self._now = now
        self._orders = {order.key: order for order in orders}
        self._finished: list[str] = []
        self._failures: dict[str, str] = {}

    def run(self, terminal: Terminal, lines: int) -> Mapping[str, str]:
        """Take them all; why not, by reap id, for those that failed. Raises ``OSError`` only where the names of what was taken
        did not reach the disk."""
        try:
            self._capture(terminal, lines)
        except OSError as error:
            for order in self._orders.values():
                if order.reap_id not in self._finished:
                    self._give_up(order.reap_id, why_not(error, self._root))
        for reap_id in self._finished:
            try:
                self._publish(reap_id)
            except OSError as error:
                self._give_up(reap_id, why_not(error, self._root))
        sync(self._root)
        return self._failures

    def _capture(self, terminal: Terminal, lines: int) -> None:
        """Write all of them into the workplace. Raises ``OSError`` for the spool."""
        with os.fdopen(create_private_file(self._work / _SPOOL), "r+b", buffering=0) as spool:
            for part in terminal.capture(list(self._orders), lines=lines, spool=spool):
                order = self._orders[part.key]
                if order.reap_id in self._failures:
                    continue
                try:
                    self._take(order, part)
                except OSError as error:
                    self._give_up(order.reap_id, why_not(error, self._root))

    def _take(self, order: SnapshotOrder, part: CapturedPane | CapturedSession | CaptureFailure) -> None:
        directory = self._work / order.reap_id
        if isinstance(part, CaptureFailure):
            self._give_up(order.reap_id, self._disk_or(part.why))
        elif isinstance(part, CapturedPane):
            if not directory.exists():
                make_directory(directory)
            _write(directory / pane_file(part.pane_id), _compressed(part.content))
        else:
            snapshot = _snapshot(order, part, self._now())
            _write(directory / SESSION_FILE, [to_json(snapshot)])
            self._finished.append(order.reap_id)

    def _publish(self, reap_id: str) -> None:
        """Bring it to the disk, and then under its name."""
        directory, target = self._work / reap_id, self._root / reap_id
        for path in [*directory.iterdir(), directory]:
            sync(path)
        if target.exists():  # kept before, by a sweep that ended before its kill
            target.rename(self._work / f"{reap_id}.old")
        directory.rename(target)

    def _give_up(self, reap_id: str, why: str) -> None:
        self._failures[reap_id] = why
        shutil.rmtree(self._work / reap_id, ignore_errors=True)

    def _disk_or(self, why: str) -> str:
        """A tmux client that can't write its answer says nothing about it."""
        if shutil.disk_usage(self._work).free >= _LITTLE:
            return why
        return f"{why} The disk that holds {self._root} is full: free some space there, or lower snapshot_bytes."


def _snapshot(order: SnapshotOrder, session: CapturedSession, now: float) -> SessionSnapshot:
    return SessionSnapshot(
        reap_id=order.reap_id,
        taken_at=now,
        key=order.key,
        session=order.session,
        workspace_id=order.workspace_id,
        activity=order.activity,
        version=order.version,
        width=session.width,
        height=session.height,
        windows=tuple(_with_commands(window, order.commands) for window in session.windows),
    )


def _with_commands(window: WindowSnapshot, commands: Mapping[str, tuple[str, ...]]) -> WindowSnapshot:
    return replace(window, panes=tuple(replace(pane, argv=commands.get(pane.pane_id, ())) for pane in window.panes))


def _write(path: Path, chunks: Iterable[bytes]) -> None:
    with os.fdopen(create_private_file(path), "wb") as file:
        for chunk in chunks:
            file.write(chunk)


def _compressed(chunks: Iterable[bytes]) -> Iterable[bytes]:
    compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
    for chunk in chunks:
        yield compressor.compress(chunk)
    yield compressor.flush()
