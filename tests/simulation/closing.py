"""What is judged at the end of a history: sessions that live on unreported, and the ledger."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from tests.simulation.judging import Judging
from tests.simulation.oracle import Leftover, Return, Violation, judge_leaks, judge_ledger, judge_leftovers
from tests.simulation.oracle.rows import archived, given_up, gone
from tests.simulation.oracle.truth_records import Identity, Record
from tests.simulation.oracle.truth_reports import Alarm, Report, Stay
from tests.simulation.world import SOCKET, World
from workspace_reaper.model.reap import Outcome, Reap
from workspace_reaper.model.session import SessionKey
from workspace_reaper.model.state import Alarm as Raised
from workspace_reaper.model.unknown import Source
from workspace_reaper.sweep.leftovers import HIDDEN
from workspace_reaper.sweep.report import SweepReport

__all__ = ["identity_of", "judge_end", "report_of", "returns"]

_OPTIONS = ("@reaper_keep", "@workspace_owner")


def identity_of(key: SessionKey) -> Identity:
    """What the oracle calls the identity of a session."""
    return Identity(key.socket, key.server_pid, key.server_start, key.session_id, key.created)


def report_of(
    report: SweepReport,
    began: float,
    ended: float,
    alarms: Mapping[str, Raised],
    names: Collection[tuple[str, str]],
    blind: frozenset[str],
) -> Report:
    """What the oracle needs of a report. ``names`` are texts that name sessions, each with its id."""
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


def _alarm(name: str, raised: Raised, names: Collection[tuple[str, str]]) -> Alarm:
    """An alarm names its sessions in its text; one that names none, or not all of them, may be about any.

    What could not be read is no excuse for a session that the reaper could see.
    """
    sessions = frozenset(session_id for one, session_id in names if one in raised.detail)
    is_about_some = bool(sessions) or name in ("unreadable", "blind")
    return Alarm(name, sessions if is_about_some and " more" not in raised.detail else None)


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
        *_unsaid(judging),
        *judge_ledger(judging.ends, records, living=frozenset(map(identity_of, keys)), now=world.now),
        *judge_leftovers(_leftovers(world, history), world.now),
    ]


def _unsaid(judging: Judging) -> Iterator[Violation]:
    """What holds sessions back and is no doubt of the reaper is an alarm: marks of a lost state, and inherited options."""
    world, last = judging.world, judging.reports[-1]
    if not last.complete:
        return
    raised, ownership = {alarm.name for alarm in last.alarms}, judging.ownership
    for life in world.lives.values():
        name, own = world.tmux.sessions[life.session_id].name, world.tmux.sessions[life.session_id].options
        one = ownership.marked_by_any(life) if ownership.is_foreign(life) else None
        if one is not None and one.row is not None and not one.row.deleted and "other_owner" not in raised:
            why = "its workspace has a row, it carries another owner's marks, and no alarm says so"
            yield Violation("disowned", name, why, world.now)
        inherited = [option for option in _OPTIONS if option in world.tmux.options and option not in own]
        if ownership.manages(life) and inherited and "inherited" not in raised:
            yield Violation("inherited", name, f"it inherits {', '.join(inherited)}, and no alarm says so", world.now)


def _leftovers(world: World, history: list[Reap]) -> Iterator[Leftover]:
    """The processes that live although their session was reaped, and no other one has started them."""
    living = {life.owner for life in world.lives.values()}
    reaped = {life.owner: life for life in world.ended if life.reaped_for and life.owner not in living}
    for process in world.machine.processes.values():
        life = None if process.is_zombie else reaped.get(process.owner)
        if life is not None and process.key.started > (life.ended_at or 0.0):
            # Another session of its group has started it, which was ended by others.
            continue
        # Other sessions may run in a tmux server that the session has started.
        if life is not None and not process.name.startswith("tmux"):
            # Where a directory has moved or gone, nothing shows later what worked in it.
            group = {each.key for each in world.by_owner[process.owner]}
            reaps = [reap for reap in history if reap.intent.key in group and reap.outcome is Outcome.REAPED]
            ids = {reap.intent.workspace_id for reap in reaps}
            # Nothing distinguishes it from what a later session of the workspace started there.
            later = [each for each in (*world.lives.values(), *world.ended) if each.created >= (life.ended_at or 0.0)]
            is_shared = any(each.of is life.of for each in later)
            stays = life.of.is_untouched and life.of.workspace_id in ids and life.of.is_recorded and not is_shared
            # Of a session whose processes are out of sight, the record says just that.
            named = {one.pid for reap in history if reap.intent.workspace_id in ids for one in reap.cleanup.survivors}
            is_named = process.pid in named or HIDDEN.pid in named
            yield Leftover(process.pid, life.session_id, process.origin is not None or stays, is_named)


# What the host says again of a workspace whose session it starts again.
_SAID = dict.fromkeys(("deleted", "removed", "orphan"), gone) | {"archived": archived, "worktree-deleted": given_up}


def returns(judging: Judging) -> Iterator[Return]:
    """The sessions that came back after they had been reaped."""
    world = judging.world
    # A new server whose socket was removed before a sweep has seen it is not to be found.
    reaped = {} if world.tmux.is_unlinked else {life.of: life for life in world.ended if life.reaped_for}
    for life in world.lives.values() if reaped and not world.steps else ():
        before = reaped.get(life.of)
        if before is None or before.ended_at is None or life.created < before.ended_at:
            continue
        says, row = _SAID.get(before.reaped_for), life.of.rows[-1]
        is_same = says is not None and says(row) and row.since < before.ended_at
        is_ours = world.tmux.sessions[life.session_id].name == before.reaped_as and not judging.ownership.is_foreign(life)
        yield Return(
            life.session_id,
            reaped_at=before.ended_at,
            recorded_at=judging.recorded.get(before.reap_id),
            created=life.created,
            is_due=is_same and is_ours and life.kept_since is None,
        )
