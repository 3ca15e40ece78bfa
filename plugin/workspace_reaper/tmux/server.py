"""The only importer of libtmux: a ``Server`` whose commands are bounded in time, and hide no failure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import libtmux
from libtmux.common import tmux_cmd

from workspace_reaper.tmux.client import LIMIT, Client, Completed, run

__all__ = ["ReaperServer", "TmuxCommand"]


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
