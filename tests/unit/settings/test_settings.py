"""Settings: where they come from, which are refused, and with what words."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import platformdirs
import pytest
from pydantic import ValidationError

from workspace_reaper.model.errors import ConfigurationError
from workspace_reaper.model.workspace import HostFiles, HostTable
from workspace_reaper.settings import Settings, describe_settings, load_settings, load_usable_settings

DEFAULTS = {
    "database_url": None,
    "registry": "standard",
    "table": None,
    "files": None,
    "tmux_sockets": None,
    "session_patterns": None,
    "tick": 60.0,
    "idle_ttl": 172_800.0,
    "min_age": 120.0,
    "activity_grace": 60.0,
    "archived_ttl": 86_400.0,
    "orphan_confirmations": 2,
    "confirmation_gap": 30.0,
    "idle_clocks": ("input", "attach", "detach", "output", "cpu"),
    "stranger_ttl": 43_200.0,
    "dead_ttl": 600.0,
    "kill_grace": 5.0,
    "survivors": "worktree",
    "undo_window": 0.0,
    "snapshots": True,
    "snapshot_lines": 10_000,
    "snapshot_days": 14,
    "snapshot_bytes": 1 << 30,
    "abstain_alarm": 1800.0,
    "canary_every": 0.0,
    "max_orphans_per_hour": 50,
    "log_format": "keyvalue",
    "enabled": True,
}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own, so that the user's own configuration plays no part."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path


@pytest.fixture
def own_file(home: Path) -> Path:
    """The file in the user's configuration directory, not written yet."""
    path = Path(platformdirs.user_config_dir("workspace-reaper", appauthor=False)) / "workspace-reaper.toml"
    assert path.is_relative_to(home)
    path.parent.mkdir(parents=True)
    return path


def toml(home: Path, text: str) -> Path:
    path = home / "reaper.toml"
    path.write_text(text)
    return path


def refusal(config: Path | None = None, environ: dict[str, str] | None = None) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(config, environ or {})
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_defaults(home: Path) -> None:
    settings = load_settings(environ={})
    assert {name: getattr(settings, name) for name in DEFAULTS} == DEFAULTS
    assert settings.state_dir == Path(platformdirs.user_state_dir("workspace-reaper", appauthor=False))
    assert settings.state_dir.is_relative_to(home)
    assert settings.preset_dir == Path(platformdirs.user_config_dir("workspace-reaper", appauthor=False)) / "presets"
    assert {*DEFAULTS, "preset_dir", "state_dir"} == set(Settings.model_fields)


def test_presets_are_next_to_the_file_unless_they_are_named(home: Path) -> None:
    assert load_settings(toml(home, ""), {}).preset_dir == home / "presets"
    assert load_settings(toml(home, 'preset_dir = "~/mine"'), {}).preset_dir == home / "mine"
    assert load_settings(toml(home, ""), {"WORKSPACE_REAPER_PRESET_DIR": "/srv/presets"}).preset_dir == Path("/srv/presets")
    assert refusal(toml(home, 'preset_dir = "mine"')).startswith("preset_dir (")


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        load_settings(environ={}).tick = 1.0


def test_the_constructor_reads_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKSPACE_REAPER_REGISTRY", "cao")
    monkeypatch.setenv("REGISTRY", "cao")
    assert Settings().registry == "standard"


def test_the_process_environment_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKSPACE_REAPER_REGISTRY", "cao")
    assert load_settings().registry == "cao"


def test_the_environment_wins_over_the_file(home: Path) -> None:
    file = toml(home, 'registry = "cao"\nidle_ttl = "1h"\ntmux_sockets = ["one"]\n')
    settings = load_settings(file, {"WORKSPACE_REAPER_IDLE_TTL": "2h", "WORKSPACE_REAPER_TMUX_SOCKETS": '["two", "~/three"]'})
    assert settings.registry == "cao"
    assert settings.idle_ttl == 7200.0
    assert settings.tmux_sockets == ("two", f"{home}/three")


def test_a_variable_may_be_null(home: Path) -> None:
    file = toml(home, 'tmux_sockets = ["one"]\n')
    assert load_settings(file, {"WORKSPACE_REAPER_TMUX_SOCKETS": "null"}).tmux_sockets is None


def test_the_users_own_file_is_read(own_file: Path) -> None:
    own_file.write_text('registry = "cao"\n')
    assert load_settings(environ={}).registry == "cao"


def test_the_variable_names_another_file(own_file: Path, home: Path) -> None:
    own_file.write_text("no TOML")
    toml(home, "tick = 7\n")
    assert load_settings(environ={"WORKSPACE_REAPER_CONFIG": "~/reaper.toml"}).tick == 7.0


def test_the_argument_wins_over_the_variable(home: Path) -> None:
    file = toml(home, "tick = 7\n")
    assert load_settings(file, {"WORKSPACE_REAPER_CONFIG": "/nowhere/at/all.toml"}).tick == 7.0


def test_an_empty_file_is_a_file(home: Path) -> None:
    assert load_settings(toml(home, ""), {}) == Settings(preset_dir=home / "presets")


def test_no_configuration_directory_at_all(home: Path) -> None:
    (home / "config").write_text("a file where the directory would be")
    assert not load_settings(environ={}).configured


@pytest.mark.parametrize("by", ["argument", "variable"])
@pytest.mark.parametrize(
    ("make", "why"),
    [
        pytest.param(lambda path: None, "No such file or directory", id="missing"),
        pytest.param(lambda path: path.mkdir(), "not a regular file", id="directory"),
        pytest.param(lambda path: path.symlink_to(path), "symbolic links", id="loop"),
    ],
)
def test_a_named_file_that_cannot_be_read(home: Path, make, why: str, by: str) -> None:
    path = home / "named.toml"
    make(path)
    text = refusal(path) if by == "argument" else refusal(environ={"WORKSPACE_REAPER_CONFIG": str(path)})
    assert str(path) in text
    assert why in text
    assert "--config" in text


def test_the_users_own_file_dangles(own_file: Path) -> None:
    own_file.symlink_to(own_file.with_name("gone.toml"))
    assert f"{own_file} cannot be read (No such file or directory)" in refusal()


def test_the_users_own_file_cannot_be_inspected(home: Path) -> None:
    (home / "config").symlink_to(home / "config")
    assert "workspace-reaper.toml cannot be read" in refusal()


def test_an_empty_name_of_a_file() -> None:
    assert refusal(environ={"WORKSPACE_REAPER_CONFIG": ""}).startswith("WORKSPACE_REAPER_CONFIG is empty: write ")


def test_bad_toml_names_file_and_line(home: Path) -> None:
    file = toml(home, "tick = 7\nidle_ttl = 48h\n")
    text = refusal(file)
    assert text.startswith(f"{file} is not valid TOML: ")
    assert "line 2" in text


@pytest.mark.parametrize("line", ["enabled = False", "registry = cao", "tick = 1m"])
def test_bad_toml_says_how_values_are_written(home: Path, line: str) -> None:
    text = refusal(toml(home, f"\n{line}\n"))
    assert "line 2" in text
    assert text.endswith("TOML writes true and false in lower case, and text in quotes")


def test_a_file_in_another_encoding_names_file_and_line(home: Path) -> None:
    file = toml(home, "")
    file.write_bytes("tick = 7\n# für\n".encode("latin-1"))
    assert refusal(file) == f"{file}, line 2: not UTF-8 text: write the file in UTF-8"


@pytest.mark.parametrize(
    ("key", "advice"),
    [
        pytest.param("idle_tll = 1", "idle_tll ({file}) is not a setting: did you mean idle_ttl?", id="misspelt"),
        pytest.param("idle-ttl = 1", "idle-ttl ({file}) is not a setting: did you mean idle_ttl?", id="hyphen"),
        pytest.param("zzzzzz = 1", "zzzzzz ({file}) is not a setting: remove it", id="unlike any"),
        pytest.param(
            "[reaper]\ntick = 1",
            "reaper ({file}) is not a setting: the settings are not in a section: delete the line [reaper]",
            id="section",
        ),
        pytest.param("[tabel]\nid = 1", "tabel ({file}) is not a setting: did you mean table?", id="misspelt section"),
        pytest.param(
            'password = "x"',
            "password ({file}) is not a setting: write the password into ~/.pgpass, PGPASSWORD or database_url",
            id="password",
        ),
    ],
)
def test_an_unknown_key(home: Path, key: str, advice: str) -> None:
    file = toml(home, key)
    assert refusal(file) == advice.format(file=file)


@pytest.mark.parametrize(
    ("variable", "advice"),
    [
        pytest.param("WORKSPACE_REAPER_ENABLD", "did you mean WORKSPACE_REAPER_ENABLED?", id="misspelt"),
        pytest.param("workspace_reaper_enabled", "did you mean WORKSPACE_REAPER_ENABLED?", id="lower case"),
        pytest.param("WORKSPACE_REAPER_CONFIGG", "did you mean WORKSPACE_REAPER_CONFIG?", id="file"),
        pytest.param("WORKSPACE_REAPER_" + "Z" * 60, "unset it", id="unlike any"),
        pytest.param(
            "WORKSPACE_REAPER_PGPASSWORD",
            "write the password into ~/.pgpass, PGPASSWORD or database_url",
            id="password",
        ),
    ],
)
def test_an_unknown_variable(variable: str, advice: str) -> None:
    assert refusal(environ={variable: "0"}) == f"the environment variable {variable} is not a setting: {advice}"


def test_foreign_variables_are_let_alone() -> None:
    assert load_settings(environ={"WORKSPACE_PLUGINS_BLOCK": "x", "TICK": "x", "PATH": "/bin"}) == Settings()


@pytest.mark.parametrize("word", ["0", "false", "off", "no", "False"])
def test_the_off_switch(word: str) -> None:
    assert load_settings(environ={"WORKSPACE_REAPER_ENABLED": word}).enabled is False


@pytest.mark.parametrize("word", ["maybe", "", "2", "-1", "disabled"])
def test_a_bad_off_switch_refuses_to_start(word: str) -> None:
    text = refusal(environ={"WORKSPACE_REAPER_ENABLED": word})
    assert text == f"enabled (WORKSPACE_REAPER_ENABLED): {word!r} is refused: write true or false (or 1 or 0)"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        pytest.param("tick = 0", "0 is refused", id="tick of zero"),
        pytest.param("tick = -1", "-1 is not a length of time", id="negative"),
        pytest.param("min_age = nan", "nan is not a length of time", id="nan"),
        pytest.param("idle_ttl = inf", "inf is longer than 36500d", id="infinite"),
        pytest.param("idle_ttl = true", "True is not a duration", id="boolean duration"),
        pytest.param('dead_ttl = "10 minutes"', "'10 minutes' is not a duration", id="words"),
        pytest.param("abstain_alarm = []", "[] is not a duration", id="list"),
        pytest.param("orphan_confirmations = 0", "0 is refused", id="no confirmation"),
        pytest.param("orphan_confirmations = true", "True is not a number", id="boolean number"),
        pytest.param("max_orphans_per_hour = 1.5", "1.5 is refused", id="fraction"),
        pytest.param('registry = ""', "'' is refused", id="no registry"),
        pytest.param("registry = 1", "1 is refused", id="registry is a number"),
        pytest.param('database_url = ""', "its value is refused", id="no database"),
        pytest.param("idle_clocks = []", "an empty list would leave nothing that counts as activity", id="no idle clock"),
        pytest.param('idle_clocks = ["output", "keys"]', "'keys' is refused: write some of [", id="an unknown idle clock"),
        pytest.param('idle_clocks = "output"', "'output' is refused", id="idle clocks as text"),
        pytest.param("tmux_sockets = []", "an empty list would watch nothing", id="no socket"),
        pytest.param('tmux_sockets = "one"', "'one' is refused", id="socket is text"),
        pytest.param("tmux_sockets = [1]", "1 is refused", id="socket is a number"),
        pytest.param('tmux_sockets = ["a/b"]', "'a/b' is neither a name nor an absolute path", id="relative socket"),
        pytest.param('tmux_sockets = [".."]', "'..' is neither", id="socket is a directory"),
        pytest.param('tmux_sockets = ["ok", ""]', "'' is neither", id="socket without a name"),
        pytest.param('tmux_sockets = ["~nobody-of-that-name/s"]', "is neither", id="socket of an unknown user"),
        pytest.param('tmux_sockets = ["/a\\u0000b"]', "is neither", id="socket with NUL"),
        pytest.param("session_patterns = []", "an empty list would manage nothing", id="no pattern"),
        pytest.param('session_patterns = ["(?P<id>x"]', "'(?P<id>x' is not a regular expression (missing )", id="pattern"),
        pytest.param(
            'session_patterns = ["(?P<id>x{99999999999999999999})"]', "is not a regular expression", id="huge pattern"
        ),
        pytest.param('session_patterns = ["(?P<ID>x)"]', "'(?P<ID>x)' has no group 'id'", id="pattern without id"),
        pytest.param('log_format = "xml"', "'xml' is refused", id="log format"),
        pytest.param('state_dir = "var/reaper"', "'var/reaper' is not an absolute path", id="relative directory"),
        pytest.param('state_dir = ""', "is not an absolute path", id="no directory"),
        pytest.param('state_dir = "/a\\u0000b"', "is not an absolute path", id="directory with NUL"),
        pytest.param("state_dir = 1", "1 is refused", id="directory is a number"),
    ],
)
def test_a_bad_value_names_field_place_and_remedy(home: Path, line: str, says: str) -> None:
    file = toml(home, line)
    text = refusal(file)
    assert text.startswith(f"{line.split(maxsplit=1)[0]} ({file}): ")
    assert says in text
    assert ": write " in text


def test_every_bad_value_is_named_at_once(home: Path) -> None:
    file = toml(home, 'tick = -1\nregistry = 5\nunknown = 1\nmin_age = "x"\n')
    environ = {"WORKSPACE_REAPER_MIN_AGE": "y", "WORKSPACE_REAPER_TMUX_SOCKETS": "default", "WORKSPACE_REAPER_NOTHING": "1"}
    text = refusal(file, environ)
    assert f"unknown ({file})" in text
    assert "variable WORKSPACE_REAPER_NOTHING" in text
    assert f"tick ({file})" in text
    assert f"registry ({file})" in text
    assert "min_age (WORKSPACE_REAPER_MIN_AGE): 'y'" in text
    assert "tmux_sockets (WORKSPACE_REAPER_TMUX_SOCKETS): 'default' is not JSON: write " in text
    assert text.count("; ") == 5


def test_a_list_in_a_variable_is_asked_for_as_json() -> None:
    text = refusal(environ={"WORKSPACE_REAPER_SESSION_PATTERNS": '["x"]'})
    assert text.startswith("session_patterns (WORKSPACE_REAPER_SESSION_PATTERNS): 'x' has no group 'id': write ")
    assert text.endswith("as a JSON list")


def test_a_password_is_never_shown() -> None:
    settings = Settings(database_url="postgresql://me:secret@db/x")
    assert "secret" not in repr(settings) + str(settings)
    assert "secret" not in refusal(environ={"WORKSPACE_REAPER_DATABASE_URL": "", "WORKSPACE_REAPER_TICK": "x"})


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        pytest.param(["b", "a", "b"], ("b", "a"), id="each once, in order"),
        pytest.param(["/tmp/a b"], ("/tmp/a b",), id="absolute"),
        pytest.param(None, None, id="the registry's own"),
    ],
)
def test_sockets(given: list[str] | None, kept: tuple[str, ...] | None) -> None:
    assert Settings(tmux_sockets=given).tmux_sockets == kept


def test_paths_begin_at_home(home: Path) -> None:
    assert Settings(state_dir="~/here").state_dir == home / "here"
    assert Settings(session_patterns=[r"ws_(?P<id>\d+)"]).session_patterns == (r"ws_(?P<id>\d+)",)


@pytest.mark.parametrize(
    ("environ", "configured"),
    [
        pytest.param({}, False, id="nothing"),
        pytest.param({"WORKSPACE_REAPER_TICK": "5"}, False, id="something else"),
        pytest.param({"WORKSPACE_REAPER_REGISTRY": "standard"}, True, id="the default, but said"),
        pytest.param({"WORKSPACE_REAPER_DATABASE_URL": "sqlite:////x"}, True, id="a database"),
    ],
)
def test_configured(environ: dict[str, str], configured: bool) -> None:
    assert load_settings(environ=environ).configured is configured


def test_configured_in_the_file(home: Path) -> None:
    assert load_settings(toml(home, 'registry = "cao"'), {}).configured


def test_every_setting_is_described() -> None:
    described = {item.name: item for item in describe_settings()}
    keys = [f"table.{field.name}" for field in fields(HostTable)]
    of_files = [f"files.{field.name}" for field in fields(HostFiles)]
    assert [name for name in described if "." not in name] == list(Settings.model_fields)
    assert list(described)[list(described).index("table") + 1 :][: len(keys)] == keys
    assert list(described)[list(described).index("files") + 1 :][: len(of_files)] == of_files
    for name, item in described.items():
        assert item.variable == "WORKSPACE_REAPER_" + name.partition(".")[0].upper()
        assert item.description.endswith(".")
        assert all(item)
        assert not any("|" in text or "\n" in text for text in item)
    assert described["idle_ttl"].default == "48h"
    assert described["enabled"].default == "true"
    assert described["orphan_confirmations"].default == "2"
    assert [described[f"table.{key}"].default for key in ("id", "id_in_session", "archived")] == ["needed", "text", "none"]
    assert described["table.id_type"].type == "word"
    assert described["state_dir"].default == "the user's state directory"


@pytest.mark.parametrize(
    ("text", "names_host", "tick"),
    [
        ('registry = "cao"\ntick = 5', True, 5.0),
        ('registry = "cao"\ntick = "often"', True, 60.0),
        ('registry = "cao"\nunknown = 1\ntick = 5', True, 5.0),
        ("registry = 7\ntick = 5", False, 5.0),
        ('registry = "postgresql://me:pw@host/db"\ntick = 5', False, 5.0),
        ('registry = "table"\ntick = 5', False, 5.0),
        ('database_url = ""\ntick = 5', False, 5.0),
        ("[[[", False, 60.0),
    ],
    ids=["fine", "a value", "a key", "the registry", "a URL as the registry", "no table", "the URL", "no TOML"],
)
def test_what_can_be_used_of_a_configuration(home: Path, text: str, names_host: bool, tick: float) -> None:
    file = home / "some.toml"
    file.write_text(text)
    file.chmod(0o600)
    usable = load_usable_settings(file, {})
    assert (usable.names_host, usable.settings.tick) == (names_host, tick)
    assert (usable.problem is None) is text.startswith('registry = "cao"\ntick = 5')


def test_what_load_settings_raises_is_the_problem(home: Path) -> None:
    file = home / "some.toml"
    file.write_text('tick = "often"\nunknown = 1')
    file.chmod(0o600)
    with pytest.raises(ConfigurationError) as refused:
        load_settings(file, {})
    assert str(refused.value) == load_usable_settings(file, {}).problem
