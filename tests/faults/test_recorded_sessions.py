"""A host whose rows name their sessions: a session belongs to a workspace by its marks, else by the row that names it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.faults.conftest import Erring
from tests.faults.steps import sweep_during
from tests.tools.daemons import Daemon
from tests.tools.front_tmux import Rule
from tests.tools.recording_hosts import RECORDING_HOSTS
from tests.tools.waiting import next_second, wait_until
from tests.tools.world import World, outcomes
from workspace_reaper.model.verdict import Verdict

pytestmark = pytest.mark.once

Worlds = Callable[..., World]
PATIENCE = 60.0


@pytest.fixture(params=RECORDING_HOSTS)
def recorded(request: pytest.FixtureRequest, worlds: Worlds) -> World:
    """A world whose host records the names, without a pattern."""
    world: World = worlds(request.param)
    return world


@pytest.fixture
def table(worlds: Worlds) -> World:
    return worlds("recording")


def sweeps(world: World, count: int = 4) -> None:
    """More than any absence needs, with all ages at 0."""
    for _ in range(count):
        world.sweep()


def known(world: World) -> tuple[str, str]:
    """A workspace and its session, beside another pair, as the reaper has seen and marked them."""
    workspace_id, other = world.workspace(), world.workspace()
    session_id = world.session(workspace_id)
    world.session(other)
    world.sweep()
    assert world.server.show(session_id, "#{@reaper_workspace}")
    return workspace_id, session_id


def rename(world: World, session_id: str, name: str) -> None:
    world.server.run("rename-session", "-t", f"{session_id}:", name)


# Whose a session is


def test_a_session_that_no_row_names_is_not_touched(recorded: World) -> None:
    workspace_id = recorded.workspace()
    recorded.session(workspace_id)
    names = ("my work", f"agent-{workspace_id}", f"Agent-{workspace_id}0", workspace_id)
    others = {recorded.server.new_session(name) for name in names}
    report = recorded.sweep()
    assert outcomes(report) == {workspace_id: "none"}
    assert report.unmanaged == 4
    assert not any(recorded.server.show(one, "#{@workspace_owner}") for one in others)
    recorded.host.archive(workspace_id)
    assert outcomes(recorded.sweep()) == {workspace_id: "reaped"}
    assert recorded.server.session_ids() == others


def test_after_its_row_is_gone_its_marks_tell_whose_it_was(recorded: World) -> None:
    workspace_id, session_id = known(recorded)
    recorded.host.delete(workspace_id)
    assert outcomes(recorded.sweep())[workspace_id] == "none"
    assert outcomes(recorded.sweep())[workspace_id] == "reaped"
    assert session_id not in recorded.server.session_ids()


def test_a_hook_finds_the_session_of_a_row_that_is_gone(recorded: World) -> None:
    workspace_id, session_id = known(recorded)
    next_second()
    recorded.host.delete(workspace_id)
    recorded.plugin.on_workspace_deleted(workspace_id)
    assert recorded.plugin.drain(PATIENCE)
    assert session_id not in recorded.server.session_ids()
    assert recorded.cli_json("history")[0]["reason"] == "deleted"


def test_a_session_that_was_never_seen_with_its_row_is_unmanaged(recorded: World) -> None:
    workspace_id, _ = known(recorded)
    gone = recorded.workspace()
    session_id = recorded.session(gone)
    recorded.host.delete(gone)
    sweeps(recorded)
    report = recorded.sweep()
    assert (gone in outcomes(report), report.unmanaged) == (False, 1)
    assert session_id in recorded.server.session_ids()
    assert recorded.entry(report, workspace_id).verdict is Verdict.KEEP


def test_a_row_that_names_no_session_any_more_keeps_its_marked_one(recorded: World) -> None:
    """As a host does that sets the column to NULL when it believes that the session has ended."""
    workspace_id, session_id = known(recorded)
    recorded.host.record_session(workspace_id, None)
    recorded.host.archive(workspace_id, on=False)
    assert recorded.entry(recorded.sweep(), workspace_id).verdict is Verdict.KEEP
    recorded.host.archive(workspace_id)
    recorded.sweep()
    assert session_id not in recorded.server.session_ids()


def test_the_daemon_notices_the_end_of_a_row(table: World) -> None:
    ids = table.workspaces(5)
    table.configure(tick="1h")
    table.sweep()
    next_second()
    with Daemon(table) as daemon:
        daemon.wait_for_line('"watching"')
        table.host.delete(ids[1])
        wait_until(lambda: not table.lives(ids[1]), PATIENCE)
        table.host.archive(ids[3])
        wait_until(lambda: not table.lives(ids[3]), PATIENCE)
    assert [one for one in ids if table.lives(one)] == [ids[0], ids[2], ids[4]]


def test_a_pattern_yields_the_workspace_of_a_session_that_no_row_names(table: World) -> None:
    table.configure(session_patterns=["job-(?P<id>[0-9]+)"])
    by_row, by_pattern = table.workspace(), table.workspace()
    table.session(by_row)
    table.host.record_session(by_pattern, None)
    table.server.new_session(f"job-{by_pattern}")
    other = table.server.new_session("job-x")
    table.host.record_session(by_row, "Agent-1")
    assert outcomes(table.sweep()) == {by_row: "none", by_pattern: "none"}
    table.host.archive(by_row)
    table.host.archive(by_pattern)
    assert outcomes(table.sweep()) == {by_row: "reaped", by_pattern: "reaped"}
    assert table.server.session_ids() == {other}


def test_a_row_that_names_a_session_comes_before_its_pattern(table: World) -> None:
    table.configure(session_patterns=["job-(?P<id>[0-9]+)"])
    one, other = table.workspace(), table.workspace()
    table.host.record_session(one, f"job-{other}")
    table.host.record_session(other, None)
    session_id = table.server.new_session(f"job-{other}")
    table.host.archive(other)
    assert outcomes(table.sweep()) == {one: "none"}
    assert session_id in table.server.session_ids()


@pytest.mark.parametrize("name", ["a.b:c", "MAIN", " Main"])
def test_a_row_that_may_mean_another_session_condemns_none(table: World, name: str) -> None:
    workspace_id = table.workspace()
    table.host.record_session(workspace_id, name)
    session_id = table.server.new_session("Main")
    table.host.archive(workspace_id)
    sweeps(table)
    assert session_id in table.server.session_ids()


def test_a_name_that_tmux_changes_is_the_session_s(table: World) -> None:
    workspace_id = table.workspace()
    table.host.record_session(workspace_id, "fix v1.2: login")
    session_id = table.server.new_session("fix v1.2: login")
    table.host.archive(workspace_id)
    table.sweep()
    assert session_id not in table.server.session_ids()


# Sessions of two workspaces


def test_a_session_that_two_rows_name_is_reaped_only_for_what_holds_for_both(recorded: World) -> None:
    one, other = recorded.workspace(), recorded.workspace()
    recorded.host.record_session(one, "main")
    recorded.host.record_session(other, "main")
    session_id = recorded.server.new_session("main")
    recorded.sweep()
    assert not recorded.server.show(session_id, "#{@workspace_owner}"), "the marks would decide between them"
    recorded.host.archive(one)
    report = recorded.sweep()
    (entry,) = report.sessions
    assert (entry.workspace_id, entry.verdict, entry.reason, entry.protected_by) == (one, Verdict.HOLD, "archived", "claimed")
    assert session_id in recorded.server.session_ids()
    recorded.host.archive(one, on=False)
    recorded.host.archive(other)
    sweeps(recorded)
    assert session_id in recorded.server.session_ids()
    recorded.host.archive(one)
    recorded.sweep()
    assert session_id not in recorded.server.session_ids()


def test_two_rows_that_name_a_session_are_an_alarm_once_that_lasts(table: World) -> None:
    table.configure(abstain_alarm=0)
    one, other = table.workspace(), table.workspace()
    for each in (one, other):
        table.host.record_session(each, "main")
    table.server.new_session("main")
    table.host.archive(one)
    sweeps(table, 2)
    (alarm,) = table.cli_json("status")["alarms"]
    assert "main" in alarm["detail"]
    why = table.cli("explain", "main").stdout
    assert f"a row of {other} names it as well as that of {one}" in why
    assert "kill-session" in why


def test_a_session_that_another_row_has_now_is_not_reaped_with_its_old_row(recorded: World) -> None:
    """The host gives the name, and the session, to a new workspace."""
    workspace_id, session_id = known(recorded)
    name = recorded.host.session_name(workspace_id)
    heir = recorded.workspace()
    recorded.host.record_session(heir, name)
    recorded.host.delete(workspace_id)
    recorded.plugin.on_workspace_deleted(workspace_id)
    assert recorded.plugin.drain(PATIENCE)
    sweeps(recorded)
    assert session_id in recorded.server.session_ids()
    recorded.host.delete(heir)
    sweeps(recorded)
    assert session_id not in recorded.server.session_ids()


def test_a_new_session_with_the_name_of_an_old_one_belongs_to_the_new_row(recorded: World) -> None:
    workspace_id, session_id = known(recorded)
    name = recorded.host.session_name(workspace_id)
    recorded.server.run("kill-session", "-t", session_id)
    recorded.host.delete(workspace_id)
    heir = recorded.workspace()
    recorded.host.record_session(heir, name)
    new = recorded.server.new_session(name)
    recorded.plugin.on_workspace_deleted(workspace_id)
    assert recorded.plugin.drain(PATIENCE)
    sweeps(recorded)
    assert new in recorded.server.session_ids()
    assert recorded.entry(recorded.sweep(), heir).verdict is Verdict.KEEP


def test_a_row_that_is_marked_deleted_takes_no_session_from_a_living_one(recorded: World) -> None:
    gone, heir = recorded.workspace(), recorded.workspace()
    for each in (gone, heir):
        recorded.host.record_session(each, "main")
    recorded.host.flag_deleted(gone)
    session_id = recorded.server.new_session("main")
    sweeps(recorded)
    assert recorded.entry(recorded.sweep(), heir).verdict is Verdict.KEEP
    recorded.host.flag_deleted(heir)
    sweeps(recorded)
    assert session_id not in recorded.server.session_ids()


@pytest.mark.parametrize("name", ["Agent-1", "agent-1", "Agent-1 "])
def test_a_row_that_gets_the_name_before_the_recheck_saves_the_session(table: World, erring: Erring, name: str) -> None:
    workspace_id, session_id = known(table)
    heir = table.workspace()
    table.host.record_session(heir, None)
    assert table.host.session_name(workspace_id) == "Agent-1"
    table.host.delete(workspace_id)
    table.sweep()
    with erring(Rule("list-sessions", skip=1, times=1, hold="before")) as front:
        report = sweep_during(front, lambda: table.host.record_session(heir, name), table.sweep)
    assert table.entry(report, workspace_id).outcome == "spared"
    assert session_id in table.server.session_ids()


def test_a_row_that_loses_the_name_before_the_recheck_saves_the_session(table: World, erring: Erring) -> None:
    workspace_id = table.workspace()
    session_id = table.session(workspace_id)
    table.host.archive(workspace_id)
    with erring(Rule("list-sessions", skip=1, times=1, hold="before")) as front:
        report = sweep_during(front, lambda: table.host.record_session(workspace_id, "another"), table.sweep)
    entry = table.entry(report, workspace_id)
    assert (entry.outcome, entry.protected_by) == ("spared", "unmanaged")
    assert session_id in table.server.session_ids()


# Renamed sessions


def test_a_session_that_its_user_renamed_lives_though_its_row_is_gone(recorded: World) -> None:
    workspace_id, session_id = known(recorded)
    rename(recorded, session_id, "my work")
    recorded.host.delete(workspace_id)
    sweeps(recorded)
    entry = recorded.entry(recorded.sweep(), workspace_id)
    assert (entry.verdict, entry.reason, entry.protected_by) == (Verdict.HOLD, "orphan", "renamed")
    assert session_id in recorded.server.session_ids()


def test_a_session_that_the_host_renamed_is_not_renamed(recorded: World) -> None:
    workspace_id, session_id = known(recorded)
    rename(recorded, session_id, "better")
    recorded.host.record_session(workspace_id, "better")
    recorded.sweep()
    recorded.host.delete(workspace_id)
    sweeps(recorded)
    assert session_id not in recorded.server.session_ids()


def test_a_user_s_session_with_a_name_of_its_own_is_not_taken_for_a_renamed_one(recorded: World) -> None:
    """It takes the name that the row still has: it belongs to that row, and the renamed session to the same by its marks."""
    workspace_id, session_id = known(recorded)
    rename(recorded, session_id, "my work")
    sweeps(recorded)
    assert recorded.entry(recorded.sweep(), workspace_id).verdict is Verdict.KEEP


# What cannot be read


def test_while_the_registry_cannot_be_read_nothing_is_reaped(table: World) -> None:
    workspace_id, session_id = known(table)
    table.host.archive(workspace_id)
    aside = table.host.path.rename(table.host.path.with_name("aside"))
    report = table.sweep()
    assert not report.complete
    assert table.entry(report, workspace_id).protected_by == "unknown"
    assert session_id in table.server.session_ids()
    aside.rename(table.host.path)
    assert outcomes(table.sweep())[workspace_id] == "reaped"


def test_commands_know_whose_a_session_is(table: World) -> None:
    workspace_id = table.workspace()
    session_id = table.session(workspace_id)
    name = table.host.session_name(workspace_id)
    assert table.cli("keep", name).returncode == 0
    assert table.server.show(session_id, "#{@reaper_keep}")
    table.host.archive(workspace_id)
    assert table.entry(table.sweep(), workspace_id).protected_by == "kept"
    assert table.cli("keep", "nobody's").returncode != 0


def test_doctor_says_how_many_sessions_the_record_knows(table: World) -> None:
    def sessions() -> tuple[str, str]:
        checks = {check["check"]: check for check in table.cli_json("doctor", expect=0)}
        return checks["sessions"]["state"], checks["sessions"]["detail"]

    workspace_id, session_id = known(table)
    assert sessions() == ("OK", "the registry knows all 2 matching sessions")
    mine = table.server.new_session("my work")
    assert sessions() == ("OK", "the registry knows all 2 matching sessions; 1 match nothing, for example my work")
    table.host.delete(workspace_id)
    name = table.host.session_name(workspace_id)
    assert sessions() == ("WARN", f"the registry knows 1 of 2 matching sessions; not, for example, {name}")
    table.server.run("kill-session", "-t", session_id)
    table.host.record_session("2", "another")
    table.server.run("kill-session", "-t", next(iter(table.server.session_ids() - {mine})))
    assert sessions() == ("WARN", "the database has rows, and none of the 1 sessions on the configured sockets belongs to one")
