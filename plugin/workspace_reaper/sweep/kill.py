"""Step 7, kill: the selected sessions of one socket, in batches. Each batch is prepared, rechecked and killed by itself.

tmux serves no other client during a batch, so a batch is small. A recheck is valid only while it is fresh, so each batch has
its own, right before it. It expires: neither a reaper nor a tmux server that was stopped in between carries out a decision that
is no longer true. What is late is rechecked.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence

from workspace_reaper.model.ports import Terminal
from workspace_reaper.model.unknown import Unknown
from workspace_reaper.model.verdict import Expiry, KillResult, KillResults
from workspace_reaper.sweep.context import ReapCandidate, SweepContext
from workspace_reaper.sweep.prepare import prepare_batch
from workspace_reaper.sweep.recheck import Recheck

# Attempts to kill a session from whose guard no answer came. Each attempt has a recheck of its own.
ATTEMPTS = 3

# Rechecks of a session whose kill came too late, after the first one. Each is in a batch half as large as the last.
STALE_RECHECKS = 3

# Seconds that unanswered kills may take on one socket. After that, no session without an answer is tried again in the
# sweep.
PATIENCE = 60.0


class BatchKiller:
    """The kills of one sweep.

    ``look_at_processes`` looks at the processes of some candidates again, and spares those that are at work. It returns what
    could not be read. All have been looked at once.
    """

    def __init__(
        self,
        context: SweepContext,
        recheck: Recheck,
        look_at_processes: Callable[[Sequence[ReapCandidate]], Unknown | None],
    ) -> None:
        self._context = context
        self._recheck = recheck
        self._look_at_processes = look_at_processes

    def run(self, terminal: Terminal, candidates: Sequence[ReapCandidate]) -> None:
        """Try to kill each candidate on this socket. Its ``kill_result`` or its outcome says what is known afterwards."""
        # Sorted by session id, so that the listing of a batch is narrow. Doubtful candidates come last, and alone.
        queue = deque(sorted(candidates, key=lambda one: (_is_unanswered(one), int(one.key.session_id[1:]))))
        unanswered = 0.0
        while queue:
            if self._context.request.stopping():
                _give_up(queue, "stopping")
                return
            if _is_unanswered(queue[0]) and unanswered > PATIENCE:
                _give_up(queue, "unanswered")
                return
            batch, started = self._next_batch(queue), self._monotonic()
            blocked = self._prepare(terminal, batch) or self._renew(batch, queue)
            queue = deque(one for one in queue if not one.is_concluded)
            batch = [one for one in batch if not one.is_concluded]
            if blocked is None and batch:
                blocked = self._kill_batch(terminal, batch)
            if any(candidate.kill_result is KillResult.NONE for candidate in batch):
                unanswered += self._monotonic() - started
            queue.extend(one for one in batch if one.kill_result is KillResult.NONE and not one.is_concluded)
            queue.extendleft(reversed([one for one in batch if one.kill_result is KillResult.STALE and not one.is_concluded]))
            if blocked is not None:
                self._context.report.unknown.append(blocked)
                _give_up([*batch, *queue], blocked.source.value)
                return

    def _next_batch(self, queue: deque[ReapCandidate]) -> list[ReapCandidate]:
        batch = [queue.popleft()]
        size = min(self._context.state.batch_size.size, batch[0].largest_batch)
        while queue and len(batch) < size and not _is_unanswered(batch[0]) and not _is_unanswered(queue[0]):
            batch.append(queue.popleft())
        return batch

    def _prepare(self, terminal: Terminal, batch: Sequence[ReapCandidate]) -> Unknown | None:
        """Prepare one batch. Returns what prevented it."""
        with self._context.report.seconds.step("prepare"):
            # The recheck judges by the own options, which its listing does not show.
            self._context.state.own_options.ask_about(terminal, [candidate.facts.session for candidate in batch])
            return prepare_batch(self._context, terminal, batch)

    def _renew(self, batch: Sequence[ReapCandidate], queue: Iterable[ReapCandidate]) -> Unknown | None:
        """Look at the processes of all that are left again if the last look is older than a recheck may be.

        No recheck shows that a program has begun to compute. Returns what could not be read.
        """
        if self._elapsed() - min(one.looked_at for one in batch) <= self._context.settings.recheck_validity:
            return None
        with self._context.report.seconds.step("prepare"):
            return self._look_at_processes([*batch, *queue])

    def _kill_batch(self, terminal: Terminal, batch: Sequence[ReapCandidate]) -> Unknown | None:
        """Recheck and kill one batch. Returns what prevented it."""
        seconds = self._context.report.seconds
        with seconds.step("recheck"):
            started, since = self._monotonic(), self._elapsed()
            only = [candidate.key.session_id for candidate in batch]
            panes = any(candidate.reason.rests_on_session for candidate in batch)
            listing = self._recheck.list_again(terminal, panes=panes, only=only)
            listing_seconds = self._monotonic() - started
            guards = self._recheck.guards(listing, batch)
        if isinstance(guards, Unknown):
            return guards
        if isinstance(listing, Unknown) or not guards:
            return None
        guarded = [candidate for candidate in batch if candidate.key in guards]
        if self._elapsed() - since > self._context.settings.recheck_validity:
            for candidate in guarded:
                _recheck_later(candidate, len(batch))
            return None
        with seconds.step("kill"):
            results = terminal.kill(list(guards.values()), Expiry(listing.server_time, self._context.settings.guard_validity))
        nothing = listing_seconds if results.server_seconds is None else listing.server_seconds or 0.0
        self._context.state.batch_size.learn(len(guards), results.seconds, server=results.server_seconds, nothing=nothing)
        for candidate in guarded:
            _take(candidate, results, len(batch))
        return None

    def _monotonic(self) -> float:
        return self._context.dependencies.clock.monotonic()

    def _elapsed(self) -> float:
        """Return a clock that also counts while this process is stopped and while the machine sleeps."""
        return self._context.dependencies.clock.read().elapsed


def _is_unanswered(candidate: ReapCandidate) -> bool:
    """Whether an earlier kill failed or got no answer: in a batch, it could take the answers of the others with it."""
    return candidate.attempts > 0 or candidate.facts.failures > 0


def _recheck_later(candidate: ReapCandidate, batch: int) -> None:
    """Have a candidate rechecked whose kill came too late, in a batch half as large."""
    candidate.kill_result, candidate.largest_batch = KillResult.STALE, max(1, batch // 2)
    candidate.late += 1
    if candidate.late > STALE_RECHECKS:
        candidate.fail(f"stale: {candidate.late} times the kill came too late after its recheck")


def _take(candidate: ReapCandidate, results: KillResults, batch: int) -> None:
    candidate.kill_result = results.answers[candidate.key.session_id]
    if candidate.kill_result is KillResult.STALE:
        _recheck_later(candidate, batch)
    elif candidate.kill_result is KillResult.GONE:
        candidate.spare("gone")
    elif candidate.kill_result is KillResult.NONE:
        candidate.attempts += 1
        if candidate.attempts == ATTEMPTS:
            candidate.fail(f"no answer from tmux in {ATTEMPTS} attempts: {results.error or 'its output was cut'}")


def _give_up(candidates: Iterable[ReapCandidate], why: str) -> None:
    """Conclude the rest of this socket: kills without an answer have failed, all others are spared."""
    for candidate in candidates:
        if candidate.is_concluded or candidate.kill_result is KillResult.KILLED:
            continue
        if candidate.kill_result is KillResult.STALE:
            candidate.spare("stale")
        elif candidate.attempts:
            candidate.fail("no answer from tmux, and the session cannot be looked at again")
        else:
            candidate.spare(why)
