"""Storms on a small disk: in a process of its own, since a file system that it mounts must be nobody else's.

Run as a program, under `small_disk`, it reads a seed a line and answers each with a JSON text: what went wrong, or null.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType

from tests.tools.disks import SmallDisk, small_disk
from tests.tools.storm import Storm
from tests.tools.storm_stage import Stage

__all__ = ["StormsOnDisk"]

ROOT = Path(__file__).resolve().parents[2]


class StormsOnDisk:
    """The process. Use it as a context manager; the test is skipped where nothing may be mounted."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self._command = [*small_disk(directory), sys.executable, "-m", "tests.tools.storm_disk", str(directory)]

    def __enter__(self) -> StormsOnDisk:
        path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self._process = subprocess.Popen(
            self._command, **pipes, text=True, bufsize=1, env={**os.environ, "PYTHONPATH": path}, cwd=ROOT
        )
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._process.communicate(timeout=60)

    def run(self, seed: int) -> None:
        """The storm of this seed. Raises what it raises."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{seed}\n")
        wrong = json.loads(self._process.stdout.readline() or '"the process of the small disk has ended"')
        assert wrong is None, wrong


def _serve(mounted: Path) -> None:
    disk = SmallDisk(mounted)
    directory = mounted.parent / f"{mounted.name}-stage"
    directory.mkdir()
    with Stage.built(directory, disk) as stage:
        for line in sys.stdin:
            wrong = None
            try:
                Storm(stage, int(line)).run()
            except AssertionError as error:
                wrong = str(error)
            print(json.dumps(wrong), flush=True)


if __name__ == "__main__":
    _serve(Path(sys.argv[1]))
