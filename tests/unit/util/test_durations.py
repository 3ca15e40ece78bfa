"""Durations as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workspace_reaper.util.durations import parse_duration, render_duration

HUNDRED_YEARS = 36_500 * 86_400


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        (0, 0.0),
        (90, 90.0),
        (0.5, 0.5),
        ("0", 0.0),
        ("90", 90.0),
        ("1.25", 1.25),
        ("90s", 90.0),
        ("10m", 600.0),
        ("48h", 172_800.0),
        ("2d", 172_800.0),
        ("1h30m", 5400.0),
        ("1d2h3m4s", 93_784.0),
        ("1.5h", 5400.0),
        (HUNDRED_YEARS, float(HUNDRED_YEARS)),
        ("36500d", float(HUNDRED_YEARS)),
    ],
    ids=str,
)
def test_durations(written: object, seconds: float) -> None:
    parsed = parse_duration(written)
    assert parsed == seconds
    assert isinstance(parsed, float)


@pytest.mark.parametrize(
    "written",
    [
        "",
        " ",
        "h",
        "-1",
        "-1h",
        "+1h",
        "1h-1m",
        "10ms",
        "30m1h",
        "1h1h",
        "1H",
        "1 h",
        "1h ",
        "1,5h",
        "1e3",
        "nan",
        "inf",
        "٣h",
        "1h\n",
        -1,
        -0.001,
        float("nan"),
        float("inf"),
        float("-inf"),
        10**400,
        HUNDRED_YEARS + 1,
        "36501d",
        "9" * 400,
        True,
        None,
        [],
        b"1h",
    ],
    ids=lambda value: repr(value)[:20],
)
def test_what_is_no_duration(written: object) -> None:
    with pytest.raises(ValueError, match=r"is not a duration|is not a length of time|is longer than 36500d"):
        parse_duration(written)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (5, "5s"), (60, "1m"), (90, "1m30s"), (600, "10m"), (5400, "1h30m"), (172_800, "48h"), (0.5, "0.5s")],
    ids=str,
)
def test_rendered(seconds: float, text: str) -> None:
    assert render_duration(seconds) == text


@given(st.integers(0, HUNDRED_YEARS))
def test_what_is_rendered_reads_back(seconds: int) -> None:
    assert parse_duration(render_duration(seconds)) == seconds


@given(st.text("0123456789.dhms -", max_size=12) | st.floats() | st.integers() | st.booleans() | st.none())
def test_anything_is_a_duration_in_bounds_or_refused(written: object) -> None:
    try:
        seconds = parse_duration(written)
    except ValueError:
        return
    assert 0 <= seconds <= HUNDRED_YEARS
