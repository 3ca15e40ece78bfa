"""Work in a background thread."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from workspace_reaper.util.threads import run_in_background


def test_it_runs_in_a_thread_of_that_name_and_returns_its_result() -> None:
    go, begun = threading.Event(), threading.Event()

    def work() -> str:
        begun.set()
        assert go.wait(60)
        return threading.current_thread().name

    result = run_in_background(work, "the name of it")
    assert begun.wait(60)
    go.set()
    assert (result(), result()) == ("the name of it", "the name of it")


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_is_raised_by_the_future(error: type[BaseException]) -> None:
    def work() -> None:
        raise error

    result = run_in_background(work, "x")
    for _ in range(2):
        with pytest.raises(error):
            result()


AT_THE_END = """
import atexit
from workspace_reaper.util.threads import run_in_background
atexit.register(lambda: print(run_in_background(lambda: "done", "x")()))
"""


def test_without_a_thread_the_work_runs_at_once() -> None:
    """No thread starts while the interpreter ends (Python 3.12 and newer), or when the machine has none left."""
    ended = subprocess.run([sys.executable, "-c", AT_THE_END], capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "done\n", "")


def test_a_thread_that_can_not_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert run_in_background(threading.get_ident, "x")() == threading.get_ident()
