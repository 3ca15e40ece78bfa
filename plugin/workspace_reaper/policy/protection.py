"""What a protection is: why a session lives although a rule applies to it. ``protections`` has the protections themselves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from workspace_reaper.model.state import BreakerState
from workspace_reaper.policy.facts import Facts, Thresholds


def always(_case: Case) -> bool:
    """Return True: it holds for every case."""
    return True


def never(_case: Case) -> bool:
    """Return False: it holds for no case."""
    return False


class Case(NamedTuple):
    """One session under one rule.

    Attributes:
        reason: The public name of the rule.
        rests_on_idleness: Whether the session must have been idle for the rule.
        facts: The session.
        limits: The settings.
        outlives_rename: Whether the rule rests on the host's own word about the workspace, whatever its session is called.
        holds_for_named_row: Whether the host says the same about the other workspaces that the session's name yields, if any.
    """

    reason: str
    rests_on_idleness: bool
    facts: Facts
    limits: Thresholds
    outlives_rename: bool = False
    holds_for_named_row: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Protection:
    """A protection from one or more rules.

    Attributes:
        name: Its name in ``protected_by``.
        meaning: What protects, as a clause about the session ("it").
        holds: Whether it protects this session from this rule.
        detail: The meaning with the values of this session, where that says more.
        released_when: When it ends, in words that do not change with each second. For what rests on an absent row.
        passes_with_approval: Whether ``sweep --approve`` overrides it.
        allows_approval: A session may be approved while this protects it too. The protection stays in force.
        passes_with_time: It ends by itself within minutes.
        doubts: Whether it is the reaper's own doubt, and not a fact of the host, the user or the session. What only doubts
            protect for long is an alarm.
    """

    name: str
    meaning: str
    holds: Callable[[Case], bool]
    detail: Callable[[Case], str] | None = None
    released_when: Callable[[Case, BreakerState], str] | None = None
    passes_with_approval: Callable[[Case], bool] = never
    allows_approval: bool = False
    passes_with_time: bool = False
    doubts: Callable[[Case], bool] = never

    def __repr__(self) -> str:
        return self.name

    def because(self, case: Case) -> str:
        """Return why the session is protected, as a clause."""
        return self.detail(case) if self.detail else self.meaning
