"""The port ``Snapshots`` in memory. ``tests/contract/test_snapshots.py`` holds it to the one on the disk."""

from __future__ import annotations

import io
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ulid import ULID

from tests.tools.clocks import VirtualClock
from workspace_reaper.model.errors import SnapshotError
from workspace_reaper.model.ports import Terminal
from workspace_reaper.model.snapshot import CapturedPane, CapturedSession, CaptureFailure, SessionSnapshot, SnapshotOrder
from workspace_reaper.snapshots.files import is_reap_id
from workspace_reaper.util.text import readable_lines

__all__ = ["Kept", "MemoryDisk", "MemorySnapshots"]

_DAY = 86_400
_HEAD = 700


@dataclass(frozen=True, slots=True)
class Kept:
    """A snapshot with the content of its panes. ``at`` is the time in its id, by which it is removed."""

    snapshot: SessionSnapshot
    panes: Mapping[str, bytes]
    at: float

    @property
    def size(self) -> int:
        """Its size in bytes, which is not that on a disk."""
        return _HEAD + sum(map(len, self.panes.values()))


class MemoryDisk:
    """What outlives the reaper. ``room`` is how many more snapshots it takes before it is full (None: any number)."""

    def __init__(self) -> None:
        self.kept: dict[str, Kept] = {}
        self.room: int | None = None


class MemorySnapshots:
    """The snapshots on a `MemoryDisk`."""

    def __init__(
        self,
        clock: VirtualClock,
        disk: MemoryDisk | None = None,
        *,
        lines: int = 1000,
        days: int = 14,
        max_bytes: int = 1 << 30,
    ) -> None:
        self.disk = disk or MemoryDisk()
        self._clock = clock
        self._lines = lines
        self._days = days
        self._max_bytes = max_bytes

    def take(self, terminal: Terminal, orders: Sequence[SnapshotOrder]) -> Mapping[str, str]:
        failures = {order.reap_id: f"{order.reap_id!r} is not a reap id." for order in orders if not is_reap_id(order.reap_id)}
        sound = {order.key: order for order in orders if order.reap_id not in failures}
        panes: dict[str, bytes] = {}
        for part in terminal.capture(list(sound), lines=self._lines, spool=io.BytesIO()) if sound else ():
            if isinstance(part, CapturedPane):
                panes[part.pane_id] = b"".join(part.content)
                continue
            order = sound[part.key]
            why = part.why if isinstance(part, CaptureFailure) else self._keep(order, part, panes)
            panes = {}
            if why is not None:
                failures[order.reap_id] = why
        return failures

    def _keep(self, order: SnapshotOrder, session: CapturedSession, panes: Mapping[str, bytes]) -> str | None:
        """Keep it. Return why that failed."""
        disk = self.disk
        if disk.room == 0:
            return (
                "The panes cannot be kept in memory (No space left on device): free some space there, or lower snapshot_bytes."
            )
        disk.room = None if disk.room is None else disk.room - 1
        windows = tuple(
            replace(window, panes=tuple(replace(pane, argv=order.commands.get(pane.pane_id, ())) for pane in window.panes))
            for window in session.windows
        )
        snapshot = SessionSnapshot(
            reap_id=order.reap_id,
            taken_at=self._clock.now(),
            key=order.key,
            session=order.session,
            workspace_id=order.workspace_id,
            activity=order.activity,
            version=order.version,
            width=session.width,
            height=session.height,
            windows=windows,
        )
        disk.kept[order.reap_id] = Kept(snapshot, panes, ULID.from_str(order.reap_id).timestamp)
        return None

    def has(self, reap_id: str) -> bool:
        return reap_id in self.disk.kept

    def read(self, reap_id: str) -> SessionSnapshot:
        return self._kept(reap_id).snapshot

    def scrollback(self, reap_id: str, pane_id: str) -> Iterator[bytes]:
        content = self._kept(reap_id).panes.get(pane_id)
        if content is None:
            raise SnapshotError(f"The snapshot {reap_id} has no pane {pane_id!r}.")
        yield from content.splitlines(keepends=True)

    def last_screen(self, reap_id: str, pane_id: str, *, colours: bool = True) -> tuple[str, ...]:
        lines = list(readable_lines(self.scrollback(reap_id, pane_id), colours=colours))
        panes = (pane for window in self.read(reap_id).windows for pane in window.panes)
        return tuple(lines[-next(pane.height for pane in panes if pane.pane_id == pane_id) :])

    def discard(self, reap_ids: Collection[str]) -> None:
        for reap_id in reap_ids:
            self.disk.kept.pop(reap_id, None)

    def prune(self, now: float, spare: Collection[str]) -> int:
        kept = self.disk.kept
        total = sum(one.size for one in kept.values())
        leaving = []
        for reap_id in sorted(kept.keys() - {*spare}):
            one = kept[reap_id]
            if one.at < now - self._days * _DAY or total > self._max_bytes:
                leaving.append(reap_id)
                total -= one.size
        self.discard(leaving)
        return len(leaving)

    def _kept(self, reap_id: str) -> Kept:
        if reap_id not in self.disk.kept:
            raise SnapshotError(
                f"The reap {reap_id!r} has no snapshot: it was not taken, or it was removed when it was too old."
            )
        return self.disk.kept[reap_id]
