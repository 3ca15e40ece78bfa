"""The command line. It uses the plugin and its operations, and no adapter directly."""

from workspace_reaper.cli.app import main

__all__ = ["main"]
