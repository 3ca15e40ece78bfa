"""Small pieces of work that may hang: each batch has a limit, and what hangs is left behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

# Seconds that a batch may take.
LIMIT = 1.0

# Seconds without progress after which another thread continues with the rest.
_HANGS = 0.25

# The number of threads that may hang at once. Then nothing is asked any more until one returns.
MOST = 4


@dataclass(slots=True, eq=False)
class _Batch:
    """The calls of one thread. ``place`` is where the current one is asked."""

    calls: list[tuple[Any, str, Callable[[], Any]]]
    answers: dict[Any, Any] = field(default_factory=dict)
    done: int = 0
    place: str = ""
    finished: threading.Event = field(default_factory=threading.Event)
    is_abandoned: bool = False

    def run(self) -> None:
        for key, place, call in self.calls:
            if self.is_abandoned:
                break
            self.place = place
            try:
                self.answers[key] = call()
            except (OSError, ValueError) as error:
                self.answers[key] = error
            self.done += 1
        self.finished.set()

    def wait(self, until: float) -> bool:
        """Wait until it is done. Return False if it makes no progress, or if the time is over."""
        while not self.finished.is_set():
            before = self.done
            self.finished.wait(max(0.0, min(_HANGS, until - time.monotonic())))
            if not self.finished.is_set() and (self.done == before or time.monotonic() >= until):
                return False
        return True


class LimitedCalls:
    """Runs calls in a thread, and leaves the thread behind if one of them hangs.

    While an call hangs, no other is asked at the same place.
    """

    def __init__(self) -> None:
        self._hanging: list[_Batch] = []
        self._lock = threading.Lock()

    def run(self, calls: Mapping[K, tuple[str, Callable[[], V]]]) -> dict[K, V | OSError | ValueError]:
        """Run each call, and return its result or the error that it raised. What has no answer within the limit is missing.

        Args:
            calls: The place and the work by key.
        """
        until = time.monotonic() + LIMIT
        answers: dict[K, V | OSError | ValueError] = {}
        with self._lock:
            self._hanging = [one for one in self._hanging if not one.finished.is_set()]
            rest = [(key, place, call) for key, (place, call) in calls.items()]
            while rest and len(self._hanging) < MOST and time.monotonic() < until:
                blocked = {one.place for one in self._hanging}
                batch = _Batch([one for one in rest if one[1] not in blocked])
                if not batch.calls or not _start(batch):
                    break
                if not batch.wait(until):
                    batch.is_abandoned = True
                    self._hanging.append(batch)
                answers |= dict(list(batch.answers.items()))
                rest = [one for one in batch.calls[batch.done + 1 :] if one[0] not in answers]
        return answers


def _start(batch: _Batch) -> bool:
    try:
        threading.Thread(target=batch.run, name="workspace-reaper directories", daemon=True).start()
    except RuntimeError:  # no more threads on this machine: nothing is known
        return False
    return True
