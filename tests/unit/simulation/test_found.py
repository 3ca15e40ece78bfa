"""What the simulation found and no other test meets, as plans of their own."""

from __future__ import annotations

import pytest

from tests.simulation.history import run
from tests.simulation.plan import APPROVE, DAEMON, HOUR, LOOK_DELETED, RESTART, SWEEP, Event, Interruption, Plan, Step


def test_i90_a_silent_program_that_begins_to_compute_while_the_reaper_is_stopped_saves_its_session() -> None:
    """Of two sessions that have been idle for two days, the other one is reaped."""
    stopped = tuple(Interruption("terminal.observe", 2, Event(*event)) for event in (("freeze", 0, 11.0), ("compute", 0)))
    steps = (Step(Event(SWEEP)), Step(Event("wait", 0, 48.1 * HOUR)), Step(Event(SWEEP), stopped))
    found = run(Plan(0, 2, steps))
    assert (found.violations, found.counts["kill idle"]) == ([], 1)


def test_i99_a_silent_program_that_computes_since_before_a_guard_that_expired_saves_its_session() -> None:
    """Six seconds later the session is rechecked in the same sweep, and its row still says that it is archived."""
    late = tuple(Interruption("terminal.kill", 1, Event(*event)) for event in (("compute", 0), ("freeze", 0, 6.0)))
    steps = (Event(SWEEP), Event("archive", 0), Event("archive", 1), Event("wait", 0, 125.0))
    found = run(Plan(0, 2, (*map(Step, steps), Step(Event(SWEEP), late))))
    assert (found.violations, found.counts["kill archived"]) == ([], 1)


def test_i96_what_an_ended_program_has_left_in_its_directory_is_named_after_a_crash_too() -> None:
    """Its pane is dead, so that the intent names no process. The server that it left has a cleaned environment."""
    crash = (Interruption("ledger.record_results", 1, Event("crash")),)
    before = Event("escape cleaned", 1), Event("exit", 1), Event("wait", 0, 610.0)
    found = run(Plan(0, 2, (*map(Step, before), Step(Event(SWEEP), crash))))
    assert (found.violations, found.counts["kill dead"]) == ([], 1)


def test_i96_what_lives_on_is_named_in_the_records_of_all_sessions_of_a_group() -> None:
    """The process is a supervisor that runs a program for another session."""
    before = Event(SWEEP), Event("view in group", 0), Event("supervise", 0), Event("archive", 0), Event("detach", 0)
    found = run(Plan(0, 2, tuple(map(Step, before))))
    assert (found.violations, found.counts["kill archived"]) == ([], 2)


def test_i98_a_deletion_that_the_daemon_saw_proves_nothing_of_another_database() -> None:
    """It is looked at for five minutes. Meanwhile the row came back, and the database was replaced by an empty one."""
    back = (Interruption("registry.look_up", 1, Event("insert", 1)),)
    before = Step(Event("attach", 1)), Step(Event("delete", 1)), Step(Event(DAEMON)), Step(Event(SWEEP), back)
    after = Event("swap database"), Event(SWEEP), Event("detach", 1), Event("wait", 0, 61.0), Event(DAEMON)
    found = run(Plan(0, 4, (Step(Event(SWEEP)), *before, *map(Step, after)), has_daemon=True))
    assert found.violations == []
    assert found.counts["kill removed"] == 0


def test_i100_a_keep_that_only_a_sweep_without_the_database_saw_cancels_the_announcement() -> None:
    before = Event(SWEEP), Event("archive", 0), Event("wait", 0, 61.0), Event(SWEEP)
    kept = Event("lock database"), Event("keep", 0), Event("wait", 0, 61.0), Event(SWEEP), Event("unkeep", 0)
    after = Event("unlock database"), Event("wait", 0, 1810.0), Event(SWEEP)
    found = run(Plan(0, 2, tuple(map(Step, (*before, *kept, *after))), undo_window=600.0))
    assert (found.violations, found.counts["kill archived"]) == ([], 0)


@pytest.mark.parametrize(
    ("before", "cause", "kill", "number"),
    [
        (Event("sleep", 0, 49.0 * HOUR), Event(SWEEP), "kill idle", 0),
        # After two minutes it is old enough.
        (Event("step clock ahead", 0, 49.0 * HOUR), Event("flag deleted", 0), "kill orphan", 1),
    ],
    ids=["asleep", "set"],
)
def test_i101_what_the_clock_went_on_before_the_first_sweep_is_no_age(
    before: Event, cause: Event, kill: str, number: int
) -> None:
    found = run(Plan(0, 2, tuple(map(Step, (before, cause, Event(SWEEP))))))
    assert (found.violations, found.counts[kill]) == ([], number)


@pytest.mark.parametrize("look", [(), (Event(APPROVE),)], ids=["sampled", "not sampled yet"])
def test_i102_a_program_that_computed_until_it_ended_was_active_until_then(look: tuple[Event, ...]) -> None:
    """The closing sweeps reap it a minute later."""
    before = Event(SWEEP), Event("delete", 0), Event("wait", 0, 125.0), Event(SWEEP), Event("compute", 0)
    found = run(Plan(0, 2, tuple(map(Step, (*before, Event("wait", 0, 61.0), Event("exit", 0), *look, Event(SWEEP))))))
    assert (found.violations, found.counts["kill orphan"]) == ([], 1)


def test_i103_a_session_that_another_reaper_marked_counts_by_its_name_too() -> None:
    """Three of four workspaces with a session went, and only two of the sessions carry marks of ours."""
    before = Event(SWEEP), Event("mark as another's", 3), Event("delete", 3), Event("delete", 0), Event("delete", 1)
    found = run(Plan(0, 4, tuple(map(Step, (*before, Event(DAEMON)))), has_daemon=True, rows_alone=9))
    assert found.violations == []
    assert found.counts["kill removed"] == 0


def test_i109_what_vanished_before_the_database_was_restored_counts_for_a_minute() -> None:
    """All four workspaces with a session lose their rows, two before an older copy is put in place and two afterwards."""
    first = Event(SWEEP), Event("delete", 2), Event("delete", 3), Event(DAEMON)
    restored = Event("restore in place"), Event("delete", 2), Event("delete", 3), Event("insert newest"), Event(DAEMON)
    then = Event(SWEEP), Event("delete", 0), Event("delete", 1), Event(DAEMON)
    found = run(Plan(0, 4, tuple(map(Step, (*first, *restored, *then))), has_daemon=True, rows_alone=9))
    assert (found.violations, found.counts["kill removed"]) == ([], 0)


def test_i110_what_may_have_computed_until_the_first_look_is_not_idle() -> None:
    """It computed for an hour of its two silent days, and until a moment ago. The other session did nothing."""
    events = Event("wait", 0, 48.0 * HOUR), Event("compute", 0), Event("wait", 0, 1.5 * HOUR), Event("work ends", 0)
    found = run(Plan(0, 2, tuple(map(Step, (*events, Event(SWEEP))))))
    assert (found.violations, found.counts["kill idle"]) == ([], 1)


def test_i111_what_a_living_session_out_of_sight_runs_for_a_reaped_one_gets_no_signal() -> None:
    """Its supervisor is known by its environment alone, and so is the program of the other session below it."""
    late = (Interruption("terminal.kill", 1, Event("supervise", 0)),)
    # Where it works shows nothing either.
    before = Event("move directory", 0), Event(SWEEP), Event("delete with directory", 1), Event("hide", 0), Event(SWEEP)
    found = run(Plan(0, 2, (*map(Step, (*before, Event("wait", 0, 31.0))), Step(Event(SWEEP), late))))
    assert (found.violations, found.counts["kill removed"]) == ([], 1)


@pytest.mark.parametrize("crash", [(), (Interruption("ledger.record_results", 1, Event("crash")),)], ids=["", "and a crash"])
def test_i112_what_a_pane_that_was_dead_at_the_last_look_has_started_is_named(crash: tuple[Interruption, ...]) -> None:
    """It is started again right before the kill, and a program of the other session uses a server of it."""
    points = (("ledger.record_intents", "respawn"), ("terminal.kill", "depend"))
    late = tuple(Interruption(point, 1, Event(what, 0)) for point, what in points)
    before = Event(SWEEP), Event("exit", 0), Event("delete with directory", 0), Event(SWEEP), Event("wait", 0, 31.0)
    found = run(Plan(0, 2, (*map(Step, before), Step(Event(SWEEP), (*late, *crash)))))
    assert found.violations == []
    assert found.counts["kill removed"] == 1


def test_i113_what_works_in_the_directory_is_named_also_if_the_sessions_cannot_be_listed_again() -> None:
    """It has left the tree with a cleaned environment. The listing from before the kill still has its session."""
    silent = (Interruption("terminal.observe", 3, Event("mute")),)
    before = Event(SWEEP), Event("escape cleaned", 0), Event("archive", 0), Event("wait", 0, 61.0)
    found = run(Plan(0, 2, (*map(Step, before), Step(Event(SWEEP), silent))))
    assert (found.violations, found.counts["kill archived"]) == ([], 1)


def test_i114_rows_that_are_flagged_as_deleted_at_the_first_look_trip_the_breaker() -> None:
    steps = (*(Event("flag deleted", who) for who in range(3)), Event("wait", 0, 125.0), Event(SWEEP), Event("wait", 0, 61.0))
    found = run(Plan(0, 4, tuple(map(Step, (*steps, Event(SWEEP))))))
    assert (found.violations, found.counts["kill orphan"]) == ([], 0)


def test_i103_rows_that_vanish_while_the_socket_is_removed_are_left_to_the_breaker() -> None:
    steps = Event(SWEEP), Event("unlink socket"), Event("delete most", 3), Event(DAEMON)
    found = run(Plan(0, 4, tuple(map(Step, steps)), has_daemon=True, rows_alone=9))
    assert found.violations == []
    assert found.counts["kill removed"] == 0


def test_i104_a_program_that_computes_before_and_after_the_machine_slept_saves_its_session() -> None:
    """It began after the CPU times of the sweep were read. The machine sleeps before they are read once more."""
    asleep = (
        Interruption("registry.look_up", 1, Event("compute", 1)),
        Interruption("ledger.save", 1, Event("sleep", 0, 13.0 * HOUR)),
    )
    found = run(Plan(0, 2, (Step(Event("wait", 0, 48.1 * HOUR)), Step(Event(SWEEP), asleep))))
    assert (found.violations, found.counts["kill idle"]) == ([], 1)


def test_i105_a_session_out_of_sight_is_not_recorded_as_reaped() -> None:
    """Its kill gets no answer, and a look at its workspace alone follows before any full sweep."""
    removed = (Interruption("terminal.kill", 1, Event("unlink socket")),)
    found = run(Plan(0, 2, (Step(Event("delete", 1)), Step(Event(LOOK_DELETED, 1), removed))))
    assert found.violations == []
    assert sum(number for what, number in found.counts.items() if what.startswith("kill ")) == 1


def test_i94_a_row_that_was_there_while_its_session_was_out_of_sight_refutes_an_absence() -> None:
    seen = Event(SWEEP), Event("delete", 1), Event("wait", 0, 125.0), Event(SWEEP)
    back = Event("insert", 1), Event("wait", 0, 61.0), Event("mute"), Event(SWEEP), Event("delete", 1)
    found = run(Plan(0, 2, tuple(map(Step, (*seen, *back)))))
    assert (found.violations, found.counts["kill orphan"]) == ([], 1)


def test_i106_a_recheck_that_finds_the_row_ends_the_report_of_its_deletion() -> None:
    back = (Interruption("registry.look_up", 2, Event("insert", 1)),)
    before = Step(Event(SWEEP)), Step(Event("delete", 1)), Step(Event(LOOK_DELETED, 1), back)
    found = run(Plan(0, 2, (*before, Step(Event("delete", 1)))))
    assert (found.violations, found.counts["kill deleted"]) == ([], 0)


def test_i107_two_readings_within_a_second_do_not_confirm_an_absence() -> None:
    """The reaper was stopped after the second one, while it closed the intents that a crash had left open."""
    crash, stop = Event("crash"), Event("freeze", 0, 61.0)
    before = Event(SWEEP), Event("delete with directory", 0), Event("archive", 1), Event("wait", 0, 125.0)
    crashed = Step(Event(SWEEP), (Interruption("ledger.record_results", 1, crash),))
    stopped = Step(Event(SWEEP), (Interruption("terminal.observe", 2, stop),))
    found = run(Plan(0, 3, (*map(Step, before), crashed, stopped)))
    assert found.violations == []


def test_i108_a_breaker_that_lost_rows_tripped_holds_what_was_known_before_the_registry_changed() -> None:
    """The daemon compares with the database that it had read before a copy was put in its place."""
    before = Event("restore in place"), Event("wait", 0, 12.1 * HOUR), Event(SWEEP)
    lost = Event("delete", 1), Event("delete", 2), Event(DAEMON), Event("delete", 3), Event(DAEMON)
    found = run(Plan(0, 4, tuple(map(Step, (*before, *lost, Event(SWEEP), Event(SWEEP)))), has_daemon=True))
    assert (found.violations, found.counts["kill orphan"]) == ([], 0)


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param([Step(Event(APPROVE))], id="of a dry run"),
        pytest.param(
            [Step(Event("lock database")), Step(Event(SWEEP)), Step(Event("unlock database"))], id="without the database"
        ),
        pytest.param([Step(Event(SWEEP), (Interruption("ledger.save", 1, Event("refuse")),))], id="that could not be written"),
    ],
)
def test_i33_a_cpu_sample_that_is_not_stored_is_taken_again(steps: list[Step]) -> None:
    """It showed that the second session worked for a day, until a day ago."""
    before = Step(Event(SWEEP)), Step(Event("work for a day", 1)), Step(Event("wait", 0, 24.1 * HOUR))
    found = run(Plan(0, 2, (*before, *steps, Step(Event("wait", 0, 5.0)), Step(Event(SWEEP)))))
    assert (found.violations, found.counts["kill idle"]) == ([], 1)


@pytest.mark.parametrize("seen", [DAEMON, RESTART, "detach"], ids=["by the daemon", "by no daemon", "by the next sweep"])
def test_i98_what_was_reported_before_the_first_full_sweep_proves_nothing_of_another_database(seen: str) -> None:
    """The row came back with an older copy. Then an empty database was put in place."""
    report = Event("attach", 0), Event("delete", 0), Event(DAEMON), Event("restore"), Event(DAEMON)
    replaced = Event("swap database"), Event(seen), Event("detach", 0), Event("wait", 0, 61.0), Event(SWEEP)
    found = run(Plan(0, 4, tuple(map(Step, (*report, *replaced))), has_daemon=True))
    assert found.violations == []
    assert found.counts["kill removed"] == 0


def test_i98_a_hook_before_the_first_full_sweep_proves_nothing_of_another_database() -> None:
    report = Event("keep", 0), Event("delete", 0), Event(LOOK_DELETED, 0)
    replaced = Event("restore"), Event("swap database"), Event("unkeep", 0), Event("wait", 0, 61.0), Event(SWEEP)
    found = run(Plan(0, 4, tuple(map(Step, (*report, *replaced)))))
    assert found.violations == []
    assert found.counts["kill deleted"] == 0


def test_i93_an_announcement_that_the_ledger_has_was_shown_to_the_user() -> None:
    """The reaper crashes right after it has written its state, and its next sweep is late."""
    crash = (Interruption("terminal.mark", 1, Event("crash")),)
    steps = Step(Event("archive")), Step(Event("wait", 0, 61.0)), Step(Event(SWEEP), crash), Step(Event("wait", 0, 1810.0))
    found = run(Plan(0, 2, steps, undo_window=600.0))
    assert (found.violations, found.counts["kill archived"]) == ([], 1)


def test_i65_rows_that_were_lost_while_not_all_could_be_seen_trip_the_breaker_later() -> None:
    """An empty database was put in place, tmux did not show all, and then one row came back."""
    cut = (Interruption("terminal.observe", 1, Event("cut answer")),)
    before = Step(Event(SWEEP)), Step(Event("swap database")), Step(Event("wait", 0, 12.1 * HOUR)), Step(Event(SWEEP), cut)
    # With three sessions, the two orphans alone do not trip it.
    found = run(Plan(0, 4, (Step(Event("end", 3)), *before, Step(Event("insert", 1)))))
    assert (found.violations, found.counts["kill orphan"]) == ([], 0)


def test_i84_many_strangers_at_once_wait_for_an_operator_and_are_reported() -> None:
    """Four sessions of six have no row and never had one: they may be those of another database."""
    before = *(Event("new without row") for _ in range(4)), Event("wait", 0, 12.1 * HOUR)
    found = run(Plan(0, 2, tuple(map(Step, (*before, Event(SWEEP)))), is_watched=True))
    assert (found.violations, found.counts["kill orphan"]) == ([], 0)
    assert found.counts["by unproven"] > 0
