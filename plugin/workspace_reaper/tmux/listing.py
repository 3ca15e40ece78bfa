"""From the text of a whole answer to a ``Listing``, or to the reason why it is none. Nothing here runs anything."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from workspace_reaper.model.session import Listing, Server, Session
from workspace_reaper.model.unknown import Source, Unknown
from workspace_reaper.tmux.formats import (
    PANE_KIND,
    SERVER_KIND,
    SESSION_KIND,
    BadField,
    NoRow,
    read_pane,
    read_server,
    read_session,
    session_id_of,
)
from workspace_reaper.tmux.version import MINIMUM, is_old

__all__ = ["ListingReader"]


@dataclass(frozen=True, slots=True)
class _Read:
    session: Session
    pane_lines: Sequence[str]


@dataclass(slots=True)
class ListingReader:
    """Reads the answers of one socket, one after the other, from one thread at a time.

    A session whose rows are byte for byte those of the last answer is not read again: on a quiet machine that is nearly
    every row, and the reading would cost half as much as tmux itself.
    """

    socket: str
    _server: Server | None = None
    _known: Mapping[str, _Read] = field(default_factory=dict)
    _owners: Mapping[str, str] = field(default_factory=dict)
    """The session id of each pane's row of the last answer that had panes."""

    def read(self, text: str, *, panes: bool) -> Listing | Unknown:
        """Read what tmux printed. ``panes``: a row for each pane was asked for, so each session must have one."""
        try:
            lines = _whole_lines(text)
            end = _end_of_sessions(lines)
            server = read_server(lines[end])
            if server != self._server:
                self._server, self._known = server, {}
            if is_old(server.version):
                reason = f"The server of {self.socket} is tmux {server.version}, which is too old: it needs {MINIMUM} or later."
                return Unknown(Source.SOCKET, reason, self.socket)
            rows = self._identified(lines[:end])
            pane_lines = self._by_session(lines[end + 1 :], rows, panes=panes)
        except NoRow as error:
            return Unknown(Source.SOCKET, f"The listing of {self.socket} can't be believed: {error}.", self.socket)
        return self._listing(server, rows, pane_lines, panes=panes)

    def _identified(self, lines: Sequence[str]) -> dict[str, str]:
        rows: dict[str, str] = {}
        for line in lines:
            if not line.startswith(SESSION_KIND):
                raise NoRow(f"a session's row begins with {line[:2]!r}")
            known = self._known.get(line)
            session_id = session_id_of(line) if known is None else known.session.key.session_id
            if session_id in rows:
                raise NoRow(f"the session {session_id} is listed twice")
            rows[session_id] = line
        return rows

    def _by_session(self, lines: Sequence[str], rows: Mapping[str, str], *, panes: bool) -> Mapping[str, Sequence[str]]:
        """The panes' rows by session id. A pane of a session that is not listed proves that the answer is not whole."""
        if lines and not panes:
            raise NoRow("something follows the server's own row")
        found: defaultdict[str, list[str]] = defaultdict(list)
        owners: dict[str, str] = {}
        for line in lines:
            session_id = self._owners.get(line)
            if session_id is None:
                if not line.startswith(PANE_KIND):
                    raise NoRow(f"a pane's row begins with {line[:2]!r}")
                session_id = session_id_of(line)
            if session_id not in rows:
                raise NoRow(f"a pane of the session {session_id} is listed, and that session is not")
            owners[line] = session_id
            found[session_id].append(line)
        if panes:
            self._owners = owners
        return found

    def _listing(
        self, server: Server, rows: Mapping[str, str], pane_lines: Mapping[str, Sequence[str]], *, panes: bool
    ) -> Listing:
        read: dict[str, _Read] = {}
        sessions: list[Session] = []
        unreadable: dict[str, Unknown] = {}
        for session_id, line in rows.items():
            lines = pane_lines.get(session_id, ())
            known = self._known.get(line)
            if known is None or known.pane_lines != lines:
                try:
                    known = _Read(self._read_session(line, server, lines, panes=panes), lines)
                except BadField as error:
                    name = line.rpartition("\t")[2] or session_id
                    reason = f"The session {name} on {self.socket} can't be read: {error}."
                    unreadable[session_id] = Unknown(Source.SESSION, reason, self.socket, name)
                    continue
            read[line] = known
            sessions.append(known.session)
        self._known = read
        return Listing(self.socket, tuple(sessions), tuple(unreadable.values()), frozenset(unreadable), server)

    def _read_session(self, line: str, server: Server, pane_lines: Sequence[str], *, panes: bool) -> Session:
        if panes and not pane_lines:
            raise BadField("none of its panes is listed")
        return read_session(line, self.socket, server, tuple(map(read_pane, pane_lines)))


def _whole_lines(text: str) -> list[str]:
    """Split at newlines and at nothing else: a name may hold U+0085 or U+2028, at which ``str.splitlines`` breaks."""
    *lines, rest = text.split("\n")
    if rest:
        raise NoRow("its last line is cut")
    return lines


def _end_of_sessions(lines: Sequence[str]) -> int:
    for at, line in enumerate(lines):
        if line.startswith(SERVER_KIND):
            return at
    raise NoRow("the server's own row is missing, so it is cut")
