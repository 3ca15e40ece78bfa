"""Take the snapshots of many sessions: write them to a staging directory, sync them to the disk, then give them their names.

A power failure must not leave an empty snapshot with a name that claims it is complete, so files are synced before they are
renamed. All are synced at the end: most are on the disk by then, and it takes a third of syncing each as it is written (200
sessions on ext4: 0.7 ms each). No session is killed before all of this is done.
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

# A sweep waits for the compression. In the worst case, 16 MB with a colour on each character, level 1 makes 2.4 MB in 57 ms and
# level 6 makes 1.8 MB in 360 ms.
_LEVEL = 1
_GZIP = 16 + zlib.MAX_WBITS
_SPOOL = "spool"
_LITTLE = 1 << 20


class SnapshotWriter:
    """Writes the snapshots of these orders to ``work``, a staging directory, and moves them to ``root``."""

    def __init__(self, root: Path, work: Path, orders: Sequence[SnapshotOrder], now: Callable[[], float]) -> None:
        self._root = root
        self._work = work
        self._now = now
        self._orders = {order.key: order for order in orders}
        self._finished: list[str] = []
        self._failures: dict[str, str] = {}

    def run(self, terminal: Terminal, lines: int) -> Mapping[str, str]:
        """Take all snapshots, and return the reasons of those that failed, by reap id.

        Raises:
            OSError: The new names did not reach the disk.
        """
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
        """Write all of them to the staging directory. Raises ``OSError`` for the spool."""
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
        """Sync a snapshot to the disk, and then give it its name."""
        directory, target = self._work / reap_id, self._root / reap_id
        for path in [*directory.iterdir(), directory]:
            sync(path)
        if target.exists():  # left by a sweep that ended before its kill
            target.rename(self._work / f"{reap_id}.old")
        directory.rename(target)

    def _give_up(self, reap_id: str, why: str) -> None:
        self._failures[reap_id] = why
        shutil.rmtree(self._work / reap_id, ignore_errors=True)

    def _disk_or(self, why: str) -> str:
        """Return the reason, with a hint at a full disk: a tmux client that cannot write its response does not report that."""
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
