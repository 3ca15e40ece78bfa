"""A private tmux server on a socket in the sandbox. Every process of the demo is started in a session of it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from workspace_reaper.demo.processes import DemoFailed, end_all, identify
from workspace_reaper.model.process import ProcessKey

SHELL = "/bin/sh"


class PrivateTmux:
    """A server that starts with the first session, without the user's configuration, and ends with ``close``.

    ``limit`` is the time limit of each command, in seconds.
    """

    def __init__(self, socket: Path, *, limit: float = 10.0) -> None:
        program = shutil.which("tmux")
        if program is None:
            raise DemoFailed("tmux is not on PATH any more")
        self._limit = limit
        self._command = (program, "-u", "-f", "/dev/null", "-S", str(socket))
        # A terminal type that tmux supports, and shells that read and write no file of the user.
        self._environ = {**os.environ, "TERM": "screen", "SHELL": SHELL, "HISTFILE": "", "ENV": "", "PS1": "$ "}
        self._processes: set[ProcessKey] = set()
        self._started = False

    def run(self, *arguments: str) -> str:
        """Run one tmux command, or several separated by ``;`` arguments, and return the output.

        Raises:
            DemoFailed: The command failed or did not answer in time.
        """
        try:
            # A session of its own: Ctrl-C in the user's terminal must not interrupt a command.
            done = subprocess.run(
                [*self._command, *arguments],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                env=self._environ,
                encoding="utf-8",
                errors="surrogateescape",
                timeout=self._limit,
                start_new_session=True,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise DemoFailed(f"tmux {arguments[0]} did not answer within {self._limit:g} s") from None
        if done.returncode or done.stderr:
            raise DemoFailed(f"tmux {arguments[0]} failed: {done.stderr.strip() or f'exit code {done.returncode}'}")
        return done.stdout

    def new_session(self, name: str, *command: str, directory: Path = Path("/")) -> str:
        """Create a session of 80x24 that runs the command without a shell, and return its id."""
        self._started = True
        ids = "#{session_id} #{pid} #{pane_pid}"
        size = ("-x", "80", "-y", "24")
        made = self.run("new-session", "-d", *size, "-c", str(directory), "-P", "-F", ids, "-s", name, *command)
        session_id, *pids = made.split()
        self.note(*pids)
        return session_id

    def attach(self, session_id: str) -> None:
        """Attach a client to the session. The client runs in a session of its own; without TMUX it may be nested."""
        client = ("env", "TMUX=", *self._command, "attach-session", "-t", f"{session_id}:")
        self.new_session(f"client-{session_id[1:]}", *client)

    def show(self, session_id: str, name: str) -> str:
        """Return the value of a format variable of the session or of its pane."""
        return self.run("display-message", "-p", "-t", f"{session_id}:", f"#{{{name}}}").strip()

    def text(self, session_id: str) -> list[str]:
        """Return the lines of the session's pane that are not empty, scrollback first."""
        lines = self.run("capture-pane", "-p", "-J", "-S", "-", "-t", f"{session_id}:").splitlines()
        return [line.rstrip() for line in lines if line.strip()]

    def sessions(self) -> set[str]:
        """Return the ids of all sessions."""
        return set(self.run("list-sessions", "-F", "#{session_id}").split())

    def note(self, *pids: str | int) -> None:
        """Take responsibility for processes: ``close`` ends them."""
        self._processes.update(process for pid in pids if (process := identify(int(pid))) is not None)

    def note_panes(self) -> None:
        """Take responsibility for the processes of all panes, including those that the reaper has restored."""
        self.note(*self._try("list-panes", "-a", "-F", "#{?pane_dead,,#{pane_pid}}"))

    def close(self, patience: float = 3.0) -> list[int]:
        """End the server and all noted processes, and return the pids that could not be ended. See ``end_all``."""
        if self._started:
            self.note_panes()
            # Also ends a server whose pid is unknown because its first command did not answer.
            self._try("kill-server")
        return [process.pid for process in end_all(self._processes, patience)]

    def _try(self, *arguments: str) -> list[str]:
        try:
            return self.run(*arguments).split()
        except DemoFailed:
            return []  # no server, or one that does not answer: it is ended by its pid
