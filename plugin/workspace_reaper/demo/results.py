"""What became of each session: by tmux itself, by the reaper's report and history, and whether it is what should have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workspace_reaper.demo.helpers import Crew
from workspace_reaper.demo.host import Host
from workspace_reaper.demo.scenario import ACCIDENT, Ending, Expectation, Role
from workspace_reaper.demo.tmux import Made
from workspace_reaper.model.reap import Outcome, Reap
from workspace_reaper.sweep.explain import Explanation

__all__ = ["DemoOutcome", "ending", "last_reap", "look_after_accident", "look_at_all", "look_at_crew"]

_OWNERS = {"foreign": "another's stamp", "none": "no workspace name"}


@dataclass(frozen=True, slots=True)
class DemoOutcome:
    """One line of the result."""

    role: Expectation
    happened: Ending

    @property
    def as_expected(self) -> bool:
        """Word and reason are what they should be."""
        return self.happened == self.role.expected


def look_at_all(host: Host, made: Mapping[Role, Made], there: set[Made]) -> list[DemoOutcome]:
    """Every session of the play, in its order. ``there`` are those that tmux lists now. Raises ``ReaperError``."""
    from workspace_reaper.operations import sessions as operations

    report = operations.status(host.reaper).report or {"sessions": []}
    entries = {entry["session_id"]: entry for entry in report["sessions"]}
    reaps = {reap.intent.key.session_id: reap for reap in reversed(operations.history(host.reaper, 1000))}
    outcomes = []
    for role, session in made.items():
        is_there = session in there
        entry = entries.get(session.session_id)
        told = operations.explain_session(host.reaper, session.session_id) if is_there and entry is None else None
        outcomes.append(DemoOutcome(role, ending(is_there, reaps.get(session.session_id), entry, told)))
    return outcomes


def last_reap(host: Host, session: str) -> Reap | None:
    """The last one of a session of that name, by the history. Raises ``ReaperError``."""
    from workspace_reaper.operations import sessions as operations

    reaps = (reap for reap in operations.history(host.reaper, 1000) if reap.intent.session == session)
    return next((reap for reap in reaps if reap.outcome is Outcome.REAPED), None)


def look_at_crew(crew: Crew, reap: Reap | None) -> list[DemoOutcome]:
    """The helpers of a session that was reaped, in their order; ``reap`` is what the history has of it."""
    return [DemoOutcome(helper, happened) for helper, happened in crew.endings(reap.aftermath if reap else None).items()]


def ending(is_there: bool, reap: Reap | None, entry: Mapping[str, Any] | None, told: Explanation | None) -> Ending:
    """What became of one session: whether tmux has it, what the history says, its line in the last report, and, where it has
    none, what ``explain`` says of it. Sources that contradict each other are an ending that nobody expects."""
    if reap is not None and reap.outcome is Outcome.REAPED:
        return Ending("reaped" if not is_there else "undead", reap.intent.reason)
    if not is_there:
        return Ending("gone", "nobody says why")
    if entry is not None:
        word = {"hold": "held", "keep": "kept"}.get(entry["verdict"], entry["outcome"])
        why = ", ".join(text for text in (entry["reason"], entry["protected_by"]) if text)
        return Ending(word, why or "no reason holds")
    if told is not None and told.entry["verdict"] == "unmanaged":
        return Ending("ignored", _OWNERS.get(told.facts["owner"], "unmanaged"))
    return Ending("overlooked", "it is in no report")


def look_after_accident(host: Host, before: set[Made], after: set[Made]) -> DemoOutcome:
    """All sessions together, after most rows were lost. Raises ``ReaperError``."""
    from workspace_reaper.operations import sessions as operations

    status = operations.status(host.reaper)
    entries: Sequence[Mapping[str, Any]] = status.report["sessions"] if status.report else ()
    if before - after:
        return DemoOutcome(ACCIDENT, Ending("reaped", f"{len(before - after)} sessions"))
    if not status.breaker.latched or not any(entry["protected_by"] == "breaker" for entry in entries):
        return DemoOutcome(ACCIDENT, Ending("held", "but by no breaker"))
    return DemoOutcome(ACCIDENT, Ending("held", "breaker latched"))
