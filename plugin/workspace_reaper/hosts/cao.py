"""CLI Agent Orchestrator: the reaper as a plugin of its group ``cao.plugins``.

Facts from the published ``cli-agent-orchestrator`` 2.5.4: A hook runs on the server's event loop, or in a thread with a loop
of its own, and the API's answer waits for it. So a hook only queues its event, and keeps nothing that belongs to a loop. The
row of a session is committed before ``post_create_session``. The session is gone and its rows are deleted before
``post_kill_session``. ``cao-server`` is one process, and forks only to run programs. If the application runs with several
workers, each has ticks, and the sweep lock excludes simultaneous sweeps.
"""

from __future__ import annotations

import asyncio
import logging

from cli_agent_orchestrator.plugins import CaoPlugin, PostCreateSessionEvent, PostKillSessionEvent, hook

from workspace_reaper.hosts.embedded import EmbeddedReaper
from workspace_reaper.util.log import log_event


class CaoReaper(CaoPlugin):
    """Reaps the sessions that the server has forgotten, from the start of the server to its end."""

    def __init__(self) -> None:
        """Do nothing: CAO's MCP server instantiates every plugin, and never sets it up."""
        self._reaper: EmbeddedReaper | None = None

    async def setup(self) -> None:
        """Start the ticks, unless the server does not keep its sessions in tmux."""
        if _uses_tmux():
            self._reaper = await asyncio.to_thread(EmbeddedReaper, "cao")
        else:
            log_event(logging.WARNING, "this CAO server does not keep its sessions in tmux, so nothing is reaped")

    async def teardown(self) -> None:
        """Work off the queued events, and end the ticks."""
        reaper, self._reaper = self._reaper, None
        if reaper is not None:
            await asyncio.to_thread(reaper.stop)

    @hook("post_kill_session")
    async def session_killed(self, event: PostKillSessionEvent) -> None:
        """Look at a session that was deleted over the API. Returns at once."""
        if self._reaper is not None:
            self._reaper.deleted(event.session_name)

    @hook("post_create_session")
    async def session_created(self, event: PostCreateSessionEvent) -> None:
        """Start a sweep, which marks the new session. Returns at once."""
        del event  # a sweep sees all new sessions
        if self._reaper is not None:
            self._reaper.look()


def _uses_tmux() -> bool:
    """Whether the server's backend is tmux. With another one, a tmux session of that name belongs to somebody else."""
    # Late imports: they load the whole server.
    from cli_agent_orchestrator.backends.registry import get_backend
    from cli_agent_orchestrator.backends.tmux_backend import TmuxBackend

    return isinstance(get_backend(), TmuxBackend)
