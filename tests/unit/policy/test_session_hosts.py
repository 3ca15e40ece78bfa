"""Which host a session belongs to."""

from __future__ import annotations

import pytest

from tests.tools.builders import SOCKET, session
from workspace_reaper.model.session import Owner, Session
from workspace_reaper.policy import session_hosts
from workspace_reaper.policy.marks import mark_of
from workspace_reaper.policy.session_hosts import Claim, HostMatchers, only_host, sort_by_host
from workspace_reaper.policy.session_names import SessionMatcher

A, B = "aaaa", "bbbb"


def matchers() -> HostMatchers:
    """Host 0 claims ``ws_ID`` and ``a_ID``, host 1 ``ws_ID`` and ``b_ID``."""
    patterns = ((r"ws_(?P<id>\w+)", r"a_(?P<id>\w+)"), (r"ws_(?P<id>\w+)", r"b_(?P<id>\w+)"))
    found = HostMatchers([SessionMatcher({SOCKET: some}, lambda text: text) for some in patterns])
    found.own([A, B])
    return found


def marked(number: int, owner_id: str, *, name: str, mark: str | None = None) -> Session:
    """A session with all marks of a host."""
    mark = mark_of(f"w{number}") if mark is None else mark
    return session(number, name=name, owner=Owner.OURS, owner_id=owner_id, workspace_mark=mark, is_self_marked=True)


def test_sessions_are_sorted_by_marks_then_by_names() -> None:
    own, other, both = session(1, name="a_w1"), session(2, name="b_w2"), session(3, name="ws_w3")
    by_mark, foreign = marked(4, B, name="a_w4"), session(5, name="ws_w5", owner=Owner.FOREIGN)
    nobody = session(6, name="notes")
    found = sort_by_host([own, other, both, by_mark, foreign, nobody], 2, matchers())
    assert list(map(list, found.by_host)) == [[own, foreign], [other, by_mark, foreign]]
    assert found.disputed == [(both, (Claim(0, "w3"), Claim(1, "w3")))]
    assert found.others == 1


def test_the_rivals_of_a_host_are_the_others_that_claim_the_name() -> None:
    assert matchers().rivals(session(1, name="ws_w1"), 0) == (Claim(1, "w1"),)
    assert matchers().rivals(session(1, name="a_w1"), 0) == ()


def test_claims_are_kept_and_not_without_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_hosts, "_KNOWN", 1)
    known = matchers()
    for _ in range(2):
        assert known.claims(session(1, name="a_w1")) == (Claim(0, "w1"),)
        assert known.claims(session(2, name="b_w2")) == (Claim(1, "w2"),)


def test_a_mark_decides_what_a_name_and_an_owner_yield() -> None:
    one = matchers()
    assert one.named(marked(1, B, name="a_w1")) is None
    assert one.belongs_to(marked(1, B, name="a_w1")) == "w1"
    assert (one.named(session(1, name="a_w1")), one.belongs_to(session(1, name="a_w1"))) == ("w1", "w1")
    assert one.named(session(1, name="notes")) is None


def test_a_digest_is_learned_by_the_host_that_marked_it() -> None:
    one, long_id = matchers(), "w" * 200
    lost = marked(1, B, name="notes", mark=mark_of(long_id))
    assert one.is_lost(lost)
    assert not one.is_lost(session(1, name="notes"))
    one.learn(session(1, name="notes"), lambda _host: [long_id])
    assert one.is_lost(lost)
    asked = []
    one.learn(lost, lambda host: asked.append(host) or [long_id])  # type: ignore[func-returns-value]
    assert asked == [1]
    assert one.belongs_to(lost) == long_id


@pytest.mark.parametrize(
    ("now", "before", "host"),
    [
        ({0}, {1}, 0),
        ({1}, set(), 1),
        ({0, 1}, set(), None),
        ({0, 1}, {1}, None),
        (set(), {1}, 1),
        (set(), {0, 1}, None),
        (set(), set(), None),
    ],
)
def test_the_only_record_that_knows_it_has_it(now: set[int], before: set[int], host: int | None) -> None:
    assert only_host((Claim(0, "w1"), Claim(1, "w1")), now, before) == host
