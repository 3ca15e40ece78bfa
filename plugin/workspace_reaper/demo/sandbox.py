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

# Bytes in the path of a socket. Linux accepts 107, macOS 103.
_LONGEST_SOCKET = 100


@contextmanager
def sandbox(left: list[str], *, patience: float = 1.0) -> Iterator[Path]:
    """Create a temporary directory with a configuration, and remove the user's settings from the environment meanwhile.

    Args:
        left: Receives the directory if it could not be removed.
        patience: Seconds for removing it: a process that is just ending may still create a file.
    """
    directory = Path(tempfile.mkdtemp(prefix="wr-demo-")).resolve()
    if len(os.fsencode(directory / "tmux")) > _LONGEST_SOCKET:
        directory.rmdir()
        directory = Path(tempfile.mkdtemp(prefix="wr-demo-", dir="/tmp")).resolve()
    try:
        with _environment(_configure(directory)):
            yield directory
    finally:
        deadline = time.monotonic() + patience
        while directory.exists() and time.monotonic() < deadline:
            shutil.rmtree(directory, ignore_errors=True)
        if directory.exists():
            left.append(str(directory))


def _configure(directory: Path) -> Path:
    for name in ("workspaces", "elsewhere"):
        (directory / name).mkdir()
    settings = {
        "registry": "standard",
        "database_url": f"sqlite:///{directory / 'workspaces.sqlite'}",
        "tmux_sockets": [str(directory / "tmux")],
        "state_dir": str(directory / "state"),
        **THRESHOLDS,
    }
    file = directory / "workspace-reaper.toml"
    # Strings, numbers and lists of JSON are valid TOML.
    lines = [f"{name} = {json.dumps(value, ensure_ascii=False)}\n" for name, value in settings.items()]
    file.write_text("".join(lines), encoding="utf-8")
    return file


@contextmanager
def _environment(config: Path) -> Iterator[None]:
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
