"""Watches files for changes and reads all their workspaces."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import takewhile

from workspace_reaper.model.unknown import Unknown
from workspace_reaper.model.workspace import WorkspaceList
from workspace_reaper.registry.files.errors import UnreadableFiles
from workspace_reaper.registry.files.parse import is_complete_by_itself
from workspace_reaper.registry.files.read import RecordStamp
from workspace_reaper.registry.files.registry import FilesRegistry
from workspace_reaper.registry.rows import OLDEST, ListedWorkspaces, readable

# Seconds between two looks at the files, and at most this many where a look takes long: 1 % of a core when nothing changes.
_STEP = 0.1
_LONGEST_STEP = 0.5
_LOOK_REST = 99

# Seconds from a failed read to the next.
_AFTER_FAILURE = 0.4

# A read is followed by a rest of this many times the CPU time it took: 5 % of a core under constant writing.
_READ_REST = 19


@dataclass(frozen=True, slots=True)
class _FilesRead:
    """The state at the last read.

    Attributes:
        stamps: The stamp of each file, by path.
        is_settled: Whether each later write changes a stamp.
        ids: The workspaces in the order of the files.
        arrived: Those that the first read did not find, in the order in which later reads did.
    """

    stamps: Mapping[str, RecordStamp]
    is_settled: bool
    ids: tuple[str, ...]
    arrived: tuple[str, ...] = ()


class FilesWatcher:
    """The port ``ChangeWatcher`` over files.

    A host that saves writes a file as a whole, and so does a restore. An older copy shows itself by its time of modification,
    which is the change counter, unless that was set to the time of the restore. Then it lacks the workspaces that arrived last.
    So a restore is likely if the two that arrived last are gone in one read, or one after a read that failed. It cannot be
    excluded if as many are gone from either end of the files, or one from the end of a file in TOML or YAML, whose beginning
    is valid too. With a file for each workspace, a deletion leaves the other files alone, and a restore writes them all.
    """

    def __init__(self, registry: FilesRegistry) -> None:
        self._registry = registry
        self._closed = threading.Event()
        # Held by a wait or a read; only close comes from another thread. Reentrant, because an interrupt at the entry of a
        # "with" block can leave it held by this thread.
        self._using = threading.RLock()
        self._last: _FilesRead | None = None
        self._failed = True
        self._rest_until = 0.0

    def wait(self, timeout: float) -> bool:
        deadline = time.monotonic() + timeout
        with self._using:
            while not self._closed.is_set():
                now = time.monotonic()
                if now >= self._rest_until and self._has_changed():
                    return True
                step = min(max(_STEP, _LOOK_REST * (time.monotonic() - now)), _LONGEST_STEP)
                if now >= deadline:
                    return False
                # Not an event's wait, which would cost as much again as the step.
                time.sleep(max(0.0, min(step, deadline - now)))
            return False

    def read(self) -> WorkspaceList | Unknown:
        with self._using:
            result = self._registry.or_unknown(self._read)
            self._failed = isinstance(result, Unknown)
            if self._failed:
                self._rest_until = time.monotonic() + _AFTER_FAILURE
            return result

    def close(self) -> None:
        self._closed.set()
        with self._using:
            self._last = None

    def _has_changed(self) -> bool:
        last = self._last
        if last is None or self._failed or not last.is_settled:
            return True
        try:
            return self._registry.files.stamps() != last.stamps
        except UnreadableFiles:
            return True  # the read that follows reports the cause

    def _read(self) -> WorkspaceList:
        if self._closed.is_set():
            raise UnreadableFiles(f"{self._registry.location} is not read any more: the watcher was closed.")
        cpu = time.thread_time()
        with self._registry.loaded() as (connection, record):
            read = self._registry.statements_in(connection)
            oldest = dict.fromkeys(readable(connection.execute(read.oldest).scalars()))
            listed = ListedWorkspaces(read.columns)
            for workspace_id, is_archived in connection.execute(read.workspace_list):
                listed.add(workspace_id, is_archived)
        ids, archived = listed.finish()
        last = self._last
        now = _FilesRead(record.stamps, record.is_settled, tuple(ids), _arrived(last, tuple(ids)))
        restored = unclear = None
        if last is not None:
            one_each = self._registry.has_file_for_each
            restored, unclear = _restored(last, now, failed=self._failed, has_file_for_each=one_each)
        self._last = now
        self._rest_until = time.monotonic() + _READ_REST * (time.thread_time() - cpu)
        identity = replace(self._registry.identity_of(record), sentinels=tuple(oldest)[:OLDEST])
        return WorkspaceList(identity, frozenset(ids), archived, looks_restored=restored, may_be_restored=unclear)


def _arrived(last: _FilesRead | None, ids: tuple[str, ...]) -> tuple[str, ...]:
    """Return the workspaces that appeared since the first read, the last one last."""
    if last is None:
        return ()
    there, before = set(ids), set(last.ids)
    return (*(one for one in last.arrived if one in there), *(one for one in ids if one not in before))


def _restored(last: _FilesRead, now: _FilesRead, *, failed: bool, has_file_for_each: bool) -> tuple[str | None, str | None]:
    """Return why an older copy may have been put in the place of the files between these reads: what makes it likely, and
    what keeps it from being excluded. ``failed``: another read between them failed."""
    missing = set(last.ids).difference(now.ids)
    if not missing or (has_file_for_each and any(now.stamps.get(path) == stamp for path, stamp in last.stamps.items())):
        return None, None
    least = 1 if failed else 2
    if _leading(one in missing for one in reversed(last.arrived)) >= least:
        return "the workspaces that were added last are gone, as if an older copy had been put in its place", None
    first, end = (_leading(one in missing for one in ids) for ids in (last.ids, reversed(last.ids)))
    is_whole = all(map(is_complete_by_itself, now.stamps))
    if max(first, end) >= least or (end and not is_whole):
        return None, "those at one end of the files are gone, so that an older copy, or half a file, cannot be excluded"
    return None, None


def _leading(conditions: Iterable[bool]) -> int:
    """Return how many of them hold before the first one that does not."""
    return sum(1 for _ in takewhile(bool, conditions))
