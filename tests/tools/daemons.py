"""The host daemon as a process, as a service manager starts it."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.tools.commands import product
from tests.tools.waiting import wait_until
from tests.tools.world import World

__all__ = ["PATIENCE", "Daemon"]

PATIENCE = 60.0
"""Seconds that a start, a stop or a line of the log may take on a busy machine."""


class Daemon:
    """``workspace-reaper run`` with the world's configuration, from its readiness on. Use it as a context manager.

    ``prelude`` is Python that runs before it, in the same process; ``wrapped`` is a command that gets its command as further
    arguments and becomes it; ``environ`` is set besides. It logs JSON.
    """

    def __init__(
        self, world: World, *, prelude: str = "", wrapped: Sequence[str] = (), ready: bool = True, **environ: str
    ) -> None:
        self._place = tempfile.TemporaryDirectory(prefix="wr-", dir="/tmp")
        self._notifications = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notifications.settimeout(PATIENCE)
        told = Path(self._place.name) / "notify"
        self._notifications.bind(str(told))
        program = f"{prelude}\nfrom workspace_reaper.cli import main\nmain()"
        self.process = subprocess.Popen(
            [*wrapped, sys.executable, "-c", program, "--config", str(world.write_config()), "run"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=world.environment(NOTIFY_SOCKET=str(told), WORKSPACE_REAPER_LOG_FORMAT="json", **product(), **environ),
            cwd=world.tmp,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        if ready:
            self.wait_for("READY=1")

    def __enter__(self) -> Daemon:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.finish()

    @property
    def log(self) -> list[dict[str, Any]]:
        """The lines of its log so far."""
        return [json.loads(line) for line in list(self.lines)]

    def wait_for(self, notification: str) -> None:
        """Wait until it has told its service manager that."""
        while notification not in self._notifications.recv(65536).decode().splitlines():
            assert self.process.poll() is None, self.lines

    def wait_for_line(self, text: str) -> None:
        """Wait until a line of its log has that text."""
        wait_until(lambda: any(text in line for line in list(self.lines)), PATIENCE)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def stop(self) -> int:
        """As a service manager stops it; its exit code."""
        self.signal(signal.SIGTERM)
        return self.finish()

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.finish()

    def finish(self) -> int:
        """Wait for its end; its exit code."""
        code = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        self._notifications.close()
        self._place.cleanup()
        return code

    def _read(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as stream:
            for line in stream:
                self.lines.append(line.rstrip("\n"))
