"""A host's workspaces in PostgreSQL, through psycopg, which the extra ``postgres`` brings and only this package loads."""

from __future__ import annotations

from workspace_reaper.registry.postgres.registry import PostgresRegistry
from workspace_reaper.registry.postgres.server import Limits, Server, server_of

__all__ = ["Limits", "PostgresRegistry", "Server", "server_of"]
