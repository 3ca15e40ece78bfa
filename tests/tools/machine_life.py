"""How a life of the state machine goes on, step by step, and what must be true after each step. What happens in it is for the
rules to say."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeVar

from hypothesis import currently_in_test_context, note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from tests.tools.machine_facts import Fate, Host, Key
from tests.tools.machine_listing import Listing
from tests.tools.machine_oracle import Oracle
from tests.tools.machine_steps import AFTERWARDS, SIBLINGS
from tests.tools.machine_world import LIMITS, MachineWorld
from workspace_reaper.sweep.report import SessionReport, SweepReport

__all__ = ["Life", "happens", "one_of"]

T = TypeVar("T")

ABSTAIN = 1800
"""The default of ``abstain_alarm``, in seconds."""


def happens(**given: st.SearchStrategy[Any]) -> Callable[[Callable[..., Collection[Key] | None]], Any]:
    """A rule: what happens, which returns the sessions that it ends, and maybe a sweep afterwards."""

    def decorate(act: Callable[..., Collection[Key] | None]) -> Any:
        def step(self: Life, then: Mapping[str, int] | None, **drawn: Any) -> None:
            self.world.clock.go_on()
            self.check_ended(act(self, **drawn) or ())
            if then is not None:
                self.sweep(**then)

        step.__name__ = act.__name__
        return rule(then=AFTERWARDS, **given)(step)

    return decorate


class Life(RuleBasedStateMachine):
    """After each step only those have died that it ended; after each sweep exactly
    those that the oracle condemned, and tmux, the report and the ledger tell the same of them."""

    def __init__(self) -> None:
        super().__init__()
        self.world = MachineWorld()
        self.oracle = Oracle(LIMITS)
        self.recorded: list[tuple[Key, str]] = []
        self.seen = self.world.look()

    def teardown(self) -> None:
        try:
            self.check_ledger()
        finally:
            self.world.close()

    def sweep(
        self,
        seconds: int = 0,
        asleep: int = 0,
        set_ahead: int = 0,
        *,
        dry: bool = False,
        approve: Sequence[Key] = (),
        stopped: str | None = None,
        meanwhile: Callable[[], object] = lambda: None,
    ) -> None:
        """Let time pass and sweep. What became of the clocks before the first sweep is unknown. ``stopped``: where in the
        sweep the reaper or tmux is stopped if it reaps, and what happens ``meanwhile``."""
        if self.oracle.has_swept:
            self.world.clock.go_on(seconds, asleep=asleep, set_ahead=set_ahead)
            if set_ahead:
                self.oracle.clock_was_set()
        else:
            self.world.clock.go_on(seconds)
        before = list(self.seen.sessions.values())
        ask = self.oracle.foresee if dry else self.oracle.sweep
        fates = ask(self.world.clock.lived, before, self.world.look_at_host(), approve)
        changed: list[tuple[Listing, Host]] = []

        def change() -> None:
            meanwhile()
            changed.append((self.world.look(), self.world.look_at_host()))

        if stopped is not None:
            self.world.freeze.arm(stopped, change)
        report = self.world.sweep(dry_run=dry, approve=approve)
        spared: Mapping[Key, frozenset[str]] = {}
        if stopped is not None:
            assert self.world.freeze.disarm() is any(fate.dies_for for fate in fates.values())
            for seen, host in changed:
                spared = self.oracle.spared(self.world.clock.lived, fates, before, list(seen.sessions.values()), host)
        self.check_sweep(fates, report, spared, dry=dry)
        if not dry:
            self.oracle.owner_id = self.oracle.owner_id or self.world.owner_id
            # Nothing that should be reaped lives on in silence because of what the reaper itself does not know.
            if self.oracle.longest_doubt > ABSTAIN:
                assert self.world.check_code == 1

    def check_ended(self, ended: Collection[Key]) -> None:
        """Only these are gone since the last look."""
        after = self.world.look()
        assert self.seen.keys - after.keys == set(ended)
        self.seen = after

    def check_sweep(
        self,
        fates: Mapping[Key, Fate],
        report: SweepReport,
        spared: Mapping[Key, frozenset[str]] = MappingProxyType({}),
        *,
        dry: bool = False,
    ) -> None:
        """The oracle, tmux, the report and the ledger agree on who died, and for what. ``spared`` are protected by what
        happened in the middle of the sweep."""
        told = {Key(*entry.key[1:]): entry for entry in report.sessions if entry.key}
        self.tell(fates, told, spared)
        assert report.complete, report.unknown
        assert set(told) == set(fates), "not those that are ours to judge"
        assert {key: _reasons(entry) for key, entry in told.items()} == {key: fate.reasons for key, fate in fates.items()}
        condemned = {key: fate.dies_for for key, fate in fates.items() if fate.dies_for}
        assert {key: entry.reason for key, entry in told.items() if entry.verdict.value == "reap"} == condemned
        died = set() if dry else set(condemned) - set(spared)
        assert {key for key, entry in told.items() if entry.outcome == "reaped"} == died
        assert {key for key, entry in told.items() if entry.outcome == "spared"} == set(spared)
        assert all(told[key].protected_by in by for key, by in spared.items())
        self.check_strangers(died)
        self.check_ended(died)
        self.recorded += [(key, "reaped") for key in died] + [(key, "spared") for key in spared]
        if died or spared:
            self.check_ledger()

    def check_strangers(self, died: Collection[Key]) -> None:
        """Sessions of the other database live: all but those that were idle for long, or that an operator approved."""
        theirs = [one for one in self.seen.sessions.values() if one.key in died and one.name.removeprefix("ws-") in SIBLINGS]
        quiet = [self.world.clock.lived - max(one.activity, *one.outputs) for one in theirs]
        assert min(quiet, default=LIMITS.stranger_ttl) >= LIMITS.stranger_ttl
        assert len({one.key for one in theirs} - self.oracle.breaker.forgiven) < max(3, len(self.seen.sessions) / 2)

    def tell(self, fates: Mapping[Key, Fate], told: Mapping[Key, SessionReport], spared: Mapping[Key, object]) -> None:
        """Note the fates, for the output of a run that fails."""
        if not currently_in_test_context():
            return
        rows = self.world.host.rows()
        for one in self.seen.sessions.values():
            row, fate = rows.get(one.workspace or one.name.removeprefix("ws-")), fates.get(one.key)
            note(f"  {one}")
            note(f"    {row}, by the oracle {fate}, spared by {spared.get(one.key)}")
            if entry := told.get(one.key):
                note(f"    by the reaper {entry.verdict.value} {entry.reason} {entry.outcome} {entry.protected_by}")
        note(f"  {self.oracle.breaker} {self.oracle.directories.__dict__} {self.world.host.directories()}")

    def check_ledger(self) -> None:
        """Each reap, and each that came to nothing, is recorded once, and no other."""
        recorded = [(Key(*reap.intent.key[1:]), reap.outcome) for reap in self.world.history()]
        assert sorted(recorded) == sorted(self.recorded)

    def session(self, which: int) -> str:
        """The id of one of the sessions."""
        return one_of(list(self.seen.sessions), which)

    @property
    def workspaces(self) -> list[str]:
        """The workspaces that the names of the sessions mean, but for those of another host: of these ours says nothing."""
        named = [one.name.removeprefix("ws-") for one in self.seen.sessions.values()]
        return [one for one in named if one not in SIBLINGS]


def _reasons(entry: SessionReport) -> tuple[tuple[str, frozenset[str]], ...]:
    """Each reason that the reaper found, with what protects the session from it."""
    held = entry.judgement.held if entry.judgement else ()
    return tuple((one.reason.reported_as, frozenset(by.name for by in one.by)) for one in held)


def one_of(of: Sequence[T], which: int) -> T:
    """One of them, by any number."""
    return of[which % len(of)]
