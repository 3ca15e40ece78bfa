"""What would let a session go that an absence alone speaks against, in words that no passing second changes."""

from __future__ import annotations

from dataclasses import replace

from tests.tools.builders import DEFAULTS, NOW, facts, row, session_key
from workspace_reaper.model.state import BreakerState
from workspace_reaper.model.verdict import Reason
from workspace_reaper.policy.verdict import PROTECTIONS, Protection, judge
from workspace_reaper.sweep.explain import PROVEN_WHEN, released_when

LATCHED = BreakerState(latched=True, since=NOW, tripped=frozenset({session_key(1)}), clear_sweeps=1)
ABSENCE = (Protection.UNPROVEN, Protection.BREAKER, Protection.UNCONFIRMED, Protection.BUDGET)
"""What protects from an absence alone; all else protects by what the session is."""


def test_each_protection_from_an_absence_says_when_it_ends() -> None:
    told = released_when(facts(confirmations=1), DEFAULTS, LATCHED, PROTECTIONS[Reason.ORPHAN])
    assert told == {
        "unproven": f"{PROVEN_WHEN}; or it is idle for stranger_ttl (12h)"
        ", and the registry has the workspace of another session",
        "breaker": "none of the 1 sessions that tripped it is an orphan any more for 3 full sweeps in a row (1 so far), or an"
        " operator runs 'breaker reset' or 'sweep --approve'",
        "unconfirmed": "2 full sweeps, at least 30 s apart, have found no row (1 so far)",
        "budget": "fewer than max_orphans_per_hour orphans were reaped within the last hour",
    }
    assert set(told) == {protection.value for protection in ABSENCE}


def test_one_that_is_proven_needs_as_many_confirmations_as_are_set() -> None:
    once = replace(DEFAULTS, orphan_confirmations=1)
    assert "1 full sweeps" in released_when(facts(proven=True), once, LATCHED, (Protection.UNCONFIRMED,))["unconfirmed"]
    assert "2 full sweeps" in released_when(facts(), once, LATCHED, (Protection.UNCONFIRMED,))["unconfirmed"]
    others = released_when(facts(recognises_others=True), once, LATCHED, (Protection.UNPROVEN,))
    assert others["unproven"].endswith("(12h)")


def test_what_protects_by_itself_is_not_in_it() -> None:
    attached = facts(row(archived=True), session=replace(facts().session, attached=1))
    assert released_when(attached, DEFAULTS, LATCHED, judge(attached, DEFAULTS).protected_by) == {}
