"""The processes of this machine: who they are, what they hold, and signals that hit no stranger."""

from workspace_reaper.processes.processes import RunsAt, SystemProcesses

__all__ = ["RunsAt", "SystemProcesses"]
