"""Small disks that nobody else sees: a file system of our own in a mount namespace of our own."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

__all__ = ["SmallDisk", "small_disk"]


def small_disk(disk: Path) -> list[str]:
    """The command before a command that may mount over ``disk``. The test is skipped where that is not allowed."""
    unshare = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--mount"]
    try:
        allowed = subprocess.run([*unshare, "mount", "-t", "tmpfs", "none", disk], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("needs `unshare` to mount a small disk")
    if allowed.returncode:
        pytest.skip(f"may not mount a small disk of its own: {allowed.stderr.strip()}")
    return unshare


class SmallDisk:
    """Two megabytes mounted over ``path``, full or read-only when it is told so: for a process that runs under `small_disk`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ballast = path / "ballast"
        self._mount("-t", "tmpfs", "-o", "size=2m,mode=700", "none")

    def fill(self, leave: int = 0) -> None:
        """No more than ``leave`` bytes are free from now on, in whole pages."""
        free = os.statvfs(self.path)
        with self._ballast.open("wb") as ballast:
            os.posix_fallocate(ballast.fileno(), 0, max(1, free.f_bavail * free.f_frsize - leave))

    def free(self) -> None:
        """There is room again."""
        self._ballast.unlink(missing_ok=True)

    def set_read_only(self, *, on: bool = True) -> None:
        """Let nobody write, or let all. Nobody may have a file open to write when it begins."""
        self._mount("-o", f"remount,{'ro' if on else 'rw'}")

    def _mount(self, *arguments: str) -> None:
        subprocess.run(["mount", *arguments, str(self.path)], check=True)
