"""Builds the adapters and settings of a reaper from its configuration."""

from __future__ import annotations

import glob
import os
import shlex
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workspace_reaper.model.verdict import IdleClock
from workspace_reaper.registry import Schema
from workspace_reaper.settings import Settings, configuration_file, variable_of
from workspace_reaper.tmux.sockets import socket_path

if TYPE_CHECKING:
    from workspace_reaper.sweep.context import SweepSettings


def homes(settings: Settings, schema: Schema, environ: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Return the session patterns of each socket, by the socket's path.

    Configured sockets or patterns replace those of the registry's schema. A configured socket has all patterns.
    """
    own = schema.homes(environ)
    sockets = settings.tmux_sockets
    every = tuple(dict.fromkeys(pattern for home in own for pattern in home.patterns))
    if sockets is not None:
        return {socket_path(socket, environ): settings.session_patterns or every for socket in sockets}
    found: dict[str, tuple[str, ...]] = {}
    for home in own:
        path = socket_path(home.socket, environ)
        found[path] = settings.session_patterns or (*found.get(path, ()), *home.patterns)
    return found


def sweep_settings(settings: Settings, schema: Schema, records: tuple[str, ...]) -> SweepSettings:
    """Return the numbers and switches of a sweep. ``records`` are the files of the registry, with wildcards."""
    from workspace_reaper.policy.facts import Thresholds
    from workspace_reaper.sweep.context import SweepSettings

    clocks = frozenset(map(IdleClock, settings.idle_clocks))
    return SweepSettings(
        **_same_names(SweepSettings, settings),
        thresholds=Thresholds(**_same_names(Thresholds, settings) | {"idle_clocks": clocks}),
        end_everywhere=settings.survivors == "all",
        reuses_ids=schema.reuses_ids,
        removes_worktree=schema.removes_worktree,
        records=(glob.escape(os.path.realpath(settings.state_dir)), *records),
    )


def _same_names(kind: Any, settings: Settings) -> dict[str, Any]:
    """Return the settings that have the name of a field of this dataclass."""
    names = type(settings).model_fields
    return {field.name: getattr(settings, field.name) for field in fields(kind) if field.name in names}


def what_switches_off(config: Path | None = None) -> str:
    """Return what says ``enabled = false``: the variable or the file. ``config`` is the file that was given, if any."""
    variable = variable_of("enabled")
    return variable if variable in os.environ else f"enabled = false in {configuration_file(config, os.environ)}"


def how_to_configure(config: Path | None = None) -> str:
    """Return what to do when nothing is configured. ``config`` is the file that ``load_settings`` was given."""
    file = str(configuration_file(config, os.environ))
    is_default = file == str(configuration_file(None, {}))
    init = "workspace-reaper init" if is_default else f"workspace-reaper --config {shlex.quote(file)} init"
    return (
        "set database_url or registry in the configuration file, or WORKSPACE_REAPER_DATABASE_URL in the environment; "
        f"'{init}' looks at this machine and writes that file, {file}"
    )
