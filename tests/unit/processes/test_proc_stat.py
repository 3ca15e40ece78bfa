"""Parsing of ``/proc/PID/stat``, also for unusual names."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workspace_reaper.model.process import ProcessKey
from workspace_reaper.processes import proc_stat

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
    """psutil adds the time of the boot. Without it the number must be the one that ledgers already contain."""
    fields = proc_stat.split(line().replace(b"1433499", str(ticks).encode()))[1]
    assert proc_stat.started(fields) == round((ticks / TICKS + boot) - boot, 3)
