"""Wait for something to become true, instead of sleeping and hoping."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

__all__ = ["next_second", "wait_until"]

T = TypeVar("T")


def wait_until(predicate: Callable[[], T], timeout: float = 10.0, *, every: float = 0.01) -> T:
    """Poll until ``predicate`` returns something true, and return that. Raises ``AssertionError`` after ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        if value := predicate():
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"still not so after {timeout:g} s: {predicate!r}")
        time.sleep(every)


def next_second() -> None:
    """Wait until the wall clock shows another second: tmux dates the creation of a session by whole seconds."""
    now = int(time.time())
    wait_until(lambda: int(time.time()) != now)
