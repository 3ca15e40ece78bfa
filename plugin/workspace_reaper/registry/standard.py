"""The public path of the schema ``standard``, for servers that keep their workspaces in its table."""

from workspace_reaper.registry.schemas.standard import STANDARD, Standard, create_tables, writable_engine
from workspace_reaper.registry.schemas.standard_table import WorkspaceRow

__all__ = ["STANDARD", "Standard", "WorkspaceRow", "create_tables", "writable_engine"]
