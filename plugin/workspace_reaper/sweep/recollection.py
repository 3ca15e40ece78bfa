"""The ledger is read while tmux lists."""

from __future__ import annotations

from collections.abc import Callable, Set

from workspace_reaper.model.ports import Ledger
from workspace_reaper.model.state import Memory
from workspace_reaper.util.threads import Beside

__all__ = ["Recollection"]


class Recollection:
    """One for the life of a reaper. Most full sweeps find no workspace that the one before did not."""

    def __init__(self) -> None:
        self._expected: Set[str] = frozenset()

    def ahead(self, ledger: Ledger, now: float) -> Callable[[Set[str]], Memory]:
        """Begin to recall what was needed last time. What is returned takes the workspaces that are needed indeed, and tells
        what is remembered; it raises ``LedgerError``."""
        expected = self._expected
        begun = Beside(lambda: ledger.recall(expected, now), "workspace-reaper ledger")

        def recall(ids: Set[str]) -> Memory:
            self._expected = ids
            return begun.result() if ids <= expected else ledger.recall(ids, now)

        return recall
