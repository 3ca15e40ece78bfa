"""Reapers that end in the middle: processes that are forked from a warm one, and killed when their tmux is called.

The warm process has loaded all that a reaper needs, so that one costs a fork and no start of Python. Run as a program it reads
a JSON object a line, forks, and answers with the child's process id, and when it has ended with how.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any, NoReturn

from tests.tools.storm_tmux import Fault
from tests.tools.waiting import wait_until

__all__ = ["WarmReapers", "crash_plan", "wait_for_group"]

ROOT = Path(__file__).resolve().parents[2]


class WarmReapers:
    """Use it as a context manager. One reaper runs at a time, as the leader of a process group."""

    def __enter__(self) -> WarmReapers:
        path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.tools.crashing"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            env={**os.environ, "PYTHONPATH": path},
            cwd=ROOT,
        )
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._process.communicate(timeout=60)

    def start(self, config: Path, path: str, deleted: Sequence[str]) -> int:
        """A reaper with this configuration and PATH that sweeps on and on, once hooks have named these workspaces."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"config": str(config), "path": path, "deleted": list(deleted)}) + "\n")
        return int(self._read())

    def wait(self) -> int:
        """Wait for its end; the exit code, negative for a signal."""
        return int(self._read())

    def _read(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())


def wait_for_group(pid: int) -> None:
    """Wait until nothing of this process group runs: a client of tmux may outlive the reaper for a moment."""

    def is_over() -> bool:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, 0)
            return False
        return True

    wait_until(is_over, 60)


def crash_plan(random: Random) -> tuple[str, dict[tuple[str, int], Fault]]:
    """When the reaper is killed, in words, and as a plan for its tmux. Where that call never comes, at a later listing."""
    kind = random.choice(["list", "recheck", "feed", "feed", "capture"])
    number = random.randint(1, 3 if kind == "list" else 6)
    crash = random.choice(
        [
            Fault("killed before", "kill -9 $PPID"),
            Fault("killed after", '"$real" "$@" > /dev/null; kill -9 $PPID; exit 0'),
            Fault("killed meanwhile", _later(random.uniform(0.0, 0.02))),
            Fault("killed later", _later(random.uniform(0.02, 0.2))),
        ]
    )
    return f"{crash.name} {kind} {number}", {("list", 15): Fault("killed at last", "kill -9 $PPID"), (kind, number): crash}


def _later(seconds: float) -> str:
    return f"( sleep {seconds:.4f}; kill -9 $PPID ) < /dev/null > /dev/null 2>&1 &"


def _serve() -> None:
    import tests.tools.warm  # noqa: F401  it loads what a reaper does

    for line in sys.stdin:
        asked = json.loads(line)
        pid = os.fork()
        if not pid:
            _reap(asked)
        print(json.dumps(pid), flush=True)
        _, status = os.waitpid(pid, 0)
        print(json.dumps(os.waitstatus_to_exitcode(status)), flush=True)


def _reap(asked: dict[str, Any]) -> NoReturn:
    os.setsid()
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    # Whatever becomes of the test: no reaper sweeps for ever.
    signal.alarm(120)
    os.environ["PATH"] = asked["path"]
    from workspace_reaper.plugin import ReaperPlugin

    plugin = ReaperPlugin()
    plugin.configure(Path(asked["config"]))
    for workspace_id in asked["deleted"]:
        plugin.on_workspace_deleted(workspace_id)
    while True:
        plugin.sweep()


if __name__ == "__main__":
    _serve()
