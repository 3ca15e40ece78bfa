"""The programs that run in the sessions, and the helper processes that leave their session's terminal."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from workspace_reaper.demo.processes import LIFETIME, DemoFailed, identify, is_running
from workspace_reaper.demo.scenario import HELPERS, DemoCase, Ending
from workspace_reaper.model.process import ProcessKey
from workspace_reaper.model.reap import ProcessCleanup

# The command of the agent that prints a text and waits.
TALKER = ("sh", "agent")

TALKER_TEXT = ("All 128 tests pass.", "What next?")

_STARTS = "starts"
_TALK = "\n".join([f"echo started >> {_STARTS}", *(f"echo '{line}'" for line in TALKER_TEXT), f"sleep {LIFETIME}", ":", ""])
_PRINT = f"import time\nfor _ in range({LIFETIME * 5}):\n    print('working', flush=True)\n    time.sleep(0.2)"

_WITH_HELPERS = """
import os, signal, time

def serve(file, directory, ignored):
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)
    os.chdir(directory)
    with open(file + ".new", "w") as stream:
        stream.write(str(os.getpid()))
    os.replace(file + ".new", file)
    until = time.time() + {lifetime}
    while time.time() < until and os.path.exists(file):  # the file is removed when the demo ends
        time.sleep(0.1)

# A session of its own and no parent, as setsid(1) and a double fork do it on any system.
for helper in {helpers!r}:
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            serve(*helper)
        os._exit(0)
    os.wait()
time.sleep({lifetime})
"""


class Helpers:
    """The helper processes of one session. ``directory`` receives a file with the pid of each; one of them works in it."""

    def __init__(self, directory: Path) -> None:
        self._files = {case: directory / f"{case.name}.pid" for case in HELPERS}
        self.processes: dict[DemoCase, ProcessKey] = {}

    def command(self, workspace: Path) -> tuple[str, ...]:
        """Return the command that starts all helpers from the directory of their workspace, and then sleeps."""
        helpers = [
            (
                str(file),
                str(file.parent if case.name == "cache" else workspace),
                (1, 15) if case.name == "watcher" else (1,),  # HUP, TERM
            )
            for case, file in self._files.items()
        ]
        return (sys.executable, "-IS", "-c", _WITH_HELPERS.format(helpers=helpers, lifetime=LIFETIME))

    def wait(self, within: float) -> list[int]:
        """Wait for all helpers and return their pids. Not interruptible: a helper that is just starting could not be ended.

        Raises:
            DemoFailed: They did not start within that many seconds.
        """
        deadline = time.monotonic() + within
        while not all(file.exists() for file in self._files.values()):
            if time.monotonic() > deadline:
                raise DemoFailed(f"the helper processes did not start within {within:g} s")
            time.sleep(0.01)
        pids = {case: int(file.read_text(encoding="ascii")) for case, file in self._files.items()}
        self.processes = {case: process for case, pid in pids.items() if (process := identify(pid))}
        return list(pids.values())

    def endings(self, cleanup: ProcessCleanup) -> dict[DemoCase, Ending]:
        """Return what happened to each helper, by the history and by whether it is running."""
        return {case: helper_ending(one.pid, cleanup, running=is_running(one)) for case, one in self.processes.items()}

    def sentences(self, cleanup: ProcessCleanup) -> list[str]:
        """Return a sentence about each helper."""
        reports = {one.pid: f"the reaper ended it with {one.signal}" for one in cleanup.ended}
        reports |= {one.pid: f"the reaper left it alone: {one.why}" for one in cleanup.survivors}
        return [
            f"{case.name} (pid {one.pid}): {reports.get(one.pid, 'not in the report of the reaper')};"
            f" it {'is still running' if is_running(one) else 'is gone'}"
            for case, one in self.processes.items()
        ]

    def dismiss(self) -> None:
        """Tell all helpers to end."""
        for file in self._files.values():
            file.unlink(missing_ok=True)


def helper_ending(pid: int, cleanup: ProcessCleanup, *, running: bool) -> Ending:
    """Return what happened to one helper. A history that contradicts the process table is an unexpected ending."""
    for ended in cleanup.ended:
        if ended.pid == pid:
            return Ending("running" if running else "ended", ended.signal)
    for survivor in cleanup.survivors:
        if survivor.pid == pid:
            is_outside = "works outside the workspace's directory" in survivor.why
            return Ending("left" if running else "gone", "works elsewhere" if is_outside else survivor.why)
    return Ending("unreported", "not in the report")


def command_of(case: DemoCase, workspace: Path, helpers: Helpers) -> tuple[str, ...]:
    """Return the command of a session, whose program is written to the directory of the workspace where it needs one."""
    if case.agent == "printing":
        return (sys.executable, "-IS", "-c", _PRINT)
    if case.agent == "talker":
        (workspace / TALKER[1]).write_text(_TALK, encoding="utf-8")
        return TALKER
    return helpers.command(workspace) if case.agent == "with-helpers" else ("sleep", str(LIFETIME))


def talker_starts(workspace: Path) -> int:
    """Return how often the talker was started in this directory."""
    file = workspace / _STARTS
    return len(file.read_text(encoding="utf-8").splitlines()) if file.exists() else 0
