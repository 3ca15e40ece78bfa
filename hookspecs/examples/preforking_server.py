"""A workspace server of several processes, with http.server: the parent listens, forks and ticks, and its workers serve.

``python preforking_server.py DATABASE [PORT]`` serves these requests:

    POST   /workspaces                create a workspace; the response is its id
    POST   /workspaces/ID/archive     archive it
    POST   /workspaces/ID/unarchive   unarchive it
    DELETE /workspaces/ID             delete it

Plugins are loaded before the fork, so every process has them. A worker fires the changes that it commits (3, in the handler
of the threaded server), and a plugin starts its thread there at the first event. Only the parent ticks, after it has forked.
Plugins must support several processes. The reaper does: it holds a lock between processes during a sweep.
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
    """A worker. It serves on a socket that it shares with other workers, until SIGTERM or the end of its parent."""

    def __init__(self, listening: socket.socket, store: Store, plugins: WorkspacePlugins, parent: int) -> None:
        super().__init__(listening.getsockname(), Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listening
        self.store, self.plugins, self.parent = store, plugins, parent
        self.stopping = False

    def run(self) -> None:
        with self.plugins, suppress(SystemExit):  # close the plugins of this process at the end
            try:
                self.serve_forever(poll_interval=0.1)
            finally:
                self.plugins.drain(timeout=5)

    def service_actions(self) -> None:
        """Stop between two requests, if so requested."""
        if self.stopping or os.getppid() != self.parent:
            raise SystemExit


def fork(listening: socket.socket, store: Store, plugins: WorkspacePlugins) -> int:
    """Start a worker and return its process id."""
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
    plugins = WorkspacePlugins.load()  # 1: load the plugins, before the fork; this starts no thread
    with socket.create_server(("127.0.0.1", int(sys.argv[2]) if len(sys.argv) > 2 else 0)) as listening:
        listening.setblocking(False)  # a request wakes all workers, and one accepts it
        workers = [fork(listening, store, plugins) for _ in range(WORKERS)]
        print(f"http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
    with plugins, plugins.ticking(every=60):  # 2: tick, in one process, after the fork
        try:
            os.wait()  # if a worker ends, the server ends, and its service manager restarts it
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
