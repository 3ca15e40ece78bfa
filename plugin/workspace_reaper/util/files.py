"""Create files for this user alone, complete or not at all, and say what to do when that fails."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_ADVICE = {
    errno.ENOSPC: "the disk is full: free some space there",
    errno.EDQUOT: "the quota is used up: free some of this user's space there",
    errno.EROFS: "make that file system writable, or set another state_dir",
    errno.EACCES: "let this user write there, or set another state_dir",
    errno.EPERM: "let this user write there, or set another state_dir",
    errno.EISDIR: "move away the directory that is in its place",
    errno.ENOTDIR: "move away the file that is in the place of a directory, or set another state_dir",
    errno.EEXIST: "move away the file that is in the place of a directory, or set another state_dir",
    errno.EMFILE: "allow this process more open files",
    errno.ENFILE: "allow this machine more open files",
}


def advice(error: OSError) -> str:
    """Return what to do about an error in the state directory, as the end of a sentence without its full stop."""
    return _ADVICE.get(error.errno or 0, "check that path, or set another state_dir")


def make_private(directory: Path) -> None:
    """Create a directory and its missing parents with mode 0700, whatever the umask. An existing one stays as it is.

    Raises:
        OSError: It cannot be created; ``NotADirectoryError`` if something else has that name.
    """
    if directory.is_dir():
        return
    if directory.parent != directory:
        make_private(directory.parent)
    try:
        directory.mkdir(0o700)
    except FileExistsError as error:
        if not directory.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(directory)) from error
    else:
        directory.chmod(0o700)


def create_private_file(path: Path) -> int:
    """Create a file with mode 0600, whatever the umask, and return a descriptor for reading and writing.

    Raises:
        FileExistsError: Something has that name, even a dangling symbolic link.
    """
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(descriptor, 0o600)
    except BaseException:  # the caller has no descriptor to close
        os.close(descriptor)
        raise
    return descriptor


@contextmanager
def staged_file(target: Path, data: bytes) -> Iterator[Path]:
    """Write ``data`` to a new private file in the directory of ``target`` and to the disk, for the caller to rename or link.

    It is removed at the end if it still has its temporary name. Raises ``OSError``.
    """
    path = target.with_name(f".{target.name}.{os.urandom(4).hex()}")
    try:
        with os.fdopen(create_private_file(path), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        yield path
    finally:
        path.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Wait until a file, or the list of names in a directory, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
