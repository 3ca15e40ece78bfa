"""What a canary's sweep says of the reaper, in words. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from workspace_reaper.model.errors import ReaperError
from workspace_reaper.model.reap import Outcome
from workspace_reaper.model.verdict import Verdict
from workspace_reaper.policy.verdict import Protection
from workspace_reaper.sweep.report import SessionReport, SweepReport

__all__ = ["Failed", "is_waiting", "steps_in_words", "why_not_reaped"]

_WAITING = frozenset({Protection.UNCONFIRMED, Protection.ACTIVE, Protection.YOUNG, Protection.CLOCK})
"""What time alone takes away."""

_STEPS = (
    ("make", "made"),
    ("observe", "listing"),
    ("look up", "registry"),
    ("judge", "judged"),
    ("confirm", "confirmed"),
    ("prepare", "prepared"),
    ("recheck", "recheck"),
    ("kill", "guard and kill"),
    ("terminate", "survivors"),
    ("record", "ledger"),
)

_TO_DO = {
    Protection.KEPT.value: "@reaper_keep is set for all sessions of this server: tmux set-option -gu @reaper_keep",
    "snapshot": "mend what it says, or set snapshots = false",
    "registry": "mend what it says: until then nothing at all is reaped",
    "ledger": "mend what it says: until then nothing at all is reaped",
    "processes": "mend what it says: until then nothing at all is reaped",
    "socket": "mend what it says: until then nothing on this socket is reaped",
}
_ELSE = "what holds it holds every orphan on this socket; if nothing here explains it, report it with 'tmux -V'"


class Failed(ReaperError):
    """The canary was not reaped, or something of it is left. ``do`` is what to do."""

    def __init__(self, why: str, do: str) -> None:
        super().__init__(why)
        self.do = do


def is_waiting(entry: SessionReport) -> bool:
    """Only time stands between it and its end."""
    if entry.outcome is Outcome.SPARED:
        return entry.protected_by == Protection.ACTIVE.value
    held = entry.judgement.protected_by if entry.judgement is not None else ()
    # What could not be seen holds it as well, and is no judgement.
    is_judged = bool(held) and entry.protected_by == held[0].value
    return entry.verdict is Verdict.HOLD and is_judged and _WAITING.issuperset(held)


def why_not_reaped(report: SweepReport, entry: SessionReport | None) -> Failed | None:
    """What its last sweep has against it; None if it was reaped. ``entry`` is its line in the report."""
    reasons = "; ".join(dict.fromkeys(unknown.reason for unknown in report.unknown))
    told = f" ({reasons})" if reasons else ""
    if entry is None:
        return Failed(f"the sweep did not find it{told}", "look at tmux's hooks, which may rename sessions: tmux show-hooks -g")
    if entry.outcome is Outcome.REAPED:
        return None
    by = entry.protected_by or "nothing"
    do = _TO_DO.get(by, _ELSE)
    if entry.verdict is Verdict.KEEP:
        why = f"the registry says that it has the workspace {entry.workspace_id}, which there never was"
        return Failed(why, "is this the host's own database? set database_url or registry")
    if entry.verdict is Verdict.HOLD:
        return Failed(f"it is held by: {by}{told}", do)
    return Failed(f"it was condemned as {entry.reason}, and the outcome is {entry.outcome}: {by}{told}", do)


def steps_in_words(seconds: Mapping[str, float], total: float) -> str:
    """How long each step took, and all of it."""
    steps = ", ".join(f"{name} {_duration(seconds[step])}" for step, name in _STEPS if step in seconds)
    return f"reaped in {_duration(total)}: {steps}"


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"
