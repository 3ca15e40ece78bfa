"""What the directories of workspaces say about rows that are absent, by the paragraphs of the design about the witness, for the
state machine's oracle. In its machine no disk goes away, and no directory is moved."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tests.tools.machine_facts import Host, Seen

__all__ = ["Directories"]


@dataclass(slots=True)
class _Known:
    """A directory that a full sweep saw while its row was there. ``order``: which workspaces are newer."""

    registry: int
    order: tuple[float, int, int]
    missing_since: float | None = None
    counted: bool = False


class Directories:
    """The directories that sweeps have seen."""

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}
        self._fresh: set[str] = set()

    def forget_looks(self) -> None:
        """Another process of the reaper looks at all of them once more. One that looked lately does not look again."""
        self._fresh = set()

    def see(self, now: float, sessions: Iterable[tuple[Seen, str]], host: Host, registry: int) -> None:
        """A full sweep looks at the directories of rows that are there and have a session."""
        for one, workspace in {workspace: (one, workspace) for one, workspace in reversed([*sessions])}.values():
            if host.gone(workspace) or not host.rows[workspace].directory:
                continue
            known = self._known.get(workspace)
            if known is not None and known.registry != registry:
                known = None
            if known is not None and known.missing_since is None and workspace in self._fresh:
                continue
            if workspace not in host.directories:
                # What is not there while the row is cannot go with it.
                self._known.pop(workspace, None)
                continue
            self._fresh.add(workspace)
            order = known.order if known else (now, one.key.created, int(one.key.session_id[1:]))
            self._known[workspace] = _Known(registry, order)

    def miss(self, now: float, host: Host) -> None:
        """Any look finds which rows are not there any more."""
        for workspace, known in self._known.items():
            if known.missing_since is None and host.gone(workspace):
                known.missing_since = now

    def witnesses(self, one: Seen, workspace: str, host: Host, registry: int) -> bool:
        """Row and directory went together. That says nothing of a session that was made after it."""
        since = self._known[workspace].missing_since if workspace in self._known else None
        return since is not None and one.born <= since and workspace in self._gone(host, registry)

    def _gone(self, host: Host, registry: int) -> set[str]:
        missing = {one for one, known in self._known.items() if known.missing_since is not None and known.registry == registry}
        return missing - host.directories

    def doubtful(self, host: Host, registry: int) -> set[str]:
        """The rows that went were the newest, at least half of those that went together; and their directories are there."""
        known = [(one, what) for one, what in self._known.items() if what.registry == registry]
        found: set[str] = set()
        for moment in {what.missing_since for _, what in known} - {None}:
            together = [(one, what) for one, what in known if what.missing_since == moment]
            left = [
                what.order
                for _, what in known
                if what.order[0] < moment and (what.missing_since is None or what.missing_since > moment)
            ]
            newest = {one for one, what in together if all(what.order > other for other in left)}
            if len(newest) * 2 >= len(together):
                found |= newest & host.directories
        return found

    def excused(self, host: Host, registry: int, living: Iterable[str]) -> set[str]:
        """The rows that went with their directories since the last full sweep: the registry has not lost them. Afterwards those
        are forgotten of which nothing is left."""
        excused = {one for one in self._gone(host, registry) if not self._known[one].counted}
        left = {*living}
        for workspace, known in [*self._known.items()]:
            if known.missing_since is not None and workspace in left:
                known.counted = True
            elif known.missing_since is not None:
                del self._known[workspace]
        return excused
