"""The edges of the reaper as protocols. The sweep knows these; ``wiring`` puts the real things behind them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, BinaryIO, Protocol

from workspace_reaper.model.process import Details, Port, ProcessKey, ProcessTable, SignalResult
from workspace_reaper.model.reap import Intent, Reap, ReapResult, Vetoes
from workspace_reaper.model.session import Listing, SessionKey
from workspace_reaper.model.snapshot import CapturedPane, CapturedSession, CaptureFailure, SessionSnapshot, SnapshotOrder
from workspace_reaper.model.state import ClockReading, Event, LedgerState, RegistryState, StateChanges
from workspace_reaper.model.unknown import Unknown
from workspace_reaper.model.verdict import Guard, KillResults
from workspace_reaper.model.workspace import LookupResult, WorkspaceList

if TYPE_CHECKING:
    from workspace_hookspecs import Candidate, Reaped, ReaperAlarm

__all__ = ["ChangeWatcher", "Clock", "Ledger", "OwnLocation", "Plugins", "Processes", "Registry", "Snapshots", "Terminal"]


class Terminal(Protocol):
    """One tmux socket. No method raises for what tmux does or fails to do; no command takes longer than 5 s."""

    @property
    def socket(self) -> str:
        """The absolute path of the socket."""

    def observe(self, owner_id: str, *, panes: bool = True, only: Collection[str] = ()) -> Listing | Unknown:
        """List the sessions (and their panes) as they are now. ``owner_id`` is the owner that counts as ours. ``only`` narrows
        it to these session ids, and maybe some beside them."""

    def get_ready(self) -> None:
        """A kill follows soon: prepare what can be, so that it comes at once after its recheck."""

    def stand_down(self) -> None:
        """No kill follows any more."""

    def kill(self, guards: Sequence[Guard], meanwhile: Callable[[], None] | None = None) -> KillResults:
        """Kill each session whose guard still holds, in one invocation. Every id asked for has an answer, maybe ``NONE``.

        ``meanwhile`` may be called while it works; it raises nothing, and of this terminal calls ``get_ready`` alone."""

    def capture(
        self, keys: Sequence[SessionKey], *, lines: int, spool: BinaryIO
    ) -> Iterator[CapturedPane | CapturedSession | CaptureFailure]:
        """The last ``lines`` of each pane of these sessions: each session's panes, and then the session or why it failed.
        tmux is never busy with it for long. ``spool`` is a file to be overwritten; raises ``OSError`` for that file alone."""

    def mark(self, keys: Sequence[SessionKey], owner_id: str) -> None:
        """Set our owner_id on the sessions that still have that identity and carry none. Best effort: the next full listing
        tells."""

    def announce(self, made: Mapping[SessionKey, float], withdrawn: Sequence[SessionKey]) -> None:
        """Mark the sessions that still have that identity with when they go (Unix seconds), or take that mark off. Best
        effort: nothing rests on it."""

    def owners(self, keys: Collection[SessionKey]) -> Mapping[SessionKey, str | None] | Unknown:
        """The owner ids that these sessions carry, None for what is no owner id; one that is gone is missing."""

    def adopt(self, seen: Mapping[SessionKey, str], owner_id: str | None) -> frozenset[SessionKey]:
        """Set our owner_id, or take the owner_id off (None), where the session still has that identity and
        the owner is still the one that was ``seen``; those that now are so."""

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

    def look_up(self, ids: Collection[str], sentinels: Collection[str]) -> LookupResult | Unknown:
        """Ask for all ``ids`` (canonical) at once, and which of the ``sentinels`` still have a row. Holds no
        transaction open."""


class ChangeWatcher(Protocol):
    """Notices that somebody has written to the host's database. For one thread; ``close`` for any."""

    def wait(self, timeout: float) -> bool:
        """Wait until a commit may have changed the database, for at most so many seconds; whether it may have. True as well
        where that can't be told. Never raises for the database."""

    def read(self) -> WorkspaceList | Unknown:
        """All workspaces there are now. Holds no transaction open."""

    def close(self) -> None:
        """End a ``wait`` that is on, and let go of the database."""


class Ledger(Protocol):
    """Our own memory, bound to one configured registry. Every method raises ``LedgerError`` if it can't do its work."""

    def registry(self) -> RegistryState:
        """What is remembered of the registry; its owner_id is minted at the first call."""

    def load_state(self, ids: Collection[str], now: float) -> LedgerState:
        """All that a sweep over these workspaces needs."""

    def save(self, changes: StateChanges) -> None:
        """Write the changes in one transaction; nothing at all where there are none."""

    def record_deletion(self, workspace_id: str, now: float) -> None:
        """A hook named this workspace as deleted."""

    def record_named(self, workspace_id: str, now: float) -> None:
        """A hook named this workspace: proof that the registry has known it."""

    def record_intents(self, intents: Sequence[Intent]) -> None:
        """Commit the intents; only then may the kills be tried."""

    def record_results(self, outcomes: Sequence[ReapResult]) -> None:
        """Commit the outcomes."""

    def save_report(self, head: str, sessions: str, *, sweep: str, at: float, complete: bool) -> None:
        """Keep the last full report (two JSON texts)."""

    def touch_report(self, head: str, *, same: str, at: float, complete: bool) -> bool:
        """Keep a new head for a report whose sessions are those of the sweep ``same``; False if they are not."""

    def last_report(self) -> tuple[str, str] | None:
        """The last full report: its head, and its sessions."""

    def history(self, limit: int) -> list[Reap]:
        """The latest reaps, newest first."""

    def find(self, reap_id: str) -> Reap | None:
        """The reap with that id, or None."""

    def events(self, limit: int) -> list[Event]:
        """The latest events, newest first."""


class Snapshots(Protocol):
    """What is kept of sessions before they are reaped, on disk, by the id of the reap."""

    def take(self, terminal: Terminal, orders: Sequence[SnapshotOrder]) -> Mapping[str, str]:
        """Keep the panes of these sessions, all of one socket. Those that could not be kept, by reap id, each with the reason
        for a person; nothing of them is kept. Never raises for tmux or for the disk."""

    def has(self, reap_id: str) -> bool:
        """Whether something was kept under that id. It may have been damaged since: ``read`` tells."""

    def read(self, reap_id: str) -> SessionSnapshot:
        """What was kept, but for the content of the panes. Raises ``SnapshotError``."""

    def scrollback(self, reap_id: str, pane_id: str) -> Iterator[bytes]:
        """The lines of a pane, oldest first, each with its newline, as tmux told them: what a sequence for a colour switches
        on may go on in the next line. Raises ``SnapshotError``, also on the way."""

    def last_screen(self, reap_id: str, pane_id: str, *, colours: bool = True) -> tuple[str, ...]:
        """What the pane showed at last: lines to be printed, each with its own colours. Raises ``SnapshotError``."""

    def discard(self, reap_ids: Collection[str]) -> None:
        """Remove what was kept under these ids: their sessions live on. Never raises for the disk."""

    def prune(self, now: float, spare: Collection[str]) -> int:
        """Remove what is too old, then the oldest above the limit in bytes, but for these ids; and what a crash left behind.
        How many snapshots are gone. Never raises for the disk."""


class Clock(Protocol):
    """The clocks of this machine."""

    def now(self) -> float:
        """The wall clock, in Unix seconds."""

    def read(self) -> ClockReading:
        """All of them, as they are at one moment; ``wall`` is what ``now`` gives."""


class OwnLocation(Protocol):
    """Where the reaper itself runs."""

    @property
    def pids(self) -> frozenset[int]:
        """Its own process and all its ancestors."""

    @property
    def tmux(self) -> tuple[int, str] | None:
        """(server pid, pane id) that its environment names, if it was started inside tmux. Not the socket, whose path may be
        written in several ways."""


class Processes(Protocol):
    """The processes of this machine, as far as this user may see them. No method raises for what they do."""

    @property
    def boot(self) -> str:
        """Which start of the machine this is: start times of another one mean nothing. Empty where the system does not tell."""

    def start_time(self, pid: int) -> float | None:
        """When that process started, in the table's own units; None if it does not exist or can't be read."""

    def may_live(self, pid: int, started: float | None) -> bool:
        """Whether the process with that start time may still be there; True where it can't be read."""

    def whereabouts(self) -> OwnLocation:
        """Where the reaper runs at this moment."""

    def table(self) -> ProcessTable | Unknown:
        """One pass over all processes."""

    def glance(self) -> ProcessTable | Unknown:
        """The same for clocks only: a process that was seen before may be told with the origin that it had then, although it
        runs another program now."""

    def details(self, keys: Collection[ProcessKey]) -> Mapping[ProcessKey, Details]:
        """More of these processes; those that are gone, or zombies, are missing."""

    def living(self, keys: Collection[ProcessKey]) -> frozenset[ProcessKey]:
        """Those that are still there, with the same start time, and are no zombies. One that can't be read lives."""

    def is_inside(self, key: ProcessKey, directory: str) -> bool:
        """Whether the process's working directory is that one or below it, by inode; False where that can't be told."""

    def listening(self) -> frozenset[Port]:
        """The ports on which anything on this machine listens now."""

    def signal(self, key: ProcessKey, number: int) -> SignalResult:
        """Send a signal to the process, if it certainly is the one with that start time."""


class Plugins(Protocol):
    """The other plugins of the host. No method raises for what they do."""

    def vetoes(self, candidates: Sequence[Candidate]) -> Vetoes:
        """Ask them all which of these sessions must stay, once for all condemned of a sweep; it takes at most a second. One
        that gives no usable answer has vetoed everything."""

    def reaped(self, reap: Reaped) -> None:
        """Tell them all that a session was reaped. Returns at once."""

    def alarm(self, alarm: ReaperAlarm) -> None:
        """Tell them all that an alarm has begun, or is over. Returns at once."""
