"""Logging that never raises, and the boundary around plugin code. The host configures the logger; this package never does."""

from __future__ import annotations

import logging
from contextlib import suppress
from traceback import format_exception_only
from types import TracebackType

logger = logging.getLogger("workspace_hookspecs")


def log(level: int, message: str, *args: object, error: BaseException | None = None, misuse: int = 0) -> None:
    """Log a message. Errors of the host's filters and handlers are suppressed.

    Args:
        level: The level, as in :mod:`logging`.
        message: The format string.
        args: The arguments of the format string.
        error: The exception to log with its traceback.
        misuse: The number of stack frames from the caller to the line of the host that misused a method. The record then
            points to that line and has its stack.
    """
    with suppress(Exception):
        if not logger.hasHandlers():
            # Python prints the bare message then, as in an application under uvicorn's own configuration.
            message = f"{logger.name}: {message}"
        logger.log(level, message, *args, exc_info=error, stack_info=misuse > 0, stacklevel=2 + misuse)


def one_line(error: BaseException) -> str:
    """Return the exception's type and message in one line of about 200 characters at most."""
    text = ""
    with suppress(Exception):  # the exception's class may raise anything
        text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:200]}" if text else type(error).__name__


class ErrorBoundary:
    """A block of a plugin's code. Any exception in it, ``SystemExit`` included, is logged as an error and ends there.

    ``failure`` is then the exception's type and message. Exceptions of the type ``passing`` leave the block.
    """

    def __init__(self, message: str, *args: object, passing: type[BaseException] | tuple[()] = ()) -> None:
        self._message = message
        self._args = args
        self._passing = passing
        self.failure: str | None = None

    def __enter__(self) -> ErrorBoundary:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool:
        if error is None or isinstance(error, self._passing):
            return False
        log(logging.ERROR, self._message, *self._args, error=error)
        self.failure = one_line(error)
        with suppress(Exception):  # an exception with malformed attributes
            self.failure = "".join(format_exception_only(error)).strip()
        return True
