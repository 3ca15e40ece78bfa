"""What is to be started, and with which environment."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from workspace_reaper.model.errors import ConfigurationError

__all__ = ["Program"]

_OWN = re.compile(r"WORKSPACE_REAPER_[A-Z_]+")
_READ = (
    "BC_DATA_DIR",
    "BC_CLI_TMUX_SOCKET",
    "BC_CLI_TMUX_LEGACY_SOCKET",
    "CAO_HOME_DIR",
    "TMUX_TMPDIR",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_STATE_HOME",
)
"""Variables of others by which the reaper, its registries and tmux find their places."""

_USUAL = ("/usr/local/bin", "/usr/bin", "/bin")
_DATABASE = "WORKSPACE_REAPER_DATABASE_URL"
_CONFIG = "WORKSPACE_REAPER_CONFIG"

_FILE = re.compile(r"(?!\w[\w+.-]*:)|sqlite:|file:", re.IGNORECASE)
_PASSWORD = re.compile(r"//.*:.*@|passw", re.IGNORECASE)
"""Rather one too many: a password that is not escaped as it should be is one, too."""


@dataclass(frozen=True, slots=True)
class Program:
    """``command`` is the absolute path of ``workspace-reaper``, ``config`` the absolute path of the file that ``--config``
    named, ``tmux_directory`` where tmux is, ``environ`` the environment of the shell that asks."""

    command: str
    config: Path | None = None
    tmux_directory: str | None = None
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        """``ConfigurationError``: there is something that no service manager reads."""
        for name, value in {"the command line": "".join(self.arguments), **self.variables}.items():
            if not _can_be_read(value):
                raise ConfigurationError(
                    f"{name}: {value!r} holds a control character, or bytes that are not UTF-8, which a service manager does "
                    "not read: rename what it names, or unset it"
                )

    @property
    def arguments(self) -> tuple[str, ...]:
        """The command line."""
        config = () if self.config is None else ("--config", str(self.config))
        return (self.command, *config, "run")

    @property
    def variables(self) -> dict[str, str]:
        """What it needs from the environment: a PATH with tmux, and what of ours and of `_READ` is set. No secret."""
        found = {"PATH": self._path()}
        for name, value in sorted(self.environ.items()):
            if (name in _READ or _OWN.fullmatch(name)) and name not in self._left_out:
                found[name] = str(Path(value).absolute()) if name == _CONFIG and value else value
        return found

    @property
    def has_secret(self) -> bool:
        """The URL of the database may hold a password, and is not among the variables."""
        url = self.environ.get(_DATABASE, "")
        return not _FILE.match(url) and bool(_PASSWORD.search(url))

    @property
    def _left_out(self) -> frozenset[str]:
        return frozenset({_DATABASE} if self.has_secret else ()) | ({_CONFIG} if self.config is not None else set())

    def _path(self) -> str:
        own = () if self.tmux_directory is None or self.tmux_directory in _USUAL else (self.tmux_directory,)
        return ":".join((*own, *_USUAL))


def _can_be_read(text: str) -> bool:
    return not any(ord(char) < 0x20 or 0x7F <= ord(char) < 0xA0 or 0xD800 <= ord(char) < 0xE000 for char in text)
