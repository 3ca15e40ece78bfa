"""Build what the daemon works with from the configuration. Errors are reported before any part of it is used."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from workspace_reaper.model.errors import ConfigurationError
from workspace_reaper.model.ports import ChangeWatcher
from workspace_reaper.operations.reaper import Reaper
from workspace_reaper.operations.wiring import how_to_configure
from workspace_reaper.registry import open_watcher
from workspace_reaper.settings import Settings, load_settings
from workspace_reaper.sweep.log import log_event


@dataclass(frozen=True, slots=True)
class Setup:
    """One configuration, ready to be used. ``feed`` is None where it switches the reaper off."""

    settings: Settings
    reaper: Reaper
    feed: ChangeWatcher | None

    def __str__(self) -> str:
        watched = f"{self.reaper.registry.name} at {self.reaper.registry.location}"
        if self.feed is None:
            return f"switched off (enabled = false): {watched} is not looked at, and nothing is reaped"
        return f"watches {watched}; a sweep every {self.settings.tick:g} s"


def read_settings(config: Path | None) -> Settings:
    """The settings, as every command reads them. ``ConfigurationError`` also where nothing is configured: a daemon that does
    nothing is a mistake."""
    settings = load_settings(config)
    if not settings.configured:
        raise ConfigurationError(f"not configured: {how_to_configure(config)}")
    return settings


def set_up(settings: Settings, environ: Mapping[str, str]) -> Setup:
    """Put the parts together, and begin to listen to the database. ``ConfigurationError`` if a setting can't be, or does not
    fit the database that is there, or tmux is too old; a database that can't be read is none."""
    reaper = Reaper(settings, environ)
    if not settings.enabled:
        return Setup(settings, reaper, None)
    reaper.require_tmux()
    if settings.table is not None:
        _check_table(reaper)
    return Setup(settings, reaper, open_watcher(reaper.schema, settings.database_url, environ))


def _check_table(reaper: Reaper) -> None:
    """What is described in the configuration alone must fit the table that is there."""
    for finding in reaper.registry.examine():
        if not finding.fatal:
            log_event(logging.WARNING, finding.text)
        elif finding.misfit:  # else it can't be read, which the first sweep tells
            raise ConfigurationError(f"table: {finding.text}")
