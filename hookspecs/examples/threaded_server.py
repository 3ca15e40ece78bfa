"""A workspace server with a thread for each request, with http.server.

``python threaded_server.py DATABASE [PORT]`` serves these requests:

    POST   /workspaces                create a workspace; the response is its id
    POST   /workspaces/ID/archive     archive it
    POST   /workspaces/ID/unarchive   unarchive it
    DELETE /workspaces/ID             delete it
"""

from __future__ import annotations

import signal
import sqlite3
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from store import Store

from workspace_hookspecs import WorkspacePlugins


class Server(ThreadingHTTPServer):
    """A server. ``run`` serves until ``shutdown`` is called on another thread."""

    daemon_threads = False  # so that server_close() waits for the requests in progress

    def __init__(self, database: str, port: int = 0) -> None:
        self.store = Store(database)
        self.plugins = WorkspacePlugins.load()  # 1: load the plugins
        super().__init__(("127.0.0.1", port), Handler)

    def run(self) -> None:
        with self.plugins, self.plugins.ticking(every=60):  # 2: tick, and close the plugins at the end
            self.serve_forever(poll_interval=0.1)
            self.server_close()
            self.plugins.drain(timeout=5)


class Handler(BaseHTTPRequestHandler):
    """The handler of one request, on a thread of its own."""

    server: Server

    def do_POST(self) -> None:
        match self.path.split("/")[1:]:
            case ["workspaces"]:
                self.answer(201, self.server.store.create())
            case ["workspaces", workspace_id, "archive" | "unarchive" as verb]:
                self.change(verb, workspace_id)
            case _:
                self.answer(404)

    def do_DELETE(self) -> None:
        self.change("delete", self.path.removeprefix("/workspaces/"))

    def change(self, verb: str, workspace_id: str) -> None:
        try:
            found = self.server.store.change(verb, workspace_id)
        except sqlite3.Error as error:  # rolled back: nothing was changed, so nothing is fired
            return self.answer(503, str(error))
        if found and verb == "delete":
            self.server.plugins.workspace_deleted(workspace_id)  # 3: after the commit
        elif found and verb == "archive":
            self.server.plugins.workspace_archived(workspace_id)
        return self.answer(200 if found else 404)

    def answer(self, status: int, text: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


def main() -> None:
    server = Server(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    # On another thread, because shutdown() waits for the loop that the signal interrupts.
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.run()


if __name__ == "__main__":
    main()
