"""The demo: real sessions, a real database and a host in a sandbox, with a check of each outcome. It requires only tmux."""

from workspace_reaper.demo.run import run_demo

__all__ = ["run_demo"]
