"""What contract tests share: ledgers, databases of hosts, and a real PostgreSQL for those that ask for one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.tools.hosts import StandardHost, VibeKanbanHost
from workspace_reaper.ledger import open_ledger
from workspace_reaper.model.ports import Ledger

if TYPE_CHECKING:
    from tests.tools.postgres import PostgresServer


Opened = Callable[[str, str], Ledger]
"""Opens the same ledger once more, for a configured name and location."""


@pytest.fixture(params=["file", "memory"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Opened:
    """The real ledger and the one of the simulation: what a sweep relies on holds for both."""
    if request.param == "memory":
        # Not at the top: red_on.py runs other tests of this directory on products that lack what it imports.
        from tests.simulation.memory.ledger import MemoryFile

        return MemoryFile().open
    return lambda name, location: open_ledger(tmp_path / "state", registry_name=name, location=location)


@pytest.fixture
def ledger(opened: Opened) -> Iterator[Ledger]:
    """One ledger."""
    with closing(opened("standard", "/db")) as made:  # type: ignore[type-var]
        yield made


@pytest.fixture
def vibe(tmp_path: Path) -> VibeKanbanHost:
    """An empty database of that host."""
    made = VibeKanbanHost(tmp_path / "db.v2.sqlite")
    made.create()
    return made


@pytest.fixture
def standard(tmp_path: Path) -> StandardHost:
    """An empty database of that host."""
    made = StandardHost(tmp_path / "workspaces.sqlite")
    made.create()
    return made


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """The server, started once."""
    from tests.tools.postgres import PostgresServer

    server = PostgresServer()
    yield server
    server.close()
