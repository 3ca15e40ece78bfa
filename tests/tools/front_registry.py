"""A registry in front of the real one: a look-up finds the real database locked, broken, emptied, shrunk or replaced.

The faults happen to the very file, so that the real adapter meets them. Each is a context manager; at its end the file is as
it was, with the same inode where the fault did not put another file in its place.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from tests.tools.hosts import VibeKanbanHost, connected
from workspace_reaper.model.ports import Registry
from workspace_reaper.model.unknown import Unknown
from workspace_reaper.model.workspace import LookupResult

__all__ = ["Effect", "FrontRegistry", "RegistryFault", "faults_of"]


class Effect(Enum):
    """What a reaper must make of it: it can't read it; it is another registry; it lost too much; or it must believe it."""

    UNKNOWN = "unknown"
    CHANGED = "changed"
    LOST = "lost"
    BELIEVED = "believed"


@dataclass(frozen=True)
class RegistryFault:
    """``happens`` is entered when it begins and left when it ends."""

    name: str
    effect: Effect
    happens: Callable[[], AbstractContextManager[object]]


class FrontRegistry:
    """The port, over the real one. Each look-up takes the next of ``plan``, which may be None; ``met`` is what each had.

    ``asking`` is called before each look-up with its ids, ``answered`` after it.
    """

    def __init__(self, real: Registry) -> None:
        self._real = real
        self.plan: list[RegistryFault | None] = []
        self.met: list[RegistryFault | None] = []
        self.asking: Callable[[Collection[str]], object] = lambda _ids: None
        self.answered: Callable[[], object] = lambda: None

    @property
    def name(self) -> str:
        return self._real.name

    @property
    def location(self) -> str:
        return self._real.location

    def canonical(self, text: str) -> str | None:
        return self._real.canonical(text)

    def look_up(self, ids: Collection[str], sentinels: Collection[str], **how: bool) -> LookupResult | Unknown:
        fault = self.plan.pop(0) if self.plan else None
        self.met.append(fault)
        self.asking(ids)
        with fault.happens() if fault is not None else nullcontext():
            answer = self._real.look_up(ids, sentinels, **how)
        self.answered()
        return answer


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with connected(path, isolation_level=None) as server:
        server.execute("BEGIN EXCLUSIVE")
        yield
        server.execute("ROLLBACK")


@contextmanager
def _aside(path: Path) -> Iterator[None]:
    aside = path.rename(path.with_name("aside"))
    yield
    aside.replace(path)


@contextmanager
def _directory(path: Path) -> Iterator[None]:
    aside = path.rename(path.with_name("aside"))
    path.mkdir()
    yield
    path.rmdir()
    aside.rename(path)


@contextmanager
def _other_file(path: Path, other: Path) -> Iterator[None]:
    with _aside(path):
        shutil.copy(other, path)
        yield


@contextmanager
def _rewritten(path: Path, content: bytes) -> Iterator[None]:
    whole = path.read_bytes()
    path.write_bytes(content)
    yield
    path.write_bytes(whole)


@contextmanager
def _changed(path: Path, statement: str) -> Iterator[None]:
    whole = path.read_bytes()
    with connected(path) as server:
        server.execute(statement)
    yield
    path.write_bytes(whole)


_GARBAGE = b"what an SQLite database does not begin with\n" * 200


def faults_of(host: VibeKanbanHost, yesterday: Path, stranger: Path, keep: int) -> dict[str, RegistryFault]:
    """All that may happen to this host's database, by name. ``yesterday`` is an older copy of it, ``stranger`` another host's;
    ``shrunk`` keeps only so many of the oldest rows."""
    path = host.path
    half = (path.stat().st_size // 2) or 1
    shrink = f"DELETE FROM workspaces WHERE rowid NOT IN (SELECT rowid FROM workspaces ORDER BY rowid LIMIT {keep})"
    made = [
        RegistryFault("locked", Effect.UNKNOWN, lambda: _locked(path)),
        RegistryFault("missing", Effect.UNKNOWN, lambda: _aside(path)),
        RegistryFault("a directory", Effect.UNKNOWN, lambda: _directory(path)),
        RegistryFault("garbage", Effect.UNKNOWN, lambda: _rewritten(path, _GARBAGE)),
        RegistryFault("cut", Effect.UNKNOWN, lambda: _rewritten(path, path.read_bytes()[:half])),
        RegistryFault("an empty file", Effect.UNKNOWN, lambda: _rewritten(path, b"")),
        RegistryFault(
            "without its table", Effect.UNKNOWN, lambda: _changed(path, "ALTER TABLE workspaces RENAME TO elsewhere")
        ),
        RegistryFault("emptied", Effect.LOST, lambda: _changed(path, "DELETE FROM workspaces")),
        RegistryFault("shrunk", Effect.LOST, lambda: _changed(path, shrink)),
        RegistryFault("yesterday's file", Effect.CHANGED, lambda: _other_file(path, yesterday)),
        RegistryFault("a stranger's file", Effect.CHANGED, lambda: _other_file(path, stranger)),
        RegistryFault("yesterday's content", Effect.BELIEVED, lambda: _rewritten(path, yesterday.read_bytes())),
    ]
    return {fault.name: fault for fault in made}
