"""Small disks that nobody else sees: a file system of our own in a mount namespace of our own."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

__all__ = ["small_disk"]


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
