"""The JSON that programs read, name by name, and the exit codes."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from tests.tools.builders import DEFAULTS, HOUR, NOW, blind_socket, entry, facts, intent, row, session, unreadable
from tests.tools.report_json import ENTRY, HISTORY, REPORT, ROW
from workspace_reaper.model.events import WorkspaceEvent as Said  # a name that pytest does not take for a test
from workspace_reaper.model.reap import EndedProcess, Outcome, ProcessCleanup, Reap, SurvivingProcess
from workspace_reaper.model.unknown import Source, Unknown
from workspace_reaper.model.verdict import Verdict
from workspace_reaper.policy.verdict import judge
from workspace_reaper.sweep.report import Seconds, SweepReport, evidence, iso, printable, reap_as_json


def report(*sessions: Any, **changes: Any) -> SweepReport:
    return replace(SweepReport("01JDQ", float(NOW)), sessions=list(sessions), **changes)


@pytest.mark.parametrize(
    ("moment", "text"),
    [(None, None), (0, "1970-01-01T00:00:00Z"), (NOW, "2026-09-21T14:13:20Z"), (NOW + 0.999, "2026-09-21T14:13:20Z")],
    ids=["never", "the epoch", "a second", "the end of a second"],
)
def test_moments_are_utc_to_the_second(moment: float | None, text: str | None) -> None:
    assert iso(moment) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("ws_w1", "ws_w1", id="plain"),
        pytest.param("Zürich 東京 🚀", "Zürich 東京 🚀", id="printable"),
        pytest.param("a\nb\tc\x1b[31m\x00", r"a\nb\tc\x1b[31m\x00", id="control characters"),
        pytest.param("a\x85b\u2028c\u2029", r"a\x85b\u2028c\u2029", id="line separators"),
        pytest.param("a\u202eb\ufeff", r"a\u202eb\ufeff", id="writing direction"),
        pytest.param("a\udcffb", r"a\udcffb", id="an undecodable byte"),
        pytest.param("\U000e0001", r"\U000e0001", id="beyond the basic plane"),
    ],
)
def test_what_may_be_shown(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert printable(text).isprintable()
    assert printable(text).encode()


def whole() -> SweepReport:
    of = facts(session=session(idle=22 * HOUR), confirmations=2, proven=True)
    judgement = judge(of, DEFAULTS)
    return report(
        entry(1, outcome="reaped", reap_id="01JDR", facts=of, judgement=judgement),
        entry(2, outcome="spared", protected_by="attached"),
        entry(3, outcome="failed", protected_by="no answer from tmux"),
        entry(4, Verdict.HOLD, protected_by="young"),
        entry(5, Verdict.HOLD, reason=None, session_id=None, key=None, protected_by="unknown"),
        entry(6, Verdict.KEEP),
        unknown=[unreadable("ws_w5\x1b"), Unknown(Source.REGISTRY, "the database is\nlocked")],
        unmanaged=7,
        freed_bytes=812_433_408,
        latched=True,
        registry=REPORT["registry"],
        seconds=Seconds(0.012345, 0.002, 0.001, 0.5, 0.6),
    )


def test_the_object_that_programs_read() -> None:
    shown = json.loads(whole().to_json())
    sessions = shown.pop("sessions")
    assert shown == REPORT
    assert sessions[0] == ENTRY
    brief = [[line[name] for name in ("verdict", "reason", "protected_by", "outcome", "session_id")] for line in sessions]
    assert brief == [
        ["reap", "orphan", None, "reaped", "$1"],
        ["reap", "orphan", "attached", "spared", "$2"],
        ["reap", "orphan", "no answer from tmux", "failed", "$3"],
        ["hold", "orphan", "young", "none", "$4"],
        ["hold", None, "unknown", "none", None],
        ["keep", None, None, "none", "$6"],
    ]
    assert [line["evidence"] for line in sessions[1:]] == [None] * 5


def test_an_empty_report() -> None:
    shown = report().as_dict()
    assert (shown["complete"], shown["sessions"], shown["unknown"], shown["breaker"]) == (True, [], [], {"state": "closed"})
    assert set(shown["totals"].values()) == {0}
    assert shown["seconds"] == {"observe": 0.0, "look_up": 0.0, "judge": 0.0, "kill": 0.0, "total": 0.0}


def test_the_text_is_ascii_and_one_line_whatever_a_session_is_called() -> None:
    odd = entry(1, session="東\n\x1b[2J\udcff\u202e")
    text = report(odd).to_json()
    assert text.isascii()
    assert "\n" not in text
    assert json.loads(text)["sessions"][0]["session"] == "東\\n\\x1b[2J\\udcff\\u202e"


def test_a_row_is_told_flag_by_flag() -> None:
    of = facts(row(archived=True, running=True, worktree="/home/x"), reported=Said.ARCHIVED)
    shown = evidence(of)
    assert shown["row"] == ROW
    assert shown["reported_event"] == "archived"
    assert json.loads(json.dumps(shown)) == shown


def test_a_row_that_is_marked_deleted_is_reported_with_what_decides_about_an_absence() -> None:
    shown = evidence(facts(row(deleted=True), known_in_generation=2, generation=3))
    assert shown["row"] == {**dict.fromkeys(ROW, False), "deleted": True}
    assert (shown["generation"], shown["known_in_generation"], shown["breaker"]) == (3, 2, "closed")


@pytest.mark.parametrize(
    ("client", "told"),
    [({}, 0), ({"attached": 2, "has_client": True}, 2), ({"has_client": True}, 1), ({"group_has_client": True}, 1)],
    ids=["none", "two", "suspended", "group peer"],
)
def test_whoever_looks_is_told(client: dict[str, Any], told: int) -> None:
    assert evidence(facts(session=session(**client)))["attached"] == told


def test_ages_are_whole_seconds_and_never_negative() -> None:
    shown = evidence(facts(session=session(idle=-5, age=-9), now=NOW + 0.9))
    assert (shown["idle_seconds"], shown["age_seconds"]) == (0, 0)
    assert evidence(facts(session=session(idle=5), now=NOW + 0.9))["idle_seconds"] == 5


FAILED = entry(1, outcome="failed")


@pytest.mark.parametrize(
    ("of", "code"),
    [
        pytest.param(report(), 0, id="nothing to do"),
        pytest.param(report(entry(1, outcome="reaped"), entry(2, outcome="spared"), entry(3, Verdict.HOLD)), 0, id="done"),
        pytest.param(report(entry(1, outcome="would-reap"), dry_run=True), 0, id="dry run"),
        pytest.param(report(FAILED), 1, id="something failed"),
        pytest.param(report(unknown=[blind_socket()]), 3, id="could not see"),
        pytest.param(report(latched=True), 3, id="the breaker holds"),
        pytest.param(report(FAILED, unknown=[blind_socket()], latched=True), 1, id="1 goes before 3"),
        pytest.param(report(abstained="disabled"), 0, id="switched off"),
        pytest.param(report(abstained="not configured"), 2, id="not configured"),
        pytest.param(report(entry(1, outcome="reaped"), unknown=[blind_socket()]), 3, id="done, but for what was not seen"),
    ],
)
def test_exit_codes(of: SweepReport, code: int) -> None:
    assert of.exit_code == code


@pytest.mark.parametrize(
    ("of", "complete"),
    [
        (report(), True),
        (report(FAILED, latched=True), True),
        (report(unknown=[blind_socket()]), False),
        (report(abstained="disabled"), False),
    ],
    ids=["all seen", "all seen, not all done", "not all seen", "nothing looked at"],
)
def test_complete_is_what_saw_everything(of: SweepReport, complete: bool) -> None:
    assert of.complete is complete
    assert of.as_dict()["complete"] is complete


def test_an_abstention_says_why() -> None:
    assert report(abstained="disabled").as_dict()["abstained"] == "disabled"


def test_a_line_of_the_history() -> None:
    reaped = replace(intent(), session="ws_w1\x1b", evidence={"attached": 0})
    cleanup = ProcessCleanup(
        (EndedProcess(6, "sh\x1b", "TERM"),), (SurvivingProcess(7, "sh\x1b", "why"),), 4096, ("tcp 3000",), ("udp 53",)
    )
    line = reap_as_json(Reap(reaped, Outcome.SPARED, "attached", cleanup, None), restorable=True)
    assert line == HISTORY
    assert json.loads(json.dumps(line)) == line
