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

from workspace_reaper.demo.cast import Ending, Role
from workspace_reaper.demo.client import Client
from workspace_reaper.demo.interrupts import Interrupted, Interrupts
from workspace_reaper.demo.outcome import Outcome, ending
from workspace_reaper.demo.processes import Started, end_all
from workspace_reaper.demo.run import show
from workspace_reaper.demo.sandbox import Sandbox, environment
from workspace_reaper.explain import Explanation
from workspace_reaper.memory import Intent, Reap
from workspace_reaper.model import SessionKey


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
        Client([str(tmp_path / "tmux")], {})
    assert psutil.Process().num_fds() == descriptors


def test_a_process_that_will_not_hear_is_killed() -> None:
    code = "import signal,sys,time; signal.signal(15, signal.SIG_IGN); print(flush=True); time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as deaf:
        deaf.stdout.readline()
        started = Started.now(deaf.pid)
        assert started is not None
        assert started.runs
        assert end_all([started], patience=0.1) == []
        assert deaf.wait() == -signal.SIGKILL


def test_another_process_with_the_same_pid_is_left_alone() -> None:
    ourselves = Started.now(os.getpid())
    assert ourselves is not None
    stranger = Started(ourselves.pid, ourselves.at - 1)
    assert not stranger.runs
    assert end_all([stranger], patience=0.0) == []


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
    return Reap(Intent("01J", "01J", 1.0, key, "ws-a", "a", "orphan", {}), outcome)


def entry(verdict: str, reason: str | None = None, by: str | None = None, outcome: str = "none") -> dict[str, object]:
    return {"verdict": verdict, "reason": reason, "protected_by": by, "outcome": outcome}


def told(verdict: str, stamp: str) -> Explanation:
    return Explanation({"verdict": verdict}, {"stamp": stamp}, (), "")


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
    assert show([Outcome(role, happened)], 1.0) == code
    assert ("DIFFERS ws-a" in capsys.readouterr().out) is bool(code)
