"""How a session is explained: each rule in sentences, and what ends a protection that rests on an absent row."""

from __future__ import annotations

import json
from dataclasses import replace

from tests.tools.builders import DEFAULTS, HOUR, NOW, facts, row, session, session_key, unreadable
from workspace_reaper.model.state import BreakerState
from workspace_reaper.model.unknown import Source, Unknown
from workspace_reaper.model.verdict import Verdict
from workspace_reaper.policy import protections, rules
from workspace_reaper.policy.facts import Facts, Thresholds
from workspace_reaper.policy.protection import Protection
from workspace_reaper.policy.protections import PROVEN_WHEN
from workspace_reaper.policy.rules import RULES
from workspace_reaper.policy.verdict import Judgement, judge
from workspace_reaper.policy.witness import Presence, Witness
from workspace_reaper.sweep.explain import Explanation, explain, explain_unmanaged, released_when
from workspace_reaper.sweep.report import SessionReport

LATCHED = BreakerState(latched=True, since=NOW, tripped=frozenset({session_key(1)}), clear_sweeps=1)
GONE = Witness(Presence.GONE, "its directory /w went together with its row")
ABSENCE = (
    protections.UNPROVEN,
    protections.DOUBTFUL,
    protections.BREAKER,
    protections.UNCONFIRMED,
    protections.BUDGET,
)
"""What protects from an absence alone; all else protects by what the session is."""


def released(of: Facts, thresholds: Thresholds, *by: Protection) -> dict[str, str]:
    return released_when(Judgement(Verdict.HOLD, rules.ORPHAN, by), of, thresholds, LATCHED)


def test_each_protection_from_an_absence_says_when_it_ends() -> None:
    told = released(facts(confirmations=1), DEFAULTS, *rules.ORPHAN.protections)
    assert told == {
        "unproven": f"{PROVEN_WHEN}; or it has been idle for stranger_ttl (12h) and the registry has a row for another session",
        "doubtful": "the registry has a row for the workspace again, or its directory is gone too; or it has been idle for"
        " stranger_ttl (12h)",
        "breaker": "each of the 1 sessions that tripped it has ended or has a row again, for 3 full sweeps in a row (1 so far),"
        " or an operator runs 'breaker reset' or 'sweep --approve'",
        "unconfirmed": "2 full sweeps, at least 30 s apart, have found no row (1 so far)",
        "budget": "fewer than max_orphans_per_hour orphans have been reaped within the last hour",
    }
    assert set(told) == {protection.name for protection in ABSENCE}


def test_one_that_is_proven_needs_as_many_confirmations_as_are_set() -> None:
    once = replace(DEFAULTS, orphan_confirmations=1)
    assert "1 full sweep has" in released(facts(proven=True), once, protections.UNCONFIRMED)["unconfirmed"]
    assert "2 full sweeps" in released(facts(), once, protections.UNCONFIRMED)["unconfirmed"]
    others = released(facts(knows_other_sessions=True), once, protections.UNPROVEN)
    assert others["unproven"].endswith("(12h)")


def test_what_protects_by_itself_is_not_in_it() -> None:
    attached = facts(row(archived=True), session=replace(facts().session, attached=1))
    assert released_when(judge(attached, DEFAULTS), attached, DEFAULTS, LATCHED) == {}
    kept = facts(row())
    assert released_when(judge(kept, DEFAULTS), kept, DEFAULTS, LATCHED) == {}


def sentences(of: Facts, name: str, thresholds: Thresholds = DEFAULTS) -> str:
    judgement = judge(of, thresholds)
    told = released_when(judgement, of, thresholds, LATCHED)
    line = SessionReport("/s", "n", "$1", "w1", judgement.verdict, facts=of, judgement=judgement, released_when=told)
    [rule] = [one for one in explain(line, thresholds).rules if one.reason == name]
    return rule.because


def test_an_odd_row_is_held_also_where_no_rule_holds() -> None:
    odd = facts(row(unreadable="archived is 'maybe'"))
    line = SessionReport("/s", "n", "$1", "w1", Verdict.HOLD, facts=odd, judgement=judge(odd, DEFAULTS))
    assert explain(line, DEFAULTS).decided == "hold: no reason is certain, held by unknown"


def test_every_rule_is_explained_in_whole_sentences() -> None:
    for of in (facts(), facts(row()), facts(row(deleted=True)), facts(session=session(all_panes_dead=True))):
        for rule in RULES:
            told = sentences(of, rule.name)
            assert told[0].isupper()
            assert told.endswith(".")


def test_a_protected_orphan_is_explained_with_what_ends_each_protection() -> None:
    assert sentences(facts(session=session(idle=HOUR), confirmations=1, generation=1), "orphan") == (
        "The registry has no row for the workspace."
        " Held by unproven: the registry is not known to have ever had a row for the workspace (this is registry"
        " generation 1); it has been idle for 1h, and the registry has no row for any other session."
        f" Released when {PROVEN_WHEN}; or it has been idle for stranger_ttl (12h) and the registry has a row for another"
        " session."
        " Held by unconfirmed: full sweeps that have found no row: 1 of 2."
        " Released when 2 full sweeps, at least 30 s apart, have found no row (1 so far)."
    )


def test_what_would_release_it_is_said_of_the_rule_that_decides_alone() -> None:
    """The same protection ends at another moment for another rule."""
    of = facts(witness=GONE, session=session(idle=HOUR), proven=True)
    assert "Held by unconfirmed" in sentences(of, "removed")
    assert "Released when 2 full sweeps, at least 30 s apart, have found row and directory gone" in sentences(of, "removed")
    assert "Held by unconfirmed" in sentences(of, "orphan")
    assert "Released when" not in sentences(of, "orphan")


def test_what_another_registry_knew_is_explained_so() -> None:
    told = sentences(facts(known_in_generation=1, generation=2, knows_other_sessions=True), "orphan")
    assert "a different registry had the row of the workspace (generation 1; this is registry generation 2)" in told


def explained(of: Facts) -> Explanation:
    judgement = judge(of, DEFAULTS)
    return explain(SessionReport("/s", "n", "$1", "w1", judgement.verdict, facts=of, judgement=judgement), DEFAULTS)


def test_the_object_that_programs_read_has_the_facts_and_each_rule() -> None:
    shown = explained(facts(row(worktree_deleted=True))).as_dict()
    assert json.loads(json.dumps(shown)) == shown
    assert (shown["session"], shown["verdict"], shown["decided"]) == ("n", "reap", "reap: worktree-deleted")
    assert (shown["facts"]["owner"], shown["facts"]["now"]) == ("none", "2026-09-21T14:13:20Z")
    assert [rule["reason"] for rule in shown["rules"] if rule["holds"]] == ["worktree-deleted"]
    assert {tuple(rule) for rule in shown["rules"]} == {("reason", "holds", "held_by", "because")}
    assert shown["unknown"] == []


def test_what_could_not_be_judged_says_why_and_has_an_exit_code_of_its_own() -> None:
    line = SessionReport("/s", "ws_w1", "$1", "w1", Verdict.HOLD, protected_by="unknown")
    unread = explain(line, DEFAULTS, None, [unreadable("ws_w1\x1b"), Unknown(Source.REGISTRY, "it is locked")])
    assert unread.decided == "hold: it cannot be judged: the activity of ws_w1\\x1b is empty; it is locked"
    assert (unread.facts, unread.rules, unread.exit_code) == ({}, (), 3)
    assert [one["source"] for one in unread.as_dict()["unknown"]] == ["session", "registry"]
    listed = explain(line, DEFAULTS, session(attached=2))
    assert (listed.facts["attached_clients"], listed.decided) == (2, "hold: it cannot be judged: something could not be read")
    assert (listed.exit_code, explained(facts(row())).exit_code) == (0, 0)


def test_an_unmanaged_session_is_explained_by_what_tmux_shows_of_it() -> None:
    shown = explain_unmanaged(session(7, name="notes\x1b", attached=1), "its name matches no pattern").as_dict()
    assert shown["decided"] == "unmanaged: its name matches no pattern; it is never touched"
    names = ("session", "session_id", "workspace_id", "verdict", "reason", "protected_by", "outcome", "evidence")
    assert [shown[name] for name in names] == ["notes\\x1b", "$7", None, "unmanaged", None, None, "none", None]
    assert (shown["facts"]["attached_clients"], shown["rules"], shown["unknown"]) == (1, [], [])
    line = SessionReport("/s", "n", "$1", "w1", Verdict.HOLD).as_json()
    assert shown.keys() - {"facts", "rules", "decided", "unknown"} <= line.keys(), "as a line of a report, or a part of it"
