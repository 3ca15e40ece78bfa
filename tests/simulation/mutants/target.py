"""Family B: the wrong target."""

from __future__ import annotations

from tests.simulation.mutants.mutant import GUARD, Edit, Mutant

__all__ = ["TARGET"]

_SURVIVORS, _TERMINATE, _VERDICT = "policy/survivors.py", "sweep/terminate.py", "policy/verdict.py"
_HOME = 'HOME = Protection("home", "the reaper itself runs in it", holds=lambda case: case.facts.home)\n'
_TMUX = '    return process.name == "tmux" or process.name.startswith("tmux:")\n'
_GROUPS = "            if listing.unreadable or not members.issubset(selected):\n"
_DEPENDS = "        (suspect.depends is not None, str(suspect.depends)),\n"
_RUNS_IN_IT = """\
        if any(one.key in self.alive for one in below):
            return "a process of a living session runs in it"
"""

TARGET = (
    Mutant(
        "a part of a name is enough",
        ("I17", "I20", "I21"),
        (Edit("policy/session_names.py", "match = pattern.fullmatch(name)", "match = pattern.match(name)"),),
    ),
    Mutant(
        "no session passes the guard",
        ("I18",),
        (Edit("policy/rules.py", "            key=session.key,\n", "            key=session.key._replace(created=0),\n"),),
    ),
    Mutant(
        "a tmux in a session ends with it",
        ("I22", "I24", "I28"),
        (Edit("policy/process_tree.py", _TMUX, "    return False\n"),),
    ),
    # What was recorded is compared when it is looked for, and again by the port.
    Mutant(
        "a signal needs no start time",
        ("I25", "I31"),
        (
            Edit(_TERMINATE, "if process is not None and process.key == key and not", "if process is not None and not"),
            Edit(_TERMINATE, "        key = recorded.key\n", "        key = process.key\n"),
        ),
    ),
    Mutant(
        "the session in which the reaper runs is reaped",
        ("I30",),
        (Edit("policy/protections.py", _HOME, _HOME.replace("case.facts.home", "False")),),
    ),
    Mutant("a group is not reaped as a whole", ("I53",), (Edit(_VERDICT, _GROUPS, "            if False:\n"),)),
    Mutant(
        "the guard takes a group for one session",
        ("I53", "I91"),
        (Edit("policy/rules.py", "ungrouped=not session.grouped", "ungrouped=False"),),
    ),
    Mutant(
        "an interruption ends what others need",
        ("I31",),
        (Edit(_VERDICT, "    if not still_selected(reason, row):\n", "    if False:\n"),),
    ),
    Mutant(
        "what others depend on is ended", ("I74",), (Edit(_SURVIVORS, _DEPENDS, "        (False, str(suspect.depends)),\n"),)
    ),
    Mutant("what runs below a process does not count", ("I73",), (Edit("sweep/leftovers.py", _RUNS_IN_IT, ""),)),
    # Asked in the verdict and in the recheck, and once more inside tmux.
    Mutant(
        "keep protects nothing",
        ("I61",),
        (
            Edit(
                "policy/protections.py", "    holds=lambda case: case.facts.session.kept,\n", "    holds=lambda case: False,\n"
            ),
            Edit(GUARD, 'self._tmux.option(one, "@reaper_keep") == ""\n', "True\n"),
        ),
    ),
)
