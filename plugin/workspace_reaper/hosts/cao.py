"""CLI Agent Orchestrator: the reaper as a plugin of its group ``cao.plugins``.

Facts from the published ``cli-agent-orchestrator`` 2.5.4: a hook runs on the server's event loop, or in a thread with a loop of
its own where the API works in one, and then the answer waits for it. So a hook here only leaves word, and keeps nothing
that belongs to a loop. The row of a session is committed before ``post_create_session``, and the session is gone and its
rows deleted before ``post_kill_session``. ``cao-server`` is one process and forks only to run programs; where somebody runs its
application with several workers, each has ticks, and the sweeps exclude one another.
"""

from __future__ import annotations

import asyncio
import logging

from cli_agent_orchestrator.plugins import CaoPlugin, PostCreateSessionEvent, PostKillSessionEvent, hook

from workspace_reaper.hosts.embedded import Embedded

__all__ = ["CaoReaper"]

_log = logging.getLogger("workspace_reaper")


class CaoReaper(CaoPlugin):
    """Reaps the sessions that the server forgets, from its start to its end."""

    def __init__(self) -> None:
        """Does nothing: CAO's MCP server makes one of every plugin, and never sets it up."""
        self._reaper: Embedded | None = None

    async def setup(self) -> None:
        """Start the ticks, unless the server keeps its sessions elsewhere than in tmux."""
        if _uses_tmux():
            self._reaper = await asyncio.to_thread(Embedded, "cao")
        else:
            _log.warning("this server does not keep its sessions in tmux, so nothing is reaped")

    async def teardown(self) -> None:
        """Work off what hooks said, and end the ticks."""
        reaper, self._reaper = self._reaper, None
        if reaper is not None:
            await asyncio.to_thread(reaper.stop)

    @hook("post_kill_session")
    async def session_killed(self, event: PostKillSessionEvent) -> None:
        """A session was deleted over the API. Returns at once."""
        if self._reaper is not None:
            self._reaper.deleted(event.session_name)

    @hook("post_create_session")
    async def session_created(self, event: PostCreateSessionEvent) -> None:  # noqa: ARG002  a sweep sees all that are new
        """A session was made, and has its row: a sweep stamps it. Returns at once."""
        if self._reaper is not None:
            self._reaper.look()


def _uses_tmux() -> bool:
    """Whether the server's backend is tmux: with another one a tmux session of that name is somebody else's."""
    from cli_agent_orchestrator.backends.registry import get_backend
    from cli_agent_orchestrator.backends.tmux_backend import TmuxBackend

    return isinstance(get_backend(), TmuxBackend)
