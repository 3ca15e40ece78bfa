"""The process table: who a process is, and where the reaper itself runs."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass

__all__ = ["ProcessTable", "RunsAt"]

_TMUX = re.compile(r"(/.*),([1-9][0-9]*),[0-9]+", re.DOTALL | re.ASCII)
_PANE = re.compile(r"%[0-9]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class RunsAt:
    """Where the reaper runs; see ``ports.Whereabouts``."""

    pids: frozenset[int]
    tmux: tuple[int, str] | None


class ProcessTable:
    """The processes of this machine, as far as this user may see them. ``environ`` is the process's own unless given."""

    __slots__ = ("_environ",)

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self._environ = os.environ if environ is None else environ

    def start_time(self, pid: int) -> float | None:
        """When that process started; None if there is none (a zombie is none any more) or it can't be read. Never raises.

        On Linux in seconds since the machine's start, else in Unix seconds: a number that stays the same for the life of the
        process, whoever asks. (Unix seconds would not on Linux: psutil adds the time of the machine's start, which moves when
        the wall clock is set.)
        """
        import psutil  # noqa: PLC0415  late: importing this package stays light

        try:
            base = psutil.boot_time() if psutil.LINUX else 0.0
            process = psutil.Process(pid)
            started = process.create_time()
            if process.status() == psutil.STATUS_ZOMBIE:
                return None
        except (psutil.Error, OSError, ValueError, OverflowError, RuntimeError):
            return None
        return round(started - base, 3)

    def may_live(self, pid: int, started: float | None) -> bool:
        """Whether that process may still be there: True also where it can't be read, or ``started`` was never known."""
        import psutil  # noqa: PLC0415  as above

        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return False
        except psutil.NoSuchProcess:
            return False
        except (psutil.Error, OSError):
            return True
        now = self.start_time(pid)
        return None in (started, now) or now == started

    def resident_bytes(self, pids: Collection[int]) -> int:
        """Resident memory of those of the processes that can be read, in bytes. Never raises."""
        import psutil  # noqa: PLC0415  as above

        total = 0
        for pid in pids:
            with suppress(psutil.Error, OSError, ValueError, OverflowError):
                total += psutil.Process(pid).memory_info().rss
        return total

    def whereabouts(self) -> RunsAt:
        """Where the reaper runs at this moment: a fork changes it. Ancestors that it may not see are missing."""
        import psutil  # noqa: PLC0415  as above

        pids = {os.getpid(), os.getppid()} - {0}
        try:
            process: psutil.Process | None = psutil.Process()
            while process is not None:
                pids.add(process.pid)
                process = process.parent()
        except psutil.Error:
            pass  # an ancestor that ended meanwhile, or that we may not see, ends the walk
        return RunsAt(frozenset(pids), self._tmux())

    def _tmux(self) -> tuple[int, str] | None:
        """``TMUX`` is "socket path,server pid,session number", and ``TMUX_PANE`` is "%n" (measured on tmux 3.2a to 3.7c)."""
        server = _TMUX.fullmatch(self._environ.get("TMUX", ""))
        pane = self._environ.get("TMUX_PANE", "")
        if server is None or not _PANE.fullmatch(pane):
            return None
        return int(server[2]), pane
