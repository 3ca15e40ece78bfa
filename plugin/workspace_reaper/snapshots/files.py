"""The names of snapshots and of their files, and the directories in which they are prepared and removed."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from workspace_reaper.util.files import advice, make_private

SESSION_FILE = "session.json"
_PREFIX = ".work-"
_STAGING = re.compile(r"\.work-[a-z0-9_]+")
_ULID = re.compile("[0-7][0-9A-HJKMNP-TV-Z]{25}")
_PANE_ID = re.compile("%[0-9]+")


def is_reap_id(reap_id: str) -> bool:
    """Return whether it is a ULID. Only a ULID becomes the name of a directory."""
    return _ULID.fullmatch(reap_id) is not None


def pane_file(pane_id: str) -> str:
    """Return the name of the file for that pane. Raises ``ValueError`` if this is not a pane id."""
    if not _PANE_ID.fullmatch(pane_id):
        raise ValueError(f"{pane_id!r} is not a pane id: it must be % and a number.")
    return f"pane-{pane_id[1:]}.gz"


def make_root(root: Path) -> None:
    """Create the directory of all snapshots and its missing parents.

    Raises:
        OSError: It cannot be created, is a symbolic link, or belongs to another user, who could redirect what is written.
    """
    make_private(root.parent)
    with contextlib.suppress(FileExistsError):
        root.mkdir(0o700)
    info = root.lstat()
    if not stat.S_ISDIR(info.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(root))
    if info.st_uid != os.geteuid():
        raise PermissionError(errno.EPERM, f"it belongs to the user with uid {info.st_uid}", str(root))
    if stat.S_IMODE(info.st_mode) != 0o700:
        root.chmod(0o700)


def make_directory(path: Path) -> None:
    """Create a directory with mode 0700, whatever the umask."""
    path.mkdir(0o700)
    path.chmod(0o700)


@contextlib.contextmanager
def staging_directory(root: Path) -> Iterator[Path]:
    """Create a directory for snapshots that are not complete yet or are being removed. At the end it is removed.

    A lock on it distinguishes it from one that a crash left behind: a process id could not.
    """
    make_root(root)
    while True:
        path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=root))
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if not path.exists():  # removed by another process before it was locked
                continue
            path.chmod(0o700)
            try:
                yield path
            finally:
                shutil.rmtree(path, ignore_errors=True)
            return
        finally:
            os.close(descriptor)


def remove_stale_directories(root: Path) -> None:
    """Remove the directories that crashed processes left behind. Raises ``OSError`` if that fails."""
    for path in root.iterdir():
        if not _STAGING.fullmatch(path.name) or path.is_symlink() or not path.is_dir():
            continue
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        else:
            shutil.rmtree(path)
        finally:
            os.close(descriptor)


def why_not(error: OSError, root: Path) -> str:
    """Return the message for an error: what cannot be written, why, and what to do."""
    path = error.filename if isinstance(error.filename, str) else str(root)
    more = ", or lower snapshot_bytes" if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
    return f"The panes cannot be kept in {path} ({error.strerror or error}): {advice(error)}{more}."
