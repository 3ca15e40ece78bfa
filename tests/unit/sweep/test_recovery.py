"""After a crash: which intents are closed, how, and what is ended of the sessions that are gone."""

from __future__ import annotations

import signal
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from tests.tools.builders import (
    NAMES,
    NOW,
    OTHER_SOCKET,
    SERVER,
    SOCKET,
    blind_socket,
    intent,
    listing,
    observation,
    row,
    rows,
    session,
    unreadable,
)
from tests.tools.clocks import VirtualClock
from tests.tools.leftovers import CHILD, RECORDED, OneChild
from workspace_reaper.model.process import Origin
from workspace_reaper.model.reap import Intent, ReapResult
from workspace_reaper.model.session import Listing, Server
from workspace_reaper.model.state import LedgerState, RegistryState
from workspace_reaper.model.unknown import Unknown
from workspace_reaper.model.workspace import Workspace
from workspace_reaper.sweep.observe import Observation
from workspace_reaper.sweep.other_plugins import NoPlugins
from workspace_reaper.sweep.own_options import OwnOptions
from workspace_reaper.sweep.recovery import by_presence, recover
from workspace_reaper.sweep.report import SweepReport


def interrupted(reason: str) -> Intent:
    """A kill of which a crash left no outcome."""
    return replace(intent(), reason=reason, boot=OneChild.boot, processes=RECORDED)


@pytest.mark.parametrize(
    ("reason", "found", "ends"),
    [
        pytest.param("deleted", None, True, id="deleted, and its row is gone"),
        pytest.param("orphan", None, True, id="an orphan still"),
        pytest.param("archived", None, False, id="archived, and its row is gone"),
        pytest.param("idle", None, False, id="idle, and its row is gone"),
        pytest.param("dead", None, False, id="dead, and its row is gone"),
        pytest.param("deleted", row(deleted=True), True, id="deleted by a flag"),
        pytest.param("idle", row(deleted=True), False, id="idle, and its row has the flag"),
        pytest.param("deleted", row(), False, id="its row is back"),
        pytest.param("archived", row(archived=True), True, id="archived still"),
        pytest.param("archived", row(archived=True, running=True), False, id="archived still, and a process runs"),
        pytest.param("archived", row(worktree_deleted=True, running=True), False, id="no directory, and a process runs"),
        pytest.param("archived", row(), False, id="archived no more"),
        pytest.param("idle", row(archived=True), False, id="idle, and archived since"),
    ],
)
def test_after_a_crash_only_what_is_still_selected_is_ended(reason: str, found: Workspace | None, ends: bool) -> None:
    processes, gone, results = OneChild(), listing(socket=SOCKET, server=SERVER), list[ReapResult]()
    context = context_of(gone, processes, results)
    state = LedgerState(RegistryState("owner"), open_intents=(interrupted(reason),))
    recover(context, state, observation(gone), rows() if found is None else rows(found))
    [result] = results
    assert result.outcome == "reaped"
    assert processes.signals == ([signal.SIGTERM, signal.SIGCONT] if ends else [])
    assert [one.pid for one in result.cleanup.survivors] == ([] if ends else [4711])


@pytest.mark.parametrize(
    "elsewhere",
    [
        pytest.param([listing(session(1, age=5))], id="on the same socket"),
        pytest.param([listing(session(1, attached=1, socket=OTHER_SOCKET), socket=OTHER_SOCKET)], id="on another one"),
        pytest.param([listing(session(2, name="ws_w1"))], id="by its name"),
        pytest.param([listing(socket=OTHER_SOCKET, unreadable=(unreadable("ws_w1", OTHER_SOCKET),))], id="unreadable"),
        pytest.param([blind_socket()], id="a socket that does not answer"),
    ],
)
def test_after_a_crash_nothing_is_ended_while_another_session_of_the_workspace_may_live(
    elsewhere: list[Listing | Unknown],
) -> None:
    processes, gone, results = OneChild(), listing(socket=SOCKET, server=SERVER), list[ReapResult]()
    state = LedgerState(RegistryState("owner"), open_intents=(interrupted("archived"),))
    recover(context_of(gone, processes, results), state, observation(gone, *elsewhere), rows(row(archived=True)))
    [result] = results
    assert (result.outcome, processes.signals) == ("reaped", [])
    why = "the reaper was interrupted, and another session of the workspace may live"
    assert [(one.pid, one.why) for one in result.cleanup.survivors] == [(4711, why)]


def test_i96_after_a_crash_what_the_session_has_started_since_its_intent_is_reported_and_not_ended() -> None:
    started = CHILD._replace(origin=Origin("/s", SERVER.pid, 1, "%1"))
    recorded = (replace(RECORDED[0], key=CHILD.key._replace(pid=4710)),)
    processes, gone, results = OneChild(child=started), listing(socket=SOCKET, server=SERVER), list[ReapResult]()
    state = LedgerState(RegistryState("owner"), open_intents=(replace(interrupted("archived"), processes=recorded),))
    recover(context_of(gone, processes, results), state, observation(gone), rows(row()))
    [result] = results
    why = "the reaper was interrupted, and the reason for which the session was selected no longer holds"
    assert [(one.pid, one.why) for one in result.cleanup.survivors] == [(4711, why)]
    assert processes.signals == []


@pytest.mark.parametrize(("server", "named"), [(SERVER, [4711]), (replace(SERVER, start=SERVER.start + 60), [])])
def test_i112_only_what_the_same_server_has_started_comes_from_a_session_without_processes(
    server: Server, named: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another server may have its pid, and a session of its number."""
    monkeypatch.setattr(OneChild, "start_time", lambda _self, _pid: 10.0)
    started = CHILD._replace(origin=Origin("/s", SERVER.pid, 1, "%1"))
    processes, gone, results = OneChild(child=started), listing(socket=SOCKET, server=server), list[ReapResult]()
    state = LedgerState(RegistryState("owner"), open_intents=(replace(interrupted("archived"), processes=()),))
    recover(context_of(gone, processes, results), state, observation(gone), rows(row()))
    assert [one.pid for one in results[0].cleanup.survivors] == named
    assert processes.signals == []


def test_after_a_crash_what_is_left_alone_for_one_session_of_a_group_is_not_ended_for_another() -> None:
    """Both have recorded the same process. The first was reaped because its row said so, and the row still does."""
    processes, gone, results = OneChild(), listing(socket=SOCKET, server=SERVER), list[ReapResult]()
    peer = replace(intent(2), reason="idle", boot=OneChild.boot, processes=RECORDED)
    state = LedgerState(RegistryState("owner"), open_intents=(interrupted("archived"), peer))
    recover(context_of(gone, processes, results), state, observation(gone), rows(row(archived=True)))
    assert [[one.pid for one in result.cleanup.survivors] for result in results] == [[4711], [4711]]
    assert processes.signals == []


def context_of(second: Listing | Unknown, processes: OneChild, results: list[ReapResult]) -> Any:
    """A sweep whose second listing is this one."""
    return SimpleNamespace(
        dependencies=SimpleNamespace(
            terminals=[SimpleNamespace(socket=SOCKET, observe=lambda owner, panes, only: second)],
            processes=processes,
            clock=VirtualClock(NOW),
            snapshots=None,
            plugins=NoPlugins(),
            matcher=NAMES,
        ),
        state=SimpleNamespace(own_options=OwnOptions(), seen_below={}),
        settings=SimpleNamespace(kill_grace=0.0, end_everywhere=True),
        ledger=SimpleNamespace(record_results=results.extend),
        report=SweepReport("sweep", NOW, dry_run=False, full=True),
    )


def test_an_intent_stays_open_where_the_second_listing_cannot_be_read() -> None:
    processes, results = OneChild(), list[ReapResult]()
    context = context_of(blind_socket(SOCKET), processes, results)
    state = LedgerState(RegistryState("owner"), open_intents=(interrupted("orphan"),))
    recover(context, state, observation(listing(socket=SOCKET, server=SERVER)), rows())
    assert (results, processes.signals, context.report.unknown) == ([], [], [blind_socket(SOCKET)])


# Intents that a crash left open


def test_intents_are_parted_by_what_is_there_now() -> None:
    assert by_presence([intent(1), intent(2)], [listing(session(1))]) == ([intent(1)], [intent(2)])


def test_a_session_that_took_the_name_of_the_reaped_one_is_another() -> None:
    assert by_presence([intent(1)], [listing(session(1, age=5))]) == ([], [intent(1)])


def test_an_intent_on_a_socket_that_cannot_be_read_stays_open() -> None:
    seen = observation(blind_socket(), listing())
    assert by_presence([intent(1), intent(2, socket=OTHER_SOCKET)], seen.listings) == ([], [intent(1)])


def test_an_intent_whose_session_cannot_be_read_stays_open_and_the_others_are_closed() -> None:
    told = listing(session(2), unreadable=(unreadable("ws_w1"),), unreadable_ids=frozenset({"$1"}))
    assert by_presence([intent(1), intent(2), intent(3)], [told]) == ([intent(2)], [intent(3)])


def test_an_intent_is_closed_by_a_look_at_other_workspaces_too() -> None:
    seen = Observation()
    seen.add(listing(session(1)), NAMES, {"w9"})
    assert by_presence([intent(1)], seen.listings) == ([intent(1)], [])
