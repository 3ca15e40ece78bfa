"""Watches a PostgreSQL database for commits by its snapshot, which changes only with commits."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from sqlalchemy.engine import Connection
from sqlalchemy.exc import SQLAlchemyError

from workspace_reaper.model.unknown import Unknown
from workspace_reaper.model.workspace import WorkspaceList
from workspace_reaper.registry.postgres.catalog import SNAPSHOT, epoch_of, snapshot_of
from workspace_reaper.registry.postgres.connection import Lifeline
from workspace_reaper.registry.postgres.errors import ConnectionEnded
from workspace_reaper.registry.postgres.registry import PostgresRegistry
from workspace_reaper.registry.rows import OLDEST, ListedWorkspaces, readable

_INTERVAL = 0.4
_SLOWEST = 5.0
_COST = 10

T = TypeVar("T")


class PostgresWatcher:
    """The port ``ChangeWatcher`` over one database.

    It keeps one connection, because it asks several times a second, and opens it again if the server has closed it. No
    transaction is open while it waits. The snapshot belongs to the cluster, so a commit in another database is noticed too.

    Args:
        registry: The registry of the database.
        interval: Seconds between two queries. If they take long or fail, the interval grows.
    """

    def __init__(self, registry: PostgresRegistry, *, interval: float = _INTERVAL) -> None:
        self._registry = registry
        self._interval = interval
        self._pause = interval
        self._asked = -interval
        self._seen: str | None = None
        self._closed = threading.Event()
        self._using = threading.Lock()  # the connection, by a wait or a read; only close comes from another thread
        self._kept: tuple[Connection, Lifeline] | None = None

    def wait(self, timeout: float) -> bool:
        """Wait. Return whether the database may have changed since the last ``read``; True if that is unknown."""
        deadline = time.monotonic() + timeout
        while not self._closed.wait(max(0.0, min(self._asked + self._pause, deadline) - time.monotonic())):
            changed = self._has_changed()
            if changed is None:
                self._pause = min(2 * self._pause, _SLOWEST)
            if changed is not False:
                return not self._closed.is_set()
            if time.monotonic() >= deadline:
                return False
        return False

    def read(self) -> WorkspaceList | Unknown:
        """Return all workspaces as one transaction sees them, or Unknown with the registry's reason."""
        began = time.monotonic()
        workspace_list = self._registry.or_unknown(lambda: self._with_connection(self._workspace_list))
        if isinstance(workspace_list, Unknown):
            self._seen = None
        else:
            # A large table takes long to read, so it is read less often.
            self._pause = max(self._interval, min(_COST * (time.monotonic() - began), _SLOWEST))
        return workspace_list

    def close(self) -> None:
        """End a running ``wait`` or ``read``, and close the connection permanently."""
        self._closed.set()
        kept = self._kept
        if kept is not None:
            kept[1].cut()
        with self._using:
            self._drop()

    def _has_changed(self) -> bool | None:
        """Return whether the snapshot has changed, or None if that is unknown."""
        from psycopg import Error

        self._asked = time.monotonic()
        try:
            return self._with_connection(_snapshot_now) != self._seen
        except (SQLAlchemyError, Error, ConnectionEnded):
            self._seen = None
            return None

    def _with_connection(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` in a transaction of its own. After an error the connection is closed."""
        with self._using:
            if self._closed.is_set():
                raise ConnectionEnded("is not read any more: the watcher was closed")
            if self._kept is None:
                self._kept = self._registry.keep_open()
            connection, lifeline = self._kept
            try:
                lifeline.hold()
                result = work(connection)
                lifeline.let_go()
            except BaseException as error:
                was_cut = lifeline.is_cut
                self._drop()
                if was_cut:
                    raise self._registry.stood_still() from error
                raise
            return result

    def _drop(self) -> None:
        kept, self._kept = self._kept, None
        if kept is not None:
            connection, lifeline = kept
            lifeline.close()
            connection.invalidate()
            connection.close()

    def _workspace_list(self, connection: Connection) -> WorkspaceList:
        snapshot = snapshot_of(connection)
        schema = self._registry.schema
        found = self._registry.identity_in(connection, self._registry.place_in(connection))
        read = self._registry.statements_in(connection)
        oldest = dict.fromkeys(readable(connection.execute(read.oldest).scalars()))
        listed = ListedWorkspaces(read.columns)
        for workspace_id, is_archived in connection.execute(read.workspace_list):
            listed.add(workspace_id, is_archived)
        ids, archived = listed.finish()
        connection.rollback()
        # A table that was created again since the transaction began is read as it is defined now.
        if epoch_of(connection, schema.tables) != found.schema_version:
            raise ConnectionEnded("was created again while it was read: the next read sees the new one")
        connection.rollback()
        self._seen = snapshot
        return WorkspaceList(
            replace(found, sentinels=tuple(oldest)[:OLDEST]),
            workspaces=frozenset(ids),
            archived=archived,
        )


def _snapshot_now(connection: Connection) -> str:
    """Return the current snapshot in one round trip and without SQLAlchemy: this runs several times a second."""
    raw: Any = connection.connection.driver_connection
    raw.autocommit = True
    try:
        return str(raw.execute(SNAPSHOT).fetchone()[0])
    finally:
        if not raw.closed:
            raw.autocommit = False
