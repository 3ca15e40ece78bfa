"""Which process belongs to which session."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.tools.builders import SERVER, pane, process, session, table
from workspace_reaper.model.process import Origin, Process
from workspace_reaper.model.session import Session
from workspace_reaper.policy.process_tree import all_below, children_of, foreground, is_tmux, processes_by_session

TMUX = process(SERVER.pid, parent=1, name="tmux: server", started=10.0)
LEADER = process(1001, parent=SERVER.pid)
"""The shell in the only pane of session 1."""


def came_from(pane_id: str = "%1", session_number: int = 1, server: int = SERVER.pid) -> Origin:
    return Origin("/run/tmux-0/workspaces", server, session_number, pane_id)


def family(*others: Process, sessions: tuple[Session, ...] = (session(1),), of: int = 1) -> dict[int, bool]:
    """The pids of a session's processes; whether each is a descendant."""
    key = next(one.key for one in sessions if one.key.session_id == f"${of}")
    found = processes_by_session(table(TMUX, *others), sessions)[key]
    return {kin.process.key.pid: kin.descendant for kin in found}


def test_the_processes_below_a_pane() -> None:
    others = (process(7, parent=LEADER.key.pid), process(8, parent=7), process(9, parent=1))
    assert family(LEADER, *others) == {1001: True, 7: True, 8: True}


def test_a_pane_process_that_is_no_child_of_the_server_only_has_its_number() -> None:
    """A recycled pid, or a tmux in another pid namespace."""
    assert family(replace_parent(LEADER, 1), process(7, parent=LEADER.key.pid)) == {}


def replace_parent(one: Process, parent: int) -> Process:
    return one._replace(parent=parent)


def test_a_dead_pane_has_a_stale_pid() -> None:
    assert family(LEADER, sessions=(session(1, panes=(pane(1, dead=True),)),)) == {}


def test_what_left_the_tree_is_known_by_its_environment_with_all_below_it() -> None:
    daemon = process(7, parent=1, origin=came_from())
    assert family(LEADER, daemon, process(8, parent=7)) == {1001: True, 7: False, 8: False}


def test_what_is_below_a_pane_is_a_descendant_whatever_its_environment_says() -> None:
    assert family(LEADER, process(7, parent=1001, origin=came_from())) == {1001: True, 7: True}


def test_all_that_runs_below_some_processes() -> None:
    """Each once, and without a nested tmux and what runs in it."""
    nested = (process(9, parent=8, name="tmux: server"), process(10, parent=9))
    found = table(TMUX, LEADER, process(7, parent=1001, origin=came_from(session_number=2)), process(8, parent=7), *nested)
    assert {key.pid for key in all_below([LEADER, found.processes[7]], children_of(found))} == {1001, 7, 8}


def test_what_came_from_a_pane_that_is_gone_goes_by_the_number_of_its_session() -> None:
    assert family(LEADER, process(7, parent=1, origin=came_from("%99"))) == {1001: True, 7: False}


def test_a_pane_that_is_there_goes_before_the_number_of_a_session() -> None:
    """A group's peer shows panes that were made in another session."""
    peer = session(2, panes=(pane(1),))
    daemon = process(7, parent=1, origin=came_from("%1", session_number=9))
    assert family(LEADER, daemon, sessions=(peer,), of=2) == {1001: True, 7: False}


def test_what_runs_below_one_session_with_the_environment_of_another_is_in_both_families() -> None:
    """A process manager in a pane of the first session runs a program for the second one, which is not idle then."""
    both, program = (session(1), session(2)), process(7, parent=1001, origin=came_from("%2", session_number=2))
    assert family(LEADER, program, sessions=both, of=1) == {1001: True, 7: True}
    assert family(LEADER, program, sessions=both, of=2) == {7: False}


def test_what_a_process_manager_outside_of_all_panes_runs_for_another_session_is_not_of_the_first() -> None:
    both, manager = (session(1), session(2)), process(7, parent=1, origin=came_from())
    program = process(8, parent=7, origin=came_from("%2", session_number=2))
    assert family(LEADER, manager, program, sessions=both, of=1) == {1001: True, 7: False}
    assert family(LEADER, manager, program, sessions=both, of=2) == {8: False}


def test_a_pane_that_two_sessions_show_is_in_both_families() -> None:
    both = (session(1), session(2, panes=(pane(1),)))
    assert family(LEADER, sessions=both, of=1) == family(LEADER, sessions=both, of=2) == {1001: True}


def test_what_is_below_a_pane_stays_a_descendant_also_below_what_left_one() -> None:
    """A server without tmux's name, which a process that left the session has started: its panes are below both."""
    server = process(SERVER.pid, parent=7, name="renamed", started=10.0)
    left = process(7, parent=1, origin=came_from(), started=20.0)
    found = processes_by_session(table(server, LEADER, left), [session(1)])[session(1).key]
    assert {one.process.key.pid: one.descendant for one in found} == {1001: True, 7: False, SERVER.pid: False}


@pytest.mark.parametrize(
    "origin",
    [came_from(server=77), came_from("%99", session_number=99)],
    ids=["another server", "another session"],
)
def test_what_came_from_elsewhere_is_nobody_of_ours(origin: Origin) -> None:
    assert family(LEADER, process(7, parent=1, origin=origin)) == {1001: True}


def test_what_started_before_the_server_came_from_an_earlier_one_with_its_pid() -> None:
    assert family(LEADER, process(7, parent=1, origin=came_from(), started=9.0)) == {1001: True}


def test_without_the_server_nothing_is_known_by_its_environment() -> None:
    found = processes_by_session(table(process(7, parent=1, origin=came_from())), [session(1)])
    assert found == {session(1).key: []}


def test_a_nested_tmux_and_what_lives_in_it_belong_to_nobody() -> None:
    """It inherits the environment of the pane from which it was started (I22)."""
    nested = process(50, parent=1, name="tmux: server", origin=came_from())
    living = process(51, parent=50, origin=Origin("/run/other", 50, 0, "%0"))
    client = process(52, parent=1001, name="tmux: client", origin=came_from())
    assert family(LEADER, nested, living, client, process(53, parent=51)) == {1001: True}


@pytest.mark.parametrize(
    ("name", "is_one"), [("tmux: server", True), ("tmux: client", True), ("tmux", True), ("tmuxinator", False)]
)
def test_a_tmux_is_known_by_its_name(name: str, is_one: bool) -> None:
    assert is_tmux(process(7, name=name)) is is_one


def test_the_foreground_of_a_pane() -> None:
    leader, running = LEADER._replace(foreground=7), process(7, parent=1001)
    assert foreground([leader, running], session(1)) == {"%1": running.key}
    assert foreground([leader], session(1)) == {"%1": leader.key}
    assert foreground([], session(1)) == {}
    assert foreground([leader], replace(session(1), panes=(pane(1, dead=True),))) == {}
