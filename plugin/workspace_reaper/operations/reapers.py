"""A reaper for several hosts: one for each, over one ledger and one listing of each socket."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from workspace_reaper.model.errors import ConfigurationError, NoSuchHost
from workspace_reaper.model.ports import Plugins
from workspace_reaper.operations.reaper import Reaper
from workspace_reaper.operations.shared import Shared
from workspace_reaper.operations.sweeping import sweep_hosts
from workspace_reaper.settings import Settings
from workspace_reaper.sweep.report import SweepReport

if TYPE_CHECKING:
    from workspace_reaper.sweep.context import SweepRequest


def reapers_for(settings: Settings, environ: Mapping[str, str] | None = None) -> Reapers:
    """Return a reaper for each host of the configuration. Raises ``ConfigurationError``."""
    environ = os.environ if environ is None else environ
    shared = Shared(settings, environ)
    return Reapers([Reaper(own, environ, name=name, shared=shared) for name, own in settings.by_host().items()])


class Reapers:
    """The reapers of all hosts of one configuration, in their order; one for the flat form.

    Raises ``ConfigurationError`` if two hosts have the same record.
    """

    def __init__(self, hosts: Sequence[Reaper]) -> None:
        self.hosts = hosts
        by_registry: dict[tuple[str, str], Reaper] = {}
        for one, registry in zip(hosts, hosts[0].shared.registries, strict=True):
            one.group = hosts
            other = by_registry.setdefault(registry, one)
            if other is not one:
                raise ConfigurationError(
                    f"hosts: {other.name} and {one.name} have the same registry and database: make one host of them, with the"
                    " sockets and patterns of both"
                )

    @property
    def first(self) -> Reaper:
        """The first host."""
        return self.hosts[0]

    @property
    def settings(self) -> Settings:
        """The settings that are the same for all hosts, such as ``tick``."""
        return self.first.settings

    def host(self, name: str | None) -> Reaper:
        """Return the host with this name; None is the only one. Raises ``NoSuchHost``."""
        if name is None and len(self.hosts) == 1:
            return self.first
        found = [one for one in self.hosts if name is not None and one.name == name]
        if found:
            return found[0]
        if self.first.name is None:
            raise NoSuchHost(f"there is no host {name}: the configuration has no [[hosts]]")
        names = ", ".join(str(one.name) for one in self.hosts)
        raise NoSuchHost(
            f"name one of the hosts {names} with --host" if name is None else f"there is no host {name}: use {names}"
        )

    def use_plugins(self, plugins: Plugins) -> None:
        """Ask and notify these plugins in all sweeps from now on."""
        for one in self.hosts:
            one.plugins = plugins

    def sweep(self, request: SweepRequest) -> SweepReport:
        """Run one sweep of all hosts. See ``sweep_hosts``."""
        return sweep_hosts(self.hosts, request)

    def go_on_from(self, before: Reapers) -> None:
        """Take over from the reapers before. See ``Reaper.go_on_from``."""
        earlier = {one.name: one for one in before.hosts}
        for one in self.hosts:
            one.go_on_from(earlier.get(one.name, before.first))

    def asks_same_registries(self, other: Reapers) -> bool:
        """Whether a hook's report about a workspace of these registries holds for the others."""
        return len(self.hosts) == len(other.hosts) and all(
            mine.name == theirs.name and mine.asks_same_registry(theirs)
            for mine, theirs in zip(self.hosts, other.hosts, strict=True)
        )

    def close(self) -> None:
        """Close the ledger. See ``Reaper.close``."""
        self.first.close()
