"""What the rows of a look-up say of workspaces: other spellings of an id, several rows of one workspace, unreadable values."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from workspace_reaper.model.workspace import FLAGS, LookupResult, RecordedSession, RegistryIdentity, Workspace
from workspace_reaper.registry.id_types import AS_TMUX, IdColumn, OddId, TextId, WrongValue
from workspace_reaper.registry.schema import WorkspaceColumns

# The number of oldest ids that a look-up returns.
OLDEST = 32

# Rows are counted up to this number: a count reads every row that it counts.
TOTAL_BOUND = 10_000

_TRUTHS: dict[Any, bool] = {None: False, 0: False, 1: True}
# SQLite has no booleans, and a host may write these words.
_WORDS = {"0": False, "false": False, "1": True, "true": True}


@dataclass(frozen=True, slots=True)
class Asked:
    """What a look-up asks for: see the port. ``ids`` and ``sentinels`` are canonical, and all can be in a table."""

    ids: tuple[str, ...] = ()
    sentinels: frozenset[str] = frozenset()
    sessions: frozenset[str] = frozenset()
    every_spelling: bool = False


@dataclass(frozen=True, slots=True)
class Fetched:
    """What one transaction has read for a look-up.

    These are the rows that name the sessions, by session, the rows of both statements by ids (those of the first with the
    workspace in each), the ids that were sought in every spelling, the oldest ids, and the two numbers of ``total``. A row may
    be among those of both statements.
    """

    asked: Asked
    of: Mapping[str, tuple[RecordedSession, ...]]
    matching: Sequence[tuple[Sequence[Any], Workspace]]
    spelled: Sequence[Sequence[Any]]
    sought: Collection[str]
    oldest: Sequence[Any]
    total: int
    rows: int
    columns: WorkspaceColumns

    def rows_of(self, identity: RegistryIdentity) -> LookupResult:
        """Return the result of the look-up.

        Raises:
            WrongValue: The table has rows, and no value in the column of the ids is an id.
        """
        kind = self.columns.id.type
        fold = kind.fold if isinstance(kind, IdColumn) else str
        naming = (one.workspace_id for some in self.of.values() for one in some)
        ids = dict.fromkeys((*self.asked.ids, *naming))
        asked = {*ids, *self.asked.sentinels}
        known: dict[str, list[Workspace]] = {}
        spelled = [*self.spelled]
        for row, seen in self.matching:
            if row[0] in asked:
                known.setdefault(row[0], []).append(seen)
            elif isinstance(row[0], str):  # the table itself compares otherwise than exactly
                spelled.append((fold(row[0]), *row))
        # Texts that differ in case are different ids with one fold. A row in another case counts for an id without its own row.
        by_fold: dict[Any, list[str]] = {}
        for one in self.sought:
            by_fold.setdefault(fold(one), []).append(one)
        in_doubt: dict[str, Workspace] = {}
        for folded, *row in spelled:
            for one in by_fold.get(folded, ()):
                if _is_spelling(row[0], one):
                    known.setdefault(one, []).append(workspace([one, *row[1:]]))
                else:
                    in_doubt[one] = _in_doubt(one, row[0])
        found = {**in_doubt, **{one: _combined(some, self.columns.any_row) for one, some in known.items()}}
        oldest = readable(self.oldest)
        return LookupResult(
            found={one: found[one] for one in ids if one in found},
            identity=replace(identity, sentinels=tuple(islice(dict.fromkeys(oldest), OLDEST))),
            total=min(self.total, TOTAL_BOUND),
            capped=self.rows > TOTAL_BOUND,
            sentinels_found=self.asked.sentinels & found.keys(),
            of=self.of,
        )


def recorded_sessions(
    rows: Iterable[Sequence[Any]], names: Collection[str], is_id: Callable[[str], bool]
) -> Mapping[str, tuple[RecordedSession, ...]]:
    """Return which rows of ``by_session`` name which of these sessions. A row whose id cannot be read names none."""
    by_fold: dict[Any, list[str]] = {}
    for name in names:
        by_fold.setdefault(TextId.fold(name), []).append(name)
    found: dict[str, list[RecordedSession]] = {}
    for folded, recorded, *row in rows:
        workspace_id = row[0]
        if not isinstance(workspace_id, str) or not is_id(workspace_id) or _is_blank(recorded):
            continue
        is_text, is_deleted = isinstance(recorded, str), workspace(row).deleted
        for name in by_fold.get(folded, ()):
            is_certain = is_text and name in (recorded, recorded.translate(AS_TMUX))
            found.setdefault(name, []).append(RecordedSession(workspace_id, is_certain, is_deleted))
    return {name: tuple(some) for name, some in found.items()}


def _is_blank(value: object) -> bool:
    return isinstance(value, (str, bytes)) and not value.strip()


def readable(ids: Iterable[str | OddId]) -> list[str]:
    """Return the ids without the values that are none. Raises ``WrongValue`` if that leaves nothing: it is another table."""
    found = list(ids)
    read = [one for one in found if isinstance(one, str)]
    if found and not read and isinstance(found[0], OddId):
        raise WrongValue(found[0].text)
    return read


def _is_spelling(value: str | OddId, workspace_id: str) -> bool:
    """Return whether a value with the fold of this id is certainly the same id."""
    return isinstance(value, str) and value.strip(" ") == workspace_id.strip(" ")


def _in_doubt(workspace_id: str, value: str | OddId) -> Workspace:
    """Return the workspace of an id that has only a row that may be another workspace's: it is ``unreadable``."""
    text = value.text if isinstance(value, OddId) else f"the table has the id {value!r}"
    return Workspace(workspace_id, unreadable=f"{text}, which may be another spelling of {workspace_id!r}")


def flag(value: object, what: str, workspace_id: str) -> bool:
    """Return the value of a flag; NULL means that it was never set. Raises ``WrongValue`` if it is neither true nor false."""
    try:
        return _TRUTHS[value]
    except (KeyError, TypeError):  # TypeError: a value that cannot be hashed, such as an array
        pass
    if isinstance(value, str) and (word := _WORDS.get(value.strip().lower())) is not None:
        return word
    raise WrongValue(
        f'{what} of workspace {workspace_id} is {value!r}, neither 0 nor 1, true nor false. With registry = "table" write an '
        f"expression, such as {what} = \"column = 'value'\""
    )


def workspace(row: Sequence[Any]) -> Workspace:
    """Return the workspace in a row of ``by_ids``. If a value is not of its kind, it is ``unreadable``."""
    workspace_id, *flags, worktree, where, place = row
    truths = (*flags, where)
    try:
        values = [_TRUTHS[value] for value in truths]
    except (KeyError, TypeError):
        try:
            values = [flag(value, name, workspace_id) for name, value in zip((*FLAGS, "where"), truths, strict=True)]
        except WrongValue as error:
            return Workspace(workspace_id, unreadable=str(error))
    if worktree is not None and not isinstance(worktree, str):
        return Workspace(workspace_id, unreadable=f"the worktree of workspace {workspace_id} is not text")
    archived, pinned, running, deleted, worktree_deleted, _ = values
    # A column of the host may be named "rowid", and hold anything.
    number = place if isinstance(place, int) else None
    return Workspace(workspace_id, archived, pinned, running, deleted, worktree_deleted, worktree, place=number)


def _combined(rows: Sequence[Workspace], any_row: Collection[str]) -> Workspace:
    """Return what several rows say of one workspace: those that can be read and do not count as deleted."""
    if len(rows) == 1:
        return rows[0]
    if unreadable := next((row for row in rows if row.unreadable), None):
        return unreadable
    living = [row for row in rows if not row.deleted] or rows

    def has(name: str, of: Sequence[Workspace] = living) -> bool:
        return (any if name in any_row else all)(getattr(row, name) for row in of)

    worktrees = {row.worktree for row in living}
    return Workspace(
        rows[0].workspace_id,
        archived=has("archived"),
        pinned=has("pinned"),
        running=has("running"),
        deleted=has("deleted", rows),
        worktree_deleted=has("worktree_deleted"),
        worktree=worktrees.pop() if len(worktrees) == 1 else None,
        place=min((row.place for row in rows if row.place is not None), default=None),
    )


class ListedWorkspaces:
    """The workspaces in the rows of ``workspace_list``, in their order; ``archived`` are those that are archived.

    A row whose id cannot be read belongs to no workspace, and a flag that cannot be read is not set.
    """

    def __init__(self, columns: WorkspaceColumns) -> None:
        self._any_row = "archived" in columns.any_row
        self.ids: dict[str, int] = {}
        self.archived: set[str] = set()
        self._other: set[str] = set()

    def add(self, workspace_id: str | OddId, archived: object, number: int = 0) -> None:
        """Add a row. ``number`` is that of the row, 0 where rows have none."""
        if isinstance(workspace_id, OddId):
            return
        self.ids.setdefault(workspace_id, number)
        # Compared with 0 only to save the call: any value but 0, 1 and NULL is rare.
        if archived != 0 and _is_set(archived):
            self.archived.add(workspace_id)
        elif not self._any_row:
            self._other.add(workspace_id)

    def finish(self) -> tuple[dict[str, int], frozenset[str]]:
        """Return all ids with the number of their first row, and the ids of the archived workspaces."""
        return self.ids, frozenset(self.archived - self._other)


def _is_set(value: object) -> bool:
    try:
        return flag(value, "archived", "")
    except WrongValue:
        return False
