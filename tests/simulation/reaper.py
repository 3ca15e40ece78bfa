"""The real sweep in the simulated world: its ports, what a host's hooks ask of it, and its restarts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol, cast

from tests.simulation.daemon import SimulatedDaemon
from tests.simulation.memory.processes import MemoryProcesses
from tests.simulation.memory.registry import MemoryRegistry
from tests.simulation.memory.snapshots import MemorySnapshots
from tests.simulation.memory.terminal import MemoryTerminal
from tests.simulation.oracle.truth import Limits
from tests.simulation.plan import Interruption
from tests.simulation.points import Answer, Crash, Interposed, Points
from tests.simulation.world import SOCKET, STATE, World
from workspace_reaper.model.errors import LedgerError
from workspace_reaper.model.events import DERIVED_EVENTS, WorkspaceEvent
from workspace_reaper.model.ports import Ledger
from workspace_reaper.model.session import SessionKey
from workspace_reaper.model.unknown import Source, Unknown
from workspace_reaper.model.verdict import KillResult, KillResults, Verdict
from workspace_reaper.operations.breaker_reset import reset_breaker
from workspace_reaper.operations.reaper import Reaper
from workspace_reaper.operations.suspects import look_at, notify_of_witnesses
from workspace_reaper.operations.wiring import sweep_settings
from workspace_reaper.policy.idle import SampleInterval
from workspace_reaper.policy.session_names import SessionMatcher
from workspace_reaper.policy.verdict import Judgement
from workspace_reaper.registry.schemas.standard import STANDARD
from workspace_reaper.settings import Settings
from workspace_reaper.sweep.context import Dependencies, ReaperState, SweepRequest, SweptHost
from workspace_reaper.sweep.ledgers import OneLedger
from workspace_reaper.sweep.report import SweepReport
from workspace_reaper.sweep.sweep import Sweep
from workspace_reaper.worker import LOOKS

__all__ = ["SimulatedReaper"]

# The defaults, by the wiring of the product. The oracle has them from the documentation.
SETTINGS = sweep_settings(Settings(state_dir=Path(STATE)), STANDARD, ())

_PATTERNS = {SOCKET: (r"ws-(?P<id>w\d+)", r"view-(?P<id>w\d+)-\d+")}

_FAULT = "interrupted by the simulation"


def at_once(work: Callable[[], Any], _name: str) -> Callable[[], Any]:
    """Do the work now, where a real sweep does it in the background."""
    result = work()
    return lambda: result


class Begins(Protocol):
    """Called when a sweep begins: ``full`` if it is one that counts. ``named`` are the workspaces that it is about otherwise.
    ``shown`` are the sessions that an operator lets go, and ``shown_at`` is the place of the database then."""

    def __call__(
        self, *, full: bool, dry_run: bool, named: Collection[str], shown: Collection[SessionKey], shown_at: str
    ) -> None: ...


class SimulatedReaper:
    """The reaper of a world, from one start to the next.

    ``watch`` wraps a terminal, a registry or the ledger, to see what the reaper does with it. ``happens`` lets an event of the
    plan happen, and ``begins`` is called when a sweep begins.
    """

    def __init__(
        self, world: World, ports: Ports, limits: Limits, happens: Callable[[Interruption], None], begins: Begins
    ) -> None:
        self._world = world
        self._ports = ports
        self._happens = happens
        self._begins = begins
        self.daemon: SimulatedDaemon | None = None
        self.points = Points(world.clock, self._strike)
        thresholds = replace(SETTINGS.thresholds, undo_window=limits.undo_window)
        self.sweep_settings = replace(SETTINGS, thresholds=thresholds, abstain_alarm=limits.abstain_alarm)
        self.settings = SimpleNamespace(enabled=True)
        self.clock = world.clock
        self.reports: list[SweepReport] = []
        self._shown_at = ""
        self.start()

    def start(self) -> None:
        """Start the process. What it kept in memory is lost."""
        self.state = ReaperState(SampleInterval(self.sweep_settings.tick))
        self.registry = Interposed("registry", self._ports.registry, self.points)
        self._ledger = cast(Ledger, Interposed("ledger", self._ports.ledger, self.points))
        self.plugins = self._ports.plugins
        self.dependencies = Dependencies(
            terminals=(cast(Any, Interposed("terminal", self._ports.terminal, self.points)),),
            registry=cast(Any, self.registry),
            processes=cast(Any, Interposed("processes", self._ports.processes, self.points)),
            directories=cast(Any, Interposed("directories", self._ports.directories, self.points)),
            clock=self._world.clock,
            matcher=SessionMatcher(_PATTERNS, self._ports.registry.canonical),
            snapshots=cast(Any, Interposed("snapshots", self._ports.snapshots, self.points)),
            plugins=self.plugins,
            in_background=cast(Any, at_once),
        )

    # What asks it to do something

    def sweep(self, request: SweepRequest | None = None) -> SweepReport:
        """Run one sweep: a full one unless the request names workspaces."""
        request = SweepRequest() if request is None else request
        self.record_doubt(self._ledger)
        self._begins(
            full=request.counts,
            dry_run=request.dry_run,
            named=request.suspects or (),
            shown=request.approve,
            shown_at=self._shown_at,
        )
        host = SweptHost(self.dependencies, self.sweep_settings, self.state, self._ledger, request)
        report = Sweep([host], OneLedger(self._ledger)).run()
        self.reports.append(report)
        return report

    def tick(self) -> None:
        """Run a full sweep as the worker does."""
        notify_of_witnesses(cast(Reaper, self), self.sweep())

    # What the daemon calls when the database was replaced.
    doubt, record_doubt = cast(Any, Reaper).doubt, cast(Any, Reaper).record_doubt

    def hook(self, workspace_id: str, event: WorkspaceEvent) -> None:
        """A host's hook names a workspace: look at it, and again until its row agrees."""
        began = self.clock.monotonic()
        event, reported_at = self.daemon.coalesce(workspace_id, event) if self.daemon else (event, began)
        for number, at in enumerate(LOOKS):
            self.clock.sleep(max(0.0, began + at - self.clock.monotonic()))
            final = {workspace_id} if number == len(LOOKS) - 1 and event not in DERIVED_EVENTS else set()
            ages = {workspace_id: self.clock.monotonic() - reported_at}
            left = look_at(
                cast(Reaper, self), {workspace_id: event}, final, ages, stopping=lambda: False, replaced=lambda: False
            )
            if not left:
                break
        else:
            return
        if self.daemon:
            self.daemon.settle(workspace_id)

    def approve(self) -> None:
        """An operator approves what a dry run shows."""
        self._shown_at = self._world.host.location
        shown = self.sweep(SweepRequest(dry_run=True))
        keys = frozenset(
            entry.key
            for entry in shown.sessions
            if entry.key and entry.judgement and entry.verdict is Verdict.HOLD and _may_be_approved(entry.judgement)
        )
        self.sweep(SweepRequest(approve=keys, shown=shown.registry))

    def reset_breaker(self) -> bool:
        """An operator resets the breaker. Return whether that released it."""
        try:
            return reset_breaker(cast(Reaper, self)).latched
        except LedgerError:
            return False

    @contextmanager
    def reading(self) -> Iterator[Ledger]:
        """See ``Reaper.reading``."""
        yield self._ports.ledger

    @contextmanager
    def writing(self) -> Iterator[Ledger]:
        """See ``Reaper.writing``."""
        yield self._ledger

    # What interrupts it

    def _strike(self, one: Interruption) -> Answer | None:
        what = one.event.what
        if what == "crash":
            self._world.tell(f"crash before {one.point}")
            raise Crash
        if what == "refuse":
            self._world.tell(f"{one.point} is refused")
            raise LedgerError(_FAULT)
        if what == "freeze":
            self._world.tell(f"frozen for {one.event.amount:g} s before {one.point}")
            self._world.clock.go_on(one.event.amount)
            return None
        if what == "no answer":
            self._world.tell(f"{one.point} is not carried out, and gives no answer")
            return lambda _call, args: _no_answer(one.point, args)
        if what == "cut answer":
            self._world.tell(f"the answer of {one.point} is cut")
            self._world.tmux.answers_kept = 1
            return None
        if what == "lose answer":
            self._world.tell(f"the answer of {one.point} is lost")
            lost = self._ports.registry.note_lost if one.point == "registry.look_up" else bool
            return lambda call, args: (call(), lost(), _no_answer(one.point, args))[2]
        self._happens(one)
        return None


class Ports:
    """The adapters of one start. ``ledger`` is kept over a crash, unless it is lost."""

    def __init__(self, world: World) -> None:
        self.terminal: Any = MemoryTerminal(world.tmux)
        self.registry: Any = MemoryRegistry(world.host)
        self.processes: Any = MemoryProcesses(world.machine, world.reaper_pid)
        self.directories: Any = world.directories
        self.plugins: Any = world.plugins
        self.snapshots = MemorySnapshots(world.clock, world.disk)
        self.ledger: Any = world.file.open("standard", "memory")


def _may_be_approved(judgement: Judgement) -> bool:
    return bool(judgement.held) and judgement.held[0].may_be_approved


def _no_answer(point: str, args: tuple[Any, ...]) -> Any:
    if point == "terminal.kill":
        return KillResults({guard.key.session_id: KillResult.NONE for guard in args[0]}, 0.0, _FAULT)
    source = {"registry.look_up": Source.REGISTRY, "processes.table": Source.PROCESSES}.get(point, Source.SOCKET)
    return Unknown(source, _FAULT, SOCKET if source is Source.SOCKET else None)
