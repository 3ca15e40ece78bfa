"""Builds the objects of a configuration. Errors are reported before any of them is used."""

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
from workspace_reaper.settings import SECTIONS, Settings, load_settings
from workspace_reaper.sweep.log import log_event


@dataclass(frozen=True, slots=True)
class Setup:
    """One configuration, ready for use. ``changes`` watches the database; None if ``enabled`` is false."""

    settings: Settings
    reaper: Reaper
    changes: ChangeWatcher | None

    def __str__(self) -> str:
        watched = f"{self.reaper.registry.name} at {self.reaper.registry.location}"
        if self.changes is None:
            return f"switched off (enabled = false): {watched} is not read, and nothing is reaped"
        return f"watches {watched}; a sweep every {self.settings.tick:g} s"


def read_settings(config: Path | None) -> Settings:
    """Read the settings as every command reads them.

    Raises:
        ConfigurationError: A setting is invalid, or nothing is configured: a daemon that does nothing is a mistake.
    """
    settings = load_settings(config)
    if not settings.configured:
        raise ConfigurationError(f"not configured: {how_to_configure(config)}")
    return settings


def set_up(settings: Settings, environ: Mapping[str, str]) -> Setup:
    """Build the reaper and the watcher of the database.

    Raises:
        ConfigurationError: A setting is invalid, ``[table]`` or ``[files]`` does not fit what it describes, or tmux is too old.
            A database or a file that cannot be read is no error here: it may become readable.
    """
    reaper = Reaper(settings, environ)
    if not settings.enabled:
        return Setup(settings, reaper, None)
    reaper.require_tmux()
    if settings.registry in SECTIONS:
        for finding in reaper.registry.examine():
            if not finding.fatal:
                log_event(logging.WARNING, f"{finding.text}: {finding.do}" if finding.do else finding.text)
            elif finding.misfit:  # otherwise it cannot be read, which the first sweep logs
                raise ConfigurationError(f"{settings.registry}: {finding.text}")
    return Setup(settings, reaper, open_watcher(reaper.schema, settings.database_url, environ))
