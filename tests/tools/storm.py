"""One storm: a reaper whose tmux, registry or ledger errs by a seed, and what must be true of it all the while.

Nothing protected dies; every fault is told; and once it is over everything condemned dies within its confirmations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tests.tools.front_registry import Effect, RegistryFault
from tests.tools.storm_faults import erring_ledger, erring_registry, erring_tmux, pardon_one
from tests.tools.storm_stage import Scene, Stage
from tests.tools.storm_table import CONDEMNED, DEAD, GAP, IDLE, KINDS, MIN_AGE, NEEDS_PROOF, STRANGER
from tests.tools.storm_tmux import Call, Fault, Loudness
from workspace_reaper.model.errors import LedgerError
from workspace_reaper.operations.breaker_reset import reset_breaker
from workspace_reaper.operations.status import read_history, read_status
from workspace_reaper.operations.suspects import record_events
from workspace_reaper.sweep.context import SweepRequest
from workspace_reaper.sweep.report import SweepReport

__all__ = ["Storm"]


class Storm:
    """``run`` is called once; whatever the reaper does wrong is an ``AssertionError`` that tells the seed and the story."""

    def __init__(self, stage: Stage, seed: int) -> None:
        self._seed = seed
        self._scene = Scene(stage, seed)
        self._random = self._scene.random
        self._theatre = self._scene.theatre
        self._gone: set[str] = set()
        self._faults: Mapping[str, Fault] = {}
        self._standing: RegistryFault | None = None

    def run(self) -> None:
        """Calm, storm, calm."""
        with self._scene.stack:
            try:
                self._calm_before()
                self._scene.change_the_world()
                pardon_one(self._scene)
                self._storm()
                self._calm_after()
                self._compare_the_ledger()
            except (AssertionError, OSError) as error:
                raise AssertionError(f"{error}\nREAPER_TEST_SEED={self._seed}\n  {self.story}") from error

    @property
    def story(self) -> str:
        """What has happened."""
        return "\n  ".join(self._scene.story)

    def _calm_before(self) -> None:
        """Everything is seen once as it should be, and the registry is known."""
        if self._random.random() < 0.6:
            self._scene.advance(20 * 60)
        report = self._sweep()
        assert report.exit_code == 0, f"the calm before: {report.unknown}"

    # The storm

    def _storm(self) -> None:
        if self._theatre.startswith("ledger"):
            self._without_a_ledger()
        elif self._theatre == "tmux":
            with erring_tmux(self._scene) as self._faults:
                self._sweep_some()
        elif self._theatre == "registry":
            with erring_registry(self._scene) as self._standing:
                self._sweep_some()
        else:
            with erring_tmux(self._scene) as self._faults, erring_registry(self._scene) as self._standing:
                self._sweep_some()
        self._faults, self._standing = {}, None

    def _sweep_some(self) -> None:
        for _ in range(self._random.randint(2, 4)):
            self._time_and_hooks(5, 31, 31, 31, 90, 700)
            self._sweep()

    def _without_a_ledger(self) -> None:
        for _ in range(self._random.randint(1, 2)):
            with erring_ledger(self._scene):
                for _ in range(self._random.randint(1, 2)):
                    self._time_and_hooks(31, 90, 700)
                    before = set(self._gone)
                    self._check_the_ledger(self._sweep(), self._gone - before)

    def _time_and_hooks(self, *steps: int) -> None:
        self._scene.advance(self._random.choice(steps))
        if self._random.random() < 0.3:
            self._hook()

    # The reaper's turn

    def _hook(self) -> None:
        """Hooks name workspaces, as the worker tells the reaper of them."""
        named = [one for one in self._scene.members if KINDS[one.kind].hooked and one.session_id not in self._gone]
        if not named:
            return
        suspects = {one.workspace_id: said for one in named if (said := KINDS[one.kind].hooked)}
        for member in named:
            member.hooked = True
        try:
            record_events(self._scene.reaper, suspects)
        except LedgerError as error:
            self._scene.story.append(f"  the hook's word could not be written: {error}")
        self._check(self._scene.reaper.sweep(SweepRequest(suspects=suspects)))

    def _sweep(self) -> SweepReport:
        self._scene.looks.absent.append(self._scene.clock.now())
        return self._check(self._scene.reaper.sweep(SweepRequest()))

    # What must be true of each sweep

    def _check(self, report: SweepReport) -> SweepReport:
        calls = self._scene.stage.front.calls() if self._faults else []
        self._tell(report)
        self._check_the_dead(report)
        assert bool(report.unknown) == (not report.complete)
        assert report.exit_code or not report.unknown
        self._check_that_tmux_is_told(report, calls)
        self._check_that_the_registry_is_told(report, calls)
        return report

    def _check_the_dead(self, report: SweepReport) -> None:
        scene, there = self._scene, self._scene.there()
        for member in scene.members:
            if member.session_id not in there and member.session_id not in self._gone:
                self._gone.add(member.session_id)
                scene.story.append(f"    gone: {member.kind} {member.name} {member.session_id}")
                saved = scene.looks.saves(member, scene.clock.now())
                assert saved is None, f"{member.kind} {member.name} died, and {saved} protected it"
        claimed = {str(entry.session_id) for entry in report.sessions if entry.outcome == "reaped"}
        assert claimed <= self._gone, f"reported as reaped, and alive: {claimed - self._gone}"

    def _loudness(self, call: Call) -> Loudness:
        hit = call.fault is not None and call.kind in ("list", "recheck")
        return self._faults[call.fault].loudness if hit and call.fault else Loudness.QUIET

    def _check_that_tmux_is_told(self, report: SweepReport, calls: list[Call]) -> None:
        loud = [at for at, call in enumerate(calls) if self._loudness(call) is not Loudness.QUIET]
        if loud and report.complete:
            # A server that ends with its last session does not answer: what was killed is looked for until it can be seen.
            fed = [at for at, call in enumerate(calls) if call.kind == "feed"]
            last = max(at for at, call in enumerate(calls) if call.kind in ("list", "recheck"))
            assert fed, f"not reported: {calls}"
            assert fed[0] < loud[0] <= loud[-1] < last, f"not reported: {calls}"
        if report.full and calls and self._loudness(calls[0]) is Loudness.SOCKET:
            self._scene.looks.absent.pop()  # such a look confirms nothing

    def _check_that_the_registry_is_told(self, report: SweepReport, calls: list[Call]) -> None:
        met, self._scene.registry.met = self._scene.registry.met, []
        if self._standing is not None:
            met = [self._standing]
        for fault in met:
            assert fault is None or fault.effect is not Effect.UNKNOWN or not report.complete, f"not reported: {fault.name}"
        if self._standing is not None and self._standing.effect is Effect.UNKNOWN:
            assert not report.count("reaped")
        if report.full and report.registry and not calls:
            self._check_that_another_one_is_told(report, met)
            if self._standing is not None and self._standing.effect is Effect.LOST:
                assert report.latched, "not reported: rows were lost"

    def _check_that_another_one_is_told(self, report: SweepReport, met: Sequence[RegistryFault | None]) -> None:
        """Where the first look-up finds it, and where a later one finds it in the place of the right one."""
        others = [fault.name for fault in met if fault is not None and fault.effect is Effect.CHANGED]
        if others and met[0] is None:
            assert not report.complete, f"not reported: {others}"
        elif others and met[0] is not None and met[0].name == others[0]:
            kinds = {event.kind for event in report.events}
            assert self._changed or "registry changed" in kinds, f"not reported: {others}"
            self._changed = True

    _changed = False

    def _check_the_ledger(self, report: SweepReport, died: set[str]) -> None:
        """What could not be written is told, and nothing dies of which nothing is written."""
        if self._theatre == "ledger read-only":
            assert report.exit_code == 3, "not reported: the ledger is read-only"
            assert not died
            return
        with self._scene.reaper.reading() as ledger:
            saved = ledger.last_report()
            intended = {reap.intent.key.session_id for reap in ledger.history(10_000)}
        assert died <= intended, "killed without an intent"
        is_kept = saved is not None and report.sweep in saved[0]
        assert is_kept or report.exit_code == 3, "not reported: the ledger is full"

    def _tell(self, report: SweepReport) -> None:
        story, what = self._scene.story, "sweep" if report.full else "hook"
        story.append(f"  {what}: exit code {report.exit_code}, latched {report.latched}")
        story += [f"    unknown: {one.source.value} {one.reason[:150]}" for one in report.unknown]
        story += [f"    event: {event.kind} {event.detail[:100]}" for event in report.events]
        for entry in report.sessions:
            if entry.reason is not None:
                held = f"{entry.reason} {entry.verdict.value} {entry.outcome} {entry.protected_by}"
                story.append(f"    {entry.session_id} {entry.session}: {held}")

    # After

    def _calm_after(self) -> None:
        """Everything condemned dies within its confirmations."""
        self._scene.story.append("calm")
        self._scene.advance(DEAD + MIN_AGE)
        doubted = self._theatre in ("registry", "both")
        if self._sweep().latched:
            assert doubted, "the breaker has latched for no reason"
            reset_breaker(self._scene.reaper)
        self._scene.advance(GAP + 1)
        report = self._sweep()
        if (left := self._left(*CONDEMNED)) and doubted:
            # The registry was another one in between: they are strangers to this one, and go as strangers do.
            held = {entry.session_id: entry.protected_by for entry in report.sessions}
            unproven = {kind for kind, session_id in left if held[session_id] == "unproven"}
            assert unproven == {kind for kind, _ in left} <= set(NEEDS_PROOF), f"not gone: {left}"
            self._scene.advance(STRANGER + GAP)
            report = self._sweep()
            left = self._left(*NEEDS_PROOF)
        assert not left, f"not gone: {left}"
        if self._random.random() < 0.2:
            self._days_go_by()
        elif report.exit_code:
            report = self._sweep()
        alarms = read_status(self._scene.reaper).alarms
        assert report.exit_code == 0, f"not over: {report.unknown}"
        assert not alarms, f"not over: {alarms}"

    def _left(self, *kinds: str) -> list[tuple[str, str]]:
        """Those of these kinds that live: kind, and id of the session."""
        members = [one for one in self._scene.members if one.kind in kinds]
        return [(one.kind, one.session_id) for one in members if one.session_id not in self._gone]

    def _days_go_by(self) -> None:
        """What idles goes as well, and what does not stays."""
        self._scene.advance(IDLE + STRANGER)
        for _ in range(2):
            self._sweep()
            self._scene.advance(GAP + 1)
        left = {kind for kind, _ in self._left(*KINDS)}
        expected = {one.kind for one in self._scene.members if not KINDS[one.kind].idles}
        assert left == expected, f"after days there are {left}, and not {expected}"

    def _compare_the_ledger(self) -> None:
        """Each reap is recorded, once, and none that was not."""
        reaps = read_history(self._scene.reaper, 10_000)
        reaped = sorted(reap.intent.key.session_id for reap in reaps if reap.outcome == "reaped")
        assert reaped == sorted(self._gone), f"recorded as reaped: {reaped}, gone: {sorted(self._gone)}"
        assert not [reap for reap in reaps if reap.outcome == "open"]
