"""Somebody who looks at a session: a real tmux client on a pseudo-terminal."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress

__all__ = ["Client"]


class Client:
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
