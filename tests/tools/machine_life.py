"""How a life of the state machine goes on, step by step, and what must be true after each step. What happens in it is for the
rules to say."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

from hypothesis import currently_in_test_context, note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from tests.tools.machine_facts import Fate, Key
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
        self.reaped: set[Key] = set()
        self.seen = self.world.look()

    def teardown(self) -> None:
        try:
            self.check_ledger()
        finally:
            self.world.close()

    def sweep(
        self, seconds: int = 0, asleep: int = 0, set_ahead: int = 0, *, dry: bool = False, approve: Sequence[Key] = ()
    ) -> None:
        """Let time pass and sweep. What became of the clocks before the first sweep nobody can know."""
        if self.oracle.has_swept:
            self.world.clock.go_on(seconds, asleep=asleep, set_ahead=set_ahead)
            if set_ahead:
                self.oracle.clock_was_set()
        else:
            self.world.clock.go_on(seconds)
        ask = self.oracle.foresee if dry else self.oracle.sweep
        fates = ask(self.world.clock.lived, list(self.seen.sessions.values()), self.world.look_at_host(), approve)
        self.check_sweep(fates, self.world.sweep(dry_run=dry, approve=approve), dry=dry)
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

    def check_sweep(self, fates: Mapping[Key, Fate], report: SweepReport, *, dry: bool = False) -> None:
        """The oracle, tmux, the report and the ledger agree on who died, and for what."""
        told = {Key(*entry.key[1:]): entry for entry in report.sessions if entry.key}
        self.tell(fates, told)
        assert report.complete, report.unknown
        assert set(told) == set(fates), "not those that are ours to judge"
        assert {key: _reasons(entry) for key, entry in told.items()} == {key: fate.reasons for key, fate in fates.items()}
        condemned = {key: fate.dies_for for key, fate in fates.items() if fate.dies_for}
        assert {key: entry.reason for key, entry in told.items() if entry.verdict.value == "reap"} == condemned
        died = set() if dry else set(condemned)
        assert {key for key, entry in told.items() if entry.outcome == "reaped"} == died
        self.check_ended(died)
        self.reaped |= died
        if died:
            self.check_ledger()

    def tell(self, fates: Mapping[Key, Fate], told: Mapping[Key, SessionReport]) -> None:
        """For whoever reads a life that went wrong."""
        if not currently_in_test_context():
            return
        rows = self.world.host.rows()
        for one in self.seen.sessions.values():
            note(f"  {one}")
            note(f"    {rows.get(one.workspace or one.name.removeprefix('ws-'))}, by the oracle {fates.get(one.key)}")
            if entry := told.get(one.key):
                note(f"    by the reaper {entry.verdict.value} {entry.reason} {entry.outcome} {entry.protected_by}")
        note(f"  {self.oracle.breaker} {self.oracle.directories.__dict__} {self.world.host.directories()}")

    def check_ledger(self) -> None:
        """Each reap is recorded, once, and no other."""
        recorded = [(Key(*reap.intent.key[1:]), reap.outcome) for reap in self.world.history()]
        assert sorted(recorded) == sorted((key, "reaped") for key in self.reaped)

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
