"""A tmux server of the demo's own, on a socket in its own directory."""

from __future__ import annotations

import os
import pty
import shutil
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from workspace_reaper.demo.processes import DemoFailed, Started, end_all

__all__ = ["DemoClient", "Made", "PrivateTmux"]

_SHELL = "/bin/sh"


@dataclass(frozen=True, slots=True)
class Made:
    """A session: tmux's id, and the second in which it was made."""

    session_id: str
    created: int


class PrivateTmux:
    """The server starts with the first session, without the user's configuration, and ends with ``close``.

    ``limit`` is in seconds, for each command.
    """

    def __init__(self, socket: Path, *, limit: float = 10.0) -> None:
        program = shutil.which("tmux")
        if program is None:
            raise DemoFailed("tmux is not on PATH any more")
        self._limit = limit
        self._command = (program, "-u", "-f", "/dev/null", "-S", str(socket))
        # A terminal that tmux knows, whatever the user's is; and shells that neither read nor write anything of the user's.
        self._environ = {**os.environ, "TERM": "screen", "SHELL": _SHELL, "HISTFILE": "", "ENV": "", "PS1": "$ "}
        self._processes: set[Started] = set()
        self._clients: list[DemoClient] = []
        self._started = False

    def run(self, *arguments: str) -> str:
        """Run one tmux command, or several with ``;`` among the arguments; what it printed. ``DemoFailed`` if it failed."""
        try:
            # A session of its own: Ctrl-C on the user's terminal must not end a command halfway.
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

    def new_session(self, name: str, *command: str, directory: Path = Path("/")) -> Made:
        """Make a session. The command is run as it is, without the user's shell."""
        self._started = True
        told = "#{session_id} #{session_created} #{pid} #{pane_pid}"
        size = ("-x", "80", "-y", "24")
        made = self.run("new-session", "-d", *size, "-c", str(directory), "-P", "-F", told, "-s", name, *command)
        session_id, created, server, pane = made.split()
        self._note(server, pane)
        return Made(session_id, int(created))

    def attach(self, made: Made) -> None:
        """Let a client look at the session; ``attached`` tells when it is there."""
        self._clients.append(DemoClient([*self._command, "attach-session", "-t", f"{made.session_id}:"], self._environ))

    @property
    def attached(self) -> bool:
        """Every client is there by the server's word."""
        return {client.tty for client in self._clients} <= set(self.run("list-clients", "-F", "#{client_tty}").split())

    def let_panes_end(self, made: Made) -> None:
        """The session's program ends, and its pane stays, dead."""
        at = f"{made.session_id}:"
        self.run("set-option", "-w", "-t", at, "remain-on-exit", "on", ";", "respawn-pane", "-k", "-t", at, "true")

    def is_dead(self, made: Made) -> bool:
        """All panes of the session are dead."""
        return "1" in self.run("display-message", "-p", "-t", f"{made.session_id}:", "#{pane_dead}")

    def set_option(self, made: Made, name: str, value: str) -> None:
        """Set an option of the session."""
        self.run("set-option", "-t", f"{made.session_id}:", name, value)

    def start_plain_shells(self) -> None:
        """New panes start a shell that is no login shell: that would read the user's own files."""
        self.run("set-option", "-g", "default-command", _SHELL)

    def text(self, session_id: str) -> list[str]:
        """The lines of the session's pane, those of its scrollback first."""
        return self.run("capture-pane", "-p", "-J", "-S", "-", "-t", f"{session_id}:").splitlines()

    def type(self, session_id: str, line: str) -> None:
        """Type a line into the session's pane."""
        self.run("send-keys", "-t", f"{session_id}:", line, "Enter")

    def know_panes(self) -> None:
        """Note the processes of all panes, also of those that somebody else has made here."""
        for pid in self._answers("list-panes", "-a", "-F", "#{?pane_dead,,#{pane_pid}}"):
            self._note(pid)

    def sessions(self) -> set[Made]:
        """Those that are there."""
        lines = self.run("list-sessions", "-F", "#{session_id} #{session_created}").splitlines()
        return {Made(session_id, int(created)) for session_id, created in map(str.split, lines)}

    def close(self, patience: float = 3.0) -> list[int]:
        """End clients, server and panes, each by its own identity. The pids of those that could not be ended.

        ``patience`` is in seconds; see ``end_all``.
        """
        if not self._started:
            return []
        self.know_panes()
        # Also a server of which only the socket is known, because its first command was not answered.
        self._answers("kill-server")
        for client in self._clients:
            client.close()
        self._clients.clear()
        return [process.pid for process in end_all(self._processes, patience)]

    def _answers(self, *arguments: str) -> list[str]:
        try:
            return self.run(*arguments).split()
        except DemoFailed:
            return []  # there is no server, or it does not answer: it is ended by its pid

    def _note(self, *pids: str) -> None:
        self._processes.update(process for pid in pids if (process := Started.now(int(pid))) is not None)


class DemoClient:
    """``tty`` is the terminal's name, as tmux lists it. Nobody types; what is shown is read and dropped."""

    def __init__(self, command: Sequence[str], environ: Mapping[str, str]) -> None:
        self._master, slave = pty.openpty()
        self.tty = os.ttyname(slave)
        try:
            # A session of its own: Ctrl-C on the user's terminal is not meant for it.
            self._process = subprocess.Popen(
                command, stdin=slave, stdout=slave, stderr=slave, env=environ, start_new_session=True
            )
        except BaseException:
            os.close(self._master)
            raise
        finally:
            os.close(slave)
        self._reader = threading.Thread(target=self._read, name="workspace-reaper demo client", daemon=True)
        self._reader.start()

    def close(self) -> None:
        """End it, and give its terminal back."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._reader.join(3)
        os.close(self._master)

    def _read(self) -> None:
        # A terminal that nobody reads fills up. This ends with EOF or EIO, when the other side is closed everywhere.
        with suppress(OSError):
            while os.read(self._master, 65536):
                pass
