"""What contract tests of registries share: databases of hosts, and a real PostgreSQL for those that ask for one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.tools.hosts import StandardHost, VibeKanbanHost

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


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """The server, started once."""
    from tests.tools.postgres import PostgresServer

    server = PostgresServer()
    yield server
    server.close()
