"""Tests of the ticker, with real threads and real event loops."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from queue import SimpleQueue

import pytest

from workspace_hookspecs import WorkspacePlugins, hookimpl

LIMIT = 20.0


class Listener:
    def __init__(self) -> None:
        self.moments: SimpleQueue[datetime] = SimpleQueue()

    @hookimpl
    def on_tick(self, now: datetime) -> None:
        self.moments.put(now)


@pytest.fixture(autouse=True)
def _every_ticker_ends() -> Iterator[None]:
    yield
    assert eventually(lambda: not ticker_threads())


@pytest.fixture
def plugins() -> Iterator[WorkspacePlugins]:
    with WorkspacePlugins() as made:
        yield made


@pytest.fixture
def listener(plugins: WorkspacePlugins) -> Listener:
    made = Listener()
    plugins.register(made, "listener")
    return made


def ticker_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "workspace plugins ticking"]


def eventually(happened: Callable[[], object]) -> bool:
    deadline = time.monotonic() + LIMIT
    while not happened() and time.monotonic() < deadline:
        time.sleep(0.001)
    return bool(happened())


def nothing_more_comes(plugins: WorkspacePlugins, listener: Listener) -> bool:
    """Return whether the ticker's thread has ended and no tick is left."""
    assert eventually(lambda: not ticker_threads())
    assert plugins.drain(LIMIT)
    return listener.moments.empty()


def test_it_ticks_at_once_and_then_regularly_on_a_thread(plugins: WorkspacePlugins, listener: Listener) -> None:
    with plugins.ticking(every=0.02):
        (ticker,) = ticker_threads()
        assert ticker.daemon
        moments = [listener.moments.get(timeout=LIMIT) for _ in range(4)]
    assert moments == sorted(moments)
    assert plugins.drain(LIMIT)
    while not listener.moments.empty():
        listener.moments.get_nowait()
    assert nothing_more_comes(plugins, listener)


def test_the_first_tick_does_not_wait(plugins: WorkspacePlugins, listener: Listener) -> None:
    with plugins.ticking():
        listener.moments.get(timeout=LIMIT)
    assert nothing_more_comes(plugins, listener)


def test_it_ticks_while_the_event_loop_is_blocked(plugins: WorkspacePlugins, listener: Listener) -> None:
    async def host() -> None:
        async with plugins.ticking(every=0.02):
            for _ in range(4):
                listener.moments.get(timeout=LIMIT)

    asyncio.run(host())
    assert eventually(lambda: not ticker_threads())


def test_it_ticks_while_the_event_loop_runs(plugins: WorkspacePlugins, listener: Listener) -> None:
    async def host() -> None:
        async with plugins.ticking(every=0.02):
            for _ in range(4):
                await asyncio.to_thread(listener.moments.get, timeout=LIMIT)

    asyncio.run(host())
    assert eventually(lambda: not ticker_threads())


def test_a_cancelled_host_stops_its_ticker(plugins: WorkspacePlugins, listener: Listener) -> None:
    async def serve() -> None:
        async with plugins.ticking(every=0.02):
            await asyncio.Event().wait()

    async def host() -> None:
        server = asyncio.create_task(serve())
        await asyncio.to_thread(listener.moments.get, timeout=LIMIT)
        server.cancel()
        with pytest.raises(asyncio.CancelledError):
            await server

    asyncio.run(host())
    assert eventually(lambda: not ticker_threads())


def test_it_ends_with_an_error_in_the_block(plugins: WorkspacePlugins) -> None:
    with pytest.raises(KeyError), plugins.ticking(every=0.02):
        raise KeyError
    assert eventually(lambda: not ticker_threads())


def test_close_stops_the_tickers(plugins: WorkspacePlugins, listener: Listener, caplog: pytest.LogCaptureFixture) -> None:
    with plugins.ticking(every=0.02), plugins.ticking(every=0.02):
        assert len(ticker_threads()) == 2
        plugins.close()
        assert eventually(lambda: not ticker_threads())


def test_closing_while_it_ticks_logs_no_late_tick(caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(5):
        with WorkspacePlugins() as plugins:
            listeners = [Listener() for _ in range(30)]
            for listener in listeners:
                plugins.register(listener)
            plugins.ticking(every=1e-9).__enter__()
            listeners[0].moments.get(timeout=LIMIT)
    assert not caplog.records


@pytest.mark.parametrize("every", [0, -1, math.nan, math.inf], ids=str)
def test_every_is_a_positive_number_of_seconds(plugins: WorkspacePlugins, every: float) -> None:
    with pytest.raises(ValueError, match="every must be a positive number of seconds"):
        plugins.ticking(every=every)


def test_a_ticker_can_be_entered_once(plugins: WorkspacePlugins) -> None:
    ticker = plugins.ticking()
    with ticker, pytest.raises(RuntimeError, match="call ticking"):
        ticker.__enter__()
    with pytest.raises(RuntimeError, match="call ticking"):
        ticker.__enter__()


def test_a_closed_host_has_no_ticker(plugins: WorkspacePlugins) -> None:
    early = plugins.ticking()
    plugins.close()
    with pytest.raises(RuntimeError, match="closed"):
        plugins.ticking()
    with pytest.raises(RuntimeError, match="stopped before"):
        early.__enter__()
    assert not ticker_threads()


def test_a_ticker_that_was_never_entered_starts_no_thread(plugins: WorkspacePlugins) -> None:
    plugins.ticking()
    plugins.close()
    assert not ticker_threads()
