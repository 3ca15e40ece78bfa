"""A workspace server of several processes, on http.server: the first one listens, forks and ticks, the others serve.

``python preforking_server.py DATABASE [PORT]`` answers these:

    POST   /workspaces                creates a workspace; answers its id
    POST   /workspaces/ID/archive     archives it
    POST   /workspaces/ID/unarchive   takes it out of the archive
    DELETE /workspaces/ID             deletes it

Plugins are loaded before the fork, and each process has them: a worker fires what it has committed (3, in the handler that it
shares with the threaded server), in its own process, where a plugin starts its thread at the first event. One process ticks,
after it has forked. Plugins must be prepared for several processes, as the reaper is, which sweeps under a lock between them.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from contextlib import suppress
from http.server import HTTPServer

from store import Store
from threaded_server import Handler

from workspace_hookspecs import WorkspacePlugins

WORKERS = 2


class Worker(HTTPServer):
    """Serves on a socket that other processes share, until TERM comes or its parent is gone."""

    def __init__(self, listening: socket.socket, store: Store, plugins: WorkspacePlugins, parent: int) -> None:
        super().__init__(listening.getsockname(), Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listening
        self.store, self.plugins, self.parent = store, plugins, parent
        self.stopping = False

    def run(self) -> None:
        with self.plugins, suppress(SystemExit):  # at the end, close the plugins of this process
            try:
                self.serve_forever(poll_interval=0.1)
            finally:
                self.plugins.drain(timeout=5)

    def service_actions(self) -> None:
        """Called between two requests."""
        if self.stopping or os.getppid() != self.parent:
            raise SystemExit


def fork(listening: socket.socket, store: Store, plugins: WorkspacePlugins) -> int:
    """Start a worker; its process id."""
    parent = os.getpid()
    if child := os.fork():
        return child
    worker = Worker(listening, store, plugins, parent)
    signal.signal(signal.SIGTERM, lambda *_: setattr(worker, "stopping", True))
    try:
        worker.run()
    finally:
        os._exit(0)


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    store = Store(sys.argv[1])
    plugins = WorkspacePlugins.load()  # 1: load the plugins, before the fork; no thread is started yet
    with socket.create_server(("127.0.0.1", int(sys.argv[2]) if len(sys.argv) > 2 else 0)) as listening:
        listening.setblocking(False)  # when a request comes all workers wake up, and one gets it
        workers = [fork(listening, store, plugins) for _ in range(WORKERS)]
        print(f"http://127.0.0.1:{listening.getsockname()[1]}", flush=True)  # noqa: T201
    with plugins, plugins.ticking(every=60):  # 2: tick, in one process, after the fork
        try:
            os.wait()  # a worker that ends takes the server with it, which whoever started it starts anew
        finally:
            for worker in workers:
                with suppress(ProcessLookupError):
                    os.kill(worker, signal.SIGTERM)
            for worker in workers:
                with suppress(ChildProcessError):
                    os.waitpid(worker, 0)
            plugins.drain(timeout=5)


if __name__ == "__main__":
    main()
