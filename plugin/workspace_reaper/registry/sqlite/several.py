"""A host's workspaces in several SQLite files, such as one for each project: together they are one registry."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain, islice, zip_longest

from workspace_reaper.model.ports import ChangeWatcher
from workspace_reaper.model.unknown import Source, Unknown
from workspace_reaper.model.workspace import LookupResult, PartIdentity, RegistryIdentity, Workspace
from workspace_reaper.registry.file_patterns import FilePattern
from workspace_reaper.registry.files.errors import UnreadableFiles
from workspace_reaper.registry.rows import OLDEST, TOTAL_BOUND, combined
from workspace_reaper.registry.schema import Schema
from workspace_reaper.registry.schema_check import SchemaFinding
from workspace_reaper.registry.sqlite.registry import SqliteRegistry

# The largest number of databases. Each look-up opens all of them.
MOST_DATABASES = 100


class SeveralDatabases:
    """The port ``Registry`` over all files that match a pattern now. If one of them cannot be read, all of it is Unknown.

    A database that appears adds its rows. One that vanishes makes this another registry: its workspaces are not known to be
    deleted. Its own rows count again once it is back.

    Args:
        schema: How each file is read.
        pattern: Their path, with wildcards.
        busy_limit: Seconds that a look-up waits for a lock of each.
    """

    def __init__(self, schema: Schema, pattern: FilePattern, *, busy_limit: float) -> None:
        self._schema = schema
        self._pattern = pattern
        self._busy_limit = busy_limit
        self._databases: Mapping[str, SqliteRegistry] = {}

    @property
    def name(self) -> str:
        return self._schema.name

    @property
    def location(self) -> str:
        return self._pattern.shown

    def canonical(self, text: str) -> str | None:
        return self._schema.canonical(text)

    def databases(self) -> Mapping[str, SqliteRegistry] | Unknown:
        """Return the registry of each file that matches now, by its path. Unknown if there is none."""
        try:
            paths = self._pattern.existing()
        except UnreadableFiles as error:
            return Unknown(Source.REGISTRY, str(error))
        if not paths:
            return Unknown(
                Source.REGISTRY, f"{self.location} matches no file: start the host once, or set database_url to its databases."
            )
        if len(paths) > MOST_DATABASES:
            return Unknown(Source.REGISTRY, f"{self.location} matches {len(paths)} files, and the limit is {MOST_DATABASES}.")
        known = self._databases
        self._databases = {path: known.get(path) or self._database(path) for path in paths}
        return self._databases

    def look_up(
        self, ids: Collection[str], sentinels: Collection[str], *, every_spelling: bool = False
    ) -> LookupResult | Unknown:
        databases = self.databases()
        if isinstance(databases, Unknown):
            return databases
        found: list[LookupResult] = []
        for database in databases.values():
            result = database.look_up(ids, sentinels, every_spelling=every_spelling)
            if isinstance(result, Unknown):
                return result
            found.append(result)
        if (changed := self.changed(databases)) is not None:
            return changed
        return self._merged(found)

    def changed(self, databases: Mapping[str, SqliteRegistry]) -> Unknown | None:
        """Return that other files match than these, or None."""
        now = self.databases()
        if isinstance(now, Unknown):
            return now
        if now.keys() == databases.keys():
            return None
        return Unknown(Source.REGISTRY, f"{self.location} matches other files than before: the next look-up reads them.")

    def worktrees(self) -> frozenset[str] | Unknown:
        databases = self.databases()
        if isinstance(databases, Unknown):
            return databases
        found: set[str] = set()
        for database in databases.values():
            worktrees = database.worktrees()
            if isinstance(worktrees, Unknown):
                return worktrees
            found |= worktrees
        return frozenset(found)

    def examine(self) -> tuple[SchemaFinding, ...]:
        """Return what is wrong with the files: the first problem that is fatal, or all that only cost time."""
        databases = self.databases()
        if isinstance(databases, Unknown):
            return (SchemaFinding(databases.reason, fatal=True),)
        found = tuple(chain.from_iterable(database.examine() for database in databases.values()))
        fatal = tuple(finding for finding in found if finding.fatal)
        return fatal[:1] or found

    def watcher(self) -> ChangeWatcher:
        """Return a watcher of all these files."""
        from workspace_reaper.registry.sqlite.several_watch import SeveralWatcher

        return SeveralWatcher(self, self._schema)

    def identity_of(self, parts: Sequence[RegistryIdentity]) -> RegistryIdentity:
        """Return what identifies this registry, from the identities of its files."""
        return RegistryIdentity(
            self.location,
            self._schema.identity,
            sentinels=tuple(islice(dict.fromkeys(_in_turn(part.sentinels for part in parts)), OLDEST)),
            parts=tuple(PartIdentity(part.location, part.schema_version, part.change_counter) for part in parts),
        )

    def _database(self, path: str) -> SqliteRegistry:
        return SqliteRegistry(self._schema, path, busy_limit=self._busy_limit)

    def _merged(self, found: Sequence[LookupResult]) -> LookupResult:
        rows: dict[str, list[Workspace]] = {}
        for result in found:
            for workspace_id, row in result.found.items():
                # The rows of two files have no common order.
                rows.setdefault(workspace_id, []).append(replace(row, place=None))
        any_row = self._schema.facts(frozenset()).any_row
        return LookupResult(
            found={workspace_id: combined(some, any_row) for workspace_id, some in rows.items()},
            identity=self.identity_of([result.identity for result in found]),
            total=min(sum(result.total for result in found), TOTAL_BOUND),
            capped=any(result.capped for result in found) or sum(result.total for result in found) > TOTAL_BOUND,
            sentinels_found=frozenset(chain.from_iterable(result.sentinels_found for result in found)),
        )


def _in_turn(some: Iterable[Sequence[str]]) -> Iterable[str]:
    """Return the first of each, then the second of each, and so on."""
    return (one for turn in zip_longest(*some) for one in turn if one is not None)
