"""Builds the adapters and settings of a reaper from its configuration."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path

from workspace_reaper.model.verdict import IdleClock
from workspace_reaper.policy.facts import Thresholds
from workspace_reaper.registry import Schema
from workspace_reaper.settings import Settings, configuration_file
from workspace_reaper.sweep.context import SweepSettings
from workspace_reaper.tmux import socket_path

__all__ = ["homes", "how_to_configure", "sweep_settings"]


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


def sweep_settings(settings: Settings, schema: Schema) -> SweepSettings:
    """Return the numbers and switches of a sweep."""
    thresholds = Thresholds(
        idle_ttl=settings.idle_ttl,
        min_age=settings.min_age,
        activity_grace=settings.activity_grace,
        archived_ttl=settings.archived_ttl,
        stranger_ttl=settings.stranger_ttl,
        dead_ttl=settings.dead_ttl,
        confirmation_gap=settings.confirmation_gap,
        orphan_confirmations=settings.orphan_confirmations,
        undo_window=settings.undo_window,
        idle_clocks=frozenset(map(IdleClock, settings.idle_clocks)),
    )
    return SweepSettings(
        thresholds=thresholds,
        max_orphans_per_hour=settings.max_orphans_per_hour,
        abstain_alarm=settings.abstain_alarm,
        tick=settings.tick,
        kill_grace=settings.kill_grace,
        end_everywhere=settings.survivors == "all",
        reuses_ids=schema.reuses_ids,
    )


def how_to_configure(config: Path | None = None) -> str:
    """Return what to do when nothing is configured. ``config`` is the file that ``load_settings`` was given."""
    file = str(configuration_file(config, os.environ))
    is_default = file == str(configuration_file(None, {}))
    init = "workspace-reaper init" if is_default else f"workspace-reaper --config {shlex.quote(file)} init"
    return (
        "set database_url or registry in the configuration file, or WORKSPACE_REAPER_DATABASE_URL in the environment; "
        f"'{init}' looks at this machine and writes that file, {file}"
    )
