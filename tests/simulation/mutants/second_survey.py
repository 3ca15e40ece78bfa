"""Family F: the second survey."""

from __future__ import annotations

from tests.simulation.mutants.mutant import Edit, Mutant

__all__ = ["SECOND_SURVEY"]

_PROTECTIONS, _RULES, _KILL, _WITNESS = "policy/protections.py", "policy/rules.py", "sweep/kill.py", "policy/witness.py"
_FALSE = "    holds=lambda case: False,\n"
_RENAMED = "    holds=lambda case: case.facts.renamed and not (case.outlives_rename and case.holds_for_named_row),\n"
_OWNER = '            owner=_comparable(session.owner_id, "@workspace_owner" in session.inherited),\n'
_WORKSPACE = '            workspace=_comparable(session.workspace_mark, "@reaper_workspace" in session.inherited),\n'
_UNKNOWN = "    holds=lambda case: any(row.unreadable for row in case.facts.rows),\n"
_STARVED = "    return is_starved({key: waited[key] for key in keys}, now, seconds)\n"
_CONT = "                self._processes.signal(key, signal.SIGCONT)\n"
_HIDDEN = "        not pane.dead and ((leader"
_CORRECTED = "        if not self._known:\n            return listing\n"
_WENT_BACK = (
    "    if old.change_counter is not None and new.change_counter is not None and new.change_counter < old.change_counter:\n"
)
_MANY = "        if len(strangers) >= MANY_STRANGERS and"

SECOND_SURVEY = (
    Mutant("a renamed session belongs to its name", ("I67",), (Edit("policy/name_protections.py", _RENAMED, _FALSE),)),
    # Another reaper sets its owner mark and its workspace together.
    Mutant(
        "the guard does not ask whose it is",
        ("I67",),
        (Edit(_RULES, _OWNER, "            owner=None,\n"), Edit(_RULES, _WORKSPACE, "            workspace=None,\n")),
    ),
    # A recheck that is late in the reaper itself is refused by the same guard, so taking out that limit alone shows nothing.
    Mutant("a verdict does not expire inside tmux", ("I68",), (Edit(_KILL, "guard_validity)", "guard_validity + 100_000)"),)),
    Mutant(
        "what cannot be seen rests",
        ("I75",),
        (Edit("policy/process_tree.py", _HIDDEN, _HIDDEN.replace("not pane.dead and", "False and not pane.dead and")),),
    ),
    Mutant("TERM without CONT", ("I78",), (Edit("sweep/terminate.py", _CONT, "                pass\n"),)),
    Mutant(
        "marks of a lost state are no alarm",
        ("I79",),
        (Edit("sweep/alarms.py", "    if not found.disowned:\n", "    if True:\n"),),
    ),
    Mutant(
        "an inherited option is no alarm",
        ("I80",),
        (Edit("sweep/alarms.py", "    if not found.inherited:\n", "    if True:\n"),),
    ),
    Mutant(
        "an inherited option is the session's own",
        ("I80",),
        (Edit("sweep/own_options.py", _CORRECTED, "        if True:\n            return listing\n"),),
    ),
    # The newest rows are missing, which is another sign.
    Mutant(
        "what an older copy lacks was deleted",
        ("I82",),
        (
            Edit("policy/registry_identity.py", _WENT_BACK, "    if False:\n"),
            Edit(_PROTECTIONS, "    holds=_is_doubtful,\n", _FALSE),
        ),
    ),
    Mutant("a moved directory is gone", ("I83",), (Edit(_WITNESS, "place.is_in(there.inode)", "False"),)),
    Mutant("a missing disk is a deletion", ("I83",), (Edit(_WITNESS, "sight.parent != there.parent", "False"),)),
    Mutant(
        "row and directory need no confirmation",
        ("I83",),
        (Edit("policy/facts.py", "in GONE_EVENTS else 2", "in GONE_EVENTS else 0"),),
    ),
    Mutant(
        "row and directory that went together prove nothing",
        ("I83",),
        (Edit(_RULES, "    condition=lambda facts, _limits: facts.is_witnessed or", "    condition=lambda facts, _limits:"),),
    ),
    Mutant("a stranger is not unproven", ("I84",), (Edit(_PROTECTIONS, "        not case.facts.proven\n", "        False\n"),)),
    Mutant("many strangers need no approval", ("I84",), (Edit("sweep/judge.py", _MANY, "        if False and"),)),
    Mutant("an unreadable row protects nothing", ("I87",), (Edit(_PROTECTIONS, _UNKNOWN, _FALSE),)),
    Mutant("waiting for a CPU is no work", ("I89",), (Edit("sweep/prepare.py", _STARVED, "    return False\n"),)),
)
