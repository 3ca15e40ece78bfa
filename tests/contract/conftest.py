"""A real PostgreSQL for all contract tests of a run that ask for one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.tools.postgres import PostgresServer


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """The server, started once."""
    from tests.tools.postgres import PostgresServer

    server = PostgresServer()
    yield server
    server.close()
