"""The port ``Directories`` over a simulated machine. ``tests/contract/test_directories.py`` holds it to the real one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from itertools import islice
from typing import TypeVar

from tests.simulation.memory.files import NoAnswer, Node
from tests.simulation.memory.machine import MemoryMachine
from workspace_reaper.model.directory import Directory, Sight, Workplace
from workspace_reaper.processes.time_limit import MOST

__all__ = ["MemoryDirectories"]

_NEIGHBOURS = 8
_NO_ANSWER = Sight(error="there is no answer within a second")
_PATIENCE = 0.25

K = TypeVar("K")
V = TypeVar("V")


class MemoryDirectories:
    """The directories of a `MemoryMachine`, and those of its processes."""

    def __init__(self, machine: MemoryMachine) -> None:
        self._machine = machine
        self._tree = machine.tree
        # Where a call still hangs, and at which path.
        self._hanging: dict[str, str] = {}

    def homes(self) -> frozenset[str]:
        homes = self._machine.homes
        return homes | {self._tree.real_path(home) for home in homes}

    def find(self, paths: Collection[str]) -> Mapping[str, Directory | None]:
        return self._run({path: (_place(path), path) for path in paths if path.startswith("/")}, self._find)

    def _find(self, path: str) -> Directory | None:
        try:
            node = self._tree.resolve(path)
        except FileNotFoundError:
            return None
        if node.entries is None:
            return None
        parent, above = node.up(), node.up().up()
        is_below_mount = parent is above or parent.system is not above.system
        resolved = node.path()
        own = resolved.rpartition("/")[2]
        others = (name for name in parent.entries or () if name != own)
        neighbours = tuple(islice(others, _NEIGHBOURS)) if is_below_mount else ()
        return Directory(path, resolved, node.identity, parent.identity, is_below_mount, neighbours)

    def missing(self, paths: Collection[str]) -> frozenset[str]:
        found = self._run({path: (path.rpartition("/")[0], path) for path in paths}, self._tree.at)
        return frozenset(path for path, identity in found.items() if identity is None)

    def look(self, directories: Collection[Directory]) -> Mapping[Directory, Sight]:
        found = self._run({one: (_place(one.resolved), one) for one in directories}, self._look)
        return {one: found.get(one, _NO_ANSWER) for one in directories}

    def _look(self, there: Directory) -> Sight:
        at = self._tree.at
        place = _place(there.resolved)
        try:
            has_neighbour = any(at(f"{place}/{name}") is not None for name in there.neighbours)
            return Sight(at(there.path), at(there.resolved), at(place), has_neighbour)
        except OSError as error:
            return Sight(error=error.strerror)

    def workplaces(self, pids: Collection[int]) -> Mapping[int, Workplace | None]:
        found: dict[int, Workplace | None] = {}
        for pid in pids:
            one = self._machine.find(pid)
            if one is not None and not one.is_hidden:
                found[pid] = _workplace(one.directory) if self._machine.may_read(one) else None
        return found

    def _run(self, calls: Mapping[K, tuple[str, str | Directory]], ask: Callable[..., V]) -> dict[K, V]:
        """Ask for each. Where a call hangs, no other is asked at the same place until it has returned."""
        self._hanging = {place: path for place, path in self._hanging.items() if self._still_hangs(path)}
        answers: dict[K, V] = {}
        for key, (place, about) in calls.items():
            if place in self._hanging or len(self._hanging) >= MOST:
                continue
            try:
                answers[key] = ask(about)
            except NoAnswer:
                self._hanging[place] = about.path if isinstance(about, Directory) else about
                self._machine.clock.sleep(_PATIENCE)
            except (OSError, ValueError):
                continue
        return answers

    def _still_hangs(self, path: str) -> bool:
        try:
            self._tree.resolve(path)
        except NoAnswer:
            return True
        except OSError:
            return False
        return False


def _workplace(node: Node) -> Workplace:
    above = frozenset(one.identity for one in node.up().upwards() if not one.is_removed)
    return Workplace(node.identity, node.links, above)


def _place(path: str) -> str:
    return path.rpartition("/")[0] or "/"
