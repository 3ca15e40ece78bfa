"""Families D and E: it never kills, or it loses data, leaks or hides something."""

from __future__ import annotations

from tests.simulation.mutants.mutant import Edit, Mutant

__all__ = ["SILENT"]

_RULES, _ALARMS, _RECHECK, _RECORD = "policy/rules.py", "sweep/alarms.py", "sweep/recheck.py", "sweep/record.py"
_TERMINATE = "sweep/terminate.py"
_MANAGED_AS = "            elif self._matcher.manages(session) != candidate.entry.workspace_id:\n"
_AT_WORK = "    if candidate.is_hidden or is_busy(used(before), used(candidate.processes), seconds):\n"
_ODD_ROW = "        if one.unreadable:\n            where, what"
_ODD_TABLE = "        if one.unreadable:\n            return Unknown(Source.REGISTRY, one.unreadable)\n            where, what"
_KEPT_FINDINGS = """\
        seen=frozenset(one for one in known if before.seen.get(one) != registry.generation),
        confirmations=dict(builder.confirmations.changed),
"""
_OVERDUE = "    late = sorted(name for name, one in found.still(Finding.CONDEMNED) if found.now - one.first_at > limit)\n"
_BLIND = "    alarm = blind(found.state.last_complete, found.limits.tick, found.now, began=began)\n"
_UNREADABLE = "    if not found.unknown:\n        return None\n    detail ="
_DEATH = "    condition=lambda facts, limits: facts.died_at is not None and"
_ARCHIVED = "    idle_time=_archived_idle_time,\n"
_NEVER = "    condition=lambda _facts, _limits: False,\n"
_ORPHAN = "    needs_row=False,\n    because=_row,\n"
_DRY_RUN = """\
        if self._request.dry_run:
            for candidate in candidates:
"""

SILENT = (
    Mutant(
        "a workspace is compared with the name of its session",
        ("I41",),
        (Edit(_RECHECK, _MANAGED_AS, _MANAGED_AS.replace("entry.workspace_id", "entry.session")),),
    ),
    Mutant("whatever runs is at work", ("I42",), (Edit("sweep/prepare.py", _AT_WORK, "    if before:\n"),)),
    Mutant(
        "what sweeps have found is forgotten",
        ("I43",),
        (Edit(_RECORD, _KEPT_FINDINGS, _KEPT_FINDINGS.replace("dict(builder.confirmations.changed)", "{}")),),
    ),
    Mutant("one odd row holds all sessions", ("I44", "I87"), (Edit("sweep/look_up.py", _ODD_ROW, _ODD_TABLE),)),
    Mutant("dead panes are not seen", ("I46",), (Edit(_RULES, _DEATH, "    condition=lambda facts, limits: False and"),)),
    Mutant("what is selected in vain is no alarm", ("I50",), (Edit(_ALARMS, _OVERDUE, "    late = []\n"),)),
    Mutant(
        "a blind reaper says nothing",
        ("I50",),
        (
            Edit(_ALARMS, _BLIND, "    alarm = None and first and began\n"),
            Edit(_ALARMS, _UNREADABLE, "    if True:\n        return None\n    detail ="),
        ),
    ),
    Mutant("a doubt is no alarm", ("I81",), (Edit(_ALARMS, "    doubted = {name", "    doubted = set() and {name"),)),
    Mutant(
        "what left the process tree is left running",
        ("I51",),
        (Edit("sweep/conclude.py", "        if reaped:\n            sessions", "        if False:\n            sessions"),),
    ),
    Mutant(
        "a session that no registry has known is unmanaged",
        ("I54",),
        (Edit(_RULES, _ORPHAN, _ORPHAN + "    condition=lambda facts, _limits: facts.proven,\n"),),
    ),
    Mutant(
        "intents stay open after a crash", ("I54",), (Edit("sweep/sweep.py", "and ledger_state.open_intents:", "and False:"),)
    ),
    Mutant("archived is only a flag", ("I55",), (Edit(_RULES, _ARCHIVED, _ARCHIVED + _NEVER),)),
    Mutant(
        "a dry run ends sessions",
        ("I56",),
        (Edit("sweep/sweep.py", _DRY_RUN, _DRY_RUN.replace("self._request.dry_run", "False")),),
    ),
    Mutant(
        "a session without its panes is ended",
        ("I59",),
        (Edit(_RECHECK, "        if candidate.snapshot is None or", "        if True or"),),
    ),
    Mutant(
        "survivors get KILL at once",
        ("I59",),
        (Edit(_TERMINATE, 'leftovers, "TERM", self._grace)', 'leftovers, "TERM", 0.0)'),),
    ),
    Mutant(
        "the record has another reason",
        ("I64",),
        (Edit("sweep/prepare.py", "reason=candidate.reason.reported_as,", 'reason="idle",'),),
    ),
    Mutant(
        "the record has another workspace",
        ("I64",),
        (
            Edit(
                "sweep/prepare.py",
                "        workspace_id=candidate.entry.workspace_id,\n        reason=",
                "        workspace_id=candidate.entry.session,\n        reason=",
            ),
        ),
    ),
    Mutant(
        "the breaker does not guard small sets", ("I65",), (Edit("policy/breaker.py", "AT_LEAST = 3\n", "AT_LEAST = 50\n"),)
    ),
)
