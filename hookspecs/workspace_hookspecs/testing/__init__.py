"""A conformance kit for authors of hosts: a pytest plugin with twelve checks of how a host fires the hooks.

pytest loads this module automatically if the package is installed. Write a fixture ``workspace_host`` that starts your host
and returns what :class:`HostUnderTest` describes, and a test that calls the fixture :func:`workspace_conformance`. To set
options, subclass :class:`HostConformance` instead. Each check starts a host, changes workspaces, shuts the host down, and
examines what plugins received. During a check only the kit's own plugins are loaded from the entry-point group
``workspace_server``; all others are blocked, so no other plugin on the machine receives events of the test's workspaces.

The kit needs pytest, which ``pip install "workspace-hookspecs[testing]"`` installs. Until a test uses it, it imports pytest and
the hook specifications only.

(PYTEST_DONT_REWRITE: it has no assertions, and it may be imported before pytest loads it.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

try:
    import pytest
except ImportError as error:
    raise ImportError("workspace_hookspecs.testing needs pytest: pip install 'workspace-hookspecs[testing]'") from error

if TYPE_CHECKING:
    from workspace_hookspecs.testing._conformance import HostConformance
    from workspace_hookspecs.testing._host import HostUnderTest
    from workspace_hookspecs.testing._recorder import RecordingServer

__all__ = ["HostConformance", "HostUnderTest", "workspace_conformance", "workspace_host", "workspace_recorder"]

# Imported at first use: every pytest run on the machine imports this module.
_LATE: Final = {"HostConformance": "_conformance", "HostUnderTest": "_host", "HostDriver": "_host", "recording": "_recorder"}


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LATE[name]}"), name)


@pytest.fixture
def workspace_host() -> HostUnderTest:
    """Your host, just started. Override this fixture in your test class, test module or ``conftest.py``."""
    pytest.fail(
        "The conformance kit has no host to test. Write a fixture 'workspace_host' that starts your server and returns an "
        "object with create(), delete(workspace_id), state(workspace_id) and close(): see workspace_hookspecs.testing."
        "HostUnderTest.",
        pytrace=False,
    )


@pytest.fixture
def workspace_recorder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[RecordingServer]:
    """The kit's plugins, installed for a host that starts after this fixture."""
    with __getattr__("recording")(tmp_path_factory.mktemp("site"), monkeypatch) as server:
        yield server


@pytest.fixture
def workspace_conformance(
    request: pytest.FixtureRequest, workspace_recorder: RecordingServer, workspace_host: HostUnderTest
) -> Iterator[Callable[[], None]]:
    """One check of the fixture ``workspace_host``, as a function. A test that calls it runs once for each check."""
    with __getattr__("HostDriver")(workspace_host, workspace_recorder) as driver:
        yield partial(getattr(__getattr__("HostConformance")(), request.param), driver)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that requests ``workspace_conformance`` once for each check."""
    if "workspace_conformance" in metafunc.fixturenames:
        checks = [name for name in vars(__getattr__("HostConformance")) if name.startswith("test_")]
        ids = [name.removeprefix("test_") for name in checks]
        metafunc.parametrize("workspace_conformance", checks, ids=ids, indirect=True)
