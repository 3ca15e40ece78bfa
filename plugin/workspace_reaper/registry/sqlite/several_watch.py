"""Watches several SQLite files for commits, and for files that appear or vanish."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from itertools import chain

from workspace_reaper.model.unknown import Source, Unknown
from workspace_reaper.model.workspace import WorkspaceList
from workspace_reaper.registry.schema import Schema
from workspace_reaper.registry.sqlite.several import SeveralDatabases
from workspace_reaper.registry.sqlite.watch import SqliteWatcher

# Seconds between two looks at the files, and at most this many where a look takes long: 1 % of a core when nothing changes.
_STEP = 0.1
_LONGEST_STEP = 0.5
_LOOK_REST = 99


class SeveralWatcher:
    """The port ``ChangeWatcher`` over all files of a registry, with a watcher for each."""

    def __init__(self, registry: SeveralDatabases, schema: Schema) -> None:
        self._registry = registry
        self._any_row = "archived" in schema.facts(frozenset()).any_row
        self._closed = threading.Event()
        # Held by a wait or a read; only close comes from another thread. Reentrant, because an interrupt at the entry of a
        # "with" block can leave it held by this thread.
        self._using = threading.RLock()
        self._watchers: dict[str, SqliteWatcher] = {}

    def wait(self, timeout: float) -> bool:
        deadline = time.monotonic() + timeout
        with self._using:
            while not self._closed.is_set():
                now = time.monotonic()
                if self._has_changed():
                    return True
                step = min(max(_STEP, _LOOK_REST * (time.monotonic() - now)), _LONGEST_STEP)
                if now >= deadline:
                    return False
                time.sleep(max(0.0, min(step, deadline - now)))
            return False

    def read(self) -> WorkspaceList | Unknown:
        with self._using:
            if self._closed.is_set():
                return Unknown(Source.REGISTRY, f"{self._registry.location} is not read any more: the watcher was closed.")
            databases = self._registry.databases()
            if isinstance(databases, Unknown):
                self._close_all()
                return databases
            for path in self._watchers.keys() - databases.keys():
                self._watchers.pop(path).close()
            for path in databases.keys() - self._watchers.keys():
                self._watchers[path] = SqliteWatcher(databases[path])
            lists: dict[str, WorkspaceList] = {}
            for path in databases:
                read = self._watchers[path].read()
                if isinstance(read, Unknown):
                    return read
                lists[path] = read
            return self._registry.changed(databases) or self._merged(lists)

    def close(self) -> None:
        self._closed.set()
        with self._using:
            self._close_all()

    def _close_all(self) -> None:
        for watcher in self._watchers.values():
            watcher.close()
        self._watchers.clear()

    def _has_changed(self) -> bool:
        databases = self._registry.databases()
        if isinstance(databases, Unknown) or databases.keys() != self._watchers.keys():
            return True  # the read that follows reports the cause
        return any(watcher.wait(0) for watcher in self._watchers.values())

    def _merged(self, lists: Mapping[str, WorkspaceList]) -> WorkspaceList:
        every = list(lists.values())
        workspaces = frozenset(chain.from_iterable(one.workspaces for one in every))
        archived = frozenset(chain.from_iterable(one.archived for one in every))
        if not self._any_row:
            archived -= frozenset(chain.from_iterable(one.workspaces - one.archived for one in every))
        return WorkspaceList(
            self._registry.identity_of([one.identity for one in every]),
            workspaces,
            archived,
            replaced=_first([one.replaced for one in every], lists),
            looks_restored=_first([one.looks_restored for one in every], lists),
            may_be_restored=_first([one.may_be_restored for one in every], lists),
        )


def _first(reasons: Sequence[str | None], lists: Mapping[str, WorkspaceList]) -> str | None:
    """Return the first reason with the path of its file, or None."""
    return next((f"{path}: {reason}" for path, reason in zip(lists, reasons, strict=True) if reason is not None), None)
