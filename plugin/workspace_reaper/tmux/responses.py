"""What the answer to a listing means: rows, certainly no session, or unknown. And what to do about an error.

The texts were measured on ``version.TESTED_VERSIONS``; they do not depend on the locale.
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


class ListingOutcome(Enum):
    """What the exit code and the texts of a listing claim. The last two claims must be confirmed at the socket itself."""

    ROWS = "rows"
    UNKNOWN = "unknown"
    # A server without sessions has no panes to list. Standard output identifies the server.
    NO_SESSION = "no session"
    ABSENT = "absent"
    REFUSED = "refused"


def meaning(completed: Completed, path: str) -> ListingOutcome:
    """Interpret the answer to a listing on the socket at ``path``.

    Exit code 0 alone does not make an answer: a refused user gets it together with ``access not allowed``.
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
    ("did not answer", "Check whether the server is stopped (SIGSTOP) or the machine is overloaded."),
    ("Permission denied", "Run the reaper as the user that owns the tmux server."),
    ("access not allowed", "Run the reaper as the user that owns the tmux server."),
    ("unsafe permissions", "Remove all permissions of other users from that directory (chmod o-rwx)."),
    ("Not a directory", "Fix the path of the socket in the configuration."),
    ("File name too long", "Use a socket path shorter than 100 bytes."),
    ("No such file or directory", "Create the directory of the socket, or make it readable and your own."),
    ("no server running", "Check the file at that path: it is not a socket that refuses connections."),
    (
        "exited unexpectedly",
        "Check whether the server is newer than the client: tmux -V, and tmux display-message -p '#{version}'.",
    ),
    ("lost server", "The server ended during the command. The next sweep looks again."),
)


def advice(completed: Completed) -> str:
    """Return a sentence for the operator: what tmux printed and, where it is known, what to do."""
    printed = completed.failure or " / ".join((completed.stderr or completed.stdout[:300]).split("\n")).strip(" /")
    what = printed if completed.failure else f"tmux answered with exit code {completed.exit_code}: {printed or 'nothing'}."
    return " ".join([what, *(action for text, action in _ADVICE if text in printed)])


def not_ours(path: str) -> str | None:
    """Return why this socket must not even be connected to, as a sentence; None if it may be.

    tmux tests its own ``tmux-UID`` directories in the same way, but only for ``-L``, and the reaper always gives the whole
    path. A server can make its client read and write files and run a program. So the reaper never connects to the server of
    another user, nor to a socket at a path where another user could put one.
    """
    directory = Path(path).parent
    if re.fullmatch(r"tmux-[0-9]+", directory.name) and (info := _stat(directory, follow=False)) is not None:
        if not stat.S_ISDIR(info.st_mode):
            return f"{directory} is not a directory. Remove it, or fix the path of the socket in the configuration."
        if info.st_uid != os.getuid():
            return _foreign(directory, info.st_uid)
        if info.st_mode & stat.S_IRWXO:
            return f"The directory {directory} has unsafe permissions: chmod o-rwx {directory}."
    info = _stat(Path(path), follow=True)
    if info is not None and info.st_uid != os.getuid():
        return _foreign(Path(path), info.st_uid)
    unsafe = check_path_to(path)
    return None if unsafe is None else unsafe.message("The socket", path)


def _foreign(path: Path, uid: int) -> str:
    return f"{path} belongs to the user with uid {uid}, and the reaper runs with uid {os.getuid()}. Run it as that user."


def _stat(path: Path, *, follow: bool) -> os.stat_result | None:
    try:
        return path.stat(follow_symlinks=follow)
    except OSError:  # tmux itself reports what is wrong with it
        return None


def certainly_absent(path: str) -> bool:
    """Return whether nothing exists at ``path``, in a directory that is readable and belongs to this user.

    tmux's own ``tmux-UID`` directory may itself be missing (no tmux since boot) if its parent is a readable directory.
    """
    directory = Path(path).parent
    if not _missing(Path(path)):
        return False
    if directory.name == own_directory_name() and _missing(directory):
        directory = directory.parent
        return directory.is_dir() and os.access(directory, os.R_OK | os.X_OK)
    info = _stat(directory, follow=True)
    is_own = info is not None and stat.S_ISDIR(info.st_mode) and info.st_uid == os.getuid()
    return is_own and os.access(directory, os.R_OK | os.X_OK)


def _missing(path: Path) -> bool:
    try:
        path.lstat()
    except OSError as error:
        return isinstance(error, FileNotFoundError)
    return False


def certainly_refused(path: str) -> bool:
    """Return whether the file is a socket on which no process listens. tmux prints "no server running" for a plain file too."""
    try:
        if not stat.S_ISSOCK(Path(path).stat().st_mode):
            return False
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.setblocking(False)  # a stopped server must not block the reaper
            probe.connect(path)
    except OSError as error:
        return isinstance(error, ConnectionRefusedError)
    return False
