"""Rare meetings that chance alone brings about too seldom: what happens, in its order. The workspaces are counted from one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tests.simulation.plan import DAEMON, HOUR, LOOK_DELETED, LOSE_STATE, SWEEP, Event, Interruption, Step

__all__ = ["SCENES", "scene_of"]


def _steps(*events: tuple[str, int] | tuple[str, int, float] | str) -> tuple[Step, ...]:
    return tuple(Step(Event(SWEEP) if isinstance(event, str) else Event(*event)) for event in events)


def _sweep(*during: tuple[str, int, tuple[str, int] | tuple[str, int, float]]) -> Step:
    return Step(Event(SWEEP), tuple(Interruption(point, nth, Event(*event)) for point, nth, event in during))


SCENES: Sequence[tuple[Step, ...]] = (
    # A renamed session belongs to two archived workspaces, and the host runs something for the second one.
    _steps(("end", 1), ("archive", 0), ("archive", 1), ("run", 1), ("rename to next", 0), ("wait", 0, 24.1 * HOUR), SWEEP),
    # The same where the second one is pinned, and both are idle.
    _steps(("end", 1), ("pin", 1), ("rename to next", 0), ("wait", 0, 48.1 * HOUR), SWEEP),
    # An absence is refuted at the recheck, and is there again right after it.
    (
        *_steps(("delete", 0), ("wait", 0, 125.0), SWEEP, ("wait", 0, 31.0)),
        _sweep(("registry.look_up", 2, ("insert", 0))),
        *_steps(("delete", 0), ("wait", 0, 1.0), SWEEP),
    ),
    (
        *_steps(("delete with directory", 0), SWEEP, ("wait", 0, 31.0)),
        _sweep(("directories.look", 2, ("make directory", 0))),
        *_steps(("remove directory", 0), ("wait", 0, 1.0), SWEEP),
    ),
    # The row does not say any more that the workspace is archived, but its session is idle as well.
    (
        *_steps(("archive", 0), SWEEP, ("wait", 0, 48.1 * HOUR)),
        _sweep(("ledger.record_intents", 1, ("unarchive", 0)), ("snapshots.take", 1, ("freeze", 0, 6.0))),
    ),
    # The panes died while the clock was ahead.
    _steps(("step clock ahead", 0, 49.0 * HOUR), ("exit", 0), SWEEP, ("step clock back", 0, 49.0 * HOUR), SWEEP),
    # The daemon saw a row go. It came back with an older copy, and then another database was put in place.
    (
        *_steps(("attach", 0), ("delete", 0), (DAEMON, 0), ("restore", 0), ("swap database", 0), SWEEP),
        *_steps(("detach", 0), ("wait", 0, 61.0), SWEEP),
    ),
    # The same while the row is looked at: it comes back within a sweep.
    (
        *_steps(("attach", 0), ("delete", 0), (DAEMON, 0)),
        _sweep(("registry.look_up", 1, ("insert", 0))),
        *_steps(("swap database", 0), SWEEP, ("detach", 0), ("wait", 0, 61.0), (DAEMON, 0)),
    ),
    # A row was there again while its session was out of sight.
    (
        *_steps(("delete", 0), ("wait", 0, 125.0), SWEEP, ("insert", 0), ("wait", 0, 61.0), ("mute", 0), SWEEP),
        *_steps(("delete", 0), ("unmute", 0), ("wait", 0, 61.0), SWEEP),
    ),
    # A recheck finds the row of which a hook has reported the deletion.
    (
        *_steps(("delete", 0)),
        Step(Event(LOOK_DELETED, 0), (Interruption("registry.look_up", 2, Event("insert", 0)),)),
        *_steps(("delete", 0), ("wait", 0, 61.0), SWEEP),
    ),
    # The reaper is stopped between its reading and its verdict, while it closes the intents of a crash.
    (
        *_steps(("delete with directory", 0), ("archive", 1), ("wait", 0, 125.0)),
        _sweep(("ledger.record_results", 1, ("crash", 0))),
        _sweep(("terminal.observe", 2, ("freeze", 0, 61.0))),
    ),
    # Most rows are lost, and for the daemon the database is another one.
    (
        *_steps(("restore in place", 0), ("wait", 0, 12.1 * HOUR), SWEEP, ("delete", 0), ("delete", 1), (DAEMON, 0)),
        *_steps(("delete", 2), (DAEMON, 0), SWEEP, SWEEP, ("wait", 0, 61.0), SWEEP, ("wait", 0, 61.0), SWEEP),
    ),
    # The machine slept before the first sweep.
    _steps((LOSE_STATE, 0), ("sleep", 0, 49.0 * HOUR), SWEEP),
    # Two rows go, an older copy is put in place without them, and two more go.
    (
        *_steps(("delete", 2), ("delete", 3), (DAEMON, 0), ("restore in place", 0), ("delete", 2), ("delete", 3)),
        *_steps(("insert newest", 0), (DAEMON, 0), SWEEP, ("delete", 0), ("delete", 1), (DAEMON, 0)),
    ),
    # A program computes for more than an hour of two silent days, until the first look.
    (
        *_steps(("end", 0), ("start again", 0), ("wait", 0, 48.0 * HOUR), ("compute", 0), ("wait", 0, 1.5 * HOUR)),
        *_steps(("work ends", 0), SWEEP),
    ),
    # A living session that is out of sight begins to run a program for one that is about to be reaped.
    (
        *_steps(("move directory", 0), SWEEP, ("delete with directory", 1), ("hide", 0), SWEEP, ("wait", 0, 31.0)),
        _sweep(("terminal.kill", 1, ("supervise", 0))),
    ),
    # A dead pane is started again right before the kill, and what it starts is needed by another session.
    (
        *_steps(("exit", 0), ("delete with directory", 0), SWEEP, ("wait", 0, 31.0)),
        _sweep(("ledger.record_intents", 1, ("respawn", 0)), ("terminal.kill", 1, ("depend", 0))),
    ),
    # After a kill no session can be listed. Its server has a clean environment.
    (
        *_steps(("escape cleaned", 0), ("archive", 0), ("wait", 0, 61.0)),
        _sweep(("terminal.observe", 3, ("mute", 0))),
    ),
    # Most rows are flagged as deleted when the reaper sees their sessions first after an older copy was put in place.
    (
        *_steps(("mute", 0), ("restore in place", 0), SWEEP, ("flag deleted", 0), ("flag deleted", 1), ("flag deleted", 2)),
        *_steps(("unmute", 0), ("wait", 0, 125.0), SWEEP, ("wait", 0, 61.0), SWEEP),
    ),
    # The program of an orphan computes until it ends.
    (
        *_steps(("delete", 0), ("wait", 0, 125.0), SWEEP, ("compute", 0), ("wait", 0, 61.0), ("exit", 0), SWEEP),
        *_steps(("wait", 0, 61.0), SWEEP),
    ),
    # The socket is removed right before a kill, on a server that no full sweep has seen.
    (
        *_steps(("end server", 0), ("delete", 0)),
        Step(Event(LOOK_DELETED, 0), (Interruption("terminal.kill", 1, Event("unlink socket")),)),
        *_steps(("wait", 0, 61.0), SWEEP),
    ),
    # A kill gets no answer, and then the processes of the session are out of sight.
    (
        *_steps(("archive", 0), ("escape", 0), ("wait", 0, 125.0)),
        _sweep(("terminal.kill", 1, ("no answer", 0)), ("terminal.observe", 3, ("hide", 0))),
    ),
    (
        *_steps(("archive", 0), ("escape", 0), ("wait", 0, 125.0)),
        _sweep(("terminal.kill", 1, ("lose answer", 0)), ("terminal.kill", 2, ("hide", 0))),
    ),
)


def scene_of(scene: Sequence[Step], first: int, workspaces: int) -> list[Step]:
    """Return the steps of a scene, with the workspaces counted from ``first``."""

    def moved(event: Event) -> Event:
        return replace(event, who=(event.who + first) % workspaces)

    return [Step(moved(step.event), tuple(replace(one, event=moved(one.event)) for one in step.during)) for step in scene]
