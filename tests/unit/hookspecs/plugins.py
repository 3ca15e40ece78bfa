"""Plugins for the tests, and helpers around them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

import pytest

from workspace_hookspecs import Candidate, Reaped, ReaperAlarm, Veto, WorkspacePlugins, hookimpl

LIMIT = 20.0
"""Seconds after which an event is taken for lost."""


ONE = Candidate("01J", "/tmp/a", "vk_one", "$1", "one", "idle", None)
TWO = replace(ONE, session="vk_two", session_id="$2", workspace_id="two")
BOTH = (ONE, TWO)
MOMENT = datetime(2026, 11, 22, 10, tzinfo=timezone.utc)
REAP = Reaped("01J", MOMENT, "/tmp/a", "vk_one", "one", "idle", "reaped", 4096, (), (), True)
ALARM = ReaperAlarm("blind", MOMENT, "no complete sweep yet", "a full sweep reads everything")


class Recorder:
    """A plugin that records its events as (hook, argument), in order, and the threads that they arrived on."""

    def __init__(self) -> None:
        self.events: list[tuple[str, object]] = []
        self.threads: set[threading.Thread] = set()

    def note(self, hook: str, argument: object) -> None:
        self.threads.add(threading.current_thread())
        self.events.append((hook, argument))

    @hookimpl
    def on_workspace_deleted(self, workspace_id: str) -> None:
        self.note("deleted", workspace_id)

    @hookimpl
    def on_workspace_archived(self, workspace_id: str) -> None:
        self.note("archived", workspace_id)

    @hookimpl
    def on_tick(self, now: datetime) -> None:
        self.note("tick", now)


class Stuck(Recorder):
    """A plugin that waits in each hook until ``go`` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.inside = threading.Event()
        self.go = threading.Event()

    def note(self, hook: str, argument: object) -> None:
        super().note(hook, argument)
        self.inside.set()
        self.go.wait(LIMIT)


class Raising(Recorder):
    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error

    def note(self, hook: str, argument: object) -> None:
        super().note(hook, argument)
        raise self.error


class Finishing(Recorder):
    """A plugin with a ``drain`` and a ``close``."""

    def __init__(self, drained: Callable[[float], object] = lambda timeout: True) -> None:
        super().__init__()
        self.drained = drained
        self.timeouts: list[float] = []
        self.closed = 0

    def drain(self, timeout: float) -> object:
        self.timeouts.append(timeout)
        self.events.append(("drain", None))
        return self.drained(timeout)

    def close(self) -> None:
        self.closed += 1
        self.events.append(("close", None))


class Guard:
    """A plugin that returns this answer, or the result of this function. It records the candidates and the threads."""

    def __init__(self, answer: object = None) -> None:
        self.answer = answer
        self.asked: list[Sequence[Candidate]] = []
        self.threads: list[threading.Thread] = []

    @hookimpl
    def reaper_veto(self, candidates: Sequence[Candidate]) -> Any:
        self.asked.append(candidates)
        self.threads.append(threading.current_thread())
        return self.answer() if callable(self.answer) else self.answer


class StuckGuard(Guard):
    """A plugin that waits in its hook until ``go`` is set, and then vetoes ``vk_one``."""

    def __init__(self) -> None:
        super().__init__(self.wait)
        self.inside = threading.Event()
        self.go = threading.Event()

    def wait(self) -> Mapping[str, str]:
        self.inside.set()
        self.go.wait(LIMIT)
        return {"vk_one": "at last"}


class Joining(Guard):
    """A plugin that records the names of the plugins at its ``join``."""

    def __init__(self) -> None:
        super().__init__()
        self.joined: list[WorkspacePlugins] = []
        self.names: list[str] = []

    def join(self, plugins: WorkspacePlugins) -> None:
        self.joined.append(plugins)
        self.names = sorted(name for name, _ in plugins.manager.list_name_plugin())


class Listener:
    def __init__(self, error: BaseException | None = None) -> None:
        self.reaps: list[Reaped] = []
        self.alarms: list[ReaperAlarm] = []
        self.error = error

    @hookimpl
    def on_session_reaped(self, reap: Reaped) -> None:
        self.reaps.append(reap)
        if self.error:
            raise self.error

    @hookimpl
    def on_reaper_alarm(self, alarm: ReaperAlarm) -> None:
        self.alarms.append(alarm)
        if self.error:
            raise self.error


def ask(plugins: WorkspacePlugins, *candidates: Candidate) -> list[Veto]:
    return plugins.ask_vetoes(candidates or BOTH, timeout=LIMIT)


def failing(error: BaseException) -> Callable[[], object]:
    def fail() -> object:
        raise error

    return fail


def eventually(happened: Callable[[], object]) -> bool:
    deadline = time.monotonic() + LIMIT
    while not happened() and time.monotonic() < deadline:
        time.sleep(0.001)
    return bool(happened())


@contextmanager
def no_new_threads() -> Iterator[None]:
    """Have every start of a thread fail: no address space has room for such a stack."""
    before = threading.stack_size(1 << 47)
    try:
        yield
    finally:
        threading.stack_size(before)


def texts(caplog: pytest.LogCaptureFixture, level: int) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == level]
