"""Fixtures of the unit tests of tmux."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Put a shell script in the place of tmux on PATH."""

    def write(script: str) -> None:
        (tmp_path / "tmux").write_text(script)
        (tmp_path / "tmux").chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")

    return write
