"""Histories: since when something is so, and what a recheck within the validity of the guard may have read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import product
from typing import Protocol, TypeVar

from tests.simulation.oracle.findings import oldest_known
from tests.simulation.oracle.truth import KillTruth, Workspace

__all__ = ["since_when", "turned", "views"]


class _Dated(Protocol):
    @property
    def since(self) -> float: ...


T = TypeVar("T", bound=_Dated)


def since_when(history: Sequence[T], holds: Callable[[T], bool]) -> float | None:
    """Return since when it holds without a break; None if it does not hold now."""
    since = None
    for state in reversed(history):
        if not holds(state):
            break
        since = state.since
    return since


def turned(history: Sequence[T], holds: Callable[[T], bool], after: float) -> bool:
    """Return whether it began to hold later than that, also if it ended again."""
    before = False
    for state in history:
        if holds(state) and not before and state.since > after:
            return True
        before = holds(state)
    return False


def views(truth: KillTruth) -> Iterator[KillTruth]:
    """Return the truth, then the truths that a recheck may have read while the guard was valid.

    They lack the newest rows, and the workspace that a rename has only just brought: the name is no term of the guard.
    """
    oldest = oldest_known(truth)
    for workspaces in product(*(_read(workspace, oldest) for workspace in truth.workspaces)):
        yield replace(truth, workspaces=workspaces)
    settled = tuple(workspace for workspace in truth.workspaces if workspace.belongs_since <= oldest)
    if settled != truth.workspaces:
        yield from views(replace(truth, workspaces=settled))


def _read(workspace: Workspace, oldest: float) -> list[Workspace]:
    return [
        replace(workspace, rows=rows, directory=directory)
        for rows, directory in product(_ends(workspace.rows, oldest), _ends(workspace.directory, oldest))
    ]


def _ends(history: tuple[T, ...], oldest: float) -> list[tuple[T, ...]]:
    """Return the history, and it without the states that began after the oldest recheck. One state always stays."""
    ends = [history]
    while len(ends[-1]) > 1 and ends[-1][-1].since > oldest:
        ends.append(ends[-1][:-1])
    return ends
