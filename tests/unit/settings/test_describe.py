"""The settings that describe a table: what they need, and how a slip is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import pytest

from workspace_reaper.model.errors import ConfigurationError
from workspace_reaper.model.workspace import HostFiles, HostTable, IdInSession, IdType
from workspace_reaper.settings import Settings, load_settings
from workspace_reaper.settings.describe import kind_of

FULL = """
registry = "table"
database_url = "postgresql://me:secret@db/app"
tmux_sockets = ["app"]
session_patterns = ["app-(?P<id>[0-9a-f]{32})"]
[table]
name = "public.tasks"
id = "id"
id_type = "uuid"
id_in_session = "hex"
archived = "status = 'archived'"
deleted = "deleted_at IS NOT NULL"
running = "is_running"
"""
MISSING = 'registry (FILE): "table" needs table, session_patterns, tmux_sockets, database_url: set them'


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own, so that the user's own configuration plays no part."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path


def load(home: Path, text: str, **environ: str) -> Settings:
    file = home / "reaper.toml"
    file.write_text(text)
    return load_settings(file, {f"WORKSPACE_REAPER_{name}": value for name, value in environ.items()})


def refusal(home: Path, text: str, **environ: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load(home, text, **environ)
    assert "secret" not in str(caught.value)
    return str(caught.value).replace(str(home / "reaper.toml"), "FILE")


def with_table(line: str) -> str:
    key = line.partition(" ")[0]
    lines = [kept for kept in FULL.splitlines() if not kept.startswith(f"{key} ")]
    return "\n".join([*lines, line])


def test_a_table(home: Path) -> None:
    assert load(home, FULL).table == HostTable(
        name="public.tasks",
        id="id",
        id_type="uuid",
        id_in_session="hex",
        archived="status = 'archived'",
        deleted="deleted_at IS NOT NULL",
        running="is_running",
    )


def test_in_the_environment_it_replaces_the_whole_table(home: Path) -> None:
    told = {"name": "others", "id": "key", "id_type": "integer"}
    assert load(home, FULL, TABLE=json.dumps(told)).table == HostTable("others", "key", "integer")


def test_what_is_missing_beside_it(home: Path) -> None:
    assert refusal(home, 'registry = "table"') == MISSING
    without = FULL.replace('tmux_sockets = ["app"]', "")
    assert refusal(home, without) == 'registry (FILE): "table" needs tmux_sockets: set it'
    by_variable = refusal(home, "", REGISTRY="table")
    assert by_variable == MISSING.replace("FILE", "WORKSPACE_REAPER_REGISTRY")
    assert load(home, without, TMUX_SOCKETS='["x"]').tmux_sockets == ("x",)


def test_described_for_another_registry(home: Path) -> None:
    text = refusal(home, FULL.replace('registry = "table"', ""))
    assert text == 'table (FILE): set, but registry is another one: write registry = "table", or remove [table]'


@pytest.mark.parametrize(
    ("line", "says"),
    [
        pytest.param("id = 7", "table.id (FILE): 7 is refused: write the name of a table or a column, or", id="number"),
        pytest.param("archived = true", "table.archived (FILE): True is refused: write the name", id="boolean"),
        pytest.param('id = " "', "table (FILE): id is ' ': write the keys that describe it, such as {", id="blank"),
        pytest.param('archived = ""', "table (FILE): archived is '': write ", id="empty"),
        pytest.param(
            'id_type = "guid"', "table.id_type (FILE): 'guid' is refused: write text, uuid, uuid-hex, uuid-b", id="type"
        ),
        pytest.param('id_in_session = "short"', "table.id_in_session (FILE): 'short' is refused: write text or hex", id="form"),
        pytest.param(
            'id_type = "integer"', "table (FILE): id_in_session is 'hex', which is for UUIDs, and id_type is", id="hex"
        ),
        pytest.param('archivd = "x"', "table.archivd (FILE) is not a setting: did you mean archived?", id="misspelt"),
        pytest.param('zzzzzz = "x"', "table.zzzzzz (FILE) is not a setting: remove it", id="unlike any"),
        pytest.param(
            'db_pass = "x"', "table.db_pass (FILE) is not a setting: write the password into ~/.pgpass", id="password"
        ),
        pytest.param(
            'database_url = "x"', "table.database_url (FILE) is a setting of its own: move the line above [table]", id="setting"
        ),
    ],
)
def test_a_bad_key(home: Path, line: str, says: str) -> None:
    assert refusal(home, with_table(line)).startswith(says)


def test_a_setting_in_the_variable_of_the_table(home: Path) -> None:
    table = {"name": "tasks", "id": "id", "id_type": "uuid", "tick": 5}
    assert refusal(home, FULL, TABLE=json.dumps(table)) == (
        "table.tick (WORKSPACE_REAPER_TABLE) is a setting of its own: set WORKSPACE_REAPER_TICK"
    )


def test_missing_keys(home: Path) -> None:
    text = refusal(home, FULL.partition("[table]")[0] + "[table]\nname = 'tasks'")
    assert text.startswith("table.id (FILE): is missing: write the name of a table or a column")
    assert "; table.id_type (FILE): is missing: write text, uuid" in text


@pytest.mark.parametrize("table", ["[]", '"tasks"', "7"])
def test_what_is_no_table(home: Path, table: str) -> None:
    text = refusal(home, FULL, TABLE=table)
    assert text.startswith("table (WORKSPACE_REAPER_TABLE): ")
    assert " is refused: write the keys that describe it" in text
    assert text.endswith(" as JSON")


def test_no_json(home: Path) -> None:
    assert refusal(home, FULL, TABLE="tasks").startswith("table (WORKSPACE_REAPER_TABLE): 'tasks' is not JSON: write ")


@pytest.mark.parametrize(("key", "words"), [("id_type", IdType), ("id_in_session", IdInSession)])
def test_the_words_are_those_that_there_are(key: str, words: Any) -> None:
    *first, last = get_args(words)
    assert kind_of(f"table.{key}").write == f"{', '.join(first)} or {last}"


FILES = """
registry = "files"
tmux_sockets = ["default"]
session_patterns = ["app_(?P<id>.+)"]
[files]
paths = ["~/.app/state.json"]
items = "$.instances"
id = "value->>'title'"
id_type = "text"
archived = "value->>'status' = 'paused'"
"""


def test_files(home: Path) -> None:
    assert load(home, FILES).files == HostFiles(
        ("~/.app/state.json",), "value->>'title'", "text", items="$.instances", archived="value->>'status' = 'paused'"
    )


def test_files_in_the_environment(home: Path) -> None:
    told = {"paths": ["/a.json"], "id": "key", "id_type": "text"}
    assert load(home, FILES, FILES=json.dumps(told)).files == HostFiles(("/a.json",), "key", "text")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("[files]", "[file]", "file (FILE) is not a setting: did you mean files?"),
        (
            'registry = "files"',
            'registry = "standard"',
            'files (FILE): set, but registry is another one: write registry = "files"',
        ),
        ("[files]", "[files]\ntick = 5", "files.tick (FILE) is a setting of its own: move the line above [files]"),
        ("items = ", "item = ", "files.item (FILE) is not a setting: did you mean items?"),
        ('items = "$.instances"', 'items = "instances"', "files (FILE): items is 'instances', which does not begin with '$'"),
        ('items = "$.instances"', 'items = ""', "files (FILE): items is ''"),
        ('["~/.app/state.json"]', "[]", "files (FILE): paths is []"),
        ('["~/.app/state.json"]', '["", "/a.json"]', "files (FILE): paths is ['', '/a.json']"),
        (
            '["~/.app/state.json"]',
            '"~/.app/state.json"',
            "files.paths (FILE): '~/.app/state.json' is refused: write paths such as",
        ),
        ('id_type = "text"', 'id_type = "guid"', "files.id_type (FILE): 'guid' is refused: write text, uuid"),
        ('id_type = "text"', "", "files.id_type (FILE): is missing: write text, uuid"),
    ],
)
def test_a_bad_key_of_files(home: Path, old: str, new: str, says: str) -> None:
    assert says in refusal(home, FILES.replace(old, new))


def test_files_have_no_database(home: Path) -> None:
    told = 'database_url (FILE): set, but registry = "files" reads no database: remove it'
    assert refusal(home, FILES.replace("[files]", 'database_url = "/x.sqlite"\n[files]')) == told
    by_variable = refusal(home, FILES, DATABASE_URL="/x.sqlite")
    assert by_variable == told.replace("FILE", "WORKSPACE_REAPER_DATABASE_URL")


def test_what_files_need(home: Path) -> None:
    missing = 'registry (FILE): "files" needs files, session_patterns, tmux_sockets: set them'
    assert refusal(home, 'registry = "files"') == missing
    assert (
        refusal(home, FILES.replace('tmux_sockets = ["default"]', "")) == 'registry (FILE): "files" needs tmux_sockets: set it'
    )
    both = refusal(home, FILES + FULL[FULL.index("[table]") :])
    assert both == 'table (FILE): set, but registry is another one: write registry = "table", or remove [table]'
