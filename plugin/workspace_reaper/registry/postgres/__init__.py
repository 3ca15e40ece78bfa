"""The registry over a PostgreSQL database. Only this package loads psycopg, which the extra ``postgres`` installs."""

from __future__ import annotations

from workspace_reaper.registry.postgres.connection import ConnectionLimits, ServerAddress, server_of
from workspace_reaper.registry.postgres.registry import PostgresRegistry

__all__ = ["ConnectionLimits", "PostgresRegistry", "ServerAddress", "server_of"]
