"""Work in a background thread."""

from __future__ import annotations

import threading

import pytest

from workspace_reaper.util.threads import run_in_background


def test_it_runs_in_a_thread_of_that_name_and_returns_its_result() -> None:
    go, begun = threading.Event(), threading.Event()

    def work() -> str:
        begun.set()
        assert go.wait(60)
        return threading.current_thread().name

    future = run_in_background(work, "the name of it")
    assert begun.wait(60)
    go.set()
    assert (future.result(), future.result()) == ("the name of it", "the name of it")


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_is_raised_by_the_future(error: type[BaseException]) -> None:
    def work() -> None:
        raise error

    future = run_in_background(work, "x")
    for _ in range(2):
        with pytest.raises(error):
            future.result()
