"""A workspace server on an event loop, with asyncio's streams.

``python asyncio_server.py DATABASE [PORT]`` serves these requests:

    POST   /workspaces                create a workspace; the response is its id
    POST   /workspaces/ID/archive     archive it
    POST   /workspaces/ID/unarchive   unarchive it
    DELETE /workspaces/ID             delete it
"""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import sys
from collections.abc import Callable

from store import Store

from workspace_hookspecs import WorkspacePlugins


class Server:
    """A server. ``run`` serves until ``stop`` is set."""

    def __init__(self, database: str) -> None:
        self.store = Store(database)
        self.plugins = WorkspacePlugins.load()  # 1: load the plugins
        self.stop = asyncio.Event()
        self.requests: set[asyncio.Task[None]] = set()

    async def run(self, started: Callable[[int], None], port: int = 0) -> None:
        async with self.plugins.ticking(every=60):  # 2: tick, also while the loop is busy
            listening = await asyncio.start_server(self.accept, "127.0.0.1", port)
            started(listening.sockets[0].getsockname()[1])
            await self.stop.wait()
            listening.close()
            await asyncio.gather(*self.requests)  # the requests in progress
        await asyncio.to_thread(self.plugins.drain, 5)  # these two calls block, so not on the loop
        await asyncio.to_thread(self.plugins.close)

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self.serve(reader, writer))
        self.requests.add(task)
        task.add_done_callback(self.requests.discard)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one request and close the connection."""
        head = await reader.readuntil(b"\r\n\r\n")
        method, path, _ = head.decode().split(maxsplit=2)
        status, text = await self.answer(method, path.split("/")[1:])
        writer.write(f"HTTP/1.1 {status} \r\nContent-Length: {len(text)}\r\nConnection: close\r\n\r\n{text}".encode())
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async def answer(self, method: str, path: list[str]) -> tuple[int, str]:
        match [method, *path]:
            case ["POST", "workspaces"]:
                return 201, await asyncio.to_thread(self.store.create)
            case ["POST", "workspaces", workspace_id, "archive" | "unarchive" as verb]:
                return await self.change(verb, workspace_id), ""
            case ["DELETE", "workspaces", workspace_id]:
                return await self.change("delete", workspace_id), ""
        return 404, ""

    async def change(self, verb: str, workspace_id: str) -> int:
        try:
            found = await asyncio.to_thread(self.store.change, verb, workspace_id)
        except sqlite3.Error:  # rolled back: nothing was changed, so nothing is fired
            return 503
        if found and verb == "delete":
            self.plugins.workspace_deleted(workspace_id)  # 3: after the commit; returns at once
        elif found and verb == "archive":
            self.plugins.workspace_archived(workspace_id)
        return 200 if found else 404


async def main() -> None:
    server = Server(sys.argv[1])
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, server.stop.set)
    port = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    await server.run(lambda used: print(f"http://127.0.0.1:{used}", flush=True), port)


if __name__ == "__main__":
    asyncio.run(main())
