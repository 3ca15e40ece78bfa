"""Which sessions tmux is asked about, and what becomes of an answer that was wrong."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from tests.tools.builders import NAMES, listing, session
from workspace_reaper.model.session import Session, SessionKey
from workspace_reaper.sweep.own_options import ASKED_AT_ONCE, OwnOptions, with_own_options


class Answers:
    """What tmux answers, and about whom it was asked."""

    def __init__(self, options: Mapping[str, str]) -> None:
        self.options = options
        self.asked: list[list[SessionKey]] = []

    def own_options(self, keys: Collection[SessionKey]) -> dict[SessionKey, Mapping[str, str]]:
        self.asked.append(list(keys))
        return dict.fromkeys(keys, self.options)


def kept(number: int) -> Session:
    return replace(session(number), kept=True)


def corrected(known: OwnOptions, answers: Any, *sessions: Session) -> list[frozenset[str]]:
    """The options that each session seems to inherit after one more look."""
    seen = listing(*sessions)
    known.ask(answers, seen, NAMES)
    return [one.inherited for one in known.correct(seen, "5ca1ab1e").sessions]


def test_i80_an_answer_that_was_garbled_is_asked_for_again() -> None:
    known, answers = OwnOptions(), Answers({"@reaper_keeq": "1"})
    assert corrected(known, answers, kept(1)) == [{"@reaper_keep"}]
    answers.options = {"@reaper_keep": "1"}
    assert corrected(known, answers, kept(1)) == [frozenset()]
    assert corrected(known, answers, kept(1)) == [frozenset()]
    assert len(answers.asked) == 2


def test_i80_where_all_inherit_an_option_all_are_asked_about_in_turn() -> None:
    known, answers = OwnOptions(), Answers({})
    many = [kept(number) for number in range(1, 2 * ASKED_AT_ONCE + 11)]
    keys = [one.key for one in many]
    for _ in range(4):
        corrected(known, answers, *many)
    assert [len(asked) for asked in answers.asked] == [ASKED_AT_ONCE] * 4
    asked = [key for some in answers.asked for key in some]
    assert asked == (keys + keys)[: 4 * ASKED_AT_ONCE]


def test_a_caller_that_lists_once_learns_of_all_that_matter_and_of_no_other() -> None:
    answers: Any = Answers({})
    many = [kept(number) for number in range(1, 2 * ASKED_AT_ONCE + 11)]
    seen = with_own_options(answers, listing(*many, session(500)), "5ca1ab1e", NAMES)
    assert [one.inherited for one in seen.sessions] == [{"@reaper_keep"}] * len(many) + [frozenset()]
    asked = [key for some in answers.asked for key in some]
    assert {*asked} == {one.key for one in many}
    assert max(map(len, answers.asked)) == ASKED_AT_ONCE
