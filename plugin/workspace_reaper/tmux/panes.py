"""The panes of a session: the format that lists them, and the strict parsing of its rows. Nothing here runs a command.

Values may contain anything, TABs and newlines included (a working directory does). So fields are separated by a token that is
drawn at random for each batch: nothing that a pane prints, and no name, can contain it. tmux does not expand the values again,
and ``list-panes`` passes no format through ``strftime``, as ``display-message`` does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from workspace_reaper.model.session import SessionKey
from workspace_reaper.model.snapshot import PaneSnapshot, WindowSnapshot
from workspace_reaper.tmux.commands import check_session_id


class BadRows(ValueError):
    """The rows of a session are invalid, or those of another session."""


@dataclass(frozen=True, slots=True)
class PaneRow:
    """A pane of a session. ``history`` is the number of lines above its screen, ``history_bytes`` the size of all lines in
    tmux's memory. ``alternate``: a program uses the alternate screen, with the previous screen saved below it."""

    window_index: int
    window_id: str
    window_name: str
    window_active: bool
    layout: str
    window_width: int
    window_height: int
    pane_id: str
    index: int
    active: bool
    dead: bool
    title: str
    directory: str | None
    width: int
    height: int
    history: int
    history_bytes: int
    alternate: bool


def _flag(value: str) -> bool:
    return value == "1"


_NUMBER, _FLAG, _TEXT = "[0-9]{1,18}", "[01]", "(?s:.*)"
_KEY_FIELDS = (("pid", _NUMBER), ("start_time", _NUMBER), ("session_id", r"\$[0-9]+"), ("session_created", _NUMBER))
# In the order of PaneRow.
_ROW_FIELDS: tuple[tuple[str, str, Callable[[str], Any]], ...] = (
    ("window_index", _NUMBER, int),
    ("window_id", "@[0-9]+", str),
    ("window_name", _TEXT, str),
    ("window_active", _FLAG, _flag),
    ("window_layout", "(?s:.+)", str),
    ("window_width", _NUMBER, int),
    ("window_height", _NUMBER, int),
    ("pane_id", "%[0-9]+", str),
    ("pane_index", _NUMBER, int),
    ("pane_active", _FLAG, _flag),
    ("pane_dead", _FLAG, _flag),
    ("pane_title", _TEXT, str),
    # A dead pane has no process to ask. tmux 3.5a alone writes control characters of a path as escapes, which cannot be
    # decoded reliably: a session in such a directory is restored with --force.
    ("?pane_dead,#{pane_start_path},#{pane_current_path}", _TEXT, lambda path: path or None),
    ("pane_width", _NUMBER, int),
    ("pane_height", _NUMBER, int),
    ("history_size", _NUMBER, int),
    ("history_bytes", _NUMBER, int),
    ("alternate_on", _FLAG, _flag),
)
_FIELDS = [(name, re.compile(pattern)) for name, pattern in (*_KEY_FIELDS, *(field[:2] for field in _ROW_FIELDS))]


def list_command(key: SessionKey, token: str) -> str:
    """Return the command that lists all panes of the session, with the token (hexadecimal digits) around each field."""
    fields = "".join(f"{token}#{{{name}}}" for name, _ in _FIELDS)
    return f"list-panes -s -t '{check_session_id(key)}:' -F '{fields}{token}'\n"


def read_rows(data: bytes, key: SessionKey, token: str) -> tuple[PaneRow, ...]:
    """Parse the output of ``list_command``. No output gives no rows: the session is gone.

    Raises:
        BadRows: A field is invalid, or the rows are not those of that very session.
    """
    parts = data.decode("utf-8", "surrogateescape").split(token)
    size = len(_FIELDS) + 1
    if parts[0] or len(parts) % size != 1 or any(end != "\n" for end in parts[size::size]):
        raise BadRows("the list of its panes is malformed")
    return tuple(_row(parts[at : at + size - 1], key) for at in range(1, len(parts), size))


def _row(values: Sequence[str], key: SessionKey) -> PaneRow:
    for (name, pattern), value in zip(_FIELDS, values, strict=True):
        if not pattern.fullmatch(value):
            raise BadRows(f"{name} of one of its panes is {value!r}")
    pid, start, session_id, created, *rest = values
    if (int(pid), int(start), session_id, int(created)) != key[1:]:
        raise BadRows("another session has its id now")
    return PaneRow(*(convert(value) for (_, _, convert), value in zip(_ROW_FIELDS, rest, strict=True)))


def same_panes(before: Sequence[PaneRow], after: Sequence[PaneRow]) -> bool:
    """Return whether these are the same panes at the same positions with the same sizes: the content belongs to them."""
    return list(map(_shape, before)) == list(map(_shape, after))


def _shape(row: PaneRow) -> tuple[object, ...]:
    # Below an alternate screen the history does not change; without history, "-E -1" would mean the screen's first line.
    below = row.history if row.alternate else None
    return row.window_index, row.window_id, row.pane_id, row.width, row.height, row.alternate, below


def capture_commands(row: PaneRow, lines: int) -> list[str]:
    """Return the commands that print at most the last ``lines`` lines of the pane: the history, the screen below an alternate
    screen, and the visible screen, in this order.

    Never with ``-J``: it joins the rows of a wrapped line, so that neither ``lines`` nor the screen's rows could be counted.
    A row as wide as the pane, printed into a pane of that width, stays one row. Nor with ``-N``: from tmux 3.5a on it fills
    each row with spaces, which wrap in any narrower terminal.
    """
    capture = f"capture-pane -p -e -t {row.pane_id}"
    if not row.alternate:
        return [f"{capture} -S {row.height - lines}\n"]
    room = lines - row.height
    commands = [f"{capture} -S {row.height - room} -E -1\n"] if row.history and room > row.height else []
    if room > 0:
        commands.append(f"{capture} -a -q -S {max(0, row.height - room)}\n")
    return [*commands, f"{capture} -S {max(0, -room)}\n"]


def windows_of(rows: Sequence[PaneRow], kept: dict[str, int], lines: int) -> tuple[WindowSnapshot, ...]:
    """Return the windows of a session in their order. ``kept`` is the number of lines kept of each pane, by pane id."""
    return tuple(_window(list(group), kept, lines) for _, group in groupby(rows, key=lambda row: row.window_index))


def _window(rows: Sequence[PaneRow], kept: dict[str, int], lines: int) -> WindowSnapshot:
    first = rows[0]
    panes = tuple(
        PaneSnapshot(
            pane_id=row.pane_id,
            index=row.index,
            active=row.active,
            dead=row.dead,
            title=row.title,
            directory=row.directory,
            argv=(),
            width=row.width,
            height=row.height,
            lines=kept[row.pane_id],
            cut=row.history + row.height * (2 if row.alternate else 1) > lines,
        )
        for row in rows
    )
    return WindowSnapshot(first.window_id, first.window_index, first.window_name, first.window_active, first.layout, panes)
