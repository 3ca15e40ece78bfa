"""Notes which rows the daemon truly saw go, and how many went within a minute."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from tests.simulation.world import World

__all__ = ["DaemonWatch"]

_MINUTE = 60.0
_LEAST = 3


@dataclass(slots=True)
class DaemonWatch:
    """The looks of the daemon, in true time.

    ``listed`` are the workspaces that had a row at its last look (None: it has just started). ``went`` is when it saw the row
    of one that had a session go, and ``living`` when it last saw that a workspace had one. ``database`` is the place and the
    counter of the database at the last look. ``few`` is how many rows it saw go while few went, and ``many`` how many others.
    """

    world: World
    listed: frozenset[str] | None = None
    database: tuple[str, int] = ("", 0)
    went: dict[str, float] = field(default_factory=dict)
    living: dict[str, float] = field(default_factory=dict)
    few: int = 0
    many: int = 0

    def start(self) -> None:
        """The daemon starts. Its first look shows it nothing."""
        self.listed, self.went, self.living = None, {}, {}

    def look(self, rows: Collection[str], sessions: Collection[str]) -> None:
        """It sees these rows while these workspaces have sessions."""
        now, host = self.world.now, self.world.host
        is_same = self.database[0] == host.location and self.database[1] <= host.commits
        gone = frozenset() if self.listed is None or not is_same else self.listed - frozenset(rows)
        self.went = {one: at for one, at in self.went.items() if one not in rows and now - at < _MINUTE}
        self.went |= dict.fromkeys(gone.intersection(sessions), now)
        self.living = {one: at for one, at in self.living.items() if now - at < _MINUTE}
        self.living |= dict.fromkeys(sessions, now)
        vanished = len(self.went), len(self.living.keys() | self.went.keys())
        if vanished[0] >= _LEAST and 2 * vanished[0] > vanished[1]:
            self.many += len(gone)
        else:
            self.few += len(gone)
        for one in self.world.workspaces:
            if one.workspace_id in rows:
                one.daemon_saw_it_go = None
            elif one.workspace_id in gone:
                one.daemon_saw_it_go = now
                one.known_at = now
                one.vanished = vanished
        self.listed, self.database = frozenset(rows), (host.location, host.commits)
