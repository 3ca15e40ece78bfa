"""The daemon's watching of the database, without its threads: what it concludes from rows that went, and its later looks."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, cast

from tests.simulation.memory.terminal import MemoryTerminal
from tests.simulation.oracle.truth import HookKind
from tests.simulation.world import World
from workspace_reaper.daemon.watcher import LivingSessions
from workspace_reaper.model.errors import LedgerError
from workspace_reaper.model.events import WorkspaceEvent, strongest
from workspace_reaper.model.unknown import Unknown
from workspace_reaper.model.workspace import WorkspaceList
from workspace_reaper.operations.suspects import look_at
from workspace_reaper.policy.deletions import Comparison, Past, compare, confirm, vanished
from workspace_reaper.worker import LOOKS_AT_DIRECTORY

__all__ = ["SimulatedDaemon"]


class SimulatedDaemon:
    """One start of the daemon. ``saw`` is called with the workspaces that have a row at each look that is concluded.

    Where the real one waits for a commit, this one looks when the plan says so.
    """

    def __init__(self, world: World, reaper: Any, saw: Callable[[Collection[str]], None]) -> None:
        self._world = world
        self._reaper = reaper
        self._saw = saw
        terminals, names = [MemoryTerminal(world.tmux)], reaper.dependencies.matcher
        self._living = LivingSessions(terminals, names, reaper.registry, reaper.reading, reaper.dependencies.processes)
        self._past: Past | None = None
        self._invalid: str | None = None
        # What each workspace is suspected of, and since when.
        self._suspects: dict[str, tuple[WorkspaceEvent, float]] = {}
        self._compare()

    def look(self) -> None:
        """It is woken: it compares, and looks at each workspace that is not settled; at those once more after a second."""
        self._compare()
        for seconds in (0.0, 1.0):
            if self._suspects:
                self._world.clock.sleep(seconds)
                self._look_at_suspects()

    def coalesce(self, workspace_id: str, event: WorkspaceEvent) -> tuple[WorkspaceEvent, float]:
        """Return what counts once a hook reports an event as well, and when that was reported: see ``Worker``."""
        known, now = self._suspects.get(workspace_id), self._world.clock.monotonic()
        counts = event if known is None else strongest(known[0], event)
        reported_at = now if known is None or counts is event else known[1]
        if known is not None:
            self._suspects[workspace_id] = counts, reported_at
        return counts, reported_at

    def settle(self, workspace_id: str) -> None:
        """The looks after a hook have found its row."""
        self._suspects.pop(workspace_id, None)

    def _compare(self) -> None:
        now = self._list() if self._is_valid() else None
        if now is None:
            return
        past = self._past
        sessions = self._living() if vanished(past, now) else ()
        comparison: Comparison | Unknown = compare(past, now, sessions, self._world.clock.monotonic())
        if isinstance(comparison, Comparison) and past is not None and comparison.deleted:
            rows = self._reaper.registry.look_up(comparison.deleted, ())
            comparison = rows if isinstance(rows, Unknown) else confirm(comparison, past.workspace_list, rows)
        if isinstance(comparison, Unknown):
            return
        self._saw(comparison.past.workspace_list.workspaces)
        self._past, self._invalid = comparison.past, comparison.why if comparison.uncertain else None
        self._is_valid()
        self._report(comparison)

    def _is_valid(self) -> bool:
        """Whether the ledger has it that the database was replaced, if it was."""
        if self._invalid is not None:
            try:
                self._reaper.doubt(self._invalid)
            except LedgerError:
                return False
        self._invalid = None
        return True

    def _list(self) -> WorkspaceList | None:
        found = self._reaper.registry.look_up((), ())
        if isinstance(found, Unknown):
            return None
        rows = [row for row in self._world.host.rows.values() if not row.deleted]
        ids = frozenset(row.workspace_id for row in rows if not row.deleted)
        return WorkspaceList(
            found.identity, ids, frozenset(row.workspace_id for row in rows if row.archived and not row.deleted)
        )

    def _report(self, found: Comparison) -> None:
        for workspace_id in found.deleted:
            self._suspect(workspace_id, WorkspaceEvent.REMOVED)
            self._reaper.plugins.deleted(workspace_id)
        for workspace_id in found.archived:
            self._suspect(workspace_id, WorkspaceEvent.ARCHIVED)
            one = next(one for one in self._world.workspaces if one.workspace_id == workspace_id)
            one.call(HookKind.ARCHIVED, self._world.now)
        for workspace_id in found.vanished:
            self._suspect(workspace_id, WorkspaceEvent.DOUBTED if found.as_by_restore else WorkspaceEvent.VANISHED)

    def _suspect(self, workspace_id: str, event: WorkspaceEvent) -> None:
        known = self._suspects.get(workspace_id)
        event = event if known is None else strongest(known[0], event)
        self._suspects[workspace_id] = event, self._world.clock.monotonic()

    def _look_at_suspects(self) -> None:
        now, last = self._world.clock.monotonic(), LOOKS_AT_DIRECTORY[-1]
        ages = {one: now - named_at for one, (_, named_at) in self._suspects.items()}
        final = {one for one, age in ages.items() if age >= last}
        left = look_at(
            cast(Any, self._reaper),
            {one: event for one, (event, _) in self._suspects.items()},
            final,
            ages,
            stopping=lambda: False,
            replaced=lambda: False,
        )
        self._suspects = {one: known for one, known in self._suspects.items() if one in left and one not in final}
