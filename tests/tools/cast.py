"""Processes that a session's panes start. Each says who it is by a file, and is gone with the test."""

from __future__ import annotations

import contextlib
import shlex
import sys
from pathlib import Path

import psutil

from tests.tools.waiting import wait_until

__all__ = ["LISTEN", "STUBBORN", "Cast"]

_PRELUDE = """
import ctypes, os, signal, socket, sys, time
def say(name, text):
    with open(f"{here}/{name}.new", "w") as file:
        file.write(str(text))
    os.rename(f"{here}/{name}.new", f"{here}/{name}")
def sign(name):
    say(name, os.getpid())
def told(name):
    return os.path.exists(f"{here}/{name}")
def rest():
    while True:
        signal.pause()
"""

LISTEN = """
listening = socket.create_server(("127.0.0.1", 0))
say("port", listening.getsockname()[1])
"""
"""Code for a server: its port is in what it says as ``port``."""

STUBBORN = """
for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
    signal.signal(number, signal.SIG_IGN)
"""
"""Code for a process that only KILL ends."""


class Cast:
    """Programs in ``directory``, which no process has in its arguments but those started from here.

    Use it as a context manager: at the end every process that has signed in is killed, if it still is the same.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir()

    def __enter__(self) -> Cast:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self.directory.iterdir():
            with contextlib.suppress(ValueError, psutil.Error):
                process = psutil.Process(int(file.read_text()))
                if any(word.startswith(str(self.directory)) for word in process.cmdline()):
                    process.kill()

    def command(self, name: str, code: str = "") -> str:
        """A shell command: it runs the code, signs in under this name, and then waits for a signal.

        The code has ``say``, ``sign``, ``told`` (whether something was said, also by ``Cast.say``), ``rest`` (wait, at
        once), and a few modules.
        """
        program = self.directory / f"{name}.py"
        program.write_text(f"here = {str(self.directory)!r}{_PRELUDE}{code}\nsign({name!r})\nrest()\n")
        return shlex.join([sys.executable, "-S", "-E", str(program)])

    def escaping(self, name: str, code: str = "") -> str:
        """The same, in a terminal session of its own and below nobody of the pane, deaf to HUP."""
        return f"(setsid nohup {self.command(name, code)} >/dev/null 2>&1 &)"

    def disowning(self, name: str, code: str = "") -> str:
        """The same with a cleaned environment: nothing of it names the pane any more."""
        return f"(env -i setsid nohup {self.command(name, code)} >/dev/null 2>&1 &)"

    def waiting_for(self, name: str) -> str:
        """A shell command that waits until that was said: what has not escaped yet ends with its pane."""
        return f"while [ ! -e {shlex.quote(str(self.directory / name))} ]; do sleep 0.02; done"

    def say(self, name: str, text: str = "") -> None:
        """Say something to the programs."""
        (self.directory / name).write_text(text)

    def said(self, name: str) -> str:
        """Wait until a program has said that, and return the text."""
        file = self.directory / name
        wait_until(file.exists)
        return file.read_text()

    def has_said(self, name: str) -> bool:
        """A program has said that by now."""
        return (self.directory / name).exists()

    def process(self, name: str) -> psutil.Process:
        """Wait until this one has signed in."""
        return psutil.Process(int(self.said(name)))

    def escaped(self, name: str) -> psutil.Process:
        """Wait until this one has signed in, and no tmux is above it any more."""
        process = self.process(name)
        wait_until(lambda: not _is_below_tmux(process))
        return process

    @staticmethod
    def lives(process: psutil.Process) -> bool:
        """It is still there, and no zombie."""
        try:
            return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False


def _is_below_tmux(process: psutil.Process) -> bool:
    """Some tmux is above it. Also if what is above it ends at this moment: then look again."""
    try:
        return any(parent.name().startswith("tmux") for parent in process.parents())
    except psutil.NoSuchProcess:
        return process.is_running()
