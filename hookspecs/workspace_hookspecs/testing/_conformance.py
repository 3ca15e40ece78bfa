"""The checks: each is one test of a subclass, on a host of its own."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

import pytest

from workspace_hookspecs.testing import _mistakes as mistakes
from workspace_hookspecs.testing._host import HostUnderTest, call
from workspace_hookspecs.testing._listeners import ARCHIVED, DELETED, RAISE, TICK
from workspace_hookspecs.testing._mistakes import heard
from workspace_hookspecs.testing._observer import BLOCK, Hold, Observer, installed
from workspace_hookspecs.testing._stage import Stage

__all__ = ["HostConformance"]

_WAITS = (
    "{act} did not come back while another plugin was busy: the host waits for its plugins. Call them through "
    "WorkspacePlugins, which gives each a thread and a queue of its own; bare pluggy calls them on yours."
)


class HostConformance:
    """Subclass it in a test module, and give it a fixture ``workspace_host``: all its checks are tests of the subclass.

    A check that can't be meant for your host is left out with ``test_… = None`` in the subclass.
    """

    __test__ = False

    patience: ClassVar[float] = 10.0
    """Seconds after which something that has not happened is taken for something that never will."""

    threads: ClassVar[int] = 8
    """How many threads use the host at once; 1 for a host that one thread alone may use."""

    def __init_subclass__(cls) -> None:
        """pytest collects subclasses, whatever they are called, unless they say ``__test__ = False``."""
        super().__init_subclass__()
        if "__test__" not in vars(cls):
            cls.__test__ = True

    @pytest.fixture
    def workspace_observer(
        self, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[Observer]:
        """The kit's plugins are installed, and somebody listens to them."""
        site: Path = tmp_path_factory.mktemp("site")
        with Observer(self.patience) as observer:
            installed(observer, site, monkeypatch)
            yield observer

    @pytest.fixture
    def stage(self, workspace_observer: Observer, workspace_host: HostUnderTest) -> Iterator[Stage]:
        """The host, and what plugins hear of it."""
        stage = Stage(workspace_host, workspace_observer)
        yield stage
        stage.finish()

    def test_deleting_fires_once_and_after_the_commit(self, stage: Stage) -> None:
        """``on_workspace_deleted``, when another connection finds the row gone."""
        workspace_id = stage.create()
        stage.do("delete", workspace_id)
        self._expect_one(stage, "delete()", workspace_id, DELETED, "deleted")

    def test_archiving_fires_once_and_after_the_commit(self, stage: Stage) -> None:
        """``on_workspace_archived``, when another connection finds the row archived."""
        stage.need("archive")
        workspace_id = stage.create()
        stage.do("archive", workspace_id)
        self._expect_one(stage, "archive()", workspace_id, ARCHIVED, "archived")

    def test_creating_fires_nothing(self, stage: Stage) -> None:
        """A new workspace is no event."""
        stage.create()
        stage.close()
        stage.judge(mistakes.none_expected(stage.notes, "create()", "Creating a workspace is no event: remove that call."))

    def test_unarchiving_fires_nothing(self, stage: Stage) -> None:
        """Nor is one that is taken out of the archive."""
        stage.need("unarchive")
        workspace_id = stage.create()
        stage.do("archive", workspace_id)
        stage.wait(lambda notes: heard(notes, workspace_id))
        before = len(heard(stage.notes, workspace_id))
        stage.do("unarchive", workspace_id)
        stage.close()
        if len(heard(stage.notes, workspace_id)) > before:
            stage.fail("unarchive() fired an event. Taking a workspace out of the archive is none: remove that call.")
        stage.judge(mistakes.unloaded(stage.notes))

    def test_a_transaction_that_is_rolled_back_fires_nothing(self, stage: Stage) -> None:
        """The workspace is there as before, and nobody was told otherwise."""
        failing_delete = stage.need("failing_delete")
        workspace_id = stage.create()
        with suppress(Exception):  # how the host reports it is the host's affair
            call(failing_delete, workspace_id)
        if (state := stage.state(workspace_id)) != "active":
            stage.fail(f"failing_delete() left the workspace {state}. Have the transaction rolled back, or leave it out.")
        stage.close()
        advice = "Nothing has changed, so nobody is to be told: fire after the commit, where an error does not come by."
        stage.judge(mistakes.none_expected(stage.notes, "A delete that was rolled back", advice))

    def test_the_id_is_the_canonical_text(self, stage: Stage) -> None:
        """What is fired is what ``create()`` returns, and a UUID has its hyphens."""
        ids = [stage.create() for _ in range(4)]
        for workspace_id in ids:
            stage.do("delete", workspace_id)
        stage.wait(lambda notes: all(heard(notes, one) for one in ids))
        stage.close()
        fired = [note for note in stage.notes if note.hook == DELETED]
        stage.judge(mistakes.unloaded(stage.notes))
        for note in fired:
            if note.text not in ids:
                stage.fail(
                    f"delete() fired {note.shown}, of type {note.type}; create() had returned {ids}. Fire the same text."
                )
        if not fired:
            stage.fail("delete() fired nothing, so there is no id to look at.")
        stage.judge(mistakes.not_canonical(ids))

    def test_many_threads_at_once(self, stage: Stage) -> None:
        """Each of many threads deletes a workspace of its own, and each is heard of once."""
        if self.threads < 2:
            pytest.skip("threads = 1: one thread alone may use this host")
        ids = [stage.create() for _ in range(self.threads)]
        with ThreadPoolExecutor(self.threads) as pool:
            list(pool.map(lambda one: stage.do("delete", one), ids))
        stage.wait(lambda notes: all(heard(notes, one) for one in ids))
        stage.close()
        stage.judge(mistakes.unloaded(stage.notes))
        lost = [one for one in ids if not heard(stage.notes, one, DELETED)]
        if lost:
            stage.fail(
                f"Of {len(ids)} workspaces that {len(ids)} threads deleted at once, {len(lost)} fired nothing, such as "
                f"{lost[0]!r}. workspace_deleted() may be called from any thread: call it on the one that has committed."
            )
        twice = [one for one in ids if len(heard(stage.notes, one)) > 1]
        if twice:
            stage.fail(
                f"With {len(ids)} threads at once {twice[0]!r} was fired more than once. What a request is to fire belongs to "
                "that request: let its threads share no list of it."
            )

    def test_an_event_loop_does_not_wait_for_a_plugin(self, stage: Stage) -> None:
        """A workspace is deleted on a running event loop, while a plugin is busy."""
        workspace_id = stage.create()
        with stage.neighbour(BLOCK) as hold:
            asyncio.run(_on_a_loop(stage, workspace_id))
            if hold.expired:
                stage.fail(_WAITS.format(act="delete(), on an event loop,"))
        self._expect_one(stage, "delete(), on an event loop,", workspace_id, DELETED, "deleted")

    def test_ticks_come(self, stage: Stage) -> None:
        """One at least, within the patience."""
        ticked = stage.wait(lambda notes: any(note.hook == TICK for note in notes))
        stage.close()
        if not ticked:
            stage.judge(mistakes.unloaded(stage.notes))
            stage.fail(mistakes.NO_TICK)

    def test_a_plugin_that_raises_hurts_nobody(self, stage: Stage) -> None:
        """Not the host, not the other plugins, and it is told of later events itself."""
        ids = [stage.create(), stage.create()]
        with stage.neighbour(RAISE):
            for workspace_id in ids:
                stage.do("delete", workspace_id)
                self._others_hear(stage, workspace_id, "raises")
            self._is_told_later(stage, ids[1], "raised")

    def test_a_plugin_that_blocks_hurts_nobody(self, stage: Stage) -> None:
        """The host's calls come back, the other plugins hear of all that happens meanwhile, and it is told later."""
        ids = [stage.create(), stage.create()]
        with stage.neighbour(BLOCK) as hold:
            for workspace_id in ids:
                stage.do("delete", workspace_id)
                if hold.expired:
                    stage.fail(_WAITS.format(act="delete()"))
                self._others_hear(stage, workspace_id, "is busy")
        self._is_told_later(stage, ids[1], "was busy")

    def test_closing_works_off_what_was_fired(self, stage: Stage) -> None:
        """What plugins were told before the shutdown is worked off by the end of it, and they are closed."""
        ids = [stage.create() for _ in range(3)]
        with stage.neighbour(BLOCK) as hold, ThreadPoolExecutor(1) as pool:
            for workspace_id in ids:
                stage.do("delete", workspace_id)
            if hold.expired:
                stage.fail(_WAITS.format(act="delete()"))
            # The neighbour is busy until the shutdown has begun, which the other plugin notices.
            pool.submit(_let_go_at_the_end, stage, hold)
            stage.close()
            notes = stage.notes
        stage.judge(mistakes.unloaded(notes))
        lost = [one for one in ids for plugin in ("recorder", "neighbour") if not heard(notes, one, DELETED, plugin)]
        if lost:
            stage.fail(
                f"close() has returned, and of {len(ids)} events that were fired before it plugins have not got "
                f"{len(set(lost))}. Call plugins.drain(timeout=5), and then plugins.close(), when the server shuts down."
            )
        working = {note.process for note in notes if note.what == "heard"}
        left = sorted(working - {note.process for note in notes if note.what == "close"})
        if left:
            stage.fail(
                f"The host is shut down, and the plugins of process {left[0]} were not closed. Call plugins.close() there, or "
                "use 'with WorkspacePlugins.load() as plugins:'."
            )

    def _expect_one(self, stage: Stage, act: str, workspace_id: str, hook: str, then: str) -> None:
        stage.wait(lambda notes: heard(notes, workspace_id))
        stage.close()
        stage.judge(mistakes.one_expected(stage.notes, act, workspace_id, hook, then))
        if (state := stage.state(workspace_id)) != then:
            stage.fail(f"After {act} state() calls the workspace {state}. It must have committed when it returns.")

    def _others_hear(self, stage: Stage, workspace_id: str, does: str) -> None:
        if not stage.wait(lambda notes: heard(notes, workspace_id, DELETED)):
            stage.judge(mistakes.unloaded(stage.notes))
            stage.fail(
                f"A plugin {does}, and the others do not hear of a workspace that is deleted meanwhile. Call plugins through "
                "WorkspacePlugins, where none stands in another's way."
            )

    def _is_told_later(self, stage: Stage, workspace_id: str, did: str) -> None:
        if not stage.wait(lambda notes: heard(notes, workspace_id, DELETED, "neighbour")):
            stage.fail(f"A plugin {did} once, and is told of nothing any more. Go on calling it: it may do better next time.")


def _let_go_at_the_end(stage: Stage, hold: Hold) -> None:
    stage.wait(lambda notes: any(note.what in ("drain", "close") for note in notes))
    hold.let_go()


async def _on_a_loop(stage: Stage, workspace_id: str) -> None:
    result = stage.need("delete")(workspace_id)
    if inspect.isawaitable(result):
        await result
