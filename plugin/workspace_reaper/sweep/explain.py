"""Explain why a session is kept, held or reaped: its facts, each rule, and the rule that decided. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workspace_reaper.model.reap import Outcome
from workspace_reaper.model.session import Session
from workspace_reaper.model.state import BreakerState
from workspace_reaper.model.unknown import Unknown
from workspace_reaper.model.verdict import Verdict
from workspace_reaper.policy.facts import Facts, Thresholds
from workspace_reaper.policy.rules import RULES, Rule
from workspace_reaper.policy.verdict import Held, Judgement
from workspace_reaper.sweep.report import SessionReport, SweepReport, evidence, iso, printable


@dataclass(frozen=True, slots=True)
class RuleExplanation:
    """One rule: whether it holds, what protects the session from it, and both in sentences."""

    reason: str
    holds: bool
    held_by: tuple[str, ...]
    because: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """The explanation of one session. ``entry`` is its entry in a report; an unmanaged session has only a part of one.

    ``unknown`` is what could not be read, if that is why the session cannot be judged.
    """

    entry: Mapping[str, Any]
    facts: Mapping[str, Any]
    rules: tuple[RuleExplanation, ...]
    decided: str
    unknown: tuple[Unknown, ...] = ()

    @property
    def exit_code(self) -> int:
        """Return 0, or 3 if the session cannot be judged."""
        return 3 if self.unknown else 0

    def as_dict(self) -> dict[str, Any]:
        """Return the object that ``explain --json`` prints."""
        rules = [
            {"reason": rule.reason, "holds": rule.holds, "held_by": list(rule.held_by), "because": rule.because}
            for rule in self.rules
        ]
        unknown = SweepReport("", 0.0, unknown=list(self.unknown)).head()["unknown"]
        return {**self.entry, "facts": dict(self.facts), "rules": rules, "decided": self.decided, "unknown": unknown}


def _explain_rule(
    rule: Rule, facts: Facts, thresholds: Thresholds, held: Mapping[Rule, Held], released_when: Mapping[str, str]
) -> RuleExplanation:
    """Explain one rule. ``released_when`` is empty for all but the one that decides: the conditions are those of that rule."""
    protected_by = held[rule].by if rule in held else ()
    sentences = [rule.explain(facts, thresholds)]
    for protection in protected_by:
        sentences.append(f"held by {protection.name}: {protection.because(rule.case(facts, thresholds))}")
        if protection.name in released_when:
            sentences.append(f"released when {released_when[protection.name]}")
    because = " ".join(f"{text[0].upper()}{text[1:]}." for text in sentences)
    return RuleExplanation(rule.name, rule in held, tuple(one.name for one in protected_by), because)


def _decided(judgement: Judgement) -> str:
    by = ", ".join(one.name for one in judgement.protected_by)
    if judgement.reason is None:
        return f"hold: no reason is certain, held by {by}" if by else "keep: no reason holds"
    if judgement.verdict is Verdict.REAP:
        return f"reap: {judgement.reason.name}"
    return f"hold: {judgement.reason.name}, held by {by}"


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
    """Return each idle clock: when it last moved, its age, whether it is switched on, and whether it decides."""
    return [
        {
            "clock": clock.value,
            "at": iso(moment),
            "age_seconds": None if moment is None else int(facts.since(moment)),
            "on": clock in facts.age_clock.counted,
            "decides": clock is facts.idle_by,
        }
        for clock, moment in facts.idle_clocks.items()
    ]


def explain(
    entry: SessionReport, rules: Thresholds, session: Session | None = None, unknown: Sequence[Unknown] = ()
) -> Explanation:
    """Explain a managed session from its entry in a (dry) sweep.

    If it could not be judged, ``session`` is what tmux reported about it, if anything, and ``unknown`` what could not be read.
    """
    if entry.facts is None or entry.judgement is None:
        why = "; ".join(printable(one.reason) for one in unknown) or "something could not be read"
        shown = _session_facts(session) if session else {}
        return Explanation(entry.as_json(), shown, (), f"hold: it cannot be judged: {why}", tuple(unknown))
    facts, judgement = entry.facts, entry.judgement
    held = {found.reason: found for found in judgement.held}
    shown = (
        _session_facts(facts.session)
        | evidence(facts)
        | {
            "detached_seen": iso(facts.detached_at),
            "archived_seen": iso(facts.archived_since),
            "busy_seen": iso(facts.busy_at),
            "idle_clocks": _idle_clocks(facts),
            "uncounted_seconds": int(facts.uncounted_seconds),
            "knows_other_sessions": facts.knows_other_sessions,
            "breaker_latched": facts.latched,
            "approved": facts.approved,
            "home": facts.home,
            "now": iso(facts.now),
        }
    )
    released = {judgement.reason: entry.released_when or {}}
    lines = tuple(_explain_rule(rule, facts, rules, held, released.get(rule, {})) for rule in RULES)
    return Explanation(entry.as_json(), shown, lines, _decided(judgement))


def explain_unmanaged(session: Session, why: str) -> Explanation:
    """Explain an unmanaged session."""
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


def released_when(judgement: Judgement, facts: Facts, thresholds: Thresholds, breaker: BreakerState) -> dict[str, str]:
    """Return when each protection that rests on an absent row ends, by name, in words that contain no age."""
    if judgement.reason is None:
        return {}
    case = judgement.reason.case(facts, thresholds)
    return {one.name: one.released_when(case, breaker) for one in judgement.protected_by if one.released_when}
