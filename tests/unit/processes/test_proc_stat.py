"""What the kernel writes, in all its odd forms."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workspace_reaper.model.process import Origin, ProcessKey
from workspace_reaper.processes import proc_stat
from workspace_reaper.processes.origin import OriginReader, read_origin

TICKS = os.sysconf("SC_CLK_TCK")
LINE = (
    b"4711 (%b) %b 42 4711 4710 34816 4712 4194304 1 2 3 4 150 25 300 50 20 0 %b 0 1433499 9687040 1127 18446744073709551615"
    b" 1 1 0 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 0\n"
)


def line(name: bytes = b"cat", state: bytes = b"S", threads: bytes = b"1") -> bytes:
    return LINE % (name, state, threads)


@given(st.binary(max_size=64).filter(lambda name: b"\0" not in name))
def test_any_name_leaves_the_fields_alone(name: bytes) -> None:
    found, fields = proc_stat.split(line(name))
    assert found == name
    assert fields == proc_stat.split(line())[1]


def test_a_row() -> None:
    row = proc_stat.process(4711, *proc_stat.split(line(b"a) S (b")), None)
    assert row.key == ProcessKey(4711, round(1433499 / TICKS, 3))
    assert (row.parent, row.name, row.zombie, row.group, row.foreground) == (42, "a) S (b", False, 4711, 4712)
    assert row.cpu_seconds == 525 / TICKS


@pytest.mark.parametrize(
    ("state", "threads", "zombie"),
    [
        ("Z", "1", True),
        ("Z", "0", True),
        ("X", "1", True),
        ("Z", "2", False),
        ("S", "1", False),
        ("R", "1", False),
        ("D", "1", False),
    ],
)
def test_a_zombie(state: str, threads: str, zombie: bool) -> None:
    assert proc_stat.is_zombie(proc_stat.split(line(state=state.encode(), threads=threads.encode()))[1]) is zombie


@pytest.mark.parametrize("data", [b"", b"\n", b"1", b"1 (cat", b"1 (cat) S 1", b"1 (cat)", line()[:60]])
def test_what_is_no_line_is_an_error(data: bytes) -> None:
    with pytest.raises(ValueError, match="fewer fields"):
        proc_stat.split(data)


@given(st.integers(0, 10**11), st.integers(0, 2 * 10**9))
def test_a_start_time_is_the_one_that_psutil_gives(ticks: int, boot: int) -> None:
    """psutil adds the time of the machine's start; with it off again it must be the very number that ledgers already hold."""
    fields = proc_stat.split(line().replace(b"1433499", str(ticks).encode()))[1]
    assert proc_stat.started(fields) == round((ticks / TICKS + boot) - boot, 3)


INSIDE = b"TMUX=/s,1,2\0TMUX_PANE=%3\0"
ORIGIN = Origin("/s", 1, 2, "%3")


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        pytest.param(INSIDE, ORIGIN, id="alone"),
        pytest.param(b"A=1\0" + INSIDE + b"B=2\0", ORIGIN, id="in the middle"),
        pytest.param(b"TMUX_PANE=%3\0A=1\0TMUX=/s,1,2\0", ORIGIN, id="the pane first"),
        pytest.param(b"TMUX=/\xff,1,2\0TMUX_PANE=%3\0", Origin("/\udcff", 1, 2, "%3"), id="a path that is no text"),
        pytest.param(b"", None, id="empty"),
        pytest.param(b"TMUX=/s,1,2\0TMUX_PANE=%31", None, id="cut off in the pane: it may be %312"),
        pytest.param(b"TMUX_PANE=%3\0TMUX=/s,1,23", None, id="cut off in the session: it may be 234"),
        pytest.param(b"XTMUX=/s,1,2\0XTMUX_PANE=%3\0", None, id="other names"),
        pytest.param(b"XTMUX=/x,9,9\0XTMUX_PANE=%9\0" + INSIDE, ORIGIN, id="other names first"),
        pytest.param(b"A=TMUX=/s,1,2\0B=TMUX_PANE=%3\0", None, id="values"),
        pytest.param(INSIDE[:-1].replace(b"\0", b"\n") + b"\0", None, id="newlines"),
    ],
)
def test_an_environment(environ: bytes, expected: Origin | None) -> None:
    origins = OriginReader()
    assert origins.read(environ) == origins.read(environ) == expected


@given(st.binary(max_size=80))
def test_any_environment_is_read_without_an_error(data: bytes) -> None:
    OriginReader().read(data)
    OriginReader().read(b"TMUX=" + data + b"\0TMUX_PANE=%" + data + b"\0")


@given(st.text(max_size=40), st.text(max_size=20))
def test_any_text_is_read_without_an_error(tmux: str, pane: str) -> None:
    read_origin(f"/{tmux}", f"%{pane}")
