"""Versions of tmux: those that were tested, the oldest that is supported, and the one of the installed client.

A server may have another version than the client: each listing reports the server's own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from workspace_reaper.model.errors import UnsupportedTmux
from workspace_reaper.tmux.client import LIMIT, run

# The versions, oldest first, on which the behaviour that this package relies on was measured, and the date of the last
# measurement: the formats of a listing, the guarded kill and its answers, the texts of errors, capture and restore. Where a
# docstring or comment names a single version, the behaviour is that version's. tox runs the integration suite on some of them.
TESTED_VERSIONS = {
    "3.2a": "2026-11-22",
    "3.3a": "2026-11-28",
    "3.4": "2026-11-22",
    "3.5a": "2026-11-28",
    "3.6b": "2026-11-22",
    "3.7c": "2026-11-22",
    "3.8": "2026-11-28",
}


@dataclass(frozen=True, slots=True)
class ClientVersion:
    """``text`` is what tmux prints, such as ``3.3a`` or ``next-3.8``; ``number`` is None where it has none, as ``master``."""

    text: str
    number: tuple[int, int, str] | None

    @property
    def is_supported(self) -> bool:
        """Whether it is at least ``MINIMUM_VERSION``. A build without a number counts as new."""
        return self.number is None or self.number >= MINIMUM_VERSION


def parse_version(output: str) -> ClientVersion | None:
    """Parse the output of ``tmux -V``. Return None if it is not a version line."""
    program, _, text = output.strip().partition(" ")
    if program != "tmux" or not text:
        return None
    found = re.search(r"([0-9]{1,9})\.([0-9]{1,9})([a-z]?)", text)
    return ClientVersion(text, (int(found[1]), int(found[2]), found[3]) if found else None)


# The oldest supported version, the first of TESTED_VERSIONS.
MINIMUM_VERSION = (3, 2, "a")

MINIMUM = "tmux {}.{}{}".format(*MINIMUM_VERSION)


def tmux_version(*, limit: float = LIMIT) -> ClientVersion | None:
    """Return the client's version, or None where tmux is not on PATH or its version is unknown. ``limit`` is in seconds."""
    completed = run(["-V"], limit=limit)
    return parse_version(completed.stdout) if completed.failure is None and completed.exit_code == 0 else None


def require_tmux() -> bool:
    """Return whether the version of the client is known. Where it is unknown each listing reports why.

    Raises:
        UnsupportedTmux: The client is older than ``MINIMUM_VERSION``.
    """
    version = tmux_version()
    if version is not None and not version.is_supported:
        raise UnsupportedTmux(f"the tmux on PATH is {version.text}, which is too old: install {MINIMUM} or later")
    return version is not None


@lru_cache
def is_old(version: str) -> bool:
    """Return whether a server that reports this version is older than ``MINIMUM_VERSION``."""
    parsed = parse_version(f"tmux {version}")
    return parsed is not None and not parsed.is_supported
