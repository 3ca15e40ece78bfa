"""The plugins that the kit installs in a host, and the server in the test's process that records what they report."""

from __future__ import annotations

import json
import os
import socket
import socketserver
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from workspace_hookspecs._loading import find_entry_points
from workspace_hookspecs._manager import BLOCK_LIST, WorkspacePlugins
from workspace_hookspecs._specs import PROJECT, hookimpl

if TYPE_CHECKING:
    import pytest

PORT: Final = "WORKSPACE_CONFORMANCE"
"""The environment variable with the server's port on this machine."""
PATIENCE: Final = 10.0
"""Seconds to wait for an event before it is taken for lost."""

RAISE: Final = "raise"
BLOCK: Final = "block"
DELETED: Final = "on_workspace_deleted"
ARCHIVED: Final = "on_workspace_archived"
TICK: Final = "on_tick"

_METADATA: Final = "Metadata-Version: 2.1\nName: workspace-conformance\nVersion: 1.0\n"
_ENTRY_POINTS: Final = f"""[{PROJECT}]
conformance-recorder = {__name__}:recorder
conformance-faulty = {__name__}:faulty
"""


class InjectedError(Exception):
    """What the faulty plugin raises on request. It must never reach the host."""


class ReportingPlugin:
    """A plugin of a host's three hooks. It reports each call to the test's process, from any process of the host."""

    def __init__(self, name: str) -> None:
        self._name = name

    @hookimpl
    def on_workspace_deleted(self, workspace_id: str) -> None:
        """Report the call."""
        self._receive(DELETED, workspace_id)

    @hookimpl
    def on_workspace_archived(self, workspace_id: str) -> None:
        """Report the call."""
        self._receive(ARCHIVED, workspace_id)

    @hookimpl
    def on_tick(self, now: datetime) -> None:
        """Report the call."""
        self._receive(TICK, now)

    def drain(self, _timeout: float) -> bool:
        """Report the call."""
        self._report("drain")
        return True

    def close(self) -> None:
        """Report the call."""
        self._report("close")

    def _receive(self, hook: str, value: object) -> None:
        if self._report("received", hook, value) == RAISE:
            raise InjectedError(f"the conformance kit's plugin {self._name!r} raises in {hook} on purpose")

    def _report(self, kind: str, hook: str = "", value: object = None) -> str:
        """Report to the test's process and wait for the answer. Return "" if the check is over."""
        text = value if isinstance(value, str) else None
        call = [self._name, kind, hook, os.getpid(), text, type(value).__name__, repr(value)]
        address = ("127.0.0.1", int(os.environ.get(PORT, "0")))
        # OSError: the check is over, and it did not close this host.
        with suppress(OSError), socket.create_connection(address) as connection, connection.makefile("rwb") as stream:
            stream.write(json.dumps(call).encode() + b"\n")
            stream.flush()
            return stream.readline().decode().strip()
        return ""


class Recorder(ReportingPlugin):
    """A plugin that also reports each event on the thread that fires it. Only then does the state that another connection sees
    show whether the host has committed; the plugin's own thread may run later."""

    def join(self, plugins: WorkspacePlugins) -> None:
        """Report every call of the host from now on."""
        self._report("loaded")
        for name, hook in {"workspace_deleted": DELETED, "workspace_archived": ARCHIVED}.items():
            setattr(plugins, name, self._reported(hook, getattr(plugins, name)))

    def _reported(self, hook: str, fire: Callable[[str], None]) -> Callable[[str], None]:
        def report_and_fire(workspace_id: str) -> None:
            self._report("fired", hook, workspace_id)
            fire(workspace_id)

        return report_and_fire


recorder = Recorder("recorder")
faulty = ReportingPlugin("faulty")


@dataclass(frozen=True, slots=True)
class RecordedCall:
    """One report of one of the kit's plugins.

    Attributes:
        plugin: ``recorder`` or ``faulty``.
        kind: ``loaded``, ``fired`` (the host's call, on its thread), ``received`` (a plugin's hook), ``drain`` or ``close``.
        hook: The hook's name, or "".
        process: The id of the reporting process.
        text: The workspace's id, or None if the argument is not text.
        type: The type of the argument.
        shown: The repr of the argument.
        state: The workspace's state at that time, as the test's connection sees it: ``active``, ``archived``, ``deleted``, or
            why it cannot be read. "" if it was not read.
    """

    plugin: str
    kind: str
    hook: str
    process: int
    text: str | None
    type: str
    shown: str
    state: str = ""


class Fault:
    """What the faulty plugin does at each event: raise, or block until it is released.

    ``expired`` is whether it was released because ``patience`` seconds were over: a host that waits for it would hang.
    """

    def __init__(self, behaviour: str, patience: float) -> None:
        self._behaviour = behaviour
        self._patience = patience
        self._released = threading.Event()
        self.expired = False

    def answer(self) -> str:
        """Return the answer to a report of the faulty plugin, possibly after a while."""
        if self._behaviour == BLOCK and not self._released.wait(self._patience):
            self.expired = True
            self._released.set()
        return self._behaviour

    def release(self) -> None:
        """Block no longer."""
        self._released.set()


class RecordingServer(socketserver.ThreadingTCPServer):
    """Listens on a port of this machine while it is entered, records the reports and answers them.

    ``state`` is the function that reads a workspace's state.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, patience: float) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.patience = patience
        self.state: Callable[[str], str] | None = None
        self._fault: Fault | None = None
        self._calls: list[RecordedCall] = []
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), name="workspace conformance", daemon=True)

    def __enter__(self) -> RecordingServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()

    @property
    def calls(self) -> list[RecordedCall]:
        """A copy of the calls so far, in order."""
        with self._changed:
            return list(self._calls)

    def wait(self, holds: Callable[[Sequence[RecordedCall]], object]) -> bool:
        """Wait up to ``patience`` seconds until the condition holds for the calls. Return whether it does."""
        with self._changed:
            return self._changed.wait_for(lambda: bool(holds(self._calls)), self.patience)

    @contextmanager
    def inject(self, behaviour: str) -> Iterator[Fault]:
        """Have the faulty plugin raise or block at each event within the block."""
        self._fault = fault = Fault(behaviour, self.patience)
        try:
            yield fault
        finally:
            self._fault = None
            fault.release()

    def record(self, call: RecordedCall) -> str:
        """Record a call with the workspace's state at this time. Return the answer."""
        if self.state is not None and call.text is not None and call.plugin == "recorder":
            call = replace(call, state=self._read_state(self.state, call.text))
        with self._changed:
            self._calls.append(call)
            self._changed.notify_all()
        fault = self._fault if call.plugin == "faulty" and call.kind == "received" and call.hook != TICK else None
        return "" if fault is None else fault.answer()

    def _read_state(self, state: Callable[[str], str], workspace_id: str) -> str:
        """Read for ``patience`` seconds at most: a ``state()`` that asks the server would wait for itself."""
        found = ["unreadable: state() does not return while the host fires; it must not ask the server"]

        def read() -> None:
            try:
                found.append(state(workspace_id))
            except Exception as error:  # noqa: BLE001  (boundary: the host author's function)
                found.append(f"unreadable: state() raised {type(error).__name__}: {error}")

        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        thread.join(self.patience)
        return found[-1]


class _Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        line = self.rfile.readline()
        if line:
            answer = cast(RecordingServer, self.server).record(RecordedCall(*json.loads(line)))
            self.wfile.write(answer.encode() + b"\n")


@contextmanager
def recording(site: Path, patch: pytest.MonkeyPatch, patience: float = PATIENCE) -> Iterator[RecordingServer]:
    """Run a server, and install the kit's plugins in ``site`` for this process and its children. Block all other plugins."""
    others = [entry.name for entry in find_entry_points(PROJECT)]
    info = site / "workspace_conformance-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(_METADATA, encoding="utf-8")
    (info / "entry_points.txt").write_text(_ENTRY_POINTS, encoding="utf-8")
    with RecordingServer(patience) as server:
        patch.setattr(sys, "path", [str(site), *sys.path])
        patch.setenv("PYTHONPATH", str(site), prepend=os.pathsep)
        patch.setenv(PORT, str(server.server_address[1]))
        patch.setenv(BLOCK_LIST, ",".join([*filter(None, [os.environ.get(BLOCK_LIST)]), *others]))
        yield server
