"""Settings that require or exclude each other."""

from __future__ import annotations

from collections.abc import Mapping

from workspace_reaper.settings.describe import SECTIONS
from workspace_reaper.settings.hosts import HOST_FIELDS
from workspace_reaper.settings.settings import Settings

_NEEDED_BY = {
    "table": ("table", "session_patterns", "tmux_sockets", "database_url"),
    "files": ("files", "session_patterns", "tmux_sockets"),
}


def not_together(settings: Settings, places: Mapping[str, str]) -> list[str]:
    """Return the messages about settings that other settings require or exclude."""
    if settings.hosts is None:
        return _of_one_host(settings, places)
    outside = [name for name in HOST_FIELDS if name in settings.model_fields_set]
    found = [
        f"{name} ({places[name]}): set together with [[hosts]], where each host has its own: move it there, or remove [[hosts]]"
        for name in outside
    ]
    in_hosts = dict.fromkeys(Settings.model_fields, places["hosts"])
    for name, own in settings.by_host().items():
        found += [f"hosts, {name}: {text}" for text in _of_one_host(own, in_hosts)]
    return found


def _of_one_host(settings: Settings, places: Mapping[str, str]) -> list[str]:
    registry = settings.registry
    found = [
        f'{name} ({places[name]}): set, but registry is another one: write registry = "{name}", or remove [{name}]'
        for name in SECTIONS
        if registry != name and getattr(settings, name)
    ]
    missing = [name for name in _NEEDED_BY.get(registry, ()) if getattr(settings, name) is None]
    if missing:
        needs = f'"{registry}" needs {", ".join(missing)}: set {"it" if len(missing) == 1 else "them"}'
        found.append(f"registry ({places['registry']}): {needs}")
    if registry == "files" and settings.database_url is not None:
        found.append(f'database_url ({places["database_url"]}): set, but registry = "files" reads no database: remove it')
    return found
