"""Tests of the logging that never raises, and of the boundary around plugin code."""

from __future__ import annotations

import logging

import pytest

from tests.unit.hookspecs.plugins import (
    LIMIT,
    Raising,
)
from workspace_hookspecs import WorkspacePlugins
from workspace_hookspecs._logging import ErrorBoundary


def test_firing_never_raises_whatever_the_hosts_logging_does(plugins: WorkspacePlugins) -> None:
    class Refusing(logging.Filter):
        def filter(self, record: logging.LogRecord) -> bool:
            raise RuntimeError("no log today")

    raising = Raising(ValueError("no"))
    plugins.register(raising, "raiser")
    logger = logging.getLogger("workspace_hookspecs")
    refusing = Refusing()
    logger.addFilter(refusing)
    try:
        plugins.workspace_deleted(None)  # type: ignore[arg-type]
        plugins.workspace_deleted("one")
        plugins.workspace_deleted("two")
        assert plugins.drain(LIMIT)
    finally:
        logger.removeFilter(refusing)
    assert raising.events == [("deleted", "one"), ("deleted", "two")]


class Malformed(SyntaxError):
    """An exception that cannot be formatted."""

    @property
    def lineno(self) -> int:  # type: ignore[override]
        raise ValueError("no line")

    def __str__(self) -> str:
        raise ValueError("no text")


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        pytest.param(ValueError("no"), "ValueError: no", id="error"),
        pytest.param(SystemExit(3), "SystemExit: 3", id="exit"),
        pytest.param(Malformed(), "Malformed", id="malformed"),
    ],
)
def test_a_boundary_logs_the_exception_and_ends_it(error: BaseException, failure: str) -> None:
    records: list[logging.LogRecord] = []
    # Before all handlers that others may have installed: a handler that cannot format the exception ends the call.
    handler = logging.Handler()
    handler.emit = records.append  # type: ignore[method-assign]
    logger = logging.getLogger("workspace_hookspecs")
    logger.handlers.insert(0, handler)
    try:
        with ErrorBoundary("plugin %r raised", "x") as boundary:
            raise error
    finally:
        logger.removeHandler(handler)
    assert boundary.failure is not None
    assert failure in boundary.failure
    (record,) = records
    assert (record.levelno, record.getMessage()) == (logging.ERROR, "plugin 'x' raised")
    assert record.exc_info is not None
    assert record.exc_info[1] is error


def test_a_boundary_lets_an_exception_pass(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(KeyboardInterrupt), ErrorBoundary("plugin %r raised", "x", passing=KeyboardInterrupt):
        raise KeyboardInterrupt
    assert not caplog.records


def test_a_boundary_without_an_exception_logs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with ErrorBoundary("plugin %r raised", "x") as boundary:
        pass
    assert boundary.failure is None
    assert not caplog.records
