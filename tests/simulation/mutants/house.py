"""Mutants that the tests once did not find: each broke a rule, and every test passed."""

from __future__ import annotations

from collections.abc import Mapping

from tests.simulation.mutants.mutant import Edit, Mutant

__all__ = ["HOUSE", "SURVIVORS"]

HOUSE: Mapping[str, str] = {
    "H01": "a session renamed to a living workspace's name before the recheck",
    "H02": "a recheck that condemns for another reason",
    "H03": "a veto for one member of a group",
    "H04": "a silent socket that leaves `everything` true",
    "H05": "`termination._admit` with `shown is None`",
    "H06": "`recovery._still_condemned` when the row is gone",
    "H07": "plugins notified before the outcome is written",
    "H08": "'a deletion outweighs' for two spellings in one batch",
    "H09": "`trust._is_private`'s primary group",
    "H10": "the second `_refuse_shared` in the lock",
    "H11": "`confirmation_gap=0` in the wiring",
}

_RECHECK = "sweep/recheck.py"
_NAMED = "        named_row = together(rows.found[one] for one in naming.others if one in rows.found)\n"
_ANY_REASON = "        if judgement.verdict is Verdict.REAP and judgement.reason is candidate.reason:\n"
_HOLD_GROUPS = """\
        self.report.vetoes.extend(judging.hold_vetoed(self._dependencies.plugins))
        judging.hold_groups(seen.listings)
"""
_SHARED = "        shared = held_by_their_group([listing], {one.key for one in self._candidates if not one.is_concluded})\n"
_GONE = "    gone = row is None or row.deleted\n"
_NOTIFY = "    notify_reaped(context.dependencies.plugins, [one.intent for one in known if one.intent], results)\n"
_RECORD = "    try:\n        context.ledger.record_results(results)\n"

SURVIVORS = (
    Mutant(
        "the name of a renamed session yields no workspace", ("H01",), (Edit(_RECHECK, _NAMED, "        named_row = None\n"),)
    ),
    Mutant(
        "another reason is as good",
        ("H02",),
        (Edit(_RECHECK, _ANY_REASON, "        if judgement.verdict is Verdict.REAP:\n"),),
    ),
    # The recheck looks at the groups once more.
    Mutant(
        "a veto for one of a group lets the others go",
        ("H03",),
        (
            Edit("sweep/sweep.py", _HOLD_GROUPS, _HOLD_GROUPS.splitlines(keepends=True)[0]),
            Edit(_RECHECK, _SHARED, "        shared = frozenset()\n"),
        ),
    ),
    Mutant(
        "a row that is gone selects whatever it was",
        ("H06",),
        (Edit("policy/verdict.py", _GONE, "    if row is None:\n        return True\n" + _GONE),),
    ),
    Mutant(
        "plugins hear of it before it is recorded",
        ("H07",),
        (
            Edit("sweep/conclude.py", _RECORD, _NOTIFY + _RECORD),
            Edit("sweep/conclude.py", "        return\n" + _NOTIFY, "        return\n"),
        ),
    ),
    Mutant(
        "confirmations need no gap",
        ("H11",),
        (Edit("operations/wiring.py", '{"idle_clocks": clocks}', '{"idle_clocks": clocks, "confirmation_gap": 0.0}'),),
    ),
)
