"""The evidence that others depend on a process, from the kernel and in the simulation."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

import pytest

from tests.tools.machines import SimulatedMachine
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


class Serving(Protocol):
    """A server that listens on a Unix socket."""

    server: int

    def needed(self, pids: Collection[int]) -> Mapping[int, str]: ...
    def connect(self) -> AbstractContextManager[int]: ...
    def hand_over(self, *, closes: bool) -> AbstractContextManager[int]: ...


class RealServing:
    """This process is the server."""

    server = OWN

    def __init__(self, listening: socket.socket) -> None:
        self._listening = listening

    def needed(self, pids: Collection[int]) -> Mapping[int, str]:
        return needed(pids)

    def connect(self) -> AbstractContextManager[int]:
        """A client connects, and is not accepted yet."""
        return in_a_child(lambda: connect(self._listening))

    @contextmanager
    def hand_over(self, *, closes: bool) -> Iterator[int]:
        """A worker takes over the connection, and the server listens no more if it ``closes``."""
        accepted = self._listening.accept()[0]
        with in_a_child(self._listening.close) as worker:
            accepted.close()
            if closes:
                self._listening.close()
            yield worker


class SimulatedServing:
    """The same without a socket."""

    def __init__(self) -> None:
        self._machine = SimulatedMachine()
        self._world = self._machine.machine
        self.server = self._world.spawn(["server"])
        self._client = 0

    def needed(self, pids: Collection[int]) -> Mapping[int, str]:
        known = self._world.processes
        found = self._machine.processes.needed([known[pid].key for pid in pids if pid in known])
        return {key.pid: why for key, why in found.items()}

    @contextmanager
    def connect(self) -> Iterator[int]:
        client = self._client = self._world.spawn(["client"])
        self._world.connect(client, self.server)
        yield client
        self._world.exit(client)

    @contextmanager
    def hand_over(self, *, closes: bool) -> Iterator[int]:
        worker = self._world.fork(self.server)
        self._world.connect(self._client, worker)
        if closes:
            self._world.processes[self.server].clients.clear()
        yield worker


@pytest.fixture(params=["linux", "memory"])
def serving(request: pytest.FixtureRequest) -> Serving:
    return SimulatedServing() if request.param == "memory" else RealServing(request.getfixturevalue("listening"))


def test_a_client_elsewhere_is_evidence_and_one_of_its_own_is_not(serving: Serving) -> None:
    """Also before it is accepted: a server that is stopped or busy accepts it later."""
    own = serving.server
    assert serving.needed([own]) == {}
    with serving.connect() as client:
        connection, none = serving.needed([own]), serving.needed([own, client])
        assert connection[own].startswith(f"the process {client} (")
        assert connection[own].endswith(") of another session is connected to it")
        assert none == serving.needed([client]) == {}


@pytest.mark.parametrize("listener", ["open", "closed"])
def test_both_who_listens_and_who_has_accepted_serve_the_client(serving: Serving, listener: str) -> None:
    """A server of processes: the parent listens, and a child has the connection."""
    own = serving.server
    with serving.connect() as client, serving.hand_over(closes=listener == "closed") as worker:
        found = serving.needed([own, worker])
        none = serving.needed([own, worker, client])
    expected = {own, worker} if listener == "open" else {worker}
    assert found.keys() == expected
    assert {why.partition(" (")[0] for why in found.values()} == {f"the process {client}"}
    assert none == {}


def test_an_accepted_client_that_has_ended_is_none(listening: socket.socket) -> None:
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
    assert none == needed([OWN]) == {}


def test_what_serves_a_mount_or_terminals_in_the_simulation() -> None:
    machine = SimulatedMachine()
    world = machine.machine
    mount, terminals, client = (world.spawn([name]) for name in ("sshfs", "dtach", "client"))
    world.processes[mount].serves_mount = world.processes[terminals].serves_terminals = True
    world.connect(client, mount)
    world.connect(client, terminals)
    keys = [world.processes[pid].key for pid in (mount, terminals, client)]
    assert machine.processes.needed(keys) == {
        keys[0]: "it serves a mounted file system",
        keys[1]: "terminals run in it, and others may be attached to them",
    }


def test_a_client_with_a_name_of_its_own_serves_no_other(listening: socket.socket, short_tmp: Path) -> None:
    """As those of systemd have: its end of the connection has a name, and so has the server's."""
    with (
        in_a_child(lambda: connect(listening, name=str(short_tmp / "client"))) as client,
        listening.accept()[0],
    ):
        assert needed([client]) == {}
        assert needed([OWN]).keys() == {OWN}


def send_to(address: str, name: str | None = None) -> None:
    """Connect a datagram socket for as long as this process lives."""
    sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    if name is not None:
        sender.bind(name)
    sender.connect(address)
    sender.detach()


@pytest.mark.parametrize("client_name", [None, "client"], ids=["nameless", "named"])
def test_who_has_the_socket_that_datagrams_are_sent_to_serves_the_client(short_tmp: Path, client_name: str | None) -> None:
    """Only the client is connected, and it serves no other process, even if it has a name to which answers are sent."""
    name = None if client_name is None else str(short_tmp / client_name)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        made.bind(str(short_tmp / "datagrams"))
        assert needed([OWN]) == {}
        with in_a_child(lambda: send_to(made.getsockname(), name)) as client:
            found, none, of_client = needed([OWN]), needed([OWN, client]), needed([client])
    assert found.keys() == {OWN}
    assert found[OWN].startswith(f"the process {client} (")
    assert (none, of_client) == ({}, {})


def test_a_client_that_connects_elsewhere_leaves_the_others_connected(short_tmp: Path) -> None:
    """The kernel takes the datagram socket for unconnected then."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        made.bind(str(short_tmp / "datagrams"))
        other.bind(str(short_tmp / "other"))
        with in_a_child(lambda: send_to(made.getsockname())) as client:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as leaving:
                leaving.connect(made.getsockname())
                leaving.connect(other.getsockname())
            assert needed([OWN])[OWN].startswith(f"the process {client} (")


def test_a_pair_of_datagram_sockets_has_no_server() -> None:
    """As with a pair of streams, no process has connected to it."""
    one, another = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with one, another, in_a_child(lambda: None):
        assert needed([OWN]) == {}


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
