"""Work in a background thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Protocol, TypeVar

T = TypeVar("T")


class InBackground(Protocol):
    """Starts work, under a name, and returns a function that waits for its result or raises its exception."""

    def __call__(self, work: Callable[[], T], name: str, /) -> Callable[[], T]: ...


def run_in_background(work: Callable[[], T], name: str) -> Callable[[], T]:
    """Run ``work`` once in a daemon thread called ``name``. See `InBackground`.

    If no thread can be started (the interpreter ends, or the machine has no resources left), the work runs at once.
    """
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - the future raises it
            future.set_exception(error)

    try:
        threading.Thread(target=run, name=name, daemon=True).start()
    except RuntimeError:
        run()
    return future.result
