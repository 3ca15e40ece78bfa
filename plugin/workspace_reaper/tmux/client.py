"""Run one tmux client process and report how it ended."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

# Default time limit of a command, in seconds. A stopped server blocks its clients permanently.
LIMIT = 5.0


@dataclass(frozen=True, slots=True)
class Completed:
    """How a client ended. ``failure`` is a sentence; it is None only if the client exited by itself.

    ``stdout`` and ``stderr`` are UTF-8 with ``surrogateescape``; after a failure they contain what was received before it.
    ``exit_code`` is negative for a signal, and 127 if no client could be started. ``seconds`` is the wall time, and
    ``server_seconds`` the CPU time of the server where it was measured (``server_time.timed``).
    """

    argv: tuple[str, ...]
    exit_code: int
    stdout: str
    stderr: str
    failure: str | None
    seconds: float
    server_seconds: float | None = None


def run(
    arguments: Sequence[str], *, stdin: str | None = None, limit: float = LIMIT, stdout: BinaryIO | None = None
) -> Completed:
    """Run ``tmux ARGUMENTS`` and wait at most ``limit`` seconds, then end it with SIGKILL. Never raises for what tmux does.

    Its environment does not show whether this process runs inside tmux.

    Args:
        arguments: Those of tmux.
        stdin: Its standard input, None for an empty one.
        limit: The time limit in seconds.
        stdout: A file for its standard output, in place of ``Completed.stdout``.
    """
    program = shutil.which("tmux")
    argv = (program or "tmux", *arguments)
    if program is None:
        return Completed(argv, 127, "", "", "tmux is not installed, or not on PATH: install tmux 3.2a or newer.", 0.0)
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE if stdout is None else stdout,
            stderr=subprocess.PIPE,
            env={name: value for name, value in os.environ.items() if name not in ("TMUX", "TMUX_PANE")},
        )
    except OSError as error:
        return Completed(argv, 127, "", "", f"{program} could not be started: {error.strerror}.", 0.0)
    started, failure = time.monotonic(), None
    with process:
        try:
            out, err = process.communicate(None if stdin is None else stdin.encode(), timeout=limit)
        except subprocess.TimeoutExpired as expired:
            process.kill()
            out, err = expired.stdout or b"", expired.stderr or b""
            failure = f"tmux did not answer within {limit:g} s: its server is stopped or overloaded."
        except BaseException:  # Ctrl-C too must leave no client behind
            process.kill()
            raise
    if failure is None and process.returncode < 0:
        failure = f"The tmux client was ended by {_signal_name(-process.returncode)}."
    return Completed(argv, process.returncode, _text(out or b""), _text(err), failure, time.monotonic() - started)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
