"""Where snapshots lie, and how files come there: for this user alone whatever the umask, and whole or not at all."""

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

__all__ = [
    "SESSION_FILE",
    "is_reap_id",
    "make_directory",
    "make_root",
    "pane_file",
    "sweep_workplaces",
    "why_not",
    "workplace",
]

SESSION_FILE = "session.json"
_WORK = ".work-"
_WORKPLACE = re.compile(r"\.work-[a-z0-9_]+")
_ULID = re.compile("[0-7][0-9A-HJKMNP-TV-Z]{25}")
_PANE_ID = re.compile("%[0-9]+")


def is_reap_id(reap_id: str) -> bool:
    """Whether it is a ULID. Nothing else ever becomes the name of a directory."""
    return _ULID.fullmatch(reap_id) is not None


def pane_file(pane_id: str) -> str:
    """The name of the file for that pane. Raises ``ValueError`` for what is no pane id."""
    if not _PANE_ID.fullmatch(pane_id):
        raise ValueError(f"{pane_id!r} is no id of a pane: that is a % and a number.")
    return f"pane-{pane_id[1:]}.gz"


def make_root(root: Path) -> None:
    """The directory of all snapshots, and those above, where they are missing. Raises ``OSError``, also for a symbolic link,
    and for another user's directory: whoever made it may lead us anywhere."""
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
    """A new directory with mode 0700."""
    path.mkdir(0o700)
    path.chmod(0o700)


@contextlib.contextmanager
def workplace(root: Path) -> Iterator[Path]:
    """A new directory beside the snapshots for what is not finished, or is on its way out. All that is left in it goes.

    It is locked for as long as this process lives, so that ``sweep_workplaces`` can tell it from one that a crash left
    behind, without trusting a process id.
    """
    make_root(root)
    while True:
        path = Path(tempfile.mkdtemp(prefix=_WORK, dir=root))
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if not path.exists():  # swept away before it was locked
                continue
            path.chmod(0o700)
            try:
                yield path
            finally:
                shutil.rmtree(path, ignore_errors=True)
            return
        finally:
            os.close(descriptor)


def sweep_workplaces(root: Path) -> None:
    """Remove what crashed processes left behind. Raises ``OSError`` where ``root`` can't be read, or something can't go."""
    for path in root.iterdir():
        if not _WORKPLACE.fullmatch(path.name) or path.is_symlink() or not path.is_dir():
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
