"""Sessions, windows and panes of a simulated tmux server, and what its formats show of them."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field

from tests.simulation.memory.process import SimulatedProcess
from workspace_reaper.model.session import Owner, Pane, Session, SessionKey, Window
from workspace_reaper.model.snapshot import PaneSnapshot, WindowSnapshot

__all__ = ["HEIGHT", "WIDTH", "SimulatedPane", "SimulatedSession", "SimulatedWindow", "row_of", "windows_of"]

WIDTH, HEIGHT = 80, 24
_UNREADABLE = re.compile("[^0-9a-f]")


@dataclass(slots=True, eq=False)
class SimulatedPane:
    """A pane. ``pid`` stays once its program has ended."""

    pane_id: str
    process: SimulatedProcess
    dead_at: int | None = None


@dataclass(slots=True, eq=False)
class SimulatedWindow:
    """A window, with the time of its last output. ``sessions`` are the ids of those that show it."""

    window_id: str
    panes: list[SimulatedPane]
    output: int
    sessions: set[str] = field(default_factory=set)


@dataclass(slots=True, eq=False)
class SimulatedSession:
    """A session. ``clients`` says of each client whether it is suspended. The sessions of a group share their ``windows``.

    ``identity`` is what ``@reaper_self`` is for the session itself.
    """

    key: SessionKey
    name: str
    windows: list[SimulatedWindow]
    group: int
    activity: int
    last_attached: int | None = None
    clients: dict[int, bool] = field(default_factory=dict)
    options: dict[str, str] = field(default_factory=dict)
    session_id: str = field(init=False)
    identity: str = field(init=False)

    def __post_init__(self) -> None:
        self.session_id = self.key.session_id
        self.identity = f"{self.session_id}/{self.key.created}/{self.key.server_pid}"

    @property
    def panes(self) -> list[SimulatedPane]:
        """Those of all its windows."""
        return [pane for window in self.windows for pane in window.panes]

    @property
    def has_only_dead_panes(self) -> bool:
        """Whether all its programs have ended."""
        return all(pane.dead_at is not None for pane in self.panes)


def row_of(
    one: SimulatedSession,
    peers: list[SimulatedSession],
    options: dict[str, str],
    owner_ids: Collection[str],
    *,
    panes: bool,
) -> Session:
    """Return the row of a listing. ``options`` are those that its formats see, and ``peers`` the sessions of its group."""
    owner = options.get("@workspace_owner", "")
    shown = [
        Pane(pane.pane_id, window.window_id, pane.process.pid, pane.dead_at is not None, pane.dead_at)
        for window in (one.windows if panes else ())
        for pane in window.panes
    ]
    return Session(
        key=one.key,
        name=one.name,
        activity=one.activity,
        last_attached=one.last_attached,
        attached=sum(not suspended for suspended in one.clients.values()),
        has_client=bool(one.clients),
        group_has_client=any(peer.clients for peer in peers) and len(peers) > 1,
        grouped=len(peers) > 1,
        kept=options.get("@reaper_keep", "") != "",
        all_panes_dead=one.has_only_dead_panes,
        owner=Owner.NONE if not owner else Owner.OURS if owner in owner_ids else Owner.FOREIGN,
        version="3.5a",
        windows=tuple(Window(window.window_id, window.output, len(window.sessions) > 1) for window in one.windows),
        panes=tuple(shown),
        owner_id=_readable(owner),
        workspace_mark=_readable(options.get("@reaper_workspace", "")),
        is_self_marked=options.get("@reaper_self") == one.identity,
    )


def windows_of(one: SimulatedSession, lines: int) -> tuple[WindowSnapshot, ...]:
    """Return what a capture of at most so many lines of each pane keeps."""
    return tuple(
        WindowSnapshot(window.window_id, at, "sh", at == 0, "", tuple(_pane(pane, number, lines) for number, pane in panes))
        for at, window in enumerate(one.windows)
        for panes in [list(enumerate(window.panes))]
    )


def _pane(pane: SimulatedPane, at: int, lines: int) -> PaneSnapshot:
    directory = pane.process.directory.path()
    count = min(lines, HEIGHT)
    is_dead = pane.dead_at is not None
    return PaneSnapshot(pane.pane_id, at, at == 0, is_dead, "", directory, (), WIDTH, HEIGHT, count, cut=count < HEIGHT)


def _readable(value: str) -> str:
    return _UNREADABLE.sub(".", value)
