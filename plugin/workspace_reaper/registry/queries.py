"""The statements of a look-up, built from the column expressions of a schema.

Each statement has a bounded cost, except the one by ids, whose cost grows with the ids, and the list of all workspaces.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Executable,
    Integer,
    Select,
    Text,
    and_,
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
from sqlalchemy.types import NullType

from workspace_reaper.model.workspace import FLAGS, RecordedSession, Workspace
from workspace_reaper.registry.id_types import IdColumn, TextId
from workspace_reaper.registry.rows import OLDEST, TOTAL_BOUND, Asked, Fetched, recorded_sessions, workspace
from workspace_reaper.registry.schema import WorkspaceColumns

# A condition that no row meets.
NO_ROW: ColumnElement[bool] = literal_column("0 = 1")

# The fields of `WorkspaceColumns` that ``probe`` selects after the id, in this order.
EXPRESSIONS = (*FLAGS, "worktree", "where", "session")

_OLDEST_ROWS = 1024


@dataclass(frozen=True, slots=True)
class Statements:
    """The statements of one schema on one database.

    Attributes:
        by_ids: Takes the parameter ``ids`` and gives rows for `workspace`. It uses the index of the ids.
        by_spelling: The same in every spelling, for ids that were not found, and for those whose row says that the session may
            go (`_endangered`), or all ids in a recheck: another row of the same workspace may say otherwise. It takes them as
            `IdColumn.fold` gives them, and has that value in front. It reads the whole table, once for all these ids. So it
            runs only while there are any, such as while an archived workspace keeps its session: with 100,000 rows in SQLite it
            took 0.3 us of CPU time for each row with a text id, and 1.0 us with a UUID. None where each id has one spelling.
        by_session: The columns of ``by_ids`` of the rows that name one of the sessions ``ids``, which are folded as
            `TextId.fold` does. The folded name and the name itself are in front. It reads the whole table. None where rows name
            no sessions.
        sample: The same columns of any rows, at most as many as the parameter ``rows``.
        probe: The id and the `EXPRESSIONS` of no rows.
        oldest: The ids of the oldest rows, repeated where rows share one.
        total: The number of workspaces, and of rows, among the first ``TOTAL_BOUND`` + 1 rows.
        workspace_list: The id and the archived flag (for `flag`) of every row that is not flagged as deleted. The deleted flag
            is not validated: only a row with an unambiguous 1 or true is left out.
        worktrees: The directory of each of these rows that names one. None where the schema has no directory.
    """

    columns: WorkspaceColumns
    by_rowid: bool
    by_ids: Executable
    by_spelling: Executable | None
    by_session: Executable | None
    sample: Executable
    probe: Executable
    oldest: Executable
    total: Executable
    workspace_list: Executable
    worktrees: Executable | None


def statements(facts: WorkspaceColumns, *, by_rowid: bool = True, arrays: bool = False) -> Statements:
    """Return the statements for these column expressions.

    Args:
        facts: The column expressions of a schema.
        by_rowid: Whether rows have the ``rowid`` of SQLite, by which they are ordered. Otherwise the oldest are those with the
            lowest ids.
        arrays: Whether the ids are passed as one array of PostgreSQL, and not as one parameter each.
    """
    nothing: ColumnElement[Any] = literal_column("NULL")
    flags: list[ColumnElement[Any] | None] = [getattr(facts, name) for name in FLAGS]
    # Integers: SQLAlchemy's Boolean turns any number into True.
    columns = [nothing if each is None else type_coerce(each, Integer) for each in flags]
    columns.append(nothing if facts.worktree is None else facts.worktree)
    columns.append(nothing if facts.where is None else type_coerce(facts.where, Integer))
    # A row without an id belongs to no workspace.
    is_workspace: ColumnElement[bool] = facts.id.is_not(None)
    if facts.where is not None:
        is_workspace = and_(is_workspace, _may_be_true(facts.where))
    probe = _select(facts, facts.id, *columns, nothing if facts.session is None else facts.session).where(NO_ROW)
    columns.append(literal_column("rowid") if by_rowid else nothing)
    every = _select(facts, facts.id, *columns).where(is_workspace)
    kind = facts.id.type
    folded = kind.folded(type_coerce(facts.id, NullType()), postgres=arrays) if isinstance(kind, IdColumn) else None
    by_spelling = None
    if folded is not None:
        by_spelling = every.with_only_columns(folded, facts.id, *columns, maintain_column_froms=True)
        by_spelling = by_spelling.where(_is_one_of(folded, arrays=arrays))
    by_session = None
    if facts.session is not None:
        name = TextId.folded(type_coerce(facts.session, NullType()), postgres=arrays)
        by_session = every.with_only_columns(name, facts.session, facts.id, *columns, maintain_column_froms=True)
        by_session = by_session.where(_is_one_of(name, arrays=arrays))
    ids = _select(facts, facts.id).where(is_workspace)
    # Not by the time of creation, which has no index: all rows would be read and sorted before the limit applies.
    if by_rowid:
        rows = OLDEST if facts.unique else _OLDEST_ROWS
        oldest = ids.order_by(literal_column("rowid")).limit(rows)
    elif facts.unique:
        oldest = ids.order_by(facts.id).limit(OLDEST)
    else:
        oldest = ids.distinct().order_by(facts.id).limit(OLDEST)
    some = _select(facts, facts.id.label("id")).where(is_workspace).limit(TOTAL_BOUND + 1).subquery()
    counted = func.count() if facts.unique else func.count(distinct(some.c.id))
    exists = is_workspace
    if facts.deleted is not None:
        # Compared as text: a flag is a boolean in one database and a number in another.
        exists = and_(is_workspace, func.coalesce(cast(facts.deleted, Text), "").not_in(["1", "true"]))
    worktrees = None
    if facts.worktree is not None:
        worktrees = _select(facts, facts.worktree).where(exists, facts.worktree.is_not(None))
    return Statements(
        columns=facts,
        by_rowid=by_rowid,
        by_ids=every.where(_is_one_of(facts.id, arrays=arrays)),
        by_spelling=by_spelling,
        by_session=by_session,
        sample=every.limit(bindparam("rows", type_=Integer)),
        probe=probe,
        oldest=oldest,
        total=select(counted, func.count()).select_from(some),
        workspace_list=_select(facts, facts.id, columns[0]).where(exists),
        worktrees=worktrees,
    )


def _select(facts: WorkspaceColumns, *columns: ColumnElement[Any]) -> Select[Any]:
    """Return a selection from the table, which an expression does not name."""
    selection = select(*columns)
    return selection if facts.source is None else selection.select_from(facts.source)


def _may_be_true(condition: ColumnElement[Any]) -> ColumnElement[bool]:
    """Return whether the condition is neither false nor NULL. A value that is no truth must not make a row disappear."""
    # Compared as text: a truth is a boolean in one database and a number in another.
    return func.coalesce(cast(condition, Text), "0").not_in(["0", "false"])


def _is_one_of(column: ColumnElement[Any], *, arrays: bool) -> ColumnElement[bool]:
    """Return the condition that the column is one of the parameter ``ids``."""
    if not arrays:
        return column.in_(bindparam("ids", expanding=True))
    from sqlalchemy.dialects.postgresql import ARRAY  # 75 ms that a look-up in SQLite does not need

    return column == any_(bindparam("ids", type_=ARRAY(column.type)))


def fetch(
    connection: Connection, read: Statements, asked: Asked, is_id: Callable[[str], bool], chunk: int = sys.maxsize
) -> Fetched:
    """Run the statements of a look-up, with one statement for each ``chunk`` of ids.

    ``is_id``: whether a text can be asked for as an id.
    """
    of: Mapping[str, tuple[RecordedSession, ...]] = {}
    if asked.sessions and read.by_session is not None:
        named = _matching(connection, read.by_session, {TextId.fold(name) for name in asked.sessions}, chunk)
        of = recorded_sessions(named, asked.sessions, is_id)
    ids = {*asked.ids, *asked.sentinels, *(one.workspace_id for some in of.values() for one in some)}
    matching = [(row, workspace(row)) for row in _matching(connection, read.by_ids, ids, chunk)]
    harmless = () if asked.every_spelling else (row[0] for row, seen in matching if not _endangered(seen))
    sought = ids.difference(harmless)
    kind = read.columns.id.type
    spelled: list[Any] = []
    if sought and read.by_spelling is not None and isinstance(kind, IdColumn):
        spelled = _matching(connection, read.by_spelling, {kind.fold(one) for one in sought}, chunk)
    oldest = list(connection.execute(read.oldest).scalars())
    total, rows = connection.execute(read.total).one()
    return Fetched(asked, of, matching, spelled, sought, oldest, total, rows, read.columns)


def _endangered(seen: Workspace) -> bool:
    """Return whether a row of ``by_ids`` has a flag for which a session may be reaped."""
    return seen.archived or seen.deleted or seen.worktree_deleted


def _matching(connection: Connection, statement: Executable, ids: Iterable[Any], chunk: int) -> list[Any]:
    found: list[Any] = []
    remaining = iter(ids)
    while some := list(islice(remaining, chunk)):
        found += connection.execute(statement, {"ids": some}).all()
    return found
