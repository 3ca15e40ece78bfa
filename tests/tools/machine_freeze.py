"""A sweep of the state machine's reaper that is stopped in the middle: the reaper itself, or the tmux server, for longer than a
decision is valid. Meanwhile the world changes."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import replace
from threading import Thread
from typing import Any

from tests.tools.machine_time import MachineClock
from tests.tools.tmux import TmuxServer
from tests.tools.waiting import wait_until
from workspace_reaper.model.ports import Registry
from workspace_reaper.model.unknown import Unknown
from workspace_reaper.model.verdict import Expiry
from workspace_reaper.model.workspace import LookupResult

__all__ = ["STOPS", "FreezableRegistry", "Freeze"]

RECHECKED, SENDING, TMUX = STOPS = ("the reaper, after its recheck", "the reaper, at its kill", "tmux, at the kill")

LONG = 10
"""Seconds: a recheck is valid for 4, a guard for 5."""


class Freeze:
    """What the next sweep that kills is stopped by, once."""

    def __init__(self, server: TmuxServer, clock: MachineClock) -> None:
        self._server = server
        self._clock = clock
        self._where: str | None = None
        self._meanwhile: Callable[[], object] = lambda: None
        self._rechecks = False

    def arm(self, where: str, meanwhile: Callable[[], object]) -> None:
        """Stop the next sweep there. ``meanwhile`` happens before it goes on."""
        self._where, self._meanwhile, self._rechecks = where, meanwhile, False

    def disarm(self) -> bool:
        """Whether a sweep was stopped. No later one will be."""
        where, self._where = self._where, None
        return where is None

    def listed(self, only: Collection[str]) -> None:
        """The reaper has listed some sessions once more: its recheck begins."""
        self._rechecks = self._rechecks or bool(only)

    def looked_up(self) -> None:
        """The reaper has looked up rows. tmux's own clock does not move on with the machine's: what comes after this is late by
        the reaper's clock alone."""
        if self._rechecks:
            self._stops(RECHECKED)

    def send(self, expiry: Expiry, kill: Callable[[Expiry], Any]) -> Any:
        """The reaper sends kills to tmux, where they arrive late by tmux's clock."""
        if self._stops(SENDING):
            return kill(replace(expiry, listed_at=expiry.listed_at - LONG))
        if not self._stops(TMUX):
            return kill(expiry)
        # All but one second of what a guard is valid has passed; the rest passes in truth.
        late = expiry.listed_at + 1
        self._server.stop()
        waking = Thread(target=lambda: (wait_until(lambda: time.time() >= late + 0.01), self._server.resume()))
        waking.start()
        try:
            return kill(replace(expiry, listed_at=late - expiry.seconds))
        finally:
            waking.join()

    def _stops(self, where: str) -> bool:
        if self._where != where:
            return False
        self._where = None
        self._clock.go_on(LONG)
        self._meanwhile()
        return True


class FreezableRegistry:
    """The port ``Registry``: a real one, after each look-up of which the reaper may be stopped."""

    def __init__(self, real: Registry, freeze: Freeze) -> None:
        self._real = real
        self._freeze = freeze

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def look_up(self, ids: Collection[str], sentinels: Collection[str], **how: bool) -> LookupResult | Unknown:
        """See ``Registry``."""
        rows = self._real.look_up(ids, sentinels, **how)
        self._freeze.looked_up()
        return rows
