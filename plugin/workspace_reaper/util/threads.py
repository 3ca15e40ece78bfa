"""Work that goes on in a thread while something else is waited for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["Beside"]

T = TypeVar("T")


class Beside(Generic[T]):
    """Does ``work`` once, in a thread of its own; at once where none can be had: the interpreter ends, or the machine is full.
    The thread keeps no interpreter from ending."""

    def __init__(self, work: Callable[[], T], name: str) -> None:
        self._work = work
        self._error: BaseException | None = None
        self._done: list[T] = []
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        try:
            self._thread.start()
        except RuntimeError:
            self._run()

    def result(self) -> T:
        """Wait for what the work returns, or raises."""
        if self._thread.ident is not None:
            self._thread.join()
        if self._error is not None:
            raise self._error
        return self._done[0]

    def _run(self) -> None:
        try:
            self._done.append(self._work())
        except BaseException as error:  # noqa: BLE001 - it is raised where the result is asked for
            self._error = error
