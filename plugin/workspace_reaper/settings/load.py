"""Reads the settings from a file and the environment. An error names the setting, where it is set, and what to write."""

from __future__ import annotations

import difflib
import json
import os
import reprlib
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import platformdirs
from pydantic import ValidationError
from pydantic_settings import TomlConfigSettingsSource

from workspace_reaper.model.errors import ConfigurationError
from workspace_reaper.settings.describe import PREFIX, SECTIONS, kind_of, variable_of
from workspace_reaper.settings.settings import APPLICATION, Settings
from workspace_reaper.settings.types import expand_user
from workspace_reaper.util.passwords import may_contain_password, names_password
from workspace_reaper.util.permissions import check_permissions
from workspace_reaper.util.text import printable

_FILE_NAME = "workspace-reaper.toml"
_FILE_VARIABLE = "WORKSPACE_REAPER_CONFIG"
# Without one of these, the others name another host than the user's.
_NAME_HOST = ("registry", "database_url", *SECTIONS)
_URL = "database_url"
# SQL and regular expressions may contain what looks like a URL.
_MAY_CONTAIN_URL = (_URL, *SECTIONS, "session_patterns")
# A path may contain ':' and '@'.
_PATHS = ("tmux_sockets", "state_dir")
_HOW_TO_WRITE_VALUES = "TOML writes true and false in lower case, and text in quotes"
_NEEDED_BY = {
    "table": ("table", "session_patterns", "tmux_sockets", "database_url"),
    "files": ("files", "session_patterns", "tmux_sockets"),
}


def load_settings(config: Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings. A variable ``WORKSPACE_REAPER_<FIELD>`` overrides the TOML file.

    Args:
        config: The file. None: the file that ``WORKSPACE_REAPER_CONFIG`` names, or ``workspace-reaper.toml`` in the user's
            configuration directory if it exists.
        environ: The environment variables; None takes those of this process. The user's directories always come from the
            environment of this process.

    Raises:
        ConfigurationError: Fields are invalid, and the text names each one; or a file that was named does not exist, cannot be
            read, or can be written by another user.
    """
    loaded = load_usable_settings(config, environ)
    if loaded.problem is not None:
        raise ConfigurationError(loaded.problem)
    return loaded.settings


@dataclass(frozen=True, slots=True)
class UsableSettings:
    """The settings of a configuration, without the values that cannot be used.

    ``problem`` is what ``load_settings`` raises, None if it would return the settings. ``names_host``: the settings that name
    the host and its database are as the user wrote them.
    """

    settings: Settings
    problem: str | None = None
    names_host: bool = True


def load_usable_settings(config: Path | None = None, environ: Mapping[str, str] | None = None) -> UsableSettings:
    """Read the settings as ``load_settings`` does, and leave out what cannot be used instead of raising an error."""
    environ = os.environ if environ is None else environ
    file, in_file, unreadable = None, {}, []
    try:
        file = _file(config, environ)
        in_file = {} if file is None else _read_file(file)
    except ConfigurationError as error:
        unreadable = [str(error)]
    in_environ, problems = _read_environ(environ)
    problems = [*unreadable, *_unknown_keys(in_file, file), *problems]
    values = {name: value for name, value in in_file.items() if name in Settings.model_fields} | in_environ
    places = {name: variable_of(name) if name in in_environ else str(file) for name in values}
    given = set(values)
    problems += _misplaced_urls(values, places)
    try:
        settings = Settings(**values)
        problems += (apart := _not_together(settings, places))
    except ValidationError as error:
        found, refused = _bad_values(error, places)
        problems += found
        settings = Settings(**{name: value for name, value in values.items() if name not in refused})
        apart = _not_together(settings, places)
    is_as_written = not unreadable and not apart and given.intersection(_NAME_HOST) <= settings.model_fields_set
    problem = printable("; ".join(problems)) if problems else None  # a key may be any text
    return UsableSettings(settings, problem, is_as_written)


def configuration_file(config: Path | None, environ: Mapping[str, str]) -> Path:
    """Return the file that ``load_settings`` reads if it exists. Raises ``ConfigurationError`` if the variable is empty."""
    if config is not None:
        return Path(expand_user(str(config)))
    if _FILE_VARIABLE in environ:
        if not environ[_FILE_VARIABLE]:
            raise ConfigurationError(f"{_FILE_VARIABLE} is empty: write the path of a TOML file, or unset it")
        return Path(expand_user(environ[_FILE_VARIABLE]))
    return Path(platformdirs.user_config_dir(APPLICATION, appauthor=False)) / _FILE_NAME


def _file(config: Path | None, environ: Mapping[str, str]) -> Path | None:
    """Return the file to read, or None if no file was named and the default one does not exist."""
    file = configuration_file(config, environ)
    if config is not None or _FILE_VARIABLE in environ:
        return file
    try:
        file.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise _cannot_read(file, error.strerror) from error
    return file


def _cannot_read(file: Path, why: str | None) -> ConfigurationError:
    return ConfigurationError(
        f"the configuration file {file} cannot be read ({why}): name one that can, with --config or {_FILE_VARIABLE}"
    )


def _read_file(file: Path) -> dict[str, Any]:
    try:
        # pydantic-settings treats a missing file or a directory as an empty file.
        if not stat.S_ISREG(file.stat().st_mode):
            raise _cannot_read(file, "it is not a regular file")
        if unsafe := check_permissions(file):
            raise ConfigurationError(unsafe.message("the configuration file", file))
        return dict(TomlConfigSettingsSource(Settings, toml_file=file).toml_data)
    except OSError as error:
        raise _cannot_read(file, error.strerror) from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(f"{file}, line {line}: not UTF-8 text: write the file in UTF-8") from error
    except RecursionError as error:
        raise ConfigurationError(f"{file} is not readable TOML: it is nested too deeply") from error
    except ValueError as error:  # TOMLDecodeError of tomllib or of tomli, whose text contains line and column
        raise ConfigurationError(f"{file} is not valid TOML: {error}. {_HOW_TO_WRITE_VALUES}") from error


def _read_environ(environ: Mapping[str, str]) -> tuple[dict[str, Any], list[str]]:
    """Return the values of the fields that the environment sets, and the problems of its variables with our prefix."""
    known = {variable_of(name): name for name in Settings.model_fields}
    values: dict[str, Any] = {}
    problems = []
    for variable, text in environ.items():
        if not variable.upper().startswith(PREFIX) or variable == _FILE_VARIABLE:
            continue
        if variable not in known:
            advice = _password_advice(variable) or _nearest(variable.upper(), [*known, _FILE_VARIABLE]) or "unset it"
            problems.append(f"the environment variable {variable} is not a setting: {advice}")
            continue
        if _is_misplaced_url(known[variable], text):
            values[known[variable]] = text
            continue
        try:
            values[known[variable]] = json.loads(text) if kind_of(known[variable]).json else text
        except ValueError:
            problems.append(
                _problem(known[variable], variable, f"{'its value' if may_contain_password(text) else repr(text)} is not JSON")
            )
    return values, problems


def _unknown_keys(values: Mapping[str, Any], file: Path | None) -> list[str]:
    return [
        f"{_shown_key(key)} ({file}) is not a setting: {_section_advice(key, value) or _key_advice(key, Settings.model_fields)}"
        for key, value in values.items()
        if key not in Settings.model_fields
    ]


def _section_advice(key: str, value: object) -> str | None:
    """Return what to do about a section that there is not, None if this is none."""
    if not isinstance(value, Mapping):
        return None
    return _nearest(key, SECTIONS) or f"the settings are not in a section: delete the line [{_shown_key(key)}]"


def _key_advice(key: str, known: Iterable[str]) -> str:
    return _password_advice(key) or _nearest(key, known) or "remove it"


def _password_advice(key: str) -> str | None:
    return "write the password into ~/.pgpass, PGPASSWORD or database_url" if "pass" in key.lower() else None


def _is_misplaced_url(name: str, value: object) -> bool:
    looks_like_one = names_password if name in _PATHS else may_contain_password
    return name not in _MAY_CONTAIN_URL and looks_like_one(str(value))


def _misplaced_urls(values: dict[str, Any], places: Mapping[str, str]) -> list[str]:
    """Remove each URL that is the value of another setting: it may hold a password, and the value is shown elsewhere."""
    names = [name for name, value in values.items() if _is_misplaced_url(name, value)]
    for name in names:
        del values[name]
    return [_problem(name, places[name], f"a URL can only be the value of {_URL}") for name in names]


def _problem(field: str, place: str, text: str) -> str:
    """Return the message about one field."""
    kind = kind_of(field)
    as_json = ""
    if kind.json and place.startswith(PREFIX):
        as_json = " as a JSON list" if kind.name.startswith("list of ") else " as JSON"
    return f"{field} ({place}): {text}: write {kind.write}{as_json}"


def _nearest(name: str, known: Iterable[str]) -> str | None:
    """Return a suggestion of the most similar known name, or None."""
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]}?" if close else None


def _bad_values(error: ValidationError, places: Mapping[str, str]) -> tuple[list[str], frozenset[str]]:
    """Return a message for each invalid field, and the names of these settings.

    A value that may contain a password is not shown.
    """
    found: dict[str, str] = {}
    refused: set[str] = set()
    for item in error.errors(include_url=False):
        top = str(item["loc"][0])
        refused.add(top)
        # The location continues with the index in a tuple, which is not shown, or with the key of the section.
        field = ".".join(map(str, item["loc"][:2])) if top in SECTIONS else top
        place = places[top]
        if item["type"] == "unexpected_keyword_argument":
            found[field] = f"{_shown_key(field)} ({place}) {_what_a_key_is(top, str(item['loc'][1]), place)}"
        elif item["type"] == "missing":
            found[field] = _problem(field, place, "is missing")
        else:
            cause = item.get("ctx", {}).get("error")
            what = str(cause) if isinstance(cause, ValueError) else f"{reprlib.repr(item['input'])} is refused"
            secret = not Settings.model_fields[top].repr or may_contain_password(str(item["input"]))
            found.setdefault(field, _problem(field, place, "its value is refused" if secret else what))
    return list(found.values()), frozenset(refused)


def _what_a_key_is(section: str, key: str, place: str) -> str:
    """Return the second half of the message about a key of a section that is none."""
    if key not in Settings.model_fields:
        return f"is not a setting: {_key_advice(key, [known.name for known in fields(SECTIONS[section])])}"
    where = f"set {variable_of(key)}" if place.startswith(PREFIX) else f"move the line above [{section}]"
    return f"is a setting of its own: {where}"


def _shown_key(key: str) -> str:
    return "a key that may contain a password" if may_contain_password(key) else key


def _not_together(settings: Settings, places: Mapping[str, str]) -> list[str]:
    """Return the messages about settings that other settings require or exclude."""
    registry = settings.registry
    found = [
        f'{name} ({places[name]}): set, but registry is another one: write registry = "{name}", or remove [{name}]'
        for name in SECTIONS
        if registry != name and getattr(settings, name)
    ]
    described = settings.files if registry == "files" else settings.table
    records_sessions = described is not None and described.session is not None
    if settings.session_patterns == () and not records_sessions:
        found.append(_problem("session_patterns", places["session_patterns"], "an empty list would manage nothing"))
    needed = (name for name in _NEEDED_BY.get(registry, ()) if name != "session_patterns" or not records_sessions)
    missing = [name for name in needed if getattr(settings, name) is None]
    if missing:
        needs = f'"{registry}" needs {", ".join(missing)}: set {"it" if len(missing) == 1 else "them"}'
        found.append(f"registry ({places['registry']}): {needs}")
    if registry == "files" and settings.database_url is not None:
        found.append(f'{_URL} ({places[_URL]}): set, but registry = "files" reads no database: remove it')
    return found
