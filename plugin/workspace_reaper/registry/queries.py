"""The statements of a look-up, built from the column expressions of a schema.

Each statement has a bounded cost, except the one by ids, whose cost grows with the ids, and the list of all workspaces.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Executable,
    Integer,
    Text,
    any_,
    bindparam,
    cast,
    distinct,
    func,
    literal_column,
    select,
    type_coerce,
)
from sqlalchemy.engine import Connection

from workspace_reaper.model.workspace import FLAGS, LookupResult, RegistryIdentity, Workspace
from workspace_reaper.registry.id_types import WrongValue
from workspace_reaper.registry.schema import WorkspaceColumns

# The number of oldest ids that a look-up returns.
OLDEST = 32

# Rows are counted up to this number: a count reads every row that it counts.
TOTAL_BOUND = 10_000

# A condition that no row meets.
NO_ROW: ColumnElement[bool] = literal_column("0 = 1")

_OLDEST_ROWS = 1024
_TRUTHS: dict[Any, bool] = {None: False, 0: False, 1: True}


@dataclass(frozen=True, slots=True)
class Statements:
    """The statements of one schema on one database.

    Attributes:
        by_ids: Takes the parameter ``ids`` and gives rows for `workspace`.
        sample: The same columns of any rows, at most as many as the parameter ``rows``.
        probe: The same columns of no rows.
        oldest: The ids of the oldest rows, repeated where rows share one.
        total: The number of workspaces, and of rows, among the first ``TOTAL_BOUND`` + 1 rows.
        workspace_list: The id and the archived flag (for `flag`) of every row that is not flagged as deleted. The deleted flag
            is not validated: only a row with an unambiguous 1 or true is left out.
    """

    columns: WorkspaceColumns
    by_rowid: bool
    by_ids: Executable
    sample: Executable
    probe: Executable
    oldest: Executable
    total: Executable
    workspace_list: Executable


def statements(facts: WorkspaceColumns, *, by_rowid: bool = True, arrays: bool = False) -> Statements:
    """Return the statements for these column expressions.

    Args:
        facts: The column expressions of a schema.
        by_rowid: Whether the oldest rows are those with the lowest ``rowid`` of SQLite, and not those with the lowest ids.
        arrays: Whether the ids are passed as one array of PostgreSQL, and not as one parameter each.
    """
    nothing: ColumnElement[Any] = literal_column("NULL")
    flags: list[ColumnElement[Any] | None] = [getattr(facts, name) for name in FLAGS]
    # Integers: SQLAlchemy's Boolean turns any number into True.
    columns = [nothing if each is None else type_coerce(each, Integer) for each in flags]
    columns.append(nothing if facts.worktree is None else facts.worktree)
    every = select(facts.id, *columns)
    if arrays:
        from sqlalchemy.dialects.postgresql import ARRAY  # 75 ms that a look-up in SQLite does not need

        asked = facts.id == any_(bindparam("ids", type_=ARRAY(facts.id.type)))
    else:
        asked = facts.id.in_(bindparam("ids", expanding=True))
    # Not by the time of creation, which has no index: all rows would be read and sorted before the limit applies.
    if by_rowid:
        oldest = select(facts.id).order_by(literal_column("rowid")).limit(OLDEST if facts.unique else _OLDEST_ROWS)
    elif facts.unique:
        oldest = select(facts.id).order_by(facts.id).limit(OLDEST)
    else:
        oldest = select(facts.id).distinct().order_by(facts.id).limit(OLDEST)
    some = select(facts.id.label("id")).limit(TOTAL_BOUND + 1).subquery()
    counted = func.count() if facts.unique else func.count(distinct(some.c.id))
    workspace_list = select(facts.id, columns[0])
    if facts.deleted is not None:
        # Compared as text: a flag is a boolean in one database and a number in another.
        workspace_list = workspace_list.where(func.coalesce(cast(facts.deleted, Text), "").not_in(["1", "true"]))
    return Statements(
        columns=facts,
        by_rowid=by_rowid,
        by_ids=every.where(asked),
        sample=every.limit(bindparam("rows", type_=Integer)),
        probe=every.where(NO_ROW),
        oldest=oldest,
        total=select(counted, func.count()).select_from(some),
        workspace_list=workspace_list,
    )


@dataclass(frozen=True, slots=True)
class Fetched:
    """The rows that one transaction has read for a look-up: those by ids, the oldest ids, and the two numbers of ``total``."""

    matching: Sequence[Sequence[Any]]
    oldest: Sequence[str]
    total: int
    rows: int

    def rows_of(self, identity: RegistryIdentity, ids: Collection[str], sentinels: Collection[str]) -> LookupResult:
        """Return the result of a look-up of these ids and sentinels. Raises ``WrongValue`` for a value that is not valid."""
        asked = {*ids, *sentinels}
        known = {row[0]: workspace(row) for row in self.matching}
        # In a table that folds or pads its ids, every workspace would otherwise seem to be gone.
        if strange := next((found for found in known if found not in asked), None):
            raise WrongValue(f"the id {strange!r} was found by another id: the table compares ids otherwise than exactly")
        return LookupResult(
            found={one: known[one] for one in ids if one in known},
            identity=replace(identity, sentinels=tuple(islice(dict.fromkeys(self.oldest), OLDEST))),
            total=min(self.total, TOTAL_BOUND),
            capped=self.rows > TOTAL_BOUND,
            sentinels_found=frozenset(sentinels) & known.keys(),
        )


def fetch(connection: Connection, read: Statements, chunks: Iterable[Sequence[str]]) -> Fetched:
    """Run the statements of a look-up, with one statement for each chunk of ids."""
    matching: list[Any] = []
    for chunk in chunks:
        matching += connection.execute(read.by_ids, {"ids": chunk}).all()
    oldest = list(connection.execute(read.oldest).scalars())
    total, rows = connection.execute(read.total).one()
    return Fetched(matching, oldest, total, rows)


def flag(value: object, what: str, workspace_id: str) -> bool:
    """Return the value of a flag; NULL means that it was never set. Raises ``WrongValue`` if it is neither 0 nor 1."""
    try:
        return _TRUTHS[value]
    except (KeyError, TypeError):  # TypeError: a value that cannot be hashed, such as an array
        raise WrongValue(f"{what} of workspace {workspace_id} is {value!r}, neither 0 nor 1") from None


def workspace(row: Sequence[Any]) -> Workspace:
    """Return the workspace in a row of ``by_ids``. Raises ``WrongValue`` if a value is not of its kind."""
    workspace_id, *flags, worktree = row
    if worktree is not None and not isinstance(worktree, str):
        raise WrongValue(f"the worktree of workspace {workspace_id} is not text")
    try:
        values = [_TRUTHS[value] for value in flags]
    except (KeyError, TypeError):
        values = [flag(value, name, workspace_id) for name, value in zip(FLAGS, flags, strict=True)]  # finds the invalid one
    archived, pinned, running, deleted, worktree_deleted = values
    return Workspace(workspace_id, archived, pinned, running, deleted, worktree_deleted, worktree)
