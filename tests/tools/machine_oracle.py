"""What must become of each session, sweep after sweep: written from the table and the paragraphs of the design, for the state
machine. It remembers for itself what a reaper has to remember, and uses no code of the product. The rows of the table are those
of ``reasons``, in the form that is written for it.

It is asked with what tmux and the database say at that moment. All times are in seconds that the machine has lived: it neither
slept in them, nor did anybody set its clock.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace

from tests.tools.machine_breaker import Breaker
from tests.tools.machine_directories import Directories
from tests.tools.machine_facts import Circumstances, Fate, Host, Key, Limits, Registry, Seen, those
from tests.tools.machine_memory import Remembered
from tests.tools.reasons import REASONS

__all__ = ["Oracle"]

OF_A_WORKSPACE = re.compile("ws-([A-Za-z0-9][A-Za-z0-9_-]*)")


DOUBTS = frozenset({"clock", "breaker", "unproven", "unconfirmed", "doubtful"})
"""Those of the reaper itself, and not facts of the host, the user or the session."""


class Oracle:
    """``owner_id`` is what our sessions carry, None until there is one. ``strangers`` wait for an operator."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.owner_id: str | None = None
        self.breaker = Breaker()
        self.directories = Directories()
        self.strangers: frozenset[Key] = frozenset()
        self._registry = 0
        self._content: Registry | None = None
        self._rows: set[str] = set()
        self._known: dict[str, int] = {}
        self._named: dict[str, int] = {}
        self._deleted: dict[str, float] = {}
        self._of: dict[Key, Remembered] = {}
        self._last_sweep: float | None = None
        self._clock_set = False
        self._waiting: dict[Key, float] = {}
        self._scene: _Scene | None = None

    @property
    def longest_doubt(self) -> float:
        """For how long a session has been held by nothing but doubts of the reaper."""
        return max((self._last_sweep or 0.0) - since for since in [*self._waiting.values(), self._last_sweep or 0.0])

    @property
    def has_swept(self) -> bool:
        """There was a full sweep."""
        return self._last_sweep is not None

    def clock_was_set(self) -> None:
        """Somebody has set the wall clock: for the next sweep nobody knows how long anything was idle."""
        self._clock_set = True

    def managed(self, sessions: Iterable[Seen]) -> dict[Key, str]:
        """The sessions that are ours to judge, with their workspaces."""
        found = {one.key: self._workspace(one) for one in sessions if one.owner in ("", self.owner_id)}
        return {key: workspace for key, workspace in found.items() if workspace}

    def _workspace(self, one: Seen) -> str | None:
        """That of its marks, or else the one that its name means."""
        return one.workspace or _named(one)

    def foresee(self, now: float, sessions: Sequence[Seen], host: Host, approved: Collection[Key] = ()) -> dict[Key, Fate]:
        """What a full sweep would do now. Nothing of it is remembered."""
        return deepcopy(self).sweep(now, sessions, host, approved)

    def sweep(self, now: float, sessions: Sequence[Seen], host: Host, approved: Collection[Key] = ()) -> dict[Key, Fate]:
        """What a full sweep has to do, for each managed session."""
        ours = self.managed(sessions)
        before, self._registry, self._content = self._registry, self._recognised(host), host.registry
        if before not in (0, self._registry):
            self.breaker.forgiven = set()
            for memory in self._of.values():
                memory.missing.count = memory.witnessed.count = 0
        said = {one: at for one, at in self._deleted.items() if self._named.get(one) == self._registry}
        self.directories.see(now, [(one, ours[one.key]) for one in sessions if one.key in ours], host, self._registry)
        self.directories.miss(now, host)
        self._look_at_breaker(now, sessions, host, said)
        was_latched = self.breaker.latched
        if before in (0, self._registry):
            # Only what is there can be let go; those that are gone free it by staying away.
            self.breaker.approve({key for key in approved if key in ours and host.gone(ours[key])})
        recognised = {one for one in ours.values() if not host.gone(one)}
        hooks = {one: ("deleted", at) for one, at in said.items()}
        scene = _Scene(now, host, self._registry, recognised, was_latched, hooks)
        self._scene = scene
        fates = self._hold_groups(sessions, self._hold_strangers(sessions, self._judge(sessions, ours, scene), scene))
        self._waiting = {key: self._waiting.get(key, now) for key in self._in_doubt(sessions, fates, now)}
        self._rows, self._last_sweep, self._clock_set = set(host.rows), now, False
        others = {self._workspace(one) or "" for one in sessions if one.key not in ours}
        self._known |= dict.fromkeys(recognised | {one for one in others if not host.gone(one)}, self._registry)
        left = set(ours.values())
        self._deleted = {one: at for one, at in self._deleted.items() if one in left and one not in recognised}
        return fates

    def spared(
        self, now: float, fates: Mapping[Key, Fate], before: Sequence[Seen], sessions: Sequence[Seen], host: Host
    ) -> dict[Key, frozenset[str]]:
        """Those that the last sweep was to reap and has to spare for what is so now, right before it does; and by what."""
        assert self._scene is not None
        was, ours, found = self.managed(before), self.managed(sessions), {}
        again = self._judge(sessions, ours, replace(self._scene, now=now, host=host))
        for one in sessions:
            reason = fates[one.key].dies_for if one.key in fates else None
            if reason is None:
                continue
            if ours.get(one.key) != was[one.key]:
                found[one.key] = frozenset({"unmanaged"})
            elif reason in dict(again[one.key].reasons):
                found[one.key] = dict(again[one.key].reasons)[reason]
            elif reason in ("idle", "dead") and not host.gone(was[one.key]):
                found[one.key] = frozenset({"attached" if one.clients else "active"})
            else:
                found[one.key] = frozenset({"workspace"})
        return {key: saviours for key, saviours in found.items() if saviours}

    def _look_at_breaker(self, now: float, sessions: Sequence[Seen], host: Host, said: Mapping[str, float]) -> None:
        """Remember what a full sweep sees of each session, and of the sessions without a row as a whole."""
        ours, proven, strange = self.managed(sessions), set(), set()
        for one in sessions:
            if one.key in ours:
                workspace = ours[one.key]
                memory = self._of.setdefault(one.key, Remembered())
                witnessed, gone = self.directories.witnesses(one, workspace, host, self._registry), host.gone(workspace)
                memory.look(one, workspace, host.rows.get(workspace), now, self._last_sweep)
                memory.look_for_row(workspace, now, self._limits.confirmation_gap, gone=gone, witnessed=witnessed)
                if gone and not witnessed and not _older(one, said.get(workspace)):
                    (proven if self._proven(one, workspace, host.rows, self._registry) else strange).add(one.key)
        self._of = {one.key: self._of[one.key] for one in sessions if one.key in self._of}
        excused = self.directories.excused(host, self._registry, ours.values())
        lost = len(self._rows) - len(host.rows) - len(excused - host.rows.keys())
        self.breaker.look(proven, strange, len(ours), rows_lost=lost >= 3 and lost > len(self._rows) / 2)

    def reset_breaker(self, sessions: Sequence[Seen], host: Host) -> None:
        """An operator releases it: that lets go what has no row now."""
        self.breaker.reset({key for key, workspace in self.managed(sessions).items() if host.gone(workspace)})

    def hook(self, now: float, said: str, workspace: str, sessions: Sequence[Seen], host: Host) -> dict[Key, Fate]:
        """What a hook has to bring about, for each managed session of its workspace."""
        if said == "deleted":
            self._named[workspace] = max(1, self._registry)
            self._deleted[workspace] = now
        self.directories.miss(now, host)
        row = host.rows.get(workspace)
        ours = {key: one for key, one in self.managed(sessions).items() if one == workspace}
        there = set() if host.gone(workspace) else {workspace}
        scene = _Scene(now, host, self._recognised(host), there, self.breaker.latched, {workspace: (said, now)})
        fates = self._hold_groups(sessions, self._judge(sessions, ours, scene))
        contradicted = row is not None and not (row.deleted if said == "deleted" else row.archived)
        if contradicted or all(fate.dies_for for fate in fates.values()):
            self._deleted.pop(workspace, None)
        return fates

    def _recognised(self, host: Host) -> int:
        """Which registry in turn this is: another one once its content was replaced, whichever rows are missing."""
        if self._content is None:
            return 1
        return self._registry + self._content.is_replaced_by(host.registry)

    def _judge(self, sessions: Sequence[Seen], ours: Mapping[Key, str], scene: _Scene) -> dict[Key, Fate]:
        fates = {}
        for one in sessions:
            if one.key in ours:
                fate = Fate(tuple(self._holding(one, ours[one.key], scene)))
                fates[one.key] = fate.saved_by("kept") if one.kept else fate
        return fates

    def _hold_groups(self, sessions: Sequence[Seen], fates: dict[Key, Fate]) -> dict[Key, Fate]:
        """The windows of a group live as long as one of its sessions does: it goes as a whole or not at all."""
        stays = {one.group for one in sessions if one.group and not (one.key in fates and fates[one.key].dies_for)}
        for one in sessions:
            if one.group in stays and one.key in fates and fates[one.key].dies_for:
                fates[one.key] = fates[one.key].saved_by("group")
        return fates

    def _holding(self, one: Seen, workspace: str, scene: _Scene) -> Iterable[tuple[str, frozenset[str]]]:
        """The table, row by row."""
        memory, row = self._of.get(one.key, Remembered()), scene.host.rows.get(workspace)
        said, at = scene.said.get(workspace, (None, None))
        idle, gone = memory.idle(one, scene.now, self._last_sweep), scene.host.gone(workspace)
        archived_since = memory.archived_since if memory.archived == workspace else None
        died = memory.dead_since if one.died is None else one.died
        named = scene.host.rows.get(_named(one) or "")
        if row is not None and one.workspace and named is not None and not named.deleted:
            row = replace(row, running=row.running or named.running, pinned=row.pinned or named.pinned)
        moment = Circumstances(
            now=scene.now,
            session=one,
            row=None if gone else row,
            said=said if said != "deleted" or _older(one, at) else None,
            limits=self._limits,
            idle=idle,
            clock_set=self._clock_set,
            archived_for=None if archived_since is None else scene.now - archived_since,
            dead_for=scene.now - died if one.dead and died is not None else None,
            orphan=self._saves_orphan(one, workspace, scene, idle, memory) if gone else frozenset(),
            removed=self._saves_removed(one, workspace, scene, memory),
        )
        for reason in REASONS:
            saves = reason.lived(moment)
            if saves is not None:
                renamed = {"renamed"} if self._only_by_its_marks(one, reason.name, scene) else set()
                yield reason.reported_as or reason.name, saves | renamed

    def _only_by_its_marks(self, one: Seen, reason: str, scene: _Scene) -> bool:
        """It was renamed, and the host has not said this of both of its workspaces."""
        named = _named(one)
        if not one.workspace or named == one.workspace:
            return False
        row = scene.host.rows.get(named or "")
        says = {
            "deleted": row is None or row.deleted,
            "removed": row is None or row.deleted,
            "worktree-deleted": row is None or (row.worktree_deleted and not row.deleted),
            "archived by hook": row is None or (row.archived and not row.deleted),
            "archived": row is None or (row.archived and not row.deleted),
        }
        return not says.get(reason, False)

    def _hold_strangers(self, sessions: Sequence[Seen], fates: dict[Key, Fate], scene: _Scene) -> dict[Key, Fate]:
        """Three or more sessions that were never known, which are at least half of all, wait for an operator."""
        strangers = [
            one.key
            for one in sessions
            if one.key in fates
            and fates[one.key].dies_for == "orphan"
            and not self._proven(one, self.managed([one])[one.key], scene.host.rows, scene.registry)
        ]
        many = len(strangers) >= 3 and len(strangers) >= len(fates) / 2
        self.strangers = waiting = frozenset(strangers if many else ()) - self.breaker.forgiven
        return {key: fate.saved_by("unproven") if key in waiting else fate for key, fate in fates.items()}

    def _in_doubt(self, sessions: Sequence[Seen], fates: Mapping[Key, Fate], now: float) -> Iterable[Key]:
        """The sessions that would be reaped if the reaper had no doubt."""
        for one in sessions:
            memory, fate = self._of.get(one.key, Remembered()), fates.get(one.key, Fate())
            is_old = memory.idle(one, now, self._last_sweep) >= self._limits.stranger_ttl
            doubts = DOUBTS if is_old else DOUBTS - {"unproven"}
            if not fate.dies_for and any(saviours <= doubts for _, saviours in fate.reasons):
                yield one.key

    def _proven(self, one: Seen, workspace: str, rows: Collection[str], registry: int) -> bool:
        """The registry has known it. A row that is flagged as deleted was known; marks do not say which registry it was."""
        known = registry in (self._known.get(workspace), self._named.get(workspace))
        return known or workspace in rows or (registry == 1 and one.workspace == workspace)

    def _saves_orphan(self, one: Seen, workspace: str, scene: _Scene, idle: float, memory: Remembered) -> frozenset[str]:
        limits = self._limits
        proven = self._proven(one, workspace, scene.host.rows, scene.registry)
        stranger = not proven and not (idle >= limits.stranger_ttl and scene.recognised - {workspace})
        return those(
            attached=one.clients,
            young=scene.now - one.born < limits.min_age,
            active=idle < limits.activity_grace,
            clock=self._clock_set,
            unproven=stranger,
            doubtful=idle < limits.stranger_ttl and workspace in self.directories.doubtful(scene.host, scene.registry),
            breaker=scene.latched and one.key not in self.breaker.forgiven,
            unconfirmed=memory.missing.at(workspace) < limits.orphan_confirmations,
        )

    def _saves_removed(self, one: Seen, workspace: str, scene: _Scene, memory: Remembered) -> frozenset[str] | None:
        """What protects one whose directory went with its row. A host's hook is a second witness."""
        if not scene.host.gone(workspace) or not self.directories.witnesses(one, workspace, scene.host, scene.registry):
            return None
        said, at = scene.said.get(workspace, (None, None))
        named = said == "deleted" and _older(one, at)
        return those(attached=one.clients, unconfirmed=not named and memory.witnessed.at(workspace) < 2)


@dataclass(frozen=True, slots=True)
class _Scene:
    """What is the same for all sessions of a sweep. ``said``: what a hook said of a workspace, and when."""

    now: float
    host: Host
    registry: int
    recognised: set[str]
    latched: bool
    said: Mapping[str, tuple[str, float]]


def _named(one: Seen) -> str | None:
    match = OF_A_WORKSPACE.fullmatch(one.name)
    return match[1] if match else None


def _older(one: Seen, at: float | None) -> bool:
    """A deletion says nothing of a session that was made after it."""
    return at is not None and one.born <= at
