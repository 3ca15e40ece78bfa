"""Which tmux client is installed. A server may be of another version: each listing tells the server's own."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from workspace_reaper.model.errors import UnsupportedTmux
from workspace_reaper.tmux.client import LIMIT, run

__all__ = ["MINIMUM", "MINIMUM_VERSION", "ClientVersion", "is_old", "parse_version", "require_tmux", "tmux_version"]

MINIMUM_VERSION = (3, 2, "a")
"""The oldest tmux on which the listing and the guarded kill were measured."""

MINIMUM = "tmux {}.{}{}".format(*MINIMUM_VERSION)

_NUMBER = re.compile(r"([0-9]{1,9})\.([0-9]{1,9})([a-z]?)")


@dataclass(frozen=True, slots=True)
class ClientVersion:
    """``text`` is tmux's own, such as ``3.3a`` or ``next-3.8``; ``number`` is None where it has none, such as ``master``."""

    text: str
    number: tuple[int, int, str] | None

    @property
    def is_supported(self) -> bool:
        """It is at least ``MINIMUM_VERSION``; a build without a number counts as new."""
        return self.number is None or self.number >= MINIMUM_VERSION


def parse_version(output: str) -> ClientVersion | None:
    """Read what ``tmux -V`` printed; None if that is not a version line."""
    program, _, text = output.strip().partition(" ")
    if program != "tmux" or not text:
        return None
    found = _NUMBER.search(text)
    return ClientVersion(text, (int(found[1]), int(found[2]), found[3]) if found else None)


def tmux_version(*, limit: float = LIMIT) -> ClientVersion | None:
    """The client's version; None where there is no tmux on PATH, or it does not tell. ``limit`` is in seconds."""
    completed = run(["-V"], limit=limit)
    return parse_version(completed.stdout) if completed.failure is None and completed.exit_code == 0 else None


def require_tmux() -> bool:
    """Raises ``UnsupportedTmux`` if the client is too old. False: there is none, or it does not tell, which each listing
    will say."""
    version = tmux_version()
    if version is not None and not version.is_supported:
        raise UnsupportedTmux(f"the tmux on PATH is {version.text}, which is too old: install {MINIMUM} or later")
    return version is not None


@lru_cache
def is_old(version: str) -> bool:
    """Whether a server that calls itself this is older than ``MINIMUM_VERSION``."""
    read = parse_version(f"tmux {version}")
    return read is not None and not read.is_supported
