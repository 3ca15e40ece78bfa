"""A canary on each configured socket, one after the other, and what is told of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from workspace_reaper.ledger.locks import FileSweepLock
from workspace_reaper.model.errors import LedgerError, SweepLocked
from workspace_reaper.model.ports import Ledger, Plugins
from workspace_reaper.model.session import NO_OWNER
from workspace_reaper.model.state import Alarm, Event, StateChanges
from workspace_reaper.model.unknown import Unknown
from workspace_reaper.operations.canary.diagnosis import Failed
from workspace_reaper.operations.canary.isolation import fresh, throwaway
from workspace_reaper.operations.canary.probe import CanaryProbe
from workspace_reaper.operations.doctor import FAIL, OK, WARN, Check
from workspace_reaper.operations.wiring import Reaper, how_to_configure
from workspace_reaper.sweep import alarms
from workspace_reaper.sweep.other_plugins import tell_alarms
from workspace_reaper.tmux import TmuxTerminal
from workspace_reaper.util.interrupts import Interrupted

__all__ = ["CANARY", "last_run", "record", "run_canary"]

PATIENCE = 60.0

"""Seconds that a sweep of another may take."""

GLANCE = 0.2


def run_canary(reaper: Reaper, stopping: Callable[[], bool] = lambda: False) -> list[Check]:
    """One check for each socket: ``OK`` with the time that each step took, ``FAIL`` with why it lived, ``WARN`` where nothing
    could be proved. The reaper's ledger gets an event, and an alarm that begins or ends; its lock is held meanwhile, socket by
    socket. ``stopping`` ends it early: the canary is ended too, and the check says so."""
    if not reaper.settings.configured:
        return [Check("canary", WARN, "not configured, so nothing is reaped, and no canary either", how_to_configure())]
    if not reaper.settings.enabled:
        return [Check("canary", WARN, "switched off, so nothing is reaped, and no canary either", "set enabled = true")]
    checks = list(_on_each_socket(reaper, stopping))
    if stopping():
        return checks
    try:
        with reaper.writing() as ledger:
            record(ledger, checks, reaper.parts.plugins, reaper.parts.clock.now())
    except (LedgerError, SweepLocked) as error:
        checks.append(Check("canary", FAIL, str(error), "mend what it says; without a ledger nothing is reaped"))
    return checks


def _on_each_socket(reaper: Reaper, stopping: Callable[[], bool]) -> Iterator[Check]:
    for terminal in reaper.terminals:
        name = f"canary {terminal.socket}"
        try:
            yield _on(reaper, terminal.socket, name, stopping)
        except Interrupted:
            yield Check(name, WARN, "interrupted: nothing is proved, and nothing of the canary is left", "run it again")
            return
        except Failed as failure:
            yield Check(name, FAIL, str(failure), failure.do)
        except SweepLocked as error:
            yield Check(name, FAIL, str(error))
        except LedgerError as error:
            yield Check(name, FAIL, str(error), "mend or move the file; without a ledger nothing is reaped")
        except OSError as error:
            what = f"no directory can be made below {reaper.settings.state_dir}: {error.strerror or error}"
            yield Check(name, FAIL, what, "mend what it says, or set state_dir")


@contextmanager
def _alone(reaper: Reaper, stopping: Callable[[], bool]) -> Iterator[None]:
    """Hold the sweep lock. Raises ``Interrupted``, ``SweepLocked``, ``LedgerError``."""
    lock, until = FileSweepLock(reaper.settings.state_dir, wait=GLANCE), time.monotonic() + PATIENCE
    with ExitStack() as stack:
        while True:
            if stopping():
                raise Interrupted
            try:
                stack.enter_context(lock.held())
                break
            except SweepLocked:
                if time.monotonic() > until:
                    raise SweepLocked(f"another reaper sweeps for {PATIENCE:g} s and more: look at what it does") from None
        yield


def _on(reaper: Reaper, socket: str, name: str, stopping: Callable[[], bool]) -> Check:
    if stopping():
        raise Interrupted
    listing = TmuxTerminal(socket).observe(NO_OWNER, panes=False)
    if isinstance(listing, Unknown):
        raise Failed(listing.reason, "mend what it says; until then nothing on this socket is reaped")
    if listing.server is None:
        # A server that a canary started would live where the reaper lives, and not where the host's does.
        return Check(
            name, WARN, "no tmux server runs on this socket, so there is nothing to prove", "run it again once one does"
        )
    token = fresh(reaper.registry.canonical)
    if token is None:
        return Check(name, WARN, f"no workspace id can be made up for the registry {reaper.registry.name}", "test it by hand")
    with _alone(reaper, stopping), throwaway(reaper.settings.state_dir) as place:
        return Check(name, OK, CanaryProbe(reaper, socket, token, place, stopping).run())


CANARY = "canary"

"""The kind of the event, and the name of the alarm."""

_LOOKS_AT = 1000

"""So many of the latest events are searched for the last run."""


def last_run(ledger: Ledger) -> tuple[float, bool] | None:
    """When one was last sent (Unix seconds), and whether it was reaped; None if never. Raises ``LedgerError``."""
    for event in ledger.events(_LOOKS_AT):
        if event.kind == CANARY:
            return event.at, event.detail.startswith(OK)
    return None


def record(ledger: Ledger, checks: Sequence[Check], plugins: Plugins, now: float) -> None:
    """Write down how they went, and tell the plugins of an alarm that began or is over. Nothing is written where nothing was
    proved either way. Raises ``LedgerError``."""
    failed = [check for check in checks if check.state == FAIL]
    proved = [*failed, *(check for check in checks if check.state == OK)]
    if not proved:
        return
    before = ledger.load_state((), now).alarms
    after = {name: alarm for name, alarm in before.items() if name != CANARY}
    if failed:
        detail = "; ".join(f"{check.check}: {check.detail}" for check in failed)
        after[CANARY] = Alarm(CANARY, now, detail, "a canary is reaped on every socket: 'workspace-reaper doctor --canary'")
    kept, events = alarms.changes(before, after, now)
    told = "; ".join(f"{check.check}: {check.detail}" for check in proved)
    event = Event(now, CANARY, f"{FAIL if failed else OK}: {told}")
    ledger.save(StateChanges(alarms=kept if kept != before else None, events=(event, *events)))
    begun, ended = alarms.turns(before, kept)
    tell_alarms(plugins, begun, ended, now)
