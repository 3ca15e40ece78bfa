"""What all registries have in common: the port, and errors as messages."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from typing import TypeVar

from sqlalchemy.engine import Connection

from workspace_reaper.model.unknown import Source, Unknown
from workspace_reaper.model.workspace import LookupResult
from workspace_reaper.registry.id_types import WrongValue
from workspace_reaper.registry.queries import Statements, workspace
from workspace_reaper.registry.schema import Schema
from workspace_reaper.registry.schema_check import SchemaFinding, SchemaMismatch

_SAMPLE = 1000

T = TypeVar("T")


class DatabaseRegistry(ABC):
    """The port ``Registry`` over a database of the host. It holds no connection, so it may be used from any thread and after
    a fork, and a server that restarts is not noticed."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema

    @property
    def name(self) -> str:
        """The schema's name."""
        return self._schema.name

    @property
    def schema(self) -> Schema:
        """What it reads by."""
        return self._schema

    @property
    @abstractmethod
    def location(self) -> str:
        """The location of the database for display, without a password."""

    def canonical(self, text: str) -> str | None:
        """The canonical workspace id, or None if this can't be one."""
        return self._schema.canonical(text)

    def look_up(self, ids: Collection[str], sentinels: Collection[str]) -> LookupResult | Unknown:
        """Read the ids and the sentinels. Whatever keeps it from that is Unknown, and says what to do; nothing is raised."""
        return self.or_unknown(lambda: self._read(ids, sentinels))

    def examine(self) -> tuple[SchemaFinding, ...]:
        """What is wrong with the live database, the first thing that is fatal, or else what only costs. The expressions are
        tried on some rows. Nothing is raised."""
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

    def _possible(self, *ids: Collection[str]) -> set[str]:
        """Those that can be ids at all, in the form in which the table is asked for them."""
        return {text for some in ids for text in some if self._schema.canonical(text) == text}

    @abstractmethod
    def or_unknown(self, work: Callable[[], T]) -> T | Unknown:
        """What ``work`` gives, or in words why it could not."""

    @abstractmethod
    def _read(self, ids: Collection[str], sentinels: Collection[str]) -> LookupResult: ...

    @abstractmethod
    def _examined(self) -> tuple[SchemaFinding, ...]: ...

    def _unknown(self, reason: str) -> Unknown:
        return Unknown(Source.REGISTRY, reason)

    def _words(self, error: SchemaMismatch | WrongValue) -> str:
        """Of a database that can be read, and is not as the schema says."""
        what = str(error) if isinstance(error, SchemaMismatch) else f"can't be trusted: {error}"
        return f"{self.location} {what}: {self._schema.remedy}."


def try_some_rows(connection: Connection, read: Statements) -> None:
    """Read some rows with all their columns, and the first rows of a list. ``WrongValue`` if a row can't be trusted."""
    for row in connection.execute(read.sample, {"rows": _SAMPLE}):
        workspace(row)
    connection.execute(read.workspace_list).close()
