"""Which processes that left their session's tree are still known to come from it."""

from __future__ import annotations

import pytest

from tests.tools.builders import process, session_key, table
from workspace_reaper.model.process import Process
from workspace_reaper.policy.escaped_processes import remember, with_escaped
from workspace_reaper.policy.process_tree import SessionProcess

ONE, TWO = session_key(1), session_key(2)
SHELL, SERVER = process(50), process(51)


def below(one: Process, pane: str = "%1") -> SessionProcess:
    return SessionProcess(one, pane, descendant=True)


SEEN = {ONE: {SHELL.key: "%1", SERVER.key: "%1"}}


def test_what_runs_below_a_pane_is_remembered_with_it() -> None:
    started_from_it = SessionProcess(process(52), "%1", descendant=False)
    assert remember({}, {ONE: [below(SHELL), below(SERVER), started_from_it], TWO: []}, table(SHELL, SERVER)) == SEEN


def test_it_is_remembered_while_it_runs() -> None:
    assert remember(SEEN, {ONE: [below(SHELL)]}, table(SHELL, SERVER)) == SEEN
    assert remember(SEEN, {ONE: [below(SHELL)]}, table(SHELL)) == {ONE: {SHELL.key: "%1"}}
    reused = process(SERVER.key.pid, started=SERVER.key.started + 1)
    assert remember(SEEN, {ONE: [below(SHELL)]}, table(SHELL, reused)) == {ONE: {SHELL.key: "%1"}}


def test_a_session_that_could_not_be_listed_keeps_its_own() -> None:
    assert remember(SEEN, {}, table(SHELL, SERVER)) == SEEN
    assert remember(SEEN, {}, table()) == {}


def test_below_a_pane_of_another_session_it_belongs_to_that_one() -> None:
    """Its pane was moved."""
    found = {ONE: [below(SHELL)], TWO: [below(SERVER, "%2")]}
    assert remember(SEEN, found, table(SHELL, SERVER)) == {ONE: {SHELL.key: "%1"}, TWO: {SERVER.key: "%2"}}


def test_one_that_left_belongs_to_its_session() -> None:
    found = {ONE: [below(SHELL)], TWO: []}
    complete = with_escaped(found, SEEN, table(SHELL, SERVER))
    assert complete == {ONE: [below(SHELL), SessionProcess(SERVER, "%1", descendant=False)], TWO: []}


@pytest.mark.parametrize(
    ("found", "processes"),
    [
        pytest.param({ONE: [below(SHELL)]}, [SHELL], id="it ended"),
        pytest.param({ONE: [below(SHELL)]}, [SHELL, process(SERVER.key.pid, started=7.0)], id="its pid was reused"),
        pytest.param({ONE: [below(SHELL), below(SERVER)]}, [SHELL, SERVER], id="it is still below the pane"),
        pytest.param({ONE: [below(SHELL)], TWO: [below(SERVER)]}, [SHELL, SERVER], id="it is below a pane of another"),
    ],
)
def test_otherwise_nothing_is_added(found: dict[object, list[SessionProcess]], processes: list[Process]) -> None:
    assert with_escaped(found, SEEN, table(*processes)) == found  # type: ignore[arg-type]
