"""Builds the objects of a configuration. Errors are reported before any of them is used."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from workspace_reaper.model.errors import ConfigurationError
from workspace_reaper.model.ports import ChangeWatcher
from workspace_reaper.operations.reaper import Reaper
from workspace_reaper.operations.reapers import Reapers, reapers_for
from workspace_reaper.operations.wiring import how_to_configure
from workspace_reaper.registry import open_watcher
from workspace_reaper.settings import SECTIONS, Settings, load_settings
from workspace_reaper.sweep.log import log_event


@dataclass(frozen=True, slots=True)
class Setup:
    """One configuration, ready for use. ``changes`` watch the databases of the hosts; none does if ``enabled`` is false."""

    settings: Settings
    reapers: Reapers
    changes: Sequence[ChangeWatcher]

    def __str__(self) -> str:
        watched = "; ".join(
            f"{'' if one.name is None else f'{one.name}: '}{one.registry.name} at {one.registry.location}"
            for one in self.reapers.hosts
        )
        if not self.changes:
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
    reapers = reapers_for(settings, environ)
    if not settings.enabled:
        return Setup(settings, reapers, ())
    reapers.first.require_tmux()
    for reaper in reapers.hosts:
        if reaper.settings.registry in SECTIONS:
            _check_described(reaper)
    changes = [open_watcher(one.schema, one.settings.database_url, environ) for one in reapers.hosts]
    return Setup(settings, reapers, changes)


def _check_described(reaper: Reaper) -> None:
    """Log what only costs time, and raise ``ConfigurationError`` if the description does not fit."""
    section = reaper.settings.registry if reaper.name is None else f"hosts, {reaper.name}: {reaper.settings.registry}"
    for finding in reaper.registry.examine():
        if not finding.fatal:
            log_event(logging.WARNING, f"{finding.text}: {finding.do}" if finding.do else finding.text)
        elif finding.misfit:  # otherwise it cannot be read, which the first sweep logs
            raise ConfigurationError(f"{section}: {finding.text}")
