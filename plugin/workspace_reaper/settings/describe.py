"""The settings as the documentation shows them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, fields
from typing import Any, NamedTuple

from workspace_reaper.model.workspace import DescribedWorkspaces, HostFiles, HostTable
from workspace_reaper.settings.settings import Settings
from workspace_reaper.settings.types import SECTION_KINDS, SettingKind
from workspace_reaper.util.durations import render_duration

# The prefix of every environment variable that is a setting.
PREFIX = "WORKSPACE_REAPER_"

# The settings that are sections of the file.
SECTIONS: Mapping[str, type[DescribedWorkspaces]] = {"table": HostTable, "files": HostFiles}


class SettingDescription(NamedTuple):
    """One setting as the documentation shows it, each field a text."""

    name: str
    type: str
    default: str
    description: str
    variable: str


def describe_settings() -> list[SettingDescription]:
    """Return every setting in the order in which the class declares them, and the keys of each section after it."""
    return [
        _described(name)
        for setting in Settings.model_fields
        for name in (setting, *(f"{setting}.{field.name}" for field in _keys_of(setting)))
    ]


def kind_of(name: str) -> SettingKind:
    """Return the type of a setting, or of a key of a section (``table.id``)."""
    _, dot, key = name.partition(".")
    if dot:
        return SECTION_KINDS.get(key, SECTION_KINDS["name"])
    return next(item for item in Settings.model_fields[name].metadata if isinstance(item, SettingKind))


def variable_of(name: str) -> str:
    """Return the environment variable that overrides the setting in the file."""
    return PREFIX + name.partition(".")[0].upper()


def _keys_of(setting: str) -> Sequence[Field[Any]]:
    return fields(SECTIONS[setting]) if setting in SECTIONS else ()


def _described(name: str) -> SettingDescription:
    section, dot, key = name.partition(".")
    if dot:
        field = next(field for field in _keys_of(section) if field.name == key)
        default = "needed" if field.default is MISSING else _text("none" if field.default is None else field.default)
        description = str(field.metadata["description"])
    else:
        default, description = _default_text(name), Settings.model_fields[name].description or ""
    return SettingDescription(name, kind_of(name).name, default, description, variable_of(name))


def _default_text(name: str) -> str:
    info = Settings.model_fields[name]
    extra = info.json_schema_extra
    if isinstance(extra, dict):
        return str(extra["default_text"])
    if kind_of(name).name == "duration":
        return render_duration(info.default)
    return _text(info.default)


def _text(value: object) -> str:
    """Return the value as a TOML file has it, without the quotes of a text."""
    return json.dumps(value) if isinstance(value, (bool, tuple)) else str(value)
