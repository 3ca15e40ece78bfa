"""The ledger of a reaper with one host, as the ledgers of all its hosts."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager, nullcontext

from workspace_reaper.model.ports import Ledger, Ledgers
from workspace_reaper.model.state import LedgerState, RegistryState


class OneLedger(Ledgers):
    """The port ``Ledgers`` over one ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def registries(self) -> Sequence[RegistryState]:
        return [self._ledger.registry()]

    def load_states(self, ids: Sequence[Collection[str]], now: float) -> Sequence[LedgerState]:
        return [self._ledger.load_state(ids[0], now)]

    def together(self) -> AbstractContextManager[None]:
        return nullcontext()
