"""Steps that the fault tests share: what the reaper says afterwards, and how the world changes in the middle of a sweep."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from tests.tools.front_tmux import FrontTmux
from tests.tools.waiting import wait_until
from tests.tools.world import World
from workspace_reaper.model.state import Finding, LedgerState
from workspace_reaper.operations.status import read_history, read_status
from workspace_reaper.sweep.report import SweepReport

__all__ = ["alarms", "check_code", "confirmations", "events", "history", "recalled", "sweep_during"]


def alarms(world: World) -> set[str]:
    """The names of the alarms that ``status`` shows."""
    return {alarm.name for alarm in read_status(world.plugin.reaper()).alarms}


def check_code(world: World) -> int:
    """The exit code of ``status --check``."""
    return read_status(world.plugin.reaper()).check_code


def history(world: World) -> list[tuple[str, str, str | None]]:
    """Workspace, outcome and why of each reap that was ever tried, oldest first."""
    reaps = read_history(world.plugin.reaper(), 1000)
    return [(reap.intent.workspace_id, reap.outcome, reap.why) for reap in reversed(reaps)]


def events(world: World) -> list[str]:
    """What happened to the reaper itself, oldest first."""
    with world.plugin.reaper().reading() as ledger:
        return [event.kind for event in reversed(ledger.events(1000))]


def recalled(world: World) -> LedgerState:
    """What the ledger remembers of everything but single workspaces."""
    reaper = world.plugin.reaper()
    with reaper.reading() as ledger:
        return ledger.load_state((), reaper.clock.now())


def confirmations(world: World, session_id: str) -> int:
    """How many sweeps are remembered that found no row for this session."""
    seen = recalled(world).confirmations.items()
    return sum(sighting.count for (key, sight), sighting in seen if (key.session_id, sight) == (session_id, Finding.ORPHAN))


def sweep_during(front: FrontTmux, action: Callable[[], object], sweep: Callable[[], SweepReport]) -> SweepReport:
    """Sweep; ``action`` happens while a tmux call of the sweep waits, as a rule of ``front`` (with ``hold``) says."""
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(sweep)
        try:
            wait_until(lambda: front.is_held() or running.done(), 60)
            assert front.is_held(), "the sweep ended before it came to the call that was to wait"
            action()
        finally:
            front.release()
        return running.result(60)
