"""A preset: where a kind of host keeps its workspaces, how it names its sessions, and what its documentation says."""

from __future__ import annotations

import glob
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from workspace_reaper.model.workspace import HostFiles, HostTable
from workspace_reaper.registry.expand import UnsetVariable, expand, variables_in


@dataclass(frozen=True, slots=True, kw_only=True)
class PresetPage:
    """What the page of a preset says. Each text is Markdown; the metadata of each field has its heading, if it has one.

    Attributes:
        source: The URL of the host's source.
        snapshot: The commit that was read, and its date.
        read: When it was read.
    """

    source: str
    snapshot: str
    read: date
    served: str = field(metadata={"heading": "What is served"})
    archived: str = field(metadata={"heading": "What counts as archived"})
    running: str = field(metadata={"heading": "What counts as running"})
    pinned: str = field(metadata={"heading": "What counts as pinned"})
    deleted: str = field(metadata={"heading": "What counts as deleted"})
    unknown: str = field(metadata={"heading": "What this server does not record"})
    host: str = field(metadata={"heading": "What this server does itself"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """One kind of host. In its paths ``~`` and variables are expanded, also ``${NAME:-DEFAULT}``.

    Attributes:
        name: The name of its registry.
        file: The file that describes it.
        title: The name of the host.
        record: The paths where the host may keep its workspaces, the current one first. One that names a variable that is not
            set does not count. `*`, `?` and `[...]` match names.
        sockets: The tmux sockets, as names or absolute paths.
        patterns: Regular expressions with a group ``id`` for the whole names of sessions.
        described: How the record is read. The paths of files are those of ``record``.
        page: What the documentation says. Presets of the user have none.
    """

    name: str
    file: Path
    title: str
    record: tuple[str, ...]
    sockets: tuple[str, ...]
    patterns: tuple[str, ...]
    described: HostTable | HostFiles
    page: PresetPage | None = None

    def places(self, environ: Mapping[str, str]) -> tuple[str, ...]:
        """Return the absolute paths of the record in this environment, in which wildcards stand for names."""
        return _expanded(self.record, environ, glob.escape)

    def socket_names(self, environ: Mapping[str, str]) -> tuple[str, ...]:
        """Return the sockets in this environment."""
        return _expanded(self.sockets, environ, str)

    @property
    def variables(self) -> frozenset[str]:
        """The variables of the environment that the paths name."""
        return frozenset(name for path in (*self.record, *self.sockets) for name in variables_in(path))


def _expanded(paths: Sequence[str], environ: Mapping[str, str], quoted: Callable[[str], str]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for path in paths:
        try:
            found[expand(path, environ, quoted)] = None
        except UnsetVariable:
            continue
    return tuple(found)
