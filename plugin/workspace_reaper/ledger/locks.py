"""Locks on a state directory, between threads and processes: one sweep at a time, and one host daemon.

The kernel releases these locks when their holder ends, in whatever way, and a process forked meanwhile does not inherit them.
The files themselves stay.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path

from workspace_reaper.ledger.file import refuse_unsafe
from workspace_reaper.model.errors import AlreadyRunning, LedgerError, SweepLocked
from workspace_reaper.util.files import advice, make_private, staged_file


class FileSweepLock:
    """A kernel lock on ``sweep.lock`` in ``state_dir`` (mode 0600). A missing directory is created with mode 0700.

    Args:
        state_dir: The directory.
        wait: How many seconds to wait for the lock.
    """

    __slots__ = ("_file", "_wait")

    def __init__(self, state_dir: Path, *, wait: float = 60.0) -> None:
        self._file = state_dir / "sweep.lock"
        self._wait = wait

    @contextmanager
    def held(self) -> Iterator[None]:
        """Wait for the lock and hold it. One holder cannot take it twice.

        Raises:
            SweepLocked: Another holder keeps it for longer than ``wait``.
            LedgerError: The file cannot be created or locked; then the ledger cannot be used either.
        """
        with _locked(self._file, self._wait) as is_held:
            if not is_held:
                raise SweepLocked(
                    f"another reaper holds {self._file} and did not release it within {self._wait:g} s: "
                    "wait for it, or check what the process does that has this file open"
                )
            yield


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that holds the daemon's lock. ``since`` is ISO 8601 in UTC, ``command`` the command line."""

    pid: int
    since: str
    command: str

    @classmethod
    def this_process(cls, command: str) -> Holder:
        """Return this process as a holder from now on."""
        return cls(os.getpid(), datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"), command)


class InstanceLock:
    """A kernel lock on ``daemon.lock`` in ``state_dir``; ``daemon.json`` in the same directory says which process holds it."""

    __slots__ = ("_file", "_holder_file")

    def __init__(self, state_dir: Path) -> None:
        self._file = state_dir / "daemon.lock"
        self._holder_file = state_dir / "daemon.json"

    @contextmanager
    def held(self, holder: Holder) -> Iterator[None]:
        """Hold the lock as this holder.

        Raises:
            AlreadyRunning: Another process holds it. This is raised at once.
            LedgerError: The file cannot be created or locked.
        """
        with _locked(self._file, 0) as is_held:
            if not is_held:
                raise AlreadyRunning(self._who_holds_it())
            self._write(holder)
            try:
                yield
            finally:
                with suppress(OSError):  # the next holder overwrites what is left
                    self._holder_file.unlink(missing_ok=True)

    def holder(self) -> Holder | None:
        """Return the holder; None without one, right after a start, and where it could not be written."""
        try:
            holder = Holder(**json.loads(self._holder_file.read_bytes()))
        except (OSError, ValueError, TypeError):  # absent or damaged
            return None
        return holder if _holds_a_lock(holder.pid) else None

    def _who_holds_it(self) -> str:
        holder = self.holder()
        who = f"pid {holder.pid}, since {holder.since}, command: {holder.command}" if holder else "which one is unknown"
        return (
            f"a daemon with this state directory is running already ({who}): stop it, or set a different state_dir; "
            f"the lock is {self._file}"
        )

    def _write(self, holder: Holder) -> None:
        # In one step, so that readers never see a part of it. On a full disk it is left out: the lock is what counts.
        with suppress(OSError):
            self._holder_file.unlink(missing_ok=True)
            with staged_file(self._holder_file, json.dumps(asdict(holder)).encode("ascii")) as file:
                file.replace(self._holder_file)


@contextmanager
def _locked(path: Path, wait: float) -> Iterator[bool]:
    """Hold the lock on this file; False if another holder keeps it for longer than ``wait`` seconds."""
    from filelock import FileLock, Timeout

    # Each holder has an object and thus an open file of its own, so that the kernel decides between threads too.
    # A soft lock (on file systems without flock) would outlive a crash. Forks are safe from filelock 3.30 on.
    lock = FileLock(path, timeout=wait, mode=0o600, thread_local=False, fallback_to_soft=False)
    is_held = True
    try:
        refuse_unsafe("state directory", path.parent)
        make_private(path.parent)
        refuse_unsafe("state directory", path.parent)  # in a directory such as /tmp another user may have created it meanwhile
        lock.acquire()
    except Timeout:
        is_held = False
    except OSError as error:
        raise LedgerError(f"{path} cannot be locked ({error.strerror}): {advice(error)}") from error
    try:
        yield is_held
    finally:
        if is_held:
            lock.release()


def _holds_a_lock(pid: int) -> bool:
    """Return whether this process lives and holds the lock of a file. A crash leaves a pid behind that is used again.

    Trying to take the lock would show it as held to a daemon that starts at this moment. The kernel's list names files by
    numbers that differ from those of ``stat`` on some file systems.
    """
    try:
        os.kill(pid, 0)
    except PermissionError:  # it lives, and belongs to another user
        pass
    except (OSError, TypeError, OverflowError):
        return False
    try:
        locks = [line.split() for line in Path("/proc/locks").read_text("ascii").splitlines()]
    except (OSError, ValueError):  # not Linux, or not readable here
        return True
    return any(str(pid) in lock[4:5] for lock in locks)
