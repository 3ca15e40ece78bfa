"""The settings: names, types, defaults and meaning of each, and where they come from.

Importing this module loads pydantic, which takes about a quarter of a second: import it late.
"""

from __future__ import annotations

import difflib
import json
import os
import reprlib
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import platformdirs
from pydantic import AfterValidator, BeforeValidator, Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from workspace_reaper.checks import checked_directory, checked_patterns, checked_sockets, expand_user
from workspace_reaper.durations import parse_duration, render_duration
from workspace_reaper.errors import ConfigurationError

__all__ = ["SettingDescription", "Settings", "describe_settings", "load_settings"]

_APPLICATION = "workspace-reaper"
_FILE_NAME = "workspace-reaper.toml"
_PREFIX = "WORKSPACE_REAPER_"
_FILE_VARIABLE = "WORKSPACE_REAPER_CONFIG"


@dataclass(frozen=True, slots=True)
class _Kind:
    """A type of setting as people know it. ``write`` completes the sentence "write …"."""

    name: str
    write: str
    json: bool = False


def _no_boolean(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError(f"{value!r} is no number")
    return value


def _own_state_directory() -> Path:
    return Path(platformdirs.user_state_dir(_APPLICATION, appauthor=False))


_DURATION = _Kind("duration", "seconds, or text such as 90s, 10m, 48h or 1h30m")
_INTERVAL = _Kind("duration", "more than zero seconds, or text such as 90s, 10m or 1h")
_SOCKETS = _Kind("list of text", 'socket names or absolute paths, such as ["default", "~/tmux.sock"]', json=True)
_PATTERNS = _Kind("list of text", "regular expressions with a group 'id', such as [\"ws_(?P<id>[0-9a-f]{32})\"]", json=True)

_Name = Annotated[str, Field(min_length=1), _Kind("text", "a name")]
_Url = Annotated[Annotated[str, Field(min_length=1)] | None, _Kind("text", "a URL")]
_Duration = Annotated[float, BeforeValidator(parse_duration), _DURATION]
_Interval = Annotated[float, BeforeValidator(parse_duration), Field(gt=0), _INTERVAL]
_Sockets = Annotated[tuple[str, ...] | None, AfterValidator(checked_sockets), _SOCKETS]
_Patterns = Annotated[tuple[str, ...] | None, AfterValidator(checked_patterns), _PATTERNS]
_Directory = Annotated[Path, AfterValidator(checked_directory), _Kind("path", "an absolute path, or one that begins with ~")]
_Count = Annotated[int, BeforeValidator(_no_boolean), Field(ge=1), _Kind("whole number", "a whole number of at least 1")]
_Survivors = Annotated[Literal["worktree", "all"], _Kind("word", "worktree or all")]
_Switch = Annotated[bool, _Kind("true or false", "true or false (or 1 or 0)")]


class Settings(BaseSettings):
    """All settings, checked. Durations are seconds, paths absolute, lists without repetition.

    The constructor looks at its arguments only, never at the environment or a file, and raises pydantic's
    ``ValidationError``: use ``load_settings`` for what a person has configured.
    """

    model_config = SettingsConfigDict(frozen=True, extra="forbid")

    database_url: _Url = Field(
        default=None,
        repr=False,  # it may hold a password
        description="The host's database: a URL such as `sqlite:////srv/app/db.sqlite`.",
        json_schema_extra={"default_text": "the registry's own"},
    )
    registry: _Name = Field(
        default="standard",
        description="How the host's tables look: `standard`, `vibe-kanban`, `cao`, or the name of an entry point in the "
        "group `workspace_reaper.registries`.",
    )
    tmux_sockets: _Sockets = Field(
        default=None,
        description="The tmux sockets to watch, as names (`tmux -L`) or absolute paths (`tmux -S`).",
        json_schema_extra={"default_text": "the registry's own"},
    )
    session_patterns: _Patterns = Field(
        default=None,
        description="Regular expressions for the whole name of a session, with a group `id` that yields the workspace's id. "
        "What matches none is never touched.",
        json_schema_extra={"default_text": "the registry's own"},
    )
    state_dir: _Directory = Field(
        default_factory=_own_state_directory,
        description="Where the reaper keeps its ledger, its lock and its snapshots.",
        json_schema_extra={"default_text": "the user's state directory"},
    )
    tick: _Interval = Field(default=60, description="The time between two sweeps.")
    idle_ttl: _Duration = Field(
        default=48 * 3600,
        description="How long a session may be idle: no client came, went or typed, no window had output, no process computed.",
    )
    min_age: _Duration = Field(default=120, description="A session younger than this is no orphan yet.")
    activity_grace: _Duration = Field(
        default=60, description="A session that was active within this time is not reaped, unless its workspace was deleted."
    )
    archived_ttl: _Duration = Field(
        default=24 * 3600,
        description="How long a session of an archived workspace may go on showing activity before it is reaped all the same.",
    )
    orphan_confirmations: _Count = Field(
        default=2, description="The number of full sweeps that must find a session without a row before it is reaped."
    )
    confirmation_gap: _Duration = Field(
        default=30, description="The least time between two sweeps that count as two confirmations."
    )
    stranger_ttl: _Duration = Field(
        default=12 * 3600,
        description="How long a session that the registry has never known must be idle before it may be reaped.",
    )
    dead_ttl: _Duration = Field(default=600, description="How long a session may stay once all its panes are dead.")
    kill_grace: _Duration = Field(
        default=5, description="The time between TERM and KILL for processes that outlive their session."
    )
    survivors: _Survivors = Field(
        default="worktree",
        description="Which processes that left their session's process tree are ended with it: `worktree` those whose working "
        "directory is inside the workspace's, `all` every one. Those left alone are reported.",
    )
    undo_window: _Duration = Field(
        default=0,
        description="How long before its end a session of an archived workspace, or an idle one, is announced: `undo`, an "
        "attach or `keep` takes it back. With 0 it goes at once.",
    )
    snapshots: _Switch = Field(
        default=True,
        description="Whether the panes of a session are kept before it is reaped, for `show` and `restore`.",
    )
    snapshot_lines: _Count = Field(default=10_000, description="At most this many lines are kept of each pane.")
    snapshot_days: _Count = Field(default=14, description="How many days a snapshot is kept.")
    snapshot_bytes: _Count = Field(
        default=1 << 30, description="How many bytes all snapshots may take, compressed. The oldest go first."
    )
    abstain_alarm: _Duration = Field(
        default=1800, description="A session that has been condemned but not reaped for longer than this raises an alarm."
    )
    max_orphans_per_hour: _Count = Field(default=50, description="At most this many orphans are reaped in an hour.")
    enabled: _Switch = Field(
        default=True, description="The off switch: with `false` nothing is looked at and nothing is reaped."
    )

    @property
    def configured(self) -> bool:
        """Somebody has said which workspaces to look at: ``database_url`` or ``registry`` was given, not defaulted."""
        return not self.model_fields_set.isdisjoint({"database_url", "registry"})

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003  pydantic-settings passes all of them by name
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The arguments, and nothing else: pydantic-settings ignores a misspelt variable and stops at the first bad one, so
        ``load_settings`` reads the variables itself."""
        return (init_settings,)


class SettingDescription(NamedTuple):
    """One setting as the documentation shows it, each field a text."""

    name: str
    type: str
    default: str
    description: str
    variable: str


def describe_settings() -> list[SettingDescription]:
    """Every setting, in the order in which the class declares them."""
    return [
        SettingDescription(name, _kind(name).name, _default_text(name), info.description or "", _variable(name))
        for name, info in Settings.model_fields.items()
    ]


def load_settings(config: Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings: a variable ``WORKSPACE_REAPER_<FIELD>`` wins over the TOML file.

    The file is ``config``, else what ``WORKSPACE_REAPER_CONFIG`` names, else ``workspace-reaper.toml`` in the user's
    configuration directory if it exists. ``environ`` is the process's own unless given; the user's directories always come
    from the process's own. Raises ``ConfigurationError``, which names every bad field, where it stands and what to write
    instead; a file that was named and is not there, or cannot be read, is an error too.
    """
    environ = os.environ if environ is None else environ
    file = _file(config, environ)
    in_file = {} if file is None else _read_file(file)
    in_environ, problems = _read_environ(environ)
    problems = [*_unknown_keys(in_file, file), *problems]
    values = {name: value for name, value in in_file.items() if name in Settings.model_fields} | in_environ
    try:
        settings = Settings(**values)
    except ValidationError as error:
        places = {name: _variable(name) if name in in_environ else str(file) for name in values}
        problems += _bad_values(error, places)
    if problems:
        raise ConfigurationError("; ".join(problems))
    return settings


def _variable(field: str) -> str:
    return _PREFIX + field.upper()


def _kind(field: str) -> _Kind:
    return next(item for item in Settings.model_fields[field].metadata if isinstance(item, _Kind))


def _default_text(field: str) -> str:
    info = Settings.model_fields[field]
    extra = info.json_schema_extra
    if isinstance(extra, dict):
        return str(extra["default_text"])
    if _kind(field).name == "duration":
        return render_duration(info.default)
    return str(info.default).lower() if isinstance(info.default, bool) else str(info.default)


def _file(config: Path | None, environ: Mapping[str, str]) -> Path | None:
    """The file to read, or None where none was named and the user has none."""
    if config is not None:
        return Path(expand_user(str(config)))
    if _FILE_VARIABLE in environ:
        if not environ[_FILE_VARIABLE]:
            raise ConfigurationError(f"{_FILE_VARIABLE} is empty: write the path of a TOML file, or unset it")
        return Path(expand_user(environ[_FILE_VARIABLE]))
    own = Path(platformdirs.user_config_dir(_APPLICATION, appauthor=False)) / _FILE_NAME
    try:
        own.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise _cannot_read(own, error.strerror) from error
    return own


def _cannot_read(file: Path, why: str | None) -> ConfigurationError:
    return ConfigurationError(
        f"the configuration file {file} cannot be read ({why}): name one that can, with --config or {_FILE_VARIABLE}"
    )


def _read_file(file: Path) -> dict[str, Any]:
    try:
        # pydantic-settings takes what is missing, or is no file, for an empty file.
        if not stat.S_ISREG(file.stat().st_mode):
            raise _cannot_read(file, "it is no regular file")
        return dict(TomlConfigSettingsSource(Settings, toml_file=file).toml_data)
    except OSError as error:
        raise _cannot_read(file, error.strerror) from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(f"{file}, line {line}: not UTF-8 text: write the file in UTF-8") from error
    except ValueError as error:  # TOMLDecodeError, of tomllib or of tomli, whose text tells line and column
        raise ConfigurationError(f"{file} is no TOML: {error}") from error


def _read_environ(environ: Mapping[str, str]) -> tuple[dict[str, Any], list[str]]:
    """The values that the environment has for our fields, and what is wrong with its other variables of our name."""
    fields = {_variable(name): name for name in Settings.model_fields}
    values: dict[str, Any] = {}
    problems = []
    for variable, text in environ.items():
        if not variable.upper().startswith(_PREFIX) or variable == _FILE_VARIABLE:
            continue
        if variable not in fields:
            known = _nearest(variable.upper(), [*fields, _FILE_VARIABLE])
            problems.append(f"the environment variable {variable} is no setting: {known or 'unset it'}")
            continue
        try:
            values[fields[variable]] = json.loads(text) if _kind(fields[variable]).json else text
        except ValueError:
            problems.append(_problem(fields[variable], variable, f"{text!r} is no JSON"))
    return values, problems


def _unknown_keys(values: Mapping[str, Any], file: Path | None) -> list[str]:
    return [
        f"{key} ({file}) is no setting: {_nearest(key, Settings.model_fields) or 'remove it'}"
        for key in values
        if key not in Settings.model_fields
    ]


def _nearest(name: str, known: Iterable[str]) -> str | None:
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]}?" if close else None


def _bad_values(error: ValidationError, places: Mapping[str, str]) -> list[str]:
    """One phrase for each bad field. The value of a field without a repr is never shown: it may hold a password."""
    found: dict[str, str] = {}
    for item in error.errors(include_url=False):
        field = str(item["loc"][0])
        cause = item.get("ctx", {}).get("error")
        value = reprlib.repr(item["input"]) if Settings.model_fields[field].repr else "its value"
        found.setdefault(field, str(cause) if isinstance(cause, ValueError) else f"{value} is refused")
    return [_problem(field, places[field], text) for field, text in found.items()]


def _problem(field: str, place: str, text: str) -> str:
    kind = _kind(field)
    list_text = " as a JSON list" if kind.json and place.startswith(_PREFIX) else ""
    return f"{field} ({place}): {text}: write {kind.write}{list_text}"
