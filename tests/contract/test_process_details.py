"""What is asked of few processes only: command lines, users, memory, ports. Of real ones and of those of the simulation."""

from __future__ import annotations

import os
import shlex
import socket

import pytest

from tests.tools.machines import MACHINES, Child, Machine, machine_of
from tests.tools.real_processes import BOTH, LINUX, ROOT, Started, in_namespaces, rows
from tests.tools.waiting import wait_until
from workspace_reaper.model.machine_ports import Processes
from workspace_reaper.model.process import Details, Port
from workspace_reaper.processes.linux import LinuxReader
from workspace_reaper.processes.processes import SystemProcesses

pytestmark = pytest.mark.once

MIB = 1 << 20
ECHO = "read line; echo $line; read line; exit 0"
LISTEN = """
import socket
kind = socket.SOCK_STREAM if sys.argv[1] == "tcp" else socket.SOCK_DGRAM
server = socket.socket(socket.AF_INET6 if sys.argv[2] == "6" else socket.AF_INET, kind)
server.bind(("::1" if sys.argv[2] == "6" else "127.0.0.1", 0))
if sys.argv[1] == "tcp": server.listen()
print(server.getsockname()[1], flush=True)
"""


@pytest.fixture(params=MACHINES)
def machine(request: pytest.FixtureRequest) -> Machine:
    return machine_of(request.param)


@pytest.fixture(params=BOTH)
def processes(request: pytest.FixtureRequest) -> SystemProcesses:
    return SystemProcesses(reader=request.param())


def details(processes: Processes, child: Child) -> Details:
    """Those of one process."""
    return processes.details([child.key])[child.key]


@pytest.mark.parametrize(
    "arguments",
    [
        ["a b", "it's", '"', "$HOME", "`x`"],
        ["", "middle", "", "end"],
        ["tab\t", "line\nbreak", "\x1b[31mred\x07"],
        ["größer", "日本"],
    ],
    ids=["quotes", "empty", "control characters", "unicode"],
)
def test_the_command_line(machine: Machine, arguments: list[str]) -> None:
    argv = ["sh", "-c", ECHO, "sh", *arguments]
    with machine.program(argv) as child:
        found = details(machine.processes, child)
        assert found.argv == tuple(argv)
        assert found.command == shlex.join(argv)


def test_empty_arguments_at_the_end_are_kept_for_a_program_and_not_for_a_person(machine: Machine) -> None:
    argv = ["sh", "-c", ECHO, "sh", "", ""]
    with machine.program(argv) as child:
        found = details(machine.processes, child)
        assert found.argv == tuple(argv)
        assert found.command == shlex.join(argv[:4])


def test_bytes_that_are_no_text(processes: SystemProcesses) -> None:
    argv = [b"sh", b"-c", ECHO.encode(), b"sh", b"broken \xff"]
    with Started.program(argv) as child:  # type: ignore[arg-type] # bytes are arguments as well
        found = details(processes, child)
        assert [os.fsencode(word) for word in found.argv] == argv
        assert found.command == f"sh -c '{ECHO}' sh 'broken \ufffd'"
        found.command.encode()


@LINUX
def test_without_a_command_line_there_is_the_name(processes: SystemProcesses) -> None:
    table = rows(processes)
    if 2 not in table or table[2].name != "kthreadd":
        pytest.skip("this pid namespace has no threads of the kernel")
    found = processes.details([table[2].key])[table[2].key]
    assert found == Details("kthreadd", (), frozenset({0}), 0, frozenset())


def test_our_own_user(machine: Machine) -> None:
    with machine.spawn() as child:
        assert details(machine.processes, child).uids == {machine.uid}


@ROOT
def test_another_user(processes: SystemProcesses) -> None:
    with Started.program(["cat"], user=65534) as child:
        found = details(processes, child)
        assert found.uids == {65534}
        assert found.command == "cat"
        assert found.memory_bytes > 0


@ROOT
def test_all_users_of_a_process_that_changed_one(processes: SystemProcesses) -> None:
    with Started("os.setresuid(0, 65534, 1)") as child:
        assert details(processes, child).uids == {0, 65534, 1}


@ROOT
def test_a_process_that_another_user_asks_for(processes: SystemProcesses) -> None:
    """Its proportional size and its ports are not for others; its resident size is."""
    with Started(LISTEN + f"ballast = bytearray({64 * MIB})", "tcp", "4") as child:
        code = f"""
become_nobody()
key = ProcessKey(*{tuple(child.key)})
found = processes.details([key])[key]
assert found.uids == frozenset([0]), found
assert {64 * MIB} <= found.memory_bytes < {200 * MIB}, found
assert not found.ports
assert "ballast" in found.command
"""
        in_namespaces(code, flags=(), reader=type(processes._reader))


def test_memory(machine: Machine) -> None:
    with machine.spawn(memory=64 * MIB) as child:
        assert 64 * MIB <= details(machine.processes, child).memory_bytes < 128 * MIB


@LINUX
def test_memory_that_several_share_counts_once(processes: SystemProcesses) -> None:
    code = (
        f"ballast = b'x' * {64 * MIB}\n"
        "for _ in range(3):\n"
        "    if not (pid := os.fork()):\n"
        "        sys.stdin.read()\n"
        "        os._exit(0)\n"
        "    print(pid, flush=True)"
    )
    with Started(code) as parent:
        pids = [parent.pid, *map(int, parent.words)]
        table = rows(processes)
        found = processes.details([table[pid].key for pid in pids])
        assert 64 * MIB <= sum(one.memory_bytes for one in found.values()) < 128 * MIB
        assert all(one.memory_bytes < 32 * MIB for one in found.values())


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize("family", ["4", "6"])
def test_ports(processes: SystemProcesses, protocol: str, family: str) -> None:
    if family == "6" and not socket.has_ipv6:
        pytest.skip("no IPv6")
    with Started(LISTEN, protocol, family) as child:
        port = Port(protocol, int(child.words[0]))
        assert details(processes, child).ports == {port}
        assert port in processes.listening()
    assert port not in processes.listening()


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_a_port_is_held_while_anyone_has_its_socket(machine: Machine, protocol: str) -> None:
    with machine.spawn() as parent:
        assert details(machine.processes, parent).ports == set()
        port = parent.listen(protocol)
        pid = parent.fork()
        child = rows(machine.processes)[pid].key
        assert machine.processes.details([child])[child].ports == details(machine.processes, parent).ports == {port}
        assert port in machine.processes.listening()
    wait_until(lambda: not machine.processes.living([child]))
    assert port not in machine.processes.listening()


def test_a_client_does_not_listen(processes: SystemProcesses) -> None:
    """To free a port by ending its clients has cost people their browsers."""
    code = "import socket\nclient = socket.create_connection(('127.0.0.1', int(sys.argv[1])))"
    with Started(LISTEN, "tcp", "4") as server, Started(code, server.words[0]) as client:
        found = processes.details([server.key, client.key])
        assert found[server.key].ports == {Port("tcp", int(server.words[0]))}
        assert found[client.key].ports == set()


def test_a_connected_udp_socket_does_not_listen(processes: SystemProcesses) -> None:
    code = (
        "import socket\nclient = socket.socket(type=socket.SOCK_DGRAM)\n"
        "client.connect(('127.0.0.1', 9))\nprint(client.getsockname()[1], flush=True)"
    )
    with Started(code) as client:
        assert details(processes, client).ports == set()
        assert Port("udp", int(client.words[0])) not in processes.listening()


def test_a_child_that_inherited_the_socket_holds_the_port_as_well(processes: SystemProcesses) -> None:
    code = LISTEN + "if not (pid := os.fork()):\n    sys.stdin.read()\n    os._exit(0)\nprint(pid, flush=True)"
    with Started(code, "tcp", "4") as parent:
        child = rows(processes)[int(parent.words[1])].key
        assert processes.details([child])[child].ports == {Port("tcp", int(parent.words[0]))}


def test_a_port_in_another_network_namespace_is_in_nobodys_way() -> None:
    processes = SystemProcesses(reader=LinuxReader())
    in_namespaces("pass", flags=("--net",))  # skips where that can't be
    listen = LISTEN.replace('"127.0.0.1"', '"0.0.0.0"')
    with Started("assert ctypes.CDLL(None).unshare(0x40000000) == 0\n" + listen, "tcp", "4") as child:
        port = Port("tcp", int(child.words[0]))
        assert details(processes, child).ports == set()
        assert port not in processes.listening()


def test_nothing_asked_nothing_told(machine: Machine) -> None:
    assert machine.processes.details([]) == machine.processes.scheduling([]) == machine.processes.needed([]) == {}


def test_the_dead_have_none(machine: Machine) -> None:
    with machine.spawn() as child:
        key = child.key
    assert machine.processes.details([key]) == {}
