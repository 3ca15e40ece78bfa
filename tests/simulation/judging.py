"""Builds the truth about each kill and each signal for the oracle, and collects what it finds wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field, replace

from tests.simulation.breaker_watch import BreakerWatch, name_of
from tests.simulation.daemon_watch import DaemonWatch
from tests.simulation.lives import SessionLife, WorkspaceLife
from tests.simulation.oracle import Violation, judge_kill
from tests.simulation.oracle.truth import (
    FullSweep,
    KillTruth,
    Limits,
    Peer,
    Reaper,
    Session,
    Veto,
    Workspace,
)
from tests.simulation.oracle.truth_records import End, Identity
from tests.simulation.oracle.truth_reports import Report
from tests.simulation.ownership import Ownership
from tests.simulation.work import measure, store, store_hidden
from tests.simulation.world import NOTICED, SOCKET, World
from workspace_reaper.model.reap import Intent
from workspace_reaper.model.session import SessionKey

__all__ = ["Judging"]


@dataclass(slots=True)
class Judging:
    """What is known of the reaper's doings, by true time.

    ``began`` is when the running sweep began (None: it is not a full one), ``looked`` when it read the rows, and
    ``looked_at_directories`` when it first looked at the directories after that. ``saved_at`` is when the last full
    sweep that could read the registry read the clocks of its state. ``is_stepped``: the wall clock was set between
    that and the begin of the running sweep, of whatever kind. ``rechecked_at`` is when its latest recheck began, and
    ``attempted`` are the sessions that it has tried to end.
    """

    world: World
    limits: Limits
    ownership: Ownership
    violations: list[Violation] = field(default_factory=list)
    kills: Counter[str] = field(default_factory=Counter)
    full_sweeps: list[FullSweep] = field(default_factory=list)
    intents: dict[SessionKey, Intent] = field(default_factory=dict)
    intended: dict[str, float] = field(default_factory=dict)
    recorded: dict[str, float] = field(default_factory=dict)
    ends: list[End] = field(default_factory=list)
    reports: list[Report] = field(default_factory=list)
    began: float | None = None
    is_listed: bool = False
    sampled_at: float | None = None
    listed_at: float = 0.0
    listed: dict[SessionLife, list[WorkspaceLife]] = field(default_factory=dict)
    rechecked_at: float | None = None
    objecting: list[SessionLife] = field(default_factory=list)
    is_read: bool = False
    is_saved: bool = False
    looked: float | None = None
    looked_at_directories: float | None = None
    about: frozenset[str] = frozenset()
    is_stepped: bool = False
    saved_at: float = float("inf")
    breaker: BreakerWatch = field(init=False)
    daemon: DaemonWatch = field(init=False)
    census: tuple[int, int] = (0, 0)
    recognised: set[SessionLife] = field(default_factory=set)
    asked: frozenset[str] | None = frozenset()
    dry_run: bool = False
    is_counting: bool = False
    processes_read_at: float = float("-inf")
    attempted: set[SessionKey] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.daemon = DaemonWatch(self.world)
        self.breaker = BreakerWatch(self.world, self.limits)

    def forget(self, owner_id: str) -> None:
        """The state directory is lost, and with it all that the reaper knew. It has another owner id from now on."""
        self.ownership = Ownership(self.world, owner_id)
        self.full_sweeps, self.intents, self.intended, self.ends = [], {}, {}, []
        self.saved_at = float("inf")
        self.breaker = BreakerWatch(self.world, self.limits)
        for life in (*self.world.ended, *self.world.lives.values()):
            life.reaped_for, life.sampled_at = "", None
        for one in self.world.workspaces:
            one.known_at, one.seen_with_row, one.daemon_saw_it_go, one.is_recorded = None, None, None, False
            one.hooks.clear()

    def begin(
        self,
        *,
        full: bool,
        dry_run: bool,
        named: Collection[str] = (),
        shown: Collection[SessionKey] = (),
        shown_at: str = "",
    ) -> None:
        """A run of the reaper begins, about the workspaces ``named`` or all. An operator lets the sessions ``shown`` go."""
        self.breaker.begin(shown, shown_at)
        self.about = frozenset(named)
        now = self.world.now
        self.dry_run = dry_run
        self.began, self.looked = now if full else None, None
        self.is_stepped = abs(sum(seconds for at, seconds in self.world.steps if self.saved_at < at <= now)) > NOTICED
        self.is_listed, self.is_read, self.is_saved, self.sampled_at = False, False, False, None
        self.attempted.clear()
        self.rechecked_at = self.looked_at_directories = None
        for life in self.world.lives.values():
            life.seen_work = None
        self.objecting.clear()

    def saved(self) -> None:
        """The reaper has written its state: if this is a full sweep that could see, it counts from now on."""
        store(self.world.lives.values())
        if self.began is None or self.looked is None or not self.is_read:
            return
        if not self.is_saved:  # later the clocks are read for other purposes
            self.is_saved, self.saved_at = True, self.world.clock.read_at
        if self.sampled_at is not None:
            measure(self.world.lives.values(), self.sampled_at)
            store_hidden(self.world.lives.values(), self.sampled_at, self.world.now)
            self.sampled_at = None
        if self.is_listed:
            sweep = FullSweep(self.began, self.looked, self.looked_at_directories)
            if sweep not in self.full_sweeps[-1:]:
                self.full_sweeps.append(sweep)
                self.breaker.save()

    def saw(self, rows: Collection[str]) -> None:
        """The daemon has looked, and saw these rows."""
        self.daemon.look(rows, {one.workspace_id for life in self.world.lives.values() for one in self.ownership.owners(life)})

    def read(self, ids: Collection[str], *, again: bool) -> None:
        """The reaper has read these rows; ``again`` in a recheck. Only that counts of which the sweep is."""
        self.is_read = True
        counted = ids if again or self.began is not None else self.about
        for one in self.world.workspaces:
            if one.workspace_id in ids and one.workspace_id in counted:
                one.read_at = self.world.now
                one.had_row_at = one.had_row_at if one.row is None else one.read_at
                one.swept_at = one.swept_at if self.began is None else one.read_at

    # The truth

    def truth(self, life: SessionLife, *, with_peers: bool = True) -> KillTruth:
        """All that is true of a session now."""
        world = self.world
        peers = world.peers_of(life) if with_peers else []
        return KillTruth(
            now=world.now,
            session=self._session(life),
            workspaces=self._workspaces(life),
            reaper=self._reaper(life),
            limits=self.limits,
            clock=self.world.clock_truth(is_stepped=self.is_stepped),
            peers=tuple(map(self._peer, peers)),
        )

    def _peer(self, life: SessionLife) -> Peer:
        """A peer as the recheck saw it: the guard does not ask for its marks."""
        truth, since = self.truth(life, with_peers=False), life.foreign_since
        is_late = since is not None and self.rechecked_at is not None and since > self.rechecked_at
        return Peer(replace(truth, session=replace(truth.session, foreign=truth.session.foreign and not is_late)))

    def _session(self, life: SessionLife) -> Session:
        one = self.world.tmux.sessions[life.session_id]
        return Session(
            socket=SOCKET,
            session_id=life.session_id,
            name=one.name,
            created=life.created,
            activity=life.activity(self.world.now),
            panes=(life.dead_at_recheck(self.rechecked_at),),
            attached_since=life.attached_since,
            kept_since=life.kept_since,
            foreign=self.ownership.is_foreign(life),
            renamed_at=life.renamed_at,
            home=self.world.is_home(life),
            processes_visible=life.hidden_since is None or life.hidden_since > self._oldest_look,
            veto=self._veto(life.session_id),
            announced_at=life.announced_at,
            taken_back_at=life.taken_back_at,
        )

    @property
    def _oldest_look(self) -> float:
        """When the processes were looked at last if that is as long ago as it may be at a kill."""
        oldest_recheck = self.world.now - self.limits.guard_validity
        return (self.rechecked_at or oldest_recheck) - self.limits.processes_validity

    def _veto(self, session_id: str) -> Veto:
        held = self.asked
        return Veto.UNANSWERED if held is None else Veto.VETOED if session_id in held else Veto.NONE

    def _workspaces(self, life: SessionLife) -> tuple[Workspace, ...]:
        marked, named = self.ownership.marked(life), self.ownership.named(life)
        ones = dict.fromkeys(one for one in (marked, named) if one is not None)
        return tuple(self._workspace(one, life, by_marks=one is marked, by_name=one is named) for one in ones)

    def _workspace(self, one: WorkspaceLife, life: SessionLife, *, by_marks: bool, by_name: bool) -> Workspace:
        since = life.renamed_at if by_name and not by_marks else None
        return Workspace(
            workspace_id=one.workspace_id,
            rows=tuple(one.rows),
            by_marks=by_marks,
            by_name=by_name,
            hooks=tuple(one.hooks),
            directory=tuple(
                replace(each, session_inside=False) if each.session_inside and not life.is_in(each) else each
                for each in one.directories()
            ),
            known_at=self._under_this_registry(one.known_at),
            daemon_saw_it_go=one.daemon_saw_it_go,
            vanished=one.vanished,
            **({} if since is None else {"belongs_since": since}),
        )

    def _under_this_registry(self, at: float | None) -> float | None:
        """When that was, unless the database has been replaced since, longer ago than a recheck may be."""
        replaced = self.world.replaced_at
        set_back = self.world.clock_truth(is_stepped=self.is_stepped).set_back
        is_past = self.is_counting or replaced <= self.world.now - self.limits.guard_validity - set_back
        return None if at is not None and at <= replaced and is_past else at

    def _reaper(self, life: SessionLife) -> Reaper:
        world = self.world
        managed, strangers = self.census
        return Reaper(
            full_sweeps=tuple(self.full_sweeps),
            dry_run=self.dry_run,
            approved=name_of(life.key) in self.breaker.approved,
            breaker_latched=self.breaker.latched,
            managed=managed,
            strangers_due=strangers,
            recognised=len(self.recognised - {life}),
            processes_read_at=self.processes_read_at,
            rechecked_at=self.rechecked_at,
            registry_unreadable_since=world.registry_fault_since,
        )

    def count(self) -> None:
        """Note what is true of all managed sessions at the look-up of this sweep: how many there are, strangers among them,
        those with a row, and what the breaker counts."""
        self.is_counting = True
        managed = [each for each in self.ownership.managed() if each in self.listed]
        # One that has ended since the listing still shows what the registry recognises.
        self.recognised = {each for each, owners in self.listed.items() if any(one.row is not None for one in owners)}
        self.census = len(self.listed), 0
        unknown = [each for each in managed if all(one.known_at is None for one in self.ownership.owners(each))]
        strangers = [each for each in unknown if not self.ownership.has_row(each)]
        # By a clock that was set back, fewer of them have been idle for long enough.
        due = [] if self.world.steps else [each for each in strangers if not judge_kill(self.truth(each), "orphan")]
        self.census = len(self.listed), len(due)
        if self.began is not None and self.is_listed:
            without = [each for each in managed if self.ownership.is_gone(each)]
            self.breaker.look(len(self.listed), {name_of(each.key): self.truth(each, with_peers=False) for each in without})
        self.is_counting = False

    def note_listing(self) -> None:
        """All sessions have been listed."""
        self.is_listed, self.listed_at = True, self.world.now
        self.listed = {each: self.ownership.owners(each) for each in self.ownership.managed()}

    def reset_breaker(self) -> None:
        """An operator has reset the breaker."""
        self.breaker.reset({name_of(each.key) for each in self.ownership.managed() if self.ownership.is_gone(each)})

    # What is judged

    def judge(self, life: SessionLife, truth: KillTruth, intent: Intent | None) -> None:
        """Judge a session that the reaper has just ended."""
        if intent is None:
            self.blame(truth, "intent", "it was ended without an intent")
            return
        reason, key = intent.reason, intent.key
        # The name is no term of the guard: one that is renamed after the recheck has belonged to the workspace until then.
        workspaces = frozenset({life.of.workspace_id, *(one.workspace_id for one in truth.workspaces)})
        identity = Identity(key.socket, key.server_pid, key.server_start, key.session_id, key.created)
        self.ends.append(End(identity, workspaces, reason, truth.now))
        truth = replace(truth, session=replace(truth.session, panes_kept=intent.reap_id in self.world.disk.kept))
        self.kills[reason] += 1
        life.reaped_for, life.reap_id, life.reaped_as = reason, intent.reap_id, intent.session
        self.world.tell(f"the reaper ends {truth.session.name} ({life.session_id}) as {reason}")
        wrong = judge_kill(truth, reason)
        if wrong and reason == "archived":
            # Reports do not tell the two apart.
            wrong = judge_kill(truth, "archived by hook") and wrong
        self.violations += wrong

    def blame(self, truth: KillTruth, rule: str, why: str) -> None:
        """Note that a kill breaks a rule."""
        self.violations.append(Violation(rule, truth.session.name, why, truth.now))
