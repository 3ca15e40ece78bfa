"""``workspace-reaper`` as a process of its own that has imported already what it needs: half a second less for each command.

A process that did the imports waits beside each process of pytest, and forks for each command. The child has the arguments,
the environment, the directory and the file descriptors that it was given, and ends as an interpreter ends. A real start is
another thing only to who looks at the start itself: such a test, and one with a variable that Python reads at its start, has
one.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

__all__ = ["PRODUCT", "product", "run", "serve", "start_anew"]

MODULES = (
    *("cli.app", "cli.bootstrap", "cli.tables", "util.console", "plugin", "settings"),
    *(f"operations.{name}" for name in ("doctor", "reaper", "restore", "sessions", "status", "undo")),
    *("tmux.server", "ledger", "registry.id_types", "registry.sqlite.registry", "processes", "snapshots"),
)
_READ_BY_US = ("PATH", "HOME", "TMUX", "TMUX_PANE", "TMUX_TMPDIR", "TZ")
_PREFIXES_READ_BY_US = ("WORKSPACE_", "XDG_")
_START = {"LC_ALL": "C"}
"""What a command reads while it starts, and the same for each that is forked."""

_PROGRAM = (
    "from tests.tools.commands import serve\nif serve({descriptor}):\n    from workspace_reaper.cli import main\n    main()\n"
)
_ROOT = Path(__file__).parents[2]


PRODUCT = "REAPER_TEST_PRODUCT"
"""The variable with directories of another version of the product, which ``red_on`` tests in place of the installed one."""


def product() -> dict[str, str]:
    """The variables with which a command finds the product under test; none if it is installed."""
    return {"PYTHONPATH": os.environ[PRODUCT]} if PRODUCT in os.environ else {}


def _can_fork(environ: Mapping[str, str]) -> bool:
    """Whether a command with this environment may do without a real start."""
    rest = {
        name: value for name, value in environ.items() if name not in _READ_BY_US and not name.startswith(_PREFIXES_READ_BY_US)
    }
    return sys.platform == "linux" and rest == _START


def run(
    arguments: Sequence[str], *, env: Mapping[str, str], cwd: Path, stdin: str = "", timeout: float = 60.0
) -> subprocess.CompletedProcess[str]:
    """``workspace-reaper ARGUMENTS``, as ``subprocess.run`` runs it. Raises ``subprocess.TimeoutExpired``."""
    return (_fork if _can_fork(env) else start_anew)(arguments, env=env, cwd=cwd, stdin=stdin, timeout=timeout)


def start_anew(
    arguments: Sequence[str], *, env: Mapping[str, str], cwd: Path, stdin: str = "", timeout: float = 60.0
) -> subprocess.CompletedProcess[str]:
    """The same, by a real start."""
    command = [sys.executable, "-c", "from workspace_reaper.cli import main; main()", *arguments]
    return subprocess.run(
        command, input=stdin, capture_output=True, text=True, env={**env, **product()}, timeout=timeout, cwd=cwd, check=False
    )


def _fork(
    arguments: Sequence[str], *, env: Mapping[str, str], cwd: Path, stdin: str, timeout: float
) -> subprocess.CompletedProcess[str]:
    with ExitStack() as stack:
        given = stack.enter_context(tempfile.TemporaryFile())
        given.write(stdin.encode())
        given.seek(0)
        pipes = [os.pipe() for _ in range(3)]  # its standard output, its standard error, and how it ended
        request = {"arguments": list(arguments), "env": dict(env), "cwd": str(cwd)}
        try:
            _warm().send(request, [given.fileno(), *(writing for _, writing in pipes)])
        finally:
            for _, writing in pipes:
                os.close(writing)
        for reading, _ in pipes:
            stack.callback(os.close, reading)
        out, err, told = _read_all([reading for reading, _ in pipes], arguments, timeout)
    pid, _, status = told.partition(b"\n")
    assert status, f"the process that forks has died, and with it {pid.decode() or arguments}"
    code = os.waitstatus_to_exitcode(int(status))
    return subprocess.CompletedProcess(list(arguments), code, out.decode(), err.decode())


def _read_all(descriptors: Sequence[int], arguments: Sequence[str], timeout: float) -> list[bytes]:
    """All that comes until the last writer closes each of these. The last one begins with the process id."""
    found = dict.fromkeys(descriptors, b"")
    until = time.monotonic() + timeout
    with selectors.DefaultSelector() as selector:
        for descriptor in descriptors:
            selector.register(descriptor, selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(max(0.0, until - time.monotonic()))
            if not ready and time.monotonic() >= until:
                pid = found[descriptors[-1]].partition(b"\n")[0]
                if pid:
                    os.kill(int(pid), signal.SIGKILL)
                raise subprocess.TimeoutExpired(list(arguments), timeout, found[descriptors[0]], found[descriptors[1]])
            for key, _ in ready:
                chunk = os.read(key.fd, 65536)
                found[key.fd] += chunk
                if not chunk:
                    selector.unregister(key.fd)
    return list(found.values())


class _Warm:
    """The process that has imported everything. It ends when our end of its socket is closed."""

    def __init__(self) -> None:
        self.owner = os.getpid()
        self._sending = threading.Lock()
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            program = _PROGRAM.format(descriptor=theirs.fileno())
            self._process = subprocess.Popen(
                [sys.executable, "-c", program],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", **_START, **product()},
                cwd=_ROOT,
                pass_fds=[theirs.fileno()],
            )
        atexit.register(self.close)

    def send(self, request: Mapping[str, object], descriptors: Sequence[int]) -> None:
        with self._sending:
            socket.send_fds(self._socket, [json.dumps(request).encode()], descriptors)

    def close(self) -> None:
        if self.owner == os.getpid():
            self._socket.close()
            self._process.wait(30)


_started: list[_Warm] = []
_starting = threading.Lock()


def _warm() -> _Warm:
    with _starting:
        if not _started or _started[0].owner != os.getpid():
            _started[:] = [_Warm()]
        return _started[0]


# In the process that forks


def serve(descriptor: int) -> bool:
    """Fork for each request that comes through this socket. True: this is a child, all set to run its command. False: the
    socket was closed, and it is all over."""
    for name in MODULES:
        importlib.import_module(f"workspace_reaper.{name}")
    gc.freeze()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    woken, waking = os.pipe()
    for end in (woken, waking):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(waking)
    ends: dict[int, int] = {}
    with socket.socket(fileno=descriptor) as asked, selectors.DefaultSelector() as selector:
        selector.register(asked, selectors.EVENT_READ)
        selector.register(woken, selectors.EVENT_READ)
        while True:
            ready = {key.fileobj for key, _ in selector.select()}
            if woken in ready:
                os.read(woken, 4096)
                _tell_ends(ends)
            if asked in ready:
                text, descriptors, _, _ = socket.recv_fds(asked, 1 << 20, 4)
                if not text:
                    return False
                pid = os.fork()
                if not pid:
                    break
                _tell(descriptors[-1], b"%d\n" % pid)
                ends[pid] = descriptors.pop()
                for one in descriptors:
                    os.close(one)
    _become(json.loads(text), descriptors)
    return True


def _tell_ends(ends: dict[int, int]) -> None:
    while ends:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        end = ends.pop(pid)
        _tell(end, b"%d" % status)
        os.close(end)


def _tell(end: int, what: bytes) -> None:
    with suppress(BrokenPipeError):  # who asked for it has given up
        os.write(end, what)


def _become(request: Mapping[str, object], descriptors: Sequence[int]) -> None:
    """Have what a process has that was started for this."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, descriptor in enumerate(descriptors[:3]):
        os.dup2(descriptor, number)
    os.closerange(3, 4096)
    os.environ.clear()
    os.environ.update(request["env"])  # type: ignore[call-overload]
    time.tzset()
    os.chdir(str(request["cwd"]))
    sys.argv[1:] = request["arguments"]  # type: ignore[call-overload]
