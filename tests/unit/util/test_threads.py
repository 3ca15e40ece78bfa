"""Work that goes on while something else is waited for."""

from __future__ import annotations

import threading

import pytest

from workspace_reaper.util.threads import Beside


def test_it_goes_on_meanwhile_and_is_waited_for() -> None:
    go, begun = threading.Event(), threading.Event()

    def work() -> str:
        begun.set()
        assert go.wait(60)
        return threading.current_thread().name

    beside = Beside(work, "the name of it")
    assert begun.wait(60)
    go.set()
    assert (beside.result(), beside.result()) == ("the name of it", "the name of it")


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_what_it_raises_is_raised_where_the_result_is_asked_for(error: type[BaseException]) -> None:
    def work() -> None:
        raise error

    beside = Beside(work, "x")
    for _ in range(2):
        with pytest.raises(error):
            beside.result()
