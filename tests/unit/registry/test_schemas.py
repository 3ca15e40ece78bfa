"""What each schema tells of its host, and how schemas and places are found."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from sqlalchemy.orm import Session
from sqlmodel import SQLModel

from tests.tools.distributions import install
from workspace_reaper import registry
from workspace_reaper.model.errors import ConfigurationError
from workspace_reaper.model.workspace import LookupResult, Workspace
from workspace_reaper.registry import Home, load_schema, open_registry, open_watcher, registry_names
from workspace_reaper.registry.location import path_of
from workspace_reaper.registry.schemas.vibe_kanban import _places
from workspace_reaper.registry.standard import WorkspaceRow, create_tables, writable_engine

GROUP = "[workspace_reaper.registries]\n"

HEX = "0123456789abcdef0123456789abcdef"
UUID = "01234567-89ab-cdef-0123-456789abcdef"
BC, VK = "bc_(?P<id>[0-9a-f]{32})", "vk_(?P<id>[0-9a-f]{32})"

THIRD_PARTY = """
from sqlalchemy import Column, Integer, MetaData, Table, Text
from workspace_reaper.registry import WorkspaceColumns, Home, Schema

PROJECTS = Table("projects", MetaData(), Column("key", Text), Column("closed", Integer))

class Mine(Schema):
    name = "mine"
    tables = (PROJECTS,)
    def facts(self, absent): return WorkspaceColumns(id=PROJECTS.c.key, archived=PROJECTS.c.closed)
    def homes(self, environ): return (Home("mine", ("p-(?P<id>.+)",)),)
    def default_database(self, environ): return environ["PLACE"]
    def canonical(self, text): return text

MINE = Mine()
"""


BUILT_IN = sorted(point.name for point in registry._own())


def test_the_installed_registries_are_those_of_pyproject() -> None:
    """Entry points are read from what is installed: after a change in pyproject.toml, install again."""
    project = (Path(__file__).parents[3] / "pyproject.toml").read_text()
    section = project.split('[project.entry-points."workspace_reaper.registries"]')[1].split("\n[")[0]
    assert sorted(re.findall(r"^([\w-]+) = ", section, re.MULTILINE)) == BUILT_IN


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in(name: str) -> None:
    assert load_schema(name).name == name


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_built_in_registry_reads_a_database_with_all_its_columns_and_one_without_the_optional_ones(
    tmp_path: Path, name: str
) -> None:
    schema = load_schema(name)
    columns = {(table.name, column.name) for table in schema.tables for column in table.columns}
    optional = {tuple(one.split(".")) for one in schema.optional}
    assert optional < columns
    for number, present in enumerate((columns, columns - optional)):
        path = tmp_path / f"{number}"
        with closing(sqlite3.connect(path)) as connection:
            for table in schema.tables:
                names = ", ".join(column.name for column in table.columns if (table.name, column.name) in present)
                connection.execute(f"CREATE TABLE {table.name} ({names})")
        answer = open_registry(schema, str(path), {}).look_up([schema.canonical("0" * 32) or "a"], [])
        assert isinstance(answer, LookupResult)
        assert answer.found == {}


@pytest.mark.parametrize("name", ["", "vibe_kanban", "Standard", "postgres"])
def test_unknown(name: str) -> None:
    with pytest.raises(
        ConfigurationError, match=f"^registry: unknown registry {name!r}; installed are: .*cao.*standard.*vibe-kanban"
    ):
        load_schema(name)


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("vibekanban", "Did you mean 'vibe-kanban'? Otherwise install the package"),
        ("Standard", "Did you mean 'standard'? Otherwise install the package"),
        ("postgres", "Correct the name, or install the package"),
    ],
)
def test_the_nearest_registry_is_suggested(name: str, advice: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load_schema(name)
    assert advice in str(refused.value)


def test_a_third_party(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "ours", {"other_host": THIRD_PARTY}, f"{GROUP}mine = other_host:MINE\n")
    monkeypatch.syspath_prepend(tmp_path)
    schema = load_schema("mine")
    with closing(sqlite3.connect(tmp_path / "db")) as connection:
        connection.executescript(
            "CREATE TABLE projects(key TEXT PRIMARY KEY, closed INT); INSERT INTO projects VALUES ('a', 1)"
        )
    answer = open_registry(schema, None, {"PLACE": str(tmp_path / "db")}).look_up(["a"], [])
    assert isinstance(answer, LookupResult)
    assert answer.found == {"a": Workspace("a", archived=True)}
    with pytest.raises(
        ConfigurationError,
        match=f"installed are: {', '.join(sorted([*BUILT_IN, 'mine', 'table', 'files']))}; presets are: agent-deck, ",
    ):
        load_schema("nobody")


def test_the_same_package_found_twice_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for place in ("one", "two"):
        install(tmp_path / place, "ours", {"other_host_2": THIRD_PARTY}, f"{GROUP}mine_twice = other_host_2:MINE\n")
        monkeypatch.syspath_prepend(tmp_path / place)
    assert load_schema("mine_twice").name == "mine"


@pytest.mark.parametrize(
    ("entry", "code", "text"),
    [
        (
            "broken = broken_host:MINE",
            "raise OSError('no licence')",
            r"'broken' \(broken_host:MINE\) cannot be loaded: OSError: no licence",
        ),
        ("empty = empty_host:MINE", "", "'empty' .* cannot be loaded: AttributeError"),
        ("wrong = wrong_host:MINE", "MINE = 7", "'wrong' is of type 'int', not a workspace_reaper.registry.Schema"),
    ],
    ids=["raises", "lacks", "no-schema"],
)
def test_a_third_party_that_can_not_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entry: str, code: str, text: str
) -> None:
    name, module = entry.partition(" ")[0], entry.partition("= ")[2].partition(":")[0]
    install(tmp_path, "ours", {module: code}, f"{GROUP}{entry}\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigurationError, match=f"^registry: {text}"):
        load_schema(name)


def test_two_packages_with_one_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "first", {"first_host": ""}, f"{GROUP}contested = first_host:MINE\n")
    install(tmp_path, "second", {"second_host": ""}, f"{GROUP}contested = second_host:MINE\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(
        ConfigurationError, match=r"several installed packages name 'contested' \(first_host:MINE, second_host:MINE\)"
    ):
        load_schema("contested")


def test_another_package_does_not_replace_a_built_in_registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "ours", {"other_host_3": THIRD_PARTY}, f"{GROUP}cao = other_host_3:MINE\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert load_schema("cao").name == "cao"


def test_a_package_with_malformed_entry_points_hides_no_registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "malformed", {}, f"no section and no equals sign\n{GROUP}name without value\n")
    (tmp_path / "binary-1.0.dist-info").mkdir()
    (tmp_path / "binary-1.0.dist-info" / "entry_points.txt").write_bytes(b"[\xff\xfe]\n")
    install(tmp_path, "ours", {"other_host_4": THIRD_PARTY}, f"{GROUP}mine_4 = other_host_4:MINE\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert {"cao", "mine_4", "standard", "vibe-kanban"} <= set(registry_names())
    assert load_schema("mine_4").name == "mine"
    assert load_schema("standard").name == "standard"


def test_a_source_tree_that_was_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def not_found(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(registry, "distribution", not_found)
    registry._own.cache_clear()
    try:
        assert load_schema("cao").name == "cao"
        assert registry._own() == ()
    finally:
        registry._own.cache_clear()


@pytest.mark.parametrize("name", BUILT_IN)
def test_each_built_in_registry_has_a_description_for_the_documentation(name: str) -> None:
    described = load_schema(name).describe()
    assert all(described)
    assert described.name == name
    assert "(?P<id>" in described.sessions


def test_naming_is_light() -> None:
    """Importing the package loads no database library."""
    code = (
        "import sys, workspace_reaper.registry; "
        "sys.exit(any(name in sys.modules for name in ('sqlmodel', 'sqlalchemy', 'sqlite3')))"
    )
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", code], env=environ, check=True)


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("/srv/db.sqlite", "/srv/db.sqlite"),
        ("sqlite:////srv/db.sqlite", "/srv/db.sqlite"),
        ("sqlite:////srv/a b/what?mode=rwc#1%20", "/srv/a b/what?mode=rwc#1%20"),
        ("/srv/a?b", "/srv/a?b"),
        ("sqlite:///here.sqlite", "HERE/here.sqlite"),
        ("here.sqlite", "HERE/here.sqlite"),
        ("sqlite:///~/db", "HERE/~/db"),
        ("~/db", "HOME/db"),
    ],
)
def test_path(url: str, path: str) -> None:
    assert path_of(url) == path.replace("HERE", str(Path.cwd())).replace("HOME", str(Path.home()))


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+asyncpg://me:secret@host/db",
        "mysql://me:secret@host/db",
        "sqlite://",
        "sqlite:db",
        "sqlite:/db",
        "file:/db?mode=rwc",
        "sqlite+pysqlite:////db",
        "SQLITE:///db",
    ],
)
def test_other_forms_are_refused(url: str) -> None:
    with pytest.raises(
        ConfigurationError, match=r"^database_url: .*sqlite:////absolute/path.*postgresql://user@host"
    ) as raised:
        path_of(url)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("url", ["Postgresql://me:secret@db/x", "POSTGRES://me:secret@db/x", "SQLite:///db"])
def test_the_scheme_is_in_lower_case(url: str) -> None:
    with pytest.raises(ConfigurationError, match="write the scheme in lower case") as raised:
        path_of(url)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    "url", ["postgresql://me:secret@db/x", "postgres://me:secret@db/x", "postgresql+psycopg://me:secret@db/x"]
)
def test_a_server_needs_the_extra(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    for opened in (open_registry, open_watcher):
        with pytest.raises(
            ConfigurationError, match=r"^database_url: .* pip install 'workspace-reaper\[postgres\]'$"
        ) as raised:
            opened(load_schema("standard"), url, {})
        assert "secret" not in str(raised.value)


@pytest.mark.parametrize("url", ["", "sqlite:///", ":memory:", "sqlite:///:memory:", "/a\0b"], ids=repr)
def test_no_file(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^database_url: names no file"):
        path_of(url)


def test_no_such_user() -> None:
    with pytest.raises(ConfigurationError, match=r"^database_url: there is no home directory for"):
        path_of("~nobody-of-that-name/db")


@pytest.mark.parametrize(
    ("environ", "current", "legacy"),
    [
        ({}, "bettercoding", "vibe-kanban"),
        ({"BC_CLI_TMUX_SOCKET": "mine"}, "mine", "mine-legacy"),
        ({"BC_CLI_TMUX_LEGACY_SOCKET": "old"}, "bettercoding", "old"),
        ({"BC_CLI_TMUX_SOCKET": "mine", "BC_CLI_TMUX_LEGACY_SOCKET": "old"}, "mine", "old"),
        ({"BC_CLI_TMUX_SOCKET": "mine", "BC_CLI_TMUX_LEGACY_SOCKET": "mine"}, "mine", None),
        ({"BC_CLI_TMUX_LEGACY_SOCKET": "bettercoding"}, "bettercoding", None),
        ({"BC_CLI_TMUX_SOCKET": "vibe-kanban"}, "vibe-kanban", "vibe-kanban-legacy"),
        ({"BC_CLI_TMUX_SOCKET": "", "BC_CLI_TMUX_LEGACY_SOCKET": ""}, "bettercoding", "vibe-kanban"),
    ],
    ids=["default", "current", "legacy", "both", "equal", "legacy-is-current", "current-is-old-name", "empty"],
)
def test_vibe_kanban_homes(environ: Mapping[str, str], current: str, legacy: str | None) -> None:
    expected = (Home(current, (BC,)), *((Home(legacy, (VK,)),) if legacy else ()))
    assert load_schema("vibe-kanban").homes(environ) == expected


@pytest.mark.parametrize("name", [f"bc_{HEX}", f"vk_{HEX}"])
def test_vibe_kanban_session_names(name: str) -> None:
    found = [re.fullmatch(pattern, name) for home in load_schema("vibe-kanban").homes({}) for pattern in home.patterns]
    assert [match["id"] for match in found if match] == [HEX]


@pytest.mark.parametrize(
    "name", [f"bc_{HEX[1:]}", f"bc_{HEX}0", f"bc_{HEX}-1", f"bc_{HEX}\n", f"xbc_{HEX}", f"bc_{UUID}", "bc_", "main"]
)
def test_vibe_kanban_names_of_others(name: str) -> None:
    assert not any(re.fullmatch(p, name) for home in load_schema("vibe-kanban").homes({}) for p in home.patterns)


@pytest.mark.parametrize("text", [HEX, UUID, HEX.upper(), UUID.upper()], ids=["hex", "hyphens", "HEX", "HYPHENS"])
def test_vibe_kanban_canonical(text: str) -> None:
    assert load_schema("vibe-kanban").canonical(text) == UUID


@pytest.mark.parametrize(
    "text", ["", HEX[1:], HEX + "0", UUID + "\n", "{" + UUID + "}", "urn:uuid:" + UUID, "g" * 32, "\u0661" * 32, "\udc80"]
)
def test_vibe_kanban_no_id(text: str) -> None:
    assert load_schema("vibe-kanban").canonical(text) is None


def test_vibe_kanban_data_directory(tmp_path: Path) -> None:
    environ = {"BC_DATA_DIR": str(tmp_path), "HOME": "/nowhere"}
    assert load_schema("vibe-kanban").default_database(environ) == str(tmp_path / "db.v2.sqlite")


@pytest.mark.parametrize(
    ("environ", "platform", "places"),
    [
        ({"HOME": "/h"}, "linux", ["/h/.local/share/bettercoding", "/h/.local/share/vibe-kanban"]),
        ({"HOME": "/h", "XDG_DATA_HOME": "/x"}, "linux", ["/x/bettercoding", "/x/vibe-kanban"]),
        ({"HOME": "/h", "XDG_DATA_HOME": "x"}, "linux", ["/h/.local/share/bettercoding", "/h/.local/share/vibe-kanban"]),
        (
            {"HOME": "/h", "XDG_DATA_HOME": "/x"},
            "darwin",
            ["/h/Library/Application Support/ai.bloop.bettercoding", "/h/Library/Application Support/ai.bloop.vibe-kanban"],
        ),
    ],
    ids=["linux", "xdg", "xdg-relative", "macos"],
)
def test_vibe_kanban_places(environ: Mapping[str, str], platform: str, places: list[str]) -> None:
    assert [str(place) for place in _places(environ, platform)] == [f"{place}/db.v2.sqlite" for place in places]


@pytest.mark.parametrize("there", [(0,), (1,), (0, 1)], ids=["bettercoding", "vibe-kanban", "both"])
def test_the_first_that_exists(tmp_path: Path, there: Sequence[int]) -> None:
    environ = {"HOME": str(tmp_path)}
    places = _places(environ, sys.platform)
    for index in there:
        places[index].parent.mkdir(parents=True)
        places[index].touch()
    assert load_schema("vibe-kanban").default_database(environ) == str(places[there[0]])


def test_none_exists(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path)}
    with pytest.raises(
        ConfigurationError, match=r"^database_url: not set, .* no database in .* and .*Set database_url"
    ) as raised:
        open_registry(load_schema("vibe-kanban"), None, environ)
    assert all(str(place) in str(raised.value) for place in _places(environ, sys.platform))


def test_a_place_that_can_not_be_inspected_is_not_passed_over(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path)}
    first, second = _places(environ, sys.platform)
    second.parent.mkdir(parents=True)
    second.touch()
    first.parent.write_text("a file where a directory should be")
    with pytest.raises(ConfigurationError, match=f"{re.escape(str(first))} cannot be inspected .* set database_url"):
        load_schema("vibe-kanban").default_database(environ)


def test_cao_homes() -> None:
    assert load_schema("cao").homes({}) == (Home("default", ("(?P<id>cao-.+)",)),)


@pytest.mark.parametrize(
    ("environ", "home"),
    [
        ({"HOME": "/h"}, "/h/.aws/cli-agent-orchestrator"),
        ({"HOME": "/h", "CAO_HOME_DIR": " "}, "/h/.aws/cli-agent-orchestrator"),
        ({"HOME": "/h", "CAO_HOME_DIR": "/srv/cao"}, "/srv/cao"),
        ({"CAO_HOME_DIR": "~/cao"}, str(Path.home() / "cao")),
    ],
    ids=["default", "blank", "set", "tilde"],
)
def test_cao_database(environ: Mapping[str, str], home: str) -> None:
    assert load_schema("cao").default_database(environ) == f"{home}/db/cli-agent-orchestrator.db"


def test_cao_canonical() -> None:
    assert load_schema("cao").canonical("cao-a b") == "cao-a b"
    assert load_schema("cao").canonical("") is None
    assert load_schema("cao").canonical("cao-\udc80") is None


@pytest.mark.parametrize(
    ("name", "found"), [("ws-a_B-1", "a_B-1"), ("ws--a", None), ("ws-", None), ("ws-a.b", None), ("xws-a", None)]
)
def test_standard_homes(name: str, found: str | None) -> None:
    (home,) = load_schema("standard").homes({})
    assert home.socket == "workspaces"
    match = re.fullmatch(home.patterns[0], name)
    assert (match["id"] if match else None) == found


def test_standard_database() -> None:
    assert load_schema("standard").default_database({}).endswith("workspace-reaper/workspaces.sqlite")


def test_standard_canonical() -> None:
    assert load_schema("standard").canonical("A.b") == "A.b"
    assert load_schema("standard").canonical("") is None


def test_a_host_writes_with_the_table_class(tmp_path: Path) -> None:
    path = tmp_path / "new" / "odd ?#% name"
    create_tables(path)
    create_tables(path)
    with Session(writable_engine(path)) as session:
        session.add(WorkspaceRow(id="a", name="A", pinned=True, worktree="/srv/a"))
        session.add(WorkspaceRow(id="b", running=True, deleted_at=datetime(2026, 11, 22, tzinfo=timezone.utc)))
        session.commit()
    answer = open_registry(load_schema("standard"), str(path), {}).look_up(["a", "b"], [])
    assert isinstance(answer, LookupResult)
    assert answer.found == {
        "a": Workspace("a", pinned=True, worktree="/srv/a"),
        "b": Workspace("b", running=True, deleted=True),
    }
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_our_tables_never_meet_a_host_s() -> None:
    assert not {"workspaces", "sessions", "terminals"} & SQLModel.metadata.tables.keys()
    assert set(WorkspaceRow.metadata.tables) == {"workspaces"}
