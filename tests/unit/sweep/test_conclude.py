"""How kills are verified: by one more listing, and by the word of tmux where that gives none."""

from __future__ import annotations

from collections.abc import Sequence

from tests.simulation.memory.terminal import MemoryTerminal
from tests.unit.sweep.scene import Scene, cleanup_of, entry_of
from workspace_reaper.model.reap import Outcome
from workspace_reaper.model.unknown import Source
from workspace_reaper.model.verdict import Expiry, Guard, KillResult, KillResults


def test_without_another_listing_a_session_is_reaped_as_tmux_reported_it_and_no_process_is_signalled() -> None:
    """Whether a process that is left is still in a pane is unknown then."""
    scene = Scene()
    scene.give_up()
    left = scene.leave_behind("server")
    scene.during("terminal.observe", 3, lambda: setattr(scene.world.tmux, "fault", "no answer"))
    report = scene.sweep()
    assert [reap.outcome for reap in scene.history()] == [Outcome.REAPED]
    assert [one.source for one in report.unknown] == [Source.SOCKET]
    assert [(one.pid, one.why) for one in cleanup_of(report).survivors] == [(left, "the session's socket cannot be read")]
    assert scene.signalled() == set()


class Pretending(MemoryTerminal):
    """A tmux that reports each kill and carries out none."""

    def kill(self, guards: Sequence[Guard], expiry: Expiry) -> KillResults:
        return KillResults({guard.key.session_id: KillResult.KILLED for guard in guards}, 0.0)


def test_a_kill_after_which_tmux_still_lists_the_session_has_failed() -> None:
    scene = Scene()
    scene.use(Pretending(scene.world.tmux))
    scene.give_up()
    entry = entry_of(scene.sweep())
    assert (entry.outcome, entry.protected_by) == (Outcome.FAILED, "tmux reported the kill, but still lists the session")
    assert [reap.outcome for reap in scene.history()] == [Outcome.FAILED]
    assert scene.signalled() == set()
    assert scene.world.disk.kept == {}, "the session has its panes"


def test_an_outcome_that_cannot_be_written_is_closed_by_the_next_sweep() -> None:
    scene = Scene()
    scene.give_up()
    scene.refuse("ledger.record_results")
    assert [one.source for one in scene.sweep().unknown] == [Source.LEDGER]
    assert [reap.outcome for reap in scene.history()] == [Outcome.OPEN]
    assert scene.world.plugins.reaps == []
    scene.sweep()
    assert [(reap.outcome, reap.why) for reap in scene.history()] == [(Outcome.REAPED, "found gone after an interruption")]
    assert [reap.session for reap in scene.world.plugins.reaps] == ["ws-w0"]
