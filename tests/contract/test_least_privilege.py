"""The least that a user needs on the host's database: what docs/security.md says is enough, and no more is asked for."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.tools.hosts import EVERY_HOST, Host, connected
from tests.tools.preload import preload_registries
from tests.tools.registries import reason, rows
from workspace_reaper.model.unknown import Unknown
from workspace_reaper.model.workspace import WorkspaceList
from workspace_reaper.registry import load_schema, open_registry, open_watcher, registry_names
from workspace_reaper.registry.schema import Schema

if TYPE_CHECKING:
    from tests.tools.postgres import PostgresServer

PAGE = Path(__file__).parents[2] / "docs" / "security.md"
NOBODY = 65534

_numbers = count()


def schema_of(host: Host) -> Schema:
    return load_schema(host.schema, getattr(host, "table", None))


def reads_all(host: Host, url: str, ids: list[str]) -> None:
    """Each way in which the reaper reads: a look-up, the doctor's look, the daemon's."""
    registry = open_registry(schema_of(host), url, {}, busy_limit=0.5)
    assert set(rows(registry.look_up(ids, [])).found) == set(ids)
    assert [finding.text for finding in registry.examine() if finding.fatal] == []
    with closing(open_watcher(schema_of(host), url, {})) as feed:
        workspace_list = feed.read()
        assert isinstance(workspace_list, WorkspaceList), workspace_list


# PostgreSQL


def documented() -> dict[str, list[str]]:
    """The statements of the page: those for all registries, and those for each."""
    [block] = re.findall(r"```sql\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    found: dict[str, list[str]] = {"": []}
    registry = ""
    for line in block.splitlines():
        if begins := re.match(r'-- registry = "([a-z-]+)"', line):
            registry = begins[1]
        else:
            found.setdefault(registry, []).append(line)
    return found


def test_the_page_has_every_registry() -> None:
    assert set(documented()) == {"", "table", *registry_names()}
    assert set(EVERY_HOST) <= set(documented())


def grant(postgres: PostgresServer, database: str, registry: str) -> tuple[str, str]:
    """A role with what the page grants it for this registry, and no more, and the URL under which it reads."""
    role = f"reader_{next(_numbers)}"
    # Not even what every user may do by default.
    postgres.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC", database)
    postgres.execute(f"REVOKE TEMP ON DATABASE {database} FROM PUBLIC", database)
    for statement in [*documented()[""], *documented()[registry]]:
        postgres.execute(statement.replace("reaper", role), database)
    return role, postgres.url(database, user=role)


@pytest.mark.postgres
@pytest.mark.parametrize("registry", registry_names())
def test_what_the_page_grants_reads_the_tables_that_the_schema_names(postgres: PostgresServer, registry: str) -> None:
    """For each registry, also for one whose database the tests do not make as its host does."""
    from sqlalchemy import create_engine

    name, schema = postgres.new_database(), load_schema(registry)
    engine = create_engine(postgres.url(name).replace("postgresql://", "postgresql+psycopg://"))
    for table in schema.tables:
        table.create(engine)
    engine.dispose()
    role, url = grant(postgres, name, registry)
    assert rows(open_registry(schema, url, {}).look_up([], [])).total == 0
    for table in schema.tables:
        postgres.execute(f"REVOKE SELECT ON {_quoted(table.fullname)} FROM {role}", name)
        assert "may not be read by this role" in reason(open_registry(schema, url, {}).look_up([], []))
        postgres.execute(f"GRANT SELECT ON {_quoted(table.fullname)} TO {role}", name)


@pytest.mark.postgres
@pytest.mark.parametrize("kind", EVERY_HOST.values(), ids=EVERY_HOST)
def test_what_the_page_grants_is_enough_and_all_of_it_is_needed(
    postgres: PostgresServer, tmp_path: Path, kind: type[Host]
) -> None:
    import psycopg

    name = postgres.new_database()
    host = kind(tmp_path, postgres.url(name))
    host.create()
    ids = [host.new_id(number) for number in range(3)]
    host.insert(ids)
    role, url = grant(postgres, name, host.schema)
    reads_all(host, url, ids)
    with psycopg.connect(url) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(f"DELETE FROM {_quoted(schema_of(host).tables[0].fullname)}")
    for table in schema_of(host).tables:
        postgres.execute(f"REVOKE SELECT ON {_quoted(table.fullname)} FROM {role}", name)
        text = reason(open_registry(schema_of(host), url, {}).look_up(ids, []))
        assert "may not be read by this role: GRANT SELECT" in text
        postgres.execute(f"GRANT SELECT ON {_quoted(table.fullname)} TO {role}", name)
    reads_all(host, url, ids)


def _quoted(name: str) -> str:
    return f'"{name}"'


# SQLite


@pytest.fixture
def outside() -> Iterator[Path]:
    """A directory that every user may enter; pytest's own may not be."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)


@contextmanager
def as_nobody() -> Iterator[None]:
    preload_registries()
    if os.geteuid() != 0:
        pytest.skip("only root can be another user")
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


Made = tuple[Host, list[str]]


@pytest.fixture(params=EVERY_HOST.values(), ids=EVERY_HOST)
def make(request: pytest.FixtureRequest, outside: Path) -> Callable[[str], Made]:
    """Makes a database of a host, with workspaces, in that journal mode."""

    def made(mode: str) -> Made:
        host: Host = request.param(outside / "host.sqlite")
        host.create()
        ids = [host.new_id(number) for number in range(3)]
        host.insert(ids)
        with connected(host.path) as connection:
            connection.execute(f"PRAGMA journal_mode = {mode}")
        host.path.chmod(0o644)
        # It loads what is loaded late: that user may not be let read this Python.
        reads_all(host, str(host.path), ids)
        return host, ids

    return made


@pytest.mark.parametrize("mode", ["DELETE", "TRUNCATE", "PERSIST"])
def test_a_file_with_a_rollback_journal_needs_to_be_read_only(make: Callable[[str], Made], outside: Path, mode: str) -> None:
    host, ids = make(mode)
    before = sorted(path.name for path in outside.iterdir())
    with as_nobody():
        reads_all(host, str(host.path), ids)
    assert sorted(path.name for path in outside.iterdir()) == before


def test_a_write_ahead_log_needs_the_host_to_have_it_open(make: Callable[[str], Made], outside: Path) -> None:
    host, ids = make("WAL")
    with connected(host.path) as server:
        assert server.execute("SELECT count(*) FROM sqlite_master").fetchone()
        before = sorted(path.name for path in outside.iterdir())
        assert before == ["host.sqlite", "host.sqlite-shm", "host.sqlite-wal"]
        with as_nobody():
            reads_all(host, str(host.path), ids)
        assert sorted(path.name for path in outside.iterdir()) == before
    with as_nobody():
        text = reason(open_registry(schema_of(host), str(host.path), {}).look_up(ids, []))
        with closing(open_watcher(schema_of(host), str(host.path), {})) as feed:
            assert isinstance(feed.read(), Unknown)
    assert "as the host's user" in text
    assert [path.name for path in outside.iterdir()] == ["host.sqlite"]


def test_what_a_crashed_host_left_needs_its_own_user(make: Callable[[str], Made], outside: Path) -> None:
    host, ids = make("WAL")
    crashed = outside / "crashed"
    crashed.mkdir()
    crashed.chmod(0o755)
    with connected(host.path) as server:
        server.execute("PRAGMA wal_autocheckpoint = 0")
        host.insert([host.new_id(9)])
        for name in ("host.sqlite", "host.sqlite-wal"):
            shutil.copy(outside / name, crashed / name)
    with as_nobody():
        text = reason(open_registry(schema_of(host), str(crashed / "host.sqlite"), {}).look_up(ids, []))
    assert "as the host's user" in text
    assert len(list(crashed.iterdir())) == 2
