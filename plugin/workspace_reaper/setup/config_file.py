"""The text of a configuration file: every setting with its meaning, defaults commented out. Pure."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path

from workspace_reaper.model.errors import ConfigurationError, ReaperError
from workspace_reaper.settings import SettingDescription, describe_settings, load_settings
from workspace_reaper.setup.choose import Choice
from workspace_reaper.setup.discover import Database, FoundBy, Machine
from workspace_reaper.sweep.report import printable
from workspace_reaper.util.files import make_private, staged_file

__all__ = ["configuration", "save", "toml_text"]

_WIDTH = 100

_BARE = ("whole number", "true or false")

_QUOTED = ("duration", "word")

_HEAD = """\
What was found on this machine stands beside the settings that follow from it. All others are commented out, with their \
defaults. A variable in the environment wins over this file: WORKSPACE_REAPER_IDLE_TTL=72h."""

_SWITCH = """\
Nothing is reaped until this says true. First: 'workspace-reaper doctor', and a preview that does nothing, \
'WORKSPACE_REAPER_ENABLED=1 workspace-reaper sweep --dry-run'."""

_NONE_FITS = """\
Either your server keeps its workspaces in the table of the registry "standard", or describe its own table at the end of this \
file and write registry = "table"; for that, set database_url, tmux_sockets and session_patterns as well."""


def configuration(machine: Machine, choice: Choice) -> str:
    """The file for what was chosen. Whatever was found, `load_settings` reads it."""
    described = describe_settings()
    top = [setting for setting in described if setting.name != "enabled" and not _is_of_table(setting)]
    (switch,) = (setting for setting in described if setting.name == "enabled")
    blocks = [
        _comment(_HEAD),
        [*_meaning(switch), *_comment(_SWITCH), "enabled = false"],
        *(_setting(setting, machine, choice) for setting in top),
        [line for setting in described if _is_of_table(setting) for line in _table(setting)],
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def toml_text(text: str) -> str:
    """A basic string of TOML, of printable characters. ``ValueError`` for what no UTF-8 file can hold: a path may have any
    bytes."""
    if any(0xD800 <= ord(char) <= 0xDFFF for char in text):
        raise ValueError(f"{printable(text)} is no text")
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(char if char.isprintable() else f"\\U{ord(char):08x}" for char in escaped) + '"'


def _is_of_table(setting: SettingDescription) -> bool:
    return setting.name == "table" or setting.name.startswith("table.")


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(printable(text), _WIDTH, break_long_words=False, break_on_hyphens=False)]


def _meaning(setting: SettingDescription) -> list[str]:
    return _comment(f"{setting.description} ({setting.type}; default: {setting.default})")


def _setting(setting: SettingDescription, machine: Machine, choice: Choice) -> list[str]:
    found = {"registry": _registry, "database_url": _database_url, "tmux_sockets": _sockets, "session_patterns": _patterns}
    lines = found[setting.name](machine, choice) if setting.name in found else [f"#{setting.name} = {_default(setting)}"]
    return [*_meaning(setting), *lines]


def _default(setting: SettingDescription) -> str:
    if setting.type in _BARE:
        return setting.default
    if setting.type in _QUOTED and setting.default != "needed":
        return toml_text(setting.default)
    return '["..."]' if setting.type == "list of text" else '"..."'


def _registry(_machine: Machine, choice: Choice) -> list[str]:
    found = _comment(f"Found here: {choice.why}")
    if choice.chosen is not None:
        for other in choice.others:
            found += _comment(f"Also here: {other.database.registry}, {other.database.path}")
        return [*found, f"registry = {toml_text(choice.chosen.database.registry)}"]
    names = list(dict.fromkeys(candidate.database.registry for candidate in choice.others))
    if not names:
        found += _comment(_NONE_FITS)
    return [*found, *(f"#registry = {toml_text(name)}" for name in names or ["standard"])]


def _database_url(_machine: Machine, choice: Choice) -> list[str]:
    if choice.chosen is not None:
        return _database_line(choice.chosen.database, is_chosen=True)
    return [line for other in choice.others for line in _database_line(other.database, is_chosen=False)] or [
        '#database_url = "..."'
    ]


def _database_line(database: Database, *, is_chosen: bool) -> list[str]:
    if database.is_server:  # what is shown of it lacks its password
        return _comment(f"Found here: {database.path}, the registry's own.")
    return _line("database_url", [f"sqlite:///{database.path}"], is_chosen=is_chosen)


def _sockets(machine: Machine, choice: Choice) -> list[str]:
    kind = _chosen_kind(machine, choice)
    if kind is None:
        found = [socket.path for socket in machine.sockets if socket.sessions]
        return _line("tmux_sockets", found or ["..."], is_chosen=False)
    # What hangs on variables of this environment is written down: a service may not have them.
    return _line("tmux_sockets", list(kind.homes), is_chosen=not kind.everywhere)


def _patterns(machine: Machine, choice: Choice) -> list[str]:
    kind = _chosen_kind(machine, choice)
    patterns = [pattern for some in kind.homes.values() for pattern in some] if kind else ["ws-(?P<id>[0-9a-f]{32})"]
    return _line("session_patterns", list(dict.fromkeys(patterns)), is_chosen=False)


def _chosen_kind(machine: Machine, choice: Choice) -> FoundBy | None:
    if choice.chosen is None:
        return None
    return next(kind for kind in machine.kinds if kind.registry == choice.chosen.database.registry)


def _line(name: str, values: Sequence[str], *, is_chosen: bool) -> list[str]:
    try:
        texts = ", ".join(toml_text(value) for value in values)
    except ValueError as error:
        return [*_comment(f"Found here, and not to be written in UTF-8: {error}."), f'#{name} = "..."']
    value = texts if name == "database_url" else f"[{texts}]"
    return [f"{name} = {value}" if is_chosen else f"#{name} = {value}"]


def _table(setting: SettingDescription) -> list[str]:
    _, _, key = setting.name.partition(".")
    return [*_meaning(setting), f"#{key} = {_default(setting)}" if key else "#[table]"]


def save(text: str, file: Path, *, force: bool) -> Path | None:
    """Write a configuration file that only its owner can read. Its directory is created.

    Args:
        text: The content.
        file: Where to write it.
        force: Replace an existing file, which is kept in the same directory under another name.

    Returns:
        The new name of the replaced file, or None.

    Raises:
        ConfigurationError: The file exists, and ``force`` is false.
        ReaperError: It cannot be written. Then nothing has changed, nor when the process is interrupted.
    """
    target = Path(os.path.realpath(file))  # a link stays a link
    exists = ConfigurationError(
        f"{file} exists: add --force to replace it (it is kept in the same directory), or name another file"
    )
    if os.path.lexists(file) and not force:
        raise exists
    try:
        make_private(target.parent)
        with staged_file(target, text.encode()) as staged:
            load_settings(staged, {})
            return _publish(staged, target, force=force)
    except FileExistsError as error:
        raise exists from error
    except OSError as error:
        raise ReaperError(f"{file} cannot be written ({error.strerror}), and nothing has changed: name another file") from error


def _publish(staged: Path, target: Path, *, force: bool) -> Path | None:
    if not force:
        os.link(staged, target)  # unlike a rename, it fails where something exists
        return None
    backup = _keep(target)
    staged.replace(target)
    return backup


def _keep(target: Path) -> Path | None:
    """Give an existing file a second name, the first that is free."""
    for number in count():
        backup = target.with_name(f"{target.name}.old{number or ''}")
        with suppress(FileExistsError):
            try:
                os.link(target, backup)
            except FileNotFoundError:
                return None
            return backup
    raise AssertionError  # count() has no end
