"""A process that writes to databases as a server does, over connections of its own which it keeps open.

Run as a program it takes one JSON object a line and answers each with one: what was done, and when (monotonic seconds, the
same for all processes of a machine).
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

__all__ = ["Writer", "restore_elsewhere"]

_RESTORE = """
import sqlite3, sys
source, target = (sqlite3.connect(path) for path in sys.argv[1:])
source.backup(target)
"""


def restore_elsewhere(path: Path, backup: Path) -> None:
    """Put the content of ``backup`` into the database, by a process that ends then, as the ``.restore`` of SQLite's shell."""
    subprocess.run([sys.executable, "-I", "-S", "-c", _RESTORE, backup, path], check=True)


class Writer:
    """Use it as a context manager. Every method raises ``sqlite3.OperationalError`` for what the process could not do."""

    def __enter__(self) -> Writer:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(20)
        self._process.stdout.close()

    def commit(self, path: Path, *statements: str) -> float:
        """Run them in one transaction and commit it; when that was done."""
        return self._ask("commit", path, statements)

    def roll_back(self, path: Path, *statements: str) -> float:
        """Run them in one transaction and take it back."""
        return self._ask("roll back", path, statements)

    def run(self, path: Path, *statements: str) -> float:
        """Run them outside of a transaction, such as a VACUUM; a lock is not waited for."""
        return self._ask("run", path, statements)

    def restore(self, path: Path, backup: Path) -> float:
        """Put the backup's content into the live database, by SQLite's backup API."""
        return self._ask("restore", path, [str(backup)])

    def close(self, path: Path) -> float:
        """Close the connection to this database."""
        return self._ask("close", path, ())

    def _ask(self, what: str, path: Path, arguments: Sequence[str]) -> float:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"what": what, "path": str(path), "arguments": list(arguments)}) + "\n")
        answer = json.loads(self._process.stdout.readline())
        if "error" in answer:
            raise sqlite3.OperationalError(answer["error"])
        return float(answer["at"])


class _Server:
    def __init__(self) -> None:
        self._connections: dict[str, sqlite3.Connection] = {}

    def do(self, what: str, path: str, arguments: Sequence[str]) -> None:
        if what == "close":
            self._connections.pop(path).close()
            return
        if path not in self._connections:
            # A log that somebody is just setting up is locked for that moment.
            self._connections[path] = sqlite3.connect(path, timeout=20, isolation_level=None)
            self._connections[path].execute("PRAGMA foreign_keys = ON")
            self._connections[path].execute("PRAGMA synchronous = OFF")
        connection = self._connections[path]
        if what == "restore":
            source = sqlite3.connect(arguments[0])
            source.backup(connection)
            source.close()
            return
        connection.execute(f"PRAGMA busy_timeout = {0 if what == 'run' else 20_000}")
        if what != "run":
            connection.execute("BEGIN IMMEDIATE")
        for statement in arguments:
            connection.execute(statement).fetchall()
        if what != "run":
            connection.execute("COMMIT" if what == "commit" else "ROLLBACK")


def _serve() -> None:
    server = _Server()
    for line in sys.stdin:
        asked: dict[str, Any] = json.loads(line)
        try:
            server.do(asked["what"], asked["path"], asked["arguments"])
            answer: dict[str, Any] = {"at": time.monotonic()}
        except sqlite3.Error as error:
            answer = {"error": str(error)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    _serve()
