"""Helpers that leave their session's terminal: what becomes of each, by the reaper's history and by the system itself."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path

from workspace_reaper.demo.processes import LONG, DemoFailed, Started, end_all
from workspace_reaper.demo.scenario import Agent, Ending, Expectation
from workspace_reaper.model.reap import ProcessCleanup

__all__ = ["CREW", "TALKER", "TALKER_SAYS", "Crew", "Helper", "ending_of_helper", "starts_of_talker", "write_agent"]

_OUTSIDE = "works outside the workspace's directory"

_ELSEWHERE = "works elsewhere"


@dataclass(frozen=True, slots=True)
class Helper(Expectation):
    """A process that an agent starts and that leaves its terminal. ``deaf``: it ignores SIGTERM. ``elsewhere``: it does not
    work in the workspace's directory."""

    deaf: bool = False
    elsewhere: bool = False


CREW = (
    Helper("dev-server", "left its terminal", Ending("ended", "TERM")),
    Helper("watcher", "left, and ignores TERM", Ending("ended", "KILL"), deaf=True),
    Helper("cache", "left, works elsewhere", Ending("left", _ELSEWHERE), elsewhere=True),
)

_AGENT = f"""
import os, sys, time

# A session of its own, and nobody's child: as setsid(1) and a double fork do it, on any system.
for name in sys.argv[1:]:
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.execv(sys.executable, [sys.executable, "-IS", name])
        os._exit(0)
    os.wait()
time.sleep({LONG})
"""

_HELPER = """
import os, signal, time

for number in {ignored!r}:
    signal.signal(number, signal.SIG_IGN)
os.chdir({directory!r})
with open({file!r} + ".new", "w") as file:
    file.write(str(os.getpid()))
os.replace({file!r} + ".new", {file!r})
# Without the demo's directory there is no demo any more.
until = time.time() + {limit}
while time.time() < until and os.path.exists({file!r}):
    time.sleep(0.1)
"""


class Crew:
    """The helpers of one session. They write their pids into ``directory``, and the one that works elsewhere works there."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._known: dict[Helper, Started] = {}

    def board(self, workspace: Path) -> tuple[str, ...]:
        """Write their programs into the workspace's directory; the command that starts them all, and stays."""
        (workspace / "agent").write_text(_AGENT, encoding="utf-8")
        for helper in CREW:
            ignored = (1, 15) if helper.deaf else (1,)  # HUP, TERM
            directory = self._directory if helper.elsewhere else workspace
            text = _HELPER.format(ignored=ignored, directory=str(directory), file=str(self._file(helper)), limit=LONG)
            (workspace / helper.name).write_text(text, encoding="utf-8")
        return (sys.executable, "-IS", "agent", *(helper.name for helper in CREW))

    def wait(self, within: float) -> None:
        """Wait until all are there. Not to be interrupted: one that is on its way could not be ended. Raises ``DemoFailed``."""
        deadline = time.monotonic() + within
        while not self._all_known():
            if time.monotonic() > deadline:
                raise DemoFailed(f"the helper processes did not start within {within:g} s")
            time.sleep(0.01)

    def endings(self, after: ProcessCleanup | None) -> dict[Helper, Ending]:
        """What became of each; ``after`` is what the history says, None where it says nothing."""
        return {
            helper: ending_of_helper(self._known[helper].pid, after or ProcessCleanup(), runs=self._known[helper].runs)
            for helper in CREW
        }

    def tell(self, after: ProcessCleanup | None) -> list[str]:
        """The same in plain words, one sentence for each."""
        after = after or ProcessCleanup()
        signals = {one.pid: f"the reaper ended it by {one.signal}" for one in after.ended}
        reasons = {one.pid: f"the reaper left it alone: {one.why}" for one in after.survivors}
        told = []
        for helper in CREW:
            started = self._known[helper]
            what = signals.get(started.pid) or reasons.get(started.pid, "the reaper says nothing of it")
            told.append(f"{helper.name} (pid {started.pid}): {what}; it {'still runs' if started.runs else 'is gone'}")
        return told

    def close(self, patience: float = 0.5) -> list[int]:
        """End those that still run, by pid and start time; the pids of those that could not be ended. One that was not seen to
        start ends by itself, when the directory is gone."""
        return [process.pid for process in end_all(self._known.values(), patience, told=False)]

    def _all_known(self) -> bool:
        for helper in CREW:
            if helper not in self._known and self._file(helper).exists():
                started = Started.now(int(self._file(helper).read_text(encoding="ascii")))
                if started is not None:
                    self._known[helper] = started
        return len(self._known) == len(CREW)

    def _file(self, helper: Helper) -> Path:
        return self._directory / f"{helper.name}.pid"


def ending_of_helper(pid: int, after: ProcessCleanup, *, runs: bool) -> Ending:
    """What became of one helper, by the history and by whether it runs. Sources that contradict each other are an ending that
    nobody expects."""
    for ended in after.ended:
        if ended.pid == pid:
            return Ending("undead" if runs else "ended", ended.signal)
    for survivor in after.survivors:
        if survivor.pid == pid:
            return Ending("left" if runs else "gone", _ELSEWHERE if _OUTSIDE in survivor.why else survivor.why)
    return Ending("overlooked", "it is in no report")


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
