"""Explains what the sweep of a canary shows about the reaper. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from workspace_reaper.model.errors import ReaperError
from workspace_reaper.model.reap import Outcome
from workspace_reaper.model.verdict import Verdict
from workspace_reaper.policy.protections import ACTIVE, KEPT
from workspace_reaper.sweep.report import SessionReport, SweepReport

_NOTHING_IS_REAPED = "fix this: until then nothing is reaped"

_TO_DO = {
    KEPT.name: "@reaper_keep is set for all sessions of this server; unset it: tmux set-option -gu @reaper_keep",
    "snapshot": "fix this, or set snapshots = false",
    "registry": _NOTHING_IS_REAPED,
    "ledger": _NOTHING_IS_REAPED,
    "processes": _NOTHING_IS_REAPED,
    "socket": "fix this: until then nothing on this socket is reaped",
}
_TO_DO_OTHERWISE = (
    "the same protection holds every orphan on this socket; if nothing here explains it, report it with the output of 'tmux -V'"
)


class CanaryFailed(ReaperError):
    """The canary was not reaped, or a part of it is left. ``do`` says what to do."""

    def __init__(self, why: str, do: str) -> None:
        super().__init__(why)
        self.do = do


def is_waiting(entry: SessionReport) -> bool:
    """Return whether only protections that end by themselves hold the session."""
    if entry.outcome is Outcome.SPARED:
        return entry.protected_by == ACTIVE.name
    held = entry.judgement.protected_by if entry.judgement is not None else ()
    # A session is also held, without a judgement of that, because something could not be read.
    is_judged = bool(held) and entry.protected_by == held[0].name
    return entry.verdict is Verdict.HOLD and is_judged and all(one.passes_with_time for one in held)


def why_not_reaped(report: SweepReport, entry: SessionReport | None) -> CanaryFailed | None:
    """Return why the last sweep did not reap the canary, or None if it did. ``entry`` is its line in the report."""
    reasons = "; ".join(dict.fromkeys(unknown.reason for unknown in report.unknown))
    unread = f" ({reasons})" if reasons else ""
    if entry is None:
        do = "look at tmux's hooks, which may rename sessions: tmux show-hooks -g"
        return CanaryFailed(f"the sweep did not find the session{unread}", do)
    if entry.outcome is Outcome.REAPED:
        return None
    by = entry.protected_by or "nothing"
    if entry.verdict is Verdict.KEEP:
        why = f"the registry has a row for the workspace {entry.workspace_id}, which never existed"
        return CanaryFailed(why, "check whether this is the host's own database; set database_url or registry")
    if entry.verdict is Verdict.HOLD:
        why = f"the session is held by: {by}{unread}"
    else:
        why = f"the session was selected as {entry.reason}, and the outcome is {entry.outcome}: {by}{unread}"
    return CanaryFailed(why, _TO_DO.get(by, _TO_DO_OTHERWISE))


def steps_text(seconds: Mapping[str, float], total: float) -> str:
    """Return how long each step took, and all of them together."""
    steps = ", ".join(f"{step} {_duration(taken)}" for step, taken in seconds.items())
    return f"reaped in {_duration(total)}: {steps}"


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"
