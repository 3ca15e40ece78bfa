"""Finding entry points so that one unreadable distribution never hides the others."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

from workspace_hookspecs._reporting import report

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


def find(group: str) -> Iterator[EntryPoint]:
    """The entry points of the group, in the order of ``sys.path``; the first of a name counts.

    The same name and value twice is one distribution seen twice (a source tree and its installation), and no matter.
    """
    first: dict[str, str] = {}
    for entry in _all(group):
        if entry.name not in first:
            first[entry.name] = entry.value
            yield entry
        elif first[entry.name] != entry.value:
            message = "two plugins are named %r in the group %s: %s is taken, %s is skipped"
            report(logging.ERROR, message, entry.name, group, first[entry.name], entry.value)


def _all(group: str) -> Iterator[EntryPoint]:
    # importlib.metadata.entry_points() raises for all distributions when the file of one is malformed.
    from importlib.metadata import distributions

    for distribution in distributions():
        try:
            entries = [entry for entry in distribution.entry_points if entry.group == group]
        except Exception as error:  # noqa: BLE001  (boundary: one distribution, whose metadata may be broken in any way)
            place = getattr(distribution, "_path", distribution)
            report(logging.ERROR, "the entry points of %s can't be read: skipped", place, error=error)
        else:
            yield from entries
