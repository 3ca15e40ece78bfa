"""Does the reaper really reap? A throwaway session goes an orphan's whole way on the real socket, and nothing else does."""

from workspace_reaper.operations.canary.run import last_run, run_canary

__all__ = ["last_run", "run_canary"]
