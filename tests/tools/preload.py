"""Loads what a look-up needs, for tests that continue as a user who may not read what is installed."""

from __future__ import annotations

from workspace_reaper.registry import load_schema, registry_names
from workspace_reaper.registry.sqlite import registry

__all__ = ["preload_registries"]


def preload_registries() -> None:
    """Import every installed schema with its tables, and the reader of SQLite."""
    assert registry.SqliteRegistry
    for name in registry_names():
        assert load_schema(name).tables
