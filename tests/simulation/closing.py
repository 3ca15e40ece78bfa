"""What is judged at the end of a history: sessions that live on unreported, and the ledger."""

from __future__ import annotations

from collections.abc import Mapping

from tests.simulation.judging import Judging
from tests.simulation.oracle import Violation, judge_leaks, judge_ledger
from tests.simulation.oracle.truth_records import Identity, Record
from tests.simulation.oracle.truth_reports import Alarm, Report, Stay
from tests.simulation.world import SOCKET
from workspace_reaper.model.reap import Reap
from workspace_reaper.model.session import SessionKey
from workspace_reaper.model.state import Alarm as Raised
from workspace_reaper.model.unknown import Source
from workspace_reaper.sweep.report import SweepReport

__all__ = ["identity_of", "judge_end", "report_of"]


def identity_of(key: SessionKey) -> Identity:
    """What the oracle calls the identity of a session."""
    return Identity(key.socket, key.server_pid, key.server_start, key.session_id, key.created)


def report_of(
    report: SweepReport,
    began: float,
    ended: float,
    alarms: Mapping[str, Raised],
    names: Mapping[str, str],
    blind: frozenset[str],
) -> Report:
    """What the oracle needs of a report. ``names`` are the session ids by name."""
    unknown = {one.socket if one.source is Source.SOCKET else one.source.value for one in report.unknown}
    return Report(
        began=began,
        ended=ended,
        full=report.full and not report.dry_run,
        complete=report.complete,
        exit_code=report.exit_code,
        unknown=frozenset(one for one in unknown if one),
        alarms=tuple(_alarm(name, one, names) for name, one in alarms.items()),
        blind=blind,
    )


def _alarm(name: str, raised: Raised, names: Mapping[str, str]) -> Alarm:
    """An alarm names its sessions in its text; one that names none, or not all of them, may be about any."""
    sessions = frozenset(session_id for one, session_id in names.items() if one in raised.detail)
    return Alarm(name, sessions if sessions and " more" not in raised.detail else None)


def judge_end(judging: Judging, history: list[Reap]) -> list[Violation]:
    """Judge what was left alone, and what the ledger says."""
    world = judging.world
    stays = [
        Stay(SOCKET, life.session_id, tuple(reason.value for reason in life.due_for), life.due_since)
        for life in world.lives.values()
        if life.due_since is not None
    ]
    keys = [world.tmux.key_of(world.tmux.sessions[session_id]) for session_id in world.lives]
    records = [
        Record(
            one.intent.reap_id,
            identity_of(one.intent.key),
            one.intent.workspace_id,
            one.intent.reason,
            one.outcome.value,
            judging.intended[one.intent.reap_id],
        )
        for one in history
    ]
    return [
        *judge_leaks(stays, judging.reports, judging.limits),
        *judge_ledger(judging.ends, records, living=frozenset(map(identity_of, keys)), now=world.now),
    ]
