"""What is wrong with a setting, in words that name it, the place where it stands, and what to write instead."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterable, Mapping
from dataclasses import fields

from pydantic import ValidationError

from workspace_reaper.model.workspace import HostTable
from workspace_reaper.settings.describe import PREFIX, kind_of
from workspace_reaper.settings.settings import Settings

_NEEDED_BY_TABLE = ("table", "session_patterns", "tmux_sockets", "database_url")


def problem(field: str, place: str, text: str) -> str:
    """The phrase about one field."""
    kind = kind_of(field)
    as_json = ""
    if kind.json and place.startswith(PREFIX):
        as_json = " as a JSON list" if kind.name.startswith("list of ") else " as JSON"
    return f"{field} ({place}): {text}: write {kind.write}{as_json}"


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The question whether the nearest of the known names was meant, if one is near."""
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]}?" if close else None


def bad_values(error: ValidationError, places: Mapping[str, str]) -> list[str]:
    """One phrase for each bad field. The value of a field without a repr is never shown: it may hold a password."""
    found: dict[str, str] = {}
    for item in error.errors(include_url=False):
        top = str(item["loc"][0])
        # For a tuple the number of the item follows, which is not shown; for the table, its key.
        field = ".".join(map(str, item["loc"][:2])) if top == "table" else top
        place = places[top]
        if item["type"] == "unexpected_keyword_argument":
            keys = [known.name for known in fields(HostTable)]
            found[field] = f"{field} ({place}) is not a setting: {nearest(str(item['loc'][1]), keys) or 'remove it'}"
        elif item["type"] == "missing":
            found[field] = problem(field, place, "is missing")
        else:
            cause = item.get("ctx", {}).get("error")
            value = reprlib.repr(item["input"]) if Settings.model_fields[top].repr else "its value"
            found.setdefault(
                field, problem(field, place, str(cause) if isinstance(cause, ValueError) else f"{value} is refused")
            )
    return list(found.values())


def not_together(settings: Settings) -> list[str]:
    """What is missing, or not allowed, together with other settings."""
    if settings.registry != "table":
        return ['table: is described, and registry is another one: write registry = "table"'] if settings.table else []
    missing = [name for name in _NEEDED_BY_TABLE if getattr(settings, name) is None]
    return [f'registry = "table" needs {", ".join(missing)}: set {"it" if len(missing) == 1 else "them"}'] if missing else []
