"""Registries over the databases of ``hosts``, and their answers taken apart."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

from tests.tools.hosts import Host
from workspace_reaper.model.unknown import Source, Unknown
from workspace_reaper.model.workspace import LookupResult
from workspace_reaper.registry import load_schema, open_registry
from workspace_reaper.registry.base import DatabaseRegistry
from workspace_reaper.registry.sqlite.registry import SqliteRegistry

__all__ = ["listen", "opened", "reason", "registry_of", "rows"]


def registry_of(host: Host, *, busy_limit: float = 0.05) -> DatabaseRegistry:
    """The registry of that host, wherever its database is, with a short busy limit (seconds)."""
    schema = load_schema(host.schema, getattr(host, "table", None), getattr(host, "files", None))
    return open_registry(schema, host.place, {}, busy_limit=busy_limit).database


def opened(host: Host, *, busy_limit: float = 0.05, path: Path | None = None) -> SqliteRegistry:
    """The registry of that host, or of another file of its kind, with a short busy limit (seconds)."""
    schema = load_schema(host.schema, getattr(host, "table", None))
    registry = open_registry(schema, str(path or host.path), {}, busy_limit=busy_limit).database
    assert isinstance(registry, SqliteRegistry)
    return registry


def rows(answer: LookupResult | Unknown) -> LookupResult:
    """The answer, which must be one."""
    assert isinstance(answer, LookupResult), answer
    return answer


def reason(answer: LookupResult | Unknown) -> str:
    """Why the registry is Unknown, which it must be."""
    assert isinstance(answer, Unknown), answer
    assert answer.source is Source.REGISTRY
    return answer.reason


def listen(registry: SqliteRegistry, prepare: Callable[[sqlite3.Connection], object]) -> None:
    """Have each connection that the registry opens prepared by SQLite's own means."""
    opening: Callable[[], sqlite3.Connection] = registry._open

    def prepared() -> sqlite3.Connection:
        connection = opening()
        prepare(connection)
        return connection

    registry._open = prepared  # type: ignore[assignment]
