"""How a new pane gets its old text before its shell starts: through a pipe with a name, so that no file ever holds the text.

A pane starts as ``/bin/sh`` with a script of ours. It opens its pipe and removes the pipe's name, by which we know that it is
there; copies what comes; and then becomes the shell that tmux would have started. Until every pane of a session is fed they
all wait: nothing but this script has run in a session that is not complete.
"""

from __future__ import annotations

import os
import select
import shutil
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from workspace_reaper.model.errors import CannotRestore

__all__ = ["PATIENCE", "PaneInput"]

PATIENCE = 5.0
"""Seconds without any progress after which a pane counts as hung."""

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
"""Its arguments are the pipe, the pipes' directory, and the command to run, if any. The directory is gone once the session is
complete: a pipe that ends before that was our own death. tmux itself sets SHELL to its ``default-shell`` (measured on 3.3a,
3.5a and 3.8). ``env`` runs programs only, never one of the script's own commands. The first line that comes is tmux's
``default-command``."""


class PaneInput:
    """The pipes of one session that is being restored, in a private directory of their own below ``directory``.

    Use it as a context manager. ``release`` lets the shells start; without it, they learn that the session was not completed.
    """

    def __init__(self, directory: Path, *, patience: float = PATIENCE) -> None:
        self._patience = patience
        self._place = Path(tempfile.mkdtemp(prefix="restoring-", dir=directory))
        self._feeds: dict[str, _Feed] = {}

    def __enter__(self) -> PaneInput:
        return self

    def __exit__(self, *_: object) -> None:
        for feed in self._feeds.values():
            feed.close()
        shutil.rmtree(self._place, ignore_errors=True)

    def starter(self, pane: str, command: Sequence[str]) -> tuple[str, ...]:
        """What a pane must be started with to be fed as ``pane``, a word of our own choice. ``command`` runs in it once the
        session is complete, before the shell; it may be empty."""
        feed = self._feeds[pane] = _Feed(self._place / f"{len(self._feeds)}", self._patience)
        return ("/bin/sh", "-c", _SCRIPT, "workspace-reaper", str(feed.path), str(self._place), *command)

    def feed(self, pane: str, default_command: str, lines: Iterable[str]) -> None:
        """Print these lines in the pane. Raises ``CannotRestore`` if it is not there, or does not read."""
        feed = self._feeds[pane]
        try:
            feed.wait_for_reader()
            # A newline in it would end it too early, and means no more to a shell than this.
            feed.write(default_command.replace("\n", ";").encode("utf-8", "surrogateescape") + b"\n")
            for line in lines:
                feed.write(line.encode("utf-8", "surrogateescape") + b"\n")
            feed.flush()
        except BrokenPipeError:
            raise CannotRestore(f"the pane that takes the place of {pane} ended before it had its text back") from None

    def release(self) -> None:
        """Everything is in: let the shells start."""
        self._place.rmdir()
        for feed in self._feeds.values():
            feed.close()


class _Feed:
    """One pipe. Nobody who opens it ever waits for us: we hold both of its ends from the start."""

    def __init__(self, path: Path, patience: float) -> None:
        self.path = path
        self._patience = patience
        self._pending = bytearray()
        os.mkfifo(path, 0o600)
        # To open both ends at once is undefined in POSIX, and works on Linux, macOS and the BSDs.
        self._both: int | None = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        self._writer: int | None = os.open(path, os.O_WRONLY | os.O_NONBLOCK)

    def wait_for_reader(self) -> None:
        """Until the pane has opened it. From then on its death is an error of ours, not a pipe that nobody empties."""
        deadline = time.monotonic() + self._patience
        while os.path.lexists(self.path):
            if time.monotonic() > deadline:
                raise CannotRestore(f"a new pane did not start within {self._patience:g} s")
            time.sleep(0.005)
        if self._both is not None:
            os.close(self._both)
            self._both = None

    def write(self, data: bytes) -> None:
        self._pending += data
        if len(self._pending) > 1 << 16:
            self.flush()

    def flush(self) -> None:
        assert self._writer is not None  # noqa: S101  fed before it is released
        while self._pending:
            if not select.select([], [self._writer], [], self._patience)[1]:
                raise CannotRestore(f"a new pane did not read its text for {self._patience:g} s")
            try:
                written = os.write(self._writer, self._pending[: 1 << 16])
            except BlockingIOError:  # less room than one page
                written = 0
                time.sleep(0.005)
            del self._pending[:written]

    def close(self) -> None:
        for end in (self._both, self._writer):
            if end is not None:
                os.close(end)
        self._both = self._writer = None
