"""Several databases of one host: one registry, which is Unknown if one of them is, and another one if one of them vanishes."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.tools.hosts import StandardHost, connected
from tests.tools.registries import reason, rows
from tests.tools.waiting import wait_until
from workspace_reaper.model.errors import ConfigurationError
from workspace_reaper.model.ports import ChangeWatcher
from workspace_reaper.model.unknown import Unknown
from workspace_reaper.model.workspace import HostFiles, LookupResult, Workspace, WorkspaceList
from workspace_reaper.policy.registry_identity import difference
from workspace_reaper.registry import LazyRegistry, load_schema, open_registry, open_watcher
from workspace_reaper.registry.sqlite import several
from workspace_reaper.registry.sqlite.several import SeveralDatabases

PATIENCE = 20.0


def database(folder: Path, name: str, *ids: str) -> StandardHost:
    (folder / name).mkdir(parents=True)
    host = StandardHost(folder / name / "state.db")
    host.create()
    host.insert(ids)
    return host


@pytest.fixture
def hosts(tmp_path: Path) -> list[StandardHost]:
    """Two databases, of which each has the workspace "both"."""
    return [database(tmp_path / "profiles", name, f"{name}1", f"{name}2", "both") for name in ("a", "b")]


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"{tmp_path}/profiles/*/state.db"


@pytest.fixture
def registry(url: str) -> LazyRegistry:
    return open_registry(load_schema("standard"), url, {}, busy_limit=0.1)


@pytest.fixture
def watcher(url: str) -> Iterator[ChangeWatcher]:
    with closing(open_watcher(load_schema("standard"), url, {}, busy_limit=0.1)) as watcher:
        yield watcher


def look_up(registry: LazyRegistry) -> LookupResult:
    return rows(registry.look_up(["a1", "b2", "both", "none"], ["a1", "b1", "none"]))


def listed(watcher: ChangeWatcher) -> WorkspaceList:
    return wait_until(lambda: found if isinstance(found := watcher.read(), WorkspaceList) else None, PATIENCE)


# Look-ups


@pytest.mark.usefixtures("hosts")
def test_the_rows_of_all(registry: LazyRegistry, url: str) -> None:
    answer = look_up(registry)
    assert answer.found == {one: Workspace(one) for one in ("a1", "b2", "both")}
    assert (answer.total, answer.capped, answer.sentinels_found) == (6, False, {"a1", "b1"})
    assert answer.identity.sentinels == ("a1", "b1", "a2", "b2", "both")
    assert [Path(part.location.partition(" ")[0]).parent.name for part in answer.identity.parts] == ["a", "b"]
    assert registry.location == url


def test_a_row_of_two_is_archived_in_both_or_not_at_all(hosts: list[StandardHost], registry: LazyRegistry) -> None:
    hosts[0].archive("both")
    hosts[0].pin("both")
    assert look_up(registry).found["both"] == Workspace("both", pinned=True)
    hosts[1].archive("both")
    assert look_up(registry).found["both"] == Workspace("both", archived=True, pinned=True)


def test_rows_of_two_databases_have_no_order(hosts: list[StandardHost], registry: LazyRegistry) -> None:
    assert {row.place for row in look_up(registry).found.values()} == {None}


def test_the_worktrees_of_all(hosts: list[StandardHost], registry: LazyRegistry) -> None:
    for number, host in enumerate(hosts):
        host.insert([f"tree{number}"], worktree=f"/srv/{number}")
    assert registry.worktrees() == {"/srv/0", "/srv/1"}


def test_all_is_unknown_if_one_is(hosts: list[StandardHost], registry: LazyRegistry, watcher: ChangeWatcher) -> None:
    listed(watcher)
    hosts[1].path.write_bytes(b"no database" * 100)
    for answer in (registry.look_up(["a1"], []), registry.worktrees(), watcher.read()):
        assert str(hosts[1].path) in reason(answer)
    (finding,) = registry.examine()
    assert (finding.fatal, str(hosts[1].path) in finding.text) == (True, True)


def test_no_database_is_unknown(tmp_path: Path, url: str, registry: LazyRegistry) -> None:
    assert f"the directory {tmp_path}/profiles cannot be read" in reason(registry.look_up([], []))
    (tmp_path / "profiles" / "a").mkdir(parents=True)
    assert f"{url} matches no file: start the host once" in reason(registry.look_up([], []))
    assert [finding.fatal for finding in registry.examine()] == [True]


@pytest.mark.usefixtures("hosts")
def test_their_number_is_bounded(registry: LazyRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(several, "MOST_DATABASES", 1)
    assert "matches 2 files, and the limit is 1" in reason(registry.look_up([], []))


def test_a_database_of_another_kind_does_not_fit(hosts: list[StandardHost], registry: LazyRegistry) -> None:
    with connected(hosts[1].path) as connection:
        connection.execute("ALTER TABLE workspaces RENAME TO other")
    (finding,) = registry.examine()
    assert (finding.fatal, finding.misfit) == (True, True)


# Identity


@pytest.mark.usefixtures("hosts")
def test_one_more_is_the_same_registry(tmp_path: Path, registry: LazyRegistry) -> None:
    before = look_up(registry).identity
    database(tmp_path / "profiles", "0", "none")
    after = look_up(registry)
    assert set(after.found) == {"a1", "b2", "both", "none"}
    assert difference(before, after.identity) is None


def test_one_less_is_another_registry_until_it_is_back(hosts: list[StandardHost], registry: LazyRegistry) -> None:
    before = look_up(registry)
    moved = hosts[1].path.rename(hosts[1].path.with_name("moved"))
    without = look_up(registry)
    assert set(without.found) == {"a1", "both"}
    assert "is not one of its databases any more" in str(difference(before.identity, without.identity))
    moved.rename(hosts[1].path)
    assert look_up(registry) == before
    assert difference(before.identity, look_up(registry).identity) is None


def test_a_renamed_database_is_another_registry(hosts: list[StandardHost], registry: LazyRegistry) -> None:
    before = look_up(registry).identity
    hosts[1].path.parent.rename(hosts[1].path.parent.with_name("c"))
    assert "is not one of its databases" in str(difference(before, look_up(registry).identity))


def test_an_older_copy_of_one_is_another_registry(hosts: list[StandardHost], registry: LazyRegistry, tmp_path: Path) -> None:
    backup = shutil.copy(hosts[1].path, tmp_path / "backup")
    hosts[1].insert(["new"])
    before = look_up(registry).identity
    hosts[0].insert(["more", "and more"])
    hosts[1].path.write_bytes(Path(backup).read_bytes())
    why = str(difference(before, look_up(registry).identity))
    assert "its count of changes went back" in why
    assert str(hosts[1].path) in why


def test_one_that_vanishes_while_they_are_read(
    hosts: list[StandardHost], registry: LazyRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_up(registry)
    opened = registry.database
    assert isinstance(opened, SeveralDatabases)
    (first, _) = opened.databases().values()
    ask = first.look_up

    def and_remove(*arguments, **options):
        answer = ask(*arguments, **options)
        hosts[0].path.unlink(missing_ok=True)
        return answer

    monkeypatch.setattr(first, "look_up", and_remove)
    assert "matches other files than before" in reason(registry.look_up(["a1"], []))


# The watcher


def test_a_change_in_one_is_noticed(hosts: list[StandardHost], watcher: ChangeWatcher) -> None:
    before = listed(watcher)
    wait_until(lambda: not watcher.wait(0), PATIENCE)
    hosts[1].delete("b1")
    assert watcher.wait(PATIENCE)
    after = listed(watcher)
    assert (before.workspaces - after.workspaces, after.replaced) == ({"b1"}, None)
    assert difference(before.identity, after.identity) is None


def test_one_that_appears_and_one_that_vanishes_are_noticed(
    hosts: list[StandardHost], watcher: ChangeWatcher, tmp_path: Path
) -> None:
    before = listed(watcher)
    wait_until(lambda: not watcher.wait(0), PATIENCE)
    database(tmp_path / "profiles", "c", "c1")
    assert watcher.wait(PATIENCE)
    more = listed(watcher)
    assert (more.workspaces - before.workspaces, difference(before.identity, more.identity)) == ({"c1"}, None)
    wait_until(lambda: not watcher.wait(0), PATIENCE)
    hosts[0].path.unlink()
    assert watcher.wait(PATIENCE)
    less = listed(watcher)
    assert more.workspaces - less.workspaces == {"a1", "a2"}
    assert difference(more.identity, less.identity)


def test_archived_is_what_is_archived_in_each(hosts: list[StandardHost], watcher: ChangeWatcher) -> None:
    hosts[0].archive("both")
    hosts[0].archive("a1")
    assert listed(watcher).archived == {"a1"}
    hosts[1].archive("both")
    assert listed(watcher).archived == {"a1", "both"}


def test_an_older_copy_of_one_looks_restored(hosts: list[StandardHost], watcher: ChangeWatcher, tmp_path: Path) -> None:
    listed(watcher)
    backup = shutil.copy(hosts[1].path, tmp_path / "backup")
    hosts[1].insert(["new1"])
    hosts[1].insert(["new2"])
    before = listed(watcher)
    hosts[1].path.write_bytes(Path(backup).read_bytes())
    after = listed(watcher)
    assert before.workspaces - after.workspaces == {"new1", "new2"}
    assert difference(before.identity, after.identity) or str(hosts[1].path) in str(after.looks_restored)


@pytest.mark.usefixtures("hosts")
def test_close_ends_a_wait(watcher: ChangeWatcher) -> None:
    listed(watcher)
    wait_until(lambda: not watcher.wait(0), PATIENCE)
    threading.Timer(0.2, watcher.close).start()
    assert not watcher.wait(600.0)
    assert isinstance(watcher.read(), Unknown)


@pytest.mark.usefixtures("hosts")
def test_no_descriptor_is_left_open(registry: LazyRegistry, url: str) -> None:
    look_up(registry)
    before = len(list(Path("/dev/fd").iterdir()))
    watcher = open_watcher(load_schema("standard"), url, {})
    listed(watcher)
    look_up(registry)
    watcher.close()
    assert len(list(Path("/dev/fd").iterdir())) == before


# What database_url may say


@pytest.mark.parametrize("text", ["$PLACE/profiles/*/state.db", "${PLACE}/profiles/[ab]/state.d?", "~/profiles/*/state.db"])
@pytest.mark.usefixtures("hosts")
def test_a_path_is_expanded(tmp_path: Path, text: str) -> None:
    environ = {"PLACE": str(tmp_path), "HOME": str(tmp_path)}
    assert look_up(open_registry(load_schema("standard"), text, environ)).total == 6


def test_a_url_is_literal(tmp_path: Path) -> None:
    odd = StandardHost(tmp_path / "[a]*.db")
    odd.create()
    odd.insert(["a1"])
    registry = open_registry(load_schema("standard"), f"sqlite:///{odd.path}", {})
    assert registry.location == str(odd.path)
    assert look_up(registry).total == 1


def test_a_variable_that_is_not_set() -> None:
    with pytest.raises(ConfigurationError, match=r"^database_url: the variable 'PLACE' is not set"):
        open_registry(load_schema("standard"), "$PLACE/state.db", {})


# Files with several workspaces each


def of_files(tmp_path: Path) -> LazyRegistry:
    described = HostFiles((f"{tmp_path}/*/state.json",), "value->>'id'", "text", items="$")
    return open_registry(load_schema("files", None, described), None, {})


def save(tmp_path: Path, name: str, *ids: str) -> Path:
    (tmp_path / name).mkdir(exist_ok=True)
    (tmp_path / name / "state.json").write_text(json.dumps([{"id": one} for one in ids]))
    return tmp_path / name / "state.json"


def test_a_list_that_vanishes_makes_another_registry(tmp_path: Path) -> None:
    registry = of_files(tmp_path)
    one, other = save(tmp_path, "a", "a1"), save(tmp_path, "b", "b2", "both")
    before = look_up(registry).identity
    save(tmp_path, "c", "none")
    more = look_up(registry).identity
    assert difference(before, more) is None
    moved = other.rename(other.with_name("moved"))
    assert "is not one of its databases" in str(difference(more, look_up(registry).identity))
    moved.rename(other)
    assert difference(more, look_up(registry).identity) is None
    time.sleep(0.01)
    backup = shutil.copy2(one, tmp_path / "backup")
    time.sleep(0.01)
    save(tmp_path, "a", "a1", "a2")
    latest = look_up(registry).identity
    Path(backup).replace(one)
    assert "its count of changes went back" in str(difference(latest, look_up(registry).identity))
