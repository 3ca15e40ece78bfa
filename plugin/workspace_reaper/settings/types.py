"""The types of settings: how each is validated, and what to write instead of an invalid value."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field

from workspace_reaper.model.workspace import HostFiles, HostTable
from workspace_reaper.util.durations import parse_duration


@dataclass(frozen=True, slots=True)
class SettingKind:
    """A type of setting for display. ``write`` completes the sentence "write …"; ``json``: a variable contains JSON."""

    name: str
    write: str
    json: bool = False


def _no_boolean(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError(f"{value!r} is not a number")
    return value


_Text = TypeVar("_Text", bound=str)


def expand_user(path: str) -> str:
    """Replace ``~`` or ``~user`` at the beginning by that user's home directory.

    The name of an unknown user stays, so the result is not absolute. ``Path.expanduser`` would raise ``RuntimeError``.
    """
    return os.path.expanduser(path)  # noqa: PTH111


def checked_sockets(sockets: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """Return the names and absolute paths without duplicates, with ``~`` expanded. Raises ``ValueError`` for an empty tuple."""
    if sockets == ():
        raise ValueError("an empty list would watch nothing")
    return None if sockets is None else tuple(dict.fromkeys(_socket(socket) for socket in sockets))


def checked_clocks(clocks: tuple[_Text, ...]) -> tuple[_Text, ...]:
    """Return the clocks without duplicates. Raises ``ValueError`` for an empty tuple: every session would be idle."""
    if not clocks:
        raise ValueError("an empty list would leave nothing that counts as activity")
    return tuple(dict.fromkeys(clocks))


def checked_patterns(patterns: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """Return the regular expressions. Raises ``ValueError`` for one without a group ``id``."""
    for pattern in patterns or ():
        if "id" not in _groups(pattern):
            raise ValueError(f"{pattern!r} has no group 'id'")
    return patterns


def checked_directory(path: Path) -> Path:
    """Return the absolute path with ``~`` expanded. Raises ``ValueError`` for a relative path."""
    expanded = expand_user(str(path))
    if "\0" in expanded or not expanded.startswith("/"):
        raise ValueError(f"{str(path)!r} is not an absolute path")
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
        raise ValueError(f"{pattern!r} is not a regular expression ({error})") from error


_DURATION = SettingKind("duration", "seconds, or text such as 90s, 10m, 48h or 1h30m")

_INTERVAL = SettingKind("duration", "more than zero seconds, or text such as 90s, 10m or 1h")

_SOCKETS = SettingKind("list of text", 'socket names or absolute paths, such as ["default", "~/tmux.sock"]', json=True)

_PATTERNS = SettingKind(
    "list of text", "regular expressions with a group 'id', such as [\"ws_(?P<id>[0-9a-f]{32})\"]", json=True
)

_CLOCKS = SettingKind("list of words", 'some of ["input", "attach", "detach", "output", "cpu"]', json=True)

Name = Annotated[str, Field(min_length=1), SettingKind("text", "a name")]

Url = Annotated[Annotated[str, Field(min_length=1)] | None, SettingKind("text", "a URL")]

Duration = Annotated[float, BeforeValidator(parse_duration), _DURATION]

Interval = Annotated[float, BeforeValidator(parse_duration), Field(gt=0), _INTERVAL]

Sockets = Annotated[tuple[str, ...] | None, AfterValidator(checked_sockets), _SOCKETS]

IdleClocks = Annotated[
    tuple[Literal["input", "attach", "detach", "output", "cpu"], ...], AfterValidator(checked_clocks), _CLOCKS
]

Patterns = Annotated[tuple[str, ...] | None, AfterValidator(checked_patterns), _PATTERNS]

Directory = Annotated[
    Path, AfterValidator(checked_directory), SettingKind("path", "an absolute path, or one that begins with ~")
]

Count = Annotated[int, BeforeValidator(_no_boolean), Field(ge=1), SettingKind("whole number", "a whole number of at least 1")]

Survivors = Annotated[Literal["worktree", "all"], SettingKind("word", "worktree or all")]

LogFormat = Annotated[Literal["keyvalue", "json"], SettingKind("word", "keyvalue or json")]

Switch = Annotated[bool, SettingKind("true or false", "true or false (or 1 or 0)")]

Table = Annotated[
    HostTable | None,
    SettingKind("table", 'the keys that describe it, such as {"name": "tasks", "id": "id", "id_type": "uuid"}', json=True),
]

Files = Annotated[
    HostFiles | None,
    SettingKind(
        "table",
        """the keys that describe them, such as {"paths": ["~/.app/*.json"], "id": "stem", "id_type": "text"}""",
        json=True,
    ),
]

# The types of the keys of ``table`` and ``files``. All others have the type of ``name``.
SECTION_KINDS = {
    "name": SettingKind("text", "the name of a table or a column, or an SQL expression"),
    "paths": SettingKind("list of text", 'paths such as ["~/.app/state.json"] or ["$APP_DATA/*/workspace.yaml"]'),
    "items": SettingKind("text", "a JSON path such as $.instances"),
    "id_type": SettingKind("word", "text, uuid, uuid-hex, uuid-blob or integer"),
    "id_in_session": SettingKind("word", "text or hex"),
    "removes_worktree": SettingKind("true or false", "true or false"),
    "any_row": SettingKind("list of words", 'some of ["archived", "deleted", "pinned", "running", "worktree_deleted"]'),
}
