"""A host's database and the port ``Registry`` in memory. ``tests/contract/test_registry.py`` holds them to the real ones."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from itertools import islice

from workspace_reaper.model.unknown import Source, Unknown
from workspace_reaper.model.workspace import LookupResult, RecordedSession, RegistryIdentity, Workspace

__all__ = ["MemoryHost", "MemoryRegistry"]

_COUNTED = 10_000
_SENTINELS = 32


_AS_TMUX = str.maketrans(".:", "__")


def _folded(name: str) -> str:
    return name.strip().lower().translate(_AS_TMUX)


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
        self.sessions: dict[str, str] = {}
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
            self.sessions.pop(one, None)
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

    def record_session(self, workspace_id: str, name: str | None) -> None:
        """Write the name of its session into the row."""
        self.sessions.pop(workspace_id, None)
        if name is not None:
            self.sessions[workspace_id] = name
        self.commits += 1

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

    def look_up(
        self,
        ids: Collection[str],
        sentinels: Collection[str],
        *,
        every_spelling: bool = False,
        sessions: Collection[str] = (),
    ) -> LookupResult | Unknown:
        del every_spelling  # each id has one
        host = self._host
        if host.fault is not None:
            return Unknown(Source.REGISTRY, host.fault)
        rows = host.rows
        oldest = tuple(islice(rows, _SENTINELS))
        identity = RegistryIdentity(host.location, "standard/1", str(host.version), host.commits, oldest)
        of = {name: some for name in sessions if (some := tuple(self._naming(name)))}
        named = [one.workspace_id for some in of.values() for one in some]
        found = {one: rows[one] for one in (*ids, *named) if one in rows}
        still = frozenset(one for one in sentinels if one in rows)
        return LookupResult(found, identity, min(len(rows), _COUNTED), len(rows) > _COUNTED, still, of)

    def _naming(self, name: str) -> Iterator[RecordedSession]:
        """The rows that name this session, or one that differs in case or in the white space around it."""
        for workspace_id, recorded in self._host.sessions.items():
            is_certain = name in (recorded, recorded.translate(_AS_TMUX))
            if recorded.strip() and (is_certain or _folded(recorded) == _folded(name)):
                yield RecordedSession(workspace_id, is_certain, self._host.rows[workspace_id].deleted)

    def worktrees(self) -> frozenset[str] | Unknown:
        if self._host.fault is not None:
            return Unknown(Source.REGISTRY, self._host.fault)
        return frozenset(row.worktree for row in self._host.rows.values() if row.worktree and not row.deleted)
