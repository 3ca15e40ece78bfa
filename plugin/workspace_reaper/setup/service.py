"""Service definitions for the daemon: a unit for the user manager of systemd, and a property list for launchd.

See systemd.service(5), systemd.exec(5), systemd.resource-control(5) and launchd.plist(5). Pure text; nothing is installed.
"""

from __future__ import annotations

import plistlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from workspace_reaper.model.errors import ConfigurationError
from workspace_reaper.registry.location import may_have_password
from workspace_reaper.registry.presets import preset_variables
from workspace_reaper.settings import Settings, variable_of

# The name of the service, and of its label in launchd.
NAME = "workspace-reaper"

# Variables from which the reaper, its registries and tmux take paths.
_READ = (
    *("BC_DATA_DIR", "BC_CLI_TMUX_SOCKET", "BC_CLI_TMUX_LEGACY_SOCKET", "CAO_HOME_DIR"),
    *("TMUX_TMPDIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"),
)

_DEFAULT_PATH = ("/usr/local/bin", "/usr/bin", "/bin")
_DATABASE = "WORKSPACE_REAPER_DATABASE_URL"
_CONFIG = "WORKSPACE_REAPER_CONFIG"
# The value of a misspelt variable may be anything, for example a URL with a password.
_OWN = frozenset({_CONFIG, *(variable_of(name) for name in Settings.model_fields)})


@dataclass(frozen=True, slots=True)
class Program:
    """What the service runs.

    ``command`` is the absolute path of ``workspace-reaper``, ``config`` the absolute path of the file of ``--config``,
    ``tmux_directory`` the directory of tmux, and ``environ`` the environment of the shell that asks.

    Raises:
        ConfigurationError: A value has characters that service managers do not accept.
    """

    command: str
    config: Path | None = None
    tmux_directory: str | None = None
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        """Check every value that would be written."""
        for name, value in {"the command line": "".join(self.arguments), **self.variables}.items():
            if any(ord(char) < 0x20 or 0x7F <= ord(char) < 0xA0 or 0xD800 <= ord(char) < 0xE000 for char in value):
                raise ConfigurationError(
                    f"{name}: {value!r} has a control character, or bytes that are not UTF-8, which service managers do "
                    "not accept: rename the file or directory, or unset the variable"
                )

    @property
    def arguments(self) -> tuple[str, ...]:
        """The command line."""
        return (self.command, *(() if self.config is None else ("--config", str(self.config))), "run")

    @property
    def variables(self) -> dict[str, str]:
        """The environment: a PATH with tmux, and the variables of ``_OWN``, ``_READ`` and presets that are set. No secret."""
        omitted = {_DATABASE if self.has_secret else "", _CONFIG if self.config is not None else ""}
        own = {self.tmux_directory} - {None, *_DEFAULT_PATH}
        found = {"PATH": ":".join((*map(str, own), *_DEFAULT_PATH))}
        for name, value in sorted(self.environ.items()):
            if (name in _READ or name in _OWN or name in preset_variables()) and name not in omitted:
                found[name] = str(Path(value).absolute()) if name == _CONFIG and value else value
        return found

    @property
    def has_secret(self) -> bool:
        """Whether the URL of the database may have a password. Then it is not among the variables."""
        return may_have_password(self.environ.get(_DATABASE) or ".")


_UNIT_NOTE = """\
# WORKSPACE_REAPER_DATABASE_URL is set, and may contain a password, so it is not written here. Write the line
#   WORKSPACE_REAPER_DATABASE_URL=...
# to a file that only you can read (chmod 600), and remove the "#" here:
#EnvironmentFile=%h/.config/workspace-reaper/environment
"""

# systemd does not accept these in the path of a program. In an argument it does.
_REFUSED = re.compile(r"""["'\\]""")

_PLAIN = re.compile(r"[A-Za-z0-9_@:,.+/-]+")


def unit(program: Program) -> str:
    """Return the text of the unit. Command and variables are quoted so that systemd reads exactly these values."""
    first, *others = program.arguments
    if _REFUSED.search(first):
        first, *others = "/usr/bin/env", first, *others
    command = " ".join([_word(first), *(_word(argument.replace("$", "$$")) for argument in others)])
    lines = [f"Environment={_word(f'{name}={value}')}\n" for name, value in program.variables.items()]
    environment = "".join([*lines, _UNIT_NOTE if program.has_secret else ""])
    return _template("systemd.service").format(name=NAME, command=command, environment=environment)


def _word(text: str) -> str:
    """Return one word of a unit: specifiers doubled, and quoted if necessary."""
    text = text.replace("%", "%%")
    if _PLAIN.fullmatch(text.replace("=", "", 1)):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


_PLIST_NOTE = """
WORKSPACE_REAPER_DATABASE_URL is set, and may contain a password, so it is not written here: write the URL as database_url to a
configuration file that only you can read (chmod 600), or put the password into ~/.pgpass.
"""


def property_list(program: Program, home: Path) -> str:
    """Return the property list as XML. ``home`` is the user's home directory, where the log is."""
    agent = {
        "Label": NAME,
        "ProgramArguments": list(program.arguments),
        "EnvironmentVariables": {"LC_ALL": "en_US.UTF-8", **program.variables},
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},
        "ThrottleInterval": 10,
        "ExitTimeOut": 10,
        "AbandonProcessGroup": True,
        "Umask": 0o077,
        "StandardErrorPath": str(home / "Library" / "Logs" / f"{NAME}.log"),
    }
    head, root, body = plistlib.dumps(agent, sort_keys=False).decode("utf-8").partition("<plist ")
    comment = _template("launchd-comment.xml").format(name=NAME, secret=_PLIST_NOTE if program.has_secret else "")
    return f"{head}{comment}{root}{body}"


def _template(name: str) -> str:
    return (Path(__file__).parent / "templates" / name).read_text(encoding="utf-8")
