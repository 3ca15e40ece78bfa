"""What people and programs get to read: on a terminal (a real one, of a known width), and elsewhere."""

from __future__ import annotations

import ast
import io
import json
import os
import pty
import re
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from workspace_reaper.cli import tables
from workspace_reaper.cli.history_table import show_history
from workspace_reaper.ledger.locks import Holder
from workspace_reaper.model.reap import Intent, Outcome, ProcessCleanup, Reap, SurvivingProcess
from workspace_reaper.model.session import Owner, Session, SessionKey, Window
from workspace_reaper.model.state import Alarm, BreakerState
from workspace_reaper.model.unknown import Source, Unknown
from workspace_reaper.model.verdict import Verdict
from workspace_reaper.operations.doctor import Check
from workspace_reaper.operations.status import Status
from workspace_reaper.policy.facts import Facts
from workspace_reaper.sweep.explain import Explanation, RuleExplanation
from workspace_reaper.sweep.report import SessionReport, SweepReport
from workspace_reaper.util import console

LONG = "ws-" + "0123456789abcdef" * 6

Work = Callable[[], None]
Run = Callable[[Work], str]


def table() -> None:
    rows = [(LONG, "reap", "some words " * 8), ("ws-é漢", None, "[b]x[/b]")]
    console.print_table(("SESSION", "VERDICT", "WHY"), rows, empty="")


def line() -> None:
    console.say("[red]" + " words" * 30)


def progress() -> None:
    with console.progress("counting [sheep]"):
        time.sleep(0.2)


@pytest.fixture(autouse=True)
def no_wishes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has asked for colours, or for none."""
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")


@pytest.fixture
def in_pipe(monkeypatch: pytest.MonkeyPatch) -> Run:
    """What is written where there is no terminal."""

    def run(work: Work) -> str:
        written = io.StringIO()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", written)
            patch.setattr(sys, "stderr", written)
            work()
        return written.getvalue()

    return run


@pytest.fixture
def on_terminal(monkeypatch: pytest.MonkeyPatch) -> Run:
    """What is written on a terminal of 80 columns."""

    def run(work: Work) -> str:
        master, slave = pty.openpty()
        read: list[bytes] = []

        def reader() -> None:
            while not read or not read[-1].endswith(b"\0"):
                read.append(os.read(master, 65536))

        thread = threading.Thread(target=reader)
        thread.start()
        with os.fdopen(slave, "w", encoding="utf-8") as terminal, monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", terminal)
            patch.setattr(sys, "stderr", terminal)
            # rich asks the real descriptors for their width, which are none of this terminal.
            patch.setenv("COLUMNS", "80")
            work()
            terminal.write("\0")
            terminal.flush()
            thread.join(10)
        os.close(master)
        return b"".join(read).decode().removesuffix("\0").replace("\r\n", "\n")

    return run


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def test_in_a_pipe_each_row_is_one_whole_line(in_pipe: Run) -> None:
    assert in_pipe(table).splitlines() == [
        f"SESSION{' ' * (len(LONG) - 7)}  VERDICT  WHY",
        f"{LONG}  reap     {('some words ' * 8).strip()}",
        f"ws-é漢{' ' * (len(LONG) - 6)}  -        [b]x[/b]",
    ]


@pytest.mark.parametrize("columns", ["20", "80"])
def test_a_pipe_has_no_width(in_pipe: Run, monkeypatch: pytest.MonkeyPatch, columns: str) -> None:
    before = in_pipe(table)
    monkeypatch.setenv("COLUMNS", columns)
    assert in_pipe(table) == before


def test_forced_colours_do_not_change_the_lines(in_pipe: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    without = in_pipe(table)
    monkeypatch.setenv("FORCE_COLOR", "1")
    coloured = in_pipe(table)
    assert "\x1b[31mreap" in coloured
    assert plain(coloured) == without


@pytest.mark.parametrize("work", [table, line, lambda: console.say_marked("OK", "done")], ids=["table", "line", "marked"])
def test_each_line_is_written_at_once(monkeypatch: pytest.MonkeyPatch, work: Work) -> None:
    """A closed pipe is an error while the command runs, and lines on standard error stay in their order."""
    raw = io.BytesIO()
    with io.TextIOWrapper(io.BufferedWriter(raw), encoding="utf-8") as written, monkeypatch.context() as patch:  # type: ignore[arg-type]
        patch.setattr(sys, "stdout", written)
        work()
        assert raw.getvalue().endswith(b"\n")


def test_what_would_break_a_line_is_a_space(in_pipe: Run) -> None:
    assert in_pipe(lambda: console.print_table(("A", "B"), [("one\ntwo", 1)], empty="")) == "A        B\none two  1\n"


def test_on_a_terminal_a_long_name_is_folded_and_nothing_is_cut(on_terminal: Run) -> None:
    shown = plain(on_terminal(table))
    lines = shown.splitlines()
    assert max(len(line.rstrip()) for line in lines) <= 80
    assert "…" not in shown
    width = lines[0].index("VERDICT")
    assert "".join(line[:width].strip() for line in lines[1:]).startswith(LONG)
    assert shown.count("some") == shown.count("words") == 8


def test_colours_on_a_terminal(on_terminal: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b[31mreap" in on_terminal(table)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[31m" not in on_terminal(table)


def test_an_empty_table_says_so(in_pipe: Run) -> None:
    assert in_pipe(lambda: console.print_table(("A",), [], empty="nothing [here]")) == "nothing [here]\n"


def test_a_line_is_never_wrapped_in_a_pipe(in_pipe: Run, on_terminal: Run) -> None:
    assert in_pipe(line) == "[red]" + " words" * 30 + "\n"
    assert len(on_terminal(line).splitlines()) > 1


def test_nothing_is_taken_for_markup(in_pipe: Run, on_terminal: Run) -> None:
    for run in (in_pipe, on_terminal):
        assert run(lambda: console.say(":warning: [b]x[/b] \\[/] \\")) == ":warning: [b]x[/b] \\[/] \\\n"


def test_json_is_ascii(capsys: pytest.CaptureFixture[str]) -> None:
    console.print_json({"name": "é\udcff"})
    text = capsys.readouterr().out
    assert text.isascii()
    assert json.loads(text) == {"name": "é\udcff"}


@pytest.mark.parametrize(("after", "shown"), [(0.01, True), (60.0, False)], ids=["long", "quick"])
def test_long_work_says_that_it_goes_on(
    on_terminal: Run, in_pipe: Run, monkeypatch: pytest.MonkeyPatch, after: float, shown: bool
) -> None:
    monkeypatch.setattr(console, "PROGRESS_AFTER", after)
    assert ("counting" in on_terminal(progress)) is shown
    assert in_pipe(progress) == ""


def entries(*sockets: str) -> list[SessionReport]:
    return [SessionReport(socket, "ws-a", "$1", "a", Verdict.KEEP) for socket in sockets]


@pytest.mark.parametrize(
    ("sockets", "shown"),
    [
        pytest.param(["/tmp/tmux-0/one"], ["one"], id="one"),
        pytest.param(["/a/one", "/a/two", "/a/one"], ["one", "two", "one"], id="with names of their own"),
        pytest.param(["/a/one", "/b/one"], ["/a/one", "/b/one"], id="with the same name"),
        pytest.param(["/a/o\x1bne"], ["o\\x1bne"], id="not printable"),
    ],
)
def test_a_socket_is_called_by_its_name_where_that_is_enough(
    capsys: pytest.CaptureFixture[str], sockets: list[str], shown: list[str]
) -> None:
    tables.show_sessions(iter(entries(*sockets)))
    assert [line.split()[-1] for line in capsys.readouterr().out.splitlines()] == ["SOCKET", *shown]


def shown(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [" ".join(text.split()) for text in capsys.readouterr().out.splitlines()]


NOW = 1_000_000.0
KEY = SessionKey("/s", 1, 1, "$1", 940)


def facts(idle: float, age: float) -> Facts:
    windows = (Window("@1", int(NOW - idle), False),)
    session = Session(
        SessionKey("/s", 1, 1, "$1", int(NOW - age)),
        "ws-a",
        0,
        None,
        0,
        False,
        False,
        False,
        False,
        False,
        Owner.NONE,
        "3.3a",
        windows,
    )
    return Facts(session, "a", None, NOW)


def test_a_sweep(capsys: pytest.CaptureFixture[str]) -> None:
    entry = SessionReport("/s", "ws-a", "$1", "a", Verdict.REAP, "orphan", None, Outcome.REAPED, facts=facts(30, 600))
    unknown = Unknown(Source.SOCKET, "it is\nbroken")
    tables.show_sweep(SweepReport("01J", 1.0, sessions=[entry], unknown=[unknown], unmanaged=2, latched=True))
    assert shown(capsys) == [
        "SESSION VERDICT REASON OUTCOME HELD BY IDLE AGE SOCKET",
        "ws-a reap orphan reaped - 30s 10m s",
        "UNKNOWN socket: it is\\nbroken",
        "The breaker is latched: no orphan is reaped. 'breaker' shows why, 'sweep --approve' shows what it holds back.",
        "1 managed (0 keep, 0 hold, 1 reap), 1 reaped, 0 spared, 0 failed, 2 unmanaged; 0.00 s",
    ]


@pytest.mark.parametrize("what", ["a sweep", "the status"])
def test_the_verdicts_add_up_to_the_managed_sessions(capsys: pytest.CaptureFixture[str], what: str) -> None:
    verdicts = (Verdict.KEEP, Verdict.HOLD, Verdict.HOLD, Verdict.REAP, Verdict.REAP, Verdict.REAP)
    report = SweepReport("01J", 1.0, sessions=[SessionReport("/s", "ws", "$1", "a", one) for one in verdicts])
    if what == "a sweep":
        tables.show_sweep(report)
    else:
        tables.show_status(Status(json.loads(report.to_json()), [], BreakerState(), 60.0, enabled=True))
    [line] = [line for line in shown(capsys) if " managed" in line]
    assert "6 managed (1 keep, 2 hold, 3 reap), 0 reaped" in line
    totals = report.head()["totals"]
    assert (totals["managed"], totals["held"], totals["condemned"]) == (6, 2, 3)


@pytest.mark.parametrize(
    ("report", "last"),
    [
        pytest.param(SweepReport("01J", 1.0, abstained="disabled"), "no session was looked at: disabled", id="abstained"),
        pytest.param(
            SweepReport("01J", 1.0, dry_run=True),
            "0 managed (0 keep, 0 hold, 0 reap), 0 would be reaped, 0 spared, 0 failed, 0 unmanaged; 0.00 s",
            id="dry run",
        ),
        pytest.param(
            SweepReport("01J", 1.0, unknown=[Unknown(Source.LEDGER, "locked")]),
            "UNKNOWN ledger: locked",
            id="nothing seen",
        ),
        pytest.param(
            SweepReport("01J", 1.0, unknown=[Unknown(Source.SOCKET, "gone")], unmanaged=1),
            "0 managed (0 keep, 0 hold, 0 reap), 0 reaped, 0 spared, 0 failed, 1 unmanaged; 0.00 s",
            id="not all seen",
        ),
    ],
)
def test_a_sweep_without_sessions(capsys: pytest.CaptureFixture[str], report: SweepReport, last: str) -> None:
    tables.show_sweep(report)
    lines = shown(capsys)
    assert lines[-1] == last
    assert ("no managed session" in lines) is report.complete


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (119, "119s"), (120, "2m"), (7199, "120m"), (7200, "2h"), (172_800, "2d")], ids=str
)
def test_an_age(capsys: pytest.CaptureFixture[str], seconds: float, text: str) -> None:
    entry = SessionReport("/s", "ws-a", "$1", "a", Verdict.KEEP, facts=facts(seconds, 0))
    tables.show_sessions([entry])
    assert shown(capsys)[1].split()[5] == text


@pytest.mark.parametrize(
    ("registry", "rows"),
    [({"rows": 3}, "3"), ({"rows": 101, "rows_capped": True}, "more than 100"), ({"rows_capped": False}, "None"), ({}, "None")],
    ids=["counted", "capped", "unknown", "none"],
)
def test_the_rows_are_counted_to_a_bound(capsys: pytest.CaptureFixture[str], registry: dict[str, object], rows: str) -> None:
    report = json.loads(SweepReport("01J", 60.0).to_json()) | {"registry": registry}
    status = Status(report, [], BreakerState(), 60.0, enabled=True)
    tables.show_status(status)
    assert shown(capsys)[2].endswith(f", rows: {rows}")
    assert status.as_dict()["registry"]["rows_capped"] is registry.get("rows_capped", False)


def test_the_status_without_a_configuration(capsys: pytest.CaptureFixture[str]) -> None:
    tables.show_status(Status(None, [], BreakerState(), None, enabled=True, configured=False))
    assert shown(capsys)[0] == "not configured, so nothing is reaped: set database_url or registry"


def test_the_status(capsys: pytest.CaptureFixture[str]) -> None:
    report = json.loads(SweepReport("01J", 60.0, registry={"identity": "standard /d", "rows": 3}).to_json())
    alarm = Alarm("blind", 0.0, "no sweep", "one is complete")
    state = BreakerState(latched=True, since=0.0, cause="3 of 4")
    daemon = Holder(7, "2026-01-01T00:00:00Z", "workspace-reaper run")
    status = Status(report, [alarm], state, 60.0, enabled=True, daemon=daemon)
    tables.show_status(status)
    assert status.as_dict()["daemon"] == {"pid": 7, "since": "2026-01-01T00:00:00Z"}
    assert shown(capsys) == [
        "last full sweep 1970-01-01T00:01:00Z, complete",
        "last complete 1970-01-01T00:01:00Z",
        "registry standard /d, rows: 3",
        "sessions 0 managed (0 keep, 0 hold, 0 reap), 0 reaped",
        "daemon running, pid 7, since 2026-01-01T00:00:00Z",
        "breaker latched since 1970-01-01T00:00:00Z: 3 of 4",
        "ALARM SINCE WHAT CLEARS WHEN",
        "blind 1970-01-01T00:00:00Z no sweep one is complete",
    ]


def check(report: dict[str, object] | None, *alarms: Alarm, **changes: bool) -> Status:
    return Status(report, alarms, BreakerState(), 60.0, **{"enabled": True, **changes})


SWEPT = json.loads(SweepReport("01J", 60.0).to_json())
BLIND = Alarm("blind", 0.0, "no sweep", "one is complete")
STRANGE = Alarm("overdue", 60.0, "condemned: vk_\n\x1b[2J", "it is reaped")


@pytest.mark.parametrize(
    ("status", "code", "line"),
    [
        (check(SWEPT), 0, "OK: the last complete sweep started at 1970-01-01T00:01:00Z; 0 managed sessions, no alarm"),
        (check(None, enabled=False), 0, "OK: switched off (enabled = false), so no session is looked at and nothing is reaped"),
        (
            check(SWEPT, BLIND, enabled=False),
            0,
            "OK: switched off (enabled = false), so no session is looked at and nothing is reaped",
        ),
        (check(None, BLIND), 3, "UNKNOWN: no full sweep yet"),
        (check(None, BLIND, configured=False, enabled=False), 3, "UNKNOWN: not configured, so nothing is reaped: "),
        (check(SWEPT, BLIND), 1, "ALARM: blind since 1970-01-01T00:00:00Z: no sweep"),
        (
            check(SWEPT, BLIND, STRANGE),
            1,
            "ALARM: blind since 1970-01-01T00:00:00Z: no sweep; "
            r"overdue since 1970-01-01T00:01:00Z: condemned: vk_\n\x1b[2J",
        ),
    ],
    ids=["fine", "switched off", "off with an alarm", "never swept", "not configured", "an alarm", "two, and a strange name"],
)
def test_status_for_a_monitoring(capsys: pytest.CaptureFixture[str], status: Status, code: int, line: str) -> None:
    tables.show_check({None: status}, status.check_code)
    [told] = capsys.readouterr().out.splitlines()
    assert told.startswith(line)
    assert status.check_code == code


def test_the_status_before_anything_happened(capsys: pytest.CaptureFixture[str]) -> None:
    tables.show_status(Status(None, [], BreakerState(), None, enabled=False))
    assert shown(capsys) == [
        "switched off, so nothing is reaped: set enabled = true",
        "no full sweep yet: 'workspace-reaper sweep --dry-run' shows what one would do",
        "daemon not running",
        "breaker closed",
        "no alarm",
    ]


def test_an_explanation(capsys: pytest.CaptureFixture[str]) -> None:
    entry = {"session": "ws-a", "session_id": "$1", "socket": "/s", "workspace_id": None}
    rules = (RuleExplanation("idle", True, ("pinned",), "it is"), RuleExplanation("dead", False, (), "it is not"))
    facts = {"idle_seconds": 176_400, "age_seconds": 90, "row": None, "server": {"pid": 7, "version": "3.3a"}}
    tables.show_explanation(Explanation(entry, facts, rules, "hold: idle"))
    assert shown(capsys) == [
        "ws-a ($1) on /s, workspace -",
        "decided: hold: idle",
        "RULE HOLDS BECAUSE",
        "idle yes it is",
        "dead no it is not",
        "FACT VALUE",
        "idle 49h",
        "age 90 s",
        "row -",
        "server pid 7",
        "server version 3.3a",
    ]


def test_an_explanation_without_anything(capsys: pytest.CaptureFixture[str]) -> None:
    entry = {"session": "ws-a", "session_id": "$1", "socket": "/s", "workspace_id": "a"}
    tables.show_explanation(Explanation(entry, {}, (), "hold"))
    assert shown(capsys)[-1] == "no fact could be read"


def test_the_history(capsys: pytest.CaptureFixture[str]) -> None:
    intent = Intent("01J", "01K", 60.0, KEY, "ws-a", "a", "orphan", {})
    left = ProcessCleanup(survivors=(SurvivingProcess(7, "sshd", "other logins come through it"),), freed_bytes=812_433_408)
    show_history(
        [(None, Reap(intent, Outcome.SPARED, "attached"), False), (None, Reap(intent, Outcome.REAPED, None, left, None), True)]
    )
    assert shown(capsys) == [
        "ID TIME SESSION WORKSPACE REASON OUTCOME WHY FREED LEFT RESTORABLE",
        "01J 1970-01-01T00:01:00Z ws-a a orphan spared attached - - no",
        "01J 1970-01-01T00:01:00Z ws-a a orphan reaped - 812.4 MB 1 yes",
    ]


def test_checks(capsys: pytest.CaptureFixture[str]) -> None:
    tables.show_checks([Check("tmux", "OK", "3.3a"), Check("database", "FAIL", "gone", "fix it")])
    assert capsys.readouterr().out == "OK   tmux: 3.3a\nFAIL database: gone\n      fix it\n"


def test_a_command_of_the_doctor_is_not_broken_on_a_terminal(on_terminal: Run) -> None:
    command = "tmux -S " + "/long" * 30 + " set-option"
    assert f"\n      {command}\n" in plain(
        on_terminal(lambda: tables.show_checks([Check("socket", "WARN", "x " * 60, command)]))
    )


def test_the_console_is_the_only_place_that_prints() -> None:
    package = Path(console.__file__).parent
    assert [path.name for path in package.rglob("*.py") if prints(ast.parse(path.read_text()))] == ["console.py"]


def prints(tree: ast.AST) -> bool:
    nodes = list(ast.walk(tree))
    called = {node.id for node in nodes if isinstance(node, ast.Name)}
    imported = {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    imported |= {name.name for node in nodes if isinstance(node, ast.Import) for name in node.names}
    return "print" in called or "rich" in {name.partition(".")[0] for name in imported}
