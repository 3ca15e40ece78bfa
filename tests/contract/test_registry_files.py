"""A registry over a file: whatever its path, and whichever file is there at the moment."""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
from pathlib import Path

import pytest

from tests.tools.hosts import EVERY_HOST, Host, StandardHost
from tests.tools.registries import listen, opened, reason, rows
from workspace_reaper.registry import load_schema, open_registry


@pytest.fixture(params=list(EVERY_HOST.values()), ids=list(EVERY_HOST))
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Host:
    made: Host = request.param(tmp_path / "host.sqlite")
    made.create()
    return made


def test_more_ids_than_one_statement_takes(standard: StandardHost) -> None:
    """Also with SQLite's own default limit, which some systems raise."""
    ids = [standard.new_id(number) for number in range(40_000)]
    standard.insert(ids)
    registry = opened(standard)
    if sys.version_info >= (3, 11):
        listen(registry, lambda connection: connection.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 32_766))
    answer = rows(registry.look_up(ids, []))
    assert len(answer.found) == 40_000
    assert (answer.total, answer.capped) == (10_000, True)


@pytest.mark.parametrize("name", ["a b", "what?mode=rwc", "hash#tag", "100%41", "ö", "-x", "file:x"])
def test_odd_paths(host: Host, tmp_path: Path, name: str) -> None:
    directory = tmp_path / name
    directory.mkdir()
    host.insert([host.new_id(1)])
    moved = host.path.rename(directory / name)
    before = sorted(tmp_path.rglob("*"))
    for url in (str(moved), f"sqlite:///{moved}"):
        registry = open_registry(load_schema(host.schema, getattr(host, "table", None)), url, {})
        assert set(rows(registry.look_up([host.new_id(1)], [])).found) == {host.new_id(1)}
        assert registry.location == str(moved)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_path_that_is_no_text(standard: StandardHost, tmp_path: Path) -> None:
    standard.insert(["a"])
    moved = standard.path.rename(tmp_path / os.fsdecode(b"\xff.sqlite"))
    assert rows(opened(standard, path=moved).look_up(["a"], [])).total == 1


def test_one_file_has_one_place(host: Host, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(host.path)
    first = rows(opened(host).look_up([], []))
    host.insert([host.new_id(1)])
    assert rows(opened(host, path=link).look_up([], [])).identity.location == first.identity.location
    assert str(host.path.resolve()) in first.identity.location
    assert first.identity.schema.partition(" ")[0] == host.schema == opened(host).name
    assert opened(host).canonical(host.new_id(1)) == host.new_id(1)


def test_another_file_has_another_place(host: Host, tmp_path: Path) -> None:
    registry = opened(host)
    before = rows(registry.look_up([], []))
    shutil.copy(host.path, tmp_path / "copy")
    (tmp_path / "copy").replace(host.path)
    after = rows(registry.look_up([], []))
    assert after.identity.location != before.identity.location


def test_a_file_replaced_while_it_is_read_is_unknown(host: Host, tmp_path: Path) -> None:
    registry = opened(host)
    shutil.copy(host.path, tmp_path / "copy")

    def replace(_connection: sqlite3.Connection) -> None:
        if (tmp_path / "copy").exists():
            (tmp_path / "copy").replace(host.path)

    listen(registry, replace)
    assert "replaced by another file" in reason(registry.look_up([], []))
    assert rows(registry.look_up([], [])).total == 0
