"""Finds the file of a preset: the user's own come before those of this package."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from workspace_reaper.model.errors import ConfigurationError
from workspace_reaper.registry.presets.parse import InvalidPreset, parse_preset
from workspace_reaper.registry.presets.preset import Preset
from workspace_reaper.util.permissions import check_permissions

_OURS = Path(__file__).parent
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")


def preset_names(own: Path | None = None) -> list[str]:
    """Return the names of the presets of this package, and of those in the user's directory ``own``."""
    folders = (_OURS,) if own is None else (_OURS, own)
    return sorted({file.stem for folder in folders for file in folder.glob("*.toml") if _NAME.fullmatch(file.stem)})


@cache
def preset_variables() -> frozenset[str]:
    """Return the variables of the environment that the presets of this package name."""
    presets = map(_our_preset, preset_names())
    return frozenset(name for preset in presets if preset is not None for name in preset.variables)


def find_preset(name: str, own: Path | None = None) -> Preset | None:
    """Return the preset of that name, None if there is none. ``own`` is the directory of the user's presets.

    Raises:
        ConfigurationError: Its file cannot be read or used, or another user can write it.
    """
    if not _NAME.fullmatch(name):
        return None
    if own is not None and (preset := _own_preset(name, own / f"{name}.toml")) is not None:
        return preset
    return _our_preset(name)


def _own_preset(name: str, file: Path) -> Preset | None:
    try:
        text = file.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"registry: the preset {file} cannot be read ({error}): fix or remove it") from error
    if unsafe := check_permissions(file):
        raise ConfigurationError(f"registry: {unsafe.message('the preset', file)}")
    return _parsed(name, file, text)


@cache
def _our_preset(name: str) -> Preset | None:
    file = _OURS / f"{name}.toml"
    return _parsed(name, file, file.read_text(encoding="utf-8")) if file.is_file() else None


def _parsed(name: str, file: Path, text: str) -> Preset:
    try:
        return parse_preset(name, file, text)
    except InvalidPreset as error:
        raise ConfigurationError(f"registry: the preset {file}: {error}") from error
