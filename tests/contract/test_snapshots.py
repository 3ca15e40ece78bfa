"""What the sweep may rely on of snapshots: `ports.Snapshots`, on the disk and in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import pytest
from ulid import ULID

from tests.simulation.memory.machine import MemoryMachine
from tests.simulation.memory.snapshots import MemoryDisk, MemorySnapshots
from tests.simulation.memory.terminal import MemoryTerminal
from tests.simulation.memory.tmux import MemoryTmux
from tests.tools.clocks import VirtualClock
from tests.tools.tmux import TmuxServer
from workspace_reaper.model.errors import SnapshotError
from workspace_reaper.model.ports import Snapshots, Terminal
from workspace_reaper.model.session import Listing
from workspace_reaper.model.snapshot import SnapshotOrder
from workspace_reaper.snapshots.store import SnapshotStore
from workspace_reaper.tmux.terminal import TmuxTerminal

pytestmark = pytest.mark.once

NOW = 1_790_000_000.0
DAY = 86_400
DEFAULT = 1 << 30


class Tmux(Protocol):
    """The sessions to save."""

    def new_session(self, name: str) -> str: ...
    def kill_session(self, session_id: str) -> object: ...


class Scene:
    """A tmux server, and a place for snapshots that outlives the object that uses it."""

    def __init__(
        self,
        tmux: Tmux,
        terminal: Terminal,
        opened: Callable[[int], Snapshots],
        size: Callable[[str], int],
        block: Callable[[], object],
    ) -> None:
        self.tmux = tmux
        self.terminal = terminal
        self.opened = opened
        self.size = size
        self.block = block

    @property
    def snapshots(self) -> Snapshots:
        return self.opened(DEFAULT)

    def orders(self, *names: str) -> list[SnapshotOrder]:
        """Orders for new sessions of these names."""
        for name in names:
            self.tmux.new_session(name)
        listing = self.terminal.observe("ab")
        assert isinstance(listing, Listing)
        found = {it.name: it for it in listing.sessions}
        return [
            SnapshotOrder(str(ULID()), it.key, it.name, f"w-{it.name}", it.activity, it.version, {"%0": ("sh",)})
            for it in map(found.__getitem__, names)
        ]

    def take_aged(self, order: SnapshotOrder, *days: float) -> list[str]:
        """Snapshots of those ages."""
        aged = [replace(order, reap_id=str(ULID.from_timestamp(NOW - age * DAY))) for age in days]
        assert [dict(self.snapshots.take(self.terminal, [one])) for one in aged] == [{}] * len(aged)
        return [one.reap_id for one in aged]


class RealTmux:
    """A real server."""

    def __init__(self, server: TmuxServer) -> None:
        self._server = server

    def new_session(self, name: str) -> str:
        return self._server.new_session(name)

    def kill_session(self, session_id: str) -> None:
        self._server.run("kill-session", "-t", session_id)


@pytest.fixture(params=["disk", "memory"])
def scene(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Scene]:
    if request.param == "memory":
        disk, machine = MemoryDisk(), MemoryMachine(VirtualClock(NOW))
        tmux = MemoryTmux(machine)
        yield Scene(
            tmux,
            MemoryTerminal(tmux),
            lambda most: MemorySnapshots(machine.clock, disk, max_bytes=most),
            lambda reap_id: disk.kept[reap_id].size,
            lambda: setattr(disk, "room", 0),
        )
        return
    state = tmp_path / "state"
    with TmuxServer() as server:
        yield Scene(
            RealTmux(server),
            TmuxTerminal(server.path),
            lambda most: SnapshotStore(state, lines=1000, days=14, max_bytes=most),
            lambda reap_id: sum(file.stat().st_size for file in (state / "snapshots" / reap_id).iterdir()),
            lambda: state.write_text("a file in the place of the directory"),
        )


def test_what_was_taken_can_be_read(scene: Scene) -> None:
    one, other = scene.orders("one", "other")
    assert scene.snapshots.take(scene.terminal, [one, other]) == {}
    store = scene.snapshots
    assert (store.has(one.reap_id), store.has(other.reap_id), store.has(str(ULID()))) == (True, True, False)
    kept = store.read(one.reap_id)
    assert (kept.reap_id, kept.key, kept.session, kept.workspace_id) == (one.reap_id, one.key, "one", "w-one")
    assert (kept.activity, kept.version) == (one.activity, one.version)
    [window] = kept.windows
    [pane] = window.panes
    assert (pane.pane_id, pane.argv, pane.dead, pane.cut) == ("%0", ("sh",), False, False)
    assert len(list(store.scrollback(one.reap_id, "%0"))) == pane.lines
    assert len(store.last_screen(one.reap_id, "%0")) == pane.height
    with pytest.raises(SnapshotError):
        list(store.scrollback(other.reap_id, "%0"))
    assert [pane.argv for window in store.read(other.reap_id).windows for pane in window.panes] == [()]


def test_a_session_that_is_gone_costs_only_its_own(scene: Scene) -> None:
    one, gone = scene.orders("one", "gone")
    scene.tmux.kill_session(gone.key.session_id)
    failures = scene.snapshots.take(scene.terminal, [gone, one])
    assert failures.keys() == {gone.reap_id}
    assert (scene.snapshots.has(gone.reap_id), scene.snapshots.has(one.reap_id)) == (False, True)


def test_what_cannot_be_kept_has_a_reason(scene: Scene) -> None:
    orders = scene.orders("one", "other")
    scene.block()
    failures = scene.snapshots.take(scene.terminal, orders)
    assert failures.keys() == {order.reap_id for order in orders}
    assert all(why.startswith("The panes cannot be kept in ") and why.endswith(".") for why in failures.values())
    assert not any(scene.snapshots.has(order.reap_id) for order in orders)


def test_nothing_ordered(scene: Scene) -> None:
    assert scene.snapshots.take(scene.terminal, []) == {}


@pytest.mark.parametrize("odd", ["", "01J", "../../x", "01arz3ndektsv4rrffq69g5fav"])
def test_only_a_ulid_names_a_snapshot(scene: Scene, odd: str) -> None:
    good, bad = scene.orders("good", "bad")
    bad = replace(bad, reap_id=odd)
    assert scene.snapshots.take(scene.terminal, [bad, good]) == {odd: f"{odd!r} is not a reap id."}
    assert (scene.snapshots.has(odd), scene.snapshots.has(good.reap_id)) == (False, True)


def test_a_second_snapshot_of_the_same_reap_takes_the_place_of_the_first(scene: Scene) -> None:
    [one] = scene.orders("one")
    for name in ("before", "after"):
        assert scene.snapshots.take(scene.terminal, [replace(one, session=name)]) == {}
    assert scene.snapshots.read(one.reap_id).session == "after"


def test_nothing_is_kept(scene: Scene) -> None:
    store, reap_id = scene.snapshots, str(ULID())
    assert not store.has(reap_id)
    with pytest.raises(SnapshotError, match="has no snapshot"):
        store.read(reap_id)
    with pytest.raises(SnapshotError, match="has no snapshot"):
        list(store.scrollback(reap_id, "%0"))
    store.discard([reap_id])
    assert store.prune(NOW, ()) == 0


def test_no_such_pane(scene: Scene) -> None:
    [one] = scene.orders("one")
    scene.snapshots.take(scene.terminal, [one])
    with pytest.raises(SnapshotError):
        list(scene.snapshots.scrollback(one.reap_id, "%7"))
    with pytest.raises(SnapshotError):
        scene.snapshots.last_screen(one.reap_id, "%7")


def test_discarding(scene: Scene) -> None:
    one, other = scene.orders("one", "other")
    scene.snapshots.take(scene.terminal, [one, other])
    scene.snapshots.discard([one.reap_id, str(ULID())])
    assert (scene.snapshots.has(one.reap_id), scene.snapshots.has(other.reap_id)) == (False, True)


def test_the_old_go(scene: Scene) -> None:
    [order] = scene.orders("one")
    old, young, spared = scene.take_aged(order, 14.01, 13.99, 30)
    assert scene.snapshots.prune(NOW, [spared]) == 1
    assert [scene.snapshots.has(each) for each in (old, young, spared)] == [False, True, True]


def test_above_the_limit_the_oldest_go_first(scene: Scene) -> None:
    [order] = scene.orders("one")
    ids = scene.take_aged(order, 5, 4, 3, 2, 1)
    assert scene.opened(scene.size(ids[4]) + scene.size(ids[3])).prune(NOW, ()) == 3
    assert [scene.snapshots.has(each) for each in ids] == [False, False, False, True, True]
    assert scene.opened(1).prune(NOW, [ids[3]]) == 1
    assert [scene.snapshots.has(each) for each in ids[3:]] == [True, False]
