"""Finds the registry whose state a host's plugin has written, for commands that are used without a configuration.

A plugin such as CAO's configures itself: no file names its registry. What it did is in the user's state directory.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from workspace_reaper.ledger import open_ledger
from workspace_reaper.model.errors import ConfigurationError, LedgerError
from workspace_reaper.model.state import RecordedRegistry
from workspace_reaper.operations.reaper import Reaper
from workspace_reaper.registry.location import is_server
from workspace_reaper.settings import Settings, load_usable_settings


@dataclass(frozen=True, slots=True)
class RecordedReaper:
    """A reaper for the registry of which the state directory has the latest record. ``others`` are the other ones there."""

    reaper: Reaper
    registry: RecordedRegistry
    others: tuple[RecordedRegistry, ...] = ()

    def __str__(self) -> str:
        others = "".join(f"; there is also {one.name} ({one.location})" for one in self.others)
        return f"{self.registry.name} ({self.registry.location}), as recorded in {self.reaper.settings.state_dir}{others}"


def recorded_reaper(settings: Settings) -> RecordedReaper | None:
    """Return a reaper for the registry that the ledger in ``state_dir`` recorded last, None if there is none that can be used.

    All other settings are as they are. Nothing is written.
    """
    try:
        with open_ledger(settings.state_dir, registry_name="", location="", read_only=True) as ledger:
            recorded = ledger.registries()
    except LedgerError:  # a command that reads the ledger reports it
        return None
    for number, one in enumerate(recorded):
        url = one.location if is_server(one.location) else f"sqlite:///{one.location}"
        try:
            reaper = Reaper(settings.model_copy(update={"registry": one.name, "database_url": url}))
        except ConfigurationError:  # described in a configuration that is not here, or its package was uninstalled
            continue
        reaper.is_recorded = True
        return RecordedReaper(reaper, one, (*recorded[:number], *recorded[number + 1 :]))
    return None


def how_to_use(recorded: RecordedReaper, file: Path) -> str:
    """Return what to write to the configuration file to use all commands for this registry."""
    return (
        f"no configuration names a registry. A plugin of this user works with {recorded}. To use this command as well, write "
        f'registry = "{recorded.registry.name}" to {file}: the plugin reads that file when its server starts'
    )


def what_init_switches_off() -> str | None:
    """Return what a new configuration file of ``init`` changes for a plugin that works without one, or None."""
    usable = load_usable_settings()
    recorded = None if usable.settings.configured or usable.problem else recorded_reaper(usable.settings)
    if recorded is None:
        return None
    return (
        f"A plugin of this user works without this file, with {recorded}. It reads the file when its server starts, and is "
        "switched off by 'enabled = false': set enabled = true before that, or write no file."
    )


def usable_reaper(config: Path | None) -> tuple[Settings, Reaper | None]:
    """Return the usable part of a configuration that cannot be used as a whole, and a reaper for it.

    Without the names of the host and its database it is the reaper for the recorded registry; None if there is none.
    """
    usable = load_usable_settings(config)
    if usable.names_host and usable.settings.configured:
        try:
            return usable.settings, Reaper(usable.settings)
        except ConfigurationError:  # which is what cannot be used
            return usable.settings, None
    recorded = recorded_reaper(usable.settings)
    return usable.settings, recorded.reaper if recorded else None
