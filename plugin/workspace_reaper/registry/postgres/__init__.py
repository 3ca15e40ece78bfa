"""A host's workspaces in PostgreSQL, through psycopg, which the extra ``postgres`` brings and only this package loads."""

from __future__ import annotations

from workspace_reaper.registry.postgres.connection import ConnectionLimits, ServerAddress, server_of
from workspace_reaper.registry.postgres.registry import PostgresRegistry

__all__ = ["ConnectionLimits", "PostgresRegistry", "ServerAddress", "server_of"]
