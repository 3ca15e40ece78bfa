"""The evidence that others depend on a process, from the kernel."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from workspace_reaper.processes import dependents
from workspace_reaper.processes.dependents import needed
from workspace_reaper.processes.unix_sockets import unix_sockets

pytestmark = [pytest.mark.once, pytest.mark.skipif(not Path("/proc/net/unix").exists(), reason="needs Linux")]

OWN = os.getpid()


@pytest.fixture
def listening(short_tmp: Path) -> Iterator[socket.socket]:
    """This process listens on it."""
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(short_tmp / "socket"))
        made.listen()
        yield made


def test_the_kernel_reports_who_listens_and_who_is_connected_to_whom(listening: socket.socket) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(listening.getsockname())
        with listening.accept()[0] as accepted:
            sockets = {one.inode: one for one in unix_sockets()}
            by_us = [os.fstat(one.fileno()).st_ino for one in (listening, client, accepted)]
    listens, connected, served = (sockets[inode] for inode in by_us)
    assert (listens.listens, connected.listens, served.listens) == (True, False, False)
    assert (connected.peer, served.peer, listens.peer) == (served.inode, connected.inode, None)
    assert os.fsdecode(served.name).rstrip("\0") == listening.getsockname()


def connect(listening: socket.socket, name: str | None = None) -> None:
    """Connect for as long as this process lives."""
    connection = socket.socket(socket.AF_UNIX)
    if name is not None:
        connection.bind(name)
    connection.connect(listening.getsockname())
    connection.detach()


@contextmanager
def in_a_child(run: Callable[[], None]) -> Iterator[int]:
    """Run it in a child, which then holds what it has open until it is killed; the child's pid once it has run."""
    has_run, runs = os.pipe()
    child = os.fork()
    if child == 0:
        run()
        os.write(runs, b"1")
        signal.pause()
        os._exit(0)
    try:
        assert os.read(has_run, 1)
        yield child
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(has_run)
        os.close(runs)


def test_a_client_elsewhere_is_evidence_and_one_of_its_own_is_not(listening: socket.socket) -> None:
    assert needed([OWN]) == {}
    child = os.fork()
    if child == 0:
        client = socket.socket(socket.AF_UNIX)
        client.connect(listening.getsockname())
        client.recv(1)
        os._exit(0)
    with listening.accept()[0]:
        connection, none = needed([OWN]), needed([OWN, child])
    os.waitpid(child, 0)
    assert connection[OWN].startswith(f"the process {child} (")
    assert none == {}


@pytest.mark.parametrize("listener", ["open", "closed"])
def test_both_who_listens_and_who_has_accepted_serve_the_client(listening: socket.socket, listener: str) -> None:
    """A server of processes: the parent listens, and a child has the connection."""
    with in_a_child(lambda: connect(listening)) as client:
        accepted = listening.accept()[0]
        with in_a_child(listening.close) as worker:
            accepted.close()
            if listener == "closed":
                listening.close()
            found = needed([OWN, worker])
            none = needed([OWN, worker, client])
    expected = {OWN, worker} if listener == "open" else {worker}
    assert found.keys() == expected
    assert {why.partition(" (")[0] for why in found.values()} == {f"the process {client}"}
    assert none == {}


def test_a_connection_that_is_not_accepted_yet_is_evidence(listening: socket.socket) -> None:
    """A server that is stopped or busy accepts it later."""
    with in_a_child(lambda: connect(listening)) as client:
        assert needed([OWN])[OWN].startswith(f"the process {client} (")


def test_a_client_with_a_name_of_its_own_serves_no_other(listening: socket.socket, short_tmp: Path) -> None:
    """As those of systemd have: its end of the connection has a name, and so has the server's."""
    with (
        in_a_child(lambda: connect(listening, name=str(short_tmp / "client"))) as client,
        listening.accept()[0],
    ):
        assert needed([client]) == {}
        assert needed([OWN]).keys() == {OWN}


def test_the_client_of_another_socket_with_the_same_path_is_none(
    listening: socket.socket,
) -> None:
    """The server has bound its path again: who was connected before is served by another process."""
    path = listening.getsockname()
    with (
        in_a_child(lambda: connect(listening)),
        listening.accept()[0] as before,
        in_a_child(lambda: None),
        socket.socket(socket.AF_UNIX) as again,
    ):
        before.close()
        listening.close()
        Path(path).unlink()
        again.bind(path)
        again.listen()
        assert needed([OWN]) == {}


def test_a_process_that_is_gone_serves_nobody() -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    assert needed([child]) == {}


def test_without_the_kernels_report_there_is_no_evidence(listening: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> list[object]:
        raise OSError("no sock_diag")

    monkeypatch.setattr(dependents, "unix_sockets", refused)
    assert needed([OWN]) == {}
    assert listening.fileno() > 0
