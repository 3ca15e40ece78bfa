"""The reaper that workspace servers load: it ends the tmux sessions that deleted, archived and forgotten workspaces leave.

``plugin`` is what the entry point ``workspace_server: reaper`` names. Importing this package stays light.
"""

from workspace_reaper.plugin import ReaperPlugin

__all__ = ["ReaperPlugin", "plugin"]

plugin = ReaperPlugin()
