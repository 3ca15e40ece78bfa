"""The seed's own failure: a recheck that could not read its own listing took every session for "already gone", skipped the
kill, and said nothing, for 44 cycles in a row. Here what can't be read is loud, is never gone, and stops nobody else."""

from __future__ import annotations

import json

import pytest

from tests.faults.conftest import Erring
from tests.faults.steps import alarms, check_code, confirmations, events, history, sweep_during
from tests.tools.front_tmux import Rule
from tests.tools.waiting import wait_until
from tests.tools.world import World, outcomes, session_name
from workspace_reaper.model.unknown import Source
from workspace_reaper.model.verdict import Verdict
from workspace_reaper.sweep.report import SweepReport

pytestmark = pytest.mark.once

SESSION_FIELDS = {
    "pid": "#{pid}",
    "start_time": "#{start_time}",
    "session_created": "#{session_created}",
    "session_activity": "#{session_activity}",
    "session_attached": "#{session_attached}",
    "session_attached_list": "#{?session_attached_list,1,0}",
    "session_group_attached_list": "#{?session_group_attached_list,1,0}",
    "session_grouped": "#{?session_grouped,1,0}",
    "@reaper_keep": "#{?#{==:#{@reaper_keep},},0,1}",
    "all pane_dead": "#{?#{==:#{W:#{P:#{?pane_dead,,1}}},},1,0}",
    "version": "#{version}",
    "windows": "#{W:#{window_id}=#{window_activity}=#{window_linked}/}",
    "@workspace_owner": (
        "#{?#{==:#{@workspace_owner},STAMP},=,#{?#{==:#{@workspace_owner},},-,#{s/[^0-9a-f]/./:@workspace_owner}}}"
    ),
    "@reaper_workspace": "#{?#{==:#{@reaper_workspace},},-,#{s/[^0-9a-f]/./:@reaper_workspace}}",
    "@reaper_self": "#{==:#{@reaper_self},#{session_id}/#{session_created}/#{pid}}",
    "session_name": "#{session_name}",
}
PANE_FIELDS = {"pane_id": "#{pane_id}", "window_id": "#{window_id}", "pane_pid": "#{pane_pid}", "pane_dead": "#{pane_dead}"}
FIELDS = {**SESSION_FIELDS, **PANE_FIELDS}
ROW_ID = "#{session_id}"
MAY_BE_EMPTY = {"session": "#{session_last_attached}", "pane": "#{pane_dead_time}"}


def stamp_of(world: World) -> str:
    with world.plugin.reaper().reading() as ledger:
        return ledger.registry().owner_id


def emptied(
    world: World, *victims: str, token: str = "#{session_activity}", kind: str | None = None, **when: int | str
) -> object:
    """A rule that empties this field in the rows of the victims' sessions."""
    names = [session_name(world.schema, victim) for victim in victims]
    replace = {token.replace("STAMP", stamp_of(world)): ""}
    return Rule("list-sessions", replace=replace, sessions=names, kind=kind, **when)


def assert_loud(world: World, report: SweepReport, victim: str) -> None:
    """Exactly this session is Unknown, everybody is told, and it lives."""
    assert report.exit_code == 3
    assert not report.complete
    [unknown] = report.unknown
    name = session_name(world.schema, victim)
    assert (unknown.source, unknown.socket, unknown.session) == (Source.SESSION, world.server.path, name)
    assert "unreadable" in alarms(world)
    assert check_code(world) == 1
    assert world.lives(victim)


def test_the_fields_below_are_all_that_the_listing_has(world: World, erring: Erring) -> None:
    world.session(world.workspace())
    with erring() as front:
        world.sweep()
    call = next(call for call in front.calls() if "list-sessions" in call)
    formats = [call[at + 1].replace(stamp_of(world), "STAMP").split("\t")[1:] for at, word in enumerate(call) if word == "-F"]
    assert [set(one) for one in formats] == [
        {ROW_ID, MAY_BE_EMPTY["session"], *SESSION_FIELDS.values()},
        {ROW_ID, MAY_BE_EMPTY["pane"], *PANE_FIELDS.values()},
    ]


@pytest.mark.parametrize("field", FIELDS)
def test_a_row_with_an_empty_field_is_a_loud_unknown_and_never_already_gone(world: World, erring: Erring, field: str) -> None:
    victim, other, bystander = world.workspaces(3)
    name = session_name(world.schema, victim)
    session_id = next(entry.session_id for entry in world.sweep().sessions if entry.workspace_id == victim)
    assert session_id is not None
    world.host.delete(victim)
    world.sweep()
    assert confirmations(world, session_id) == 1
    world.host.archive(other)

    with erring(emptied(world, victim, token=FIELDS[field])):
        report = world.sweep()

    # Without its name nobody can tell whose session it is: then it is told by its id, and is nobody's to reap.
    nameless = field == "session_name"
    assert report.exit_code == 3
    [unknown] = report.unknown
    assert unknown.source is Source.SESSION
    assert (unknown.socket, unknown.session) == (world.server.path, session_id if nameless else name)
    assert field.rsplit(maxsplit=1)[-1] in unknown.reason
    held = [(entry.verdict, entry.protected_by, entry.outcome) for entry in report.sessions if entry.workspace_id == victim]
    assert held == ([] if nameless else [(Verdict.HOLD, "unknown", "none")])
    assert (outcomes(report)[other], world.lives(other), world.lives(victim)) == ("reaped", False, True)
    assert history(world) == [(other, "reaped", None)]
    assert confirmations(world, session_id) == 1
    assert alarms(world) == {"unreadable"}
    assert check_code(world) == 1

    # With the confirmation from before the fault, and none of its own, this is the second.
    report = world.sweep()
    assert (outcomes(report), report.exit_code) == ({victim: "reaped", bystander: "none"}, 0)
    assert alarms(world) == set()
    assert check_code(world) == 0


@pytest.mark.parametrize("kind", ["S", "P"], ids=["of the session", "of its pane"])
def test_a_row_without_its_id_is_no_row_so_that_its_socket_is_unknown_and_the_other_goes_on(
    worlds: object, erring: Erring, kind: str
) -> None:
    world: World = worlds(servers=2)  # type: ignore[operator]
    victim, here, there = (world.workspace(archived=True) for _ in range(3))
    ids = {one: world.session(one) for one in (victim, here)}
    world.session(there, server=world.servers[1])

    with erring(emptied(world, victim, token=ROW_ID, kind=kind)):
        report = world.sweep()

    assert report.exit_code == 3
    assert [(one.source, one.socket) for one in report.unknown] == [(Source.SOCKET, world.server.path)]
    assert outcomes(report) == {there: "reaped"}
    assert world.server.session_ids() == set(ids.values())
    assert history(world) == [(there, "reaped", None)]
    assert "unreadable" in alarms(world)
    assert outcomes(world.sweep()) == {victim: "reaped", here: "reaped"}
    assert alarms(world) == set()


@pytest.mark.parametrize("listing", MAY_BE_EMPTY)
def test_the_one_that_may_be_empty_changes_nothing(world: World, erring: Erring, listing: str) -> None:
    archived = world.workspace(archived=True)
    world.session(archived)
    with erring(emptied(world, archived, token=MAY_BE_EMPTY[listing])):
        report = world.sweep()
    assert (outcomes(report), report.exit_code, report.unknown) == ({archived: "reaped"}, 0, [])


# The listings of a sweep of one archived and already stamped session are: 0 observe, 1 recheck, 2 verify.


def test_a_row_that_only_the_recheck_can_not_read_is_spared_as_unknown_and_loud(world: World, erring: Erring) -> None:
    victim, other = (world.workspace(archived=True) for _ in range(2))
    for one in (victim, other):
        world.session(one)

    with erring(emptied(world, victim, skip=1, times=1)):
        report = world.sweep()

    assert outcomes(report) == {victim: "spared", other: "reaped"}
    assert world.entry(report, victim).protected_by == "unknown"
    assert sorted(history(world)) == sorted([(victim, "spared", "unknown"), (other, "reaped", None)])
    assert_loud(world, report, victim)
    assert outcomes(world.sweep()) == {victim: "reaped"}
    assert alarms(world) == set()


def test_a_recheck_in_which_no_row_can_be_read_takes_none_for_gone(world: World, erring: Erring) -> None:
    victims = [world.workspace(archived=True) for _ in range(3)]
    for one in victims:
        world.session(one)

    with erring(emptied(world, *victims, skip=1, times=1)):
        report = world.sweep()

    assert {(entry.outcome, entry.protected_by) for entry in report.sessions} == {("spared", "unknown")}
    assert len(report.unknown) == 3
    assert report.exit_code == 3
    assert "unreadable" in alarms(world)
    assert all(map(world.lives, victims))
    assert set(outcomes(world.sweep()).values()) == {"reaped"}


@pytest.mark.parametrize(
    "fault",
    [{"exit_code": 1, "stderr": "lost server\n"}, {"keep_lines": -1}, {"keep_lines": 0}, {"keep_bytes": 40}],
    ids=["lost server", "no panes", "nothing", "cut"],
)
def test_a_recheck_that_can_not_be_read_at_all_kills_nobody_and_takes_none_for_gone(
    world: World, erring: Erring, fault: dict[str, object]
) -> None:
    victim = world.workspace(archived=True)
    world.session(victim)

    with erring(Rule("list-sessions", skip=1, times=1, **fault)):  # type: ignore[arg-type]
        report = world.sweep()

    entry = world.entry(report, victim)
    assert entry.outcome == "spared"
    assert entry.protected_by in {"socket", "unknown"}
    assert report.exit_code == 3
    assert "unreadable" in alarms(world)
    assert world.lives(victim)
    assert outcomes(world.sweep()) == {victim: "reaped"}


def test_a_row_that_only_the_last_look_can_not_read_is_loud(world: World, erring: Erring) -> None:
    archived, bystander = world.workspace(archived=True), world.workspace()
    for one in (archived, bystander):
        world.session(one)

    with erring(emptied(world, bystander, skip=2, times=1)):
        report = world.sweep()

    assert outcomes(report) == {archived: "reaped", bystander: "none"}
    assert history(world) == [(archived, "reaped", None)]
    assert_loud(world, report, bystander)


def test_a_kill_is_not_believed_of_a_session_whose_row_the_last_look_can_not_read(world: World, erring: Erring) -> None:
    """Seed 8243 of the storm: whoever has a row is there."""
    archived = world.workspace(archived=True)
    claim = Rule("kill-session", real=False, stdout=f"killed {world.session(archived)}\n")

    with erring(claim, emptied(world, archived, skip=2, times=1)):
        report = world.sweep()

    assert history(world) == [(archived, "failed", "tmux reported the kill, but still lists the session")]
    assert (report.exit_code, len(report.unknown)) == (1, 1)
    assert world.lives(archived)
    assert outcomes(world.sweep()) == {archived: "reaped"}


def test_what_is_gone_at_the_recheck_is_gone_also_where_another_row_can_not_be_read(world: World, erring: Erring) -> None:
    victim, ended = (world.workspace(archived=True) for _ in range(2))
    sessions = [world.session(one) for one in (victim, ended)]

    with erring(emptied(world, victim, skip=1, times=1, hold="before")) as front:
        report = sweep_during(front, lambda: world.server.run("kill-session", "-t", sessions[1]), world.sweep)

    assert sorted(history(world)) == sorted([(victim, "spared", "unknown"), (ended, "spared", "gone")])
    assert_loud(world, report, victim)


@pytest.mark.parametrize("whole", [False, True], ids=["its row", "the whole listing"])
def test_a_session_that_the_guard_spared_is_not_gone_because_the_last_look_can_not_read_it(
    world: World, erring: Erring, whole: bool
) -> None:
    archived = world.workspace(archived=True)
    session_id = world.session(archived)
    fault = Rule("list-sessions", skip=2, keep_lines=0) if whole else emptied(world, archived, skip=2)
    with erring(Rule("kill-session", times=1, hold="before"), fault) as front:
        report = sweep_during(front, lambda: world.server.attach(session_id), world.sweep)

    entry = world.entry(report, archived)
    assert (entry.outcome, entry.protected_by) == ("spared", "unknown")
    assert history(world) == [(archived, "spared", "unknown")]
    assert report.exit_code == 3
    assert world.lives(archived)


def test_sessions_that_tripped_the_breaker_do_not_free_it_by_being_unreadable(world: World, erring: Erring) -> None:
    ids = world.workspaces(5)
    world.sweep()
    world.host.delete(*ids[:3])
    assert world.sweep().latched

    with erring(emptied(world, *ids[:3])):
        assert all(world.sweep().latched for _ in range(4))
    report = world.sweep()
    assert report.latched
    assert "breaker released" not in events(world)
    assert all(map(world.lives, ids))


# The reaper watches itself.


def test_a_reaper_that_sees_nothing_for_three_ticks_raises_the_alarm(world: World, erring: Erring) -> None:
    world.configure(tick=0.3)
    world.session(world.workspace())
    world.sweep()
    # Here and now it is fine, or the machine was slow: the alarm has to be over after a sweep that sees, in any case.
    with erring(Rule("list-sessions", exit_code=1, stderr="lost server\n")):
        wait_until(lambda: world.sweep().exit_code == 3 and "blind" in alarms(world))
    assert check_code(world) == 1
    world.configure(tick=60)
    assert world.sweep().exit_code == 0
    assert alarms(world) == set()
    assert check_code(world) == 0


def test_incomplete_sweeps_do_not_hide_that_none_was_complete(world: World, erring: Erring) -> None:
    world.configure(tick=0.2)
    victim = world.workspace()
    world.session(victim)
    assert world.sweep().complete
    with erring(emptied(world, victim)):
        wait_until(lambda: world.sweep().exit_code == 3 and alarms(world) == {"blind", "unreadable"})
    assert check_code(world) == 1


def test_a_reaper_that_condemns_and_does_not_reap_raises_the_alarm(world: World, erring: Erring) -> None:
    world.configure(abstain_alarm=0.1)
    archived = world.workspace(archived=True)
    world.session(archived)

    with erring(Rule("kill-session", real=False)):
        report = world.sweep()
        assert (outcomes(report), report.exit_code) == ({archived: "failed"}, 1)
        wait_until(lambda: world.sweep() and "overdue" in alarms(world))
        wait_until(lambda: world.sweep() and alarms(world) == {"overdue", "kill-failing"})
    assert check_code(world) == 1
    assert world.lives(archived)
    assert "reaped" not in {outcome for _, outcome, _ in history(world)}

    report = world.sweep()
    assert world.entry(report, archived).protected_by == "retrying"
    assert alarms(world) == {"overdue", "kill-failing"}
    assert outcomes(world.sweep(approve=[world.entry(report, archived).key])) == {archived: "reaped"}
    assert alarms(world) == set()
    assert check_code(world) == 0


def test_status_check_exits_1_while_a_row_can_not_be_read(world: World, erring: Erring) -> None:
    victim = world.workspace()
    world.session(victim)
    world.sweep()
    with erring(emptied(world, victim)):
        done = world.cli("sweep", "--json")
    assert done.returncode == 3
    [unknown] = json.loads(done.stdout)["unknown"]
    assert unknown["session"] == session_name(world.schema, victim)
    assert "session_activity" in unknown["error"]
    status = world.cli("status", "--json", "--check")
    assert status.returncode == 1
    assert [alarm["name"] for alarm in json.loads(status.stdout)["alarms"]] == ["unreadable"]
