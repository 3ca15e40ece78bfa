"""Output of the command line and the demo: tables for people, JSON for programs, and progress of long work.

Control characters are escaped here, where text is printed: nothing that is printed can act on a terminal. rich is imported
only for a terminal and for tables.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from workspace_reaper.util.text import printable

if TYPE_CHECKING:
    from rich.text import Text

# Colours of words. rich omits them where the output is no terminal, or NO_COLOR is set.
STYLES: Mapping[str, str] = {
    **dict.fromkeys(("reap", "reaped", "would-reap", "ended"), "red"),
    **dict.fromkeys(("hold", "held", "spared", "left", "WARN"), "yellow"),
    **dict.fromkeys(("keep", "kept", "ignored", "restored", "OK"), "green"),
    **dict.fromkeys(("failed", "FAIL"), "bold red"),
}

# Seconds after which long work shows that it is running.
PROGRESS_AFTER = 1.0


def say(text: str) -> None:
    """Print one line of plain text, wrapped at words on a terminal. Markup and emoji names are not interpreted."""
    if sys.stdout.isatty():
        _print(_cell(text, plain=True))
    else:
        say_whole(text)


def say_marked(word: str, text: str) -> None:
    """Print one line of plain text after a coloured word."""
    _print(_cell(word), _cell(" " * max(0, 4 - len(word)) + text, plain=True))


def say_whole(text: str) -> None:
    """Print one line of plain text without wrapping, also on a terminal: it may hold a command to be copied."""
    sys.stdout.write(f"{printable(text)}\n")
    sys.stdout.flush()


def complain(text: str) -> None:
    """Print one line to standard error, after the name of the program."""
    sys.stderr.write(f"workspace-reaper: {printable(text)}\n")


def print_json(value: object) -> None:
    """Print one JSON value in ASCII, whatever the locale."""
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def print_table(columns: Sequence[str], rows: Sequence[Sequence[Any]], *, empty: str) -> None:
    """Print a table, or the sentence ``empty`` if there are no rows. Cells are plain text, and None is shown as a dash.

    On a terminal the table has its width: long cells are folded, and nothing is cut. Elsewhere each row is one line of any
    length: a log or a pipe has no width.
    """
    if not rows:
        say(empty)
        return
    from rich.table import Column, Table

    cells = [[_cell(value) for value in row] for row in rows]
    if sys.stdout.isatty():
        table = Table(*(Column(column, overflow="fold") for column in columns), box=None, pad_edge=False, header_style="bold")
        for row in cells:
            table.add_row(*row)
        _print(table)
    else:
        for line in _lines([[_cell(column, style="bold") for column in columns], *cells]):
            _print(line)


@contextmanager
def progress(what: str) -> Iterator[None]:
    """Show a spinner on standard error, if it is a terminal, once the work takes longer than ``PROGRESS_AFTER``."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    status = Console(stderr=True, highlight=False).status(what)
    timer = threading.Timer(PROGRESS_AFTER, status.start)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        status.stop()


def _print(*what: object) -> None:
    from rich.console import Console

    # Without a terminal lines are never wrapped, so that another program can read them.
    Console(highlight=False, soft_wrap=not sys.stdout.isatty()).print(*what)


def _cell(value: object, *, plain: bool = False, style: str = "") -> Text:
    from rich.text import Text

    if plain:
        return Text(printable(str(value)))
    text = "-" if value is None else printable(" ".join(str(value).splitlines()))
    return Text(text, style=style or STYLES.get(text, ""))


def _lines(rows: Sequence[Sequence[Text]]) -> Iterator[Text]:
    """Yield rows with columns two spaces apart and without trailing spaces."""
    from rich.text import Text

    widths = [max(cell.cell_len for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        line = Text()
        for cell, width in zip(row, widths, strict=True):
            line.append_text(cell).append(" " * (width - cell.cell_len + 2))
        line.rstrip()
        yield line
