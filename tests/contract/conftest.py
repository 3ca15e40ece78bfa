"""What contract tests of registries share: databases of hosts, and a real PostgreSQL for those that ask for one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.tools.hosts import StandardHost, TableHost, VibeKanbanHost

if TYPE_CHECKING:
    from tests.tools.postgres import PostgresServer


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


SERVERS = [pytest.param(None, id="sqlite"), pytest.param("postgres", id="postgres", marks=pytest.mark.postgres)]


@pytest.fixture(params=SERVERS)
def table_host(request: pytest.FixtureRequest, tmp_path: Path) -> TableHost:
    """A host with an empty database of each kind."""
    server = None
    if request.param is not None:
        postgres = request.getfixturevalue("postgres")
        server = postgres.url(postgres.new_database())
    return TableHost(tmp_path / "host.sqlite", server)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """The server, started once."""
    from tests.tools.postgres import PostgresServer

    server = PostgresServer()
    yield server
    server.close()
