"""The format that lists a session's panes, and the strict parsing of its rows."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

from workspace_reaper.model.session import SessionKey
from workspace_reaper.tmux.panes import BadRows, PaneRow, capture_commands, list_command, read_rows, same_panes, windows_of

KEY = SessionKey("/run/s", 42, 1000, "$7", 2000)
TOKEN = "f" * 32
VALUES = {
    "pid": "42",
    "start_time": "1000",
    "session_id": "$7",
    "session_created": "2000",
    "window_index": "1",
    "window_id": "@3",
    "window_name": "sh",
    "window_active": "1",
    "window_layout": "b25d,80x24,0,0,9",
    "window_width": "80",
    "window_height": "24",
    "pane_id": "%9",
    "pane_index": "0",
    "pane_active": "1",
    "pane_dead": "0",
    "pane_title": "title",
    "directory": "/work",
    "pane_width": "80",
    "pane_height": "24",
    "history_size": "100",
    "history_bytes": "4000",
    "alternate_on": "0",
}
ROW = PaneRow(1, "@3", "sh", True, "b25d,80x24,0,0,9", 80, 24, "%9", 0, True, False, "title", "/work", 80, 24, 100, 4000, False)


def printed(**changes: str) -> bytes:
    """A row as tmux prints it."""
    return (TOKEN + TOKEN.join((VALUES | changes).values()) + TOKEN + "\n").encode("utf-8", "surrogateescape")


def test_a_row_is_read() -> None:
    assert read_rows(printed(), KEY, TOKEN) == (ROW,)


def test_no_row_is_a_session_that_is_gone() -> None:
    assert read_rows(b"", KEY, TOKEN) == ()


@pytest.mark.parametrize(
    "text", ["a\tb", "a\nb\n", "", "#{pid} %H #(id)", "caf\u00e9 \u6f22", "\udcff\x1b[31m", "e" * 32 + " 1\n"]
)
def test_a_text_may_hold_anything_but_the_token(text: str) -> None:
    (row,) = read_rows(printed(pane_title=text, directory=text, window_name=text), KEY, TOKEN)
    assert (row.title, row.directory, row.window_name) == (text, text or None, text)


@pytest.mark.parametrize("name", [name for name in VALUES if name not in ("pane_title", "directory", "window_name")])
def test_a_field_that_is_empty_is_no_row(name: str) -> None:
    with pytest.raises(BadRows):
        read_rows(printed() + printed(**{name: ""}), KEY, TOKEN)


@pytest.mark.parametrize(
    "field",
    [{"pid": "43"}, {"start_time": "1001"}, {"session_id": "$8"}, {"session_created": "2001"}],
    ids=lambda it: next(iter(it)),
)
def test_the_rows_of_another_session_are_refused(field: dict[str, str]) -> None:
    with pytest.raises(BadRows, match="another session"):
        read_rows(printed(**field), KEY, TOKEN)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(printed()[:-1], id="no newline"),
        pytest.param(printed()[:-40], id="cut"),
        pytest.param(b"hello\n" + printed(), id="text before it"),
        pytest.param(printed() + b"hello\n", id="text behind it"),
        pytest.param(printed().replace(TOKEN.encode(), b"\t"), id="other separators"),
        pytest.param(b"\n", id="an empty line"),
    ],
)
def test_what_is_no_row_is_refused(data: bytes) -> None:
    with pytest.raises(BadRows):
        read_rows(data, KEY, TOKEN)


@pytest.mark.parametrize("session_id", ["7", "$7:", "$", "work", "$7' ; kill-server", "$7\n"])
def test_only_a_session_id_enters_a_command(session_id: str) -> None:
    with pytest.raises(ValueError, match="invalid tmux session id"):
        list_command(KEY._replace(session_id=session_id), TOKEN)


@pytest.mark.parametrize(
    ("lines", "changes", "expected"),
    [
        pytest.param(10_000, {}, ["-S -9976"], id="history and screen"),
        pytest.param(24, {}, ["-S 0"], id="the screen alone"),
        pytest.param(4, {}, ["-S 20"], id="less than the screen"),
        pytest.param(100, {"alternate": True}, ["-S -52 -E -1", "-a -q -S 0", "-S 0"], id="below a program"),
        pytest.param(100, {"alternate": True, "history": 0}, ["-a -q -S 0", "-S 0"], id="below a program, no history"),
        pytest.param(30, {"alternate": True}, ["-a -q -S 18", "-S 0"], id="below a program, a part"),
        pytest.param(4, {"alternate": True}, ["-S 20"], id="below a program, nothing"),
    ],
)
def test_what_is_captured(lines: int, changes: dict[str, Any], expected: list[str]) -> None:
    found = capture_commands(replace(ROW, **changes), lines)
    assert found == [f"capture-pane -p -e -t %9 {arguments}\n" for arguments in expected]


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"title": "other", "directory": None, "history": 101, "layout": "x", "dead": True}, True),
        ({"pane_id": "%8"}, False),
        ({"window_index": 2}, False),
        ({"width": 79}, False),
        ({"height": 23}, False),
        ({"alternate": True}, False),
    ],
    ids=lambda it: next(iter(it)) if isinstance(it, dict) else None,
)
def test_which_panes_are_the_same(changes: dict[str, Any], same: bool) -> None:
    assert same_panes([ROW], [replace(ROW, **changes)]) is same
    assert not same_panes([ROW], [ROW, ROW])


def test_below_a_program_that_took_the_screen_the_history_stands_still() -> None:
    row = replace(ROW, alternate=True)
    assert not same_panes([row], [replace(row, history=101)])


def test_a_window_that_is_linked_twice_stands_twice() -> None:
    first, second = windows_of([ROW, replace(ROW, window_index=4)], {"%9": 124}, 10_000)
    assert (first.index, second.index) == (1, 4)
    assert first.panes == second.panes
    assert (first.panes[0].lines, first.panes[0].cut) == (124, False)
    assert windows_of([ROW], {"%9": 123}, 123)[0].panes[0].cut


def test_the_format_needs_no_quoting() -> None:
    """It stands between single quotes of tmux, and holds no percent sign, which is a time to some commands of tmux."""
    command = list_command(KEY, TOKEN)
    assert re.fullmatch(r"list-panes -s -t '\$7:' -F '[^'%\\]*'\n", command)


def test_importing_it_loads_no_heavy_library() -> None:
    modules = "workspace_reaper.tmux.capture, workspace_reaper.snapshots"
    code = f"import sys, {modules}; print({{'libtmux', 'pydantic', 'sqlmodel'}} & {{*sys.modules}})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
