"""What happened to each session, by tmux itself and by the report and history of the reaper."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Any

from workspace_reaper.demo.host import Host
from workspace_reaper.demo.scenario import ACCIDENT, DemoCase, Ending
from workspace_reaper.model.reap import Outcome, Reap
from workspace_reaper.operations.sessions import explain_session
from workspace_reaper.operations.status import read_history, read_status
from workspace_reaper.sweep.explain import Explanation

_UNMANAGED = {"foreign": "another owner", "none": "no workspace id"}


@dataclass(frozen=True, slots=True)
class DemoOutcome:
    """A case and what happened to it."""

    case: DemoCase
    happened: Ending

    @property
    def as_expected(self) -> bool:
        """Whether outcome and reason are the expected ones."""
        return self.happened == self.case.expected


def session_outcomes(host: Host, sessions: Mapping[DemoCase, str], present: Set[str]) -> list[DemoOutcome]:
    """Return the outcome of each session. ``present`` are the ids that tmux lists now. Raises ``ReaperError``."""
    report = read_status(host.reaper).report or {"sessions": []}
    entries = {entry["session_id"]: entry for entry in report["sessions"]}
    reaps = {reap.intent.key.session_id: reap for reap in reversed(read_history(host.reaper, 1000))}
    outcomes = []
    for case, session_id in sessions.items():
        is_present, entry = session_id in present, entries.get(session_id)
        explained = explain_session(host.reaper, session_id) if is_present and entry is None else None
        outcomes.append(DemoOutcome(case, session_ending(is_present, reaps.get(session_id), entry, explained)))
    return outcomes


def last_reap(host: Host, name: str) -> Reap | None:
    """Return the latest completed reap of a session by its name, by the history. Raises ``ReaperError``."""
    reaps = read_history(host.reaper, 1000)
    return next((reap for reap in reaps if reap.intent.session == name and reap.outcome is Outcome.REAPED), None)


def session_ending(
    is_present: bool, reap: Reap | None, entry: Mapping[str, Any] | None, explained: Explanation | None
) -> Ending:
    """Return what happened to one session. Sources that contradict each other give an unexpected ending.

    Args:
        is_present: Whether tmux lists the session.
        reap: Its entry in the history.
        entry: Its entry in the last report.
        explained: The answer of ``explain`` where the report has no entry.
    """
    if reap is not None and reap.outcome is Outcome.REAPED:
        return Ending("present" if is_present else "reaped", reap.intent.reason)
    if not is_present:
        return Ending("gone", "not in the history")
    if entry is not None:
        word = {"hold": "held", "keep": "kept"}.get(entry["verdict"], entry["outcome"])
        return Ending(word, ", ".join(filter(None, (entry["reason"], entry["protected_by"]))) or "no reason holds")
    if explained is not None and explained.entry["verdict"] == "unmanaged":
        return Ending("ignored", _UNMANAGED.get(explained.facts["owner"], "unmanaged"))
    return Ending("unreported", "not in the report")


def accident_outcome(host: Host, before: Set[str], after: Set[str]) -> DemoOutcome:
    """Return the outcome for all sessions together after most rows were lost. Raises ``ReaperError``."""
    status = read_status(host.reaper)
    entries = status.report["sessions"] if status.report else ()
    happened = ACCIDENT.expected
    if before - after:
        happened = Ending("reaped", f"{len(before - after)} sessions")
    elif not status.breaker.latched or not any(entry["protected_by"] == "breaker" for entry in entries):
        happened = Ending("held", "not by the breaker")
    return DemoOutcome(ACCIDENT, happened)
