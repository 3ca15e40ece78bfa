"""Takes one safety rule after the other out of the reaper, and shows which of them the histories find.

``python -m tests.simulation.mutants`` runs all, or those that are named. Each is a replacement in one file of the product,
which must apply. A copy of the product gets it; the product itself is not touched.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import workspace_reaper

__all__ = ["MUTANTS", "Mutant", "mutated"]

_PRODUCT = Path(workspace_reaper.__file__).parent
_HISTORIES = 20_000


@dataclass(frozen=True, slots=True)
class Mutant:
    """A rule that is taken out: the text ``old`` of a module of the product becomes ``new``. ``incident`` is of INCIDENTS."""

    name: str
    incident: str
    module: str
    old: str
    new: str


# Parts of the product that are taken out.
_PROVEN = "    if generation in (state.named.get(workspace_id), state.seen.get(workspace_id)):\n"
_ROWS = "        rows = self._dependencies.registry.look_up(ids, sentinels, every_spelling=True)\n"
_ROWS_OF_BEFORE = _ROWS + (
    "        before = {one.entry.workspace_id: one.facts.row for one in batch}\n"
    "        rows = rows if isinstance(rows, Unknown) else replace(rows, found={k: v for k, v in before.items() if v})\n"
)
_SELECTED_AGAIN = "        if judgement.verdict is Verdict.REAP and judgement.reason is candidate.reason:\n"
_UNKNOWN = "    holds=lambda case: any(row.unreadable for row in case.facts.rows),\n"
_DERIVED = "                elif event in DERIVED_EVENTS:\n                    ledger.record_removal(workspace_id, event, at)\n"
_NAMED = "                else:\n                    ledger.record_named(workspace_id, at)\n"
_RENAMED = "    holds=lambda case: case.facts.renamed and not (case.outlives_rename and case.holds_for_named_row),\n"
_GROUPS = "            if listing.unreadable or not members.issubset(selected):\n"
_GUARD_OWNER = '            owner=_comparable(session.owner_id, "@workspace_owner" in session.inherited),\n'
_GUARD_INPUT = "            activity=session.activity if clients_protect else None,\n"
_GUARD_DEAD = "            all_panes_dead=self.needs_dead_panes,\n"
_GUARD_OUTPUT = (
    "            quiet_since=max(0, math.floor(facts.age_clock.before(facts.now, idle_time))) if by_output else None,\n"
)
_LEFT_ALONE = "    if not still_selected(reason, row):\n"
_DEPENDS = "        (suspect.depends is not None, str(suspect.depends)),\n"
_STEPPED = "    holds=lambda case: case.facts.age_clock.stepped != 0 and case.rests_on_idleness,\n"
_STARVED = "    return is_starved({key: waited[key] for key in keys}, now, seconds)\n"
_ATTACHED = "    holds=lambda case: case.facts.session.is_attached,\n"
_KEPT = "    holds=lambda case: case.facts.session.kept,\n"
_AWAITS = "    return case.limits.undo_window > 0 and (deadline is None or case.facts.now < deadline)\n"
_ACTIVE = "    holds=lambda case: case.facts.idle_seconds < case.limits.activity_grace and case.rests_on_idleness,\n"
_OVERDUE = "    late = sorted(name for name, one in found.still(Finding.CONDEMNED) if found.now - one.first_at > limit)\n"
_LATE = "        if self._elapsed() - since > self._context.settings.recheck_validity:\n"

MUTANTS = (
    # A. "Gone" was the wrong verdict
    Mutant(
        "one look is enough for an orphan",
        "I01",
        "policy/protections.py",
        "    return counted < needed\n",
        "    return False\n",
    ),
    Mutant("a registry that was replaced proves as before", "I15", "policy/registry_identity.py", _PROVEN, "    if True:\n"),
    Mutant("the recheck reads no rows", "I12", "sweep/recheck.py", _ROWS, _ROWS_OF_BEFORE),
    Mutant("the recheck accepts everything", "I36", "sweep/recheck.py", _SELECTED_AGAIN, "        if True:\n"),
    Mutant(
        "a changed registry does not stop a sweep", "I04", "sweep/recheck.py", "        if changed:\n", "        if False:\n"
    ),
    Mutant("an unreadable row protects nothing", "I87", "policy/protections.py", _UNKNOWN, "    holds=lambda case: False,\n"),
    Mutant("a report of another registry counts", "I15", "sweep/judge.py", " and event in _DELETIONS", " and False"),
    Mutant("an archiving proves the registry", "I15", "operations/suspects.py", _DERIVED, _DERIVED + _NAMED),
    Mutant("a stranger is not unproven", "I84", "policy/protections.py", "        not case.facts.proven\n", "        False\n"),
    # B. The wrong target
    Mutant(
        "a renamed session belongs to its name", "I67", "policy/protections.py", _RENAMED, "    holds=lambda case: False,\n"
    ),
    Mutant(
        "the guard takes a group for one session", "I53", "policy/rules.py", "ungrouped=not session.grouped", "ungrouped=False"
    ),
    Mutant("a group is not reaped as a whole", "I53", "policy/verdict.py", _GROUPS, "            if False:\n"),
    Mutant("the guard does not ask whose it is", "I67", "policy/rules.py", _GUARD_OWNER, "            owner=None,\n"),
    Mutant("an interruption ends what others need", "I25", "policy/verdict.py", _LEFT_ALONE, "    if False:\n"),
    Mutant(
        "what others depend on is ended", "I74", "policy/survivors.py", _DEPENDS, "        (False, str(suspect.depends)),\n"
    ),
    # C. The idle clock
    Mutant("a stepped clock voids nothing", "I34", "policy/protections.py", _STEPPED, "    holds=lambda case: False,\n"),
    Mutant("computing is no activity", "I33", "policy/idle.py", "now if busy else before.busy_at", "before.busy_at"),
    Mutant("waiting for a CPU is no work", "I89", "sweep/prepare.py", _STARVED, "    return False\n"),
    Mutant("work after the first look is not seen", "I36", "sweep/kill.py", "<= PROCESSES_VALIDITY", "<= 1e9"),
    Mutant("the guard does not ask for input", "I36", "policy/rules.py", _GUARD_INPUT, "            activity=None,\n"),
    Mutant("the guard does not ask for output", "I36", "policy/rules.py", _GUARD_OUTPUT, "            quiet_since=None,\n"),
    Mutant("a client protects nothing", "I13", "policy/protections.py", _ATTACHED, "    holds=lambda case: False,\n"),
    Mutant("the guard does not ask for clients", "I13", "policy/rules.py", "unattached=clients_protect", "unattached=False"),
    Mutant(
        "the guard does not ask for dead panes", "I46", "policy/rules.py", _GUARD_DEAD, "            all_panes_dead=False,\n"
    ),
    Mutant("keep protects nothing", "I61", "policy/protections.py", _KEPT, "    holds=lambda case: False,\n"),
    Mutant("running protects nothing", "I32", "policy/protections.py", "row.running for row in", "False for row in"),
    Mutant("pinned protects nothing", "I61", "policy/protections.py", "row.pinned for row in", "False for row in"),
    Mutant("a veto is not heard", "I60", "policy/protections.py", "case.facts.veto is not None", "False"),
    Mutant("an attach does not cancel", "I60", "policy/protections.py", " or case.facts.is_objected_to", ""),
    Mutant("an announcement waits for nothing", "I60", "policy/protections.py", _AWAITS, "    return False\n"),
    Mutant("active protects nothing", "I40", "policy/protections.py", _ACTIVE, "    holds=lambda case: False,\n"),
    # D. and E. It never kills, and lost data
    Mutant(
        "a session without its panes is ended",
        "I59",
        "sweep/recheck.py",
        "        if candidate.snapshot is None or",
        "        if True or",
    ),
    Mutant("a doubt is no alarm", "I81", "sweep/alarms.py", "    doubted = {name", "    doubted = set() and {name"),
    Mutant("what is selected in vain is no alarm", "I50", "sweep/alarms.py", _OVERDUE, "    late = []\n"),
    Mutant("intents stay open after a crash", "I31", "sweep/sweep.py", "and ledger_state.open_intents:", "and False:"),
    Mutant(
        "survivors get KILL at once", "I59", "sweep/terminate.py", 'leftovers, "TERM", self._grace)', 'leftovers, "TERM", 0.0)'
    ),
    # F. The second survey
    Mutant("a verdict does not expire inside tmux", "I68", "sweep/kill.py", "guard_validity)", "guard_validity + 100_000)"),
    Mutant("a late recheck sends its kills", "I68", "sweep/kill.py", _LATE, "        if False:\n"),
    Mutant("a moved directory is gone", "I83", "policy/witness.py", "place.is_in(there.inode)", "False"),
    Mutant("a missing disk is a deletion", "I83", "policy/witness.py", "sight.parent != there.parent", "False"),
    Mutant(
        "row and directory need no confirmation", "I83", "policy/facts.py", "in GONE_EVENTS else 2", "in GONE_EVENTS else 0"
    ),
    Mutant("a signal needs no start time", "I25", "sweep/terminate.py", "process.key == key and", ""),
)


def mutated(mutant: Mutant, directory: Path) -> Path:
    """Copy the product into the directory, without the rule. Raise ``ValueError`` if the mutant does not apply."""
    shutil.copytree(_PRODUCT, directory / _PRODUCT.name, ignore=shutil.ignore_patterns("__pycache__"))
    module = directory / _PRODUCT.name / mutant.module
    text = module.read_text(encoding="utf-8")
    if text.count(mutant.old) != 1:
        raise ValueError(
            f"{mutant.name!r} does not apply: {mutant.module} has its text {text.count(mutant.old)} times, not once"
        )
    module.write_text(text.replace(mutant.old, mutant.new), encoding="utf-8")
    return directory


def find(mutant: Mutant, histories: int) -> str | None:
    """Run histories without the rule until one breaks a rule. Return the story of that one, or None if none is found."""
    with tempfile.TemporaryDirectory() as directory:
        mutated(mutant, Path(directory))
        # The tests, then the copy, which hides an installed product.
        path = os.pathsep.join((directory, str(Path.cwd())))
        done = subprocess.run(
            [sys.executable, "-m", "tests.simulation", f"0-{histories - 1}", "--first"],
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
    story = re.search(r"^Seed \d+:\nbreaks.*", done.stdout, re.MULTILINE | re.DOTALL)
    if done.returncode and story is None:
        raise RuntimeError(f"the histories could not be run: {done.stderr[-2000:]}{done.stdout[-500:]}")
    return story[0] if story else None


def main(arguments: list[str]) -> int:
    """Run the mutants that are named, or all. Return 1 if one is not found."""
    chosen = [one for one in MUTANTS if not arguments or one.name in arguments or one.incident in arguments]
    missed = 0
    for one in chosen:
        began = time.monotonic()
        story = find(one, _HISTORIES)
        missed += story is None
        found = "found" if story else f"NOT found within {_HISTORIES:,} histories"
        print(f"{one.incident} {one.name}: {found} ({time.monotonic() - began:.0f} s)", flush=True)
        if story and arguments:
            print(story)
    print(f"{len(chosen) - missed} of {len(chosen)} found")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
