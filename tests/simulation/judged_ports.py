"""The ports as the reaper gets them in a simulation: what it does with them is judged, or noted for the oracle."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from tests.simulation.blindness import is_missed
from tests.simulation.judging import Judging
from tests.simulation.memory.directories import MemoryDirectories
from tests.simulation.memory.plugins import MemoryPlugins
from tests.simulation.memory.terminal import MemoryTerminal
from tests.simulation.oracle.violation import Violation
from workspace_hookspecs import Candidate, Reaped
from workspace_reaper.model.reap import Intent, Outcome, ReapResult, Vetoes
from workspace_reaper.model.session import Listing, SessionKey
from workspace_reaper.model.state import StateChanges
from workspace_reaper.model.unknown import Unknown
from workspace_reaper.model.verdict import Expiry, Guard, KillResults
from workspace_reaper.model.workspace import LookupResult

__all__ = ["JudgedDirectories", "JudgedLedger", "JudgedPlugins", "JudgedRegistry", "JudgedTerminal"]


class JudgedTerminal:
    """A terminal whose kills are judged, and whose announcements and listings are noted."""

    def __init__(self, real: MemoryTerminal, judging: Judging) -> None:
        self._real = real
        self._judging = judging

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def kill(self, guards: Sequence[Guard], expiry: Expiry) -> KillResults:
        judging, world = self._judging, self._judging.world
        judging.attempted.update(guard.key for guard in guards)
        lives = {guard.key: life for guard in guards if (life := world.lives.get(guard.key.session_id)) is not None}
        truths = {key: judging.truth(life) for key, life in lives.items()}
        foreign = dict(world.foreign)
        results = self._real.kill(guards, expiry)
        for session_id, name in foreign.items():
            if session_id not in world.tmux.sessions:
                judging.violations.append(Violation("unmanaged", name, "it belongs to no workspace, and was ended", world.now))
        for key, life in lives.items():
            if life.session_id not in world.tmux.sessions:
                intent = judging.intents.get(key)
                judging.judge(life, truths[key], intent)
        world.note_ended("the reaper")
        return results

    def observe(self, owner_id: str, *, panes: bool = True, only: Collection[str] = ()) -> Listing | Unknown:
        listing = self._real.observe(owner_id, panes=panes, only=only)
        if isinstance(listing, Listing):
            judging, world = self._judging, self._judging.world
            is_first = not judging.is_listed
            # What the socket of a known server does not list, because it was removed, is not gone.
            if not is_missed(world):
                judging.note_listing()
            judging.rechecked_at = world.clock.called_at if only else judging.rechecked_at
            # A session that belongs to no workspace has no life.
            lives = [(one, life) for one in listing.sessions if (life := world.lives.get(one.key.session_id)) is not None]
            for _, life in lives if is_first else ():
                life.is_listed_attached = life.attached_since is not None
            # An option that comes and goes leaves no trace, as a client does: it counts once the ledger has it.
            # Later listings of a sweep are about the sessions that it rechecks.
            judging.objecting += [life for one, life in lives if one.kept and (is_first or one.key.session_id in only)]
        return listing

    def announce(self, made: Mapping[SessionKey, float], withdrawn: Sequence[SessionKey]) -> None:
        judging, lives, now = self._judging, self._judging.world.lives, self._judging.world.now
        for key in [*made, *withdrawn]:
            if (life := lives.get(key.session_id)) is not None and life.key == key:
                # The window begins with the verdict, which may be a delay older than the announcement.
                delay = judging.world.clock.now() + judging.limits.undo_window - made.get(key, 0.0)
                life.announced_at = now - max(0.0, delay) if key in made else None
                if key not in made and (life.taken_back_at or 0.0) > judging.listed_at:
                    # Its user objected to what was already withdrawn.
                    life.taken_back_at = None
        self._real.announce(made, withdrawn)


class JudgedPlugins:
    """Plugins whose answer at the moment of the question counts: they are asked once in a sweep."""

    def __init__(self, real: MemoryPlugins, judging: Judging) -> None:
        self._real = real
        self._judging = judging

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def vetoes(self, candidates: Sequence[Candidate]) -> Vetoes:
        names = {one.session_id: one.name for one in self._judging.world.tmux.sessions.values()}
        # The names by which it is asked: a session may have been renamed since the listing.
        names |= {one.session_id: one.session for one in candidates}
        held = frozenset(session_id for session_id, name in names.items() if name in self._real.held)
        self._judging.asked = None if self._real.silence is not None else held
        return self._real.vetoes(candidates)

    def reaped(self, reap: Reaped) -> None:
        """A plugin that is notified finds the outcome in the ledger: after a crash it would be notified again."""
        world = self._judging.world
        recorded = world.file.open("standard", "memory").find(reap.id)
        if recorded is None or recorded.outcome is not Outcome.REAPED:
            why = f"a plugin was notified of the reap {reap.id} before its outcome was in the ledger"
            self._judging.violations.append(Violation("notified", reap.session, why, world.now))
        self._real.reaped(reap)


# The methods that look at the directories that they are asked for.
_OF_PATHS = frozenset({"find", "missing", "look"})


class JudgedDirectories:
    """Directories of which each look is noted."""

    def __init__(self, real: MemoryDirectories, judging: Judging) -> None:
        self._real = real
        self._judging = judging

    def __getattr__(self, name: str) -> Any:
        found, world = getattr(self._real, name), self._judging.world

        def looking(*args: Any) -> Any:
            now = world.now
            paths = {getattr(each, "path", each) for each in args[0]} if name in _OF_PATHS else ()
            for one in world.workspaces:
                if one.path in paths:
                    one.looked_at = now
            if name == "look" and self._judging.looked_at_directories is None:
                self._judging.looked_at_directories = now
                if self._judging.began is not None and self._judging.is_listed:
                    self._judging.breaker.look_at_directories()
            return found(*args)

        return looking


class JudgedRegistry:
    """A registry of which the first look-up of each sweep is noted."""

    def __init__(self, real: Any, judging: Judging) -> None:
        self._real = real
        self._judging = judging
        self._is_again = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def look_up(self, ids: Collection[str], sentinels: Collection[str], **how: bool) -> LookupResult | Unknown:
        judging = self._judging
        again = self._is_again = judging.looked is not None
        if not again:
            judging.looked = judging.world.now
            judging.count()
        rows = self._real.look_up(ids, sentinels, **how)
        if isinstance(rows, LookupResult):
            judging.read(ids, again=again)
        return rows

    def note_lost(self) -> None:
        """The answer did not arrive."""
        self._judging.is_read = self._is_again


class JudgedLedger:
    """A ledger whose intents and outcomes are noted."""

    def __init__(self, real: Any, judging: Judging) -> None:
        self._real = real
        self._judging = judging

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def record_intents(self, intents: Sequence[Intent]) -> None:
        self._real.record_intents(intents)
        self._judging.intents.update({one.key: one for one in intents})
        self._judging.intended.update({one.reap_id: self._judging.world.now for one in intents})

    def record_results(self, outcomes: Sequence[ReapResult]) -> None:
        self._real.record_results(outcomes)
        self._judging.recorded.update({one.reap_id: self._judging.world.now for one in outcomes})

    def save(self, changes: StateChanges) -> None:
        self._real.save(changes)
        self._judging.saved()
        for life in self._judging.objecting:
            life.object_to_end(self._judging.world.now)
        self._judging.objecting.clear()
