"""The interface of a host under test, and the driver that the checks use."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, NoReturn, Protocol

import pytest

from workspace_hookspecs.testing._checks import with_calls
from workspace_hookspecs.testing._recorder import InjectedError, RecordingServer

_ISOLATE = (
    "Call plugins through WorkspacePlugins, which calls each plugin on a thread of its own and logs its exceptions; bare "
    "pluggy calls plugins on your thread."
)


class HostUnderTest(Protocol):
    """Your running server, as a test uses it. Each method may be a plain function or a coroutine function.

    Use the server as its users do: over HTTP, or through the functions that your handlers call. The server may run in this
    process, in another, or in several. Each coroutine runs on an event loop of its own; what is bound to a loop needs a plain
    function.

    These methods are optional. Checks that need a missing one are skipped:

    ``archive(workspace_id)``
        Archive the workspace; return after the commit.
    ``unarchive(workspace_id)``
        Unarchive the workspace.
    ``failing_delete(workspace_id)``
        Begin to delete the workspace, in a transaction that is rolled back. It may raise.
    """

    def create(self) -> Any:
        """Create a workspace and commit. Return its id in your canonical text form (a hyphenated UUID if you use UUIDs)."""

    def delete(self, workspace_id: str) -> Any:
        """Delete the workspace in the way that fires the hook; return after the commit. Raise if the server refuses."""

    def state(self, workspace_id: str) -> Any:
        """Return ``"active"``, ``"archived"``, or None for a deleted workspace, as a *new connection* to the database sees it.

        It is called on another thread while your server is firing, so it must not ask the server.
        """

    def close(self) -> Any:
        """Shut the server down as in production, and return when it is down. Called once, also after a failed check."""


def call(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function or a coroutine function and return its result."""
    result = function(*arguments)
    return asyncio.run(_await(result)) if inspect.isawaitable(result) else result


async def _await(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


class HostDriver:
    """Drives the host through one check. At the end of its block the host is closed."""

    def __init__(self, host: HostUnderTest, server: RecordingServer) -> None:
        self.host = host
        self.server = server
        self._closed = False
        server.state = self.state

    def __enter__(self) -> HostDriver:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(InjectedError):
            self.close()

    def create(self) -> str:
        """Create a workspace and return its id."""
        workspace_id = self.do("create")
        if not isinstance(workspace_id, str) or not workspace_id.strip():
            self.fail(f"create() returned {workspace_id!r}. Return the workspace's id as text, as the server fires it.")
        if (state := self.state(workspace_id)) != "active":
            self.fail(f"create() returned {workspace_id!r}, but state() reports that workspace as {state}. Commit first.")
        return workspace_id

    def state(self, workspace_id: str) -> str:
        """Return ``active``, ``archived`` or ``deleted``."""
        state = call(self.host.state, workspace_id)
        if state not in ("active", "archived", None):
            raise TypeError(f'state() returned {state!r}: return "active", "archived" or None')
        return state or "deleted"

    def do(self, name: str, *arguments: str) -> Any:
        """Call a method of the host. An exception of a plugin that reaches the host fails the check."""
        try:
            return call(self.need(name), *arguments)
        except Exception as error:
            if not _is_injected(error):
                raise
        return self.fail(f"{name}() raised the exception of a plugin. {_ISOLATE}")

    def need(self, name: str) -> Callable[..., Any]:
        """Return a method of the host. Skip the check if the host lacks it."""
        method = getattr(self.host, name, None)
        if method is None:
            pytest.skip(f"the host under test has no {name}()")
        return method  # type: ignore[no-any-return]

    def close(self) -> None:
        """Shut the host down, once."""
        if not self._closed:
            self._closed = True
            call(self.host.close)

    def judge(self, finding: str | None) -> None:
        """Fail with the finding, if there is one."""
        if finding is not None:
            self.fail(finding)

    def fail(self, finding: str) -> NoReturn:
        """Fail with the finding and the recorded calls."""
        pytest.fail(with_calls(finding, self.server.calls), pytrace=False)


def _is_injected(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, InjectedError):
            return True
        error = error.__cause__ or error.__context__
    return False
