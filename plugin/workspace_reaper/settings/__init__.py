"""The settings: their names, types, defaults and meaning, and the sources of their values.

Importing this package loads pydantic, which takes about a quarter of a second: import it late.
"""

from __future__ import annotations

from workspace_reaper.settings.describe import SECTIONS, SettingDescription, describe_settings, variable_of
from workspace_reaper.settings.load import UsableSettings, configuration_file, load_settings, load_usable_settings
from workspace_reaper.settings.settings import Settings

__all__ = [
    "SECTIONS",
    "SettingDescription",
    "Settings",
    "UsableSettings",
    "configuration_file",
    "describe_settings",
    "load_settings",
    "load_usable_settings",
    "variable_of",
]
