"""Proves that the reaper reaps: a throwaway session passes all steps of an orphan on the real socket. Changes nothing else."""

from workspace_reaper.operations.canary.run import last_run, run_canary

__all__ = ["last_run", "run_canary"]
