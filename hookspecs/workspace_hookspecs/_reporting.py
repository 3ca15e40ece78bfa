"""The one logger of this package. It is never configured here: that is the host's business."""

from __future__ import annotations

import logging
from contextlib import suppress

logger = logging.getLogger("workspace_hookspecs")


def report(level: int, message: str, *args: object, error: BaseException | None = None, mistake: bool = False) -> None:
    """Log, whatever the host's filters and handlers do: an error of theirs must reach neither the caller nor our threads.

    ``mistake``: the host called one of the methods of :class:`WorkspacePlugins` wrongly. The record then points at its line
    and carries its stack; ``report`` must be called by that method itself.
    """
    with suppress(Exception):
        logger.log(level, message, *args, exc_info=error, stack_info=mistake, stacklevel=3 if mistake else 2)


def sentence(error: BaseException) -> str:
    """The error in one line, of at most about 200 characters: its kind and what it says."""
    kind = type(error).__name__
    try:
        text = " ".join(str(error).split())
    except Exception:  # noqa: BLE001  (boundary: an exception class of somebody else's)
        return kind
    return f"{kind}: {text[:200]}" if text else kind
