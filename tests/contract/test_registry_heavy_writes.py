"""A database that its host writes to nearly all the time is read in the moments between two commits."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.tools.hosts import VibeKanbanHost, connected
from tests.tools.registries import opened, rows
from workspace_reaper.model.workspace import WorkspaceList
from workspace_reaper.registry import load_schema, open_watcher

pytestmark = pytest.mark.once


@contextmanager
def writing(path: Path) -> Iterator[Callable[[], int]]:
    """A host that holds the lock for 18 of every 20 ms; how often it has committed."""
    stop, commits = threading.Event(), 0

    def write() -> None:
        nonlocal commits
        with connected(path, timeout=10, isolation_level=None) as server:
            while not stop.is_set():
                server.execute("BEGIN EXCLUSIVE")
                server.execute("UPDATE workspaces SET name = ?", (str(commits),))
                time.sleep(0.018)
                server.execute("COMMIT")
                commits += 1
                time.sleep(0.002)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield lambda: commits
    finally:
        stop.set()
        thread.join()


def test_look_ups_get_their_turn(tmp_path: Path) -> None:
    host = VibeKanbanHost(tmp_path / "db.v2.sqlite")
    host.create()
    ids = [host.new_id(number) for number in range(3)]
    host.insert(ids)
    registry = opened(host, busy_limit=2)
    with writing(host.path) as commits:
        for _ in range(20):
            assert set(rows(registry.look_up(ids, [])).found) == set(ids)
        assert commits()


def test_the_watcher_gets_its_turn(tmp_path: Path) -> None:
    host = VibeKanbanHost(tmp_path / "db.v2.sqlite")
    host.create()
    ids = [host.new_id(number) for number in range(3)]
    host.insert(ids)
    watcher = open_watcher(load_schema("vibe-kanban"), str(host.path), {})
    try:
        with writing(host.path):
            for _ in range(5):
                assert watcher.wait(60)
                assert isinstance(watcher.read(), WorkspaceList)
    finally:
        watcher.close()
