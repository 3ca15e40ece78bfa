"""Files that only the configuration describes: what is read from them, and that what cannot be read is not gone."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.tools.file_hosts import FILE_HOSTS, FilesHost, FolderHost, saved
from tests.tools.registries import reason, registry_of, rows
from workspace_reaper.model.errors import ConfigurationError
from workspace_reaper.model.state import RegistryState
from workspace_reaper.model.workspace import HostFiles, Workspace
from workspace_reaper.policy.registry_identity import difference, is_another
from workspace_reaper.registry import LazyRegistry, load_schema, open_registry
from workspace_reaper.registry.files import documents, items, read
from workspace_reaper.registry.schemas.files import FilesSchema

SETTLED = 0.3
"""Seconds after which a file counts as no longer written to."""


def described(*paths: object, **told: Any) -> LazyRegistry:
    keys = {"id": "value->>'id'", "id_type": "text", **told}
    return open_registry(load_schema("files", None, HostFiles(tuple(map(str, paths)), **keys)), None, {})


def file(tmp_path: Path, content: object, name: str = "state.json") -> Path:
    path = tmp_path / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


@pytest.fixture(params=FILE_HOSTS.values(), ids=FILE_HOSTS)
def host(request: pytest.FixtureRequest, tmp_path: Path) -> FilesHost:
    made: FilesHost = request.param(tmp_path / "host.sqlite")
    made.create()
    made.insert(["a", "b"], worktree="/srv/wörktree")
    return made


# What they tell


def test_items_that_are_no_workspaces(tmp_path: Path) -> None:
    content = [{"id": "a", "kind": "task"}, {"id": "b", "kind": "note"}, {"kind": "note"}]
    path = file(tmp_path, content)
    registry = described(path, items="$", where="value->>'kind' = 'task'")
    answer = rows(registry.look_up(["a", "b"], ["b"]))
    assert (set(answer.found), answer.total, answer.sentinels_found) == ({"a"}, 1, frozenset())
    assert registry.examine() == ()


def test_a_file_needs_ids_only_for_its_workspaces(tmp_path: Path) -> None:
    file(tmp_path, [{"kind": "note"}], "notes.json")
    file(tmp_path, [{"id": "a", "kind": "task"}], "tasks.json")
    told = {"items": "$", "where": "value->>'kind' = 'task'"}
    assert set(rows(described(tmp_path / "*.json", **told).look_up(["a"], [])).found) == {"a"}
    file(tmp_path, [{"kind": "task"}], "notes.json")
    assert "yields no id for any item of" in reason(described(tmp_path / "*.json", **told).look_up(["a"], []))


@pytest.mark.parametrize("where", ["nothing = 1", "max(key)", '"nothing"'])
def test_a_condition_that_cannot_be_evaluated(tmp_path: Path, where: str) -> None:
    registry = described(file(tmp_path, [{"id": "a"}, {"id": "b"}]), items="$", where=where)
    assert "cannot evaluate where" in reason(registry.look_up(["a"], []))


def test_each_kind_of_file(host: FilesHost) -> None:
    host.archive("b")
    registry = registry_of(host)
    answer = rows(registry.look_up(["a", "b", "c"], ["a", "x"]))
    tree = "/srv/wörktree"
    assert answer.found == {"a": Workspace("a", worktree=tree), "b": Workspace("b", archived=True, worktree=tree)}
    assert (answer.total, answer.sentinels_found, answer.identity.sentinels) == (2, {"a"}, ("a", "b"))
    assert registry.worktrees() == {tree}


def test_a_deletion_and_a_new_one(host: FilesHost) -> None:
    registry = registry_of(host)
    before = rows(registry.look_up(["a", "b"], []))
    host.delete("a")
    host.insert(["c"])
    after = rows(registry.look_up(["a", "b", "c"], []))
    assert (set(before.found), set(after.found)) == ({"a", "b"}, {"b", "c"})
    assert difference(before.identity, after.identity) is None


@pytest.mark.parametrize(
    ("document", "told", "ids"),
    [
        pytest.param({"x": [{"id": "a"}, {"id": "b"}]}, {"items": "$.x"}, {"a", "b"}, id="list"),
        pytest.param([{"id": "a"}], {"items": "$"}, {"a"}, id="the document is a list"),
        pytest.param({"a": 1, "b": None}, {"items": "$", "id": "key"}, {"a", "b"}, id="map of values"),
        pytest.param({"x": ["a", 'b"'], "y": 1}, {"items": "$.x", "id": "value->>'$'"}, {"a", 'b"'}, id="list of texts"),
        pytest.param({"x": {"y": {"a": {}}}}, {"items": "$.x.y", "id": "key"}, {"a"}, id="map in a map"),
        pytest.param({"id": "a", "more": []}, {}, {"a"}, id="one workspace"),
        pytest.param({"x": 1}, {"id": "stem"}, {"state"}, id="the file's name"),
        pytest.param(
            {"x": [{"id": "abcdefghij"}]}, {"items": "$.x", "id": "substr(value->>'id', 1, 8)"}, {"abcdefgh"}, id="part"
        ),
        pytest.param(
            {"x": [{"n": "a"}]}, {"items": "$.x", "id": "json_extract(value, '$.n') || '_' || stem"}, {"a_state"}, id="both"
        ),
        pytest.param({"x": [{"id": "a"}, {}, {"id": None}]}, {"items": "$.x"}, {"a"}, id="without an id"),
        pytest.param({"x": []}, {"items": "$.x"}, set(), id="empty list"),
        pytest.param({"x": {}}, {"items": "$.x"}, set(), id="empty map"),
        pytest.param({"x": [{"id": 7}]}, {"items": "$.x", "id_type": "integer"}, {"7"}, id="number"),
        pytest.param({"x": [{"id": "07"}]}, {"items": "$.x", "id_type": "integer"}, {"7"}, id="number as text"),
    ],
)
def test_where_the_workspaces_are(tmp_path: Path, document: object, told: dict[str, str], ids: set[str]) -> None:
    registry = described(file(tmp_path, document), **told)
    assert set(rows(registry.look_up([*ids, "other", "9"], [])).found) == ids


@pytest.mark.parametrize(
    ("expression", "flagged"),
    [
        ("value->>'flag'", {"b"}),
        ("value->>'status' = 'archived'", {"a"}),
        ("value->>'status' IS NULL", {"c"}),
        ("key = 1", {"b"}),
        ("path LIKE '%state.json' AND value->>'flag'", {"b"}),
        ("EXISTS (SELECT 1 FROM items AS other WHERE other.value->>'parent' = items.value->>'id')", {"a"}),
    ],
)
@pytest.mark.parametrize("fact", ["archived", "deleted", "pinned", "running", "worktree_deleted"])
def test_flags(tmp_path: Path, fact: str, expression: str, flagged: set[str]) -> None:
    one = [
        {"id": "a", "status": "archived"},
        {"id": "b", "flag": True, "status": "x", "parent": "a"},
        {"id": "c", "flag": False},
    ]
    registry = described(file(tmp_path, one), items="$", **{fact: expression})
    found = rows(registry.look_up(["a", "b", "c"], [])).found
    assert {name for name, workspace in found.items() if getattr(workspace, fact)} == flagged
    assert registry.examine() == ()


def test_a_file_that_two_paths_lead_to_counts_once(tmp_path: Path) -> None:
    state = file(tmp_path, [{"id": "a"}])
    (tmp_path / "link.json").symlink_to(state)
    os.link(state, tmp_path / "hard.json")
    registry = described(state, tmp_path / "*.json", items="$")
    assert (rows(registry.look_up(["a"], [])).total, set(rows(registry.look_up(["a"], [])).found)) == (1, {"a"})


def test_two_names_of_one_file_are_two_workspaces_where_the_name_is_the_id(tmp_path: Path) -> None:
    file(tmp_path, {}, "a.json")
    (tmp_path / "b.json").symlink_to(tmp_path / "a.json")
    assert set(rows(described(tmp_path / "*.json", id="stem").look_up(["a", "b"], [])).found) == {"a", "b"}


def test_several_files_with_one_workspace_are_several_rows_of_it(tmp_path: Path) -> None:
    file(tmp_path, [{"id": "a", "archived": True}], "one.json")
    file(tmp_path, [{"id": "a", "archived": False}], "two.json")
    registry = described(tmp_path / "*.json", items="$", archived="value->>'archived'")
    assert rows(registry.look_up(["a"], [])).found == {"a": Workspace("a")}


def test_names_that_are_no_text(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"\xff")
    folder.mkdir()
    file(folder, {"id": "a"})
    assert set(rows(described(tmp_path / "*" / "*.json").look_up(["a"], [])).found) == {"a"}


def test_the_name_of_a_file_in_any_bytes_is_an_id_of_its_own(tmp_path: Path) -> None:
    for name in (b"\xfe.json", b"\xff.json"):
        file(tmp_path, {}, os.fsdecode(name))
    assert rows(described(tmp_path / "*.json", id="stem").look_up([], [])).total == 2


# Where the description does not fit


@pytest.mark.parametrize(
    ("told", "says"),
    [
        pytest.param({"id": "value->>'uuid'"}, "yields no id for any item of ", id="misspelt id"),
        pytest.param({"id": "uuid"}, "cannot evaluate id (no such column: uuid)", id="no column"),
        pytest.param({"id": "id"}, "cannot evaluate id (no such column: id)", id="its own name"),
        pytest.param({"id": '"value\'"'}, "cannot evaluate id (no such column: value')", id="quoted name"),
        pytest.param({"id": "max(value)"}, "cannot evaluate id: it does not give one value", id="aggregate"),
        pytest.param({"id": "key, value"}, "cannot evaluate id", id="two values"),
        pytest.param({"id": "value->>'$['"}, "cannot evaluate id for an item of ", id="no JSON path"),
        pytest.param({"id": "1 -- one"}, "cannot evaluate id (", id="comment"),
        pytest.param({"items": "$["}, "cannot read items (", id="no path of items"),
        pytest.param({"archived": "statsu"}, "lacks items.statsu", id="flag"),
        pytest.param({"archived": "valeu->>'x'"}, "cannot evaluate archived (no such column: valeu", id="flag's column"),
        pytest.param({"pinned": "max(key)"}, "cannot evaluate pinned", id="flag's aggregate"),
    ],
)
def test_an_expression_that_does_not_fit(tmp_path: Path, told: dict[str, str], says: str) -> None:
    registry = described(file(tmp_path, [{"id": "a"}, {"id": "b"}]), **{"items": "$", **told})
    text = reason(registry.look_up(["a"], []))
    assert says in text
    assert str(tmp_path / "state.json") in text
    assert "fix [files] in the configuration" in text
    (finding,) = registry.examine()
    assert (finding.fatal, finding.misfit, finding.text) == (True, True, text)


def test_each_file_with_items_has_an_id(tmp_path: Path) -> None:
    """Otherwise the sessions of one of two hosts, which saves in another form, would have no rows."""
    file(tmp_path, [{"id": "a"}], "one.json")
    file(tmp_path, [], "empty.json")
    two = file(tmp_path, [{"ID": "b"}], "two.json")
    assert f"for any item of {two}" in reason(described(tmp_path / "*.json", items="$").look_up(["a"], []))


def test_a_value_that_is_no_truth_makes_its_own_workspace_unreadable(tmp_path: Path) -> None:
    registry = described(file(tmp_path, [{"id": "a", "x": "maybe"}, {"id": "b", "x": True}]), items="$", archived="value->>'x'")
    found = rows(registry.look_up(["a", "b"], [])).found
    assert "neither 0 nor 1" in str(found["a"].unreadable)
    assert found["b"].archived


@pytest.mark.parametrize(
    ("told", "paths"),
    [
        ({"archived": "value->>'statsu' = 'archived'"}, ['$."statsu"']),
        ({"worktree": "value->'tree'->>'pth'", "pinned": "value->>'$.pin'"}, ["$.pin", '$."tree"."pth"']),
        ({"running": "json_extract(value, '$.runs') = 1 OR value -> 'tree' ->> 0 = 1"}, ["$.runs", '$."tree"[0]']),
        ({"archived": "value->>'archived_at' IS NOT NULL"}, []),
        ({"archived": "value->>'$.list[#-1]'"}, []),
    ],
)
def test_a_key_that_occurs_nowhere_is_a_finding(tmp_path: Path, told: dict[str, str], paths: list[str]) -> None:
    """And no error: some hosts omit a key until it is set. A key with null occurs."""
    document = [{"id": "a"}, {"id": "b", "archived_at": None, "tree": {"path": "/x"}, "list": [1]}]
    registry = described(file(tmp_path, document), items="$", **told)
    findings = registry.examine()
    assert sorted(finding.text.split(" names ")[1].split(",")[0] for finding in findings) == sorted(paths)
    assert not any(finding.fatal for finding in findings)
    assert rows(registry.look_up(["a"], [])).total == 2


def test_no_key_is_missed_where_there_is_no_workspace(tmp_path: Path) -> None:
    assert described(file(tmp_path, []), items="$", archived="value->>'x'").examine() == ()


@pytest.mark.parametrize(("sqlite", "is_old"), [((3, 37, 2), True), ((3, 38, 0), False)])
def test_an_older_sqlite_lacks_the_arrows(sqlite: tuple[int, ...], is_old: bool) -> None:
    files = HostFiles(("/a.json",), "key", "text", archived="value->>'x'")
    assert FilesSchema(HostFiles(("/a.json",), "json_extract(value, '$.id')", "text"), (3, 34, 0)).name == "files"
    if is_old:
        with pytest.raises(ConfigurationError, match=r"files.archived: the operator -> needs SQLite 3.38, and .* 3.37.2"):
            FilesSchema(files, sqlite)
    else:
        assert FilesSchema(files, sqlite).files == files


def test_it_has_no_database(tmp_path: Path) -> None:
    schema = load_schema("files", None, HostFiles(("/a.json",), "key", "text"))
    with pytest.raises(ConfigurationError, match="reads no database"):
        schema.default_database({})
    assert (schema.places({}), schema.homes({}), schema.reuses_ids) == ((), (), True)
    with pytest.raises(ConfigurationError, match="describe the files in a section"):
        load_schema("files")


# What cannot be read


def half(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def removed(path: Path) -> None:
    path.unlink()


def fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def device(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def link_to_nothing(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.with_name("gone"))


def loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


def huge(path: Path) -> None:
    with path.open("r+b") as stream:
        stream.truncate(read.MOST_BYTES + 1)


def deep(path: Path) -> None:
    path.write_text("[" * 100_000 + "]" * 100_000)


def other_type(path: Path) -> None:
    path.write_text('{"instances": "none"}')


def other_place(path: Path) -> None:
    path.write_text('{"sessions": []}')


def null(path: Path) -> None:
    path.write_text('{"instances": null}')


def twice(path: Path) -> None:
    path.write_text('{"instances": [], "instances": []}')


def input_output_error(path: Path) -> None:
    path.unlink()
    path.symlink_to("/proc/self/mem")


OF_ONE_FILE = (half, emptied, fifo, directory, device, link_to_nothing, loop, huge, deep, twice, input_output_error)


@pytest.mark.parametrize("damage", [*OF_ONE_FILE, removed, other_type, other_place, null])
def test_a_file_that_cannot_be_read_is_unknown(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    host = FilesHost(tmp_path / "host")
    host.insert(["a", "b"])
    registry = registry_of(host)
    rows(registry.look_up(["a"], []))
    damage(host.path)
    assert str(host.path) in reason(registry.look_up(["a"], []))
    assert reason(registry.worktrees())  # type: ignore[arg-type]
    (finding,) = registry.examine()
    assert finding.fatal
    if host.path.is_dir():
        host.path.rmdir()
    host.write()
    assert rows(registry.look_up(["a"], [])).total == 2


@pytest.mark.parametrize("damage", OF_ONE_FILE)
def test_so_is_one_of_many_files(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    host = FolderHost(tmp_path / "host")
    host.insert(["a", "b", "c"])
    registry = registry_of(host)
    damage(host.file_of("b"))
    assert str(host.file_of("b")) in reason(registry.look_up(["a"], []))


def test_a_file_that_vanished_is_the_absence_of_its_workspace_alone(tmp_path: Path) -> None:
    host = FolderHost(tmp_path / "host")
    host.insert(["a", "b", "c"])
    host.file_of("b").unlink()
    shutil.rmtree(host.file_of("c").parent)
    assert set(rows(registry_of(host).look_up(["a", "b", "c"], [])).found) == {"a"}


@pytest.mark.parametrize("change", ["removed", "a file", "no right to read"])
def test_the_directory_of_many_files_that_cannot_be_read(tmp_path: Path, change: str) -> None:
    host = FolderHost(tmp_path / "host")
    host.insert(["a"])
    registry = registry_of(host)
    if change == "no right to read":
        host.folder.rename(tmp_path / "kept")
        host.folder.symlink_to(f"/proc/{os.getpid()}/task/{os.getpid()}/no")
    else:
        shutil.rmtree(host.folder)
    if change == "a file":
        host.folder.touch()
    assert "cannot be read" in reason(registry.look_up(["a"], []))


@contextmanager
def not_root() -> Iterator[None]:
    """As a user whom permissions bind."""
    user = os.geteuid()
    os.seteuid(user or 65534)
    try:
        yield
    finally:
        os.seteuid(user)


@pytest.mark.parametrize("kind", [FilesHost, FolderHost])
def test_without_the_right_to_read(short_tmp: Path, kind: type[FilesHost]) -> None:
    host = kind(short_tmp / "host")
    host.insert(["a"])
    registry = registry_of(host)
    rows(registry.look_up(["a"], []))
    place = host.folder if isinstance(host, FolderHost) else host.path
    place.chmod(0)
    short_tmp.chmod(0o755)
    with not_root():
        found = registry.look_up(["a"], [])
    place.chmod(0o700)
    assert "Permission denied" in reason(found)


@pytest.mark.parametrize(
    ("module", "limit", "value", "says"),
    [
        (documents, "MOST_FILES", 2, "files.paths matches 3 files, and the limit is 2"),
        (documents, "MOST_BYTES_IN_ALL", 100, "data.json and the files before it have 170 bytes, and the limit is 100"),
        (items, "MOST_ITEMS", 2, "data.json and the files before it have more than 2 items"),
        (read, "MOST_BYTES", 20, "bytes, and the limit for one file is 20"),
    ],
)
def test_what_is_read_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: object, limit: str, value: int, says: str
) -> None:
    host = FolderHost(tmp_path / "host")
    host.insert(["a", "b", "c"])
    monkeypatch.setattr(module, limit, value)
    assert says in reason(registry_of(host).look_up(["a"], []))


@pytest.mark.parametrize("kind", FILE_HOSTS.values(), ids=FILE_HOSTS)
def test_a_file_that_is_being_written_is_read_once_it_is_complete(tmp_path: Path, kind: type[FilesHost]) -> None:
    host = kind(tmp_path / "host")
    host.insert(["a", "b"])
    path = host.file_of("b") if isinstance(host, FolderHost) else host.path
    content = path.read_bytes()
    path.write_bytes(content[: content.rindex(b"b")])
    complete = threading.Timer(0.05, path.write_bytes, [content])
    complete.start()
    answer = rows(registry_of(host).look_up(["a", "b"], []))
    complete.join()
    assert set(answer.found) == {"a", "b"}


@pytest.mark.parametrize("kind", ["files-toml", "files-yaml"])
def test_half_a_file_that_is_valid_is_unknown_while_it_is_written(tmp_path: Path, kind: str) -> None:
    host = FILE_HOSTS[kind](tmp_path / "host")
    host.insert(["a", "b", "c"])
    registry, stopped = registry_of(host), threading.Event()
    lines = host.path.read_text().splitlines(keepends=True)

    def write() -> None:
        while not stopped.wait(0.05):
            host.path.write_text("".join(lines[:12]))

    writing = threading.Thread(target=write)
    writing.start()
    time.sleep(0.1)
    found = reason(registry.look_up(["c"], []))
    stopped.set()
    writing.join()
    assert "is written to again and again" in found


# What is kept, and what identifies it


def test_nothing_is_kept_of_a_file_whose_stamp_may_not_show_the_next_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second write within one tick of the kernel's clock."""
    registry = described(file(tmp_path, [{"id": "a"}]), items="$")
    monkeypatch.setattr(read, "TICK", 1e9)
    rows(registry.look_up([], []))
    monkeypatch.setattr(documents, "read_bytes", None)
    with pytest.raises(TypeError):
        registry.look_up([], [])


@pytest.mark.parametrize(
    ("modified", "changed", "is_settled"), [(0, 0, True), (99, 0, False), (0, 101, False), (150, 150, True)]
)
def test_a_stamp_is_settled_once_each_write_changes_it(modified: int, changed: int, is_settled: bool) -> None:
    stamp = read.RecordStamp(1, 2, 3, modified * 10**7, changed * 10**7)
    assert stamp.is_settled(1.0) is is_settled


@pytest.mark.parametrize(
    ("damage", "says"), [(fifo, "is not a regular file"), (device, "is not a regular file"), (directory, "is a directory")]
)
def test_what_is_no_file_is_not_read(tmp_path: Path, damage: Callable[[Path], None], says: str) -> None:
    host = FilesHost(tmp_path / "host")
    host.create()
    damage(host.path)
    assert says in reason(registry_of(host).look_up([], []))


def test_a_file_that_is_unchanged_is_not_parsed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = file(tmp_path, [{"id": "a"}])
    registry = described(state, items="$")
    time.sleep(SETTLED)
    before = rows(registry.look_up(["a"], []))
    monkeypatch.setattr(documents, "read_bytes", None)
    assert rows(registry.look_up(["a"], [])) == before


@pytest.mark.parametrize("keeps_time", [True, False])
def test_a_write_with_the_same_size_and_time_is_seen(tmp_path: Path, keeps_time: bool) -> None:
    state = file(tmp_path, [{"id": "a"}])
    registry = described(state, items="$")
    time.sleep(SETTLED)
    rows(registry.look_up(["a"], []))
    status = state.stat()
    state.write_text(json.dumps([{"id": "b"}]))
    if keeps_time:
        os.utime(state, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert set(rows(registry.look_up(["a", "b"], [])).found) == {"b"}


def identified(registry: LazyRegistry) -> RegistryState:
    answer = rows(registry.look_up([], []))
    return RegistryState("o", 1, answer.identity, answer.total, answer.capped)


def test_a_save_changes_no_identity(host: FilesHost) -> None:
    registry = registry_of(host)
    before = identified(registry)
    for number in range(3):
        host.insert([f"n{number}"])
        assert difference(before.identity, identified(registry).identity) is None


@pytest.mark.parametrize("kind", [FilesHost, FolderHost])
def test_an_older_copy_of_the_directory_is_another_registry(tmp_path: Path, kind: type[FilesHost]) -> None:
    (tmp_path / "app").mkdir()
    host = kind(tmp_path / "app" / "host")
    host.insert(["a"])
    directory = host.folder if isinstance(host, FolderHost) else host.path.parent
    registry = registry_of(host)
    before = identified(registry)
    shutil.copytree(directory, tmp_path / "copy")
    directory.rename(tmp_path / "old")
    (tmp_path / "copy").rename(directory)
    assert is_another(before, rows(registry.look_up([], [])))


def test_an_older_copy_with_its_own_time_is_another_registry(tmp_path: Path) -> None:
    host = FilesHost(tmp_path / "host")
    host.insert(["a"])
    backup = Path(shutil.copy2(host.path, tmp_path / "backup"))
    time.sleep(0.05)
    host.insert(["b"])
    registry = registry_of(host)
    before = identified(registry)
    backup.replace(host.path)
    assert is_another(before, rows(registry.look_up([], [])))


def test_a_link_that_is_switched_is_another_registry(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        file(tmp_path / name, [{"id": name}])
    link = tmp_path / "state.json"
    link.symlink_to(tmp_path / "one" / "state.json")
    registry = described(link, items="$")
    before = identified(registry)
    link.unlink()
    link.symlink_to(tmp_path / "two" / "state.json")
    assert is_another(before, rows(registry.look_up([], [])))


def test_another_description_is_another_registry(tmp_path: Path) -> None:
    state = file(tmp_path, {"x": [{"id": "a"}], "y": [{"id": "b"}]})
    one, other = (described(state, items=at) for at in ("$.x", "$.y"))
    same = described(state, items="$.x", pinned="key")
    assert identified(one).identity.schema != identified(other).identity.schema
    assert identified(one).identity == identified(same).identity
    assert one.location == str(state)


def test_nothing_is_written(host: FilesHost) -> None:
    def everything() -> dict[Path, tuple[int, int]]:
        return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in host.path.parent.rglob("*")}

    before = everything()
    registry_of(host).look_up(["a"], [])
    assert everything() == before


def test_no_connection_is_left_open(host: FilesHost) -> None:
    registry = registry_of(host)
    before = len(list(Path("/dev/fd").iterdir()))
    for _ in range(3):
        registry.look_up(["a"], [])
        registry.examine()
    assert len(list(Path("/dev/fd").iterdir())) == before


def test_an_expression_cannot_change_a_file(tmp_path: Path) -> None:
    """It is evaluated in memory."""
    other = tmp_path / "other.sqlite"
    sqlite3.connect(other).close()
    state = file(tmp_path, [{"id": "a"}])
    told = f"value->>'id'); ATTACH '{other}' AS o; CREATE TABLE o.x (y"
    assert "cannot evaluate id" in reason(described(state, items="$", id=told).look_up(["a"], []))
    assert not other.exists() or other.stat().st_size == 0
    saved(state, "[]")
