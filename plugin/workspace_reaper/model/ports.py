"""The interfaces through which the sweep uses tmux, the registry, the ledger and the processes. ``wiring`` supplies the
adapters.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, BinaryIO, Protocol

from workspace_reaper.model.events import WorkspaceEvent
from workspace_reaper.model.reap import Intent, Reap, ReapResult, Vetoes
from workspace_reaper.model.session import Listing, SessionKey
from workspace_reaper.model.snapshot import CapturedPane, CapturedSession, CaptureFailure, SessionSnapshot, SnapshotOrder
from workspace_reaper.model.state import Event, LedgerState, RegistryState, StateChanges
from workspace_reaper.model.unknown import Unknown
from workspace_reaper.model.verdict import Expiry, Guard, KillResults
from workspace_reaper.model.workspace import LookupResult, WorkspaceList

if TYPE_CHECKING:
    from workspace_hookspecs import Candidate, Reaped, ReaperAlarm


class Terminal(Protocol):
    """One tmux socket. No method raises for what tmux does or fails to do, and no command takes longer than 5 s."""

    @property
    def socket(self) -> str:
        """The absolute path of the socket."""

    def observe(self, owner_id: str, *, panes: bool = True, only: Collection[str] = ()) -> Listing | Unknown:
        """List the sessions as they are now.

        Args:
            owner_id: The owner id that counts as ours.
            panes: Whether to list their panes too.
            only: Narrow the listing to these session ids. It may contain a few others.
        """

    def kill(self, guards: Sequence[Guard], expiry: Expiry) -> KillResults:
        """Kill each session whose guard still holds and has not expired, in one invocation.

        Every id has a result, possibly ``NONE``.
        """

    def capture(
        self, keys: Sequence[SessionKey], *, lines: int, spool: BinaryIO
    ) -> Iterator[CapturedPane | CapturedSession | CaptureFailure]:
        """Yield the last ``lines`` of each pane of these sessions: the panes of a session, then the session or why it failed.

        tmux is never busy with it for long. ``spool`` is a file that is overwritten. Raises ``OSError`` for that file only.
        """

    def mark(self, workspaces: Mapping[SessionKey, str], owner_id: str) -> tuple[float, float | None]:
        """Set our marks on the sessions that still have that identity and carry no other owner id.

        Best effort: the next full listing shows the result.

        Args:
            workspaces: The sessions, each with its value of ``@reaper_workspace`` (hexadecimal digits).
            owner_id: Our owner id.

        Returns:
            How long tmux took, and the CPU time of its server (None if that is unknown), in seconds.
        """

    def own_options(self, keys: Collection[SessionKey]) -> Mapping[SessionKey, Mapping[str, str]]:
        """Return the user options that are set on these sessions themselves, by name (``@reaper_keep``), with their values.

        A session that does not exist any more is missing, and so is one for which tmux gave no answer. ``@reaper_self`` is
        among the options only if it is the session's own identity.
        """

    def announce(self, made: Mapping[SessionKey, float], withdrawn: Sequence[SessionKey]) -> None:
        """Set the deadline (Unix seconds) on the sessions that still have that identity, or remove it.

        Best effort: no decision depends on it.
        """

    def adopt(self, workspaces: Mapping[SessionKey, str], seen: str, owner_id: str) -> frozenset[SessionKey]:
        """Set our marks where a session still has that identity and still carries the owner id that was ``seen``.

        Args:
            workspaces: The sessions, each with its value of ``@reaper_workspace`` (hexadecimal digits).
            seen: The owner id of another reaper.
            owner_id: Our owner id.

        Returns:
            The sessions for which tmux confirms it.
        """

    def release(self, keys: Collection[SessionKey], seen: str) -> frozenset[SessionKey]:
        """Remove the marks where a session still has that identity and the owner id that was ``seen``. See ``adopt``."""

    def keep(self, key: SessionKey, *, on: bool) -> bool:
        """Set or unset ``@reaper_keep`` on the session if it still has that identity. Return whether tmux confirms it."""


class Registry(Protocol):
    """The host's workspaces, read-only."""

    @property
    def name(self) -> str:
        """Return the schema's name, such as ``vibe-kanban``."""

    @property
    def location(self) -> str:
        """Return where it is, for display: a path, or a URL without its password."""

    def canonical(self, text: str) -> str | None:
        """Return the canonical workspace id of a text from a session's name or a hook, or None if it is not an id."""

    def look_up(
        self,
        ids: Collection[str],
        sentinels: Collection[str],
        *,
        every_spelling: bool = False,
        sessions: Collection[str] = (),
    ) -> LookupResult | Unknown:
        """Read the rows of all ``ids`` (canonical) and which of the ``sentinels`` still have a row, at one moment.

        Leaves no transaction open.

        Args:
            ids: The workspaces.
            sentinels: The oldest rows that were known.
            every_spelling: Look for further rows of the workspaces even where the first one says that nothing is to be reaped.
                That reads the whole table.
            sessions: The names of sessions. The rows that name one of them are in the result too, with their workspaces. It
                has none for a host that does not record the names.
        """

    def worktrees(self) -> frozenset[str] | Unknown:
        """Return the directories that the rows of all workspaces name, deleted ones excepted. It reads the whole table."""


class ChangeWatcher(Protocol):
    """Waits for changes of the host's database. For use by one thread; ``close`` may be called by any."""

    def wait(self, timeout: float) -> bool:
        """Wait for at most ``timeout`` seconds. Return whether a commit may have changed the database.

        Also True if that is unknown. Never raises for the database.
        """

    def read(self) -> WorkspaceList | Unknown:
        """Return all workspaces as they are now. Leaves no transaction open."""

    def close(self) -> None:
        """Stop a running ``wait`` and close the database."""


class Ledger(Protocol):
    """The reaper's own state, bound to one configured registry. Every method raises ``LedgerError`` if it fails."""

    def registry(self) -> RegistryState:
        """Return the state of the registry. Its owner id is created at the first call."""

    def load_state(self, ids: Collection[str], now: float) -> LedgerState:
        """Return the state that a sweep over these workspaces needs."""

    def longer_ids(self, length: int) -> Collection[str]:
        """Return the ids of more characters than that of all workspaces that the registry has known."""

    def save(self, changes: StateChanges) -> None:
        """Write the changes in one transaction. Writes nothing if there are none."""

    def record_deletion(self, workspace_id: str, now: float) -> None:
        """Record that a hook reported this workspace as deleted."""

    def record_removal(self, workspace_id: str, event: WorkspaceEvent, now: float) -> None:
        """Record that the daemon saw the row of this workspace go.

        A removal outweighs a row that only vanished, and a doubt outweighs both.
        """

    def record_named(self, workspace_id: str, now: float) -> None:
        """Record that a hook named this workspace, which proves that the registry has known it."""

    def record_intents(self, intents: Sequence[Intent]) -> None:
        """Commit the intents. Only then may the kills be attempted."""

    def record_results(self, outcomes: Sequence[ReapResult]) -> None:
        """Commit the outcomes."""

    def save_report(self, head: str, sessions: str, *, sweep: str, at: float, complete: bool) -> None:
        """Save the last full report, as two JSON texts."""

    def touch_report(self, head: str, *, same: str, at: float, complete: bool) -> bool:
        """Save a new head for a report with the same sessions as that of the sweep ``same``.

        Return False if the saved report is a different one.
        """

    def last_report(self) -> tuple[str, str] | None:
        """Return the head and the sessions of the last full report, or None."""

    def history(self, limit: int) -> list[Reap]:
        """Return the latest reaps, newest first."""

    def find(self, reap_id: str) -> Reap | None:
        """Return the reap with that id, or None."""

    def events(self, limit: int) -> list[Event]:
        """Return the latest events, newest first."""

    def events_after(self, number: int | None) -> tuple[int, list[Event]]:
        """Return the number of the latest event, and the events that came after that number, oldest first (None: no events)."""


class Snapshots(Protocol):
    """The snapshots of reaped sessions on disk, by the id of the reap."""

    def take(self, terminal: Terminal, orders: Sequence[SnapshotOrder]) -> Mapping[str, str]:
        """Save the panes of these sessions, which are all on one socket.

        Return the reasons, by reap id, for those that could not be saved; nothing of them is left. Never raises for tmux or the
        disk.
        """

    def has(self, reap_id: str) -> bool:
        """Return whether a snapshot exists. It may be damaged: ``read`` finds out."""

    def read(self, reap_id: str) -> SessionSnapshot:
        """Return the snapshot without the content of its panes. Raises ``SnapshotError``."""

    def scrollback(self, reap_id: str, pane_id: str) -> Iterator[bytes]:
        """Yield the lines of a pane, oldest first, each with its newline, as tmux printed them.

        A colour may continue into the next line. Raises ``SnapshotError``, also between lines.
        """

    def last_screen(self, reap_id: str, pane_id: str, *, colours: bool = True) -> tuple[str, ...]:
        """Return the last screen of the pane as lines that can be printed one by one. Raises ``SnapshotError``."""

    def discard(self, reap_ids: Collection[str]) -> None:
        """Remove the snapshots of these reaps, because their sessions were not killed. Never raises for the disk."""

    def prune(self, now: float, spare: Collection[str]) -> int:
        """Remove what is too old, then the oldest above the size limit, and what a crash left behind.

        Those in ``spare`` are kept. Return how many were removed. Never raises for the disk.
        """


class Plugins(Protocol):
    """The other plugins of the host. No method raises for what they do."""

    def vetoes(self, candidates: Sequence[Candidate]) -> Vetoes:
        """Ask all plugins once which of the selected sessions must stay. Takes at most a second.

        A plugin that gives no usable response vetoes everything.
        """

    def deleted(self, workspace_id: str) -> None:
        """Notify all plugins that a workspace was deleted, which no hook of the host has reported. Returns at once."""

    def reaped(self, reap: Reaped) -> None:
        """Notify all plugins that a session was reaped. Returns at once."""

    def alarm(self, alarm: ReaperAlarm) -> None:
        """Notify all plugins that an alarm began or ended. Returns at once."""
