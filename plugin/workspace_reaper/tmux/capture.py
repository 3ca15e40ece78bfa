"""The content of panes, batch by batch: each bounded in bytes and in time, since tmux serves nobody else meanwhile.

A batch is one client: its commands go through standard input of ``source-file -``, and what they print goes straight into a
file, so that nobody holds it in memory. tmux works a batch off in one pass, so the list of a session's panes and their
content, in the same batch, belong to the same instant. Before each command, and after the last, stands a line with a token
that no pane can know: what lies between two of them is exactly what one command printed.
"""

from __future__ import annotations

import mmap
import os
import re
import secrets
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from typing import BinaryIO

from workspace_reaper.model.session import SessionKey
from workspace_reaper.model.snapshot import CapturedPane, CapturedSession, CaptureFailure
from workspace_reaper.tmux.client import Completed
from workspace_reaper.tmux.panes import BadRows, PaneRow, capture_commands, list_command, read_rows, same_panes, windows_of
from workspace_reaper.tmux.responses import advice
from workspace_reaper.util.batch_size import BatchSize

__all__ = ["FIRST_BATCH", "PaneCapture"]

_UNIT = 32 * 1024
"""Bytes of tmux's memory that count as one piece of work; a pane is at least one. Measured on tmux 3.3a: 64 of plain text take
13 ms, of coloured text 33 ms."""
FIRST_BATCH = 64
"""Units of memory. ``BatchSize`` allows at most 500, which are 16 MB, unless one pane alone is larger."""
_SESSIONS = 100
"""So many are listed at once: 6 to 24 ms."""
_CHUNK = 256 * 1024
_CHANGED = "Its panes changed while they were kept; the next sweep tries again."
_GONE = re.compile(r"(can't find (session|window|pane): .*\n)*")


class _Refused(Exception):
    """tmux gave no answer to the batch, or none that is whole. The text says why, for a person."""


@dataclass(slots=True)
class _Case:
    """A session on its way. ``kept`` counts the lines of each pane that was handed over."""

    key: SessionKey
    rows: tuple[PaneRow, ...]
    kept: dict[str, int] = field(default_factory=dict)
    ended: bool = False


@dataclass(frozen=True, slots=True)
class _Job:
    """One pane to be captured."""

    case: _Case
    row: PaneRow


class PaneCapture:
    """``ask`` runs one ``source-file -`` on this input, with the spool as its standard output. ``lines`` bounds each pane.
    ``pace`` counts in units of memory, not in sessions, and learns."""

    def __init__(self, ask: Callable[[str], Completed], spool: BinaryIO, lines: int, pace: BatchSize) -> None:
        self._ask = ask
        self._spool = spool
        self._lines = lines
        self._pace = pace
        self._unanswered = 0

    def run(self, keys: Sequence[SessionKey]) -> Iterator[CapturedPane | CapturedSession | CaptureFailure]:
        """Each session's panes, then the session itself; or why it failed. Raises ``OSError`` for the spool.

        After two questions in a row without an answer nothing more is asked: the server may be stopped, and each costs the
        whole time limit.
        """
        cases: list[_Case] = []
        for at in range(0, len(keys), _SESSIONS):
            try:
                yield from self._list(keys[at : at + _SESSIONS], cases)
            except _Refused as refusal:
                self._unanswered = 1
                yield from (CaptureFailure(key, str(refusal)) for key in keys[at:])
                break
        jobs = deque(_Job(case, row) for case in cases for row in _once(case.rows))
        while jobs:
            batch = self._take_batch(jobs)
            try:
                yield from self._capture(batch)
                self._unanswered = 0
            except _Refused as refusal:
                self._unanswered += 1
                yield from _failures(batch if self._unanswered < 2 else [*batch, *jobs], str(refusal))
            jobs = deque(job for job in jobs if not job.case.ended)

    def _list(self, keys: Sequence[SessionKey], cases: list[_Case]) -> Iterator[CaptureFailure]:
        """Append a case for each session whose panes can be told. Raises ``_Refused``."""
        token = secrets.token_hex(16)
        with self._sections([list_command(key, token) for key in keys]) as sections:
            for key, section in zip(keys, sections, strict=True):
                try:
                    rows = read_rows(section.read(), key, token)
                except BadRows as error:
                    yield CaptureFailure(key, f"Its panes can't be kept: {error}.")
                    continue
                if rows:
                    cases.append(_Case(key, rows))
                else:
                    yield CaptureFailure(key, _CHANGED)

    def _take_batch(self, jobs: deque[_Job]) -> list[_Job]:
        """At least one pane, and as many more as fit."""
        batch = [jobs.popleft()]
        room = self._pace.size - self._units(batch[0].row)
        while jobs and (units := self._units(jobs[0].row)) <= room:
            batch.append(jobs.popleft())
            room -= units
        return batch

    def _units(self, row: PaneRow) -> int:
        share = min(1.0, self._lines / max(1, row.history + row.height))
        return 1 + int(row.history_bytes * share) // _UNIT

    def _capture(self, batch: Sequence[_Job]) -> Iterator[CapturedPane | CapturedSession | CaptureFailure]:
        token = secrets.token_hex(16)
        commands: list[str] = []
        plan: list[tuple[_Job, bool, int]] = []  # its session is new here; how many sections are the pane's
        previous: _Case | None = None
        for job in batch:
            if is_new := job.case is not previous:
                commands.append(list_command(job.case.key, token))
                previous = job.case
            pieces = capture_commands(job.row, self._lines)
            commands += pieces
            plan.append((job, is_new, len(pieces)))
        with self._sections(commands, sum(self._units(job.row) for job in batch)) as sections:
            left = iter(sections)
            for job, is_new, pieces_of_pane in plan:
                case = job.case
                is_whole = not is_new or self._still_there(case, next(left), token)
                parts = [next(left) for _ in range(pieces_of_pane)]
                if case.ended:
                    continue
                if not is_whole or not all(part.start < part.end for part in parts):
                    yield from _failures([job], _CHANGED)
                    continue
                content = _Content(parts)
                yield CapturedPane(case.key, job.row.pane_id, content)
                case.kept[job.row.pane_id] = content.lines
                if case.kept.keys() == {row.pane_id for row in case.rows}:
                    case.ended = True
                    yield self._session(case)

    def _still_there(self, case: _Case, section: _Section, token: str) -> bool:
        """What is printed now is what the content belongs to; its titles and directories are the ones to keep."""
        try:
            rows = read_rows(section.read(), case.key, token)
        except BadRows:
            return False
        if not same_panes(case.rows, rows):
            return False
        case.rows = rows
        return True

    def _session(self, case: _Case) -> CapturedSession:
        rows = [replace(row, directory=_as_on_disk(row.directory)) for row in case.rows]
        shown = next((row for row in rows if row.window_active), rows[0])
        windows = windows_of(rows, case.kept, self._lines)
        return CapturedSession(case.key, shown.window_width, shown.window_height, windows)

    @contextmanager
    def _sections(self, commands: Sequence[str], units: int | None = None) -> Iterator[list[_Section]]:
        """Run the commands as one batch; what each of them printed. Raises ``_Refused``."""
        mark = secrets.token_hex(16)
        marked = [f"display-message -p '{mark} {number}'\n{command}" for number, command in enumerate(commands)]
        marked.append(f"display-message -p '{mark} {len(commands)}'\n")
        descriptor = self._spool.fileno()
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        completed = self._ask("".join(marked))
        if units is not None:
            self._pace.learn(units, completed.seconds)
        # A session that has gone since is missing, and the others are there.
        missing = completed.exit_code == 1 and completed.stderr and _GONE.fullmatch(completed.stderr)
        if completed.failure or ((completed.exit_code or completed.stderr) and not missing):
            raise _Refused(advice(completed))
        if not os.fstat(descriptor).st_size:
            raise _Refused("tmux's answer was cut short: nothing came of it.")
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
    """The content of a pane in chunks. ``lines`` counts what was read of it so far."""

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
    """The parts between the marks. Raises ``_Refused`` unless each mark stands at the beginning of a line, in order."""
    sections: list[_Section] = []
    at = 0
    for number in range(count + 1):
        line = b"%s %d\n" % (mark, number)
        found = view.find(line, at)
        if found < 0 or (found and view[found - 1 : found] != b"\n") or (not number and found):
            raise _Refused("tmux's answer was cut short.")
        if number:
            sections.append(_Section(view, at, found))
        at = found + len(line)
    if at != len(view):
        raise _Refused("tmux's answer goes on behind its end.")
    return sections


def _once(rows: Sequence[PaneRow]) -> list[PaneRow]:
    """A window may be linked into its session twice."""
    return list({row.pane_id: row for row in rows}.values())


def _failures(jobs: Sequence[_Job], why: str) -> Iterator[CaptureFailure]:
    for job in jobs:
        if not job.case.ended:
            job.case.ended = True
            yield CaptureFailure(job.case.key, why)


def _as_on_disk(told: str | None) -> str | None:
    """The directory that tmux means. Linux marks one that was removed, and tmux 3.4 to 3.5a write control characters and bytes
    that are no UTF-8 as ``\\033``, but leave a backslash as it is."""
    if told is None or not (told.endswith(" (deleted)") or "\\" in told) or os.path.lexists(told):
        return told  # nearly always, without a look at the disk: it may be a network's, and hang
    bare = told.removesuffix(" (deleted)")
    plain = os.fsdecode(re.sub(rb"\\([0-3][0-7]{2})", lambda code: bytes([int(code[1], 8)]), os.fsencode(bare)))
    return plain if os.path.lexists(plain) else bare
