"""The directory, environment and configuration of the demo. Nothing of the user is read, and nothing is left behind."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from workspace_reaper.demo.scenario import THRESHOLDS

__all__ = ["Sandbox", "environment"]

_LONGEST_SOCKET = 100
"""Bytes in the path of a socket. Linux accepts 107, macOS 103."""


class Sandbox:
    """A temporary directory with mode 0700. ``close`` removes it."""

    def __init__(self) -> None:
        self.directory = _directory()
        self.socket = self.directory / "tmux"
        self.database = self.directory / "workspaces.sqlite"
        self.workspaces = self.directory / "workspaces"
        self.elsewhere = self.directory / "elsewhere"

    def configure(self) -> Path:
        """Create the directories and the configuration file, and return the path of the file."""
        self.workspaces.mkdir()
        self.elsewhere.mkdir()
        settings = {
            "registry": "standard",
            "database_url": f"sqlite:///{self.database}",
            "tmux_sockets": [str(self.socket)],
            "state_dir": str(self.directory / "state"),
            **THRESHOLDS,
        }
        file = self.directory / "workspace-reaper.toml"
        # Strings, numbers and lists of JSON are valid TOML.
        lines = [f"{name} = {json.dumps(value, ensure_ascii=False)}\n" for name, value in settings.items()]
        file.write_text("".join(lines), encoding="utf-8")
        return file

    def close(self, within: float = 1.0) -> bool:
        """Remove the directory and return whether it is gone. Try for ``within`` seconds: a process that is just ending may
        still create a file."""
        deadline = time.monotonic() + within
        while self.directory.exists() and time.monotonic() < deadline:
            shutil.rmtree(self.directory, ignore_errors=True)
        return not self.directory.exists()


def _directory() -> Path:
    made = Path(tempfile.mkdtemp(prefix="wr-demo-")).resolve()
    if len(os.fsencode(made / "tmux")) <= _LONGEST_SOCKET:
        return made
    made.rmdir()
    return Path(tempfile.mkdtemp(prefix="wr-demo-", dir="/tmp")).resolve()


@contextmanager
def environment(config: Path) -> Iterator[None]:
    """Remove the user's settings for the reaper and for tmux from the environment, and set this configuration."""
    removed = {name: value for name, value in os.environ.items() if _is_of_user(name)}
    for name in removed:
        del os.environ[name]
    os.environ["WORKSPACE_REAPER_CONFIG"] = str(config)
    try:
        yield
    finally:
        del os.environ["WORKSPACE_REAPER_CONFIG"]
        os.environ.update(removed)


def _is_of_user(name: str) -> bool:
    return name.upper().startswith("WORKSPACE_REAPER_") or name in ("TMUX", "TMUX_PANE", "WORKSPACE_PLUGINS_BLOCK")
