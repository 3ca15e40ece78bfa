"""Between the look-up and the verdicts: what the directories of workspaces say about absent rows."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from workspace_reaper.model.directory import DirectoryRecord, Sight, Workplace
from workspace_reaper.model.machine_ports import Directories
from workspace_reaper.model.process import ProcessTable
from workspace_reaper.model.session import Session, SessionKey
from workspace_reaper.model.state import LedgerState
from workspace_reaper.model.unknown import Unknown
from workspace_reaper.model.workspace import LookupResult
from workspace_reaper.policy.process_tree import is_hidden, processes_by_session
from workspace_reaper.policy.registry_identity import recognise
from workspace_reaper.policy.witness import Presence, Surroundings, Witness, ask, is_usable, restored
from workspace_reaper.sweep.context import SweepContext
from workspace_reaper.sweep.observe import Observation

# Seconds after which a directory with the same path is looked at as a whole again while its row is there. Each full sweep asks
# whether it is there at all.
LOOK_AGAIN = 600.0


@dataclass(slots=True)
class Witnesses:
    """What the directories say in one sweep. ``look`` is called once.

    Attributes:
        by_workspace: What its directory says, for each workspace without a row.
        doubtful: Workspaces whose rows vanished as after a restore, and whose directory is still there.
        lost: Workspaces whose rows went together with their directories since the last full sweep.
        changes: Records for the ledger, None where one is dropped.
    """

    context: SweepContext
    seen: Observation
    state: LedgerState
    rows: LookupResult
    by_workspace: dict[str, Witness] = field(default_factory=dict)
    doubtful: frozenset[str] = frozenset()
    lost: frozenset[str] = frozenset()
    changes: dict[str, DirectoryRecord | None] = field(default_factory=dict)
    _records: dict[str, DirectoryRecord] = field(default_factory=dict)
    _around: Surroundings | None = None
    _workplaces: Mapping[str, Collection[Workplace] | None] = field(default_factory=dict)

    def look(self, now: float) -> Witnesses:
        """Look at the directories whose rows are absent and, in a full sweep, at those of new rows.

        Args:
            now: Unix seconds.
        """
        if not self.context.settings.removes_worktree:
            return self
        self._records = dict(self.state.directories)
        generation = recognise(self.state.registry, self.rows).generation
        if self.context.request.full:
            self._see(generation, now)
        for workspace_id, record in list(self._records.items()):
            if self._has_row(workspace_id):
                self._put_in_place(record, generation)
            elif record.missing_since is None:
                self._put(replace(record, missing_since=now))
        missing = {one: record for one, record in self._records.items() if record.missing_since is not None}
        if missing:
            self._ask(missing, generation)
        if self.context.request.full and self.seen.everything:
            self._count(missing, now)
        return self

    @property
    def _directories(self) -> Directories:
        return self.context.dependencies.directories

    def look_again(self, workspace_ids: Collection[str]) -> dict[str, Witness]:
        """Return what the directories of these workspaces say now, right before their sessions are killed."""
        asked = {one: self._records[one] for one in workspace_ids if one in self.by_workspace}
        return {**self.by_workspace, **self._answers(asked, self._sights(asked))}

    def _see(self, generation: int, now: float) -> None:
        """Record the directories of rows that are there: new ones, changed ones, and those not looked at for long."""
        order = {workspace_id: session for session, workspace_id in reversed(self.seen.sessions)}
        self._mark_outlived([one for one, record in self._records.items() if self._is_another(one, record)])
        due = {
            workspace_id: row.worktree
            for workspace_id in order
            if (row := self.rows.found.get(workspace_id))
            and self._has_row(workspace_id)
            and row.worktree
            and self._is_due(workspace_id, row.worktree, generation)
        }
        found = self._directories.find({path for path in due.values() if is_usable(path, ())})
        known = {one: record.directory.path for one, record in self._records.items() if not record.outlived}
        others = {one: path for one, path in known.items() if one not in due and self._has_row(one)}
        missing = self._directories.missing(set(others.values()))
        gone = [one for one in due.keys() & known.keys() if found.get(due[one], ...) is None]
        self._mark_outlived(self._with_rows([*gone, *(one for one, path in others.items() if path in missing)]))
        for workspace_id, path in due.items():
            if (there := found.get(path)) is None:
                continue
            if not self.context.request.dry_run:
                self.context.state.looked_at[workspace_id] = path, self.context.dependencies.clock.monotonic()
            session = order[workspace_id].key
            before = self._records.get(workspace_id)
            if before is None or before.generation != generation:
                before = DirectoryRecord(workspace_id, generation, there, now, session.created, _number(session))
            self._put(replace(before, directory=there, outlived=False))

    def _is_another(self, workspace_id: str, record: DirectoryRecord) -> bool:
        """Return whether the row names another path, or none any more, or is back: it does not go together with the directory
        that was seen before."""
        is_back = record.missing_since is not None
        return self._has_row(workspace_id) and (is_back or self.rows.found[workspace_id].worktree != record.directory.path)

    def _with_rows(self, workspace_ids: Collection[str]) -> Collection[str]:
        """Return those whose rows are there although their directories are not: such a directory cannot go with its row.

        The rows are read once more, because both may have gone since the look-up.
        """
        rows = self.context.dependencies.registry.look_up(workspace_ids, ()) if workspace_ids else None
        if not isinstance(rows, LookupResult):
            return ()
        return [one for one in workspace_ids if (row := rows.found.get(one)) and not row.deleted]

    def _is_due(self, workspace_id: str, path: str, generation: int) -> bool:
        record = self._records.get(workspace_id)
        if record is None or record.generation != generation or record.outlived:
            return True
        looked = self.context.state.looked_at.get(workspace_id)
        if looked is None or looked[0] != path:
            return True
        return self.context.dependencies.clock.monotonic() - looked[1] >= LOOK_AGAIN

    def _ask(self, missing: Mapping[str, DirectoryRecord], generation: int) -> None:
        living = {workspace_id for _, workspace_id in self.seen.sessions}
        asked = {
            one: record
            for one, record in missing.items()
            if not record.outlived and (one in living or not record.counted or record.doubted)
        }
        sights = self._sights(asked)
        gone = {one for one, sight in sights.items() if sight.error is None and sight.written is None}
        named = self.context.dependencies.registry.worktrees() if gone else frozenset()
        self._around = Surroundings(
            generation,
            homes=self._directories.homes(),
            named=None if isinstance(named, Unknown) else named,
            records=self.context.settings.records,
        )
        self._workplaces = self._workplaces_of([one for one in self.seen.sessions if one[1] in gone])
        self.by_workspace = self._answers(asked, sights)
        deleted = {one for one, witness in self.by_workspace.items() if witness.confirms}
        for workspace_id in restored(list(self._records.values()), generation, deleted):
            self._put(replace(self._records[workspace_id], doubted=True))
        there = {one for one, witness in self.by_workspace.items() if witness.presence is Presence.THERE}
        self.doubtful = frozenset(one for one in there if self._records[one].doubted)

    def _sights(self, asked: Mapping[str, DirectoryRecord]) -> Mapping[str, Sight]:
        found = self._directories.look({record.directory for record in asked.values()})
        return {one: found[record.directory] for one, record in asked.items()}

    def _answers(self, asked: Mapping[str, DirectoryRecord], sights: Mapping[str, Sight]) -> dict[str, Witness]:
        around = self._around
        if around is None:  # nothing is missing
            return {}
        return {one: ask(record, sights[one], around, self._workplaces.get(one, ())) for one, record in asked.items()}

    def _workplaces_of(self, sessions: Collection[tuple[Session, str]]) -> dict[str, Collection[Workplace] | None]:
        """Return the working directories of these sessions' processes, by workspace."""
        if not sessions:
            return {}
        table = self.context.dependencies.processes.table()
        if not isinstance(table, ProcessTable):
            return dict.fromkeys((workspace_id for _, workspace_id in sessions), None)
        trees = processes_by_session(table, [session for listing in self.seen.listings for session in listing.sessions])
        pids = {session.key: [one.process.key.pid for one in trees[session.key]] for session, _ in sessions}
        found = self._directories.workplaces([pid for some in pids.values() for pid in some])
        result: dict[str, Collection[Workplace] | None] = {}
        for session, workspace_id in sessions:
            known = [found[pid] for pid in pids[session.key] if pid in found]
            places = [place for place in known if place is not None]
            earlier = result.get(workspace_id, ())
            is_unknown = is_hidden(table, session) or len(places) < len(known) or earlier is None
            result[workspace_id] = None if is_unknown else [*(earlier or ()), *places]
        return result

    def _count(self, missing: Mapping[str, DirectoryRecord], now: float) -> None:
        """Note which rows are lost for a reason, and drop the records of workspaces of which nothing is left."""
        gone = {one for one, witness in self.by_workspace.items() if witness.confirms}
        # A row that is only marked deleted still counts among the rows of the registry.
        self.lost = frozenset(one for one in gone if not missing[one].counted and one not in self.rows.found)
        living = {workspace_id for _, workspace_id in self.seen.sessions}
        for workspace_id in missing:
            record = self._records[workspace_id]
            if workspace_id in living or self.seen.unknown:
                self._put(replace(record, counted=True, out_of_sight_since=None))
            elif workspace_id not in gone and self._may_come_back(record, now):
                self._put(replace(record, counted=True, out_of_sight_since=record.out_of_sight_since or now))
            else:
                del self._records[workspace_id]
                self.changes[workspace_id] = None

    def _may_come_back(self, record: DirectoryRecord, now: float) -> bool:
        """Return whether a session that is in doubt may come back: tmux is started again, or its marks were changed."""
        since = record.out_of_sight_since
        return record.doubted and (since is None or now - since <= self.context.settings.thresholds.stranger_ttl)

    def _put_in_place(self, record: DirectoryRecord, generation: int) -> None:
        """Note the lowest number of the row: a host that replaces a row gives it another number."""
        place = self.rows.found[record.workspace_id].place
        is_lower = place is not None and (record.place is None or place < record.place)
        if is_lower and record.generation == generation:
            self._put(replace(record, place=place))

    def _has_row(self, workspace_id: str) -> bool:
        row = self.rows.found.get(workspace_id)
        return row is not None and not row.deleted

    def _put(self, record: DirectoryRecord) -> None:
        self._records[record.workspace_id] = record
        self.changes.pop(record.workspace_id, None)
        if self.state.directories.get(record.workspace_id) != record:
            self.changes[record.workspace_id] = record

    def _mark_outlived(self, workspace_ids: Iterable[str]) -> None:
        for workspace_id in workspace_ids:
            self._put(
                replace(
                    self._records[workspace_id],
                    missing_since=None,
                    counted=False,
                    outlived=True,
                    doubted=False,
                    out_of_sight_since=None,
                )
            )


def _number(key: SessionKey) -> int:
    digits = key.session_id.removeprefix("$")
    return int(digits) if digits.isascii() and digits.isdigit() else 0
