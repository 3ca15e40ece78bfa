"""Makes a failing plan small: takes steps and interruptions out of it while the same rule is still broken."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tests.simulation.history import run
from tests.simulation.plan import Plan

__all__ = ["shrink"]


def shrink(plan: Plan) -> Plan:
    """Return the smallest plan that is found and breaks one of the rules that this one breaks."""
    broken = _broken(plan)
    is_smaller = True
    while is_smaller:
        is_smaller = False
        for smaller in _smaller(plan):
            if _broken(smaller) & broken:
                plan, is_smaller = smaller, True
                break
    return plan


def _broken(plan: Plan) -> frozenset[str]:
    return frozenset(violation.rule for violation in run(plan).violations)


def _smaller(plan: Plan) -> Iterator[Plan]:
    """Yield plans with less in them: large parts first, then single steps, interruptions and workspaces."""
    steps = plan.steps
    size = len(steps) // 2
    while size:
        for at in range(0, len(steps), size):
            yield replace(plan, steps=steps[:at] + steps[at + size :])
        size //= 2
    for at, step in enumerate(steps):
        for number in range(len(step.during)):
            kept = step.during[:number] + step.during[number + 1 :]
            yield replace(plan, steps=(*steps[:at], replace(step, during=kept), *steps[at + 1 :]))
    if plan.workspaces > 2:
        yield replace(plan, workspaces=plan.workspaces - 1)
    if plan.foreign or plan.rows_alone:
        yield replace(plan, foreign=0, rows_alone=0)
        yield replace(plan, rows_alone=0) if plan.rows_alone else replace(plan, foreign=plan.foreign - 1)
