"""The port ``Terminal`` over a simulated tmux server. ``tests/contract/test_terminal.py`` holds it to the real one."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import BinaryIO

from tests.simulation.memory.sessions import HEIGHT, WIDTH, SimulatedSession, row_of, windows_of
from tests.simulation.memory.tmux import MemoryTmux
from workspace_reaper.model.session import Listing, Session, SessionKey
from workspace_reaper.model.snapshot import CapturedPane, CapturedSession, CaptureFailure
from workspace_reaper.model.unknown import Source, Unknown
from workspace_reaper.model.verdict import Expiry, Guard, KillResult, KillResults

__all__ = ["MemoryTerminal"]

_MARKS = ("@workspace_owner", "@reaper_workspace", "@reaper_self")
_CUT = "tmux's answer is incomplete."
_CHANGED = "Its panes changed during the capture; the next sweep tries again."


class MemoryTerminal:
    """The port ``Terminal`` over a `MemoryTmux`."""

    def __init__(self, tmux: MemoryTmux) -> None:
        self._tmux = tmux

    @property
    def socket(self) -> str:
        return self._tmux.path

    def observe(
        self, owner_id: str, *, panes: bool = True, only: Collection[str] = (), others: Collection[str] = ()
    ) -> Listing | Unknown:
        tmux = self._tmux
        if tmux.fault is not None:
            return Unknown(Source.SOCKET, tmux.fault, tmux.path)
        if not tmux.is_reachable:
            return Listing(tmux.path, (), answered=False)
        if self._kept() is not None:
            return Unknown(Source.SOCKET, _CUT, tmux.path)
        ones = [one for one in tmux.sessions.values() if not only or one.session_id in only]
        sessions = tuple(self._seen(one, (owner_id, *others), panes=panes) for one in ones)
        return Listing(tmux.path, sessions, server=tmux.server if sessions else None, server_time=tmux.now)

    def kill(self, guards: Sequence[Guard], expiry: Expiry) -> KillResults:
        answers = {guard.key.session_id: self._kill(guard, expiry) for guard in guards}
        kept = self._kept()
        lost = [] if kept is None else list(answers)[kept:]
        return KillResults({**answers, **dict.fromkeys(lost, KillResult.NONE)}, 0.0, self._tmux.fault)

    def _kept(self) -> int | None:
        """How many answers arrive of this batch (None: all). The next is whole again."""
        kept, self._tmux.answers_kept = self._tmux.answers_kept, None
        return kept

    def _seen(self, one: SimulatedSession, owner_ids: Collection[str], *, panes: bool) -> Session:
        tmux = self._tmux
        return row_of(one, tmux.peers(one), {**tmux.options, **one.options}, owner_ids, panes=panes)

    def _kill(self, guard: Guard, expiry: Expiry) -> KillResult:
        tmux = self._tmux
        if not tmux.is_reachable or guard.key.socket != tmux.path:
            return KillResult.NONE
        one = tmux.sessions.get(guard.key.session_id)
        if one is None:
            return KillResult.GONE
        if tmux.find(guard.key) is not None and expiry.admits(tmux.now) and self._holds(guard, one):
            tmux.kill_session(one.session_id)
            return KillResult.KILLED
        return KillResult.SPARED if expiry.admits(tmux.now) else KillResult.STALE

    def _holds(self, guard: Guard, one: SimulatedSession) -> bool:
        quiet = guard.quiet_since
        return (
            self._tmux.option(one, "@reaper_keep") == ""
            and guard.activity in (None, one.activity)
            and not (guard.unattached and any(peer.clients for peer in self._tmux.peers(one)))
            and not (quiet is not None and any(window.output > quiet for window in one.windows))
            and not (guard.all_panes_dead and not one.has_only_dead_panes)
            and not (guard.ungrouped and len(self._tmux.peers(one)) > 1)
            and guard.owner in (None, self._tmux.option(one, "@workspace_owner"))
            and guard.workspace in (None, self._tmux.option(one, "@reaper_workspace"))
        )

    def capture(
        self, keys: Sequence[SessionKey], *, lines: int, spool: BinaryIO
    ) -> Iterator[CapturedPane | CapturedSession | CaptureFailure]:
        kept = self._kept()
        for key in keys:
            one = self._find(key)
            why = self._tmux.fault or (_CUT if kept is not None else _CHANGED if one is None else None)
            if why is not None or one is None:
                yield CaptureFailure(key, why or _CHANGED)
                continue
            windows = windows_of(one, lines)
            content = {pane.pane_id: pane.lines for window in windows for pane in window.panes}
            for pane_id, count in content.items():
                yield CapturedPane(key, pane_id, [b"\n" * count])
            yield CapturedSession(key, WIDTH, HEIGHT, windows)

    def mark(self, workspaces: Mapping[SessionKey, str], owner_id: str) -> tuple[float, float | None]:
        for key, mark in workspaces.items():
            one = self._find(key)
            if one is not None and self._tmux.option(one, "@workspace_owner") in ("", owner_id):
                self._set_marks(one, mark, owner_id)
        return 0.0, None

    def own_options(self, keys: Collection[SessionKey]) -> Mapping[SessionKey, Mapping[str, str]]:
        found = [(key, self._own(one)) for key in keys if (one := self._find(key)) is not None]
        return dict(found[: self._kept()])

    def _own(self, one: SimulatedSession) -> dict[str, str]:
        is_self = one.options.get("@reaper_self") == one.identity
        return {name: value for name, value in one.options.items() if name != "@reaper_self" or is_self}

    def announce(self, made: Mapping[SessionKey, float], withdrawn: Sequence[SessionKey]) -> None:
        for key in [*made, *withdrawn]:
            one = self._find(key)
            if one is not None:
                one.options.pop("@reaper_deadline", None)
                if key in made:
                    one.options["@reaper_deadline"] = str(int(made[key]))

    def adopt(self, workspaces: Mapping[SessionKey, str], seen: str, owner_id: str) -> frozenset[SessionKey]:
        taken = self._owned(workspaces, seen)
        for key, one in taken.items():
            self._set_marks(one, workspaces[key], owner_id)
        return frozenset(taken)

    def release(self, keys: Collection[SessionKey], seen: str) -> frozenset[SessionKey]:
        taken = self._owned(keys, seen)
        for one in taken.values():
            for name in _MARKS:
                one.options.pop(name, None)
        return frozenset(key for key, one in taken.items() if not self._tmux.option(one, "@workspace_owner"))

    def keep(self, key: SessionKey, *, on: bool) -> bool:
        one = self._find(key)
        if one is None:
            return False
        one.options.pop("@reaper_keep", None)
        if on:
            one.options["@reaper_keep"] = "1"
        return (self._tmux.option(one, "@reaper_keep") != "") is on

    def _find(self, key: SessionKey) -> SimulatedSession | None:
        """The session, if it is there and tmux answers."""
        return self._tmux.find(key) if self._tmux.is_reachable else None

    def _owned(self, keys: Collection[SessionKey], owner: str) -> dict[SessionKey, SimulatedSession]:
        found = {key: one for key in keys if (one := self._find(key)) is not None}
        return {key: one for key, one in found.items() if self._tmux.option(one, "@workspace_owner") == owner}

    def _set_marks(self, one: SimulatedSession, mark: str, owner_id: str) -> None:
        values = (owner_id, mark, one.identity)
        one.options.update(zip(_MARKS, values, strict=True))
