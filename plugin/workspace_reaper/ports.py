"""The edges of the reaper as protocols. The sweep knows these; ``wiring`` puts the real things behind them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from workspace_reaper.memory import Changes, Event, Intent, Memory, Outcome, Reap, RegistryMemory
from workspace_reaper.model import Guard, KillAnswers, Listing, Rows, SessionKey, Unknown

__all__ = ["Clock", "Ledger", "Processes", "Registry", "Terminal", "Whereabouts"]


class Terminal(Protocol):
    """One tmux socket. No method raises for what tmux does or fails to do; no command takes longer than 5 s."""

    @property
    def socket(self) -> str:
        """The absolute path of the socket."""

    def observe(self, stamp: str, *, panes: bool = True, only: Collection[str] = ()) -> Listing | Unknown:
        """List the sessions (and their panes) as they are now. ``stamp`` is the owner that counts as ours. ``only`` narrows
        it to these session ids, and maybe some beside them."""

    def get_ready(self) -> None:
        """A kill follows soon: prepare what can be, so that it comes at once after its recheck."""

    def stand_down(self) -> None:
        """No kill follows any more."""

    def kill(self, guards: Sequence[Guard]) -> KillAnswers:
        """Kill each session whose guard still holds, in one invocation. Every id asked for has an answer, maybe ``NONE``."""

    def mark(self, keys: Sequence[SessionKey], stamp: str) -> None:
        """Set our stamp on the sessions that still have that identity and carry none. Best effort: the next full listing
        tells."""

    def keep(self, key: SessionKey, *, on: bool) -> bool:
        """Set or unset ``@reaper_keep`` on the session if it still has that identity; whether it now is so."""


class Registry(Protocol):
    """The host's workspaces, read-only."""

    @property
    def name(self) -> str:
        """The schema's name, such as ``vibe-kanban``."""

    @property
    def location(self) -> str:
        """Where it is, for a person: a path, or a URL without its password."""

    def canonical(self, text: str) -> str | None:
        """The canonical workspace id for what a session's name or a hook says, or None if that can't be one."""

    def look_up(self, ids: Collection[str], anchors: Collection[str]) -> Rows | Unknown:
        """Ask for all ``ids`` (canonical) at once, and which of the ``anchors`` are still there. Holds no transaction open."""


class Ledger(Protocol):
    """Our own memory, bound to one configured registry. Every method raises ``LedgerError`` if it can't do its work."""

    def registry(self) -> RegistryMemory:
        """What is remembered of the registry; its stamp is minted at the first call."""

    def recall(self, ids: Collection[str], now: float) -> Memory:
        """All that a sweep over these workspaces needs."""

    def remember(self, changes: Changes) -> None:
        """Write the changes in one transaction; nothing at all where there are none."""

    def testify(self, workspace_id: str, now: float) -> None:
        """A hook named this workspace as deleted."""

    def named(self, workspace_id: str, now: float) -> None:
        """A hook named this workspace: proof that the registry has known it."""

    def intend(self, intents: Sequence[Intent]) -> None:
        """Commit the intents; only then may the kills be tried."""

    def conclude(self, outcomes: Sequence[Outcome]) -> None:
        """Commit the outcomes."""

    def save_report(self, head: str, sessions: str, *, sweep: str, at: float, complete: bool) -> None:
        """Keep the last full report (two JSON texts)."""

    def touch_report(self, head: str, *, same: str, at: float, complete: bool) -> bool:
        """Keep a new head for a report whose sessions are those of the sweep ``same``; False if they are not."""

    def last_report(self) -> tuple[str, str] | None:
        """The last full report: its head, and its sessions."""

    def history(self, limit: int) -> list[Reap]:
        """The latest reaps, newest first."""

    def events(self, limit: int) -> list[Event]:
        """The latest events, newest first."""


class Clock(Protocol):
    """The wall clock."""

    def now(self) -> float:
        """Unix seconds."""


class Whereabouts(Protocol):
    """Where the reaper itself runs."""

    @property
    def pids(self) -> frozenset[int]:
        """Its own process and all its ancestors."""

    @property
    def tmux(self) -> tuple[int, str] | None:
        """(server pid, pane id) that its environment names, if it was started inside tmux. Not the socket, whose path may be
        written in several ways."""


class Processes(Protocol):
    """The process table."""

    def start_time(self, pid: int) -> float | None:
        """When that process started, in the table's own units; None if it does not exist or can't be read."""

    def may_live(self, pid: int, started: float | None) -> bool:
        """Whether the process with that start time may still be there; True where it can't be read."""

    def resident_bytes(self, pids: Collection[int]) -> int:
        """Resident memory of those of the processes that can be read, in bytes."""

    def whereabouts(self) -> Whereabouts:
        """Where the reaper runs at this moment."""
