"""``TmuxTerminal``: the port ``Terminal`` on a real tmux socket."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TYPE_CHECKING, BinaryIO

from workspace_reaper.model.session import Listing, SessionKey
from workspace_reaper.model.snapshot import CapturedPane, CapturedSession, CaptureFailure
from workspace_reaper.model.unknown import Source, Unknown
from workspace_reaper.model.verdict import Expiry, Guard, KillResult, KillResults
from workspace_reaper.tmux import commands
from workspace_reaper.tmux.capture import FIRST_BATCH, PaneCapture
from workspace_reaper.tmux.client import LIMIT, Completed, run
from workspace_reaper.tmux.formats import PANE_FORMAT, SERVER_FORMAT, range_filter, session_format
from workspace_reaper.tmux.listing import ListingReader
from workspace_reaper.tmux.responses import ListingOutcome, advice, certainly_absent, certainly_refused, meaning, not_ours
from workspace_reaper.tmux.server_time import timed
from workspace_reaper.util.batch_size import BatchSize

if TYPE_CHECKING:
    from workspace_reaper.model.snapshot import SessionSnapshot
    from workspace_reaper.tmux.restore import PaneStart, SessionRebuild
    from workspace_reaper.tmux.server import ReaperServer


class TmuxTerminal:
    """The tmux socket at an absolute path. ``limit`` is the time limit of each command in seconds.

    For one thread at a time. Methods raise ``ValueError`` for a key of another socket, and for a key or an owner id that must
    not enter a command. No change moves a clock of tmux.
    """

    def __init__(self, socket: str, *, limit: float = LIMIT) -> None:
        self._socket = socket
        self._limit = limit
        self._server: ReaperServer | None = None
        # As the last listing reported it.
        self._server_pid: int | None = None
        self._capture_pace = BatchSize(FIRST_BATCH)
        # Rows differ with and without panes, and a narrow listing lacks most: each kind has its own reader.
        self._readers: dict[tuple[bool, bool], ListingReader] = defaultdict(lambda: ListingReader(socket))

    @property
    def socket(self) -> str:
        return self._socket

    def observe(
        self, owner_id: str, *, panes: bool = True, only: Collection[str] = (), others: Collection[str] = ()
    ) -> Listing | Unknown:
        narrow = ["-f", range_filter(only)] if only else []
        words = ["list-sessions", *narrow, "-F", session_format(owner_id), ";", "display-message", "-p", SERVER_FORMAT]
        if panes:
            words += [";", "list-panes", "-a", *narrow, "-F", PANE_FORMAT]
        if refusal := not_ours(self._socket):
            return self._unknown(refusal)
        completed = timed(self._server_pid, lambda: self._run(*words))
        outcome = meaning(completed, self._socket)
        if outcome in (ListingOutcome.ROWS, ListingOutcome.NO_SESSION):
            listing = self._readers[panes, bool(only)].read(completed.stdout, (owner_id, *others), panes=panes)
            is_empty = isinstance(listing, Listing) and not (listing.sessions or listing.unreadable)
            if is_empty or outcome is ListingOutcome.ROWS:
                return self._timed(listing, completed) if isinstance(listing, Listing) else listing
        absent = outcome is ListingOutcome.ABSENT and certainly_absent(self._socket)
        if absent or (outcome is ListingOutcome.REFUSED and certainly_refused(self._socket)):
            return Listing(self._socket, (), answered=False)
        return self._unknown(f"{self._socket}: {advice(completed)}")

    def _timed(self, listing: Listing, completed: Completed) -> Listing:
        self._server_pid = listing.server.pid if listing.server else None
        return replace(listing, server_seconds=completed.server_seconds)

    def kill(self, guards: Sequence[Guard], expiry: Expiry) -> KillResults:
        """See the port. ``seconds`` is the wall time of the tmux client.

        A guard of another socket, or with a value that must not enter a command, is not sent and gets no answer.
        """
        answers = {guard.key.session_id: KillResult.NONE for guard in guards}
        lines: list[str] = []
        errors: list[str] = []
        for guard in guards:
            try:
                self._check_socket(guard.key)
                lines.append(commands.kill_line(guard, expiry))
            except ValueError as error:
                errors.append(str(error))
        if not lines:
            return KillResults(answers, 0.0, " ".join(errors) or None)
        server_pid = guards[0].key.server_pid
        completed = timed(server_pid, lambda: self._run("source-file", "-", stdin="".join(lines)))
        read = commands.read_answers(completed.stdout, expiry)
        answers.update((session_id, answer) for session_id, answer in read.items() if session_id in answers)
        if completed.failure is not None or completed.exit_code != 0 or completed.stderr:
            errors.append(advice(completed))
        return KillResults(answers, completed.seconds, " ".join(errors) or None, completed.server_seconds)

    def mark(self, workspaces: Mapping[SessionKey, str], owner_id: str) -> tuple[float, float | None]:
        lines = [commands.mark_line(key, mark, owner_id) for key, mark in workspaces.items()]
        completed = self._send(workspaces, lines)
        return completed.seconds, completed.server_seconds

    def own_options(self, keys: Collection[SessionKey]) -> Mapping[SessionKey, Mapping[str, str]]:
        return commands.read_own_options(self._send(keys, map(commands.own_options_line, keys)).stdout, keys)

    def adopt(self, workspaces: Mapping[SessionKey, str], seen: str, owner_id: str) -> frozenset[SessionKey]:
        lines = [commands.adopt_line(key, seen, mark, owner_id) for key, mark in workspaces.items()]
        return self._taken(workspaces, lines)

    def release(self, keys: Collection[SessionKey], seen: str) -> frozenset[SessionKey]:
        return self._taken(keys, [commands.release_line(key, seen) for key in keys])

    def _taken(self, keys: Collection[SessionKey], lines: Sequence[str]) -> frozenset[SessionKey]:
        taken = commands.read_taken(self._send(keys, lines).stdout)
        return frozenset(key for key in keys if key.session_id in taken)

    def keep(self, key: SessionKey, *, on: bool) -> bool:
        return commands.read_kept(self._send([key], [commands.keep_line(key, on=on)]).stdout, key) is on

    def announce(self, made: Mapping[SessionKey, float], withdrawn: Sequence[SessionKey]) -> None:
        deadlines = {key: int(at) for key, at in made.items()} | dict.fromkeys(withdrawn)
        self._send(deadlines, (commands.deadline_line(key, at) for key, at in deadlines.items()))

    def capture(
        self, keys: Sequence[SessionKey], *, lines: int, spool: BinaryIO
    ) -> Iterator[CapturedPane | CapturedSession | CaptureFailure]:
        valid: list[SessionKey] = []
        for key in keys:
            try:
                self._check_socket(key)
                commands.check_session_id(key)
                valid.append(key)
            except ValueError as error:
                yield CaptureFailure(key, str(error))
        if refusal := not_ours(self._socket):
            yield from (CaptureFailure(key, refusal) for key in valid)
            return

        def ask(lines_to_run: str) -> Completed:
            # The short name of the command distinguishes it from a kill, in the process list and for a wrapper of tmux.
            arguments = ["-u", "-S", self._socket, "source", "-"]
            return timed(valid[0].server_pid, lambda: run(arguments, stdin=lines_to_run, limit=self._limit, stdout=spool))

        yield from PaneCapture(ask, spool, lines, self._capture_pace).run(valid)

    def rebuild(self, snapshot: SessionSnapshot, starts: Mapping[str, PaneStart]) -> AbstractContextManager[SessionRebuild]:
        """Rebuild a session; see ``restore.rebuilding``. The only method that raises for what tmux does: ``CannotRestore``."""
        from workspace_reaper.tmux.restore import rebuilding

        return rebuilding(self._tmux(), snapshot, starts)

    def _check_socket(self, key: SessionKey) -> None:
        if key.socket != self._socket:
            raise ValueError(f"The session {key.session_id} is on {key.socket}, not on {self._socket}.")

    def _send(self, keys: Collection[SessionKey], lines: Iterable[str]) -> Completed:
        """Run the lines in one invocation, once all keys are checked. Without keys nothing is run."""
        for key in keys:
            self._check_socket(key)
        first = next(iter(keys), None)
        if first is None:
            return Completed((), 0, "", "", None, 0.0)
        return timed(first.server_pid, lambda: self._run("source-file", "-", stdin="".join(lines)))

    def _run(self, command: str, *arguments: str, stdin: str | None = None) -> Completed:
        return self._tmux().cmd(command, *arguments, stdin=stdin).completed

    def _tmux(self) -> ReaperServer:
        if self._server is None:
            from workspace_reaper.tmux.server import ReaperServer  # libtmux takes 100 ms to import

            self._server = ReaperServer(self._socket, limit=self._limit)
        return self._server

    def _unknown(self, reason: str) -> Unknown:
        return Unknown(Source.SOCKET, reason, self._socket)
