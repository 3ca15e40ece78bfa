"""What others have written, made fit to be printed: nothing in it acts on a terminal. Of scrollback the colours stay."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

__all__ = ["printable", "readable_lines", "without_empty_end"]

_TOKEN = re.compile(
    r"\x1b\[(?P<colours>(?:[0-9]{0,9}[;:])*[0-9]{0,9})m"
    r"|(?P<shift>[\x0e\x0f])"
    r"|\x1b\[[0-?]*[ -/]*[@-~]"  # any other control sequence
    r"|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)"  # hyperlinks, titles and other strings
    r"|(?P<control>[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069])"
)

_LINE_DRAWING = str.maketrans("`abcdefghijklmnopqrstuvwxyz{|}~", "◆▒␉␌␍␊°±␤␋┘┐┌└┼⎺⎻─⎼⎽├┤┴┬│≤≥π≠£·")
"""The terminal's alternate characters: between SO and SI, tmux tells the letters that stand for them."""

_ENDED_BY = {22: (1, 2), 23: (3,), 24: (4, 21), 25: (5, 6), 27: (7,), 28: (8,), 29: (9,), 55: (53,)}
_DEFAULTS = {39: "fore", 49: "back", 59: "line"}
_EXTENDED = {38: "fore", 48: "back", 58: "line"}


def printable(text: str) -> str:
    """Text as it may be shown on a terminal and written as UTF-8: control characters and undecodable bytes escaped."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode("ascii") for char in text
    )


def readable_lines(lines: Iterable[bytes], *, colours: bool) -> Iterator[str]:
    """Each line without its newline, its colours closed at its end and opened again in the next: what a line leaves open would
    else fill the rest of the row. A line without any text is empty.

    Without ``colours`` it is the text alone. Control characters are escaped, and what can't be decoded is U+FFFD.
    """
    pen = _Pen()
    shifted = False
    for raw in lines:
        start = pen.sequence() if colours else ""
        parts = []
        is_empty = True
        at = 0
        text = raw.removesuffix(b"\n").decode("utf-8", "replace")
        for token in _TOKEN.finditer(text):
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


def without_empty_end(lines: Iterable[str]) -> Iterator[str]:
    """All but the empty lines below the last text."""
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
    """What the sequences so far have switched on, so that it can be switched on again: attributes and three colours."""

    def __init__(self) -> None:
        self._on: dict[object, str] = {}

    def __bool__(self) -> bool:
        return bool(self._on)

    def sequence(self) -> str:
        """One sequence that switches all of it on; empty where nothing is."""
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
