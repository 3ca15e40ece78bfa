"""The panes of a session: what is asked of tmux, and how strictly its rows are read. Nothing here runs anything.

Values may hold anything, TABs and newlines included (a working directory does), so fields stand between tokens that are drawn
anew for each batch: nothing that a pane prints or is called can hold one. Values are never expanded again by tmux, and
``list-panes`` puts no format through ``strftime``, as ``display-message`` does. Measured on tmux 3.3a, 3.5a and 3.8.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from workspace_reaper.model.session import SessionKey
from workspace_reaper.model.snapshot import PaneSnapshot, WindowSnapshot

__all__ = [
    "BadRows",
    "PaneRow",
    "capture_commands",
    "check_session_id",
    "list_command",
    "read_rows",
    "same_panes",
    "windows_of",
]


class BadRows(ValueError):
    """The rows of a session can't be believed, or are another session's."""


_NUMBER, _FLAG, _TEXT = "[0-9]{1,18}", "[01]", "(?s:.*)"
_FIELDS = (
    ("pid", _NUMBER),
    ("start_time", _NUMBER),
    ("session_id", r"\$[0-9]+"),
    ("session_created", _NUMBER),
    ("window_index", _NUMBER),
    ("window_id", "@[0-9]+"),
    ("window_name", _TEXT),
    ("window_active", _FLAG),
    ("window_layout", "(?s:.+)"),
    ("window_width", _NUMBER),
    ("window_height", _NUMBER),
    ("pane_id", "%[0-9]+"),
    ("pane_index", _NUMBER),
    ("pane_active", _FLAG),
    ("pane_dead", _FLAG),
    ("pane_title", _TEXT),
    # A dead pane has no process to ask. tmux 3.5a alone writes control characters of a path as escapes, which can't be read
    # back: a session in such a directory is restored with --force.
    ("?pane_dead,#{pane_start_path},#{pane_current_path}", _TEXT),
    ("pane_width", _NUMBER),
    ("pane_height", _NUMBER),
    ("history_size", _NUMBER),
    ("history_bytes", _NUMBER),
    ("alternate_on", _FLAG),
)
_PATTERNS = [re.compile(pattern) for _, pattern in _FIELDS]


@dataclass(frozen=True, slots=True)
class PaneRow:
    """A pane of a session. ``history`` counts the lines above its screen, ``history_bytes`` what they all take in tmux's
    memory. ``alternate``: a program has taken the whole screen, and what stood there before waits below it."""

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


def check_session_id(key: SessionKey) -> str:
    """The key's session id; raises ``ValueError`` unless it is one."""
    if not re.fullmatch(r"\$[0-9]+", key.session_id):
        raise ValueError(f"{key.session_id!r} is no tmux session id.")
    return key.session_id


def list_command(key: SessionKey, token: str) -> str:
    """The command that lists all panes of the session, with the token (hexadecimal) around each field."""
    fields = "".join(f"{token}#{{{name}}}" for name, _ in _FIELDS)
    return f"list-panes -s -t '{check_session_id(key)}:' -F '{fields}{token}'\n"


def read_rows(data: bytes, key: SessionKey, token: str) -> tuple[PaneRow, ...]:
    """The rows that ``list_command`` printed; none where it printed nothing: the session is gone.

    Raises ``BadRows`` for a field that can't be read, and where they are not the rows of that very session.
    """
    parts = data.decode("utf-8", "surrogateescape").split(token)
    size = len(_FIELDS) + 1
    if parts[0] or len(parts) % size != 1 or any(end != "\n" for end in parts[size::size]):
        raise BadRows("its panes are listed in rows that are no rows")
    return tuple(_row(parts[at : at + size - 1], key) for at in range(1, len(parts), size))


def _row(values: Sequence[str], key: SessionKey) -> PaneRow:
    for (name, _), pattern, value in zip(_FIELDS, _PATTERNS, values, strict=True):
        if not pattern.fullmatch(value):
            raise BadRows(f"{name} of one of its panes is {value!r}")
    pid, start, session_id, created, *rest = values
    if (int(pid), int(start), session_id, int(created)) != key[1:]:
        raise BadRows("another session has its place by now")
    index, window, name, current, layout, columns, rows, pane, place, active, dead, title, directory, *numbers = rest
    width, height, history, size, alternate = map(int, numbers)
    return PaneRow(
        window_index=int(index),
        window_id=window,
        window_name=name,
        window_active=current == "1",
        layout=layout,
        window_width=int(columns),
        window_height=int(rows),
        pane_id=pane,
        index=int(place),
        active=active == "1",
        dead=dead == "1",
        title=title,
        directory=directory or None,
        width=width,
        height=height,
        history=history,
        history_bytes=size,
        alternate=alternate == 1,
    )


def same_panes(before: Sequence[PaneRow], after: Sequence[PaneRow]) -> bool:
    """The same panes at the same places, of the same size: what was asked of them is what they have."""
    return list(map(_shape, before)) == list(map(_shape, after))


def _shape(row: PaneRow) -> tuple[object, ...]:
    # Below a program's whole screen the history stands still; without history, "-E -1" would mean the screen's first line.
    below = row.history if row.alternate else None
    return row.window_index, row.window_id, row.pane_id, row.width, row.height, row.alternate, below


def capture_commands(row: PaneRow, lines: int) -> list[str]:
    """The commands that print at most so many of the pane's last lines: history, what waits below a program's whole screen,
    and the screen, in this order.

    Never with ``-J``: it joins the rows of a wrapped line, so that neither ``lines`` nor the screen's rows could be counted.
    A row as wide as the pane, printed into a pane of that width, stays one row. Nor with ``-N``: from 3.5a on it fills
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
    """The windows of a session, in their order. ``kept`` has the lines that were kept, by pane id."""
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
