"""The processes of this machine: who they are, what they hold, and signals that hit no stranger."""

from workspace_reaper.processes.system import RunsAt, SystemProcesses

__all__ = ["RunsAt", "SystemProcesses"]
