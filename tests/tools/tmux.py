"""A real tmux server for a test: private, on a socket of its own, gone with the test.

Nothing here names another server's socket, or a process that it did not start. It works inside tmux as well.
"""

from __future__ import annotations

import contextlib
import os
import pty
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import psutil

from tests.tools.waiting import wait_until

__all__ = ["Client", "TmuxServer", "clean_environment", "real_tmux", "takes_name"]

FOREVER = "exec sleep 100000"
"""What runs in a pane unless a test says otherwise: cheap, silent, and ended by the hangup."""


def real_tmux() -> str:
    """The tmux on PATH when it is asked; a server keeps what it got, so that a tmux in front of it changes nothing."""
    found = shutil.which("tmux")
    assert found, "the tests need tmux"
    return found


@lru_cache
def takes_name(name: str) -> bool:
    """Whether this tmux lets a session or a window have the name: from 3.8 on it refuses control characters."""
    if name.isprintable():
        return True
    with TmuxServer() as server:
        server.new_session("other")
        return server.run("new-session", "-d", "-P", "-s", name.replace("#", "##"), FOREVER, check=False) != ""


def clean_environment() -> dict[str, str]:
    """Our environment without the tmux that we may run in."""
    return {name: value for name, value in os.environ.items() if name not in ("TMUX", "TMUX_PANE")} | {"TERM": "screen"}


class TmuxServer:
    """One tmux server. ``path`` is its socket; the server starts with the first session.

    Use it as a context manager: at the end it is continued, killed by its own process id, and its directory removed.
    """

    def __init__(self, *, name: str = "s", directory: Path | None = None) -> None:
        # Socket paths must be shorter than about 100 bytes, and pytest's tmp_path is long.
        self.directory = directory or Path(tempfile.mkdtemp(prefix="wr-", dir="/tmp")).resolve()
        self.path = str(self.directory / name)
        self.tmux = real_tmux()
        self.clients: list[Client] = []
        self._processes: list[psutil.Process] = []

    def __enter__(self) -> TmuxServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """The process id of the server that was started last."""
        return self._processes[-1].pid

    def run(self, *arguments: str, stdin: str | None = None, check: bool = True) -> str:
        """Run one tmux command, or several with ``;`` among the arguments; what it printed, without the last newline."""
        command = [self.tmux, "-u", "-f", "/dev/null", "-S", self.path, *arguments]
        done = subprocess.run(
            command,
            input=stdin or "",
            capture_output=True,
            env=clean_environment(),
            encoding="utf-8",
            timeout=60,
            check=False,
        )
        if check and (done.returncode or done.stderr):
            raise AssertionError(f"tmux {arguments}: exit code {done.returncode}, {done.stderr!r}")
        return done.stdout.removesuffix("\n")

    def new_session(self, name: str, command: str = FOREVER, *options: str) -> str:
        """Make a session with this very name (as far as tmux allows it) and return its id, such as ``$3``.

        tmux expands ``#`` in a new name, so it is doubled here.
        """
        created = ["new-session", "-d", "-P", "-F", "#{session_id} #{pid}", "-s", name.replace("#", "##"), *options, command]
        session_id, pid = self.run(*created).split(" ")
        self._remember(int(pid))
        return session_id

    def adopt(self) -> int:
        """Look after a server that somebody else has started on this socket; its process id."""
        wait_until(lambda: self.run("list-sessions", check=False))
        self._remember(int(self.run("display-message", "-p", "#{pid}")))
        return self.pid

    def new_sessions(self, names: Sequence[str], command: str = FOREVER) -> list[str]:
        """Make many sessions in one go; the names are of letters, digits, ``-`` and ``_`` only."""
        if not self._processes:
            return [self.new_session(names[0], command), *self.new_sessions(names[1:], command)]
        lines = [f"new-session -d -P -F '#{{session_id}}' -s {name} '{command}'\n" for name in names]
        return self.run("source-file", "-", stdin="".join(lines)).split("\n") if lines else []

    def session_ids(self) -> set[str]:
        """The ids of all sessions; none where the server is gone."""
        return set(self.run("list-sessions", "-F", "#{session_id}", check=False).split())

    def show(self, session_id: str, token: str) -> str:
        """A format of one session, such as ``#{session_activity}``."""
        return self.run("display-message", "-p", "-t", f"{session_id}:", token)

    def set_option(self, session_id: str, name: str, value: str) -> None:
        """Set an option of one session."""
        self.run("set-option", "-t", f"{session_id}:", name, value)

    def attach(self, session_id: str, *options: str) -> Client:
        """Attach a real client on a terminal of its own, and wait until the server knows it."""
        client = Client(self, session_id, options)
        self.clients.append(client)
        return client

    def stop(self) -> None:
        """Stop the server (SIGSTOP): it does not answer until ``resume``."""
        self._processes[-1].suspend()

    def resume(self) -> None:
        """Let a stopped server go on."""
        self._processes[-1].resume()

    def is_alive(self) -> bool:
        """The server started last still runs."""
        return bool(self._processes) and _runs(self._processes[-1])

    def kill(self) -> None:
        """End every server that was started here, by its process id, and wait until it is gone. The socket file stays."""
        for process in self._processes:
            with contextlib.suppress(psutil.NoSuchProcess):  # psutil itself sees to it that the pid is still the same process
                process.resume()
                process.terminate()
        with contextlib.suppress(AssertionError):
            wait_until(lambda: not any(map(_runs, self._processes)), 5)
        for process in filter(_runs, self._processes):
            process.kill()

    def kill_hard(self) -> None:
        """End the server started last with SIGKILL: it may be stopped, and leaves its socket behind."""
        self._processes[-1].kill()
        wait_until(lambda: not self.is_alive())

    def close(self) -> None:
        """End clients and servers, and remove the directory."""
        with contextlib.suppress(psutil.NoSuchProcess, IndexError):
            self.resume()
        for client in self.clients:
            client.close()
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _remember(self, pid: int) -> None:
        if not self._processes or self._processes[-1].pid != pid or not _runs(self._processes[-1]):
            self._processes.append(psutil.Process(pid))


class Client:
    """A tmux client attached to a session, on a pseudo-terminal that somebody reads."""

    def __init__(self, server: TmuxServer, session_id: str, options: Sequence[str]) -> None:
        self._server = server
        self._master, slave = pty.openpty()
        self.tty = os.ttyname(slave)
        command = [server.tmux, "-u", "-S", server.path, "attach-session", *options, "-t", f"{session_id}:"]
        try:
            self._process = subprocess.Popen(
                command, stdin=slave, stdout=slave, stderr=slave, env=clean_environment(), start_new_session=True
            )
        finally:
            os.close(slave)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        wait_until(lambda: self.tty in self.attached())

    @property
    def pid(self) -> int:
        """The process id of the client."""
        return self._process.pid

    def attached(self) -> list[str]:
        """The terminals of all clients that the server counts as being there and attached."""
        return self._server.run("list-clients", "-F", "#{client_tty}", check=False).split()

    def type(self, text: str) -> None:
        """Type on the client's keyboard."""
        os.write(self._master, text.encode())

    def suspend(self) -> None:
        """As the user's ``prefix Ctrl-Z``: the client stops, and is still the session's."""
        self._server.run("suspend-client", "-t", self.tty)

    def lock(self) -> None:
        """Lock the terminal, with a command that does not end by itself."""
        self._server.run("set-option", "-g", "lock-command", "exec sleep 100000", ";", "lock-client", "-t", self.tty)

    def detach(self) -> None:
        """As the user's ``prefix d``."""
        self._server.run("detach-client", "-t", self.tty)
        self._process.wait(10)

    def kill(self) -> None:
        """End the client, and what it started, with SIGKILL; wait until the server has noticed."""
        self._end()
        # `list-clients` shows neither a suspended client nor a locked one.
        shown = ("list-sessions", "-F", "#{session_attached_list}")
        wait_until(lambda: self.tty not in self._server.run(*shown, check=False).replace(",", " ").split())

    def close(self) -> None:
        """End the client, and what it started, and give the terminal back."""
        self._end()
        self._reader.join(10)
        if self._master >= 0:
            os.close(self._master)
            self._master = -1

    def _end(self) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)  # its own process group: start_new_session
            self._process.wait(10)

    def _read(self) -> None:
        """A terminal that nobody reads fills up. Ends when the last process on the other side is gone."""
        with contextlib.suppress(OSError):
            while os.read(self._master, 65536):
                pass


def _runs(process: psutil.Process) -> bool:
    """A zombie is over: the server is not our child, and whoever must collect it may take seconds."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
