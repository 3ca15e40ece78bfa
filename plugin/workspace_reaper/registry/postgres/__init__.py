"""A host's workspaces in PostgreSQL, through psycopg, which the extra ``postgres`` brings and only this package loads."""

from __future__ import annotations

from workspace_reaper.registry.postgres.connection import Limits, Server, server_of
from workspace_reaper.registry.postgres.registry import PostgresRegistry

__all__ = ["Limits", "PostgresRegistry", "Server", "server_of"]
