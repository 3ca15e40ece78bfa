"""The pure parts of the canary: its id, what its sweep says of the reaper, and when the next one is due."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from tests.tools.builders import NOW, entry, session_key
from workspace_reaper.model.process import ProcessKey, SignalResult
from workspace_reaper.model.session import Listing, SessionKey
from workspace_reaper.model.unknown import Source, Unknown
from workspace_reaper.model.verdict import Verdict
from workspace_reaper.operations.canary.diagnosis import CanaryFailed, is_waiting, steps_text, why_not_reaped
from workspace_reaper.operations.canary.isolation import CanaryProcesses, new_token
from workspace_reaper.operations.canary.schedule import due_in
from workspace_reaper.policy import protections, rules
from workspace_reaper.policy.protection import Protection
from workspace_reaper.policy.verdict import Judgement
from workspace_reaper.registry.schemas.vibe_kanban import VIBE_KANBAN
from workspace_reaper.sweep.report import SessionReport, SweepReport
from workspace_reaper.tmux.canary import PREFIX, CanaryTerminal

HOUR = 3600.0
KEY = session_key()


def uuids_without_hyphens(text: str) -> str | None:
    return text if re.fullmatch("[0-9a-f]{32}", text) else None


def numbers(text: str) -> str | None:
    return text if re.fullmatch("[0-9]+", text) and int(text) < 2**63 else None


@pytest.mark.parametrize("canonical", [str, VIBE_KANBAN.canonical, uuids_without_hyphens, numbers])
def test_its_id_is_one_for_the_registry_and_a_new_one_each_time(canonical: Callable[[str], str | None]) -> None:
    made = [new_token(canonical) for _ in range(100)]
    assert len(set(made)) == 100
    for token in made:
        assert token is not None
        assert canonical(token.text) == token.workspace_id
        assert token.session == f"{PREFIX}{token.text}"


def test_some_registry_takes_nothing_for_an_id() -> None:
    assert new_token(lambda _: None) is None


@pytest.mark.parametrize("name", ["", "vk_1", PREFIX, f"{PREFIX}a b", f"{PREFIX}a:b", f"{PREFIX}#{{pid}}", f"{PREFIX}a\n"])
def test_only_a_name_of_ours_reaches_tmux(name: str) -> None:
    with pytest.raises(ValueError, match="invalid name of a canary session"):
        CanaryTerminal("/nowhere", name, may_live=lambda _: False, runs=lambda _: None)


def test_no_other_session_is_touched() -> None:
    terminal = CanaryTerminal("/nowhere", f"{PREFIX}1", may_live=lambda _: False, runs=lambda _: None)
    other = KEY._replace(socket="/nowhere")
    terminal.key = other._replace(session_id="$999")
    for change in (lambda: terminal.mark({other: "7731"}, "ab"), lambda: terminal.keep(other, on=True)):
        with pytest.raises(ValueError, match="is not the canary's"):
            change()


@pytest.mark.parametrize(
    ("known", "unreadable", "is_hidden"),
    [
        (None, f"{PREFIX}1", True),
        (None, "$7", True),
        (None, "another", False),
        ("$7", "$7", True),
        ("$7", "$8", False),
        ("$7", f"{PREFIX}1", True),
    ],
)
def test_a_row_that_can_not_be_read_may_hide_it(known: str | None, unreadable: str, is_hidden: bool) -> None:
    row = Unknown(Source.SESSION, "bad", "/s", unreadable)
    terminal = Listed(Listing("/s", (), (row,)), known)
    assert terminal.find() == (row if is_hidden else None)


@pytest.mark.parametrize("lives", [True, False])
def test_a_socket_that_was_removed_hides_it_while_the_server_lives(lives: bool) -> None:
    found = Listed(Listing("/s", (), answered=False), "$7", lives=lives).find()
    assert isinstance(found, Unknown) is lives


class Listed(CanaryTerminal):
    """One whose socket answers with this listing."""

    def __init__(self, listing: Listing, known: str | None, *, lives: bool = False) -> None:
        super().__init__("/s", f"{PREFIX}1", may_live=lambda _: lives, runs=lambda _: None)
        self._listing = listing
        self.key = None if known is None else SessionKey("/s", 1, 1, known, 1)

    def observe(self, *_: object, **__: object) -> Listing:
        return self._listing


def test_no_other_process_is_signalled() -> None:
    processes = CanaryProcesses()
    processes.own = ProcessKey(1, 0.0)
    assert processes.signal(ProcessKey(2, 0.0), 0) is SignalResult.REFUSED


# What its sweep says


def held(*by: Protection) -> SessionReport:
    return entry(1, Verdict.HOLD, protected_by=by[0].name, judgement=Judgement(Verdict.HOLD, rules.ORPHAN, by))


@pytest.mark.parametrize(
    ("line", "waits"),
    [
        (held(protections.UNCONFIRMED), True),
        (held(protections.ACTIVE, protections.UNCONFIRMED), True),
        (held(protections.CLOCK), True),
        (held(protections.UNCONFIRMED, protections.BREAKER), False),
        (held(protections.KEPT), False),
        (entry(1, outcome="spared", protected_by="active"), True),
        (entry(1, outcome="spared", protected_by="gone"), False),
        (entry(1, outcome="reaped"), False),
        (entry(1, Verdict.HOLD, protected_by="unknown", judgement=None), False),
        (entry(1, Verdict.HOLD, protected_by="processes", judgement=Judgement(Verdict.REAP, rules.ORPHAN)), False),
    ],
)
def test_what_only_time_takes_away_is_waited_for(line: SessionReport, waits: bool) -> None:
    assert is_waiting(line) is waits


@pytest.mark.parametrize(
    ("line", "why", "do"),
    [
        (None, "did not find the session (it is locked)", "show-hooks"),
        (entry(1, Verdict.KEEP), "which never existed", "database_url"),
        (held(protections.KEPT), "held by: kept (it is locked)", "@reaper_keep"),
        (held(protections.BREAKER), "held by: breaker", "report it"),
        (
            entry(1, outcome="spared", protected_by="registry"),
            "selected as orphan, and the outcome is spared: registry (it is locked)",
            "until then nothing is reaped",
        ),
    ],
)
def test_why_it_lives_is_told_with_what_to_do(line: SessionReport | None, why: str, do: str) -> None:
    report = SweepReport("", NOW, unknown=[Unknown(Source.REGISTRY, "it is locked")] * 2)
    failure = why_not_reaped(report, line)
    assert isinstance(failure, CanaryFailed)
    assert why in str(failure)
    assert do in failure.do


def test_nothing_is_wrong_where_it_was_reaped() -> None:
    line = entry(1, outcome="reaped")
    assert why_not_reaped(SweepReport("", NOW, unknown=[Unknown(Source.SESSION, "another row")]), line) is None


def test_each_step_is_told_with_its_time() -> None:
    words = steps_text({"make": 1.26, "observe": 0.0, "kill": 0.0124}, 61.04)
    assert words == "reaped in 61.0 s: make 1.3 s, observe 0 ms, kill 12 ms"


# When the next one is due


@pytest.mark.parametrize(
    ("last", "every", "seconds"),
    [
        (None, 24 * HOUR, 0.0),
        ((NOW, True), 24 * HOUR, 24 * HOUR),
        ((NOW - HOUR, True), 24 * HOUR, 23 * HOUR),
        ((NOW - 25 * HOUR, True), 24 * HOUR, 0.0),
        ((NOW - 600, False), 24 * HOUR, HOUR - 600),
        ((NOW - 600, False), 900.0, 300.0),
        ((NOW + HOUR, True), 24 * HOUR, 0.0),
    ],
    ids=["never", "just now", "an hour ago", "yesterday", "failed", "failed, often", "in the future"],
)
def test_when_it_is_due(last: tuple[float, bool] | None, every: float, seconds: float) -> None:
    assert due_in(last, every, NOW) == seconds
