"""What a window's layout says, in both of tmux's notations: a text of its own up to 3.7c, JSON from 3.8 on.

A layout is given back to tmux as it came; only what this module could read is given at all.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

__all__ = ["Layout", "read_layout"]

_TEXT = re.compile(r"[0-9a-f]{4},([0-9]{1,9})x([0-9]{1,9}),[0-9x,\[\]{}]+")
_LEAF = re.compile(r"[0-9]+x[0-9]+,[0-9]+,[0-9]+,([0-9]+)(?=[,\]}]|$)")


@dataclass(frozen=True, slots=True)
class Layout:
    """``width`` and ``height`` of the window in cells. ``order``: pane ids in the order in which tmux hands the places out to
    the panes of a window, first to last; None where it goes by the panes' indexes."""

    width: int
    height: int
    order: tuple[str, ...] | None


def read_layout(text: str) -> Layout | None:
    """The layout, or None for what is none. tmux 3.3a and 3.5a hand the places out in the order in which they are written, and
    3.8 by the index that stands with each (measured)."""
    found = _TEXT.fullmatch(text)
    if found is not None:
        return Layout(int(found[1]), int(found[2]), tuple(f"%{number}" for number in _LEAF.findall(text)))
    try:
        root = json.loads(text)["L"]
        return Layout(int(root["w"]), int(root["h"]), None)
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
