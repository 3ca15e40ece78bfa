"""The breaker, as the state machine's oracle has it: written from its paragraph in the design."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from tests.tools.machine_facts import Key

__all__ = ["Breaker"]


@dataclass(slots=True)
class Breaker:
    """``culprits`` tripped it, ``forgiven`` were let go by an operator and trip it no more."""

    latched: bool = False
    culprits: set[Key] = field(default_factory=set)
    forgiven: set[Key] = field(default_factory=set)
    calm: int = 0

    def look(self, orphans: set[Key], strangers: set[Key], managed: int, *, rows_lost: bool) -> None:
        """Strangers trip it not. What tripped it may have become one."""
        suspects = orphans - self.forgiven
        self.forgiven &= orphans | strangers
        if rows_lost or (len(suspects) >= 3 and len(suspects) > managed / 2):
            self.latched, self.calm = True, 0
            self.culprits |= suspects
        elif self.latched:
            # There is one socket: what is there on another server may be what tripped it, started again.
            servers = {key[:2] for key in self.culprits}
            self.culprits |= {key for key in suspects if servers and key[:2] not in servers}
            self.calm = 0 if self.culprits & (orphans | strangers) else self.calm + 1
            if self.calm == 3:
                self.open()

    def open(self) -> None:
        self.latched, self.calm, self.culprits = False, 0, set()

    def reset(self, gone: Collection[Key]) -> None:
        if self.latched:
            self.forgiven |= self.culprits & set(gone)
            self.open()

    def approve(self, shown: Collection[Key]) -> None:
        self.forgiven |= set(shown)
        if self.latched:
            had, self.culprits = bool(self.culprits), self.culprits - set(shown)
            if had and not self.culprits:
                self.open()
