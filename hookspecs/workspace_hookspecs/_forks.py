"""What has to start afresh in a forked child: there the other threads do not exist, and a lock may be held by one of them."""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class _Restarting(Protocol):
    def restart(self) -> None: ...


# One handler for all, because a fork handler can't be taken back.
_living: weakref.WeakSet[_Restarting] = weakref.WeakSet()


def restart_in_children(this: _Restarting) -> None:
    """Call its ``restart()`` in each forked child, as long as it lives."""
    _living.add(this)


def _restart_all() -> None:
    for each in list(_living):
        each.restart()


# Windows has no fork and no such function.
getattr(os, "register_at_fork", dict)(after_in_child=_restart_all)
