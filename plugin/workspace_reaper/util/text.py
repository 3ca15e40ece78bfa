"""Escape text from other programs for printing, so that it cannot control the terminal. Scrollback keeps its colours."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache

# The terminal's alternate characters: between SO and SI, tmux prints the letters that represent them.
_LINE_DRAWING = str.maketrans("`abcdefghijklmnopqrstuvwxyz{|}~", "◆▒␉␌␍␊°±␤␋┘┐┌└┼⎺⎻─⎼⎽├┤┴┬│≤≥π≠£·")

_ENDED_BY = {22: (1, 2), 23: (3,), 24: (4, 21), 25: (5, 6), 27: (7,), 28: (8,), 29: (9,), 55: (53,)}
_DEFAULTS = {39: "fore", 49: "back", 59: "line"}
_EXTENDED = {38: "fore", 48: "back", 58: "line"}


def printable(text: str) -> str:
    """Return text that is safe on a terminal and valid in UTF-8: control characters and undecodable bytes are escaped."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode("ascii") for char in text
    )


def readable_lines(lines: Iterable[bytes], *, colours: bool) -> Iterator[str]:
    """Yield each line without its newline. Control characters are escaped, and undecodable bytes become U+FFFD.

    With ``colours``, the colours of a line are closed at its end and opened again in the next one: open colours would fill the
    rest of the row. A line without any text is empty.
    """
    pen = _Pen()
    shifted = False
    for raw in lines:
        start = pen.sequence() if colours else ""
        parts = []
        is_empty = True
        at = 0
        text = raw.removesuffix(b"\n").decode("utf-8", "replace")
        for token in _tokens().finditer(text):
            is_empty = is_empty and at == token.start()
            parts.append(_drawn(text[at : token.start()], shifted))
            at = token.end()
            if token["colours"] is not None:
                pen.take(token["colours"])
                parts.append(token[0] if colours else "")
            elif token["shift"]:
                shifted = token["shift"] == "\x0e"
            elif token["control"]:
                is_empty = False
                parts.append(token["control"].encode("unicode_escape").decode("ascii"))
        parts.append(_drawn(text[at:], shifted))
        end = "\x1b[0m" if colours and pen else ""
        yield "" if is_empty and at == len(text) else "".join([start, *parts, end])


@cache
def _tokens() -> re.Pattern[str]:
    """Return what is not text. Compiled at the first use: every command imports this module, and few show scrollback."""
    return re.compile(
        r"\x1b\[(?P<colours>(?:[0-9]{0,9}[;:])*[0-9]{0,9})m"
        r"|(?P<shift>[\x0e\x0f])"
        r"|\x1b\[[0-?]*[ -/]*[@-~]"  # any other control sequence
        r"|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)"  # hyperlinks, titles and other strings
        r"|(?P<control>[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069])"
    )


def without_empty_end(lines: Iterable[str]) -> Iterator[str]:
    """Yield the lines without the empty ones at the end."""
    empty = 0
    for line in lines:
        if line:
            yield from [""] * empty
            empty = 0
            yield line
        else:
            empty += 1


def _drawn(text: str, shifted: bool) -> str:
    return text.translate(_LINE_DRAWING) if shifted else text


class _Pen:
    """The attributes and the three colours that the sequences so far have switched on."""

    def __init__(self) -> None:
        self._on: dict[object, str] = {}

    def __bool__(self) -> bool:
        return bool(self._on)

    def sequence(self) -> str:
        """Return one sequence that switches all of them on; empty if there are none."""
        return f"\x1b[{';'.join(self._on.values())}m" if self._on else ""

    def take(self, parameters: str) -> None:
        """Read the parameters of one sequence."""
        rest = parameters.split(";")
        while rest:
            word = rest.pop(0)
            number = int(word.split(":")[0] or 0)
            if number in _EXTENDED and ":" not in word:
                count = {"5": 2, "2": 4}.get(rest[0] if rest else "", 0)
                word, rest = ";".join([word, *rest[:count]]), rest[count:]
            self._apply(number, word)

    def _apply(self, number: int, word: str) -> None:
        if number == 0:
            self._on.clear()
        elif number in _ENDED_BY or word == "4:0":
            for ended in _ENDED_BY.get(number, (4,)):
                self._on.pop(ended, None)
        elif number in _DEFAULTS:
            self._on.pop(_DEFAULTS[number], None)
        elif number in _EXTENDED:
            self._on[_EXTENDED[number]] = word
        elif 30 <= number <= 37 or 90 <= number <= 97:
            self._on["fore"] = word
        elif 40 <= number <= 47 or 100 <= number <= 107:
            self._on["back"] = word
        else:
            self._on[number] = word
