"""Print a pane's old text in a new pane before its shell starts: through a named pipe, so that no file contains the text.

The pane starts as ``/bin/sh`` with a script. The script opens the pipe and removes its name, which shows that it has started;
copies its input to the pane; and then becomes the shell that tmux would have started. All panes of a session wait until each
has its text: in an incomplete session no other program has run.
"""

from __future__ import annotations

import os
import select
import shutil
import tempfile
import time
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path

from workspace_reaper.model.errors import CannotRestore

# Seconds without any progress after which a pane counts as hung.
PATIENCE = 5.0

# The arguments of the script are the pipe, the directory of the pipes, and the command, if any. The first line of its input is
# tmux's default-command. The directory is removed once the session is complete: if it exists at the end of the input, this
# process was killed. tmux sets SHELL to its default-shell. env runs programs only, never a command of the shell itself.
_SCRIPT = """
workspace_reaper_command=
if [ -p "$1" ] && exec 3<"$1"; then
    rm -f -- "$1"
    IFS= read -r workspace_reaper_command <&3
    cat <&3
    exec 3<&-
    if [ -d "$2" ]; then
        echo "workspace-reaper: the restore was interrupted"
        set -- "$1" "$2"
    fi
fi
shift 2
if [ $# -gt 0 ]; then
    trap : INT QUIT
    env -- "$@"
    trap - INT QUIT
fi
if [ -n "$workspace_reaper_command" ]; then
    exec "${SHELL:-/bin/sh}" -c "$workspace_reaper_command"
fi
exec "${SHELL:-/bin/sh}" -l
"""


class PaneInput:
    """The pipes of one session that is being restored, in a private directory below ``directory``.

    Use it as a context manager. ``release`` lets the shells start; without it, they print that the restore was interrupted.
    ``patience`` is in seconds.
    """

    def __init__(self, directory: Path, *, patience: float = PATIENCE) -> None:
        self._patience = patience
        self._directory = Path(tempfile.mkdtemp(prefix="restoring-", dir=directory))
        self._pipes: dict[str, _Pipe] = {}

    def __enter__(self) -> PaneInput:
        return self

    def __exit__(self, *_: object) -> None:
        for pipe in self._pipes.values():
            pipe.close()
        shutil.rmtree(self._directory, ignore_errors=True)

    def starter(self, pane: str, command: Sequence[str]) -> tuple[str, ...]:
        """Return the program and arguments with which a pane must be started.

        Args:
            pane: The key by which ``write`` finds the pane.
            command: Run in the pane once the session is complete, before the shell. May be empty.
        """
        pipe = self._pipes[pane] = _Pipe(self._directory / f"{len(self._pipes)}", self._patience)
        return ("/bin/sh", "-c", _SCRIPT, "workspace-reaper", str(pipe.path), str(self._directory), *command)

    def write(self, pane: str, default_command: str, lines: Iterable[str]) -> None:
        """Print these lines in the pane.

        Raises:
            CannotRestore: The pane did not start, or does not read its input.
        """
        pipe = self._pipes[pane]
        try:
            pipe.wait_for_reader()
            # A newline would end the line too early; to a shell it means the same as a semicolon.
            for line in chain([default_command.replace("\n", ";")], lines):
                pipe.write(line.encode("utf-8", "surrogateescape") + b"\n")
            pipe.flush()
        except BrokenPipeError:
            raise CannotRestore(f"the new pane for {pane} ended before its text was printed") from None

    def release(self) -> None:
        """Mark the session as complete: let the shells start."""
        self._directory.rmdir()
        for pipe in self._pipes.values():
            pipe.close()


class _Pipe:
    """One named pipe. Both ends are open from the start, so that the pane never waits when it opens the pipe."""

    def __init__(self, path: Path, patience: float) -> None:
        self.path = path
        self._patience = patience
        self._pending = bytearray()
        os.mkfifo(path, 0o600)
        # O_RDWR on a named pipe is undefined in POSIX; it works on Linux, macOS and the BSDs.
        self._ends = [os.open(path, os.O_RDWR | os.O_NONBLOCK), os.open(path, os.O_WRONLY | os.O_NONBLOCK)]

    def wait_for_reader(self) -> None:
        """Wait until the pane has opened the pipe, then close the reading end: if the pane ends, ``write`` fails at once."""
        deadline = time.monotonic() + self._patience
        while os.path.lexists(self.path):
            if time.monotonic() > deadline:
                raise CannotRestore(f"a new pane did not start within {self._patience:g} s")
            time.sleep(0.005)
        if len(self._ends) == 2:
            os.close(self._ends.pop(0))

    def write(self, data: bytes) -> None:
        self._pending += data
        if len(self._pending) > 1 << 16:
            self.flush()

    def flush(self) -> None:
        writer = self._ends[-1]
        while self._pending:
            if not select.select([], [writer], [], self._patience)[1]:
                raise CannotRestore(f"a new pane did not read its text for {self._patience:g} s")
            try:
                written = os.write(writer, self._pending[: 1 << 16])
            except BlockingIOError:  # less room than one page
                written = 0
                time.sleep(0.005)
            del self._pending[:written]

    def close(self) -> None:
        while self._ends:
            os.close(self._ends.pop())
