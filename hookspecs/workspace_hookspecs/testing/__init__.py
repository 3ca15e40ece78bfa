"""A conformance kit for authors of hosts, on pytest: give it your host's way to create, archive and delete a workspace.

Subclass :class:`HostConformance` in a test module and give it a fixture ``workspace_host`` that starts your host and returns
what :class:`HostUnderTest` describes. Each check starts a host, does something to it, shuts it down, and judges what plugins
heard. The kit installs its own plugins for the time of a check, under the entry-point group ``workspace_server``, and blocks
all others: nothing that is installed on the machine hears of the test's workspaces.

The module is a pytest plugin as well: with ``pytest_plugins = ["workspace_hookspecs.testing"]`` in ``conftest.py`` a missing
``workspace_host`` says what to write. It needs pytest, which ``pip install "workspace-hookspecs[testing]"`` brings.

(PYTEST_DONT_REWRITE: it has no assertions, so it may be imported before it is registered.)
"""

from __future__ import annotations

try:
    import pytest
except ImportError as error:
    raise ImportError(
        "workspace_hookspecs.testing is for tests and needs pytest: pip install 'workspace-hookspecs[testing]'"
    ) from error

from workspace_hookspecs.testing._conformance import HostConformance
from workspace_hookspecs.testing._host import HostUnderTest

__all__ = ["HostConformance", "HostUnderTest", "workspace_host"]


@pytest.fixture
def workspace_host() -> HostUnderTest:
    """Your host, just started. To be overridden in your test class, your test module or your ``conftest.py``."""
    pytest.fail(
        "The conformance kit has no host to test. Write a fixture 'workspace_host' that starts your server and returns an "
        "object with create(), delete(workspace_id), state(workspace_id) and close(): see workspace_hookspecs.testing."
        "HostUnderTest.",
        pytrace=False,
    )
