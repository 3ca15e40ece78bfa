"""What the recheck refuses, and why: only a candidate that is selected again for the same reason gets a guard."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from tests.simulation.memory.terminal import MemoryTerminal
from tests.tools.builders import (
    DEFAULTS,
    NAMES,
    NOW,
    SERVER,
    ProcessesThatAre,
    circumstances,
    entry,
    facts,
    ledger_state,
    listing,
    row,
    rows,
    session,
    session_key,
    unreadable,
)
from tests.unit.sweep.scene import Scene, entry_of
from workspace_reaper.model.reap import Outcome
from workspace_reaper.model.session import Listing, Session, Window
from workspace_reaper.model.state import ClockReading, Confirmation, Finding
from workspace_reaper.model.unknown import Source, Unknown
from workspace_reaper.model.verdict import KillResult
from workspace_reaper.model.workspace import LookupResult
from workspace_reaper.policy import rules
from workspace_reaper.policy.witness import Presence, Witness
from workspace_reaper.sweep.context import ReapCandidate, SweepRequest
from workspace_reaper.sweep.recheck import Recheck
from workspace_reaper.sweep.report import SweepReport
from workspace_reaper.sweep.rivals import NO_RIVALS

ARCHIVED = rows(row(1, archived=True))


class Stage:
    """One candidate, and what the registry answers at its recheck."""

    def __init__(self, answer: LookupResult | Unknown = ARCHIVED, *, lives: bool = False) -> None:
        self.report = SweepReport("sweep", NOW)
        self.knows = True
        clock = SimpleNamespace(read=lambda: ClockReading(float(NOW), float(NOW), float(NOW)), now=lambda: float(NOW))
        unasked: Any = None  # no candidate rests on a directory
        context: Any = SimpleNamespace(
            dependencies=SimpleNamespace(
                registry=SimpleNamespace(look_up=lambda ids, sentinels, **how: answer),
                processes=ProcessesThatAre({SERVER.pid: 1.0} if lives else {}),
                clock=clock,
                matcher=NAMES,
                snapshots=object(),
            ),
            settings=SimpleNamespace(thresholds=DEFAULTS),
            state=SimpleNamespace(doubt=None, own_options=SimpleNamespace(knows=lambda _session: self.knows)),
            request=SweepRequest(),
            report=self.report,
            rivals=NO_RIVALS,
            add_unknown=self.report.unknown.append,
        )
        self.candidate = ReapCandidate(
            entry(), session_key(), facts(row(1, archived=True)), rules.ARCHIVED, "reap 1", snapshot=None
        )
        self.candidates = [self.candidate]
        self.context = context
        self.recheck = Recheck(context, circumstances(recognised=["w1"]), ledger_state().registry, unasked, self.candidates)

    def guards(self, listed: Listing | Unknown) -> Any:
        return self.recheck.guards(listed, [self.candidate])

    @property
    def spared_by(self) -> str | None:
        return self.candidate.entry.protected_by


def test_what_is_selected_again_for_the_same_reason_gets_its_guard() -> None:
    stage = Stage()
    guards = stage.guards(listing(session()))
    assert list(guards) == [session_key()]
    assert guards[session_key()] == rules.ARCHIVED.guard(stage.candidate.facts, DEFAULTS)
    assert not stage.candidate.is_concluded


@pytest.mark.parametrize(
    ("listed", "answer", "by"),
    [
        pytest.param(listing(session(attached=1)), ARCHIVED, "attached", id="a client has attached"),
        pytest.param(listing(session(kept=True)), ARCHIVED, "kept", id="it is kept"),
        pytest.param(listing(session()), rows(row(1)), "workspace", id="it is archived no longer"),
        pytest.param(listing(session()), rows(row(1, worktree_deleted=True)), "workspace", id="another reason holds"),
        pytest.param(listing(session(name="ws_w2")), ARCHIVED, "unmanaged", id="it was renamed"),
        pytest.param(listing(session(2)), ARCHIVED, "gone", id="it is gone"),
        pytest.param(listing(session(age=5)), ARCHIVED, "gone", id="another one has its id"),
        pytest.param(
            listing(unreadable=(unreadable(),), unreadable_ids=frozenset({"$1"})), ARCHIVED, "unknown", id="its row is odd"
        ),
    ],
)
def test_what_else_has_become_true_spares_it(listed: Listing, answer: LookupResult, by: str) -> None:
    stage = Stage(answer)
    assert stage.guards(listed) == {}
    assert (stage.candidate.entry.outcome.value, stage.spared_by) == ("spared", by)


@pytest.mark.parametrize(
    ("answer", "presence", "left"),
    [
        pytest.param(rows(row(1)), Presence.THERE, set(), id="the row is there again"),
        pytest.param(rows(), Presence.THERE, {Finding.ORPHAN}, id="the directory is there again"),
        pytest.param(rows(), Presence.GONE, {Finding.ORPHAN, Finding.WITNESSED}, id="both are still gone"),
    ],
)
def test_i94_an_absence_that_is_refuted_needs_two_new_looks(
    answer: LookupResult, presence: Presence, left: set[Finding]
) -> None:
    """Otherwise what vanishes again would count as found twice at once."""
    stage = Stage(answer)
    stage.candidate.reason = rules.ORPHAN
    twice = Confirmation(NOW - 60, NOW - 30, 2)
    known = ledger_state(confirmations={(session_key(), finding): twice for finding in (Finding.ORPHAN, Finding.WITNESSED)})
    builder = replace(circumstances(known, recognised=["w1"]), witnesses={"w1": Witness(presence, "")})
    stage.recheck = Recheck(stage.context, builder, known.registry, stage.recheck._witnesses, stage.candidates)
    assert stage.guards(listing(session(kept=True))) == {}
    assert set(builder.confirmations.of(session_key())) == left


def test_a_session_whose_own_options_are_unknown_is_spared() -> None:
    stage = Stage()
    stage.knows = False
    assert stage.guards(listing(session())) == {}
    assert stage.spared_by == "unknown"
    assert [unknown.source for unknown in stage.report.unknown] == [Source.SESSION]


def test_the_session_of_the_reaper_itself_is_remembered_from_the_first_listing() -> None:
    stage = Stage()
    stage.candidate.facts = replace(stage.candidate.facts, home=True)
    assert stage.guards(listing(session(panes=()))) == {}
    assert stage.spared_by == "home"


def test_a_session_that_is_missing_after_a_kill_without_an_answer_was_killed() -> None:
    stage = Stage()
    stage.candidate.attempts = 1
    assert stage.guards(listing()) == {}
    assert (stage.candidate.kill_result, stage.candidate.is_concluded) == (KillResult.KILLED, False)


@pytest.mark.parametrize(("reason", "spared"), [(rules.ARCHIVED, True), (rules.DELETED, False)], ids=["archived", "deleted"])
def test_without_its_panes_only_a_deleted_workspace_is_reaped(reason: Any, spared: bool) -> None:
    stage = Stage(rows() if reason is rules.DELETED else ARCHIVED)
    stage.candidate.reason, stage.candidate.snapshot = reason, "the disk is full"
    stage.guards(listing(session()))
    assert (stage.spared_by == "snapshot") is spared
    assert stage.report.unknown == [Unknown(Source.SNAPSHOT, "the disk is full", session_key().socket, "ws_w1")]


@pytest.mark.parametrize(
    ("listed", "answer", "lives", "source"),
    [
        pytest.param(Unknown(Source.SOCKET, "timed out"), ARCHIVED, False, Source.SOCKET, id="the socket"),
        pytest.param(listing(session()), Unknown(Source.REGISTRY, "locked"), False, Source.REGISTRY, id="the registry"),
        pytest.param(listing(answered=False), ARCHIVED, True, Source.SOCKET, id="a socket that was removed"),
        pytest.param(
            listing(server=replace(SERVER, pid=SERVER.pid + 1)), ARCHIVED, True, Source.SOCKET, id="a socket that another has"
        ),
        pytest.param(
            listing(session()),
            replace(ARCHIVED, identity=replace(ARCHIVED.identity, location="file 2")),
            False,
            Source.REGISTRY,
            id="another registry",
        ),
    ],
)
def test_what_cannot_be_read_gives_no_guard_at_all(
    listed: Listing | Unknown, answer: LookupResult | Unknown, lives: bool, source: Source
) -> None:
    stage = Stage(answer, lives=lives)
    unknown = stage.guards(listed)
    assert isinstance(unknown, Unknown)
    assert unknown.source is source
    assert not stage.candidate.is_concluded


def test_a_doubt_that_is_not_in_the_ledger_yet_gives_no_guard_at_all() -> None:
    stage = Stage()
    stage.context.state.doubt = "an older copy was restored"
    refused = stage.guards(listing(session()))
    assert isinstance(refused, Unknown)
    assert refused.reason == "the registry changed during the sweep: an older copy was restored"


@pytest.mark.parametrize(
    ("other", "by"),
    [
        pytest.param(session(2, grouped=True), "group", id="which is none of the reaper's"),
        pytest.param(session(2, grouped=True, windows=(Window("@2", NOW, linked=False),)), None, id="of another group"),
    ],
)
def test_another_session_of_its_group_spares_it(other: Session, by: str | None) -> None:
    stage = Stage()
    guards = stage.guards(listing(session(grouped=True), other))
    assert (list(guards), stage.spared_by) == ([] if by else [session_key()], by)


@pytest.mark.parametrize(("kept", "by"), [(False, (None, None)), (True, ("group", "kept"))], ids=["both go", "one is kept"])
def test_a_group_that_is_to_be_reaped_as_a_whole_is_spared_as_a_whole(kept: bool, by: tuple[str | None, str | None]) -> None:
    stage = Stage(rows(row(1, archived=True), row(2, archived=True)))
    other = ReapCandidate(entry(2), session_key(2), facts(row(2, archived=True)), rules.ARCHIVED, "reap 2", snapshot=None)
    stage.candidates.append(other)
    listed = listing(session(grouped=True), session(2, grouped=True, kept=kept))
    guards = stage.recheck.guards(listed, stage.candidates)
    assert not isinstance(guards, Unknown)
    assert list(guards) == ([] if kept else [session_key(), session_key(2)])
    assert (stage.spared_by, other.entry.protected_by) == by


@pytest.mark.parametrize(
    ("now", "by"),
    [
        (None, "gone"),
        (session(name="ws_w2"), "unmanaged"),
        (session(attached=1), "attached"),
        (session(), "active"),
    ],
    ids=["gone", "renamed", "attached", "over already"],
)
def test_why_a_guard_has_refused(now: Any, by: str) -> None:
    stage = Stage()
    assert stage.recheck.spared_by(stage.candidate, now) == by


def test_a_user_who_cancels_the_announcement_after_the_verdict_has_cancelled_it() -> None:
    """By the next sweep the client may have left."""
    stage = Stage()
    known = ledger_state(confirmations={(session_key(), Finding.ANNOUNCED): Confirmation(NOW - 60, NOW - 60)})
    builder = circumstances(known, recognised=["w1"])
    stage.recheck = Recheck(stage.context, builder, known.registry, stage.recheck._witnesses, stage.candidates)
    assert stage.guards(listing(session(attached=1))) == {}
    assert stage.spared_by == "attached"
    assert (session_key(), Finding.UNDONE_ARCHIVED) in builder.confirmations.changed


# In whole sweeps


def test_a_session_that_another_one_joined_before_the_kill_is_spared_for_its_group() -> None:
    """Only the guard, which tmux evaluates, has seen the other one."""
    scene = Scene()
    scene.give_up()
    name = scene.session().session_id
    scene.during("terminal.kill", 1, lambda: scene.world.tmux.new_session("view", group=name))
    entry = entry_of(scene.sweep())
    assert (entry.outcome, entry.protected_by) == (Outcome.SPARED, "group")
    assert name in scene.world.tmux.sessions


class Garbling(MemoryTerminal):
    """A tmux in whose listings of single sessions no row can be read."""

    def observe(
        self, owner_id: str, *, panes: bool = True, only: Collection[str] = (), others: Collection[str] = ()
    ) -> Listing | Unknown:
        seen = super().observe(owner_id, panes=panes, only=only, others=others)
        if not only or isinstance(seen, Unknown):
            return seen
        rows = tuple(Unknown(Source.SESSION, "its activity is empty", self.socket, one.name) for one in seen.sessions)
        return replace(seen, sessions=(), unreadable=rows, unreadable_ids=frozenset(only))


def test_a_row_that_only_the_recheck_cannot_read_is_reported_and_spares_the_session() -> None:
    scene = Scene()
    scene.use(Garbling(scene.world.tmux))
    scene.give_up()
    report = scene.sweep()
    assert (entry_of(report).outcome, entry_of(report).protected_by) == (Outcome.SPARED, "unknown")
    assert report.unknown == [Unknown(Source.SESSION, "its activity is empty", scene.world.tmux.path, "ws-w0")]
    assert (report.complete, report.exit_code) == (False, 3)
