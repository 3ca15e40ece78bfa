"""One sweep at a time for each state directory, between threads and between processes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from workspace_reaper.errors import LedgerError, SweepLocked

__all__ = ["FileSweepLock"]


class FileSweepLock:
    """A kernel lock on ``sweep.lock`` in ``state_dir`` (mode 0600; the directory is made with 0700 if it is not there).

    The kernel frees it when its holder dies, however that happens, and a process forked meanwhile does not inherit it. The
    file itself stays. ``wait`` is in seconds.
    """

    __slots__ = ("_file", "_wait")

    def __init__(self, state_dir: Path, *, wait: float = 60.0) -> None:
        self._file = state_dir / "sweep.lock"
        self._wait = wait

    @contextmanager
    def held(self) -> Iterator[None]:
        """Wait for the lock and hold it. It cannot be taken twice by one holder.

        Raises ``SweepLocked`` when another holds it for longer than ``wait``, and ``LedgerError`` when the file cannot be
        made or locked: the state directory is then of no use for the ledger either.
        """
        from filelock import FileLock, Timeout  # noqa: PLC0415  late: importing this package stays light

        # An object of its own for each holder, thus an open file of its own: between threads, too, the kernel decides.
        # A soft lock (on file systems without flock) would outlive a crash. Forks are safe from filelock 3.30 on.
        lock = FileLock(self._file, timeout=self._wait, mode=0o600, thread_local=False, fallback_to_soft=False)
        try:
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock.acquire()
        except Timeout:
            raise SweepLocked(
                f"another reaper holds {self._file} and did not let go of it within {self._wait:g} s: "
                "wait for it, or look at what the process does that has this file open"
            ) from None
        except OSError as error:
            raise LedgerError(
                f"{self._file} cannot be locked ({error.strerror}): let state_dir be a directory that this user can write, "
                "on a file system with locks"
            ) from error
        try:
            yield
        finally:
            lock.release()
