"""Why a session lives or goes: every fact, each rule of the table, and the one that decided. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workspace_reaper.model.events import WorkspaceEvent
from workspace_reaper.model.reap import Outcome
from workspace_reaper.model.session import Session
from workspace_reaper.model.state import BreakerState
from workspace_reaper.model.unknown import Unknown
from workspace_reaper.model.verdict import Reason, Verdict
from workspace_reaper.policy.breaker import clears_when
from workspace_reaper.policy.facts import Facts, Thresholds
from workspace_reaper.policy.idle import how_set
from workspace_reaper.policy.verdict import Held, Judgement, Protection, deadline
from workspace_reaper.sweep.report import SessionReport, SweepReport, evidence, iso, printable
from workspace_reaper.util.durations import seconds_text

__all__ = ["PROVEN_WHEN", "Explanation", "RuleExplanation", "explain", "explain_unmanaged", "released_when"]


@dataclass(frozen=True, slots=True)
class RuleExplanation:
    """One reason of the table: whether it holds, what protects the session from it, and both in words."""

    reason: str
    holds: bool
    held_by: tuple[str, ...]
    because: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """``entry`` is the session's line in a report; for one that is not managed, as much of it as there is.

    ``unknown`` is what could not be read, where that is why the session can't be judged.
    """

    entry: Mapping[str, Any]
    facts: Mapping[str, Any]
    rules: tuple[RuleExplanation, ...]
    decided: str
    unknown: tuple[Unknown, ...] = ()

    @property
    def exit_code(self) -> int:
        """0, or 3 where the session can't be judged."""
        return 3 if self.unknown else 0

    def as_dict(self) -> dict[str, Any]:
        """The object that ``explain --json`` prints."""
        rules = [
            {"reason": rule.reason, "holds": rule.holds, "held_by": list(rule.held_by), "because": rule.because}
            for rule in self.rules
        ]
        unknown = SweepReport("", 0.0, unknown=list(self.unknown)).head()["unknown"]
        return {**self.entry, "facts": dict(self.facts), "rules": rules, "decided": self.decided, "unknown": unknown}


def _not_proven(facts: Facts) -> str:
    if facts.known_under is None:
        return f"this registry has never known its workspace (generation {facts.generation} of what is read there)"
    return (
        "the registry that knew its workspace was another one"
        f" (generation {facts.known_under} of what is read there, and this is generation {facts.generation})"
    )


_HELD: Mapping[Protection, Callable[[Facts, Thresholds], str]] = {
    Protection.KEPT: lambda _facts, _rules: "it is kept (@reaper_keep is set; 'unkeep' takes it off)",
    Protection.VETO: lambda facts, _rules: facts.veto or "a plugin vetoed it",
    Protection.HOME: lambda _facts, _rules: "the reaper itself runs in it",
    Protection.ATTACHED: lambda _facts, _rules: "a client is attached to it or to a peer in its group",
    Protection.RUNNING: lambda _facts, _rules: "the host says that a process of this workspace runs",
    Protection.PINNED: lambda _facts, _rules: "its workspace is pinned",
    Protection.YOUNG: lambda facts, rules: (
        f"it is {seconds_text(facts.age_seconds)} old, min_age is {seconds_text(rules.min_age)}"
    ),
    Protection.ACTIVE: lambda facts, rules: (
        f"it is idle for {seconds_text(facts.idle_seconds)}, activity_grace is {seconds_text(rules.activity_grace)}"
    ),
    Protection.UNPROVEN: lambda facts, rules: (
        f"{_not_proven(facts)}: it goes only when idle for stranger_ttl"
        f" ({seconds_text(rules.stranger_ttl)}; it is {seconds_text(facts.idle_seconds)}) and while the registry recognises"
        f" another session (it {'does' if facts.recognises_others else 'does not'})"
    ),
    Protection.BREAKER: lambda _facts, _rules: "the breaker is latched ('breaker' tells why, and what frees it)",
    Protection.UNCONFIRMED: lambda facts, rules: (
        f"{facts.confirmations} of {rules.orphan_confirmations if facts.proven else max(2, rules.orphan_confirmations)} full"
        f" sweeps, at least {seconds_text(rules.confirmation_gap)} apart, have confirmed it"
    ),
    Protection.BUDGET: lambda _facts, _rules: "max_orphans_per_hour is used up",
    Protection.GROUP: lambda _facts, _rules: (
        "another session of its group stays, so killing it would end nothing: a group goes as a whole"
    ),
    Protection.UNDONE: lambda _facts, _rules: "an operator took its announcement back, and the cause has gone on ever since",
    Protection.CLOCK: lambda facts, _rules: how_set(facts.times.jumped),
    Protection.RETRYING: lambda facts, _rules: (
        f"its kill has failed {facts.failures} times, and is tried again at {iso(facts.retry_at)} ('sweep --approve' asks"
        " whether to try it now)"
    ),
    Protection.ANNOUNCED: lambda facts, rules: (
        f"it is announced, and goes at {iso(deadline(facts, rules) or facts.now + rules.undo_window)} ('undo' takes that back)"
    ),
}


def _row_says(flag: str, *, yes: bool) -> str:
    return f"its row says {flag}" if yes else f"its row does not say {flag}"


def _testimony(facts: Facts, said: WorkspaceEvent) -> str:
    return f"a hook named it as {said.value}" if facts.testimony is said else f"no hook named it as {said.value}"


def _died(facts: Facts, rules: Thresholds) -> str:
    if facts.died_at is None:
        return "a pane lives" if not facts.session.all_panes_dead else "all panes are dead; since when is not known yet"
    return f"its last pane died {seconds_text(facts.since(facts.died_at))} ago, dead_ttl is {seconds_text(rules.dead_ttl)}"


def _of_a_row(facts: Facts, text: str) -> str:
    return text if facts.row is not None else f"{text}; without a row this does not count"


_BECAUSE: Mapping[Reason, Callable[[Facts, Thresholds], str]] = {
    Reason.DELETED: lambda facts, _rules: (
        f"{_testimony(facts, WorkspaceEvent.DELETED)}; its row is {'gone' if facts.gone else 'there'}"
    ),
    Reason.ARCHIVED_BY_HOOK: lambda facts, _rules: (
        f"{_testimony(facts, WorkspaceEvent.ARCHIVED)}; "
        f"{_row_says('archived', yes=facts.row is not None and facts.row.archived)}"
    ),
    Reason.WORKTREE_DELETED: lambda facts, _rules: _row_says(
        "that the worktree was deleted", yes=facts.row is not None and facts.row.worktree_deleted
    ),
    Reason.ORPHAN: lambda facts, _rules: (
        "the registry has no such workspace" if facts.gone else "the registry knows its workspace"
    ),
    Reason.ARCHIVED: lambda facts, _rules: _row_says("archived", yes=facts.row is not None and facts.row.archived),
    Reason.IDLE: lambda facts, rules: _of_a_row(
        facts, f"it is idle for {seconds_text(facts.idle_seconds)}, idle_ttl is {seconds_text(rules.idle_ttl)}"
    ),
    Reason.DEAD: lambda facts, rules: _of_a_row(facts, _died(facts, rules)),
}


def _rule(
    reason: Reason, facts: Facts, rules: Thresholds, held: Mapping[Reason, Held], released_when: Mapping[str, str]
) -> RuleExplanation:
    because = _BECAUSE[reason](facts, rules)
    found = held.get(reason)
    if found is None:
        return RuleExplanation(reason.value, False, (), because)
    protections = [_HELD[protection](facts, rules) for protection in found.by]
    text = "; held: " + "; ".join(protections) if protections else ""
    until = [released_when[protection] for protection in found.by if protection in released_when]
    if until:
        text += "; held until " + ", and until ".join(until)
    return RuleExplanation(reason.value, True, tuple(protection.value for protection in found.by), because + text)


def _decided(judgement: Judgement) -> str:
    if judgement.verdict is Verdict.KEEP or judgement.reason is None:
        return "keep: no reason holds"
    if judgement.verdict is Verdict.REAP:
        return f"reap: {judgement.reason.value}"
    return f"hold: {judgement.reason.value}, held by {', '.join(protection.value for protection in judgement.protected_by)}"


def _session_facts(session: Session) -> dict[str, Any]:
    return {
        "created": iso(session.key.created),
        "client_activity": iso(session.activity),
        "last_attached": iso(session.last_attached),
        "last_output": iso(max((window.activity for window in session.windows), default=None)),
        "attached_clients": session.attached,
        "has_client": session.has_client,
        "group_has_client": session.group_has_client,
        "grouped": session.grouped,
        "windows": len(session.windows),
        "panes": len(session.panes),
        "panes_dead": session.all_panes_dead,
        "kept": session.kept,
        "owner": session.owner.value,
        "server": {"pid": session.key.server_pid, "started": iso(session.key.server_start), "version": session.version},
    }


def _idle_clocks(facts: Facts) -> list[dict[str, Any]]:
    """Each idle clock: when it last moved, how long ago by the time that counts, whether it is on, and whether it decides."""
    return [
        {
            "clock": clock.value,
            "at": iso(moment),
            "age_seconds": None if moment is None else int(facts.since(moment)),
            "on": clock in facts.times.counted,
            "decides": clock is facts.idle_by,
        }
        for clock, moment in facts.idle_clocks.items()
    ]


def explain(
    entry: SessionReport, rules: Thresholds, session: Session | None = None, unknown: Sequence[Unknown] = ()
) -> Explanation:
    """Explain a managed session from its line in a (dry) sweep.

    Where it can't be judged, ``session`` is what tmux has told of it, if anything, and ``unknown`` what could not be read.
    """
    if entry.facts is None or entry.judgement is None:
        why = "; ".join(printable(one.reason) for one in unknown) or "something could not be read"
        told = _session_facts(session) if session else {}
        return Explanation(entry.as_json(), told, (), f"hold: it can't be judged: {why}", tuple(unknown))
    facts, judgement = entry.facts, entry.judgement
    held = {found.reason: found for found in judgement.held}
    told = (
        _session_facts(facts.session)
        | evidence(facts)
        | {
            "detached_seen": iso(facts.detached_at),
            "archived_seen": iso(facts.archived_since),
            "busy_seen": iso(facts.busy_at),
            "idle_clocks": _idle_clocks(facts),
            "uncounted_seconds": int(facts.uncounted_seconds),
            "recognises_others": facts.recognises_others,
            "breaker_latched": facts.latched,
            "approved": facts.approved,
            "home": facts.home,
            "now": iso(facts.now),
        }
    )
    lines = tuple(_rule(reason, facts, rules, held, entry.released_when or {}) for reason in Reason)
    return Explanation(entry.as_json(), told, lines, _decided(judgement))


def explain_unmanaged(session: Session, why: str) -> Explanation:
    """Explain a session that is none of ours to judge."""
    entry = {
        "socket": session.key.socket,
        "session": printable(session.name),
        "session_id": session.key.session_id,
        "workspace_id": None,
        "verdict": "unmanaged",
        "reason": None,
        "protected_by": None,
        "outcome": Outcome.NONE.value,
        "evidence": None,
    }
    return Explanation(entry, _session_facts(session), (), f"unmanaged: {why}; it is never touched")


PROVEN_WHEN = "the registry has its workspace in a row again, or a host's hook names it"

"""What proves that this registry has known a workspace."""


def _proven(facts: Facts, rules: Thresholds, _breaker: BreakerState) -> str:
    others = "" if facts.recognises_others else ", and the registry has the workspace of another session"
    return f"{PROVEN_WHEN}; or it is idle for stranger_ttl ({seconds_text(rules.stranger_ttl)}){others}"


def _freed(_facts: Facts, _rules: Thresholds, breaker: BreakerState) -> str:
    return clears_when(breaker) or ""


def _confirmed(facts: Facts, rules: Thresholds, _breaker: BreakerState) -> str:
    # As for the verdict: a stranger never goes in the first sweep.
    needed = rules.orphan_confirmations if facts.proven else max(2, rules.orphan_confirmations)
    gap = seconds_text(rules.confirmation_gap)
    return f"{needed} full sweeps, at least {gap} apart, have found no row ({facts.confirmations} so far)"


def _in_time(_facts: Facts, _rules: Thresholds, _breaker: BreakerState) -> str:
    return "fewer than max_orphans_per_hour orphans were reaped within the last hour"


_BY: Mapping[Protection, Callable[[Facts, Thresholds, BreakerState], str]] = {
    Protection.UNPROVEN: _proven,
    Protection.BREAKER: _freed,
    Protection.UNCONFIRMED: _confirmed,
    Protection.BUDGET: _in_time,
}


def released_when(facts: Facts, rules: Thresholds, breaker: BreakerState, by: tuple[Protection, ...]) -> dict[str, str]:
    """For each protection that holds an absence back, when it does so no longer, in words without an age."""
    return {protection.value: _BY[protection](facts, rules, breaker) for protection in by if protection in _BY}
