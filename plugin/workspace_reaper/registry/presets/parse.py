"""Parses the TOML of a preset. Each error names the field."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping
from dataclasses import MISSING, fields
from datetime import date
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from workspace_reaper.model.workspace import HostFiles, HostTable
from workspace_reaper.registry import toml
from workspace_reaper.registry.file_patterns import ENDINGS
from workspace_reaper.registry.presets.preset import Preset, PresetPage
from workspace_reaper.util.session_patterns import pattern_problem

_SECTIONS = ("table", "files", "page")
_KEYS = ("title", "record", "sockets", "patterns", *_SECTIONS)
_LISTS = ("record", "sockets", "patterns")

T = TypeVar("T")


class InvalidPreset(ValueError):
    """An error for a preset that cannot be used. The text names the field."""


def parse_preset(name: str, file: Path, text: str) -> Preset:
    """Return the preset in the text of a file.

    Raises:
        InvalidPreset: The text is not valid TOML, or a field is missing, unknown or invalid.
    """
    try:
        values = toml.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidPreset(f"not valid TOML: {error}") from error
    _refuse_unknown("", values, _KEYS)
    if ("table" in values) == ("files" in values):
        raise InvalidPreset("table, files: exactly one of the sections [table] and [files] describes the record")
    lists = {key: _texts(key, values.get(key)) for key in _LISTS}
    for pattern in lists["patterns"]:
        if problem := pattern_problem(pattern):
            raise InvalidPreset(f"patterns: {problem}")
    described: HostTable | HostFiles
    if "table" in values:
        described = _section("table", HostTable, values["table"])
    else:
        _refuse_unknown("files.", _mapping("files", values["files"]), _names(HostFiles) - {"paths"})
        described = _section("files", HostFiles, values["files"] | {"paths": list(lists["record"])})
    if isinstance(described, HostFiles) and (odd := [path for path in lists["record"] if not path.endswith(ENDINGS)]):
        raise InvalidPreset(f"record: {odd[0]!r} does not end in {', '.join(ENDINGS)}")
    page = _section("page", PresetPage, values["page"]) if "page" in values else None
    title = _value("title", str, values.get("title"))
    preset = Preset(name=name, file=file, title=title, described=described, page=page, **lists)
    for key, found in (("record", preset.places({})), ("sockets", preset.socket_names({}))):
        if not found:
            raise InvalidPreset(f"{key}: each names a variable that may be unset: add one without, or write ${{NAME:-DEFAULT}}")
    if odd := [path for path in preset.places({}) if not path.startswith("/")]:
        raise InvalidPreset(f"record: {odd[0]!r} is not an absolute path: begin it with /, ~ or a variable")
    return preset


def _section(section: str, kind: type[T], values: object) -> T:
    """Return the value of a dataclass from a section. The fields have the types that TOML can have."""
    given = _mapping(section, values)
    _refuse_unknown(f"{section}.", given, _names(kind))
    hints = get_type_hints(kind)
    found = {}
    for field in fields(kind):  # type: ignore[arg-type]
        if field.name in given or field.default is MISSING:
            found[field.name] = _value(f"{section}.{field.name}", hints[field.name], given.get(field.name))
    try:
        return kind(**found)
    except ValueError as error:
        raise InvalidPreset(f"{section}: {error}") from error


def _names(kind: type) -> set[str]:
    return {field.name for field in fields(kind)}


def _mapping(section: str, values: object) -> Mapping[str, Any]:
    if not isinstance(values, Mapping):
        raise InvalidPreset(f"{section}: write a section [{section}]")
    return values


def _refuse_unknown(prefix: str, values: Collection[str], known: Collection[str]) -> None:
    for key in values:
        if key not in known:
            near = difflib.get_close_matches(key, sorted(known), n=1)
            raise InvalidPreset(f"{prefix}{key}: not a key of a preset: {f'did you mean {near[0]}?' if near else 'remove it'}")


def _texts(key: str, value: object) -> tuple[str, ...]:
    if value is None:
        raise InvalidPreset(f"{key}: missing: write a list of texts")
    found: tuple[str, ...] = _value(key, tuple[str, ...], value)
    if not found or not all(one and "\0" not in one for one in found):
        raise InvalidPreset(f"{key}: {list(found)!r}: write a list of texts that are not empty")
    return found


def _value(key: str, hint: Any, value: Any) -> Any:
    """Return the value as that type. Raises ``InvalidPreset`` if it is missing or of another type."""
    if value is None:
        raise InvalidPreset(f"{key}: missing")
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        (hint,) = (one for one in arguments if one is not NoneType)
        return _value(key, hint, value)
    if origin is tuple:
        if not isinstance(value, list):
            raise InvalidPreset(f"{key}: {value!r}: write a list")
        return tuple(_value(key, arguments[0], one) for one in value)
    if origin is Literal:
        if value not in arguments:
            raise InvalidPreset(f"{key}: {value!r}: write {', '.join(arguments[:-1])} or {arguments[-1]}")
        return value
    if type(value) is not hint:
        raise InvalidPreset(f"{key}: {value!r}: write {_KINDS[hint]}")
    return re.sub(r"\s+", " ", value).strip() if key.startswith("page.") and hint is str else value


_KINDS: Mapping[type, str] = {str: "a text in quotes", bool: "true or false", date: "a date such as 2026-11-29"}
