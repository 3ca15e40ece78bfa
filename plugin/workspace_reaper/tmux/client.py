"""Run one tmux client process and say honestly how it ended."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import libtmux
from libtmux.common import tmux_cmd

from workspace_reaper.util.threads import Beside

__all__ = ["LIMIT", "Client", "Completed", "ReaperServer", "TmuxCommand", "run"]

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
        finishing = Beside(lambda: self._finish(stdin, limit), "workspace-reaper tmux")
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


_FEED = ("source-file", "-")


class TmuxCommand(tmux_cmd):
    """What libtmux expects of a command that ran, and, as ``completed``, how it really ended.

    It never calls libtmux's ``__init__``: that one has no time limit, reads our standard input, and writes what the
    command printed (scrollback, for example) into the host's debug log. A failure of the client itself stands in
    ``stderr``, because that is where libtmux's callers look.
    """

    completed: Completed

    def __init__(self, completed: Completed) -> None:
        self.completed = completed
        self.cmd = list(completed.argv)
        self.returncode = completed.exit_code
        self.stdout = completed.stdout.split("\n")
        while self.stdout and not self.stdout[-1]:
            self.stdout.pop()
        self.stderr = [line for line in completed.stderr.split("\n") if line]
        if completed.failure is not None:
            self.stderr.append(completed.failure)


class ReaperServer(libtmux.Server):
    """A tmux server at an absolute socket path. ``limit`` is in seconds, for each command.

    Use ``cmd`` and what rests on it alone. ``sessions``, ``windows``, ``panes``, ``new_session`` and ``refresh`` bypass it in
    libtmux (measured on 0.51.0, 0.53.0 and 0.62.0): they turn a failure into an empty list, and have no time limit.
    """

    def __init__(self, path: str, *, limit: float = LIMIT) -> None:
        super().__init__(socket_path=path)
        self._path = path
        self._limit = limit
        self._ready: Client | None = None

    # libtmux declares cmd as a variable in a mixin, so mypy allows no narrower return type.
    def cmd(  # type: ignore[override]
        self, cmd: str, *args: Any, target: str | int | None = None, stdin: str | None = None
    ) -> TmuxCommand:
        """Run one tmux command, or several with ``;`` among the arguments. Never raises for what tmux does.

        ``-u`` goes first: without a UTF-8 locale tmux prints ``_`` for each TAB and each non-ASCII byte, with exit code 0.
        """
        if (cmd, *args) == _FEED and target is None and stdin is not None:
            return self.feed(stdin)
        options = [] if target is None else ["-t", str(target)]
        arguments = ["-u", "-S", self._path, cmd, *options, *map(str, args)]
        return TmuxCommand(run(arguments, stdin=stdin, limit=self._limit))

    def feed(self, stdin: str, meanwhile: Callable[[], None] | None = None) -> TmuxCommand:
        """``source-file -`` with these lines. ``meanwhile`` is called while tmux works them off."""
        return TmuxCommand(self._take_ready().finish(stdin, self._limit, meanwhile))

    def get_ready(self) -> None:
        """Start the client of the next ``source-file -`` ahead: it waits for its input, and holds nobody up."""
        if self._ready is None or not self._ready.is_waiting:
            self.stand_down()
            self._ready = Client(["-u", "-S", self._path, *_FEED], piped=True)

    def stand_down(self) -> None:
        """End a client that was started ahead and is not needed."""
        ready, self._ready = self._ready, None
        if ready is not None:
            ready.discard()

    def _take_ready(self) -> Client:
        self.get_ready()
        ready, self._ready = self._ready, None
        assert ready is not None  # noqa: S101  get_ready has just made it
        return ready
