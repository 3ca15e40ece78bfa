"""The order and the size of the batches of kills, and what is concluded when tmux gives no answer."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from tests.tools.builders import NOW, SOCKET, entry, facts, listing, session_key
from tests.tools.clocks import VirtualClock
from workspace_reaper.model.reap import Outcome
from workspace_reaper.model.session import SessionKey
from workspace_reaper.model.unknown import Source, Unknown
from workspace_reaper.model.verdict import Expiry, Guard, KillResult, KillResults
from workspace_reaper.policy import rules
from workspace_reaper.sweep import kill as kill_module
from workspace_reaper.sweep.context import ReapCandidate
from workspace_reaper.sweep.kill import ATTEMPTS, BatchKiller
from workspace_reaper.sweep.own_options import OwnOptions
from workspace_reaper.sweep.report import SweepReport
from workspace_reaper.util.batch_size import BatchSize


class Steps:
    """Steps 5 to 7 without tmux: they note their batches, and answer as they are told to."""

    def __init__(self, *, size: int = 2, blocked: Unknown | None = None) -> None:
        self.batches: list[list[str]] = []
        self.panes: list[bool] = []
        self.answers: dict[str, KillResult] = {}
        self.refused: set[str] = set()
        self.blocked = blocked
        self.looks: list[list[str]] = []
        self.at_work: set[str] = set()
        self.blind: Unknown | None = None
        self.stops = False
        self.own: dict[str, str] = {}
        self.clock = VirtualClock(NOW)
        self.delays: list[float] = []
        self.sent: list[list[str]] = []
        self.report = SweepReport("sweep", NOW, dry_run=False, full=True)
        self.context: Any = SimpleNamespace(
            report=self.report,
            state=SimpleNamespace(batch_size=BatchSize(size), own_options=OwnOptions()),
            request=SimpleNamespace(stopping=lambda: self.stops),
            settings=SimpleNamespace(recheck_validity=4.0, guard_validity=5),
            dependencies=SimpleNamespace(clock=self.clock),
        )

    # The recheck

    def list_again(self, terminal: object, *, panes: bool, only: Collection[str]) -> Any:
        self.batches.append(list(only))
        self.panes.append(panes)
        return listing(server_time=NOW)

    def guards(self, listed: object, batch: Sequence[ReapCandidate]) -> dict[SessionKey, Guard] | Unknown:
        if self.blocked is not None:
            return self.blocked
        self.clock.go_on(self.delays.pop(0) if self.delays else 0.0)
        taken = [one for one in batch if one.key.session_id not in self.refused]
        for one in batch:
            if one not in taken:
                one.spare("attached")
        return {one.key: Guard(one.key, None, unattached=False, quiet_since=None, all_panes_dead=False) for one in taken}

    def look_at_processes(self, candidates: Sequence[ReapCandidate]) -> Unknown | None:
        self.looks.append([one.key.session_id for one in candidates])
        for one in candidates:
            one.looked_at = self.clock.elapsed
            if one.key.session_id in self.at_work:
                one.spare("active")
        return self.blind

    # The terminal

    def own_options(self, keys: Collection[SessionKey]) -> dict[SessionKey, dict[str, str]]:
        return {key: dict(self.own) for key in keys}

    def kill(self, guards: Sequence[Guard], expiry: Expiry) -> KillResults:
        assert expiry == Expiry(NOW, 5)
        self.sent.append([one.key.session_id for one in guards])
        return KillResults({one.key.session_id: self.answers.get(one.key.session_id, KillResult.KILLED) for one in guards}, 0.1)

    def run(self, candidates: list[ReapCandidate]) -> list[tuple[Outcome, str | None]]:
        BatchKiller(self.context, self, self.look_at_processes).run(self, candidates)  # type: ignore[arg-type]
        return [(one.entry.outcome, one.entry.protected_by) for one in candidates]


@pytest.fixture(autouse=True)
def prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kill_module, "prepare_batch", lambda *_: None)
    monkeypatch.setattr(BatchSize, "learn", lambda *_, **__: None)


def candidate(number: int, *, failures: int = 0) -> ReapCandidate:
    return ReapCandidate(entry(number), session_key(number), facts(failures=failures), rules.ARCHIVED, f"reap {number}")


def test_batches_follow_the_session_ids_and_doubtful_ones_come_last_and_alone() -> None:
    steps = Steps(size=2)
    steps.run([candidate(12), candidate(3, failures=1), candidate(2), candidate(10), candidate(1, failures=2)])
    assert steps.batches == [["$2", "$10"], ["$12"], ["$1"], ["$3"]]


@pytest.mark.parametrize("reason", rules.RULES, ids=lambda reason: reason.name)
def test_the_recheck_lists_the_panes_for_what_rests_on_the_session(reason: rules.Rule) -> None:
    steps, one = Steps(), candidate(1)
    one.reason = reason
    steps.run([one])
    assert steps.panes == [reason in (rules.IDLE, rules.DEAD)]


def test_a_kill_without_an_answer_is_tried_again_alone_and_then_has_failed() -> None:
    steps = Steps(size=3)
    steps.answers["$2"] = KillResult.NONE
    told = steps.run([candidate(1), candidate(2), candidate(3)])
    assert steps.batches == [["$1", "$2", "$3"], ["$2"], ["$2"]]
    assert told[1] == (Outcome.FAILED, f"no answer from tmux in {ATTEMPTS} attempts: its output was cut")
    assert [outcome for outcome, _ in told] == [Outcome.NONE, Outcome.FAILED, Outcome.NONE], "the others are verified later"


def test_after_a_minute_without_answers_the_rest_is_spared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kill_module, "PATIENCE", -1.0)
    steps = Steps(size=1)
    steps.answers = {"$1": KillResult.NONE}
    told = steps.run([candidate(1, failures=1), candidate(2)])
    assert steps.batches == [["$2"]]
    assert told[0] == (Outcome.SPARED, "unanswered")


def test_one_that_the_guard_finds_gone_is_spared() -> None:
    steps = Steps()
    steps.answers["$1"] = KillResult.GONE
    assert steps.run([candidate(1)]) == [(Outcome.SPARED, "gone")]


def test_what_the_recheck_refuses_is_not_killed() -> None:
    steps = Steps()
    steps.refused = {"$1"}
    assert steps.run([candidate(1), candidate(2)])[0] == (Outcome.SPARED, "attached")
    assert steps.sent == [["$2"]]


def test_processes_are_looked_at_again_when_the_last_look_is_too_old() -> None:
    """While this process stood still, one of them may have begun to compute."""
    steps = Steps(size=1)
    steps.delays = [11.0, 0.0, 0.0, 0.0, 0.0]
    steps.at_work = {"$3"}
    told = steps.run([candidate(1), candidate(2), candidate(3), candidate(4)])
    assert steps.looks == [["$1", "$2", "$3", "$4"]]
    assert told[2] == (Outcome.SPARED, "active")
    assert told[1] == told[3] == (Outcome.NONE, None)
    assert ["$3"] not in steps.sent


def test_i99_processes_are_looked_at_again_once_the_last_look_is_older_than_a_recheck_may_be() -> None:
    steps = Steps(size=1)
    steps.delays = [4.0, 0.1, 0.0]
    steps.at_work = {"$3"}
    told = steps.run([candidate(number) for number in range(1, 4)])
    assert steps.looks == [["$3"]]
    assert told[2] == (Outcome.SPARED, "active")


def test_i99_a_look_at_the_processes_of_one_socket_says_nothing_of_those_of_the_next() -> None:
    steps, last = Steps(size=1), candidate(3)
    steps.delays = [11.0]
    killer = BatchKiller(steps.context, steps, steps.look_at_processes)  # type: ignore[arg-type]
    for here in ([candidate(1), candidate(2)], [last]):
        killer.run(steps, here)  # type: ignore[arg-type]
    assert steps.looks == [["$1", "$2"], ["$3"]]


def test_without_another_look_at_the_processes_nothing_more_is_killed() -> None:
    steps = Steps(size=1)
    steps.delays = [3.9, 3.9]
    steps.blind = Unknown(Source.PROCESSES, "no table")
    told = steps.run([candidate(number) for number in range(1, 6)])
    assert steps.sent == [["$1"], ["$2"]]
    assert told[2:] == [(Outcome.SPARED, "processes")] * 3
    assert steps.report.unknown == [steps.blind]


def test_a_recheck_that_is_too_old_sends_nothing_and_is_made_again_in_halves() -> None:
    steps = Steps(size=4)
    steps.delays = [4.1, 4.0]
    assert steps.run([candidate(number) for number in range(1, 5)]) == [(Outcome.NONE, None)] * 4
    assert steps.batches == [["$1", "$2", "$3", "$4"], ["$1", "$2"], ["$3", "$4"]]
    assert steps.sent == [["$1", "$2"], ["$3", "$4"]]


def test_a_guard_that_had_expired_is_rechecked_three_times_and_then_has_failed() -> None:
    steps = Steps(size=4)
    steps.answers = {"$1": KillResult.STALE}
    told = steps.run([candidate(number) for number in range(1, 4)])
    assert steps.batches == [["$1", "$2", "$3"], ["$1"], ["$1"], ["$1"]]
    assert told[0] == (Outcome.FAILED, "stale: 4 times the kill came too late after its recheck")


def test_what_came_too_late_and_cannot_be_rechecked_is_spared_as_stale() -> None:
    steps = Steps()
    steps.delays = [5.0]
    steps.blocked, blocked = None, Unknown(Source.REGISTRY, "locked")
    real = steps.guards

    def guards(listed: object, batch: Sequence[ReapCandidate]) -> dict[SessionKey, Guard] | Unknown:
        found = real(listed, batch)
        steps.blocked = blocked
        return found

    steps.guards = guards  # type: ignore[method-assign]
    assert steps.run([candidate(1), candidate(2)]) == [(Outcome.SPARED, "stale")] * 2
    assert steps.sent == []


def test_a_stop_spares_the_rest() -> None:
    steps = Steps()
    steps.stops = True
    assert steps.run([candidate(1)]) == [(Outcome.SPARED, "stopping")]
    assert steps.batches == []


@pytest.mark.parametrize("step", ["prepare", "recheck"])
def test_what_cannot_be_read_ends_the_kills_on_the_socket(monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    blocked = Unknown(Source.LEDGER, "the disk is full", SOCKET)
    steps = Steps(size=1, blocked=blocked if step == "recheck" else None)
    if step == "prepare":
        monkeypatch.setattr(kill_module, "prepare_batch", lambda *_: blocked)
    assert steps.run([candidate(1), candidate(2)]) == [(Outcome.SPARED, "ledger")] * 2
    assert steps.report.unknown == [blocked]


def test_what_was_tried_without_an_answer_has_failed_when_the_socket_cannot_be_read() -> None:
    steps = Steps(size=2)
    first, second = candidate(1), candidate(2)
    first.attempts, first.kill_result = 1, KillResult.NONE
    second.kill_result = KillResult.KILLED
    steps.blocked = Unknown(Source.SOCKET, "timed out", SOCKET)
    told = steps.run([first, second])
    assert told[0] == (Outcome.FAILED, "no answer from tmux, and the session cannot be looked at again")
    assert told[1] == (Outcome.NONE, None), "a kill that tmux has reported is verified by the next listing"
