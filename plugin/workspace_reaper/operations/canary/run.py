"""Sends a canary to each configured socket, one after the other, and records the results."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from workspace_reaper.ledger.locks import FileSweepLock
from workspace_reaper.model.errors import LedgerError, SweepLocked
from workspace_reaper.model.ports import Ledger, Plugins
from workspace_reaper.model.session import NO_OWNER
from workspace_reaper.model.state import Event, StateChanges
from workspace_reaper.model.unknown import Unknown
from workspace_reaper.operations.canary.diagnosis import CanaryFailed
from workspace_reaper.operations.canary.isolation import new_token, temporary_directory
from workspace_reaper.operations.canary.probe import CanaryProbe
from workspace_reaper.operations.doctor import FAIL, OK, WARN, Check
from workspace_reaper.operations.reaper import Reaper
from workspace_reaper.operations.wiring import how_to_configure
from workspace_reaper.sweep import alarms
from workspace_reaper.sweep.other_plugins import notify_alarms
from workspace_reaper.tmux.terminal import TmuxTerminal
from workspace_reaper.util.interrupts import Interrupted

# The kind of the event, and the name of the alarm.
CANARY = alarms.CANARY.name

# Seconds to wait for the end of a running sweep.
PATIENCE = 60.0

# Seconds between two attempts to get its lock.
POLL = 0.2

# The latest events that are searched for the last run.
_EVENTS = 1000


def run_canary(reaper: Reaper, stopping: Callable[[], bool] = lambda: False) -> list[Check]:
    """Send a canary to each socket, and return one check for each.

    ``OK`` says how long each step took, ``FAIL`` why the canary was not reaped, ``WARN`` that nothing could be proved. The
    ledger gets an event and the beginning or end of an alarm. The sweep lock is held for one socket at a time. ``stopping``
    ends the run early: the canary is ended too.
    """
    if not reaper.settings.configured:
        return [Check("canary", WARN, "not configured, so nothing is reaped, not even a canary", how_to_configure())]
    if not reaper.settings.enabled:
        return [Check("canary", WARN, "switched off, so nothing is reaped, not even a canary", "set enabled = true")]
    checks = []
    for terminal in reaper.terminals:
        checks.append(_check(reaper, terminal.socket, stopping))
        if stopping():
            return checks
    try:
        with reaper.writing() as ledger:
            record(ledger, checks, reaper.plugins, reaper.clock.now())
    except (LedgerError, SweepLocked) as error:
        checks.append(Check("canary", FAIL, str(error), "fix this: without a ledger nothing is reaped"))
    return checks


def _check(reaper: Reaper, socket: str, stopping: Callable[[], bool]) -> Check:
    name = f"canary {socket}"
    try:
        state, detail, do = _send(reaper, socket, stopping)
    except Interrupted:
        return Check(name, WARN, "interrupted: nothing is proved, and nothing of the canary is left", "run it again")
    except CanaryFailed as failure:
        return Check(name, FAIL, str(failure), failure.do)
    except SweepLocked as error:
        return Check(name, FAIL, str(error))
    except LedgerError as error:
        return Check(name, FAIL, str(error), "fix or move the file: without a ledger nothing is reaped")
    except OSError as error:
        detail = f"cannot create a directory in {reaper.settings.state_dir}: {error.strerror or error}"
        return Check(name, FAIL, detail, "fix this, or set state_dir")
    return Check(name, state, detail, do)


def _send(reaper: Reaper, socket: str, stopping: Callable[[], bool]) -> tuple[str, str, str]:
    """Send a canary to this socket. Returns the state, the detail, and what to do."""
    if stopping():
        raise Interrupted
    listing = TmuxTerminal(socket).observe(NO_OWNER, panes=False)
    if isinstance(listing, Unknown):
        raise CanaryFailed(listing.reason, "fix this: until then nothing on this socket is reaped")
    if listing.server is None:
        # A server that the canary started would run in the environment of the reaper, and not of the host.
        return WARN, "no tmux server runs on this socket, so there is nothing to prove", "run it again when a server runs"
    token = new_token(reaper.registry.canonical)
    if token is None:
        return WARN, f"the registry {reaper.registry.name} accepts no generated workspace id", "test the reaper by hand"
    with _locked(reaper, stopping), temporary_directory(reaper.settings.state_dir) as directory:
        return OK, CanaryProbe(reaper, socket, token, directory, stopping).run(), ""


@contextmanager
def _locked(reaper: Reaper, stopping: Callable[[], bool]) -> Iterator[None]:
    """Hold the sweep lock. Raises ``Interrupted``, ``SweepLocked`` and ``LedgerError``."""
    lock, until = FileSweepLock(reaper.settings.state_dir, wait=POLL), time.monotonic() + PATIENCE
    with ExitStack() as stack:
        while True:
            if stopping():
                raise Interrupted
            try:
                stack.enter_context(lock.held())
                break
            except SweepLocked:
                if time.monotonic() > until:
                    raise SweepLocked(
                        f"another reaper has been sweeping for {PATIENCE:g} s and more: find out what it is doing"
                    ) from None
        yield


def last_run(ledger: Ledger) -> tuple[float, bool] | None:
    """Return when the last canary was sent (Unix seconds) and whether it was reaped, or None. Raises ``LedgerError``."""
    for event in ledger.events(_EVENTS):
        if event.kind == CANARY:
            return event.at, event.detail.startswith(OK)
    return None


def record(ledger: Ledger, checks: Sequence[Check], plugins: Plugins, now: float) -> None:
    """Record the results, and notify the plugins of an alarm that begins or ends. Raises ``LedgerError``.

    Results that prove nothing are not recorded.
    """
    failed = [check for check in checks if check.state == FAIL]
    proved = [*failed, *(check for check in checks if check.state == OK)]
    if not proved:
        return
    before = ledger.load_state((), now).alarms
    after = {name: alarm for name, alarm in before.items() if name != CANARY}
    if failed:
        detail = "; ".join(f"{check.check}: {check.detail}" for check in failed)
        after[CANARY] = alarms.CANARY.at(now, detail)
    kept, events = alarms.changes(before, after, now)
    results = "; ".join(f"{check.check}: {check.detail}" for check in proved)
    event = Event(now, CANARY, f"{FAIL if failed else OK}: {results}")
    ledger.save(StateChanges(alarms=kept if kept != before else None, events=(event, *events)))
    notify_alarms(plugins, *alarms.turns(before, kept), now)
