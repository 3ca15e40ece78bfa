"""The types of settings: how each is checked, and what to write instead of a value that is refused."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from workspace_reaper.model.workspace import HostTable
from workspace_reaper.settings.checks import checked_clocks, checked_directory, checked_patterns, checked_sockets
from workspace_reaper.util.durations import parse_duration

__all__ = [
    "TABLE_KINDS",
    "Count",
    "Directory",
    "Duration",
    "IdleClocks",
    "Interval",
    "Kind",
    "LogFormat",
    "Name",
    "Patterns",
    "Sockets",
    "Survivors",
    "Switch",
    "Table",
    "Url",
]


@dataclass(frozen=True, slots=True)
class Kind:
    """A type of setting as people know it. ``write`` completes the sentence "write …"."""

    name: str
    write: str
    json: bool = False


def _no_boolean(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError(f"{value!r} is no number")
    return value


_DURATION = Kind("duration", "seconds, or text such as 90s, 10m, 48h or 1h30m")
_INTERVAL = Kind("duration", "more than zero seconds, or text such as 90s, 10m or 1h")
_SOCKETS = Kind("list of text", 'socket names or absolute paths, such as ["default", "~/tmux.sock"]', json=True)
_PATTERNS = Kind("list of text", "regular expressions with a group 'id', such as [\"ws_(?P<id>[0-9a-f]{32})\"]", json=True)

_CLOCKS = Kind("list of words", 'some of ["input", "attach", "detach", "output", "cpu"]', json=True)

Name = Annotated[str, Field(min_length=1), Kind("text", "a name")]
Url = Annotated[Annotated[str, Field(min_length=1)] | None, Kind("text", "a URL")]
Duration = Annotated[float, BeforeValidator(parse_duration), _DURATION]
Interval = Annotated[float, BeforeValidator(parse_duration), Field(gt=0), _INTERVAL]
Sockets = Annotated[tuple[str, ...] | None, AfterValidator(checked_sockets), _SOCKETS]
IdleClocks = Annotated[
    tuple[Literal["input", "attach", "detach", "output", "cpu"], ...], AfterValidator(checked_clocks), _CLOCKS
]
Patterns = Annotated[tuple[str, ...] | None, AfterValidator(checked_patterns), _PATTERNS]
Directory = Annotated[Path, AfterValidator(checked_directory), Kind("path", "an absolute path, or one that begins with ~")]
Count = Annotated[int, BeforeValidator(_no_boolean), Field(ge=1), Kind("whole number", "a whole number of at least 1")]
Survivors = Annotated[Literal["worktree", "all"], Kind("word", "worktree or all")]
LogFormat = Annotated[Literal["keyvalue", "json"], Kind("word", "keyvalue or json")]
Switch = Annotated[bool, Kind("true or false", "true or false (or 1 or 0)")]
Table = Annotated[
    HostTable | None,
    Kind("table", 'the keys that describe it, such as {"name": "tasks", "id": "id", "id_type": "uuid"}', json=True),
]

TABLE_KINDS = {
    "name": Kind("text", "the name of a table or a column, or an SQL expression"),
    "id_type": Kind("word", "text, uuid, uuid-hex, uuid-blob or integer"),
    "id_in_session": Kind("word", "text or hex"),
}
"""Of the keys of ``table``; all others are of the kind of ``name``."""
