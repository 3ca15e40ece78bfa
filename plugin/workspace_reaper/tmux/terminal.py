"""``TmuxTerminal``: the port ``Terminal`` on a real tmux socket."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, BinaryIO

from workspace_reaper.model.session import Listing, SessionKey
from workspace_reaper.model.snapshot import CapturedPane, CapturedSession, CaptureFailure
from workspace_reaper.model.unknown import Source, Unknown
from workspace_reaper.model.verdict import Guard, KillResult, KillResults
from workspace_reaper.tmux.capture import FIRST_BATCH, PaneCapture
from workspace_reaper.tmux.client import LIMIT, Client, Completed
from workspace_reaper.tmux.commands import (
    check_owner_id,
    deadline_line,
    keep_line,
    kill_line,
    mark_line,
    owner_line,
    read_answers,
    read_kept,
    read_owners,
    read_taken,
    take_line,
)
from workspace_reaper.tmux.formats import PANE_FORMAT, SERVER_FORMAT, range_filter, session_format
from workspace_reaper.tmux.listing import ListingReader
from workspace_reaper.tmux.panes import check_session_id
from workspace_reaper.tmux.responses import ListingOutcome, advice, certainly_absent, certainly_refused, meaning, not_ours
from workspace_reaper.tmux.restore import PaneStart, SessionRebuild, rebuilding
from workspace_reaper.util.batch_size import BatchSize

if TYPE_CHECKING:
    from workspace_reaper.model.snapshot import SessionSnapshot
    from workspace_reaper.tmux.server import ReaperServer, TmuxCommand

__all__ = ["TmuxTerminal"]


class TmuxTerminal:
    """The tmux socket at an absolute path. ``limit`` bounds each command, in seconds.

    No method raises for what tmux does or fails to do. For one thread at a time.
    """

    def __init__(self, socket: str, *, limit: float = LIMIT) -> None:
        self._socket = socket
        self._limit = limit
        self._server: ReaperServer | None = None
        self._capture_pace = BatchSize(FIRST_BATCH)
        # With and without panes the same session has other rows, and a narrow listing lacks most: each kind remembers its own.
        self._readers: dict[tuple[bool, bool], ListingReader] = defaultdict(lambda: ListingReader(socket))

    @property
    def socket(self) -> str:
        """The absolute path of the socket."""
        return self._socket

    def observe(self, owner_id: str, *, panes: bool = True, only: Collection[str] = ()) -> Listing | Unknown:
        """List the sessions, and their panes, in one tmux invocation. With ``only`` (session ids) those alone, and maybe some
        beside them: a session that is asked for and missing in a valid answer is gone.

        Raises ``ValueError`` for a ``owner_id`` that is not made of lower-case hexadecimal digits.
        """
        narrow = ["-f", range_filter(only)] if only else []
        commands = ["list-sessions", *narrow, "-F", session_format(check_owner_id(owner_id))]
        commands += [";", "display-message", "-p", SERVER_FORMAT]
        if panes:
            commands += [";", "list-panes", "-a", *narrow, "-F", PANE_FORMAT]
        reader = self._readers[panes, bool(only)]
        if refusal := not_ours(self._socket):
            return self._unknown(refusal)
        completed = self._run(*commands).completed
        what = meaning(completed, self._socket)
        if what is ListingOutcome.ROWS:
            return reader.read(completed.stdout, panes=panes)
        if what is ListingOutcome.NO_SESSION:
            listing = reader.read(completed.stdout, panes=panes)
            if isinstance(listing, Listing) and not listing.sessions and not listing.unreadable:
                return listing
        absent = what is ListingOutcome.ABSENT and certainly_absent(self._socket)
        if absent or (what is ListingOutcome.REFUSED and certainly_refused(self._socket)):
            return Listing(self._socket, (), answered=False)
        return self._unknown(advice(completed))

    def kill(self, guards: Sequence[Guard], meanwhile: Callable[[], None] | None = None) -> KillResults:
        """Kill each session whose guard still holds, in one invocation; see ``guard.kill_line``.

        ``meanwhile`` is called while tmux works, and may call ``get_ready`` and nothing else of this terminal.

        A guard of another socket, or with a value that may not enter a command, is not sent and gets no answer.
        ``seconds`` is the wall time of the tmux client.
        """
        answers = {guard.key.session_id: KillResult.NONE for guard in guards}
        lines: list[str] = []
        errors: list[str] = []
        for guard in guards:
            try:
                self._check_socket(guard.key)
                lines.append(kill_line(guard))
            except ValueError as error:
                errors.append(str(error))
        if not lines:
            return KillResults(answers, 0.0, " ".join(errors) or None)
        completed = self._tmux().source("".join(lines), meanwhile).completed
        answers.update((key, answer) for key, answer in read_answers(completed.stdout).items() if key in answers)
        if completed.failure is not None or completed.exit_code != 0 or completed.stderr:
            errors.append(advice(completed))
        return KillResults(answers, completed.seconds, " ".join(errors) or None)

    def mark(self, keys: Sequence[SessionKey], owner_id: str) -> None:
        """Set ``@workspace_owner`` to ``owner_id`` where the identity still holds and there is no owner, in one invocation.

        Moves no clock of tmux. Raises ``ValueError`` for a ``owner_id`` or a key that may not enter a command.
        """
        check_owner_id(owner_id)
        for key in keys:
            self._check_socket(key)
        if keys:
            self._source([mark_line(key, owner_id) for key in keys])

    def owners(self, keys: Collection[SessionKey]) -> Mapping[SessionKey, str | None] | Unknown:
        """The owner ids that these sessions carry, in one invocation; None where the owner is no owner id (made of lower-case
        hexadecimal digits). One that is gone is missing. Raises ``ValueError`` for a key that may not enter a command."""
        for key in keys:
            self._check_socket(key)
        if not keys:
            return {}
        completed = self._source([owner_line(key) for key in keys]).completed
        if completed.failure is not None or completed.exit_code != 0 or completed.stderr:
            return self._unknown(advice(completed))
        found = read_owners(completed.stdout)
        return {key: found[key.session_id] for key in keys if key.session_id in found}

    def adopt(self, seen: Mapping[SessionKey, str], owner_id: str | None) -> frozenset[SessionKey]:
        """Set ``@workspace_owner`` to ``owner_id``, or take it off (None), where the identity still holds and the owner is
        still the one that was ``seen``, in one invocation; those of which tmux says that it now is so.

        Moves no clock of tmux. Raises ``ValueError`` for a owner_id or a key that may not enter a command.
        """
        for key in seen:
            self._check_socket(key)
        if not seen:
            return frozenset()
        taken = read_taken(self._source([take_line(key, owner, owner_id) for key, owner in seen.items()]).completed.stdout)
        return frozenset(key for key in seen if key.session_id in taken)

    def keep(self, key: SessionKey, *, on: bool) -> bool:
        """Set or unset ``@reaper_keep`` if the identity still holds; whether it now is so, by tmux's own word.

        Raises ``ValueError`` for a key that may not enter a command.
        """
        self._check_socket(key)
        return read_kept(self._source([keep_line(key, on=on)]).completed.stdout, key) is on

    def announce(self, made: Mapping[SessionKey, float], withdrawn: Sequence[SessionKey]) -> None:
        """Set ``@reaper_deadline`` to those Unix seconds, or unset it, where the identity still holds, in one invocation.

        Moves no clock of tmux. Raises ``ValueError`` for a key that may not enter a command.
        """
        for key in (*made, *withdrawn):
            self._check_socket(key)
        lines = [deadline_line(key, int(at)) for key, at in made.items()] + [deadline_line(key, None) for key in withdrawn]
        if lines:
            self._source(lines)

    def capture(
        self, keys: Sequence[SessionKey], *, lines: int, spool: BinaryIO
    ) -> Iterator[CapturedPane | CapturedSession | CaptureFailure]:
        """At most ``lines`` of each pane of these sessions, in batches; see ``capture``. ``spool`` is a real file, to be
        overwritten. Raises ``OSError`` for the spool alone."""
        sound: list[SessionKey] = []
        for key in keys:
            try:
                self._check_socket(key)
                check_session_id(key)
                sound.append(key)
            except ValueError as error:
                yield CaptureFailure(key, str(error))
        if refusal := not_ours(self._socket):
            yield from (CaptureFailure(key, refusal) for key in sound)
            return

        def ask(commands: str) -> Completed:
            # By its short name, so that it can be told from a kill, in the process list and for a program in front of tmux.
            arguments = ["-u", "-S", self._socket, "source", "-"]
            return Client(arguments, piped=True, stdout=spool).finish(commands, self._limit)

        yield from PaneCapture(ask, spool, lines, self._capture_pace).run(sound)

    def rebuild(self, snapshot: SessionSnapshot, starts: Mapping[str, PaneStart]) -> AbstractContextManager[SessionRebuild]:
        """Build a session anew; see ``rebuild.rebuilding``. It alone raises for what tmux does: ``CannotRestore``."""
        return rebuilding(self._tmux(), snapshot, starts)

    def _check_socket(self, key: SessionKey) -> None:
        if key.socket != self._socket:
            raise ValueError(f"The session {key.session_id} is on {key.socket}, not on {self._socket}.")

    def _source(self, lines: Sequence[str]) -> TmuxCommand:
        return self._run("source-file", "-", stdin="".join(lines))

    def get_ready(self) -> None:
        """Start the client of the next kill ahead, so that the kill follows its recheck sooner by the 8 to 20 ms that this
        takes. It waits for its input, and holds nobody up."""
        self._tmux().get_ready()

    def stand_down(self) -> None:
        """End a client that was started ahead and is not needed."""
        if self._server is not None:
            self._server.stand_down()

    def _run(self, command: str, *arguments: str, stdin: str | None = None) -> TmuxCommand:
        return self._tmux().cmd(command, *arguments, stdin=stdin)

    def _tmux(self) -> ReaperServer:
        if self._server is None:
            from workspace_reaper.tmux.server import ReaperServer

            self._server = ReaperServer(self._socket, limit=self._limit)
        return self._server

    def _unknown(self, reason: str) -> Unknown:
        return Unknown(Source.SOCKET, reason, self._socket)
