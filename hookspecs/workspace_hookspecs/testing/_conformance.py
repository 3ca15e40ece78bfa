"""The checks. Each is one test of a subclass, with a host of its own."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import ClassVar

import pytest

from workspace_hookspecs.testing import _checks as checks
from workspace_hookspecs.testing._checks import received
from workspace_hookspecs.testing._host import HostDriver, HostUnderTest, call
from workspace_hookspecs.testing._recorder import (
    ARCHIVED,
    BLOCK,
    DELETED,
    PATIENCE,
    RAISE,
    TICK,
    Fault,
    RecordingServer,
    recording,
)

_WAITS = (
    "{act} did not return while a plugin was busy: the host waits for its plugins. Call plugins through WorkspacePlugins, "
    "which gives each a thread and a queue of its own; bare pluggy calls plugins on your thread."
)


class HostConformance:
    """Subclass this in a test module with a fixture ``workspace_host``: its checks become tests of the subclass.

    Set ``test_… = None`` in the subclass to leave out a check that does not apply to your host.
    """

    __test__ = False

    patience: ClassVar[float] = PATIENCE
    """Seconds to wait for an event before it is taken for lost."""

    threads: ClassVar[int] = 8
    """The number of threads that use the host at once; 1 for a host that only one thread may use."""

    def __init_subclass__(cls) -> None:
        """Have pytest collect a subclass of any name, unless it sets ``__test__ = False``."""
        super().__init_subclass__()
        if "__test__" not in vars(cls):
            cls.__test__ = True

    @pytest.fixture
    def workspace_recorder(
        self, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[RecordingServer]:
        """The kit's plugins, installed for a host that starts after this fixture."""
        with recording(tmp_path_factory.mktemp("site"), monkeypatch, self.patience) as server:
            yield server

    @pytest.fixture
    def host_driver(self, workspace_recorder: RecordingServer, workspace_host: HostUnderTest) -> Iterator[HostDriver]:
        """The host under test, started."""
        with HostDriver(workspace_host, workspace_recorder) as driver:
            yield driver

    def test_deleting_fires_once_and_after_the_commit(self, host_driver: HostDriver) -> None:
        """``on_workspace_deleted`` is fired when another connection sees that the workspace is deleted."""
        workspace_id = host_driver.create()
        host_driver.do("delete", workspace_id)
        self._expect_one(host_driver, "delete()", workspace_id, DELETED, "deleted")

    def test_archiving_fires_once_and_after_the_commit(self, host_driver: HostDriver) -> None:
        """``on_workspace_archived`` is fired when another connection sees that the workspace is archived."""
        host_driver.need("archive")
        workspace_id = host_driver.create()
        host_driver.do("archive", workspace_id)
        self._expect_one(host_driver, "archive()", workspace_id, ARCHIVED, "archived")

    def test_creating_fires_nothing(self, host_driver: HostDriver) -> None:
        """A new workspace fires no event."""
        host_driver.create()
        host_driver.close()
        advice = "No hook reports a new workspace: remove that call."
        host_driver.judge(checks.none_expected(host_driver.server.calls, "create()", advice))

    def test_unarchiving_fires_nothing(self, host_driver: HostDriver) -> None:
        """Unarchiving fires no event."""
        host_driver.need("unarchive")
        server = host_driver.server
        workspace_id = host_driver.create()
        host_driver.do("archive", workspace_id)
        server.wait(lambda calls: received(calls, workspace_id))
        before = len(received(server.calls, workspace_id))
        host_driver.do("unarchive", workspace_id)
        host_driver.close()
        if len(received(server.calls, workspace_id)) > before:
            host_driver.fail("unarchive() fired an event. No hook reports that a workspace was unarchived: remove that call.")
        host_driver.judge(checks.not_loaded(server.calls))

    def test_a_transaction_that_is_rolled_back_fires_nothing(self, host_driver: HostDriver) -> None:
        """The workspace is unchanged, and no event is fired."""
        failing_delete = host_driver.need("failing_delete")
        workspace_id = host_driver.create()
        with suppress(Exception):  # the host decides how it reports the failure
            call(failing_delete, workspace_id)
        if (state := host_driver.state(workspace_id)) != "active":
            host_driver.fail(f"failing_delete() left the workspace {state}. Roll the transaction back, or omit the method.")
        host_driver.close()
        advice = "Nothing was changed. Fire after the commit, on a path that an error does not take."
        host_driver.judge(checks.none_expected(host_driver.server.calls, "A delete that was rolled back", advice))

    def test_the_id_is_the_canonical_text(self, host_driver: HostDriver) -> None:
        """The fired id is the one that ``create()`` returns, and a UUID has hyphens."""
        server = host_driver.server
        ids = [host_driver.create() for _ in range(4)]
        for workspace_id in ids:
            host_driver.do("delete", workspace_id)
        server.wait(lambda calls: all(received(calls, one) for one in ids))
        host_driver.close()
        fired = [call for call in server.calls if call.hook == DELETED]
        host_driver.judge(checks.not_loaded(server.calls))
        for event in fired:
            if event.text not in ids:
                host_driver.fail(
                    f"delete() fired {event.shown}, of type {event.type}, but create() returned {ids}. Fire the same text."
                )
        if not fired:
            host_driver.fail("delete() fired nothing, so the id cannot be checked.")
        host_driver.judge(checks.not_canonical(ids))

    def test_many_threads_at_once(self, host_driver: HostDriver) -> None:
        """Several threads each delete a workspace, and each deletion is received once."""
        if self.threads < 2:
            pytest.skip("threads = 1: only one thread may use this host")
        server = host_driver.server
        ids = [host_driver.create() for _ in range(self.threads)]
        with ThreadPoolExecutor(self.threads) as pool:
            list(pool.map(lambda one: host_driver.do("delete", one), ids))
        server.wait(lambda calls: all(received(calls, one) for one in ids))
        host_driver.close()
        host_driver.judge(checks.not_loaded(server.calls))
        lost = [one for one in ids if not received(server.calls, one, DELETED)]
        if lost:
            host_driver.fail(
                f"{len(ids)} threads deleted {len(ids)} workspaces at once, and {len(lost)} deletions fired nothing, such as "
                f"{lost[0]!r}. workspace_deleted() may be called from any thread: call it on the thread that commits."
            )
        twice = [one for one in ids if checks.times_fired(server.calls, one) > 1]
        if twice:
            host_driver.fail(
                f"With {len(ids)} threads at once {twice[0]!r} was fired more than once. Keep the events of a request with "
                "that request, not in a list that threads share."
            )

    def test_an_event_loop_does_not_wait_for_a_plugin(self, host_driver: HostDriver) -> None:
        """A workspace is deleted on a running event loop while a plugin is busy."""
        workspace_id = host_driver.create()
        with host_driver.server.inject(BLOCK) as fault:
            asyncio.run(_delete_on_loop(host_driver, workspace_id))
            if fault.expired:
                host_driver.fail(_WAITS.format(act="delete(), on an event loop,"))
        self._expect_one(host_driver, "delete(), on an event loop,", workspace_id, DELETED, "deleted")

    def test_ticks_come(self, host_driver: HostDriver) -> None:
        """At least one tick is fired within ``patience`` seconds."""
        ticked = host_driver.server.wait(lambda calls: any(call.hook == TICK for call in calls))
        host_driver.close()
        if not ticked:
            host_driver.judge(checks.not_loaded(host_driver.server.calls))
            host_driver.fail(checks.NO_TICK)

    def test_a_plugin_that_raises_hurts_nobody(self, host_driver: HostDriver) -> None:
        """Neither the host nor the other plugins are affected, and the plugin receives later events."""
        ids = [host_driver.create(), host_driver.create()]
        with host_driver.server.inject(RAISE):
            for workspace_id in ids:
                host_driver.do("delete", workspace_id)
                self._expect_others_receive(host_driver, workspace_id, "raises")
            self._expect_received_later(host_driver, ids[1], "raised")

    def test_a_plugin_that_blocks_hurts_nobody(self, host_driver: HostDriver) -> None:
        """The host's calls return, the other plugins receive every event, and the plugin receives them later."""
        ids = [host_driver.create(), host_driver.create()]
        with host_driver.server.inject(BLOCK) as fault:
            for workspace_id in ids:
                host_driver.do("delete", workspace_id)
                if fault.expired:
                    host_driver.fail(_WAITS.format(act="delete()"))
                self._expect_others_receive(host_driver, workspace_id, "is busy")
        self._expect_received_later(host_driver, ids[1], "was busy")

    def test_closing_works_off_what_was_fired(self, host_driver: HostDriver) -> None:
        """Events fired before the shutdown are received before it ends, and the plugins are closed."""
        server = host_driver.server
        ids = [host_driver.create() for _ in range(3)]
        with server.inject(BLOCK) as fault, ThreadPoolExecutor(1) as pool:
            for workspace_id in ids:
                host_driver.do("delete", workspace_id)
            if fault.expired:
                host_driver.fail(_WAITS.format(act="delete()"))
            # The faulty plugin is busy until the shutdown has begun, which the other plugin notices.
            pool.submit(_release_at_shutdown, server, fault)
            host_driver.close()
            calls = server.calls
        host_driver.judge(checks.not_loaded(calls))
        lost = {one for one in ids for plugin in ("recorder", "faulty") if not received(calls, one, DELETED, plugin)}
        if lost:
            host_driver.fail(
                f"close() returned, and {len(lost)} of {len(ids)} events fired before it were not received by every plugin. "
                "Call plugins.drain(timeout=5), and then plugins.close(), when the server shuts down."
            )
        working = {call.process for call in calls if call.kind == "received"}
        left = sorted(working - {call.process for call in calls if call.kind == "close"})
        if left:
            host_driver.fail(
                f"The host is shut down, but the plugins of process {left[0]} were not closed. Call plugins.close() there, or "
                "use 'with WorkspacePlugins.load() as plugins:'."
            )

    def _expect_one(self, host_driver: HostDriver, act: str, workspace_id: str, hook: str, expected: str) -> None:
        host_driver.server.wait(lambda calls: received(calls, workspace_id))
        host_driver.close()
        host_driver.judge(checks.one_expected(host_driver.server.calls, act, workspace_id, hook, expected))
        if (state := host_driver.state(workspace_id)) != expected:
            host_driver.fail(f"After {act} state() reports the workspace as {state}. Return after the commit.")

    def _expect_others_receive(self, host_driver: HostDriver, workspace_id: str, does: str) -> None:
        if not host_driver.server.wait(lambda calls: received(calls, workspace_id, DELETED)):
            host_driver.judge(checks.not_loaded(host_driver.server.calls))
            host_driver.fail(
                f"While one plugin {does}, the others do not receive the deletion of a workspace. Call plugins through "
                "WorkspacePlugins, which isolates them from each other."
            )

    def _expect_received_later(self, host_driver: HostDriver, workspace_id: str, did: str) -> None:
        if not host_driver.server.wait(lambda calls: received(calls, workspace_id, DELETED, "faulty")):
            host_driver.fail(f"A plugin {did} once and receives no events any more. Keep calling a plugin after an error.")


def _release_at_shutdown(server: RecordingServer, fault: Fault) -> None:
    server.wait(lambda calls: any(call.kind in ("drain", "close") for call in calls))
    fault.release()


async def _delete_on_loop(host_driver: HostDriver, workspace_id: str) -> None:
    result = host_driver.need("delete")(workspace_id)
    if inspect.isawaitable(result):
        await result
