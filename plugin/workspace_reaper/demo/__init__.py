"""All of the reaper at work in a sandbox: real tmux, a real database, a real host. It needs nothing but tmux."""

from workspace_reaper.demo.run import run_demo

__all__ = ["run_demo"]
