"""Our plugin as CAO's own registry loads, calls and ends it, in this process: on real tmux, on a real database."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.tools.hosts import CaoHost
from tests.tools.tmux import TmuxServer
from tests.tools.waiting import wait_until

pytest.importorskip("cli_agent_orchestrator")

from cli_agent_orchestrator.plugins import PluginRegistry, PostCreateSessionEvent, PostKillSessionEvent
from cli_agent_orchestrator.plugins.registry import register_mcp_server_surfaces

from workspace_reaper.hosts.cao import CaoReaper

pytestmark = pytest.mark.cao

EVENTS = {
    "post_kill_session": lambda name: PostKillSessionEvent(session_id=name, session_name=name),
    "post_create_session": lambda name: PostCreateSessionEvent(session_id=name, session_name=name),
}


class Place:
    """Where CAO would run: its database, and the default socket of this environment."""

    def __init__(self, directory: Path) -> None:
        database = directory / "cao" / "db" / "cli-agent-orchestrator.db"
        database.parent.mkdir(parents=True)
        self.host = CaoHost(database)
        self.host.create()
        sockets = directory / f"tmux-{os.getuid()}"
        sockets.mkdir(mode=0o700)
        self.tmux = TmuxServer(name="default", directory=sockets)

    def make(self, *names: str) -> None:
        for name in names:
            self.tmux.new_session(name)
        self.host.insert(names)
        # tmux tells whole seconds: a session of the second in which its name was deleted may be the next of that name.
        made = int(time.time())
        wait_until(lambda: int(time.time()) > made)

    def sessions(self) -> set[str]:
        return set(self.tmux.run("list-sessions", "-F", "#{session_name}").split("\n"))

    def stamped(self, name: str) -> bool:
        return bool(self.tmux.run("show-options", "-qv", "-t", f"={name}:", "@workspace_owner"))


@pytest.fixture
def place(short_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    for name in [name for name in os.environ if name.startswith(("WORKSPACE_REAPER_", "CAO_", "XDG_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(short_tmp))
    monkeypatch.setenv("CAO_HOME_DIR", str(short_tmp / "cao"))
    monkeypatch.setenv("TMUX_TMPDIR", str(short_tmp))
    monkeypatch.setenv("WORKSPACE_REAPER_TICK", "3600")
    place = Place(short_tmp)
    yield place
    place.tmux.close()


async def call(plugin: CaoReaper, event: str, name: str) -> None:
    """As CAO dispatches an event."""
    registry = PluginRegistry()
    registry._register(plugin)
    await registry.dispatch(event, EVENTS[event](name))


@asynccontextmanager
async def running() -> Any:
    plugin = CaoReaper()
    await plugin.setup()
    try:
        yield plugin
    finally:
        await plugin.teardown()


def drained(plugin: CaoReaper, timeout: float = 60) -> bool:
    assert plugin._reaper is not None
    return plugin._reaper.drain(timeout)


def test_a_deleted_session_that_lives_on_goes_at_once(place: Place) -> None:
    """CAO says that it was killed. Our stamp tells that it is the same one."""
    place.make("cao-a", "cao-b")

    async def life() -> None:
        async with running() as plugin:
            assert await asyncio.to_thread(drained, plugin)
            place.host.delete("cao-a")
            await call(plugin, "post_kill_session", "cao-a")
            assert await asyncio.to_thread(drained, plugin)
            assert place.sessions() == {"cao-b"}

    asyncio.run(life())


def test_a_deletion_says_nothing_of_the_next_session_with_that_name(place: Place) -> None:
    """It is there already, and its row is not."""
    place.make("cao-a", "cao-b")

    async def life() -> None:
        async with running() as plugin:
            assert await asyncio.to_thread(drained, plugin)
            place.host.delete("cao-a")
            place.tmux.run("kill-session", "-t", "=cao-a:")
            place.tmux.new_session("cao-a")
            await call(plugin, "post_kill_session", "cao-a")
            assert await asyncio.to_thread(drained, plugin)
            assert place.sessions() == {"cao-a", "cao-b"}
            place.host.insert(["cao-a"])
            await call(plugin, "post_create_session", "cao-a")
            assert await asyncio.to_thread(drained, plugin)
            assert place.stamped("cao-a")

    asyncio.run(life())


def test_a_hook_keeps_the_loop_no_longer_than_leaving_word_takes(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    """The worker waits for a tmux that hangs, which it does for five seconds before it says so. Until then the hooks have
    returned, and what else runs on the loop has gone on."""
    place.make("cao-a", "cao-b")
    steps: list[str] = []

    async def heartbeat() -> None:
        while True:
            steps.append("beat")
            await asyncio.sleep(0)

    async def life() -> None:
        async with running() as plugin:
            assert await asyncio.to_thread(drained, plugin)
            place.tmux.stop()
            try:
                heart = asyncio.create_task(heartbeat())
                for event in EVENTS:
                    steps.append(event)
                    await asyncio.create_task(call(plugin, event, "cao-a"))
                    # Where the API works in a thread, CAO runs the hook on a loop of its own.
                    await asyncio.to_thread(lambda event=event: asyncio.run(call(plugin, event, "cao-a")))
                assert not drained(plugin, 0)
                assert "unknown socket" not in caplog.text
                heart.cancel()
            finally:
                place.tmux.resume()
            assert await asyncio.to_thread(drained, plugin)

    asyncio.run(life())
    assert [step for step in steps if step != "beat"] == list(EVENTS)
    assert steps.index("post_create_session") - steps.index("post_kill_session") > 1
    assert place.sessions() == {"cao-a", "cao-b"}


def test_teardown_works_off_what_hooks_said_and_ends_all_threads(place: Place) -> None:
    place.make("cao-a", "cao-b")
    before = {thread.ident for thread in threading.enumerate()}

    async def life() -> None:
        async with running() as plugin:
            await asyncio.to_thread(wait_until, lambda: place.stamped("cao-a"))
            place.host.delete("cao-a")
            await call(plugin, "post_kill_session", "cao-a")

    asyncio.run(life())
    assert place.sessions() == {"cao-b"}
    wait_until(lambda: {thread.ident for thread in threading.enumerate()} <= before)


def test_an_application_that_starts_again_in_one_process_has_a_reaper_again(place: Place) -> None:
    place.make("cao-a", "cao-b")

    async def life(name: str) -> None:
        async with running() as plugin:
            assert await asyncio.to_thread(drained, plugin)
            place.host.delete(name)
            await call(plugin, "post_kill_session", name)
            await asyncio.to_thread(wait_until, lambda: name not in place.sessions())
        await call(plugin, "post_kill_session", name)
        await call(plugin, "post_create_session", name)

    place.make("cao-c")
    asyncio.run(life("cao-a"))
    asyncio.run(life("cao-b"))
    assert place.sessions() == {"cao-c"}


def test_the_mcp_server_makes_one_and_nothing_happens(place: Place) -> None:
    before = {thread.name for thread in threading.enumerate()}
    register_mcp_server_surfaces(object())
    CaoReaper().on_mcp_server(object())
    assert {thread.name for thread in threading.enumerate()} == before
    assert not (place.tmux.directory.parent / ".local").exists()


def test_cao_itself_finds_it(place: Place) -> None:
    async def load() -> list[object]:
        registry = PluginRegistry()
        await registry.load()
        found = list(registry._plugins)
        await registry.teardown()
        return found

    assert any(isinstance(plugin, CaoReaper) for plugin in asyncio.run(load()))


def test_with_another_backend_than_tmux_it_stays_off(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    """A session ``cao-…`` in tmux is then somebody else's, although a row has that name."""
    from cli_agent_orchestrator.backends.base import TerminalBackend
    from cli_agent_orchestrator.backends.registry import get_backend, set_backend

    elsewhere = type("Elsewhere", (TerminalBackend,), dict.fromkeys(TerminalBackend.__abstractmethods__, None))
    before = get_backend()
    set_backend(elsewhere())
    try:

        async def life() -> None:
            async with running() as plugin:
                assert plugin._reaper is None
                await call(plugin, "post_kill_session", "cao-a")

        with caplog.at_level(logging.WARNING, "workspace_reaper"):
            asyncio.run(life())
    finally:
        set_backend(before)
    assert "does not keep its sessions in tmux, so nothing is reaped" in caplog.text
