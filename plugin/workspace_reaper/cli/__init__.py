"""The command line: built on what the plugin and the operations offer, and on nothing below them."""

from workspace_reaper.cli.app import main

__all__ = ["main"]
