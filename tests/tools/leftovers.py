"""A machine on which one process of a reaped session is left."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping

from tests.tools.builders import Somewhere, process, table
from workspace_reaper.model.process import Details, Port, Process, ProcessKey, ProcessTable, SignalResult
from workspace_reaper.model.reap import RecordedProcess
from workspace_reaper.model.unknown import Source, Unknown

__all__ = ["CHILD", "RECORDED", "OneChild"]

CHILD = process(4711, parent=1)
RECORDED = (RecordedProcess(CHILD.key, "sh", "%1", True),)


class OneChild:
    """The process lives until a signal ends it; with ``stubborn`` none does, and with ``refused`` none may be sent. With
    ``blind`` the table cannot be read, with ``blind_after`` once it has had a signal."""

    boot = "this boot"

    def __init__(
        self,
        *,
        child: Process = CHILD,
        stubborn: bool = False,
        refused: bool = False,
        blind: bool = False,
        blind_after: bool = False,
    ) -> None:
        self.signals: list[int] = []
        self._child, self._stubborn, self._refused, self._blind = child, stubborn, refused, blind
        self._blind_after = blind_after

    def table(self) -> ProcessTable | Unknown:
        if self._blind or (self._blind_after and self.signals):
            return Unknown(Source.PROCESSES, "/proc is hidden")
        return table(self._child) if self._lives else table()

    def living(self, keys: Collection[ProcessKey]) -> frozenset[ProcessKey]:
        return frozenset(keys) & {self._child.key} if self._lives and not self._child.zombie else frozenset()

    @property
    def _lives(self) -> bool:
        return self._stubborn or not self.signals

    def details(self, keys: Collection[ProcessKey]) -> Mapping[ProcessKey, Details]:
        return dict.fromkeys(keys, Details("sh", ("sh",), frozenset({os.geteuid()}), 0, frozenset()))

    def start_time(self, pid: int) -> float | None:
        return None

    def needed(self, keys: Collection[ProcessKey]) -> Mapping[ProcessKey, str]:
        return {}

    def working_directory(self, key: ProcessKey) -> str | None:
        return None

    def listening(self) -> frozenset[Port]:
        return frozenset()

    def may_live(self, pid: int, started: float | None) -> bool:
        return True

    def own_location(self) -> Somewhere:
        return Somewhere()

    def signal(self, key: ProcessKey, number: int) -> SignalResult:
        if self._refused:
            return SignalResult.REFUSED
        self.signals.append(number)
        return SignalResult.SENT
