"""The host daemon as a service of the user's: what systemd and launchd are to be told. Pure text; nothing is installed."""

from workspace_reaper.setup.service import launchd, systemd
from workspace_reaper.setup.service.program import Program

__all__ = ["Program", "launchd", "systemd"]
