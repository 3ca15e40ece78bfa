"""The evidence that others depend on a process, from the kernel."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from workspace_reaper.processes import dependents
from workspace_reaper.processes.dependents import needed_by
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


def test_a_client_elsewhere_is_evidence_and_one_of_its_own_is_not(listening: socket.socket) -> None:
    assert needed_by(OWN, [OWN]) is None
    child = os.fork()
    if child == 0:
        client = socket.socket(socket.AF_UNIX)
        client.connect(listening.getsockname())
        client.recv(1)
        os._exit(0)
    with listening.accept()[0]:
        connection, none = needed_by(OWN, [OWN]), needed_by(OWN, [OWN, child])
    os.waitpid(child, 0)
    assert connection is not None
    assert connection.startswith(f"the process {child} (")
    assert none is None


def test_a_process_that_is_gone_serves_nobody() -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    assert needed_by(child, []) is None


def test_without_the_kernels_report_there_is_no_evidence(listening: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> list[object]:
        raise OSError("no sock_diag")

    monkeypatch.setattr(dependents, "unix_sockets", refused)
    assert needed_by(OWN, []) is None
    assert listening.fileno() > 0
