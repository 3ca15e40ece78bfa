"""What is on the sockets, parted into ours to judge, unreadable, and none of our business."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.simulation.memory.ledger import MemoryFile
from tests.simulation.memory.registry import MemoryHost, MemoryRegistry
from tests.tools.builders import (
    HOUR,
    NAMES,
    NOW,
    OTHER_SOCKET,
    SERVER,
    SOCKET,
    ProcessesThatAre,
    blind_socket,
    listing,
    observation,
    session,
    session_key,
    unreadable,
)
from tests.unit.sweep.scene import Scene
from workspace_reaper.model.session import Listing, Owner, Server
from workspace_reaper.model.state import ServerState
from workspace_reaper.model.unknown import Source, Unknown
from workspace_reaper.sweep.observe import Observation, observe, reject_unlinked_sockets, server_changes, shown_panes
from workspace_reaper.sweep.own_options import OwnOptions


def test_sessions_are_parted_by_name_and_stamp() -> None:
    ours, twin = session(1), session(4, name="ws_w1")
    seen = observation(listing(ours, session(2, name="notes"), session(3, owner=Owner.FOREIGN), twin))
    assert seen.sessions == [(ours, "w1"), (twin, "w1")]
    assert (seen.unmanaged, seen.unreadable, seen.unknown, seen.everything) == (2, [], [], True)
    assert seen.workspace_ids == {"w1"}


def test_ids_are_asked_for_once_each_in_order() -> None:
    assert observation(listing(session(3), session(1), session(2))).workspace_ids == {"w1", "w2", "w3"}


def test_a_session_that_cannot_be_read_is_there_and_unknown() -> None:
    lost = unreadable("ws_w2")
    seen = observation(listing(session(1), unreadable=(lost,)))
    assert seen.sessions == [(session(1), "w1")]
    assert seen.unreadable == [(SOCKET, "ws_w2", "w2")]
    assert (seen.unknown, seen.everything) == ([lost], True)
    assert seen.clear == {}


@pytest.mark.parametrize("name", ["notes", None], ids=["an unmanaged name", "no name at all"])
def test_one_that_cannot_be_read_and_has_not_our_name_is_told_but_not_ours(name: str | None) -> None:
    lost = replace(unreadable(), session=name)
    seen = observation(listing(unreadable=(lost,)))
    assert (seen.unreadable, seen.unknown) == ([], [lost])


def test_a_narrow_look_takes_only_what_was_asked_for() -> None:
    seen = Observation()
    answer = listing(session(1), session(2), session(3, name="notes"), unreadable=(unreadable("ws_w4"), unreadable("ws_w5")))
    seen.add(answer, NAMES, {"w2", "w5"})
    assert seen.sessions == [(session(2), "w2")]
    assert seen.unreadable == [(SOCKET, "ws_w5", "w5")]
    assert seen.unmanaged == 1


def test_a_narrow_look_counts_another_owner_only_of_what_was_asked_for() -> None:
    theirs, narrow = (session(1, owner=Owner.FOREIGN), session(2, owner=Owner.FOREIGN)), Observation()
    narrow.add(listing(*theirs), NAMES, {"w2"})
    assert narrow.other_owners == [(theirs[1], "w2")]
    assert observation(listing(*theirs)).other_owners == [(theirs[0], "w1"), (theirs[1], "w2")]


def test_only_a_socket_of_which_every_row_was_read_can_tell_who_is_gone() -> None:
    seen = observation(
        listing(session(1), session(2, name="notes")),
        listing(socket=OTHER_SOCKET, unreadable=(unreadable("ws_w2", OTHER_SOCKET),)),
    )
    assert seen.clear == {SOCKET: {session_key(1), session_key(2)}}


@pytest.mark.parametrize("answers", [(blind_socket(), listing()), (listing(), blind_socket())])
def test_a_socket_that_does_not_answer_leaves_the_look_incomplete(answers: tuple[Listing | Unknown, ...]) -> None:
    class Answering:
        def __init__(self, answer: Listing | Unknown) -> None:
            self.observe = lambda stamp, panes: answer

    registry = MemoryRegistry(MemoryHost())
    terminals: list[Any] = [Answering(answer) for answer in answers]
    seen = observe(terminals, NAMES, "stamp", None, OwnOptions(), tuple, registry=registry)
    assert (seen.everything, seen.unknown, seen.listings) == (False, [blind_socket()], [listing()])


# A socket on which nobody listens

STARTED = 777.5
REMEMBERED = {SOCKET: ServerState(SERVER.pid, SERVER.start, STARTED)}


@pytest.mark.parametrize(
    ("answered", "servers", "started", "doubted"),
    [
        pytest.param(False, REMEMBERED, {SERVER.pid: STARTED}, True, id="its server lives (I08)"),
        pytest.param(False, REMEMBERED, {}, False, id="its server is gone"),
        pytest.param(False, REMEMBERED, {SERVER.pid: STARTED + 1}, False, id="another process has its pid"),
        pytest.param(
            False, {SOCKET: ServerState(SERVER.pid, SERVER.start, None)}, {SERVER.pid: 1.0}, True, id="nobody knows whose pid"
        ),
        pytest.param(False, {}, {SERVER.pid: STARTED}, False, id="no server was ever seen there"),
        pytest.param(True, REMEMBERED, {SERVER.pid: STARTED}, False, id="a server without sessions answered"),
    ],
)
def test_an_empty_socket_whose_server_lives_is_unknown(
    answered: bool, servers: dict[str, ServerState], started: dict[int, float], doubted: bool
) -> None:
    seen = observation(listing(answered=answered))
    reject_unlinked_sockets(seen, servers, ProcessesThatAre(started))
    assert seen.everything is not doubted
    assert seen.clear == ({} if doubted else {SOCKET: frozenset()})
    if doubted:
        (unknown,) = seen.unknown
        assert (unknown.source, unknown.socket) == (Source.SOCKET, SOCKET)
        assert unknown.reason == (
            f"no server listens on {SOCKET}, but its tmux server (pid 4242) still runs: the socket was removed; "
            "'kill -USR1 4242' creates it again"
        )
    else:
        assert seen.unknown == []


def test_one_doubtful_socket_leaves_the_others_as_they_are() -> None:
    there = listing(session(1, socket=OTHER_SOCKET), socket=OTHER_SOCKET)
    seen = observation(listing(answered=False), there)
    reject_unlinked_sockets(seen, REMEMBERED, ProcessesThatAre({SERVER.pid: STARTED}))
    assert seen.listings == [there]


# The servers

SECOND = Server(5000, NOW, "3.3a")


@pytest.mark.parametrize(
    ("server", "known", "started", "doubted"),
    [
        pytest.param(SECOND, REMEMBERED[SOCKET], {SERVER.pid: STARTED}, True, id="the one before lives"),
        pytest.param(SECOND, REMEMBERED[SOCKET], {SERVER.pid: STARTED + 1}, False, id="another process has its pid"),
        pytest.param(SECOND, ServerState(SERVER.pid, SERVER.start, None), {SERVER.pid: 1.0}, False, id="whose pid is unknown"),
        pytest.param(SERVER, REMEMBERED[SOCKET], {SERVER.pid: STARTED}, False, id="it is the same"),
    ],
)
def test_a_server_that_lost_its_socket_to_another_one_is_unknown_while_it_lives(
    server: Server, known: ServerState, started: dict[int, float], doubted: bool
) -> None:
    """The other one's sessions are judged, and none of the first one is gone."""
    seen, processes = observation(listing(session(1), server=server)), ProcessesThatAre(started)
    found = reject_unlinked_sockets(seen, {SOCKET: known}, processes)
    assert [one.reason.partition(";")[0] for one in found] == doubted * [
        f"another tmux server (pid 5000) listens on {SOCKET}, but the one before (pid 4242) still runs: the socket was "
        "removed, and the sessions of that server are not reaped"
    ]
    assert (seen.unknown, seen.everything, [one.name for one, _ in seen.sessions]) == ([*found], True, ["ws_w1"])
    assert seen.clear.keys() == (set() if doubted else {SOCKET})
    changed = {} if doubted or server is SERVER else {SOCKET: ServerState(5000, NOW, None)}
    assert server_changes(seen, {SOCKET: known}, processes) == changed


@pytest.mark.parametrize(
    ("answer", "started", "shown"),
    [
        pytest.param(listing(session(1)), {}, frozenset({"%1"}), id="it answered"),
        pytest.param(listing(session(1), server=SECOND), {SERVER.pid: STARTED}, None, id="another one answered, and it lives"),
        pytest.param(listing(), {SERVER.pid: STARTED}, frozenset(), id="it has no session"),
        pytest.param(listing(answered=False), {SERVER.pid: STARTED}, None, id="none answered, and it lives"),
        pytest.param(listing(answered=False), {}, frozenset(), id="none answered, and it is gone"),
    ],
)
def test_of_a_server_that_lives_and_did_not_answer_no_pane_is_known(
    answer: Listing, started: dict[int, float], shown: frozenset[str] | None
) -> None:
    assert shown_panes(answer, SERVER.pid, ProcessesThatAre(started)) == shown


@pytest.mark.parametrize(
    ("answer", "known", "changed"),
    [
        pytest.param(listing(session()), REMEMBERED, {}, id="the same"),
        pytest.param(listing(session()), {}, {SOCKET: ServerState(4242, SERVER.start, STARTED)}, id="a new one"),
        pytest.param(listing(session(), server=SECOND), REMEMBERED, {SOCKET: ServerState(5000, NOW, None)}, id="another one"),
        pytest.param(
            listing(session(), server=replace(SERVER, start=NOW)),
            REMEMBERED,
            {SOCKET: ServerState(4242, NOW, STARTED)},
            id="another one with the same pid",
        ),
        pytest.param(listing(answered=False), REMEMBERED, {SOCKET: None}, id="gone"),
        pytest.param(listing(answered=False), {}, {}, id="never there"),
        pytest.param(listing(), REMEMBERED, {}, id="alive, without sessions"),
    ],
)
def test_servers_that_came_went_or_were_replaced(
    answer: Listing, known: dict[str, ServerState], changed: dict[str, ServerState | None]
) -> None:
    assert server_changes(observation(answer), known, ProcessesThatAre({SERVER.pid: STARTED})) == changed


def test_a_socket_that_did_not_answer_keeps_its_server() -> None:
    assert server_changes(observation(blind_socket(SOCKET)), REMEMBERED, ProcessesThatAre()) == {}


# Marks of a workspace whose id is too long for them

LONG = f"w{'1' * 200}"


def long_and_renamed() -> Scene:
    """A session that the reaper has marked with a digest, and that its user has renamed. It is due."""
    scene = Scene()
    scene.world.host.insert([LONG])
    session_id = scene.world.tmux.new_session(f"ws-{LONG}")
    scene.world.clock.go_on(HOUR)
    scene.sweep()
    scene.world.tmux.rename(session_id, "mine")
    scene.world.host.delete_worktree(LONG)
    return scene


def test_a_renamed_session_with_a_digest_is_recognised_by_what_the_ledger_knows() -> None:
    scene = long_and_renamed()
    scene.reaper.start()
    report = scene.sweep()
    assert (report.unknown, report.unmanaged) == ([], 0)
    assert [(one.intent.session, one.intent.workspace_id) for one in scene.history()] == [("mine", LONG)]


def test_a_session_with_our_marks_whose_workspace_is_unknown_is_reported_and_never_reaped() -> None:
    """An older copy of the ledger was restored."""
    scene = long_and_renamed()
    scene.world.file = MemoryFile()
    scene.ports.ledger = scene.world.file.open("standard", "memory")
    scene.reaper.start()
    report = scene.sweep()
    [lost] = report.unknown
    assert (lost.source, lost.session, report.unmanaged) == (Source.SESSION, "mine", 1)
    assert lost.reason == (
        "the session mine carries the marks of this reaper, but their workspace is unknown, so it is not reaped; rename it as "
        "it was, or end it by hand: tmux -S /run/tmux/simulated kill-session -t '$2'"
    )
    assert scene.history() == []
