"""A finding: one thing that speaks against a kill; and what of it the reaper could not have known."""

from __future__ import annotations

from dataclasses import dataclass

from tests.simulation.oracle.truth import KillTruth

__all__ = ["Finding", "oldest_known", "tolerated"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What speaks against a kill.

    Attributes:
        rule: The rule's name.
        why: The facts.
        since: Since when it is so, where tmux does not check it in the guard; None where it does, or where no age excuses it.
        doubt: It is the reaper's own doubt, not a fact of the host, the user or the session: it may hold, and must be reported.
    """

    rule: str
    why: str
    since: float | None = None
    doubt: bool = False


def oldest_known(truth: KillTruth) -> float:
    """Return the time of the oldest recheck under which tmux may kill now.

    The guard expires on the wall clock of the tmux server, so a clock that was set back lengthens it.
    """
    return truth.now - truth.limits.guard_validity - truth.clock.set_back


def tolerated(finding: Finding, truth: KillTruth) -> bool:
    """Return whether it is younger than the recheck may be."""
    return finding.since is not None and finding.since > oldest_known(truth)
