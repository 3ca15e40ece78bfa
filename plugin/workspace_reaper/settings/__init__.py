"""The settings: names, types, defaults and meaning of each, and where they come from.

Importing this package loads pydantic, which takes about a quarter of a second: import it late.
"""

from __future__ import annotations

from workspace_reaper.settings.description import SettingDescription, describe_settings
from workspace_reaper.settings.fields import Settings
from workspace_reaper.settings.sources import configuration_file, load_settings

__all__ = ["SettingDescription", "Settings", "configuration_file", "describe_settings", "load_settings"]
