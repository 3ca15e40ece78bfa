"""What all hosts of one reaper share: the state directory with its lock and its ledger, and the adapters of the machine."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

from workspace_reaper.ledger import SqliteLedger, open_ledger
from workspace_reaper.ledger.locks import FileSweepLock
from workspace_reaper.settings import Settings

if TYPE_CHECKING:
    from workspace_reaper.model.machine_ports import Directories, Processes
    from workspace_reaper.snapshots.store import SnapshotStore
    from workspace_reaper.tmux.terminal import TmuxTerminal


class Shared:
    """Building it opens nothing. The first write opens the ledger, which stays open until ``close``.

    ``registries`` are the name and the location of the registry of each host, in the order of the hosts.
    """

    def __init__(self, settings: Settings, environ: Mapping[str, str]) -> None:
        self._settings = settings
        self._environ = environ
        self.registries: list[tuple[str, str]] = []
        self._lock = FileSweepLock(settings.state_dir)
        self._terminals: dict[str, TmuxTerminal] = {}
        self._ledger_lock = threading.Lock()
        self._ledgers: Sequence[SqliteLedger] = ()
        self._writing = False
        self._closed = False

    # The commands that only read the ledger need nothing of the following, and start a tenth faster without it.

    @cached_property
    def snapshots(self) -> SnapshotStore:
        """The snapshots of reaped sessions."""
        from workspace_reaper.snapshots.store import SnapshotStore

        own = self._settings
        return SnapshotStore(own.state_dir, lines=own.snapshot_lines, days=own.snapshot_days, max_bytes=own.snapshot_bytes)

    @cached_property
    def processes(self) -> Processes:
        """The processes of this machine."""
        from workspace_reaper.processes.processes import SystemProcesses

        return SystemProcesses(self._environ)

    @cached_property
    def directories(self) -> Directories:
        """The directories of this machine."""
        from workspace_reaper.processes.directories import SystemDirectories

        return SystemDirectories(self._environ)

    def terminal(self, path: str) -> TmuxTerminal:
        """Return the tmux socket at this path, one object for all hosts."""
        from workspace_reaper.tmux.terminal import TmuxTerminal

        return self._terminals.setdefault(path, TmuxTerminal(path))

    @contextmanager
    def reading(self) -> Iterator[Sequence[SqliteLedger]]:
        """Open the ledgers of all hosts read-only. A ledger that does not exist is not created."""
        ledgers = self._open(read_only=True)
        try:
            yield ledgers
        finally:
            ledgers[0].close()

    @contextmanager
    def writing(self) -> Iterator[Sequence[SqliteLedger]]:
        """Hold the sweep lock of the state directory, and use the ledgers of all hosts for writing."""
        with self._lock.held():
            with self._ledger_lock:
                if not self._ledgers:
                    self._ledgers = self._open(read_only=False)
                self._writing = True
                ledgers = self._ledgers
            try:
                yield ledgers
            finally:
                with self._ledger_lock:
                    self._writing = False
                    if self._closed:
                        self._close_ledgers()

    def _open(self, *, read_only: bool) -> Sequence[SqliteLedger]:
        (name, location), *others = self.registries
        first = open_ledger(self._settings.state_dir, registry_name=name, location=location, read_only=read_only)
        return [first, *first.beside(others)]

    def close(self) -> None:
        """Close the ledgers: now, or as soon as the running write is done. A later write opens them for that time only."""
        with self._ledger_lock:
            self._closed = True
            if not self._writing:
                self._close_ledgers()

    def _close_ledgers(self) -> None:
        ledgers, self._ledgers = self._ledgers, ()
        if ledgers:
            ledgers[0].close()
