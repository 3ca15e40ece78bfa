"""What the command line and the demo print: tables for people, JSON for programs, and signs of life on long work.

Nothing that is said here acts on a terminal, wherever it comes from: control characters are escaped where text is printed, so
that no caller can forget it.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from workspace_reaper.util.text import printable

__all__ = ["STYLES", "console", "errors", "print_json", "print_table", "progress", "say", "say_marked", "say_whole"]

STYLES: Mapping[str, str] = {
    "reap": "red",
    "reaped": "red",
    "would-reap": "red",
    "hold": "yellow",
    "spared": "yellow",
    "failed": "bold red",
    "keep": "green",
    "OK": "green",
    "WARN": "yellow",
    "FAIL": "bold red",
    "held": "yellow",
    "kept": "green",
    "ignored": "green",
    "ended": "red",
    "left": "yellow",
    "restored": "green",
}
"""Colours of the words that matter. rich drops them where the output is no terminal, or NO_COLOR is set."""

_HEADER = "bold"

PROGRESS_AFTER = 1.0
"""Seconds of silence before work says that it goes on."""


def console() -> Console:
    """Standard output. Without a terminal lines are never wrapped, so that another program can read them."""
    return Console(highlight=False, soft_wrap=not sys.stdout.isatty())


def errors() -> Console:
    """Standard error."""
    return Console(stderr=True, highlight=False, soft_wrap=not sys.stderr.isatty())


def say(text: str) -> None:
    """One line of plain text; nothing in it is taken for markup or for the name of an emoji."""
    console().print(_plain(text))


def say_marked(word: str, text: str) -> None:
    """One line of plain text behind a word that has a colour."""
    console().print(_cell(word), _plain(" " * max(0, 4 - len(word)) + text))


def say_whole(text: str) -> None:
    """One line of plain text that is never broken, also on a terminal: it may hold a command, to be copied."""
    console().print(_plain(text), soft_wrap=True)


def print_json(value: object) -> None:
    """One JSON value, ASCII only, whatever the locale."""
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def print_table(columns: Sequence[str], rows: Sequence[Sequence[Any]], *, empty: str) -> None:
    """A table; ``empty`` is said where there are no rows. Cells are plain text, None is shown as a dash.

    On a terminal it fits the width: long cells are folded, and nothing is cut. Elsewhere each row is one line, as long as it
    needs to be: a log or a pipe has no width.
    """
    if not rows:
        say(empty)
        return
    cells = [[_cell(value) for value in row] for row in rows]
    if sys.stdout.isatty():
        console().print(_folded(columns, cells))
    else:
        for line in _lines([[Text(column, style=_HEADER) for column in columns], *cells]):
            console().print(line)


def _plain(text: str) -> Text:
    return Text(printable(text))


def _cell(value: object) -> Text:
    # What would break a line is a space.
    text = "-" if value is None else printable(" ".join(str(value).splitlines()))
    return Text(text, style=STYLES.get(text, ""))


def _folded(columns: Sequence[str], rows: Sequence[Sequence[Text]]) -> Table:
    table = Table(*(Column(column, overflow="fold") for column in columns), box=None, pad_edge=False, header_style=_HEADER)
    for row in rows:
        table.add_row(*row)
    return table


def _lines(rows: Sequence[Sequence[Text]]) -> Iterator[Text]:
    """Columns two spaces apart, and no space at the end of a line."""
    widths = [max(cell.cell_len for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        line = Text()
        for cell, width in zip(row, widths, strict=True):
            line.append_text(cell).append(" " * (width - cell.cell_len + 2))
        line.rstrip()
        yield line


@contextmanager
def progress(what: str) -> Iterator[None]:
    """Show a spinner on standard error once the work takes longer than a second, if somebody looks."""
    err = errors()
    if not err.is_terminal:
        yield
        return
    status = err.status(what)
    timer = threading.Timer(PROGRESS_AFTER, status.start)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        status.stop()
