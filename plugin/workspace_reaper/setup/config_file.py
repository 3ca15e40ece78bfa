"""The configuration file: every setting with its meaning. Defaults are commented out."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import chain, count
from pathlib import Path

from workspace_reaper.model.errors import ConfigurationError, ReaperError
from workspace_reaper.settings import SECTIONS, SettingDescription, describe_settings, load_settings
from workspace_reaper.setup.choose import Choice
from workspace_reaper.setup.discover import Database, Machine
from workspace_reaper.util.files import make_private, staged_file
from workspace_reaper.util.text import printable

_WIDTH = 100
_UNQUOTED = ("whole number", "true or false", "list of words")
_QUOTED = ("duration", "word")

_HEAD = """\
What was found on this machine is shown at the settings to which it applies. All other settings are commented out, with their \
defaults. A variable of the environment overrides this file, for example WORKSPACE_REAPER_IDLE_TTL=72h."""

_SWITCH = """\
Nothing is reaped until this is true. Before that, run 'workspace-reaper doctor', and for a preview that changes nothing \
'workspace-reaper sweep --dry-run'."""

_NONE_FITS = """\
Either your server keeps its workspaces in the table of the registry "standard", or describe its own table or its files at the \
end of this file, and set tmux_sockets, session_patterns, and registry = "table" with database_url, or registry = "files"."""


def configuration(machine: Machine, choice: Choice) -> str:
    """Return the text of the file for a choice. ``load_settings`` accepts it, whatever was found."""
    described, found = describe_settings(), _found(machine, choice)
    top = [setting for setting in described if setting.name != "enabled" and not _section(setting)]
    (switch,) = (setting for setting in described if setting.name == "enabled")
    blocks = [
        _comment(_HEAD),
        [*_meaning(switch), *_comment(_SWITCH), "enabled = false"],
        *(_setting(setting, found) for setting in top),
        *([line for setting in described if _section(setting) == name for line in _key(setting)] for name in SECTIONS),
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def toml_text(text: str) -> str:
    """Return a basic string of TOML with printable characters only.

    Raises:
        ValueError: The text cannot be written as UTF-8: a path may have any bytes.
    """
    if any(0xD800 <= ord(char) <= 0xDFFF for char in text):
        raise ValueError(f"{printable(text)} is not valid UTF-8")
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(char if char.isprintable() else f"\\U{ord(char):08x}" for char in escaped) + '"'


def _section(setting: SettingDescription) -> str | None:
    """Return the section that a setting is, or that it is a key of."""
    return name if (name := setting.name.partition(".")[0]) in SECTIONS else None


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(printable(text), _WIDTH, break_long_words=False, break_on_hyphens=False)]


def _meaning(setting: SettingDescription) -> list[str]:
    return _comment(f"{setting.description} ({setting.type}; default: {setting.default})")


def _setting(setting: SettingDescription, found: Mapping[str, list[str]]) -> list[str]:
    return [*_meaning(setting), *found.get(setting.name, [f"#{setting.name} = {_default(setting)}"])]


def _default(setting: SettingDescription) -> str:
    if setting.type in _UNQUOTED:
        return setting.default
    if setting.type in _QUOTED and setting.default != "needed":
        return toml_text(setting.default)
    return '["..."]' if setting.type == "list of text" else '"..."'


def _found(machine: Machine, choice: Choice) -> dict[str, list[str]]:
    """Return the lines of the settings for which something was found, by name."""
    why = _comment(f"Found here: {choice.why}")
    if choice.chosen is None:
        names = list(dict.fromkeys(other.database.registry for other in choice.others))
        urls = [line for other in choice.others for line in _database_url(other.database, is_chosen=False)]
        sockets = [socket.socket for socket in machine.sockets if socket.sessions]
        return {
            "registry": [
                *why,
                *([] if names else _comment(_NONE_FITS)),
                *(f"#registry = {toml_text(one)}" for one in names or ["standard"]),
            ],
            "database_url": urls or ['#database_url = "..."'],
            "tmux_sockets": _line("tmux_sockets", sockets or ["..."], is_chosen=False),
            "session_patterns": _line("session_patterns", ["ws-(?P<id>[0-9a-f]{32})"], is_chosen=False),
        }
    database = choice.chosen.database
    others = [_comment(f"Also here: {other.database.registry}, {other.database.database}") for other in choice.others]
    homes, everywhere = next((one.homes, one.everywhere) for one in machine.registries if one.registry == database.registry)
    patterns = list(dict.fromkeys(pattern for some in homes.values() for pattern in some))
    return {
        "registry": [*why, *chain(*others), f"registry = {toml_text(database.registry)}"],
        "database_url": _database_url(database, is_chosen=True),
        # Paths that depend on variables of this environment are written down: a service may not have these variables.
        "tmux_sockets": _line("tmux_sockets", list(homes), is_chosen=not everywhere),
        "session_patterns": _line("session_patterns", patterns, is_chosen=False),
    }


def _database_url(database: Database, *, is_chosen: bool) -> list[str]:
    if database.is_server:  # its URL is known without the password only
        return _comment(f"Found here: {database.database}, the default of this registry.")
    return _line("database_url", [f"sqlite:///{database.database}"], is_chosen=is_chosen)


def _line(name: str, values: Sequence[str], *, is_chosen: bool) -> list[str]:
    try:
        texts = ", ".join(toml_text(value) for value in values)
    except ValueError as error:
        return [*_comment(f"Found here, but it cannot be written to this file: {error}."), f'#{name} = "..."']
    value = texts if name == "database_url" else f"[{texts}]"
    return [f"{name} = {value}" if is_chosen else f"#{name} = {value}"]


def _key(setting: SettingDescription) -> list[str]:
    section, _, key = setting.name.partition(".")
    return [*_meaning(setting), f"#{key} = {_default(setting)}" if key else f"#[{section}]"]


def save(text: str, file: Path, *, force: bool) -> Path | None:
    """Write a configuration file that only its owner can read, and create its directory.

    Args:
        text: The configuration. It is loaded before the file gets its name.
        file: Where to write it. A symbolic link is followed.
        force: Replace an existing file, which is kept under another name in the same directory.

    Returns:
        The new name of the old file, or None if there was none.

    Raises:
        ConfigurationError: The file exists, and ``force`` is not set.
        ReaperError: The file cannot be written. Nothing has changed then.
    """
    target = Path(os.path.realpath(file))
    if os.path.lexists(file) and not force:
        raise _exists(file)
    try:
        make_private(target.parent)
        with staged_file(target, text.encode()) as temporary:
            load_settings(temporary, {})
            if not force:
                os.link(temporary, target)  # unlike a rename it fails if the file was created meanwhile
                return None
            backup = _keep(target)
            temporary.replace(target)
            return backup
    except FileExistsError as error:
        raise _exists(file) from error
    except OSError as error:
        raise ReaperError(
            f"{file} cannot be written ({error.strerror}), and nothing has changed: choose another file with --output"
        ) from error


def _exists(file: Path) -> ConfigurationError:
    return ConfigurationError(f"{file} exists: add --force to replace it (the old file is kept), or choose another file")


def _keep(target: Path) -> Path | None:
    """Give an existing file a second name, the first that is free, and return it."""
    for number in count():
        backup = target.with_name(f"{target.name}.old{number or ''}")
        with suppress(FileExistsError):
            try:
                os.link(target, backup)
            except FileNotFoundError:
                return None
            return backup
    raise AssertionError  # count() has no end
