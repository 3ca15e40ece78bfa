"""A host's database and the port ``Registry`` in memory. ``tests/contract/test_registry.py`` holds them to the real ones."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import islice

from workspace_reaper.model.unknown import Source, Unknown
from workspace_reaper.model.workspace import LookupResult, RegistryIdentity, Workspace

__all__ = ["MemoryHost", "MemoryRegistry"]

_COUNTED = 10_000
_SENTINELS = 32


class MemoryHost:
    """A host with a table of the ``standard`` schema, which holds its rows in the order of their making."""

    server = None
    schema = "standard"

    def __init__(self, *_place: object, location: str = "memory") -> None:
        self.location = location
        self.version = 1
        self.commits = 0
        self._places = 0
        self.rows: dict[str, Workspace] = {}
        self.fault: str | None = None

    def create(self) -> None:
        """The table is there."""

    def new_id(self, number: int) -> str:
        return f"w{number}"

    @staticmethod
    def session_name(workspace_id: str) -> str:
        return f"ws-{workspace_id}"

    def insert(self, ids: Sequence[str], *, archived: bool = False, pinned: bool = False, worktree: str | None = None) -> None:
        for one in ids:
            self._places += 1
            self.rows[one] = Workspace(one, archived=archived, pinned=pinned, worktree=worktree, place=self._places)
        self.commits += 1

    def delete(self, *ids: str) -> None:
        for one in ids:
            self.rows.pop(one, None)
        self.commits += 1

    def archive(self, workspace_id: str, *, on: bool = True) -> None:
        self._set(workspace_id, archived=on)

    def pin(self, workspace_id: str, *, on: bool = True) -> None:
        self._set(workspace_id, pinned=on)

    def run(self, workspace_id: str, *, on: bool = True) -> None:
        self._set(workspace_id, running=on)

    def delete_worktree(self, workspace_id: str) -> None:
        self._set(workspace_id, worktree_deleted=True)

    def flag_deleted(self, workspace_id: str) -> None:
        self._set(workspace_id, deleted=True)

    def _set(self, workspace_id: str, **flags: bool) -> None:
        if workspace_id in self.rows:
            self.rows[workspace_id] = replace(self.rows[workspace_id], **flags)
            self.commits += 1


class MemoryRegistry:
    """The registry of a `MemoryHost`."""

    name = "standard"

    def __init__(self, host: MemoryHost) -> None:
        self._host = host

    @property
    def location(self) -> str:
        return self._host.location

    def canonical(self, text: str) -> str | None:
        """Any text that a row of a database can hold."""
        return text if text and "\0" not in text and text.isprintable() else None

    def look_up(self, ids: Collection[str], sentinels: Collection[str], **_how: bool) -> LookupResult | Unknown:
        host = self._host
        if host.fault is not None:
            return Unknown(Source.REGISTRY, host.fault)
        rows = host.rows
        oldest = tuple(islice(rows, _SENTINELS))
        identity = RegistryIdentity(host.location, "standard/1", str(host.version), host.commits, oldest)
        found = {one: rows[one] for one in ids if one in rows}
        still = frozenset(one for one in sentinels if one in rows)
        return LookupResult(found, identity, min(len(rows), _COUNTED), len(rows) > _COUNTED, still)

    def worktrees(self) -> frozenset[str] | Unknown:
        if self._host.fault is not None:
            return Unknown(Source.REGISTRY, self._host.fault)
        return frozenset(row.worktree for row in self._host.rows.values() if row.worktree and not row.deleted)
