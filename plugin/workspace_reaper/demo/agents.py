"""What runs in the sessions: one program in each, whose end is the end of all but of what left its terminal."""

from __future__ import annotations

import sys
from pathlib import Path

from workspace_reaper.demo.helpers import Crew
from workspace_reaper.demo.processes import LONG
from workspace_reaper.demo.scenario import Agent

__all__ = ["TALKER", "TALKER_SAYS", "starts_of_talker", "write_agent"]

_PRINT = f"import time\nfor _ in range({LONG * 5}):\n    print('working', flush=True)\n    time.sleep(0.2)"

TALKER = ("sh", "agent")
"""The command of the one that says something."""
TALKER_SAYS = ("All 128 tests pass.", "What next?")

_STARTS = "starts"
_TALK = "\n".join([f"echo started >> {_STARTS}", *(f"echo '{line}'" for line in TALKER_SAYS), f"sleep {LONG}", ":", ""])


def write_agent(agent: Agent, workspace: Path, crew: Crew) -> tuple[str, ...]:
    """Write the program into the workspace's directory, where it needs one; the command to run there."""
    if agent is Agent.PRINTING:
        return (sys.executable, "-IS", "-c", _PRINT)
    if agent is Agent.TALKER:
        (workspace / TALKER[1]).write_text(_TALK, encoding="utf-8")
        return TALKER
    if agent is Agent.WITH_HELPERS:
        return crew.board(workspace)
    return ("sleep", str(LONG))


def starts_of_talker(workspace: Path) -> int:
    """How often it was started in this directory."""
    file = workspace / _STARTS
    return len(file.read_text(encoding="utf-8").splitlines()) if file.exists() else 0
