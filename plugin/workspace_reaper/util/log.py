"""Log lines of the reaper in its host, which may have configured logging or not.

Importing this module is light.
"""

from __future__ import annotations

import logging

_log = logging.getLogger("workspace_reaper")


def log_event(level: int, message: str, /, **fields: object) -> None:
    """Log a message that is complete by itself, with unprintable characters escaped.

    The ``fields`` are the attribute ``fields`` of the record. The field ``event`` replaces the message in structured logs.
    """
    _log.log(level, "%s", _shown(message), extra={"fields": fields}, stacklevel=2)


def log_failure(message: str, error: BaseException) -> None:
    """Log an error with its traceback."""
    _log.error("%s", _shown(message), exc_info=error, stacklevel=2)


def _shown(message: str) -> str:
    from workspace_reaper.util.text import printable

    # Without any handler, as in an application under uvicorn's own configuration, Python prints the bare message of a warning.
    name = "" if _log.hasHandlers() else f"{_log.name}: "
    return f"{name}{printable(message)}"
