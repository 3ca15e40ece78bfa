"""What keeps a canary's sweep to the canary: its name, its rules, its own memory, and a hand that reaches nothing else."""

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
from workspace_reaper.operations.wiring import Reaper
from workspace_reaper.policy.facts import Thresholds
from workspace_reaper.policy.idle import SampleInterval
from workspace_reaper.policy.session_names import SessionMatcher
from workspace_reaper.processes import SystemProcesses
from workspace_reaper.snapshots import SnapshotStore
from workspace_reaper.sweep.alarms import UnrecordedAlarms
from workspace_reaper.sweep.context import Dependencies
from workspace_reaper.sweep.last_report import LastReport
from workspace_reaper.sweep.other_plugins import NoPlugins
from workspace_reaper.tmux.canary import PREFIX, CanaryTerminal
from workspace_reaper.util.batch_size import BatchSize

__all__ = ["CanaryProcesses", "Token", "fresh", "narrowed", "throwaway"]

GRACE = 5.0
"""Seconds, the most that its process gets between TERM and KILL: other sweeps wait meanwhile."""


class Token(NamedTuple):
    """A workspace that never was: ``text`` as a session's name has it, and its canonical id."""

    text: str
    workspace_id: str

    @property
    def session(self) -> str:
        """The name of its session."""
        return f"{PREFIX}{self.text}"


def fresh(canonical: Callable[[str], str | None]) -> Token | None:
    """A new id that the registry takes for one; None if it takes neither a UUID, however it is written, nor a number."""
    random = uuid.uuid4()
    for text in (str(random), random.hex, str(random.int >> 66)):  # a number of at most 62 bits
        workspace_id = canonical(text)
        if workspace_id is not None:
            return Token(text, workspace_id)
    return None


class CanaryProcesses(SystemProcesses):
    """The processes of this machine, of which only ``own`` is ever signalled."""

    __slots__ = ("own",)

    def __init__(self) -> None:
        super().__init__()
        self.own: ProcessKey | None = None

    def signal(self, key: ProcessKey, number: int) -> SignalResult:
        """As ``ports.Processes``; ``REFUSED`` for every other process."""
        return super().signal(key, number) if key == self.own else SignalResult.REFUSED


@contextmanager
def throwaway(state_dir: Path) -> Iterator[Path]:
    """A directory beside the ledger that is new, and gone afterwards. For whoever holds the sweep lock: what is there already
    was left behind by a crash. Raises ``OSError``."""
    place = state_dir / "canary"
    if place.is_symlink() or place.exists():
        shutil.rmtree(place)  # it refuses a link
    place.mkdir(mode=0o700)
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def narrowed(reaper: Reaper, terminal: CanaryTerminal, processes: CanaryProcesses, token: Token, place: Path) -> Dependencies:
    """The parts of this reaper for a sweep that knows one socket and one session, whose thresholds are as short as they can be
    while each still counts. The other plugins are neither asked nor told: there is no such workspace."""
    settings = reaper.settings
    pattern = f"{re.escape(PREFIX)}(?P<id>{re.escape(token.text)})"
    snapshots = SnapshotStore(
        place, lines=settings.snapshot_lines, days=settings.snapshot_days, max_bytes=settings.snapshot_bytes
    )
    return replace(
        reaper.parts,
        terminals=[terminal],
        processes=processes,
        names=SessionMatcher({terminal.socket: [pattern]}, reaper.registry.canonical),
        rules=_shortened(reaper.parts.rules),
        pace=BatchSize(),
        journal=LastReport(),
        sampling=SampleInterval(settings.tick),
        kill_grace=min(settings.kill_grace, GRACE),
        end_everywhere=False,
        snapshots=snapshots if settings.snapshots else None,
        plugins=NoPlugins(),
        watch=UnrecordedAlarms(),
    )


def _shortened(rules: Thresholds) -> Thresholds:
    # tmux's clocks have a resolution of one second: with less than one the guard would not ask whether it was quiet.
    return replace(rules, min_age=0.0, activity_grace=1.0, confirmation_gap=0.0, orphan_confirmations=2)
