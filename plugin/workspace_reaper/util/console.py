"""Output of the command line and the demo: tables for people, JSON for programs, and progress of long work.

Control characters are escaped here, where text is printed: nothing that is printed can act on a terminal. rich is imported
only for a terminal, and to measure the width of cells.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from workspace_reaper.util.text import printable

# A text and its style.
_Cell = tuple[str, str]

# Colours of words. rich omits them where the output is no terminal, or NO_COLOR is set.
STYLES: Mapping[str, str] = {
    **dict.fromkeys(("reap", "reaped", "would-reap", "ended"), "red"),
    **dict.fromkeys(("hold", "held", "spared", "left", "WARN"), "yellow"),
    **dict.fromkeys(("keep", "kept", "ignored", "restored", "OK"), "green"),
    **dict.fromkeys(("failed", "FAIL"), "bold red"),
}

# Seconds after which long work shows that it is running.
PROGRESS_AFTER = 1.0


def open_standard_streams() -> None:
    """Open what is closed of standard input, output and error, on the null device.

    A program may be started with them closed (``run <&- >&- 2>&-``). The files that it opens next would get these descriptors,
    and what it prints would go there, or raise.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            # Python found the descriptor closed. It is the lowest free one, unless a file of Python's has it by now.
            setattr(sys, name, Path(os.devnull).open("r" if number == 0 else "w"))  # noqa: SIM115  open until the end


class OutputLost(OSError):
    """Standard output cannot be written: its pipe is closed, or its device is full."""


def lost_output() -> OSError | None:
    """Write what is left of the output. Return why that cannot be done, None if it is done.

    What is left is discarded then: Python would write it when it ends, print an error of its own, and exit with 120.
    """
    try:
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return error
    return None


def say(text: str) -> None:
    """Print one line of plain text, wrapped at words on a terminal. Markup and emoji names are not interpreted."""
    if sys.stdout.isatty():
        _print_line([(printable(text), "")])
    else:
        say_whole(text)


def say_marked(word: str, text: str) -> None:
    """Print one line of plain text after a coloured word."""
    _print_line([_cell(word), (f"{' ' * max(0, 4 - len(word))} {printable(text)}", "")])


def say_whole(text: str) -> None:
    """Print one line of plain text without wrapping, also on a terminal: it may hold a command to be copied."""
    _write(f"{printable(text)}\n")


def complain(text: str) -> None:
    """Print one line to standard error, after the name of the program."""
    sys.stderr.write(f"workspace-reaper: {printable(text)}\n")


def print_json(value: object) -> None:
    """Print one JSON value in ASCII, whatever the locale."""
    _write(json.dumps(value, indent=2) + "\n")


def print_table(columns: Sequence[str], rows: Sequence[Sequence[Any]], *, empty: str) -> None:
    """Print a table, or the sentence ``empty`` if there are no rows. Cells are plain text, and None is shown as a dash.

    On a terminal the table has its width: long cells are folded, and nothing is cut. Elsewhere each row is one line of any
    length: a log or a pipe has no width.
    """
    if not rows:
        say(empty)
        return
    cells = [[_cell(value) for value in row] for row in rows]
    if sys.stdout.isatty():
        from rich.table import Column, Table
        from rich.text import Text

        table = Table(*(Column(column, overflow="fold") for column in columns), box=None, pad_edge=False, header_style="bold")
        for row in cells:
            table.add_row(*(Text(*cell) for cell in row))
        _print(table)
    else:
        for line in _lines([[(column, "bold") for column in columns], *cells]):
            _print_line(line)


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


def _print(what: object) -> None:
    from rich.console import Console

    # Without a terminal lines are never wrapped, so that another program can read them.
    Console(highlight=False, soft_wrap=not sys.stdout.isatty()).print(what)


def _print_line(cells: Sequence[_Cell]) -> None:
    if sys.stdout.isatty() or os.environ.get("FORCE_COLOR") or os.environ.get("TTY_COMPATIBLE") == "1":
        from rich.text import Text

        line = Text.assemble(*cells)
        line.rstrip()
        _print(line)
    else:  # rich takes 30 ms to import, and half a millisecond for a line
        _write("".join(text for text, _ in cells).rstrip() + "\n")


def _write(text: str) -> None:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()  # an error comes here, where it is handled, and not when Python ends
    except OSError as error:
        raise OutputLost(error.errno, error.strerror) from error


def _cell(value: object) -> _Cell:
    text = "-" if value is None else printable(" ".join(str(value).splitlines()))
    return text, STYLES.get(text, "")


def _lines(rows: Sequence[Sequence[_Cell]]) -> Iterator[Sequence[_Cell]]:
    """Yield rows with columns two spaces apart."""
    from rich.cells import cell_len

    widths = [max(cell_len(text) for text, _ in column) for column in zip(*rows, strict=True)]
    for row in rows:
        padded = [(text, style, width - cell_len(text) + 2) for (text, style), width in zip(row, widths, strict=True)]
        yield [part for text, style, spaces in padded for part in ((text, style), (" " * spaces, ""))]
