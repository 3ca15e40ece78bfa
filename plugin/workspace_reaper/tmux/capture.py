"""The content of panes, captured in batches that are bounded in bytes and in time: tmux serves no other client meanwhile.

A batch is one client: its commands are sent through the standard input of ``source-file -``, and their output is written
directly to a file, so that it is never held in memory. tmux runs a batch in one pass, so that the list of a session's panes and
their content, if they are in the same batch, belong to the same instant. Before each command, and after the last, a line with a
random token is printed: the text between two of them is exactly what one command printed.
"""

from __future__ import annotations

import mmap
import os
import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import BinaryIO

from workspace_reaper.model.session import SessionKey
from workspace_reaper.model.snapshot import CapturedPane, CapturedSession, CaptureFailure
from workspace_reaper.tmux.client import Completed
from workspace_reaper.tmux.panes import BadRows, PaneRow, capture_commands, list_command, read_rows, same_panes, windows_of
from workspace_reaper.tmux.responses import advice
from workspace_reaper.util.batch_size import BatchSize

# Bytes of tmux's memory that count as one unit of work; a pane counts as at least one. Measured on tmux 3.3a: 64 units of plain
# text take 13 ms, of coloured text 33 ms.
_UNIT = 32 * 1024
# Units of work. BatchSize allows at most 500, which are 16 MB, unless a single pane is larger.
FIRST_BATCH = 64
# Sessions listed in one command: 6 to 24 ms.
_LISTED_AT_ONCE = 100
_CHUNK = 256 * 1024
_CHANGED = "Its panes changed during the capture; the next sweep tries again."
_GONE = re.compile(r"(can't find (session|window|pane): .*\n)*")


class _BatchFailed(Exception):
    """tmux gave no complete answer to the batch. The text is the reason, for the operator."""


@dataclass(slots=True)
class _SessionCapture:
    """A session that is being captured. ``kept`` is the number of lines of each pane that was handed over."""

    key: SessionKey
    rows: tuple[PaneRow, ...]
    kept: dict[str, int] = field(default_factory=dict)
    ended: bool = False


_PaneToCapture = tuple[_SessionCapture, PaneRow]


class PaneCapture:
    """Captures the panes of sessions.

    Args:
        ask: Run one ``source-file -`` with this input, and the spool as its standard output.
        spool: A real file, to be overwritten.
        lines: The maximum number of lines captured of each pane.
        pace: The size of a batch, in units of work, not in sessions. It adapts.
    """

    def __init__(self, ask: Callable[[str], Completed], spool: BinaryIO, lines: int, pace: BatchSize) -> None:
        self._ask = ask
        self._spool = spool
        self._lines = lines
        self._pace = pace
        self._unanswered = 0

    def run(self, keys: Sequence[SessionKey]) -> Iterator[CapturedPane | CapturedSession | CaptureFailure]:
        """Yield each session's panes, then the session itself; or why it failed. Raise ``OSError`` for the spool.

        After two batches in a row without an answer no more are sent: the server may be stopped, and each would take the whole
        time limit.
        """
        sessions: list[_SessionCapture] = []
        for at in range(0, len(keys), _LISTED_AT_ONCE):
            try:
                yield from self._list(keys[at : at + _LISTED_AT_ONCE], sessions)
            except _BatchFailed as failed:
                self._unanswered = 1
                yield from (CaptureFailure(key, str(failed)) for key in keys[at:])
                break
        # A window may be linked into its session twice.
        panes = deque((one, row) for one in sessions for row in {row.pane_id: row for row in one.rows}.values())
        while panes:
            batch = self._take_batch(panes)
            try:
                yield from self._capture(batch)
                self._unanswered = 0
            except _BatchFailed as failed:
                self._unanswered += 1
                yield from _failures(batch if self._unanswered < 2 else [*batch, *panes], str(failed))
            panes = deque(pane for pane in panes if not pane[0].ended)

    def _list(self, keys: Sequence[SessionKey], sessions: list[_SessionCapture]) -> Iterator[CaptureFailure]:
        """Append the sessions whose panes could be listed. Raise ``_BatchFailed``."""
        token = os.urandom(16).hex()
        with self._sections([list_command(key, token) for key in keys]) as sections:
            for key, section in zip(keys, sections, strict=True):
                try:
                    rows = read_rows(section.read(), key, token)
                except BadRows as error:
                    yield CaptureFailure(key, f"Its panes cannot be captured: {error}.")
                    continue
                if rows:
                    sessions.append(_SessionCapture(key, rows))
                else:
                    yield CaptureFailure(key, _CHANGED)

    def _take_batch(self, panes: deque[_PaneToCapture]) -> list[_PaneToCapture]:
        """Remove and return at least one pane, and as many more as fit."""
        batch = [panes.popleft()]
        room = self._pace.size - self._units(batch[0][1])
        while panes and (units := self._units(panes[0][1])) <= room:
            batch.append(panes.popleft())
            room -= units
        return batch

    def _units(self, row: PaneRow) -> int:
        share = min(1.0, self._lines / max(1, row.history + row.height))
        return 1 + int(row.history_bytes * share) // _UNIT

    def _capture(self, batch: Sequence[_PaneToCapture]) -> Iterator[CapturedPane | CapturedSession | CaptureFailure]:
        token = os.urandom(16).hex()
        plan: list[tuple[_PaneToCapture, list[str], list[str]]] = []  # with its session's list, if that is new, and its content
        for session, row in batch:
            is_new = not plan or plan[-1][0][0] is not session
            listing = [list_command(session.key, token)] if is_new else []
            plan.append(((session, row), listing, capture_commands(row, self._lines)))
        commands = [command for _, listing, content in plan for command in (*listing, *content)]
        with self._sections(commands, sum(self._units(row) for _, row in batch)) as sections:
            left = iter(sections)
            for (session, row), listing, captures in plan:
                is_same = all(self._is_same(session, section, token) for section in islice(left, len(listing)))
                parts = list(islice(left, len(captures)))
                if session.ended:
                    continue
                if not is_same or not all(part.start < part.end for part in parts):
                    yield from _failures([(session, row)], _CHANGED)
                    continue
                content = _Content(parts)
                yield CapturedPane(session.key, row.pane_id, content)
                session.kept[row.pane_id] = content.lines
                if session.kept.keys() == {row.pane_id for row in session.rows}:
                    session.ended = True
                    yield self._finished(session)

    def _is_same(self, session: _SessionCapture, section: _Section, token: str) -> bool:
        """Return whether the content belongs to the listed panes. The titles and directories to keep are those of now."""
        try:
            rows = read_rows(section.read(), session.key, token)
        except BadRows:
            return False
        if not same_panes(session.rows, rows):
            return False
        session.rows = rows
        return True

    def _finished(self, session: _SessionCapture) -> CapturedSession:
        rows = [replace(row, directory=_as_on_disk(row.directory)) for row in session.rows]
        shown = next((row for row in rows if row.window_active), rows[0])
        windows = windows_of(rows, session.kept, self._lines)
        return CapturedSession(session.key, shown.window_width, shown.window_height, windows)

    @contextmanager
    def _sections(self, commands: Sequence[str], units: int | None = None) -> Iterator[list[_Section]]:
        """Run the commands as one batch; give what each of them printed. Raise ``_BatchFailed``."""
        mark = os.urandom(16).hex()
        marked = [f"display-message -p '{mark} {number}'\n{command}" for number, command in enumerate(commands)]
        marked.append(f"display-message -p '{mark} {len(commands)}'\n")
        descriptor = self._spool.fileno()
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        completed = self._ask("".join(marked))
        if units is not None:
            self._pace.learn(units, completed.seconds, server=completed.server_seconds)
        # A session that has ended since is missing in an otherwise complete answer.
        missing = completed.exit_code == 1 and completed.stderr and _GONE.fullmatch(completed.stderr)
        if completed.failure or ((completed.exit_code or completed.stderr) and not missing):
            raise _BatchFailed(advice(completed))
        if not os.fstat(descriptor).st_size:
            raise _BatchFailed("tmux's answer is incomplete: it is empty.")
        with closing(mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)) as view:
            yield _split(view, mark.encode(), len(commands))


@dataclass(frozen=True, slots=True)
class _Section:
    """What one command printed: a part of the spool."""

    view: mmap.mmap
    start: int
    end: int

    def read(self) -> bytes:
        return self.view[self.start : self.end]


class _Content:
    """The content of a pane in chunks. ``lines`` is the number of lines read so far."""

    def __init__(self, sections: Sequence[_Section]) -> None:
        self._sections = sections
        self.lines = 0

    def __iter__(self) -> Iterator[bytes]:
        for section in self._sections:
            for at in range(section.start, section.end, _CHUNK):
                chunk = section.view[at : min(at + _CHUNK, section.end)]
                self.lines += chunk.count(b"\n")
                yield chunk


def _split(view: mmap.mmap, mark: bytes, count: int) -> list[_Section]:
    """Return the parts between the marks. Raise ``_BatchFailed`` unless each mark starts a line, in order."""
    sections: list[_Section] = []
    at = 0
    for number in range(count + 1):
        line = b"%s %d\n" % (mark, number)
        found = view.find(line, at)
        if found < 0 or (found and view[found - 1 : found] != b"\n") or (not number and found):
            raise _BatchFailed("tmux's answer is incomplete.")
        if number:
            sections.append(_Section(view, at, found))
        at = found + len(line)
    if at != len(view):
        raise _BatchFailed("tmux's answer continues after its end.")
    return sections


def _failures(panes: Sequence[_PaneToCapture], why: str) -> Iterator[CaptureFailure]:
    for session, _ in panes:
        if not session.ended:
            session.ended = True
            yield CaptureFailure(session.key, why)


def _as_on_disk(directory: str | None) -> str | None:
    """Return the directory that tmux means by this text.

    Linux appends " (deleted)" to one that was removed. tmux 3.4 to 3.5a write control characters and bytes that are not UTF-8
    as ``\\033``, but do not escape a backslash.
    """
    if directory is None or not (directory.endswith(" (deleted)") or "\\" in directory) or os.path.lexists(directory):
        return directory  # nearly always without access to the disk, which may be a network's and hang
    bare = directory.removesuffix(" (deleted)")
    plain = os.fsdecode(re.sub(rb"\\([0-3][0-7]{2})", lambda code: bytes([int(code[1], 8)]), os.fsencode(bare)))
    return plain if os.path.lexists(plain) else bare
