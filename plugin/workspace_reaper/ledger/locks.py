"""Who may be at work on a state directory: one sweep at a time, and one host daemon, between threads and processes.

The kernel frees these locks when their holder dies, however that happens, and a process forked meanwhile does not inherit
them. The files themselves stay.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path

from workspace_reaper.model.errors import AlreadyRunning, LedgerError, SweepLocked
from workspace_reaper.util.permissions import check_permissions, make_private

__all__ = ["FileSweepLock", "Holder", "InstanceLock"]


class FileSweepLock:
    """A kernel lock on ``sweep.lock`` in ``state_dir`` (mode 0600; the directory is made with 0700 if it is not there).

    ``wait`` is in seconds.
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
        with _locked(self._file, self._wait) as is_held:
            if not is_held:
                raise SweepLocked(
                    f"another reaper holds {self._file} and did not let go of it within {self._wait:g} s: "
                    "wait for it, or look at what the process does that has this file open"
                )
            yield


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds the daemon's lock. ``since`` is ISO 8601 in UTC, ``command`` the command line."""

    pid: int
    since: str
    command: str

    @classmethod
    def this_process(cls, command: str) -> Holder:
        """This process, from now on."""
        return cls(os.getpid(), datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"), command)


class InstanceLock:
    """A kernel lock on ``daemon.lock`` in ``state_dir``, and ``daemon.json`` beside it, which tells who holds it."""

    __slots__ = ("_file", "_told")

    def __init__(self, state_dir: Path) -> None:
        self._file = state_dir / "daemon.lock"
        self._told = state_dir / "daemon.json"

    @contextmanager
    def held(self, holder: Holder) -> Iterator[None]:
        """Hold the lock as this holder. ``AlreadyRunning``, at once: another does. ``LedgerError``: as for the sweep lock."""
        with _locked(self._file, 0) as is_held:
            if not is_held:
                raise AlreadyRunning(self._by_whom())
            self._tell(holder)
            try:
                yield
            finally:
                with suppress(OSError):  # what stays is read by nobody who gets the lock
                    self._told.unlink(missing_ok=True)

    def holder(self) -> Holder | None:
        """Who holds it; None while nobody does, right after a start, or where it could not be written."""
        try:
            told = Holder(**json.loads(self._told.read_bytes()))
            os.kill(told.pid, 0)
        except PermissionError:  # it lives, as somebody else
            return told
        except (OSError, ValueError, TypeError, OverflowError):  # absent, damaged, or left behind by a crash
            return None
        return told

    def _by_whom(self) -> str:
        holder = self.holder()
        who = f"pid {holder.pid}, since {holder.since}, command: {holder.command}" if holder else "which one can't be told"
        return (
            f"a daemon with this state directory runs already ({who}): leave it be, stop it, or give this one a state_dir "
            f"of its own; the lock is {self._file}"
        )

    def _tell(self, holder: Holder) -> None:
        """In one step, so that nobody reads half of it; on a full disk not at all, for the lock is what counts."""
        with suppress(OSError):
            self._told.unlink(missing_ok=True)
            descriptor, name = tempfile.mkstemp(prefix=self._told.name, dir=self._told.parent)
            try:
                with os.fdopen(descriptor, "w", encoding="ascii") as file:
                    json.dump(asdict(holder), file)
                Path(name).replace(self._told)
            except OSError:
                Path(name).unlink(missing_ok=True)


@contextmanager
def _locked(path: Path, wait: float) -> Iterator[bool]:
    """The lock on this file; False if another holds it for longer than ``wait`` seconds. ``LedgerError``: it can't be made."""
    from filelock import FileLock, Timeout

    # An object of its own for each holder, thus an open file of its own: between threads, too, the kernel decides.
    # A soft lock (on file systems without flock) would outlive a crash. Forks are safe from filelock 3.30 on.
    lock = FileLock(path, timeout=wait, mode=0o600, thread_local=False, fallback_to_soft=False)
    is_held = True
    try:
        _refuse_shared(path.parent)
        make_private(path.parent)
        _refuse_shared(path.parent)  # in a directory such as /tmp somebody else may have made it meanwhile
        lock.acquire()
    except Timeout:
        is_held = False
    except OSError as error:
        raise LedgerError(
            f"{path} cannot be locked ({error.strerror}): let state_dir be a directory that this user can write, "
            "on a file system with locks"
        ) from error
    try:
        yield is_held
    finally:
        if is_held:
            lock.release()


def _refuse_shared(directory: Path) -> None:
    if distrusted := check_permissions(directory):
        raise LedgerError(distrusted.told_of("The state directory", directory))
