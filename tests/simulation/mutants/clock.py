"""Family C: the idle clock was wrong."""

from __future__ import annotations

from tests.simulation.mutants.mutant import Edit, Mutant

__all__ = ["CLOCK"]

_PROTECTIONS, _RULES, _IDLE, _KILL = "policy/protections.py", "policy/rules.py", "policy/idle.py", "sweep/kill.py"
_FALSE = "    holds=lambda case: False,\n"
_STEPPED = "    holds=lambda case: case.facts.age_clock.stepped != 0 and case.rests_on_idleness,\n"
_SKEWED = "max(0.0, stepped) + max(0.0, asleep)"
_SELECTED_AGAIN = "        if judgement.verdict is Verdict.REAP and judgement.reason is candidate.reason:\n"
_ATTACHED = "    holds=lambda case: case.facts.session.is_attached,\n"
_ACTIVE = "    holds=lambda case: case.facts.idle_seconds < case.limits.activity_grace and case.rests_on_idleness,\n"
_AWAITS = "    return case.limits.undo_window > 0 and (deadline is None or case.facts.now < deadline)\n"
_CLIENTS = "            unattached=clients_protect,\n"
_INPUT = "            activity=session.activity if clients_protect else None,\n"
_OUTPUT = "            quiet_since=max(0, math.floor(facts.age_clock.before(facts.now, idle_time))) if by_output else None,\n"
_OBJECTED = "        return self.session.kept or self.session.is_attached or "

CLOCK = (
    Mutant("running protects nothing", ("I32", "I37"), (Edit(_PROTECTIONS, "row.running for row in", "False for row in"),)),
    Mutant(
        "computing is no activity", ("I32", "I33", "I38"), (Edit(_IDLE, "now if busy else before.busy_at", "before.busy_at"),)
    ),
    Mutant(
        "what computes at the kill is idle",
        ("I33", "I37"),
        (Edit("sweep/prepare.py", "is_busy(used(before), used(candidate.processes), seconds)", "False"),),
    ),
    # The step is left out of the ages, and no verdict rests on idleness in that sweep.
    Mutant(
        "a stepped clock is time that has passed",
        ("I34",),
        (Edit(_PROTECTIONS, _STEPPED, _FALSE), Edit(_IDLE, _SKEWED, "max(0.0, asleep)")),
    ),
    Mutant("the recheck accepts everything", ("I36",), (Edit("sweep/recheck.py", _SELECTED_AGAIN, "        if True:\n"),)),
    Mutant(
        "work after the first look is not seen",
        ("I36", "I90"),
        (Edit(_KILL, "<= self._context.settings.recheck_validity", "<= 1e9"),),
    ),
    Mutant("the guard does not ask for input", ("I36",), (Edit(_RULES, _INPUT, "            activity=None,\n"),)),
    Mutant("the guard does not ask for output", ("I36",), (Edit(_RULES, _OUTPUT, "            quiet_since=None,\n"),)),
    # Somebody who attaches has also typed.
    Mutant(
        "the guard does not ask for clients",
        ("I36",),
        (Edit(_RULES, _CLIENTS, "            unattached=False,\n"), Edit(_RULES, _INPUT, "            activity=None,\n")),
    ),
    Mutant(
        "a client protects nothing",
        ("I36", "I40"),
        (Edit(_PROTECTIONS, _ATTACHED, _FALSE), Edit(_RULES, _CLIENTS, "            unattached=False,\n")),
    ),
    Mutant("active protects nothing", ("I36", "I40"), (Edit(_PROTECTIONS, _ACTIVE, _FALSE),)),
    Mutant(
        "a pane that is dead is dead for long",
        ("I40",),
        (Edit(_RULES, "facts.since(facts.died_at) > limits.dead_ttl", "True"),),
    ),
    Mutant(
        "the guard does not ask for dead panes",
        ("I40",),
        (Edit(_RULES, "            all_panes_dead=self.needs_dead_panes,\n", "            all_panes_dead=False,\n"),),
    ),
    Mutant("pinned protects nothing", ("I61",), (Edit(_PROTECTIONS, "row.pinned for row in", "False for row in"),)),
    Mutant("a veto is not heard", ("I60",), (Edit(_PROTECTIONS, "case.facts.veto is not None", "False"),)),
    Mutant("an attach does not cancel", ("I60", "I93"), (Edit("policy/facts.py", _OBJECTED, "        return False and "),)),
    Mutant("an announcement waits for nothing", ("I60",), (Edit(_PROTECTIONS, _AWAITS, "    return False\n"),)),
)
