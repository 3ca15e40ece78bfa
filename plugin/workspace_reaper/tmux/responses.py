"""What an answer of tmux, or the lack of one, means: rows, certainly no session, or nothing at all.

The texts were measured on tmux 3.2a to 3.7c, master of 2026-08, and 3.8; they do not depend on the locale.
"""

from __future__ import annotations

import os
import re
import socket
import stat
from enum import Enum
from pathlib import Path

from workspace_reaper.tmux.client import Completed
from workspace_reaper.tmux.sockets import own_directory_name
from workspace_reaper.util.permissions import check_path_to

__all__ = ["ListingOutcome", "advice", "certainly_absent", "certainly_refused", "meaning", "not_ours"]


class ListingOutcome(Enum):
    """What a listing's exit code and texts claim. The two claims about the socket still need a look at the socket itself."""

    ROWS = "rows"
    NO_SESSION = "no session"
    """A server, without any session to list panes of: standard output says which server."""
    ABSENT = "absent"
    REFUSED = "refused"
    UNKNOWN = "unknown"


def meaning(completed: Completed, path: str) -> ListingOutcome:
    """Read the answer to a listing on the socket at ``path``.

    Exit code 0 alone is no answer: a refused user gets it together with ``access not allowed``.
    """
    if completed.failure is not None:
        return ListingOutcome.UNKNOWN
    claims = {
        (0, ""): ListingOutcome.ROWS,
        (1, "no current target\n"): ListingOutcome.NO_SESSION,
        (1, f"error connecting to {path} (No such file or directory)\n"): ListingOutcome.ABSENT,
        (1, f"no server running on {path}\n"): ListingOutcome.REFUSED,
    }
    claim = claims.get((completed.exit_code, completed.stderr), ListingOutcome.UNKNOWN)
    if claim in (ListingOutcome.ABSENT, ListingOutcome.REFUSED) and completed.stdout:
        return ListingOutcome.UNKNOWN
    return claim


_ADVICE = (
    ("did not answer", "Look whether the server is stopped (SIGSTOP), or the machine overloaded."),
    ("Permission denied", "Run the reaper as the user that owns the tmux server."),
    ("access not allowed", "Run the reaper as the user that owns the tmux server."),
    ("unsafe permissions", "Take all permissions of others from that directory."),
    ("Not a directory", "Correct the socket's path in the configuration."),
    ("File name too long", "Use a socket path of fewer than 100 bytes."),
    (
        "No such file or directory",
        "The directory must exist, and be a readable one of your own, before its socket can be missing.",
    ),
    ("no server running", "Look what that file is: it is no socket that refuses a connection."),
    (
        "exited unexpectedly",
        "Look whether the server is newer than the client: tmux -V, and tmux display-message -p '#{version}'.",
    ),
    ("lost server", "The server ended while it was asked; the next sweep will tell."),
)


def advice(completed: Completed) -> str:
    """The sentence for a person: what tmux said, and what to do where that is known."""
    said = completed.failure or " / ".join((completed.stderr or completed.stdout[:300]).split("\n")).strip(" /")
    what = said if completed.failure else f"tmux answered with exit code {completed.exit_code}: {said or 'nothing'}."
    return " ".join([what, *(todo for text, todo in _ADVICE if text in said)])


def not_ours(path: str) -> str | None:
    """Why this socket must not even be connected to: a sentence, or None.

    tmux makes the same test of its own ``tmux-UID`` directories, but only for ``-L``; we always give the whole path. A server
    may have its client read and write files, and run a program, so another user's is never spoken to, nor one at a place where
    another user could put his.
    """
    directory = Path(path).parent
    if re.fullmatch(r"tmux-[0-9]+", directory.name):
        info = _look(directory, follow=False)
        if info is not None and not stat.S_ISDIR(info.st_mode):
            return f"{directory} is not a directory. Remove it, or correct the socket's path in the configuration."
        if info is not None and info.st_uid != os.getuid():
            return _foreign(directory, info.st_uid)
        if info is not None and info.st_mode & stat.S_IRWXO:
            return f"The directory {directory} has unsafe permissions: chmod o-rwx {directory}."
    info = _look(Path(path), follow=True)
    if info is not None and info.st_uid != os.getuid():
        return _foreign(Path(path), info.st_uid)
    unsafe = check_path_to(path)
    return None if unsafe is None else unsafe.message("The socket", path)


def _foreign(path: Path, uid: int) -> str:
    return f"{path} belongs to the user with uid {uid}, and the reaper runs with uid {os.getuid()}. Run it as that user."


def _look(path: Path, *, follow: bool) -> os.stat_result | None:
    try:
        return path.stat() if follow else path.lstat()
    except OSError:  # tmux itself will say what is wrong with it
        return None


def certainly_absent(path: str) -> bool:
    """Nothing is at ``path``, and its directory is one of which we can know that: ours, and readable.

    tmux's own ``tmux-UID`` directory may itself be missing (no tmux since boot) if its parent is a readable directory.
    """
    directory = Path(path).parent
    if not _missing(Path(path)):
        return False
    if directory.name == own_directory_name() and _missing(directory):
        return directory.parent.is_dir() and os.access(directory.parent, os.R_OK | os.X_OK)
    info = _look(directory, follow=True)
    return (
        info is not None
        and stat.S_ISDIR(info.st_mode)
        and info.st_uid == os.getuid()
        and os.access(directory, os.R_OK | os.X_OK)
    )


def _missing(path: Path) -> bool:
    try:
        path.lstat()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return False


def certainly_refused(path: str) -> bool:
    """The file is a socket, and nobody listens on it. tmux says "no server running" of a plain file as well."""
    try:
        if not stat.S_ISSOCK(Path(path).stat().st_mode):
            return False
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.setblocking(False)  # a server that hangs must not hang us
            probe.connect(path)
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return False
