"""A group goes as a whole, or not at all."""

from __future__ import annotations

from tests.tools.builders import listing, session, unreadable
from workspace_reaper.model.session import Session, SessionKey, Window
from workspace_reaper.policy.verdict import held_by_their_group


def grouped(number: int, *windows: str) -> Session:
    return session(number, grouped=True, windows=tuple(Window(window, 0, linked=True) for window in windows or ("@1",)))


def held(*sessions: Session, condemned: tuple[int, ...]) -> set[str]:
    keys: set[SessionKey] = {one.key for one in sessions if int(one.key.session_id[1:]) in condemned}
    return {key.session_id for key in held_by_their_group([listing(*sessions)], keys)}


def test_a_group_of_condemned_goes() -> None:
    assert held(grouped(1), grouped(2), condemned=(1, 2)) == set()


def test_one_that_stays_holds_its_group_and_no_other() -> None:
    sessions = (grouped(1), grouped(2), grouped(3, "@7"), grouped(4, "@7"), session(5))
    assert held(*sessions, condemned=(1, 3, 4, 5)) == {"$1"}


def test_a_linked_window_makes_no_group() -> None:
    linked = (Window("@1", 0, linked=True),)
    assert held(session(1, windows=linked), session(2, windows=linked), condemned=(1,)) == set()


def test_a_session_that_can_not_be_read_may_be_of_any_group() -> None:
    told = listing(grouped(1), grouped(2), session(3), unreadable=(unreadable("ws_w9"),))
    keys = {one.key for one in told.sessions}
    assert {key.session_id for key in held_by_their_group([told], keys)} == {"$1", "$2"}
