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
from workspace_reaper.demo.helpers import TALKER_TEXT, Helpers, helper_ending, talker_starts
from workspace_reaper.demo.processes import DemoFailed, end_all, identify, is_running
from workspace_reaper.demo.results import DemoOutcome, session_ending
from workspace_reaper.demo.run import show
from workspace_reaper.demo.sandbox import sandbox
from workspace_reaper.demo.scenario import DemoCase, Ending
from workspace_reaper.demo.steps import restored_ending
from workspace_reaper.model.process import ProcessKey
from workspace_reaper.model.reap import EndedProcess, Intent, Outcome, ProcessCleanup, Reap, SurvivingProcess
from workspace_reaper.model.session import SessionKey
from workspace_reaper.sweep.explain import Explanation
from workspace_reaper.util.interrupts import Interrupted, Interrupts


def test_a_place_too_deep_for_a_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / ("x" * 100)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    left: list[str] = []
    with sandbox(left) as directory:
        assert directory.parent == Path("/tmp").resolve()
        assert directory.stat().st_mode & 0o777 == 0o700
        assert list(deep.iterdir()) == []
    assert not directory.exists()
    assert left == []


def test_what_can_not_be_removed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    left: list[str] = []
    with sandbox(left, patience=-1.0) as directory:
        assert os.environ["WORKSPACE_REAPER_CONFIG"] == str(directory / "workspace-reaper.toml")
    assert left == [str(directory)]
    assert directory.exists()


def test_a_process_that_will_not_hear_is_killed() -> None:
    code = "import signal,sys,time; signal.signal(15, signal.SIG_IGN); print(flush=True); time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as deaf:
        deaf.stdout.readline()
        started = identify(deaf.pid)
        assert started is not None
        assert is_running(started)
        assert end_all([started], patience=1.0) == []
        assert deaf.wait() == -signal.SIGKILL


def test_another_process_with_the_same_pid_is_left_alone() -> None:
    ourselves = identify(os.getpid())
    assert ourselves is not None
    stranger = ProcessKey(ourselves.pid, ourselves.started - 1)
    assert not is_running(stranger)
    assert end_all([stranger], patience=0.0) == []


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    directory = tmp_path / "workspace"
    directory.mkdir()
    return directory


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    directory = tmp_path / "elsewhere"
    directory.mkdir()
    return directory


def test_helpers_that_leave_their_parent_are_ended(workspace: Path, elsewhere: Path) -> None:
    """No one has told them to end, one ignores SIGTERM, and none has a parent."""
    helpers = Helpers(elsewhere)
    try:
        with subprocess.Popen(helpers.command(workspace), cwd=workspace, stdin=subprocess.DEVNULL) as agent:
            pids = helpers.wait(10)
            agent.kill()
        processes = [psutil.Process(pid) for pid in pids]
        assert pids == [int((elsewhere / f"{name}.pid").read_text()) for name in ("dev-server", "watcher", "cache")]
        assert [process.cwd() for process in processes] == [str(workspace), str(workspace), str(elsewhere)]
        assert agent.pid not in [process.ppid() for process in processes]
        assert {os.getsid(process.pid) for process in processes}.isdisjoint({os.getsid(0), agent.pid})
        assert all(end.word == "unreported" for end in helpers.endings(ProcessCleanup()).values())
        ending = ": not in the report of the reaper; it is still running"
        assert all(text.endswith(ending) for text in helpers.sentences(ProcessCleanup()))
    finally:
        assert end_all(helpers.processes.values(), patience=1.0) == []
    assert all(text.endswith("; it is gone") for text in helpers.sentences(ProcessCleanup()))


@pytest.mark.parametrize("how", ["dismissed", "the directory is removed"])
def test_helpers_end_when_their_files_are_gone(workspace: Path, elsewhere: Path, how: str) -> None:
    helpers = Helpers(elsewhere)
    with subprocess.Popen(helpers.command(workspace), cwd=workspace, stdin=subprocess.DEVNULL) as agent:
        helpers.wait(10)
        agent.kill()
    if how == "dismissed":
        helpers.dismiss()
    else:
        for file in elsewhere.iterdir():
            file.unlink()
    wait_until(lambda: not any(is_running(process) for process in helpers.processes.values()))


def test_helpers_that_do_not_start(tmp_path: Path) -> None:
    helpers = Helpers(tmp_path)
    with pytest.raises(DemoFailed, match=r"the helper processes did not start within 0 s"):
        helpers.wait(0)
    helpers.dismiss()
    assert helpers.processes == {}


ENDED = ProcessCleanup(ended=(EndedProcess(7, "x", "TERM"),))


@pytest.mark.parametrize(
    ("after", "runs", "expected"),
    [
        pytest.param(ENDED, False, Ending("ended", "TERM"), id="ended"),
        pytest.param(ENDED, True, Ending("running", "TERM"), id="ended, they say"),
        pytest.param(ProcessCleanup(survivors=(SurvivingProcess(7, "x", "why"),)), True, Ending("left", "why"), id="left"),
        pytest.param(
            ProcessCleanup(survivors=(SurvivingProcess(7, "x", "why"),)), False, Ending("gone", "why"), id="left, they say"
        ),
        pytest.param(ProcessCleanup(), False, Ending("unreported", "not in the report"), id="in no report"),
    ],
)
def test_what_became_of_a_helper(after: ProcessCleanup, runs: bool, expected: Ending) -> None:
    assert helper_ending(7, after, running=runs) == expected


SHOWN = [*TALKER_TEXT, "[as it was at T, by workspace-reaper; was running: sh agent]"]


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
    assert restored_ending(lines, answered=answered, starts=starts) == Ending("restored", why)


def test_what_never_ran_was_started_never(tmp_path: Path) -> None:
    assert talker_starts(tmp_path) == 0


def test_no_process_has_started() -> None:
    assert identify(2**31 - 1) is None


def test_a_signal_is_noted_and_told_at_the_next_check() -> None:
    with Interrupts() as interrupts:
        interrupts.check()
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        wait_until(lambda: interrupts.signal)
        assert interrupts.signal is signal.SIGTERM
        with pytest.raises(Interrupted):
            interrupts.wait(lambda: True, 1)


@pytest.mark.usefixtures("restored_signals")
def test_a_signal_that_is_ignored_stays_ignored() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with Interrupts() as interrupts:
        os.kill(os.getpid(), signal.SIGHUP)
        assert interrupts.signal is None
        assert not interrupts.wait(lambda: False, 0.01)
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


@pytest.mark.usefixtures("restored_signals")
@pytest.mark.parametrize("final", [True, False])
@pytest.mark.parametrize("noted", [True, False])
def test_only_a_program_that_ends_because_of_a_signal_is_deaf_to_the_next(*, final: bool, noted: bool) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with Interrupts(final=final) as interrupts:
        if noted:
            os.kill(os.getpid(), signal.SIGTERM)
            wait_until(lambda: interrupts.signal)
    assert signal.getsignal(signal.SIGTERM) is (signal.SIG_IGN if final and noted else before)


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
        pytest.param(True, reap("reaped"), None, None, Ending("present", "orphan"), id="reaped, they say"),
        pytest.param(False, None, entry("keep"), None, Ending("gone", "not in the history"), id="gone"),
        pytest.param(False, reap("spared"), None, None, Ending("gone", "not in the history"), id="spared, and gone"),
        pytest.param(True, reap("spared"), entry("keep"), None, Ending("kept", "no reason holds"), id="kept"),
        pytest.param(True, None, entry("hold", "idle", "pinned"), None, Ending("held", "idle, pinned"), id="held"),
        pytest.param(
            True, None, entry("reap", "idle", "active", "spared"), None, Ending("spared", "idle, active"), id="spared"
        ),
        pytest.param(True, None, None, told("unmanaged", "foreign"), Ending("ignored", "another owner"), id="foreign"),
        pytest.param(True, None, None, told("unmanaged", "none"), Ending("ignored", "no workspace id"), id="nameless"),
        pytest.param(True, None, None, told("unmanaged", "ours"), Ending("ignored", "unmanaged"), id="ours"),
        pytest.param(True, None, None, told("keep", "none"), Ending("unreported", "not in the report"), id="overlooked"),
    ],
)
def test_what_became_of_a_session(
    there: bool,
    by_history: Reap | None,
    in_report: Mapping[str, object] | None,
    explained: Explanation | None,
    expected: Ending,
) -> None:
    assert session_ending(there, by_history, in_report, explained) == expected


@pytest.mark.parametrize(
    ("happened", "code"),
    [
        pytest.param(Ending("held", "idle, pinned"), 0, id="as expected"),
        pytest.param(Ending("held", "idle, attached"), 1, id="for another reason"),
        pytest.param(Ending("reaped", "idle, pinned"), 1, id="another end"),
    ],
)
def test_a_difference_is_a_failure(capsys: pytest.CaptureFixture[str], happened: Ending, code: int) -> None:
    case = DemoCase("ws-a", "any", Ending("held", "idle, pinned"))
    assert show([DemoOutcome(case, happened)], 1.0) == code
    assert ("DIFFERS ws-a" in capsys.readouterr().out) is bool(code)
