"""Family A: "gone" was the wrong verdict."""

from __future__ import annotations

from tests.simulation.mutants.mutant import Edit, Mutant

__all__ = ["GONE"]

_PROTECTIONS, _RECHECK, _OBSERVE, _RECOVERY = (
    "policy/protections.py",
    "sweep/recheck.py",
    "sweep/observe.py",
    "sweep/recovery.py",
)

_NO_LISTING = """\
        if isinstance(listing, Unknown):
            observation.unknown.append(listing)
            observation.everything = False
        else:
"""
_EMPTY_LISTING = """\
        if isinstance(listing, Unknown):
            listing = Listing(terminal.socket, (), answered=False)
        if True:
"""
_LISTED_SOCKETS = "    absent = [intent for intent in intents if intent.key not in alive and intent.key.socket in unreadable]\n"
_UNREADABLE_IDS = "if intent.key.session_id not in unreadable[intent.key.socket]]"
_NO_ROWS = """\
    if isinstance(rows, Unknown):
        return rows
    for one in rows.found.values():
"""
_EMPTY_ROWS = """\
    if isinstance(rows, Unknown):
        rows = LookupResult({}, ledger_state.registry.identity, 0, False, frozenset())
    for one in rows.found.values():
"""
_ROWS = "        rows = self._dependencies.registry.look_up(ids, sentinels, every_spelling=True, sessions=names)\n"
_ROWS_OF_BEFORE = _ROWS + (
    "        before = {one.entry.workspace_id: one.facts.row for one in batch}\n"
    "        rows = rows if isinstance(rows, Unknown) else replace(rows, found={k: v for k, v in before.items() if v})\n"
)
_NO_ANSWER = """\
    elif candidate.kill_result is KillResult.NONE:
        candidate.attempts += 1
"""
_ANSWERED = """\
    elif candidate.kill_result is KillResult.NONE:
        candidate.kill_result = KillResult.KILLED
"""
_UNCONFIRMED = "    return counted < needed\n"
_GAP = "    if previous.count >= enough or now - previous.last_at < gap:\n"
_KNOWN_IN_GENERATION = "    if generation in (state.named.get(workspace_id), state.seen.get(workspace_id)):\n"
_ARCHIVED_IS_NAMED = (
    "                elif event in DERIVED_EVENTS:\n                    ledger.record_removal(workspace_id, event, at)\n"
)
_NAMES_TOO = "                else:\n                    ledger.record_named(workspace_id, at)\n"

GONE = (
    Mutant("one look is enough for an orphan", ("I01",), (Edit(_PROTECTIONS, _UNCONFIRMED, "    return False\n"),)),
    Mutant(
        "looks right after one another confirm each other",
        ("I02",),
        (Edit("policy/confirmations.py", _GAP, "    if previous.count >= enough:\n"),),
    ),
    # The server that was known there and lives would speak against it.
    Mutant(
        "a socket that does not answer has no sessions",
        ("I03",),
        (
            Edit(_OBSERVE, _NO_LISTING, _EMPTY_LISTING),
            Edit(_OBSERVE, "    return not listing.answered and processes", "    return False and processes"),
        ),
    ),
    Mutant("a kill without an answer is believed", ("I05", "I11"), (Edit("sweep/kill.py", _NO_ANSWER, _ANSWERED),)),
    Mutant(
        "an intent whose session cannot be seen was carried out",
        ("I11",),
        (
            Edit(_RECOVERY, _LISTED_SOCKETS, "    absent = [intent for intent in intents if intent.key not in alive]\n"),
            Edit(_RECOVERY, _UNREADABLE_IDS, "if intent.key.session_id not in unreadable.get(intent.key.socket, ())]"),
        ),
    ),
    Mutant(
        "a look after a hook needs no confirmation",
        ("I06",),
        (Edit(_PROTECTIONS, _UNCONFIRMED, "    return counted < needed and case.facts.reported is None\n"),),
    ),
    Mutant(
        "what a hook says needs no row",
        ("I07",),
        (
            Edit(
                "policy/rules.py",
                "return self._applies_to(facts.row) and",
                "return (self.name == DELETED.name or self._applies_to(facts.row)) and",
            ),
        ),
    ),
    Mutant(
        "a socket that was unlinked has no server",
        ("I08",),
        (Edit(_OBSERVE, "    return not listing.answered and processes", "    return False and processes"),),
    ),
    Mutant("a registry that cannot be read is empty", ("I12", "I14"), (Edit("sweep/look_up.py", _NO_ROWS, _EMPTY_ROWS),)),
    Mutant("the recheck reads no rows", ("I12", "I36"), (Edit(_RECHECK, _ROWS, _ROWS_OF_BEFORE),)),
    Mutant(
        "a client that leaves is no activity",
        ("I13", "I39"),
        (Edit("policy/facts.py", "self.detached_at or 0.0, self.busy_at", "0.0, self.busy_at"),),
    ),
    Mutant(
        "a registry that was replaced proves as before",
        ("I15",),
        (Edit("policy/registry_identity.py", _KNOWN_IN_GENERATION, "    if True:\n"),),
    ),
    Mutant(
        "a report of another registry counts",
        ("I15",),
        (Edit("sweep/judge.py", " or (one in recorded and not another)", " or True"),),
    ),
    Mutant(
        "an archiving proves the registry",
        ("I15",),
        (Edit("operations/suspects.py", _ARCHIVED_IS_NAMED, _ARCHIVED_IS_NAMED + _NAMES_TOO),),
    ),
    Mutant(
        "a session that another reaper has marked is ours",
        ("I15",),
        (Edit("policy/session_names.py", "return None if session.owner is Owner.FOREIGN else self", "return self"),),
    ),
)
