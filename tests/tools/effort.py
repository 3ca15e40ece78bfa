"""How much the long tests do: a share in CI, all of it in ``tox run -e soak``. Nothing else reads these variables.

``REAPER_TEST_EFFORT=soak``: all of it. ``REAPER_TEST_SEED=17`` or ``17,40-60``: these seeds only, to see one again.
"""

from __future__ import annotations

import os
from typing import TypeVar

__all__ = ["SOAK", "effort", "seeds"]

T = TypeVar("T")

SOAK = os.environ.get("REAPER_TEST_EFFORT") == "soak"


def effort(ci: T, soak: T) -> T:
    """The one in CI and by default, the other in ``soak``."""
    return soak if SOAK else ci


def seeds(ci: int, soak: int) -> list[int]:
    """The seeds from 0 on, so many of them; or those that were asked for."""
    asked = os.environ.get("REAPER_TEST_SEED")
    return list(range(effort(ci, soak))) if not asked else [seed for part in asked.split(",") for seed in _span(part)]


def _span(part: str) -> range:
    first, _, last = part.partition("-")
    return range(int(first), int(last or first) + 1)
