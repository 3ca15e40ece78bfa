"""How presets are found and parsed, and which registry a name means."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pytest

from tests.tools.distributions import install
from workspace_reaper.model.errors import ConfigurationError
from workspace_reaper.model.workspace import HostFiles, HostTable
from workspace_reaper.registry import Home, load_schema, open_registry, preset_names
from workspace_reaper.registry.expand import UnsetVariable, expand, variables_in
from workspace_reaper.registry.presets import find_preset
from workspace_reaper.registry.presets.parse import InvalidPreset, parse_preset

TABLE = """
title = "Mine"
record = ["$MINE_DB", "${MINE_HOME:-~/.mine}/[db].sqlite"]
sockets = ["${MINE_SOCKET:-mine}"]
patterns = ["m-(?P<id>[0-9]+)"]
[table]
name = "jobs"
id = "job_id"
id_type = "integer"
archived = "state = 'done'"
removes_worktree = false
any_row = ["archived"]
"""

FILES = """
title = "Mine"
record = ["~/.mine/state.json"]
sockets = ["default"]
patterns = ["m-(?P<id>.+)"]
[files]
items = "$.jobs"
id = "key"
id_type = "text"
"""


def parsed(text: str) -> object:
    return parse_preset("mine", Path("/p/mine.toml"), text)


def test_a_table() -> None:
    preset = parse_preset("mine", Path("/p/mine.toml"), TABLE)
    expected = HostTable("jobs", "job_id", "integer", archived="state = 'done'", removes_worktree=False, any_row=("archived",))
    assert (preset.title, preset.described, preset.page) == ("Mine", expected, None)
    assert preset.variables == {"MINE_DB", "MINE_HOME", "MINE_SOCKET"}


def test_files() -> None:
    preset = parse_preset("mine", Path("/p/mine.toml"), FILES)
    assert preset.described == HostFiles(("~/.mine/state.json",), "key", "text", items="$.jobs")


@pytest.mark.parametrize(
    ("environ", "places", "socket"),
    [
        ({"HOME": "/home/me"}, ["/home/me/.mine/[db].sqlite"], "mine"),
        ({"HOME": "/h[1]", "MINE_SOCKET": ""}, ["/h[[]1]/.mine/[db].sqlite"], "mine"),
        ({"MINE_DB": "/a*", "MINE_HOME": "/srv", "MINE_SOCKET": "/s[1]"}, ["/a[*]", "/srv/[db].sqlite"], "/s[1]"),
    ],
)
def test_places_and_sockets(environ: dict[str, str], places: list[str], socket: str) -> None:
    schema = load_preset(TABLE)
    assert list(schema.places(environ)) == places
    assert schema.homes(environ) == (Home(socket, ("m-(?P<id>[0-9]+)",)),)


def load_preset(text: str):
    from workspace_reaper.registry.schemas.preset import preset_schema

    return preset_schema(parse_preset("mine", Path("/p/mine.toml"), text))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('title = "Mine"', "title = Mine", "not valid TOML: "),
        ('title = "Mine"', "", "title: missing"),
        ('title = "Mine"', "title = 7", "title: 7: write a text in quotes"),
        ('title = "Mine"', 'titel = "Mine"', "titel: not a key of a preset: did you mean title?"),
        ('title = "Mine"', 'title = "Mine"\nxyz = 1', "xyz: not a key of a preset: remove it"),
        ('sockets = ["${MINE_SOCKET:-mine}"]', "", "sockets: missing: write a list of texts"),
        ('sockets = ["${MINE_SOCKET:-mine}"]', "sockets = []", "sockets: []: write a list of texts that are not empty"),
        ('sockets = ["${MINE_SOCKET:-mine}"]', 'sockets = "mine"', "sockets: 'mine': write a list"),
        ('sockets = ["${MINE_SOCKET:-mine}"]', 'sockets = ["$MINE"]', "sockets: each names a variable that may be unset"),
        ('"m-(?P<id>[0-9]+)"', '"m-(?P<id>"', "patterns: 'm-(?P<id>' is not a regular expression"),
        ('"m-(?P<id>[0-9]+)"', '"m-.+"', "patterns: 'm-.+' has no group 'id'"),
        ('record = ["$MINE_DB", ', 'record = ["mine.sqlite", ', "record: 'mine.sqlite' is not an absolute path"),
        ("[table]", "[tabel]", "tabel: not a key of a preset: did you mean table?"),
        ("[table]", "[files]", "files.name: not a key of a preset"),
        ("[table]", "[page]\n[table]", "page.source: missing"),
        ("[table]", "[files]\n[table]", "table, files: exactly one of the sections"),
        ('name = "jobs"', "", "table.name: missing"),
        ('name = "jobs"', 'name = "jobs"\nwher = "1"', "table.wher: not a key of a preset"),
        ('id_type = "integer"', 'id_type = "number"', "table.id_type: 'number': write text, "),
        ("archived = \"state = 'done'\"", 'archived = " "', "table: archived is ' '"),
        ("removes_worktree = false", "removes_worktree = 0", "table.removes_worktree: 0: write true or false"),
        ('any_row = ["archived"]', 'any_row = ["all"]', "table.any_row: 'all': write archived, "),
    ],
)
def test_what_a_preset_cannot_say(old: str, new: str, says: str) -> None:
    assert old in TABLE
    with pytest.raises(InvalidPreset, match=f"^{re.escape(says)}"):
        parsed(TABLE.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("state.json", "state.db", "record: '~/.mine/state.db' does not end in .json"),
        ('items = "$.jobs"', 'items = "jobs"', "files: items is 'jobs', which does not begin with '$'"),
        ('items = "$.jobs"', 'paths = ["/a.json"]', "files.paths: not a key of a preset"),
    ],
)
def test_what_a_preset_of_files_cannot_say(old: str, new: str, says: str) -> None:
    with pytest.raises(InvalidPreset, match=f"^{re.escape(says)}"):
        parsed(FILES.replace(old, new))


def own(tmp_path: Path, text: str, name: str = "mine") -> Path:
    folder = tmp_path / "presets"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.toml").write_text(text)
    (folder / f"{name}.toml").chmod(0o600)
    return folder


def test_a_preset_of_the_user(tmp_path: Path) -> None:
    folder = own(tmp_path, FILES)
    schema = load_schema("mine", preset_dir=folder)
    assert (schema.name, schema.server, schema.database) == ("mine", "Mine", "`~/.mine/state.json`")
    assert "mine" in preset_names(folder)
    assert "mine" not in preset_names()
    assert find_preset("mine") is None


def test_a_preset_of_the_user_comes_before_ours_and_ours_before_that_of_a_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = "[workspace_reaper.registries]\n"
    install(tmp_path, "theirs", {}, f"{group}claude-squad = nowhere:MINE\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert load_schema("claude-squad").server == "[claude-squad](hosts/claude-squad.md)"
    assert load_schema("claude-squad", preset_dir=own(tmp_path, FILES, "claude-squad")).server == "Mine"


def test_a_preset_of_the_user_replaces_no_registry_of_ours(tmp_path: Path) -> None:
    assert load_schema("cao", preset_dir=own(tmp_path, FILES, "cao")).server != "Mine"


@pytest.mark.parametrize("name", ["../mine", "Mine", "", ".mine", "mine.toml"])
def test_what_is_no_name_of_a_preset(tmp_path: Path, name: str) -> None:
    folder = own(tmp_path, FILES)
    (tmp_path / "mine.toml").write_text(FILES)
    assert find_preset(name, folder) is None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda file: file.write_text("title = 7"), "table, files: exactly one"),
        (lambda file: file.write_bytes(b"\xff"), "cannot be read"),
        (lambda file: file.chmod(0o666), "may be written by others"),
    ],
    ids=["invalid", "no text", "writable"],
)
def test_a_preset_of_the_user_that_cannot_be_used(tmp_path: Path, change, says: str) -> None:
    folder = own(tmp_path, FILES)
    change(folder / "mine.toml")
    with pytest.raises(ConfigurationError, match=rf"^registry: .*{folder}/mine\.toml.*{re.escape(says)}"):
        load_schema("mine", preset_dir=folder)


def test_an_unknown_registry_is_compared_with_presets(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load_schema("claude-squat", preset_dir=tmp_path)
    text = str(refused.value)
    assert "presets are: " in text
    assert "Did you mean 'claude-squad'? Otherwise write a preset" in text
    assert str(tmp_path / "NAME.toml") in text


@pytest.mark.parametrize("name", preset_names())
def test_each_preset_has_a_page_and_fits_the_documentation(name: str) -> None:
    preset = find_preset(name)
    assert preset is not None
    assert preset.page is not None
    assert preset.page.read >= date(2026, 8, 1)
    assert all(load_schema(name).describe())


def test_the_first_place_that_is_there(tmp_path: Path) -> None:
    schema = load_preset(TABLE)
    environ = {"MINE_DB": str(tmp_path / "a"), "MINE_HOME": str(tmp_path)}
    with pytest.raises(ConfigurationError, match=r"^database_url: not set, and Mine keeps nothing in .*/a or .*start it"):
        schema.default_database(environ)
    (tmp_path / "d.sqlite").touch()
    assert open_registry(schema, None, environ).location == f"{tmp_path}/[db].sqlite"
    (tmp_path / "a").touch()
    assert open_registry(schema, None, environ).location == f"{tmp_path}/a"
    assert open_registry(schema, "/other", environ).location == "/other"


def test_the_only_place_need_not_be_there(tmp_path: Path) -> None:
    registry = open_registry(load_preset(FILES), None, {"HOME": str(tmp_path)})
    assert registry.location == f"{tmp_path}/.mine/state.json"
    assert open_registry(load_preset(FILES), "~/x/*.json", {"HOME": "/h"}).location == "/h/x/*.json"
    with pytest.raises(ConfigurationError, match=r"^database_url: 'x.json' is not an absolute path"):
        open_registry(load_preset(FILES), "x.json", {})


@pytest.mark.parametrize(
    ("path", "expanded", "variables"),
    [
        ("~/x", "/home/me/x", set()),
        ("$A/x", "/a/x", {"A"}),
        ("${A}b/${B:-c}", "/ab/c", {"A", "B"}),
        ("${B:-~/x}/y", "/home/me/x/y", {"B"}),
        ("/x/$", "/x/$", set()),
        ("/x~/y", "/x~/y", set()),
        ("~", "/home/me", set()),
    ],
)
def test_expansion(path: str, expanded: str, variables: set[str]) -> None:
    assert expand(path, {"HOME": "/home/me", "A": "/a"}) == expanded
    assert set(variables_in(path)) == variables


def test_a_variable_that_is_not_set() -> None:
    with pytest.raises(UnsetVariable, match=r"^B$"):
        expand("$A/$B", {"A": "/a", "B": ""})
