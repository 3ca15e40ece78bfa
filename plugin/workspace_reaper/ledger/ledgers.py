"""The ledgers of several hosts in one file: the port ``Ledgers``."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager

from workspace_reaper.ledger.ledger import SqliteLedger, every_registry
from workspace_reaper.ledger.state_rows import read_states
from workspace_reaper.model.ports import Ledgers
from workspace_reaper.model.state import LedgerState, RegistryState


class SqliteLedgers(Ledgers):
    """The port ``Ledgers`` over several registries in one file: that of ``open_ledger`` first, and then the others."""

    def __init__(self, ledgers: Sequence[SqliteLedger]) -> None:
        self._ledgers = ledgers
        self._first = ledgers[0]

    def registries(self) -> Sequence[RegistryState]:
        return self._first.read(lambda connection: [state for _, state in self._found(connection)])

    def load_states(self, ids: Sequence[Collection[str]], now: float) -> Sequence[LedgerState]:
        return self._first.read(lambda connection: read_states(connection, self._found(connection), ids, now))

    def together(self) -> AbstractContextManager[None]:
        return self._first.together()

    def _found(self, connection: sqlite3.Connection) -> Sequence[tuple[int, RegistryState]]:
        registries = every_registry(connection)
        return [ledger.found_in(registries) for ledger in self._ledgers]
