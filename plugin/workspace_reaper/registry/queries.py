"""The statements of a look-up, built from what a schema says of its columns. Each has a bounded cost, but the one by ids,
which costs what the ids cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Executable, Integer, bindparam, distinct, func, literal_column, select, type_coerce

from workspace_reaper.model import Workspace
from workspace_reaper.registry.columns import WrongValue
from workspace_reaper.registry.schema import Facts

__all__ = ["OLDEST", "TOTAL_BOUND", "Statements", "statements", "workspace"]

OLDEST = 32
"""How many of the oldest ids are told."""

TOTAL_BOUND = 10_000
"""Rows are counted up to here: a count has to read what it counts."""

_OLDEST_ROWS = 1024
_FLAGS = {None: False, 0: False, 1: True}


@dataclass(frozen=True, slots=True)
class Statements:
    """``by_ids`` takes the expanding parameter ``ids`` and gives rows for `workspace`. ``oldest`` gives ids, repeated where
    rows share one. ``total`` gives the number of workspaces, and of rows, among the first ``TOTAL_BOUND`` + 1 rows."""

    by_ids: Executable
    oldest: Executable
    total: Executable


def statements(facts: Facts) -> Statements:
    """The statements for these facts."""
    nothing: ColumnElement[Any] = literal_column("NULL")
    flags = (facts.archived, facts.pinned, facts.running, facts.deleted, facts.worktree_deleted)
    # As integers: SQLAlchemy's Boolean would make True of any number.
    columns = [nothing if flag is None else type_coerce(flag, Integer) for flag in flags]
    columns.append(nothing if facts.worktree is None else facts.worktree)
    by_ids = select(facts.id, *columns).where(facts.id.in_(bindparam("ids", expanding=True)))
    # By rowid and not by a time of creation, which has no index: the limit would come after reading and sorting all rows.
    oldest = select(facts.id).order_by(literal_column("rowid")).limit(OLDEST if facts.unique else _OLDEST_ROWS)
    some = select(facts.id.label("id")).limit(TOTAL_BOUND + 1).subquery()
    counted = func.count() if facts.unique else func.count(distinct(some.c.id))
    total = select(counted, func.count()).select_from(some)
    return Statements(by_ids=by_ids, oldest=oldest, total=total)


def workspace(row: Sequence[Any]) -> Workspace:
    """The workspace that a row of ``by_ids`` tells. ``WrongValue`` if a value is not of its kind."""
    workspace_id, archived, pinned, running, deleted, worktree_deleted, worktree = row
    if worktree is not None and not isinstance(worktree, str):
        raise WrongValue(f"the worktree of workspace {workspace_id} is not text")
    try:
        return Workspace(
            workspace_id,
            _FLAGS[archived],
            _FLAGS[pinned],
            _FLAGS[running],
            _FLAGS[deleted],
            _FLAGS[worktree_deleted],
            worktree,
        )
    except KeyError as error:
        raise WrongValue(f"a flag of workspace {workspace_id} is {error}, neither 0 nor 1") from None
