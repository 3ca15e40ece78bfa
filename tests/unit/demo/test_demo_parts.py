"""The parts of the demo that need no tmux: its sandbox, its processes, its signals, and what it makes of what it sees."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path

import psutil
import pytest

from tests.tools.waiting import wait_until
from workspace_reaper.demo.helpers import TALKER_SAYS, Crew, ending_of_helper, starts_of_talker
from workspace_reaper.demo.processes import DemoFailed, Started, end_all
from workspace_reaper.demo.results import DemoOutcome, ending
from workspace_reaper.demo.run import show
from workspace_reaper.demo.sandbox import Sandbox, environment
from workspace_reaper.demo.scenario import Ending, Role
from workspace_reaper.demo.steps import ending_of_comeback
from workspace_reaper.demo.tmux import DemoClient
from workspace_reaper.model.reap import EndedProcess, Intent, Outcome, ProcessCleanup, Reap, SurvivingProcess
from workspace_reaper.model.session import SessionKey
from workspace_reaper.sweep.explain import Explanation
from workspace_reaper.util.interrupts import Interrupted, Interrupts


def test_a_place_too_deep_for_a_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / ("x" * 100)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    sandbox = Sandbox()
    try:
        assert sandbox.directory.parent == Path("/tmp").resolve()
        assert sandbox.directory.stat().st_mode & 0o777 == 0o700
        assert list(deep.iterdir()) == []
    finally:
        assert sandbox.close()


def test_what_can_not_be_removed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    sandbox = Sandbox()
    with environment(sandbox.configure()):
        assert os.environ["WORKSPACE_REAPER_CONFIG"] == str(sandbox.directory / "workspace-reaper.toml")
    assert not sandbox.close(within=-1.0)
    assert sandbox.close()


def test_a_client_that_can_not_be_started_leaves_no_terminal(tmp_path: Path) -> None:
    descriptors = psutil.Process().num_fds()
    with pytest.raises(FileNotFoundError):
        DemoClient([str(tmp_path / "tmux")], {})
    assert psutil.Process().num_fds() == descriptors


def test_a_process_that_will_not_hear_is_killed() -> None:
    code = "import signal,sys,time; signal.signal(15, signal.SIG_IGN); print(flush=True); time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as deaf:
        deaf.stdout.readline()
        started = Started.now(deaf.pid)
        assert started is not None
        assert started.runs
        assert end_all([started], patience=1.0) == []
        assert deaf.wait() == -signal.SIGKILL


def test_another_process_with_the_same_pid_is_left_alone() -> None:
    ourselves = Started.now(os.getpid())
    assert ourselves is not None
    stranger = Started(ourselves.pid, ourselves.at - 1)
    assert not stranger.runs
    assert end_all([stranger], patience=0.0) == []


def test_helpers_that_leave_their_parent_are_ended(tmp_path: Path) -> None:
    """Nobody has told them to end, one ignores SIGTERM, and all are nobody's children."""
    workspace, elsewhere = tmp_path / "workspace", tmp_path / "elsewhere"
    workspace.mkdir()
    elsewhere.mkdir()
    crew = Crew(elsewhere)
    try:
        with subprocess.Popen(crew.board(workspace), cwd=workspace, stdin=subprocess.DEVNULL) as agent:
            crew.wait(10)
            agent.kill()
        processes = [psutil.Process(int(file.read_text())) for file in elsewhere.iterdir()]
        assert sorted(process.cwd() for process in processes) == sorted([str(elsewhere), str(workspace), str(workspace)])
        assert agent.pid not in [process.ppid() for process in processes]
        assert {os.getsid(process.pid) for process in processes}.isdisjoint({os.getsid(0), agent.pid})
        assert all(end.word == "overlooked" for end in crew.endings(None).values())
        assert all(text.endswith(": the reaper says nothing of it; it still runs") for text in crew.tell(None))
    finally:
        assert crew.close(patience=1.0) == []
    assert all(text.endswith("; it is gone") for text in crew.tell(None))


def test_helpers_that_nobody_knows_end_with_the_directory(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    crew = Crew(elsewhere)
    with subprocess.Popen(crew.board(tmp_path), cwd=tmp_path, stdin=subprocess.DEVNULL) as agent:
        wait_until(lambda: len(list(elsewhere.glob("*.pid"))) == 3)
        agent.kill()
    processes = [psutil.Process(int(file.read_text())) for file in elsewhere.iterdir()]
    for file in elsewhere.iterdir():
        file.unlink()
    wait_until(lambda: not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in processes))


def test_helpers_that_do_not_start(tmp_path: Path) -> None:
    crew = Crew(tmp_path)
    with pytest.raises(DemoFailed, match=r"the helper processes did not start within 0 s"):
        crew.wait(0)
    assert crew.close() == []


ENDED = ProcessCleanup(ended=(EndedProcess(7, "x", "TERM"),))


@pytest.mark.parametrize(
    ("after", "runs", "expected"),
    [
        pytest.param(ENDED, False, Ending("ended", "TERM"), id="ended"),
        pytest.param(ENDED, True, Ending("undead", "TERM"), id="ended, they say"),
        pytest.param(ProcessCleanup(survivors=(SurvivingProcess(7, "x", "why"),)), True, Ending("left", "why"), id="left"),
        pytest.param(
            ProcessCleanup(survivors=(SurvivingProcess(7, "x", "why"),)), False, Ending("gone", "why"), id="left, they say"
        ),
        pytest.param(ProcessCleanup(), False, Ending("overlooked", "it is in no report"), id="in no report"),
    ],
)
def test_what_became_of_a_helper(after: ProcessCleanup, runs: bool, expected: Ending) -> None:
    assert ending_of_helper(7, after, runs=runs) == expected


SHOWN = [*TALKER_SAYS, "[as it was at T, by workspace-reaper; was running: sh agent]"]


@pytest.mark.parametrize(
    ("lines", "answered", "starts", "why"),
    [
        pytest.param(SHOWN, True, 1, "old text, not run", id="as expected"),
        pytest.param(["older", *SHOWN], True, 1, "old text, not run", id="more than expected"),
        pytest.param(SHOWN, True, 2, "started 2 times", id="run again"),
        pytest.param(SHOWN, True, 0, "started 0 times", id="never run"),
        pytest.param(SHOWN, False, 1, "without a shell", id="no shell"),
        pytest.param(SHOWN[1:], True, 1, "without its text", id="text cut"),
        pytest.param(SHOWN[:-1], True, 1, "without its text", id="no note"),
        pytest.param([], True, 1, "without its text", id="empty"),
    ],
)
def test_what_to_think_of_a_restored_pane(lines: list[str], answered: bool, starts: int, why: str) -> None:
    assert ending_of_comeback(lines, answered=answered, starts=starts) == Ending("restored", why)


def test_what_never_ran_was_started_never(tmp_path: Path) -> None:
    assert starts_of_talker(tmp_path) == 0


def test_no_process_has_started() -> None:
    assert Started.now(2**31 - 1) is None


def test_a_signal_is_noted_and_told_at_the_next_check() -> None:
    with Interrupts() as interrupts:
        interrupts.check()
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        wait_until(lambda: interrupts.signal)
        assert interrupts.signal is signal.SIGTERM
        with pytest.raises(Interrupted):
            interrupts.wait(lambda: True, 1)


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Interrupts() as interrupts:
            os.kill(os.getpid(), signal.SIGHUP)
            assert interrupts.signal is None
            assert not interrupts.wait(lambda: False, 0.01)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("final", [True, False])
@pytest.mark.parametrize("noted", [True, False])
def test_only_a_program_that_ends_because_of_a_signal_is_deaf_to_the_next(*, final: bool, noted: bool) -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        with Interrupts(final=final) as interrupts:
            if noted:
                os.kill(os.getpid(), signal.SIGTERM)
                wait_until(lambda: interrupts.signal)
        assert signal.getsignal(signal.SIGTERM) is (signal.SIG_IGN if final and noted else before[signal.SIGTERM])
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_interrupts_in_another_thread() -> None:
    found: list[bool] = []

    def enter() -> None:
        with Interrupts() as interrupts:
            found.append(interrupts.wait(lambda: True, 1))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert found == [True]


def reap(outcome: str) -> Reap:
    key = SessionKey("/s", 1, 1, "$1", 1)
    return Reap(Intent("01J", "01J", 1.0, key, "ws-a", "a", "orphan", {}), Outcome(outcome))


def entry(verdict: str, reason: str | None = None, by: str | None = None, outcome: str = "none") -> dict[str, object]:
    return {"verdict": verdict, "reason": reason, "protected_by": by, "outcome": outcome}


def told(verdict: str, owner: str) -> Explanation:
    return Explanation({"verdict": verdict}, {"owner": owner}, (), "")


@pytest.mark.parametrize(
    ("there", "by_history", "in_report", "explained", "expected"),
    [
        pytest.param(False, reap("reaped"), None, None, Ending("reaped", "orphan"), id="reaped"),
        pytest.param(True, reap("reaped"), None, None, Ending("undead", "orphan"), id="reaped, they say"),
        pytest.param(False, None, entry("keep"), None, Ending("gone", "nobody says why"), id="gone"),
        pytest.param(False, reap("spared"), None, None, Ending("gone", "nobody says why"), id="spared, and gone"),
        pytest.param(True, reap("spared"), entry("keep"), None, Ending("kept", "no reason holds"), id="kept"),
        pytest.param(True, None, entry("hold", "idle", "pinned"), None, Ending("held", "idle, pinned"), id="held"),
        pytest.param(
            True, None, entry("reap", "idle", "active", "spared"), None, Ending("spared", "idle, active"), id="spared"
        ),
        pytest.param(True, None, None, told("unmanaged", "foreign"), Ending("ignored", "another's stamp"), id="foreign"),
        pytest.param(True, None, None, told("unmanaged", "none"), Ending("ignored", "no workspace name"), id="nameless"),
        pytest.param(True, None, None, told("unmanaged", "ours"), Ending("ignored", "unmanaged"), id="ours"),
        pytest.param(True, None, None, told("keep", "none"), Ending("overlooked", "it is in no report"), id="overlooked"),
    ],
)
def test_what_became_of_a_session(
    there: bool,
    by_history: Reap | None,
    in_report: Mapping[str, object] | None,
    explained: Explanation | None,
    expected: Ending,
) -> None:
    assert ending(there, by_history, in_report, explained) == expected


@pytest.mark.parametrize(
    ("happened", "code"),
    [
        pytest.param(Ending("held", "idle, pinned"), 0, id="as expected"),
        pytest.param(Ending("held", "idle, attached"), 1, id="for another reason"),
        pytest.param(Ending("reaped", "idle, pinned"), 1, id="another end"),
    ],
)
def test_a_difference_is_a_failure(capsys: pytest.CaptureFixture[str], happened: Ending, code: int) -> None:
    role = Role("ws-a", "any", Ending("held", "idle, pinned"))
    assert show([DemoOutcome(role, happened)], 1.0) == code
    assert ("DIFFERS ws-a" in capsys.readouterr().out) is bool(code)
