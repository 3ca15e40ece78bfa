"""What the kit needs of a host, and how it calls it."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

__all__ = ["OPTIONAL", "HostUnderTest", "call"]

OPTIONAL = ("archive", "unarchive", "failing_delete")
"""Methods that a host may lack: the checks that need one are skipped, and say so."""


class HostUnderTest(Protocol):
    """Your server, running, in the hands of a test. Each method may be a plain function or a coroutine function.

    Drive it as its users do: over HTTP, or by the functions that your handlers call. The server may run in this process, in
    another one, or in many. A coroutine gets an event loop of its own; what is bound to a loop needs a plain function.

    It may also have these, and the checks that need them are skipped where it has not:

    ``archive(workspace_id)``
        archives it, and has committed when it returns.
    ``unarchive(workspace_id)``
        takes it out of the archive again.
    ``failing_delete(workspace_id)``
        begins to delete it, in a transaction that is rolled back. It may raise.
    """

    def create(self) -> Any:
        """Create a workspace and commit; its id, in your canonical text form (a hyphenated UUID where you use UUIDs)."""

    def delete(self, workspace_id: str) -> Any:
        """Delete it, by the way that fires the hook; it has committed when this returns. Raises if your server refuses."""

    def state(self, workspace_id: str) -> Any:
        """``"active"``, ``"archived"``, or None where it is deleted, as a *new connection* to your database sees it.

        It is called from another thread while your server is in the middle of firing, so it must not ask the server.
        """

    def close(self) -> Any:
        """Shut the server down the way it is shut down in production, and return when it is down. Called once, also after a
        check that failed."""


def call(function: Callable[..., Any], *arguments: Any) -> Any:
    """What the function returns, or what its coroutine does."""
    result = function(*arguments)
    return asyncio.run(_result(result)) if inspect.isawaitable(result) else result


async def _result(awaitable: Awaitable[Any]) -> Any:
    return await awaitable
