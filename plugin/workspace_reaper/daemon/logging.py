"""The daemon's log: one line on standard error for each event, key=value (logfmt) or JSON. The only importer of structlog."""

from __future__ import annotations

import logging
import sys
import threading
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Literal, TextIO

import structlog

from workspace_reaper.sweep.log import log_event
from workspace_reaper.sweep.report import printable

LogFormat = Literal["keyvalue", "json"]

_OWN_LOGGERS = ("workspace_reaper", "workspace_hookspecs")


if TYPE_CHECKING:
    _Stream = logging.StreamHandler[TextIO]
else:
    _Stream = logging.StreamHandler  # no generic class before Python 3.11


class _Stderr(_Stream):
    """The daemon's own handler. Its class distinguishes it from the handlers of plugins."""


def log_to_stderr(log_format: LogFormat) -> None:
    """Write the logs of this process to standard error: those of the reaper from INFO on, all others from WARNING on.

    Warnings of Python are logged too. A further call changes the format.
    """
    root = logging.getLogger()
    handler = next((handler for handler in root.handlers if isinstance(handler, _Stderr)), None) or _Stderr(sys.stderr)
    handler.setFormatter(formatter(log_format))
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    for name in _OWN_LOGGERS:
        logging.getLogger(name).setLevel(logging.INFO)
    logging.captureWarnings(capture=True)
    threading.excepthook = thread_failed


def formatter(log_format: LogFormat) -> logging.Formatter:
    """Return a formatter that writes time (ISO 8601, UTC), level and event first, then the fields of the record."""
    renderer: structlog.typing.Processor
    if log_format == "json":
        renderer = structlog.processors.JSONRenderer(default=str)
    else:
        renderer = structlog.processors.LogfmtRenderer(
            key_order=["timestamp", "level", "event"], drop_missing=True, bool_as_flag=False
        )
    return structlog.stdlib.ProcessorFormatter(
        processors=[
            structlog.stdlib.add_log_level,
            _with_fields,
            structlog.processors.format_exc_info,
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            _ordered,
            renderer,
        ]
    )


def _with_fields(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Add the time of the event, which is not the time of its writing, the logger of other libraries, and the fields."""
    record: logging.LogRecord = event["_record"]
    created = datetime.fromtimestamp(record.created, timezone.utc)
    event["timestamp"] = created.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if record.name.partition(".")[0] not in _OWN_LOGGERS:
        event["logger"] = record.name
    fields = getattr(record, "fields", None)
    if isinstance(fields, dict):
        event.update({name: value for name, value in fields.items() if value is not None})
    return event


def _ordered(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Put time, level and event first. Escape line breaks: the name of a session may contain any character."""
    ordered = {**{name: event.pop(name) for name in ("timestamp", "level", "event")}, **event}
    return {name: printable(value) if isinstance(value, str) else value for name, value in ordered.items()}


def thread_failed(failed: threading.ExceptHookArgs) -> None:
    """Log the error that ended a thread, as one line without a traceback. For ``threading.excepthook``."""
    name = failed.thread.name if failed.thread else "a thread"
    error = failed.exc_value
    log_event(logging.CRITICAL, f"{name} ended with an error: {type(error).__name__}: {error}", thread=name)
