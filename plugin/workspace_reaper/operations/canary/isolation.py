"""Restricts the sweep of a canary to the canary: its own name, thresholds and ledger, and adapters that reach nothing else."""

from __future__ import annotations

import re
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from workspace_reaper.model.process import ProcessKey, SignalResult
from workspace_reaper.operations.reaper import Reaper
from workspace_reaper.policy.session_names import SessionMatcher
from workspace_reaper.processes.processes import SystemProcesses
from workspace_reaper.snapshots.store import SnapshotStore
from workspace_reaper.sweep.context import Dependencies, SweepSettings
from workspace_reaper.sweep.other_plugins import NoPlugins
from workspace_reaper.tmux.canary import PREFIX, CanaryTerminal

# Seconds between TERM and KILL for the canary's process, at most: other sweeps wait meanwhile.
LONGEST_GRACE = 5.0


class Token(NamedTuple):
    """The id of a workspace that never existed: ``text`` as in the session's name, and the canonical ``workspace_id``."""

    text: str
    workspace_id: str

    @property
    def session(self) -> str:
        """The name of the session."""
        return f"{PREFIX}{self.text}"


def new_token(canonical: Callable[[str], str | None]) -> Token | None:
    """Return a new id that the registry accepts: a UUID or a number. None if it accepts neither."""
    random = uuid.uuid4()
    for text in (str(random), random.hex, str(random.int >> 66)):  # a number of at most 62 bits
        workspace_id = canonical(text)
        if workspace_id is not None:
            return Token(text, workspace_id)
    return None


class CanaryProcesses(SystemProcesses):
    """The processes of this machine, of which only ``own`` can be signalled."""

    __slots__ = ("own",)

    def __init__(self) -> None:
        super().__init__()
        self.own: ProcessKey | None = None

    def signal(self, key: ProcessKey, number: int) -> SignalResult:
        """Send the signal, or return ``REFUSED`` for every process but the canary's."""
        return super().signal(key, number) if key == self.own else SignalResult.REFUSED


@contextmanager
def temporary_directory(state_dir: Path) -> Iterator[Path]:
    """Create an empty directory in the state directory, and remove it afterwards. The caller holds the sweep lock.

    A directory that a crash left there is removed first. Raises ``OSError``.
    """
    directory = state_dir / "canary"
    if directory.is_symlink() or directory.exists():
        shutil.rmtree(directory)  # refuses a symbolic link
    directory.mkdir(mode=0o700)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def canary_dependencies(
    reaper: Reaper, terminal: CanaryTerminal, processes: CanaryProcesses, token: Token, directory: Path
) -> Dependencies:
    """Return the reaper's adapters, restricted to one socket and one session. The other plugins are not called: there is no
    such workspace."""
    settings = reaper.settings
    pattern = f"{re.escape(PREFIX)}(?P<id>{re.escape(token.text)})"
    snapshots = SnapshotStore(
        directory, lines=settings.snapshot_lines, days=settings.snapshot_days, max_bytes=settings.snapshot_bytes
    )
    return replace(
        reaper.dependencies,
        terminals=[terminal],
        processes=processes,
        matcher=SessionMatcher({terminal.socket: [pattern]}, reaper.registry.canonical),
        snapshots=snapshots if settings.snapshots else None,
        plugins=NoPlugins(),
    )


def canary_settings(settings: SweepSettings) -> SweepSettings:
    """Return the reaper's settings with thresholds as short as possible, while each of them still counts."""
    # tmux's clocks have a resolution of one second: with a shorter grace the guard would not ask for quiet.
    thresholds = replace(settings.thresholds, min_age=0.0, activity_grace=1.0, confirmation_gap=0.0, orphan_confirmations=2)
    grace = min(settings.kill_grace, LONGEST_GRACE)
    return replace(settings, thresholds=thresholds, kill_grace=grace, end_everywhere=False, removes_worktree=False)
