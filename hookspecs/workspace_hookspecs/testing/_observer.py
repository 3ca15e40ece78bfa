"""The test's side of the kit's plugins: it listens to them, looks at the host's database for them, and answers them."""

from __future__ import annotations

import json
import os
import socketserver
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, cast

import pytest

from workspace_hookspecs._entry_points import find
from workspace_hookspecs._markers import PROJECT
from workspace_hookspecs._plugins import BLOCK_LIST
from workspace_hookspecs.testing._journal import Journal, Note
from workspace_hookspecs.testing._listeners import ADDRESS, TICK

__all__ = ["BLOCK", "Hold", "Observer", "installed"]

BLOCK: Final = "block"
_DISTRIBUTION: Final = "workspace_conformance-1.0.dist-info"
_METADATA: Final = "Metadata-Version: 2.1\nName: workspace-conformance\nVersion: 1.0\n"
_ENTRY_POINTS: Final = f"""[{PROJECT}]
conformance-recorder = workspace_hookspecs.testing._listeners:recorder
conformance-neighbour = workspace_hookspecs.testing._listeners:neighbour
"""


class Hold:
    """What the neighbour does at each event while it is held: ``RAISE``, or ``BLOCK`` until it is let go.

    ``expired``: it was let go because ``patience`` seconds were over, so whoever waited for it would have waited for ever.
    """

    def __init__(self, behaviour: str, patience: float) -> None:
        self._behaviour = behaviour
        self._patience = patience
        self._gone = threading.Event()
        self.expired = False

    def answer(self) -> str:
        """What the neighbour is told, maybe after a while."""
        if self._behaviour == BLOCK and not self._gone.wait(self._patience):
            self.expired = True
            self._gone.set()
        return self._behaviour

    def let_go(self) -> None:
        """Wait no longer."""
        self._gone.set()


class Observer(socketserver.ThreadingTCPServer):
    """Listens on a port of this machine, from entering it until leaving it. ``state`` looks at a workspace."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, patience: float) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.journal = Journal()
        self.patience = patience
        self.state: Callable[[str], str] | None = None
        self._hold: Hold | None = None
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), name="workspace conformance", daemon=True)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.server_address[1])

    def __enter__(self) -> Observer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()

    @contextmanager
    def holding(self, behaviour: str) -> Iterator[Hold]:
        """Have the neighbour raise, or block, meanwhile."""
        self._hold = hold = Hold(behaviour, self.patience)
        try:
            yield hold
        finally:
            self._hold = None
            hold.let_go()

    def take(self, said: dict[str, object]) -> str:
        """Note what a plugin says, with what the database says now; the answer."""
        note = Note(**said)  # type: ignore[arg-type]
        if self.state is not None and note.text is not None and note.plugin == "recorder":
            note = Note(**{**said, "state": self._look(note.text)})  # type: ignore[arg-type]
        self.journal.add(note)
        held = note.plugin == "neighbour" and note.what == "heard" and note.hook != TICK
        hold = self._hold if held else None
        return "" if hold is None else hold.answer()

    def _look(self, workspace_id: str) -> str:
        """The state, for at most ``patience`` seconds: a host whose ``state()`` asks the server would wait for itself."""
        found: list[str] = []

        def look() -> None:
            try:
                assert self.state is not None  # noqa: S101  take() has looked
                found.append(self.state(workspace_id))
            except Exception as error:  # noqa: BLE001  (boundary: the host author's function)
                found.append(f"unreadable: state() raised {type(error).__name__}: {error}")

        thread = threading.Thread(target=look, daemon=True)
        thread.start()
        thread.join(self.patience)
        return found[0] if found else "unreadable: state() does not come back while the host fires; it must not ask the server"


class _Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        line = self.rfile.readline()
        if line:
            answer = cast(Observer, self.server).take(json.loads(line))
            self.wfile.write(answer.encode() + b"\n")


def installed(observer: Observer, site: Path, patch: pytest.MonkeyPatch) -> None:
    """Install the kit's plugins in ``site``, for this process and for those that it starts, and block all others."""
    others = [entry.name for entry in find(PROJECT)]
    info = site / _DISTRIBUTION
    info.mkdir()
    (info / "METADATA").write_text(_METADATA, encoding="utf-8")
    (info / "entry_points.txt").write_text(_ENTRY_POINTS, encoding="utf-8")
    patch.setattr(sys, "path", [str(site), *sys.path])
    patch.setenv("PYTHONPATH", str(site), prepend=os.pathsep)
    patch.setenv(ADDRESS, str(observer.port))
    patch.setenv(BLOCK_LIST, ",".join([*filter(None, [os.environ.get(BLOCK_LIST)]), *others]))
