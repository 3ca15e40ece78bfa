"""Captured lines made fit to be printed: colours stay inside their rows, and nothing else acts on a terminal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.ansi import AnsiDecoder
from rich.console import Console
from rich.text import Text

from workspace_reaper.util.text import readable_lines, without_empty_end


def coloured(*lines: bytes) -> list[str]:
    return list(readable_lines(lines, colours=True))


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([b"a\n", b"b"], ["a", "b"]),
        # tmux leaves a colour open at the end of a row, and goes on with it or changes it in the next.
        ([b"\x1b[41mred\n", b"\x1b[49mplain"], ["\x1b[41mred\x1b[0m", "\x1b[41m\x1b[49mplain"]),
        ([b"\x1b[1;31ma\n", b"b\n", b"\x1b[0mc"], ["\x1b[1;31ma\x1b[0m", "\x1b[1;31mb\x1b[0m", "\x1b[1;31m\x1b[0mc"]),
        ([b"\x1b[38;5;208ma\n", b"b"], ["\x1b[38;5;208ma\x1b[0m", "\x1b[38;5;208mb\x1b[0m"]),
        ([b"\x1b[48;2;1;2;3;4:3ma\n", b"b"], ["\x1b[48;2;1;2;3;4:3ma\x1b[0m", "\x1b[48;2;1;2;3;4:3mb\x1b[0m"]),
        ([b"\x1b[1;2;3;4;5;7;8;9;53ma\x1b[22;23;24;25;27;28;29;55mb\n", b"c"], None),
        ([b"\x1b[4:3;31m\x1b[4:0;39;59ma\n", b"b"], ["\x1b[4:3;31m\x1b[4:0;39;59ma", "b"]),
        ([b"\x1b[31m\n", b"\n", b"x"], ["", "", "\x1b[31mx\x1b[0m"]),
        ([b"\x0elqk\x0fq\n"], ["┌─┐q"]),
        ([b"\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\\n"], ["link"]),
        ([b"\x1b]0;title\x07a\x1b[2J\x1b[?1049hb"], ["ab"]),
        ([b"\x07\x9b\xc2\x9b2J\x7f\r\xe2\x80\xae\xff"], ["\\x07\ufffd\\x9b2J\\x7f\\r\\u202e\ufffd"]),
        (["ä\tü".encode()], ["ä\tü"]),
    ],
)
def test_examples(lines: list[bytes], expected: list[str] | None) -> None:
    found = coloured(*lines)
    if expected is None:
        assert found[-1] == "c"
    else:
        assert found == expected


CONSOLE = Console()
PIECES = st.sampled_from(
    [
        b"\x1b[31m",
        b"\x1b[1m",
        b"\x1b[0m",
        b"\x1b[44m",
        b"\x1b[39m",
        b"\x1b[7;4m",
        b"\x1b[24m",
        b"\x1b[38;5;9m",
        b"a",
        b"b",
        b"\n",
    ]
)


@given(st.lists(PIECES, max_size=30))
def test_each_row_looks_as_before_on_its_own(pieces: list[bytes]) -> None:
    """Another program that reads the rows one after another sees the styles that it sees in each of ours alone."""
    raw = b"".join(pieces).split(b"\n")
    together = AnsiDecoder()
    for before, after in zip(raw, coloured(*raw), strict=True):
        expected = together.decode_line(before.decode())
        assert styles(AnsiDecoder().decode_line(after)) == styles(expected)


def styles(text: Text) -> list[tuple[object, ...]]:
    """Each character with what is switched on for it."""
    found = []
    for at, char in enumerate(text.plain):
        style = text.get_style_at_offset(CONSOLE, at)
        colours = [colour.name for colour in (style.color, style.bgcolor) if colour and not colour.is_default]
        found.append((char, bool(style.bold), bool(style.underline), bool(style.reverse), *colours))
    return found


@given(st.lists(st.binary(max_size=40), max_size=5))
def test_nothing_but_colours_is_left_and_none_without_them(lines: list[bytes]) -> None:
    plain = list(readable_lines(lines, colours=False))
    assert len(plain) == len(lines)
    assert "\x1b" not in "".join(plain)
    for text in plain:
        assert all(char == "\t" or (char >= " " and not "\x7f" <= char <= "\x9f") for char in text)


def test_without_empty_end() -> None:
    assert list(without_empty_end(["", "a", "", "b", "", ""])) == ["", "a", "", "b"]
    assert list(without_empty_end(["", ""])) == []
