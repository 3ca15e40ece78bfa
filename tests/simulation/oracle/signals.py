"""Was a signal right?"""

from __future__ import annotations

from collections.abc import Iterator

from tests.simulation.oracle.truth_signals import Ended, Kind, Origin, SignalTruth
from tests.simulation.oracle.violation import Violation

__all__ = ["judge_signal"]

_SIGNALS = ("TERM", "CONT", "KILL")


def judge_signal(truth: SignalTruth) -> list[Violation]:
    """Return why a signal at this moment is wrong; nothing if it is right. No process at the pid: nothing is hit."""
    if truth.started is None:
        return []
    what = f"{truth.signal} to {truth.pid}, of {truth.session}"
    return [Violation(rule, what, why, truth.now) for rule, why in _wrong(truth)]


def _wrong(truth: SignalTruth) -> Iterator[tuple[str, str]]:
    yield from _identity(truth)
    yield from _session(truth)
    yield from _relation(truth)
    yield from _order(truth)


def _identity(truth: SignalTruth) -> Iterator[tuple[str, str]]:
    if truth.started != truth.recorded:
        yield "identity", f"the process started at {truth.started}, the session's at {truth.recorded}"
    if truth.kind is not Kind.ORDINARY:
        yield "protected", f"it is {truth.kind.value}"
    if not truth.own_user:
        yield "protected", "it is another user's"


def _session(truth: SignalTruth) -> Iterator[tuple[str, str]]:
    """After an interruption it is unknown who ended the session: only a row that still selects it speaks for an end."""
    if truth.ended is Ended.LIVES:
        yield "session", "its session lives"
    if truth.ended is not Ended.UNKNOWN:
        return
    if not truth.row_selects:
        yield "interrupted", "the row does not select the session any more"
    if truth.running:
        yield "interrupted", "the host says that a process of the workspace runs"
    if truth.sibling_lives:
        yield "interrupted", "another session of the workspace may live"


def _relation(truth: SignalTruth) -> Iterator[tuple[str, str]]:
    if truth.origin in (Origin.NONE, Origin.DIRECTORY):
        yield "origin", truth.origin.value
    left_the_tree = truth.origin in (Origin.ENVIRONMENT, Origin.SEEN_BELOW)
    if left_the_tree and not truth.in_directory and not truth.limits.all_survivors:
        yield "survivors", "it left the process tree, and works outside of the workspace's directory"
    for dependence in truth.dependences:
        if dependence.since <= truth.now - truth.scan_age:
            yield "needed", dependence.relation.value


def _order(truth: SignalTruth) -> Iterator[tuple[str, str]]:
    """TERM, and CONT so that a stopped process can act on it; then, after the grace, KILL."""
    if truth.signal not in _SIGNALS:
        yield "signal", "neither TERM nor CONT nor KILL"
    if truth.signal != "KILL":
        return
    if truth.stopped:
        yield "grace", "KILL to a stopped process, which could not act on TERM"
    if truth.term_at is None:
        yield "grace", "KILL without TERM"
    elif truth.now - truth.term_at + truth.limits.resolution < truth.limits.kill_grace:
        yield "grace", f"KILL {truth.now - truth.term_at:.1f} s after TERM"
    if truth.term_waits:
        yield "grace", "KILL to a stopped process that has not got its TERM yet"
