"""What the value of a setting must be, beyond its type. Each check returns the value to use, or raises ``ValueError`` with
the reason as a phrase that repeats the value."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TypeVar

__all__ = ["checked_clocks", "checked_directory", "checked_patterns", "checked_sockets", "expand_user"]


_Text = TypeVar("_Text", bound=str)


def expand_user(path: str) -> str:
    """``~`` and ``~user`` at the beginning become that user's home; an unknown user stays as written and is thus not absolute
    (``Path.expanduser`` would raise ``RuntimeError``)."""
    return os.path.expanduser(path)  # noqa: PTH111


def checked_sockets(sockets: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """Names without ``/``, or absolute paths; each once, ``~`` expanded. An empty tuple is refused: it would watch nothing."""
    if sockets == ():
        raise ValueError("an empty list would watch nothing")
    return None if sockets is None else tuple(dict.fromkeys(_socket(socket) for socket in sockets))


def checked_clocks(clocks: tuple[_Text, ...]) -> tuple[_Text, ...]:
    """Each once. An empty tuple is refused: every session would be idle as soon as it is old enough."""
    if not clocks:
        raise ValueError("an empty list would leave nothing that counts as activity")
    return tuple(dict.fromkeys(clocks))


def checked_patterns(patterns: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """Regular expressions with a group ``id``. An empty tuple is refused: it would manage nothing."""
    if patterns == ():
        raise ValueError("an empty list would manage nothing")
    for pattern in patterns or ():
        if "id" not in _groups(pattern):
            raise ValueError(f"{pattern!r} has no group 'id'")
    return patterns


def checked_directory(path: Path) -> Path:
    """An absolute path, ``~`` expanded."""
    expanded = expand_user(str(path))
    if "\0" in expanded or not expanded.startswith("/"):
        raise ValueError(f"{str(path)!r} is no absolute path")
    return Path(expanded)


def _socket(text: str) -> str:
    path = expand_user(text)
    named = "/" not in path and path not in {"", ".", ".."}
    if "\0" in path or not (named or path.startswith("/")):
        raise ValueError(f"{text!r} is neither a name nor an absolute path")
    return path


def _groups(pattern: str) -> frozenset[str]:
    try:
        return frozenset(re.compile(pattern).groupindex)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"{pattern!r} is no regular expression ({error})") from error
