"""The tmux pane that a process's environment names. The rest of an environment may be secret and is never read out."""

from __future__ import annotations

import os
import re

from workspace_reaper.model.process import Origin

TMUX = "TMUX"
PANE = "TMUX_PANE"

# Any process can set these for its children, so the digits are bounded: Python refuses to convert thousands of them.
_TMUX = re.compile(r"(/.*),([1-9][0-9]{0,17}),([0-9]{1,18})", re.DOTALL | re.ASCII)
_PANE = re.compile(r"%[0-9]{1,18}", re.ASCII)

_TMUX_START = f"\0{TMUX}=".encode()
_PANE_START = f"\0{PANE}=%".encode()


def read_origin(tmux: str, pane: str) -> Origin | None:
    """Parse ``TMUX`` ("socket path,server pid,session number") and ``TMUX_PANE`` ("%n"). Return None for anything else."""
    server = _TMUX.fullmatch(tmux)
    if server is None or not _PANE.fullmatch(pane):
        return None
    return Origin(server[1], int(server[2]), int(server[3]), pane)


class OriginReader:
    """Parses the environments of one scan. The processes of a pane share one ``Origin``."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[tuple[bytes, bytes], Origin | None] = {}

    def read(self, environ: bytes) -> Origin | None:
        """Return the origin in an environment as the kernel keeps it: ``NAME=value`` pieces, each terminated by NUL."""
        # Most environments name no pane, and many contain no percent sign: a single byte is found ten times as fast.
        if b"%" not in environ or (_PANE_START not in environ and not environ.startswith(_PANE_START[1:])):
            return None
        found = _value(environ, _TMUX_START), _value(environ, _PANE_START)
        if found not in self._known:
            self._known[found] = read_origin(os.fsdecode(found[0]), os.fsdecode(found[1]))
        return self._known[found]


def _value(environ: bytes, start: bytes) -> bytes:
    """Return the value of the first piece that starts so. Empty if it has no end: a truncated value names another pane."""
    at = environ.find(start)
    if at < 0 and not environ.startswith(start[1:]):
        return b""
    end = environ.find(b"\0", at + 1)
    return b"" if end < 0 else environ[environ.index(b"=", max(at, 0)) + 1 : end]
