"""What the registries of SQLite and PostgreSQL have in common: the port, and errors as messages."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any, ClassVar, TypeVar

from sqlalchemy.engine import Connection

from workspace_reaper.model.unknown import Source, Unknown
from workspace_reaper.model.workspace import LookupResult
from workspace_reaper.registry.id_types import OddId, WrongValue
from workspace_reaper.registry.queries import Statements, fetch
from workspace_reaper.registry.rows import Asked, readable, workspace
from workspace_reaper.registry.schema import Schema, plain_text
from workspace_reaper.registry.schema_check import SchemaFinding, SchemaMismatch, no_index

# The number of rows that ``examine`` reads.
_SAMPLE = 1000

T = TypeVar("T")


class DatabaseRegistry(ABC):
    """The port ``Registry`` over a database of the host.

    It holds no connection. So it may be used from any thread and after a fork, and it survives a restart of the server.
    """

    _errors: ClassVar[tuple[type[Exception], ...]]
    """What a database that cannot be read raises."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema

    @property
    def name(self) -> str:
        """The schema's name."""
        return self._schema.name

    @property
    def schema(self) -> Schema:
        """The schema by which the database is read."""
        return self._schema

    @property
    @abstractmethod
    def location(self) -> str:
        """The location of the database for display, without a password."""

    def canonical(self, text: str) -> str | None:
        """Return the canonical workspace id, or None if the text cannot be an id."""
        return self._schema.canonical(text)

    def look_up(
        self,
        ids: Collection[str],
        sentinels: Collection[str],
        *,
        every_spelling: bool = False,
        sessions: Collection[str] = (),
    ) -> LookupResult | Unknown:
        """Read the rows of the ids, the sentinels and the sessions. Return Unknown, with what to do, if they cannot be read."""
        asked = Asked(
            tuple(filter(self._is_id, ids)),
            frozenset(filter(self._is_id, sentinels)),
            frozenset(filter(self._is_name, sessions)),
            every_spelling=every_spelling,
        )
        return self.or_unknown(lambda: self._read(asked))

    def worktrees(self) -> frozenset[str] | Unknown:
        """Return the directories that the rows of all workspaces name. Return Unknown if they cannot be read."""
        return self.or_unknown(self._worktrees)

    def examine(self) -> tuple[SchemaFinding, ...]:
        """Check the live database, and try the expressions on some rows. Raises nothing.

        Returns:
            The first problem that is fatal, or all problems that only cost time.
        """
        misfit = False

        def examined() -> tuple[SchemaFinding, ...]:
            nonlocal misfit
            try:
                return self._examined()
            except (SchemaMismatch, WrongValue):
                misfit = True
                raise

        found = self.or_unknown(examined)
        return (SchemaFinding(found.reason, fatal=True, misfit=misfit),) if isinstance(found, Unknown) else found

    def or_unknown(self, work: Callable[[], T]) -> T | Unknown:
        """Return the result of ``work``, or Unknown with the reason why the database cannot be read."""
        try:
            return work()
        except (SchemaMismatch, WrongValue) as error:
            what = str(error) if isinstance(error, SchemaMismatch) else f"contains an invalid value: {error}"
            return Unknown(Source.REGISTRY, f"{self.location} {what}: {self._schema.remedy}.")
        except self._errors as error:
            return Unknown(Source.REGISTRY, self._in_words(error))

    @abstractmethod
    def statements_in(self, connection: Connection) -> Statements:
        """Return the statements for this database as it is now. Raises ``SchemaMismatch``."""

    @abstractmethod
    def session(self) -> AbstractContextManager[tuple[Connection, str]]:
        """Open a connection in a read-only transaction, for one block. Returns it with the identity of the database."""

    @abstractmethod
    def _in_words(self, error: Exception) -> str:
        """Return one sentence about an error of the database: what is wrong, and what to do."""

    @abstractmethod
    def _read(self, asked: Asked) -> LookupResult: ...

    @abstractmethod
    def _has_index(self, connection: Connection, read: Statements) -> bool:
        """Return whether a look-up of one id reads only a part of the table."""

    def _is_id(self, text: str) -> bool:
        """Return whether the table can contain the id. Only canonical ids are asked for."""
        return self._schema.canonical(text) == text

    @staticmethod
    def _is_name(text: str) -> bool:
        """Return whether the table can contain the name of a session."""
        return plain_text(text) is not None

    def _worktrees(self) -> frozenset[str]:
        with self.session() as (connection, _):
            read = self.statements_in(connection)
            if read.worktrees is None:
                return frozenset()
            return frozenset(text for text in connection.execute(read.worktrees).scalars() if isinstance(text, str))

    def _examined(self) -> tuple[SchemaFinding, ...]:
        with self.session() as (connection, _):
            read = self.statements_in(connection)
            readable(fetch(connection, read, Asked(), self._is_id).oldest)
            odd = _odd_rows(connection.execute(read.sample, {"rows": _SAMPLE}))
            connection.execute(read.workspace_list).close()
            facts = self._schema.facts(frozenset())
            if facts.unique and not self._has_index(connection, read):
                odd.append(no_index(connection, self._schema.tables[0], str(facts.id.key)))
        return tuple(odd)


def _odd_rows(rows: Iterable[Sequence[Any]]) -> list[SchemaFinding]:
    """Return a finding for the first row whose id cannot be read, and one for the first with another value that cannot."""
    found: dict[bool, SchemaFinding] = {}
    for row in rows:
        if isinstance(row[0], OddId):
            found.setdefault(True, SchemaFinding(f"{row[0].text}: no session belongs to that row.", fatal=False))
        elif reason := workspace(row).unreadable:
            found.setdefault(False, SchemaFinding(f"{reason}: that workspace is not reaped.", fatal=False))
    return list(found.values())
