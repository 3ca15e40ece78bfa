"""Several hosts in one configuration: what each ``[[hosts]]`` has of its own."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from workspace_reaper.settings.types import Files, Name, Patterns, SettingKind, Sockets, Table, Url

# A name is shown in reports and typed on a command line.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


def checked_name(name: str) -> str:
    """Return the name of a host. Raises ``ValueError`` for one that cannot be typed or shown as it is."""
    if not _NAME.fullmatch(name):
        raise ValueError("the name of a host has 1 to 63 letters, digits, dots, hyphens and underscores")
    return name


class HostSettings(BaseModel):
    """One host of several. Its settings mean what the settings of the same names mean for a single host."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, AfterValidator(checked_name)]
    registry: Name = "standard"
    database_url: Url = Field(default=None, repr=False)  # it may hold a password
    table: Table = None
    files: Files = None
    tmux_sockets: Sockets = None
    session_patterns: Patterns = None


# What a host has of its own.
HOST_FIELDS = tuple(name for name in HostSettings.model_fields if name != "name")


def checked_hosts(hosts: tuple[HostSettings, ...] | None) -> tuple[HostSettings, ...] | None:
    """Return the hosts. Raises ``ValueError`` for an empty list and for two hosts with one name."""
    if hosts == ():
        raise ValueError("an empty list would serve nothing")
    names = [host.name.lower() for host in hosts or ()]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"two hosts have the name {twice[0]!r}")
    return hosts


Hosts = Annotated[
    tuple[HostSettings, ...] | None,
    AfterValidator(checked_hosts),
    SettingKind(
        "list of tables",
        'a section [[hosts]] for each host with a name and its settings, such as {"name": "main", "registry": "vibe-kanban"}',
        json=True,
    ),
]
