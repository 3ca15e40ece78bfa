"""What has truly happened to each workspace and each session, in true time. The oracle judges by it.

True time is the clock that runs on while the machine sleeps, and that cannot be set.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from tests.simulation.oracle.truth import Absence, Activity, Directory, Hook, HookKind, Reason, Row, RowState, Work
from workspace_reaper.model.session import SessionKey

__all__ = ["SessionLife", "WorkspaceLife"]

# CPU time has a resolution of 0.01 s: less than that no look can see.
_MEASURABLE = 0.02


@dataclass(slots=True, eq=False)
class WorkspaceLife:
    """A workspace: its number in the plan, what the registry said of it and when, and its directory.

    ``seen_with_row`` is that of the last state of its directory: each sweep moves it. It is written there before it is
    read. ``is_untouched``: nothing about its directory has changed, whether or not a look can have seen that.
    ``is_recorded``: a full sweep has read its row and recorded where it is. ``had_row_at`` is when a look last read a row
    of it, and ``read_at`` when its row was last read by a sweep that was about it, and ``swept_at`` by a full one.
    ``looked_at`` is when its directory was last looked at. ``given_up_at`` is when the reaper last gave up a hook whose
    row did not agree.
    """

    number: int
    workspace_id: str
    path: str
    rows: list[RowState] = field(default_factory=list)
    hooks: list[Hook] = field(default_factory=list)
    directory: list[Directory] = field(default_factory=list)
    is_untouched: bool = True
    is_recorded: bool = False
    seen_with_row: float | None = None
    known_at: float | None = None
    daemon_saw_it_go: float | None = None
    vanished: tuple[int, int] = (1, 1)
    given_up_at: float | None = None
    read_at: float = 0.0
    had_row_at: float = -1.0
    swept_at: float = 0.0
    looked_at: float = 0.0

    @property
    def row(self) -> Row | None:
        """The row that it has now, if any."""
        return self.rows[-1].rows[0] if self.rows and self.rows[-1].rows else None

    def row_at(self, at: float) -> Row | None:
        """The row that it had then, if any."""
        state = next((each for each in reversed(self.rows) if each.since <= at), None)
        return state.rows[0] if state is not None and state.rows else None

    def directory_at(self, at: float) -> Directory:
        """The state of its directory then."""
        return next((each for each in reversed(self.directory) if each.since <= at), self.directory[0])

    def say(self, row: Row | None, now: float, absence: Absence = Absence.DELETED) -> None:
        """Note what the registry says from now on. What no look can have read is forgotten."""
        if len(self.rows) > 1 and self.rows[-1].since > self.read_at:
            self.rows.pop()
        state = RowState(now, () if row is None else (row,), absence)
        if self.rows:
            last = self.rows[-1]
            if (state.rows, state.absence) == (last.rows, last.absence):
                return
            self.rows[-1] = replace(last, counted=last.since <= self.swept_at)
        self.rows.append(state)

    def set(self, now: float, **flags: bool) -> None:
        """Note that flags of the row change, if there is a row."""
        if self.row is not None:
            self.say(replace(self.row, **flags), now)

    def call(self, kind: HookKind, now: float) -> None:
        self.hooks.append(Hook(kind, now))

    def place(self, now: float, **changes: object) -> None:
        """Note that something about its directory changes. What no look can have seen is forgotten."""
        before = self.directories()[-1] if self.directory else Directory()
        after = replace(before, since=now, **changes)  # type: ignore[arg-type]
        self.is_untouched = self.is_untouched and (not self.directory or replace(after, since=before.since) == before)
        if len(self.directory) > 1 and before.since > self.looked_at:
            self.directory.pop()
            before = self.directory[-1]
        if not self.directory or replace(after, since=before.since) != before:
            self.directory.append(after)
        self.seen_with_row = self.directory[-1].seen_with_row

    def directories(self) -> list[Directory]:
        """All states of its directory, oldest first."""
        if self.directory[-1].seen_with_row != self.seen_with_row:
            self.directory[-1] = replace(self.directory[-1], seen_with_row=self.seen_with_row)
        return self.directory


@dataclass(slots=True, eq=False)
class SessionLife:
    """A session of the simulated tmux, from its creation to its end.

    ``of`` is the workspace for which it was made. ``ended_by`` is who ended it, and ``reaped_for`` the reason if the
    reaper did, and still remembers it: under ``reap_id``, by the name ``reaped_as``. ``busy_since`` is since when its
    program computes or waits for a CPU, ``computed`` for how long the machine was awake since then, or since the work that
    no sample has shown yet, ``used`` how much CPU time its program has used in all, in seconds, ``worked`` its last work
    that a look has seen, and ``seen_work`` what is not stored yet. ``due_since`` is since when it has been due without a
    fact that protects it, ``due_for`` for which reasons. ``sampled_at`` is when the reaper last took a sample of its CPU
    time, ``unmeasured`` the work since then. ``hidden_since`` is since when the process of its pane cannot be
    seen. ``died_before`` is when its panes had died before they were last respawned, at ``respawned_at``.
    """

    of: WorkspaceLife
    session_id: str
    created: float
    owner: str
    key: SessionKey
    input: float | None = None
    attach: float | None = None
    seen_attached: float | None = None
    output: float | None = None
    busy_since: float | None = None
    computed: float = 0.0
    used: float = 0.0
    starved: bool = False
    starving_seen: float | None = None
    worked: Work | None = None
    seen_work: Work | None = None
    unmeasured: Work | None = None
    sampled_at: float | None = None
    dead_since: float | None = None
    died_before: float | None = None
    respawned_at: float | None = None
    attached_since: float | None = None
    client: int | None = None
    hidden_since: float | None = None
    kept_since: float | None = None
    renamed_at: float | None = None
    foreign_since: float | None = None
    announced_at: float | None = None
    taken_back_at: float | None = None
    ended_at: float | None = None
    ended_by: str = ""
    reaped_for: str = ""
    reap_id: str = ""
    reaped_as: str = ""
    due_since: float | None = None
    due_for: tuple[Reason, ...] = ()
    is_listed_attached: bool = False

    @property
    def is_alive(self) -> bool:
        return self.ended_at is None

    def dead_at_recheck(self, rechecked_at: float | None) -> float | None:
        """Since when its panes have been dead, as a recheck at that moment saw it: the guard sees that they are dead, and not
        that they lived in between."""
        is_late = rechecked_at is not None and self.respawned_at is not None and self.respawned_at >= rechecked_at
        return self.died_before if is_late and self.dead_since is not None else self.dead_since

    def activity(self, now: float) -> Activity:
        """What the oracle calls its activity."""
        is_measurable = self.starved or self.computed >= _MEASURABLE
        work = Work(self.busy_since, now) if self.busy_since is not None and is_measurable else self.worked
        return Activity(self.input, self.attach, self.seen_attached, self.output, work)

    def is_in(self, directory: Directory) -> bool:
        """Whether it works in the directory, which was moved. One that was made later works elsewhere."""
        return directory.session_inside and self.dead_since is None and self.created < directory.since

    def object_to_end(self, now: float) -> None:
        """Its user attaches to it or keeps it: that takes an announcement back."""
        if self.announced_at is not None:
            self.announced_at, self.taken_back_at = None, now
