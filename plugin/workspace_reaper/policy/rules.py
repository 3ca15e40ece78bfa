"""The verdict table: one `Rule` for each reason to reap a session, in the order in which they are tried.

To add a reason, define it here and put it into `RULES`. Reports, ``explain``, the guard, the recheck and the documentation are
rendered from these objects. Missing data means keep: a session without a row can only match a rule with ``needs_row`` False.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from workspace_reaper.model.events import WorkspaceEvent
from workspace_reaper.model.verdict import ORPHAN_REASON, REMOVED_REASON, Guard, IdleClock
from workspace_reaper.model.workspace import Workspace
from workspace_reaper.policy.facts import Facts, Thresholds
from workspace_reaper.policy.protection import Case, Protection
from workspace_reaper.policy.protections import (
    ACTIVE,
    ALWAYS,
    ANNOUNCED,
    ATTACHED,
    BREAKER,
    BUDGET,
    CLOCK,
    DOUBTFUL,
    PINNED,
    RETRYING,
    RUNNING,
    UNCONFIRMED,
    UNDONE,
    UNPROVEN,
    YOUNG,
)
from workspace_reaper.util.durations import seconds_text


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """One row of the verdict table: a reason to reap, and what protects from it.

    Attributes:
        name: Its name in ``explain`` and in the table.
        holds_when: When it holds, for the documentation.
        protections: What protects from it in addition to `ALWAYS`. The guard asks for clients exactly if
            ``attached`` is among them.
        reported_as: Its name in reports and in the ledger, if that differs.
        needs_row: It is tried only for a workspace that has a row; if False, only for one that has none.
        row_flag: The field of `Workspace` that must be set, if any.
        condition: What must hold in addition.
        because: Whether that holds, as a clause with the values of this session. It begins with a letter.
        idle_time: Seconds that the session must have been idle; 0 if idle time does not matter.
        confirmations: How many sweeps must agree, for the documentation.
        needs_dead_panes: The guard spares a session with a living pane.
        rests_on_session: It depends on the session's own state and not on the row. The recheck then lists the panes too.
        outlives_rename: Whether it rests on the host's own word about the workspace, or on its directory. Then it applies to a
            renamed session too.
    """

    name: str
    holds_when: str
    protections: tuple[Protection, ...] = ()
    reported_as: str = ""
    needs_row: bool = True
    row_flag: str | None = None
    condition: Callable[[Facts, Thresholds], bool] = lambda _facts, _limits: True
    because: Callable[[Facts, Thresholds], str] | None = None
    idle_time: Callable[[Facts, Thresholds], float] = lambda _facts, _limits: 0.0
    confirmations: str = "1"
    needs_dead_panes: bool = False
    rests_on_session: bool = False
    outlives_rename: Callable[[Facts], bool] = lambda _facts: False

    def __post_init__(self) -> None:
        object.__setattr__(self, "reported_as", self.reported_as or self.name)

    def __repr__(self) -> str:
        return self.name

    def holds(self, facts: Facts, thresholds: Thresholds) -> bool:
        """Return whether the rule selects the session, protections aside."""
        return self._applies_to(facts.row) and self.condition(facts, thresholds)

    def _applies_to(self, row: Workspace | None) -> bool:
        return self.needs_row is not (row is None or row.deleted) and self.is_set_in(row)

    def is_set_in(self, row: Workspace | None) -> bool:
        """Return whether the row has the flag of this rule, or the rule needs none."""
        return self.row_flag is None or (row is not None and getattr(row, self.row_flag))

    def explain(self, facts: Facts, thresholds: Thresholds) -> str:
        """Return why the rule holds or not, as a clause."""
        parts = [self.because(facts, thresholds)] if self.because else []
        if self.row_flag:
            parts.append(f"the row {'is' if self.is_set_in(facts.row) else 'is not'} marked {self.row_flag.replace('_', ' ')}")
        return " and ".join(parts)

    def rests_on_idleness(self, facts: Facts, thresholds: Thresholds) -> bool:
        """Return whether the session must have been idle for this rule."""
        return self.idle_time(facts, thresholds) > 0

    def case(self, facts: Facts, thresholds: Thresholds) -> Case:
        """Return what the protections look at."""
        rests_on_idleness, named = self.rests_on_idleness(facts, thresholds), facts.named_row
        same = named is None or self._applies_to(named)
        return Case(self.reported_as, rests_on_idleness, facts, thresholds, self.outlives_rename(facts), same)

    def protected_by(self, facts: Facts, thresholds: Thresholds) -> tuple[Protection, ...]:
        """Return what protects the session from this rule, in the order of the table."""
        case = self.case(facts, thresholds)
        return tuple(one for one in (*ALWAYS, *self.protections, RETRYING) if one.holds(case))

    def guard(self, facts: Facts, thresholds: Thresholds) -> Guard:
        """Return what must still be true inside tmux when it kills the session for this rule."""
        clients_protect, idle_time, session = ATTACHED in self.protections, self.idle_time(facts, thresholds), facts.session
        by_output = idle_time > 0 and IdleClock.OUTPUT in facts.age_clock.counted
        return Guard(
            key=session.key,
            # Where clients do not protect, typing must not keep the session alive forever either.
            activity=session.activity if clients_protect else None,
            unattached=clients_protect,
            # The last second whose output leaves the session idle for that time.
            quiet_since=max(0, math.floor(facts.age_clock.before(facts.now, idle_time))) if by_output else None,
            all_panes_dead=self.needs_dead_panes,
            # An inherited value is not the session's own, and may be any text.
            owner=_comparable(session.owner_id, "@workspace_owner" in session.inherited),
            workspace=_comparable(session.workspace_mark, "@reaper_workspace" in session.inherited),
            # A group is reaped as a whole, and gets smaller with each kill.
            ungrouped=not session.grouped,
        )


def _comparable(mark: str, is_inherited: bool) -> str | None:
    """Return the mark as a term of the guard: None if it is not the session's own, or has other characters than hex digits."""
    return None if is_inherited or "." in mark else mark


def _reported(facts: Facts, event: WorkspaceEvent) -> str:
    return f"{'a' if facts.reported is event else 'no'} hook of the host reported the workspace as {event.value}"


def _row(facts: Facts, _limits: Thresholds) -> str:
    if facts.row is None:
        return "the registry has no row for the workspace"
    return "the row is marked deleted" if facts.row.deleted else "the registry has a row for the workspace"


def _removal(facts: Facts, limits: Thresholds) -> str:
    seen = f"the daemon {'saw' if facts.reported is WorkspaceEvent.REMOVED else 'did not see'} the row go"
    said = facts.witness.why if facts.witness else "nothing is known of its directory"
    return f"{seen}, {_row(facts, limits)}, and {said}"


def _without_row(facts: Facts) -> str:
    if not facts.gone:
        return ""
    return f" (the rule applies only to a workspace with a row{'' if facts.row is None else ' that is not marked deleted'})"


def _archived_idle_time(facts: Facts, limits: Thresholds) -> float:
    since = facts.archived_since
    return 0.0 if since is not None and facts.since(since) >= limits.archived_ttl else limits.activity_grace


def _death(facts: Facts, limits: Thresholds) -> str:
    if facts.died_at is not None:
        dead_for, limit = seconds_text(facts.since(facts.died_at)), seconds_text(limits.dead_ttl)
        return f"its last pane died {dead_for} ago, and dead_ttl is {limit}{_without_row(facts)}"
    text = "all its panes are dead, but not known since when" if facts.session.all_panes_dead else "it has a living pane"
    return text + _without_row(facts)


DELETED = Rule(
    "deleted",
    "a host's hook reported the deletion, and the row is gone or marked deleted",
    needs_row=False,
    outlives_rename=lambda _facts: True,
    condition=lambda facts, _limits: facts.reported is WorkspaceEvent.DELETED,
    because=lambda facts, limits: f"{_reported(facts, WorkspaceEvent.DELETED)}, and {_row(facts, limits)}",
)
REMOVED = Rule(
    REMOVED_REASON,
    "row and directory of the workspace went together, or the daemon saw the row go",
    (ATTACHED, DOUBTFUL, UNCONFIRMED),
    needs_row=False,
    outlives_rename=lambda facts: facts.is_witnessed,
    condition=lambda facts, _limits: facts.is_witnessed or facts.reported is WorkspaceEvent.REMOVED,
    because=_removal,
    confirmations="2, at least `confirmation_gap` apart; 1 if the daemon saw the row go",
)
ARCHIVED_BY_HOOK = Rule(
    "archived by hook",
    "a host's hook reported the archiving, and the row is marked archived",
    (ATTACHED, RUNNING, UNDONE, ANNOUNCED),
    reported_as="archived",
    row_flag="archived",
    outlives_rename=lambda _facts: True,
    condition=lambda facts, _limits: facts.reported is WorkspaceEvent.ARCHIVED,
    because=lambda facts, _limits: _reported(facts, WorkspaceEvent.ARCHIVED),
)
WORKTREE_DELETED = Rule(
    "worktree-deleted",
    "the row is marked worktree deleted",
    (ATTACHED, ACTIVE, CLOCK),
    row_flag="worktree_deleted",
    outlives_rename=lambda _facts: True,
    idle_time=lambda _facts, limits: limits.activity_grace,
)
ORPHAN = Rule(
    ORPHAN_REASON,
    "the registry has no row for the workspace, or the row is marked deleted",
    (ATTACHED, YOUNG, ACTIVE, CLOCK, UNPROVEN, DOUBTFUL, BREAKER, UNCONFIRMED, BUDGET),
    needs_row=False,
    because=_row,
    idle_time=lambda facts, limits: max(
        limits.activity_grace, 0.0 if facts.proven and not facts.doubtful else limits.stranger_ttl
    ),
    confirmations="`orphan_confirmations`, at least `confirmation_gap` apart",
)
ARCHIVED = Rule(
    "archived",
    "the row is marked archived (once this has been so for `archived_ttl`, `active` and `clock` no longer protect)",
    (ATTACHED, RUNNING, ACTIVE, CLOCK, UNDONE, ANNOUNCED),
    row_flag="archived",
    outlives_rename=lambda _facts: True,
    idle_time=_archived_idle_time,
)
IDLE = Rule(
    "idle",
    "the session has been idle for longer than `idle_ttl`",
    (ATTACHED, RUNNING, PINNED, CLOCK, UNDONE, ANNOUNCED),
    condition=lambda facts, limits: facts.idle_seconds > limits.idle_ttl,
    because=lambda facts, limits: (
        f"it has been idle for {seconds_text(facts.idle_seconds)}, and idle_ttl is {seconds_text(limits.idle_ttl)}"
        f"{_without_row(facts)}"
    ),
    idle_time=lambda _facts, limits: limits.idle_ttl,
    rests_on_session=True,
)
DEAD = Rule(
    "dead",
    "all panes of the session have been dead for longer than `dead_ttl`",
    (ATTACHED,),
    condition=lambda facts, limits: facts.died_at is not None and facts.since(facts.died_at) > limits.dead_ttl,
    because=_death,
    needs_dead_panes=True,
    rests_on_session=True,
)

# The table. The first rule that holds and that nothing protects from decides.
RULES = (DELETED, REMOVED, ARCHIVED_BY_HOOK, WORKTREE_DELETED, ORPHAN, ARCHIVED, IDLE, DEAD)
