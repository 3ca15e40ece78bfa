"""The facts of one session, from what is the same for all."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.tools.builders import (
    HOUR,
    NOW,
    SERVER,
    Somewhere,
    circumstances,
    ledger_state,
    pane,
    registry,
    row,
    session,
    session_key,
)
from workspace_reaper.model.events import WorkspaceEvent as Said  # a name that pytest does not take for a test
from workspace_reaper.model.session import Owner
from workspace_reaper.model.state import BreakerState, Confirmation, Finding, Removal
from workspace_reaper.model.workspace import Workspace
from workspace_reaper.policy.facts_builder import lives_in, together
from workspace_reaper.policy.session_names import Naming
from workspace_reaper.policy.witness import Presence, Witness

KEY = session_key()


@pytest.mark.parametrize(
    ("own_location", "lives"),
    [
        pytest.param(Somewhere(), False, id="elsewhere"),
        pytest.param(Somewhere(pids=frozenset({1, 1001, 5000})), True, id="below its pane"),
        pytest.param(Somewhere(tmux=(SERVER.pid, "%1")), True, id="started from its pane, then detached from it"),
        pytest.param(Somewhere(tmux=(SERVER.pid, "%2")), False, id="started from another pane"),
        pytest.param(Somewhere(tmux=(7, "%1")), False, id="started from a server before this one"),
    ],
)
def test_where_the_reaper_lives(own_location: Somewhere, lives: bool) -> None:
    assert lives_in(session(), own_location) is lives


def test_the_pid_of_a_dead_pane_is_anyones() -> None:
    corpse = session(panes=(pane(1, dead=True),))
    assert not lives_in(corpse, Somewhere(pids=frozenset({1001})))


def test_any_of_its_panes_is_home() -> None:
    assert lives_in(session(panes=(pane(1), pane(2))), Somewhere(pids=frozenset({1002})))


def test_nothing_known_means_nothing_proven() -> None:
    of = circumstances().facts(session(), "w1", None, NOW)
    assert (of.session, of.workspace_id, of.row, of.now) == (session(), "w1", None, NOW)
    assert (of.reported, of.detached_at, of.archived_since, of.dead_since, of.confirmations) == (None, None, None, None, 0)
    assert (of.proven, of.knows_other_sessions, of.latched, of.approved, of.over_budget, of.home) == (False,) * 6
    assert of.veto is None


def test_what_was_seen_before_is_told() -> None:
    known = ledger_state(
        confirmations={
            (KEY, Finding.ORPHAN): Confirmation(NOW - 60, NOW - 30, 2),
            (KEY, Finding.ARCHIVED): Confirmation(NOW - 500, NOW - 500),
            (KEY, Finding.DEAD): Confirmation(NOW - 400, NOW - 400),
            (KEY, Finding.DETACHED): Confirmation(NOW - 300, NOW - 300),
            (session_key(2), Finding.ORPHAN): Confirmation(NOW - 900, NOW - 900, 9),
        }
    )
    of = circumstances(known).facts(session(), "w1", None, NOW)
    assert of.confirmations == 2
    assert (of.archived_since, of.dead_since, of.detached_at) == (NOW - 500, NOW - 400, NOW - 300)


def test_a_client_that_left_since_the_last_full_sweep_left_just_now() -> None:
    """A sweep for one workspace counts no confirmations. Its session, watched for three days without a key, and left a second
    ago, must not look three days idle to it."""
    watched = ledger_state(confirmations={(KEY, Finding.ATTACHED): Confirmation(NOW - 72 * HOUR, NOW - 72 * HOUR)})
    of = circumstances(watched).facts(session(idle=72 * HOUR), "w1", row(), NOW)
    assert of.detached_at == NOW
    assert of.idle_seconds == 0


def test_a_row_is_proof_enough() -> None:
    assert circumstances().facts(session(), "w1", row(deleted=True), NOW).proven


def test_a_stamp_proves_under_the_first_registry_only() -> None:
    own = session(owner=Owner.OURS)
    assert circumstances().facts(own, "w1", None, NOW).proven
    assert not circumstances(ledger_state(registry=registry(generation=2))).facts(own, "w1", None, NOW).proven
    assert not circumstances(generation=2).facts(own, "w1", None, NOW).proven, "the sweep that finds the change counts already"


@pytest.mark.parametrize(
    ("recognised", "others"),
    [((), False), (("w1",), False), (("w2",), True), (("w1", "w2"), True)],
    ids=["none", "itself", "another", "both"],
)
def test_others_are_others(recognised: tuple[str, ...], others: bool) -> None:
    assert circumstances(recognised=recognised).facts(session(), "w1", None, NOW).knows_other_sessions is others


def test_what_a_hook_said_of_it_and_of_no_other() -> None:
    scene = circumstances(reported={"w1": Said.ARCHIVED})
    assert scene.facts(session(), "w1", None, NOW).reported is Said.ARCHIVED
    assert scene.facts(session(2), "w2", None, NOW).reported is None


def test_the_breaker_and_whom_it_lets_pass() -> None:
    scene = circumstances(breaker=BreakerState(latched=True, approved=frozenset({KEY})))
    of = scene.facts(session(), "w1", None, NOW)
    assert (of.latched, of.approved) == (True, True)
    successor = replace(session(), key=session_key(age=5))
    assert not scene.facts(successor, "w1", None, NOW).approved


def test_it_knows_its_home() -> None:
    assert circumstances(own_location=Somewhere(pids=frozenset({1001}))).facts(session(), "w1", None, NOW).home


def test_i82_what_the_daemon_saw_go_as_after_a_restore_is_in_doubt_and_no_session_that_was_made_after_it() -> None:
    removal = Removal("w1", Said.DOUBTED, 1, NOW - HOUR)
    scene = circumstances(ledger_state(removals={"w1": removal}), reported={"w1": Said.DOUBTED})
    assert scene.facts(session(age=HOUR), "w1", None, NOW).doubtful
    assert not scene.facts(session(age=HOUR - 1), "w1", None, NOW).doubtful
    assert not scene.facts(session(2), "w2", None, NOW).doubtful


@pytest.mark.parametrize("presence", Presence)
def test_i83_a_directory_that_went_too_ends_the_doubt_of_the_daemon(presence: Presence) -> None:
    removal = Removal("w1", Said.DOUBTED, 1, NOW - HOUR)
    state = ledger_state(removals={"w1": removal})
    scene = circumstances(state, reported={"w1": Said.DOUBTED}, witnesses={"w1": Witness(presence, "so it is")})
    assert scene.facts(session(age=HOUR), "w1", None, NOW).doubtful is (presence is not Presence.GONE)


def test_a_deletion_says_nothing_of_a_session_that_was_made_after_it() -> None:
    """The id was given out again: its new session is no more than young, and has no row yet."""
    scene = circumstances(ledger_state(reported={"w1": NOW - HOUR}))
    assert scene.facts(session(age=HOUR), "w1", None, NOW).reported is Said.DELETED
    assert scene.facts(session(age=HOUR - 1), "w1", None, NOW).reported is None


@pytest.mark.parametrize("fraction", [0.0, 0.5, 0.99])
def test_of_one_second_the_session_is_taken_for_newer_where_ids_are_given_out_again(fraction: float) -> None:
    """tmux tells whole seconds: the same of a session that was made before the deletion, and of one after it."""
    told = circumstances(ledger_state(reported={"w1": NOW - HOUR + fraction}))
    reused = replace(told, reuses_ids=True)
    known, older = session(age=HOUR, owner=Owner.OURS), session(age=HOUR + 1, owner=Owner.OURS)
    assert reused.facts(known, "w1", None, NOW).reported is None
    assert reused.facts(older, "w1", None, NOW).reported is Said.DELETED
    assert told.facts(known, "w1", None, NOW).reported is Said.DELETED


# What its name says


NOWHERE = Naming(is_own=False, is_silent=True)


@pytest.mark.parametrize(
    ("naming", "named_before", "renamed"),
    [
        pytest.param(Naming(), None, False, id="its pattern yields its workspace"),
        pytest.param(Naming(is_recorded=True, others=("w2",)), None, False, id="its row names it, and another one"),
        pytest.param(NOWHERE, None, True, id="its name yields nothing, and never did"),
        pytest.param(NOWHERE, "ws_w1", False, id="its row named it so"),
        pytest.param(NOWHERE, "ws_w9", True, id="its row named it otherwise"),
        pytest.param(Naming(is_own=False, others=("w2",)), "ws_w1", True, id="another row names it so now"),
        pytest.param(Naming(is_own=False, others=("w2",), is_silent=True), "ws_w1", False, id="another row may mean it"),
    ],
)
def test_whether_it_was_renamed(naming: Naming, named_before: str | None, renamed: bool) -> None:
    found = {} if named_before is None else {(KEY, Finding.NAMED): Confirmation(NOW - 60, NOW - 60, name=named_before)}
    of = circumstances(ledger_state(confirmations=found)).facts(session(), "w1", None, NOW, naming=naming, named_row=row(2))
    assert (of.renamed, of.named_row) == (renamed, row(2))


ARCHIVED, BUSY = row(2, archived=True, worktree_deleted=True), row(3, running=True, pinned=True)


@pytest.mark.parametrize(
    ("some", "together_"),
    [
        pytest.param([], None, id="none"),
        pytest.param([BUSY], BUSY, id="one"),
        pytest.param([ARCHIVED, BUSY], row(2, running=True, pinned=True), id="what protects, and not what must hold for all"),
        pytest.param([ARCHIVED, ARCHIVED], ARCHIVED, id="what holds for all"),
        pytest.param([row(4, deleted=True), ARCHIVED], ARCHIVED, id="a deleted one says nothing"),
        pytest.param([row(4, deleted=True), row(5, deleted=True)], row(4, deleted=True), id="all deleted"),
        pytest.param([row(4), row(5, unreadable="odd")], row(4, unreadable="odd"), id="one that cannot be read"),
    ],
)
def test_what_several_rows_say_together(some: list[Workspace], together_: Workspace | None) -> None:
    assert together(some) == together_
