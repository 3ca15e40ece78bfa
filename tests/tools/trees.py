"""What a test does with directories, on the disk and in the simulation: both hold the same contract."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.simulation.memory.directories import MemoryDirectories
from tests.simulation.memory.machine import MemoryMachine
from workspace_reaper.model.machine_ports import Directories
from workspace_reaper.processes import directories
from workspace_reaper.processes.directories import SystemDirectories

__all__ = ["RealTree", "SimulatedTree", "Tree"]


class Tree(Protocol):
    """Directories below ``top``, and the port that looks at them."""

    top: str

    @property
    def directories(self) -> Directories: ...
    def make(self, path: str | Path) -> object: ...
    def make_file(self, path: str | Path) -> object: ...
    def link(self, path: str | Path, target: str | Path) -> object: ...
    def remove(self, path: str | Path) -> object: ...
    def move(self, old: str | Path, new: str | Path) -> object: ...
    def hang(self, path: str | Path) -> object: ...
    def identity(self, path: str | Path) -> str: ...
    def links(self, path: str | Path) -> int: ...


class RealTree:
    """A directory on the disk. ``silence`` is set when the test ends, and what hangs waits for it."""

    def __init__(
        self, top: Path, monkeypatch: pytest.MonkeyPatch | None = None, silence: threading.Event | None = None
    ) -> None:
        self.top = str(top)
        self.directories: Directories = SystemDirectories({"HOME": f"{top}/link to home"})
        self._monkeypatch = monkeypatch
        self._silence = silence

    def make(self, path: str | Path) -> None:
        Path(path).mkdir(parents=True)

    def make_file(self, path: str | Path) -> None:
        Path(path).touch()

    def link(self, path: str | Path, target: str | Path) -> None:
        Path(path).symlink_to(target)

    def remove(self, path: str | Path) -> None:
        if Path(path).is_dir() and not Path(path).is_symlink():
            shutil.rmtree(path)
        else:
            Path(path).unlink()

    def move(self, old: str | Path, new: str | Path) -> None:
        Path(old).rename(new)

    def hang(self, path: str | Path) -> None:
        assert self._monkeypatch is not None
        for name in ("_at", "_find", "_missing"):
            self._monkeypatch.setattr(directories, name, self._hanging(str(path), getattr(directories, name)))

    def _hanging(self, top: str, ask: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def hang(about: Any) -> Any:
            if any(path.startswith(top) for path in ([about] if isinstance(about, str) else about)):
                assert self._silence is not None
                self._silence.wait()
            return ask(about)

        return hang

    def identity(self, path: str | Path) -> str:
        status = Path(path).stat()
        return f"{status.st_dev}:{status.st_ino}"

    def links(self, path: str | Path) -> int:
        return Path(path).stat().st_nlink


class SimulatedTree:
    """A directory of a simulated machine."""

    top = "/srv/test"

    def __init__(self, machine: MemoryMachine) -> None:
        self.directories: Directories = MemoryDirectories(machine)
        self._tree = machine.tree
        self._tree.make(self.top)

    def make(self, path: str | Path) -> None:
        self._tree.make(str(path))

    def make_file(self, path: str | Path) -> None:
        self._tree.make_file(str(path))

    def link(self, path: str | Path, target: str | Path) -> None:
        self._tree.link(str(path), str(target))

    def remove(self, path: str | Path) -> None:
        self._tree.remove(str(path))

    def move(self, old: str | Path, new: str | Path) -> None:
        self._tree.move(str(old), str(new))

    def hang(self, path: str | Path) -> None:
        self._tree.hang(str(path))

    def identity(self, path: str | Path) -> str:
        return self._tree.resolve(str(path)).identity

    def links(self, path: str | Path) -> int:
        return self._tree.resolve(str(path)).links
