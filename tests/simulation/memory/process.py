"""One process of a simulated machine, its terminal, and a signal that was delivered to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tests.simulation.memory.nodes import Node
from workspace_reaper.model.process import Details, Origin, Port, Process, ProcessKey

__all__ = ["Delivery", "SimulatedProcess", "Terminal"]


@dataclass(slots=True, eq=False)
class Terminal:
    """A terminal, by the process group in its foreground."""

    foreground: int


@dataclass(frozen=True, slots=True)
class Delivery:
    """A signal that reached a process, and the truth about that process at this moment.

    ``by`` is ``reaper``, or ``hangup`` for what the kernel sends when a terminal goes. ``owner`` is whose the process was.
    ``inodes`` are the identities of its working directory and of those above it. ``clients`` are the pids of those that were
    connected to it.
    """

    number: int
    by: str
    at: float
    key: ProcessKey
    owner: str
    name: str
    parent: int
    origin: Origin | None
    uids: frozenset[int]
    directory: str
    inodes: tuple[str, ...]
    is_removed: bool
    is_stopped: bool
    clients: tuple[int, ...]


@dataclass(slots=True, eq=False)
class SimulatedProcess:
    """A process. A world may set what has no method of `MemoryMachine`, and calls ``changed`` if the table shows it.

    Attributes:
        ticks: When it started, in hundredths of a second since the boot.
        leader: The pid of the leader of its session.
        ignores: The signals that it ignores.
        delay: For how many seconds it works on after a signal that ends it.
        owner: Whose it really is. No port shows it.
        run_by: The owner of the supervisor that runs it, if another one does.
        is_collected: Whether its parent waits for it when it ends.
        serves_mount: Whether it serves a mounted file system.
        serves_terminals: Whether terminals run in it.
        hung_up: The process group that was in the foreground when it lost the terminal that it led.
        on_exit: Called when it has ended.
        row: Its row in the table, if it was made and has not changed.
    """

    pid: int
    ticks: int
    parent: int
    name: str
    argv: tuple[str, ...]
    uids: frozenset[int]
    directory: Node
    origin: Origin | None
    group: int
    leader: int
    terminal: Terminal | None
    ignores: frozenset[int]
    ports: frozenset[Port]
    memory: int
    delay: float
    owner: str
    run_by: str = ""
    is_collected: bool = True
    is_zombie: bool = False
    is_stopped: bool = False
    is_hidden: bool = False
    is_runnable: bool = False
    cpu: float = 0.0
    waited: float = 0.0
    ended_at: float | None = None
    pending: list[int] = field(default_factory=list)
    clients: set[SimulatedProcess] = field(default_factory=set)
    serves_mount: bool = False
    serves_terminals: bool = False
    hung_up: int | None = None
    on_exit: Callable[[SimulatedProcess], None] | None = None
    row: Process | None = None
    details: tuple[tuple[object, ...], Details] | None = None
    key: ProcessKey = field(init=False)

    def __post_init__(self) -> None:
        self.key = ProcessKey(self.pid, round(self.ticks / 100, 3))

    def delivery(self, number: int, by: str, at: float, clients: Sequence[SimulatedProcess]) -> Delivery:
        """The record of a signal that reaches it now."""
        where = self.directory
        return Delivery(
            number=number,
            by=by,
            at=at,
            key=self.key,
            owner=self.owner,
            name=self.name,
            parent=self.parent,
            origin=self.origin,
            uids=self.uids,
            directory=where.path(),
            inodes=tuple(one.identity for one in where.upwards()),
            is_removed=where.is_removed,
            is_stopped=self.is_stopped,
            clients=tuple(one.pid for one in clients),
        )
