"""What would let a session go that is held back because nothing but an absence speaks against it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from workspace_reaper.model.state import BreakerState
from workspace_reaper.policy.breaker import clears_when
from workspace_reaper.policy.facts import Facts, Rules
from workspace_reaper.policy.verdict import Protection
from workspace_reaper.util.durations import seconds_text

__all__ = ["PROVEN_WHEN", "released_when"]

PROVEN_WHEN = "the registry has its workspace in a row again, or a host's hook names it"
"""What proves that this registry has known a workspace."""


def _proven(facts: Facts, rules: Rules, _breaker: BreakerState) -> str:
    others = "" if facts.recognises_others else ", and the registry has the workspace of another session"
    return f"{PROVEN_WHEN}; or it is idle for stranger_ttl ({seconds_text(rules.stranger_ttl)}){others}"


def _freed(_facts: Facts, _rules: Rules, breaker: BreakerState) -> str:
    return clears_when(breaker) or ""


def _confirmed(facts: Facts, rules: Rules, _breaker: BreakerState) -> str:
    # As for the verdict: a stranger never goes in the first sweep.
    needed = rules.orphan_confirmations if facts.proven else max(2, rules.orphan_confirmations)
    gap = seconds_text(rules.confirmation_gap)
    return f"{needed} full sweeps, at least {gap} apart, have found no row ({facts.confirmations} so far)"


def _in_time(_facts: Facts, _rules: Rules, _breaker: BreakerState) -> str:
    return "fewer than max_orphans_per_hour orphans were reaped within the last hour"


_BY: Mapping[Protection, Callable[[Facts, Rules, BreakerState], str]] = {
    Protection.UNPROVEN: _proven,
    Protection.BREAKER: _freed,
    Protection.UNCONFIRMED: _confirmed,
    Protection.BUDGET: _in_time,
}


def released_when(facts: Facts, rules: Rules, breaker: BreakerState, by: tuple[Protection, ...]) -> dict[str, str]:
    """For each protection that holds an absence back, when it does so no longer, in words without an age."""
    return {protection.value: _BY[protection](facts, rules, breaker) for protection in by if protection in _BY}
