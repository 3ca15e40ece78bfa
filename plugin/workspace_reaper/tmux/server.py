"""The only importer of libtmux: a ``Server`` whose commands have a time limit and report every failure.

Measured on libtmux 0.51.0 (the oldest supported) and 0.62.0 (the newest in November 2026), with tmux 3.3a.

What is used: ``libtmux.Server`` as the base class (the socket's path, equality, ``repr``), ``tmux_cmd`` as the base class of a
finished command, and ``Server.cmd`` as the one way to run a command. It is overridden here, so these methods of libtmux are
safe on a ``ReaperServer`` in both versions, because they run through ``cmd`` alone: ``has_session``, ``is_alive``,
``kill_session``, ``Session.kill``, ``set_option`` and ``show_option``, ``set_environment``, ``Pane.send_keys``,
``Pane.capture_pane``, ``Pane.display_message``; in 0.62.0 also ``if_shell`` and ``source_file``.

What is not used, and the facts that speak against it, the same in both versions unless a version is named:

- **Time limit.** Neither ``Server.cmd`` nor ``tmux_cmd`` has one. On a server that is stopped (SIGSTOP) ``cmd``, ``sessions``,
  ``has_session`` and ``is_alive`` had not returned after 8 s.
- **Standard input.** Neither takes any. The client inherits the caller's: ``source-file -`` ran lines from it.
- **Failure and absence.** ``sessions`` is ``[]``, and ``is_alive`` and ``has_session`` are False, also when the socket's path
  is not a socket, is too long, or leads through a file. ``windows`` and ``panes`` raise for these in 0.51.0. In 0.62.0 they,
  and ``search_sessions``, are ``[]`` for a plain file at the socket's path. A client that was ended by a signal makes all
  of them ``[]``. For a refused user (exit code 0, ``access not allowed``) ``sessions`` is ``[]`` and ``is_alive`` is True.
- **Around** ``cmd``. Whatever builds or refreshes an object runs ``tmux_cmd`` itself, without our time limit: ``sessions``,
  ``windows``, ``panes``, ``refresh``, ``active_pane``, ``new_window``, ``split``, ``select``, ``rename_session``, and
  ``Server.new_session`` (0.51.0; in 0.62.0 for the version of tmux, once).
- **Locale.** Those never pass ``-u``. Under ``LC_ALL=C`` tmux prints ``_`` for the separator: ``sessions`` was ``[]`` (0.51.0)
  or raised ``ValueError`` (0.62.0), and ``new_session`` raised although the session had been created.
- **Bytes.** Output is decoded with ``backslashreplace``: the byte FF and the four characters ``\\xff`` give the same text.
- **Targets.** ``kill_session("foob")`` killed the session ``foobar``. Two servers' ``$0`` compare equal.
- **Side effects.** ``new_session`` removes ``TMUX`` from ``os.environ`` while it runs, for all threads. The debug log carries
  what a command printed, which may be the content of a pane.
"""

from __future__ import annotations

from typing import Any

import libtmux
from libtmux.common import tmux_cmd

from workspace_reaper.tmux.client import LIMIT, Completed, run


class TmuxCommand(tmux_cmd):
    """A finished command as libtmux's methods expect it, and, as ``completed``, how the client ended.

    libtmux's own ``__init__`` is never called. A failure of the client stands in ``stderr``, where libtmux's methods look.
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
    """A tmux server at an absolute socket path. ``limit`` is the time limit of each command in seconds.

    Call ``cmd``, and those methods of libtmux only that run through it; see above.
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

        ``-u`` comes first: without a UTF-8 locale tmux prints ``_`` for each TAB and each non-ASCII byte, with exit code 0.
        """
        options = [] if target is None else ["-t", str(target)]
        arguments = ["-u", "-S", self._path, cmd, *options, *map(str, args)]
        return TmuxCommand(run(arguments, stdin=stdin, limit=self._limit))
