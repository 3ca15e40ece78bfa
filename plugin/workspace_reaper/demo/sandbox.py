"""A directory, an environment and a configuration of the demo's own. Nothing of the user's is read, and nothing is left."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from workspace_reaper.demo.scenario import RULES

__all__ = ["Sandbox", "environment"]

_LONGEST_SOCKET = 100
"""Bytes in the path of a socket. The kernel takes 107, macOS 103."""


class Sandbox:
    """The directory, with mode 0700. ``close`` removes it."""

    def __init__(self) -> None:
        self.directory = _directory()
        self.socket = self.directory / "tmux"
        self.database = self.directory / "workspaces.sqlite"
        self.workspaces = self.directory / "workspaces"
        self.elsewhere = self.directory / "elsewhere"

    def configure(self) -> Path:
        """Make the directories, and write the configuration; its path."""
        self.workspaces.mkdir()
        self.elsewhere.mkdir()
        settings: dict[str, object] = {
            "registry": "standard",
            "database_url": f"sqlite:///{self.database}",
            "tmux_sockets": [str(self.socket)],
            "state_dir": str(self.directory / "state"),
            **RULES,
        }
        file = self.directory / "workspace-reaper.toml"
        # JSON's text, numbers and lists are TOML's as well.
        lines = [f"{name} = {json.dumps(value, ensure_ascii=False)}\n" for name, value in settings.items()]
        file.write_text("".join(lines), encoding="utf-8")
        return file

    def close(self, within: float = 1.0) -> bool:
        """Remove the directory; whether it is gone. A process that is just ending may still make a file meanwhile, so it is
        tried again for ``within`` seconds."""
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
    """This process's environment without what the user set for the reaper and for tmux, and with this configuration."""
    changed: Mapping[str, str | None] = {
        **{name: None for name in os.environ if _is_foreign(name)},
        "WORKSPACE_REAPER_CONFIG": str(config),
    }
    before = {name: os.environ.get(name) for name in changed}
    _set(changed)
    try:
        yield
    finally:
        _set(before)


def _is_foreign(name: str) -> bool:
    return name.upper().startswith("WORKSPACE_REAPER_") or name in ("TMUX", "TMUX_PANE", "WORKSPACE_PLUGINS_BLOCK")


def _set(values: Mapping[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
