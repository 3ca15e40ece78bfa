"""The public path of the schema ``standard``, for servers that keep their workspaces in its table."""

from workspace_reaper.registry.schemas.standard import STANDARD, Standard
from workspace_reaper.registry.schemas.standard_table import WorkspaceRow, create_tables, writable_engine

__all__ = ["STANDARD", "Standard", "WorkspaceRow", "create_tables", "writable_engine"]
