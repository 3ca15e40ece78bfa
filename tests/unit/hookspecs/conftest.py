"""Fixtures of the tests of hookspecs."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from tests.unit.hookspecs.plugins import LIMIT, Stuck
from workspace_hookspecs import WorkspacePlugins


@pytest.fixture
def plugins() -> Iterator[WorkspacePlugins]:
    with WorkspacePlugins(queue_limit=3) as made:
        yield made


@pytest.fixture
def stuck(plugins: WorkspacePlugins) -> Iterator[Stuck]:
    """A plugin that is inside its first hook, ``on_workspace_deleted("first")``."""
    plugin = Stuck()
    plugins.register(plugin, "stuck")
    plugins.workspace_deleted("first")
    assert plugin.inside.wait(LIMIT)
    yield plugin
    plugin.go.set()


@pytest.fixture(autouse=True)
def _everything_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "workspace_hookspecs")
