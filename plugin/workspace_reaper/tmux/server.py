"""The only importer of libtmux: a ``Server`` whose commands are bounded in time, and hide no failure."""

from __future__ import annotations

from typing import Any

import libtmux
from libtmux.common import tmux_cmd

from workspace_reaper.tmux.client import LIMIT, Completed, run

__all__ = ["ReaperServer", "TmuxCommand"]


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

    # libtmux declares cmd as a variable in a mixin, so mypy allows no narrower return type.
    def cmd(  # type: ignore[override]
        self, cmd: str, *args: Any, target: str | int | None = None, stdin: str | None = None
    ) -> TmuxCommand:
        """Run one tmux command, or several with ``;`` among the arguments. Never raises for what tmux does.

        ``-u`` goes first: without a UTF-8 locale tmux prints ``_`` for each TAB and each non-ASCII byte, with exit code 0.
        """
        options = [] if target is None else ["-t", str(target)]
        arguments = ["-u", "-S", self._path, cmd, *options, *map(str, args)]
        return TmuxCommand(run(arguments, stdin=stdin, limit=self._limit))
