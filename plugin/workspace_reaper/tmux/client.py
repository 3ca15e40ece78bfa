"""Run one tmux client process and say honestly how it ended."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from workspace_reaper.util.threads import run_in_background

__all__ = ["LIMIT", "Client", "Completed", "run"]

LIMIT = 5.0
"""Seconds that a tmux command may take. A stopped server blocks its clients for ever."""


@dataclass(frozen=True, slots=True)
class Completed:
    """How a client ended. ``failure`` is a sentence, and None only if the client came to its own end.

    ``stdout`` and ``stderr`` are UTF-8 with ``surrogateescape``; after a failure they hold what had come until then.
    ``exit_code`` is negative for a signal, 127 where no client could be started. ``seconds`` is the wall time.
    """

    argv: tuple[str, ...]
    exit_code: int
    stdout: str
    stderr: str
    failure: str | None
    seconds: float


class Client:
    """A tmux client process that was started, and may wait for its standard input. Never raises for what tmux does."""

    def __init__(self, arguments: Sequence[str], *, piped: bool, stdout: BinaryIO | None = None) -> None:
        """Start ``tmux ARGUMENTS``. The client never learns that we may run inside tmux ourselves; without ``piped`` it reads
        nothing, not even from our own standard input. With ``stdout`` it writes into that file, and ``Completed.stdout`` is
        empty."""
        program = shutil.which("tmux")
        self._argv = (program or "tmux", *arguments)
        self._process: subprocess.Popen[bytes] | None = None
        self._failure = "" if program else "tmux is not installed, or not on PATH: install tmux 3.2a or newer."
        self._owner = os.getpid()
        if program is None:
            return
        try:
            self._process = subprocess.Popen(
                self._argv,
                stdin=subprocess.PIPE if piped else subprocess.DEVNULL,
                stdout=subprocess.PIPE if stdout is None else stdout,
                stderr=subprocess.PIPE,
                env={name: value for name, value in os.environ.items() if name not in ("TMUX", "TMUX_PANE")},
            )
        except OSError as error:
            self._failure = f"{program} could not be started: {error.strerror}."

    @property
    def is_waiting(self) -> bool:
        """It runs, and it is this process that started it."""
        return self._process is not None and self._owner == os.getpid() and self._process.poll() is None

    def finish(self, stdin: str | None, limit: float, meanwhile: Callable[[], None] | None = None) -> Completed:
        """Give it its input and wait at most ``limit`` seconds, then end it with SIGKILL.

        ``meanwhile`` is called while the client works, or after that where no thread can be had; what it raises ends it.
        """
        if meanwhile is None:
            return self._finish(stdin, limit)
        finishing = run_in_background(lambda: self._finish(stdin, limit), "workspace-reaper tmux")
        try:
            meanwhile()
            return finishing.result()
        except BaseException:
            if self._process is not None:
                self._process.kill()
            finishing.result()
            raise

    def _finish(self, stdin: str | None, limit: float) -> Completed:
        started = time.monotonic()
        process = self._process
        if process is None:
            return Completed(self._argv, 127, "", "", self._failure, 0.0)
        failure = None
        with process:
            try:
                out, err = process.communicate(None if stdin is None else stdin.encode(), timeout=limit)
            except subprocess.TimeoutExpired as expired:
                process.kill()
                out, err = expired.stdout or b"", expired.stderr or b""
                failure = f"tmux did not answer within {limit:g} s: its server is stopped or very busy."
            except BaseException:
                process.kill()
                raise
        if failure is None and process.returncode < 0:
            failure = f"The tmux client was ended by {_signal_name(-process.returncode)}."
        return Completed(self._argv, process.returncode, _text(out or b""), _text(err), failure, time.monotonic() - started)

    def discard(self) -> None:
        """End it without its having done anything."""
        if self.is_waiting and self._process is not None:
            self._process.kill()
        self.finish(None, LIMIT)


def run(arguments: Sequence[str], *, stdin: str | None = None, limit: float = LIMIT) -> Completed:
    """Run ``tmux ARGUMENTS`` and wait at most ``limit`` seconds, then end it with SIGKILL. Never raises for what tmux does.

    ``stdin`` is given to the client; without it the client reads nothing.
    """
    return Client(arguments, piped=stdin is not None).finish(stdin, limit)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
