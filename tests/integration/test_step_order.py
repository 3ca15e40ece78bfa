"""The order of the steps on which safety rests: what is committed, and what is rechecked, at the moment of a kill."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from tests.tools.world import World, outcomes
from workspace_reaper.model.reap import Outcome
from workspace_reaper.model.session import Listing
from workspace_reaper.model.unknown import Unknown
from workspace_reaper.model.verdict import Expiry, Guard, KillResults
from workspace_reaper.model.workspace import LookupResult
from workspace_reaper.operations.reaper import Reaper
from workspace_reaper.operations.status import read_history
from workspace_reaper.sweep.recheck import Recheck
from workspace_reaper.tmux.terminal import TmuxTerminal
from workspace_reaper.util.batch_size import BatchSize


@dataclass
class Watched:
    """A reaper whose calls to tmux and the registry are noted, and passed on. ``at_kill`` is called right before each kill."""

    reaper: Reaper
    calls: list[tuple[str, Any]] = field(default_factory=list)
    at_kill: Callable[[Sequence[Guard]], None] = lambda _guards: None

    def __post_init__(self) -> None:
        watched = self

        class Terminal(TmuxTerminal):
            def observe(
                self, owner_id: str, *, panes: bool = True, only: Collection[str] = (), others: Collection[str] = ()
            ) -> Listing | Unknown:
                watched.calls.append(("list", tuple(only)))
                return super().observe(owner_id, panes=panes, only=only, others=others)

            def kill(self, guards: Sequence[Guard], expiry: Expiry) -> KillResults:
                watched.calls.append(("kill", tuple(guard.key.session_id for guard in guards)))
                watched.at_kill(guards)
                return super().kill(guards, expiry)

        class Registry:
            def __getattr__(self, name: str) -> Any:
                return getattr(watched.reaper.registry, name)

            def look_up(self, ids: Collection[str], sentinels: Collection[str], **how: bool) -> LookupResult | Unknown:
                watched.calls.append(("look up", tuple(ids)))
                return watched.reaper.registry.look_up(ids, sentinels, **how)

        self.reaper.dependencies = replace(
            self.reaper.dependencies,
            terminals=[Terminal(terminal.socket) for terminal in self.reaper.terminals],
            registry=Registry(),  # type: ignore[arg-type]
        )

    def intents(self) -> dict[str, Outcome]:
        """What another process reads in the ledger now: the outcome of each reap, by session id."""
        return {reap.intent.key.session_id: reap.outcome for reap in read_history(self.reaper, 100)}


@pytest.fixture
def archived(world: World) -> dict[str, str]:
    """Three sessions that the next sweep reaps, session id to workspace, and one that it does not."""
    world.session(world.workspace())
    ids = [world.workspace(archived=True) for _ in range(3)]
    return {world.session(one): one for one in ids}


@pytest.fixture
def watched(world: World) -> Watched:
    return Watched(world.plugin.reaper())


def test_an_intent_is_committed_before_its_kill_and_the_outcome_after_it(
    world: World, archived: dict[str, str], watched: Watched
) -> None:
    seen: list[dict[str, Outcome]] = []

    def look(guards: Sequence[Guard]) -> None:
        assert all(world.lives(archived[guard.key.session_id]) for guard in guards)
        seen.append({guard.key.session_id: watched.intents()[guard.key.session_id] for guard in guards})

    watched.at_kill = look
    watched.reaper.state.batch_size = BatchSize(2)
    report = world.sweep()
    assert report.count(Outcome.REAPED) == 3
    assert {key for one in seen for key in one} == set(archived)
    assert {outcome for one in seen for outcome in one.values()} == {Outcome.OPEN}
    assert watched.intents() == dict.fromkeys(archived, Outcome.REAPED)


def test_each_batch_has_its_own_recheck_right_before_its_kill(
    world: World, archived: dict[str, str], watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BatchSize, "learn", lambda *_, **__: None)
    watched.reaper.state.batch_size = BatchSize(2)
    assert world.sweep().count(Outcome.REAPED) == 3
    kills = [index for index, (what, _) in enumerate(watched.calls) if what == "kill"]
    assert [len(watched.calls[index][1]) for index in kills] == [2, 1]
    for index in kills:
        batch = watched.calls[index][1]
        assert watched.calls[index - 2] == ("list", batch)
        assert watched.calls[index - 1] == ("look up", tuple(sorted(archived[one] for one in batch)))


def test_the_recheck_asks_about_the_very_batch_with_all_that_it_found(
    world: World, archived: dict[str, str], watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No guard without the predicate: what the recheck did not return is not sent."""
    spared = next(iter(archived))
    guards = Recheck.guards

    def without_one(self: Recheck, *arguments: Any) -> Any:
        found = guards(self, *arguments)
        assert not isinstance(found, Unknown)
        return {key: guard for key, guard in found.items() if key.session_id != spared}

    monkeypatch.setattr(Recheck, "guards", without_one)
    world.sweep()
    assert world.lives(archived[spared])
    assert all(spared not in asked for what, asked in watched.calls if what == "kill")


def test_without_a_ledger_that_takes_intents_nothing_is_killed(
    world: World, archived: dict[str, str], watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    from workspace_reaper.ledger import SqliteLedger
    from workspace_reaper.model.errors import LedgerError

    def refuse(*_: Any) -> None:
        raise LedgerError("the disk is full")

    monkeypatch.setattr(SqliteLedger, "record_intents", refuse)
    report = world.sweep()
    assert all(world.lives(one) for one in archived.values())
    assert [what for what, _ in watched.calls if what == "kill"] == []
    assert {outcomes(report)[one] for one in archived.values()} == {"spared"}
    assert "the disk is full" in {one.reason for one in report.unknown}


def fingerprint(directory: Path) -> dict[str, tuple[int, str]]:
    """Every file with its time of modification and its content."""
    files = [path for path in sorted(directory.rglob("*")) if path.is_file()] if directory.exists() else []
    return {str(path): (path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest()) for path in files}


@pytest.mark.parametrize("swept_before", [True, False], ids=["a ledger is there", "there is none"])
def test_a_dry_run_writes_nothing(world: World, archived: dict[str, str], swept_before: bool) -> None:
    if swept_before:
        with closing(world.second("first", undo_window=3600).new_plugin()) as plugin:
            assert plugin.sweep().complete
        world.configure(state_dir=str(world.tmp / "state-first"))
    folder = Path(str(world.settings["state_dir"]))
    world.host.delete(next(iter(archived.values())))
    watched = Watched(world.plugin.reaper())
    options = "#{session_name} #{@workspace_owner} #{@reaper_deadline} #{@reaper_keep}"
    before = fingerprint(folder), world.server.run("list-sessions", "-F", options)
    report = world.sweep(dry_run=True)
    assert report.count(Outcome.WOULD_REAP) >= 2
    assert (fingerprint(folder), world.server.run("list-sessions", "-F", options)) == before
    assert {what for what, _ in watched.calls} == {"list", "look up"}
