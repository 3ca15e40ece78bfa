"""Hosts that a TOML file describes: those of this directory, and the user's own. Its name is that of the registry."""

from __future__ import annotations

from workspace_reaper.registry.presets.find import find_preset, preset_names, preset_variables
from workspace_reaper.registry.presets.preset import Preset, PresetPage

__all__ = ["Preset", "PresetPage", "find_preset", "preset_names", "preset_variables"]
