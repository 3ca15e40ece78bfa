"""A session that was renamed keeps its workspace: its marks name it, and not its name."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable

import pytest

from tests.faults.conftest import Erring
from tests.faults.steps import alarms, check_code, events, sweep_during
from tests.tools.front_tmux import Rule
from tests.tools.waiting import wait_until
from tests.tools.world import World, session_name
from workspace_reaper.model.verdict import Verdict

Worlds = Callable[..., World]

MARKS = "#{@workspace_owner} #{@reaper_workspace} #{@reaper_self}"
IDENTITY = "#{session_id}/#{session_created}/#{pid}"


def rename(world: World, session_id: str, name: str) -> None:
    world.server.run("rename-session", "-t", f"{session_id}:", name)


def sweeps(world: World, count: int = 4) -> None:
    """More than any absence needs, with all ages at 0."""
    for _ in range(count):
        world.sweep()


def known_session(world: World) -> tuple[str, str]:
    """A workspace and its session, beside another pair, as the reaper has seen and marked them."""
    workspace_id, other = world.workspace(), world.workspace()
    session_id = world.session(workspace_id)
    world.session(other)
    world.sweep()
    return workspace_id, session_id


NEW_NAMES = {
    "out of the pattern": lambda world: "my work",
    "within the pattern": lambda world: session_name(world.schema, world.host.new_id(99)),
    "to the name of another living workspace": lambda world: session_name(world.schema, world.workspace()),
}


@pytest.mark.parametrize("new_name", NEW_NAMES.values(), ids=NEW_NAMES.keys())
def test_i67_a_session_that_its_user_renamed_lives(world: World, new_name: Callable[[World], str]) -> None:
    workspace_id, session_id = known_session(world)
    rename(world, session_id, new_name(world))
    sweeps(world)
    assert session_id in world.server.session_ids()
    assert world.entry(world.sweep(), workspace_id).verdict is Verdict.KEEP
    assert check_code(world) == 0


@pytest.mark.parametrize("new_name", NEW_NAMES.values(), ids=NEW_NAMES.keys())
def test_i67_a_renamed_session_is_not_reaped_because_a_row_is_missing(world: World, new_name: Callable[[World], str]) -> None:
    workspace_id, session_id = known_session(world)
    rename(world, session_id, new_name(world))
    world.host.delete(workspace_id)
    sweeps(world)
    assert session_id in world.server.session_ids()
    entry = world.entry(world.sweep(), workspace_id)
    assert (entry.verdict, entry.reason, entry.protected_by) == (Verdict.HOLD, "orphan", "renamed")
    assert check_code(world) == 0, "a fact of the user is no alarm"


@pytest.mark.parametrize("limit", ["idle_ttl", "dead_ttl"])
def test_i67_a_renamed_session_is_neither_idle_nor_dead(world: World, limit: str) -> None:
    workspace_id, session_id = known_session(world)
    rename(world, session_id, "my work")
    world.server.run("set-option", "-w", "-t", f"{session_id}:", "remain-on-exit", "on")
    world.server.run("respawn-pane", "-k", "-t", f"{session_id}:", "exit 0")
    # Now and then tmux misses the end of a child, and dates it when another one has ended.
    dated = ["display-message", "-p", "-t", f"{session_id}:", "#{pane_dead}#{pane_dead_time}"]
    wait_until(lambda: world.server.run("run-shell", "-b", "true", ";", *dated) not in ("0", "1"))
    second = int(time.time())
    wait_until(lambda: time.time() >= second + 2)  # the resolution of tmux's clocks
    world.configure(**{limit: 0})
    report = world.sweep()
    assert session_id in world.server.session_ids()
    assert world.entry(report, workspace_id).protected_by == "renamed"


def test_i67_what_the_host_says_of_its_workspace_applies_to_a_renamed_session(world: World) -> None:
    first, second, third = (world.workspace() for _ in range(3))
    ids = {workspace_id: world.session(workspace_id) for workspace_id in (first, second, third)}
    world.sweep()
    for number, session_id in enumerate(ids.values()):
        rename(world, session_id, f"mine {number}")
    world.host.archive(first)
    world.host.delete(second)
    world.plugin.on_workspace_deleted(second)
    assert world.plugin.drain(60)
    world.sweep()
    assert world.server.session_ids() == {ids[third]}


def test_i67_a_session_with_the_name_of_another_workspace_belongs_to_both(world: World) -> None:
    workspace_id, session_id = known_session(world)
    other = world.workspace()
    rename(world, session_id, session_name(world.schema, other))
    world.host.archive(workspace_id)
    sweeps(world)
    entry = world.entry(world.sweep(), workspace_id)
    assert (entry.verdict, entry.protected_by) == (Verdict.HOLD, "renamed")
    assert session_id in world.server.session_ids()
    world.host.archive(other)
    world.sweep()
    assert session_id not in world.server.session_ids()


def test_i67_a_session_that_takes_the_name_of_a_living_workspace_before_the_recheck_lives(world: World, erring: Erring) -> None:
    workspace_id, session_id = known_session(world)
    other = world.workspace()
    world.host.archive(workspace_id)
    with erring(Rule("list-sessions", skip=1, times=1, hold="before")) as front:
        report = sweep_during(front, lambda: rename(world, session_id, session_name(world.schema, other)), world.sweep)
    entry = world.entry(report, workspace_id)
    assert (entry.outcome, entry.protected_by) == ("spared", "renamed")
    assert session_id in world.server.session_ids()


def test_i67_marks_that_were_copied_from_another_session_prove_nothing(world: World) -> None:
    """As a script or a restore tool copies the options of one session to another."""
    _, session_id = known_session(world)
    stranger = world.server.new_session(session_name(world.schema, world.host.new_id(99)))
    for option in ("@workspace_owner", "@reaper_workspace", "@reaper_self"):
        world.server.set_option(stranger, option, world.server.show(session_id, f"#{{{option}}}"))
    sweeps(world)
    assert stranger in world.server.session_ids()
    entry = next(entry for entry in world.sweep().sessions if entry.session_id == stranger)
    assert (entry.reason, entry.facts and entry.facts.proven) == ("orphan", False)


def test_i67_the_mark_of_an_older_version_proves_nothing_and_is_completed(world: World) -> None:
    workspace_id, session_id = known_session(world)
    marked = world.server.show(session_id, MARKS)
    for option in ("@reaper_workspace", "@reaper_self"):
        world.server.run("set-option", "-u", "-t", f"{session_id}:", option)
    stranger = world.server.new_session(session_name(world.schema, world.host.new_id(99)))
    world.server.set_option(stranger, "@workspace_owner", marked.split(" ")[0])
    sweeps(world)
    assert world.server.show(session_id, MARKS) == marked
    assert marked.split(" ")[1:] == [workspace_id.encode().hex(), world.server.show(session_id, IDENTITY)]
    assert stranger in world.server.session_ids()


def test_i67_a_rename_is_reported_once_with_how_to_end_the_session(world: World) -> None:
    workspace_id, session_id = known_session(world)
    rename(world, session_id, "my work")
    sweeps(world)
    assert events(world).count("session renamed") == 1
    by_hand = f"tmux -S {world.server.path} kill-session -t '{session_id}'"
    status = world.cli("status").stdout
    assert f"my work belongs to the workspace {workspace_id}; to end it by hand: {by_hand}" in " ".join(status.split())
    world.host.delete(workspace_id)
    world.sweep()
    assert by_hand in world.cli("explain", "my work").stdout.replace("\n", " ")
    rename(world, session_id, session_name(world.schema, workspace_id))
    world.sweep()
    assert "renamed" not in world.cli("status").stdout


LONG = "long" * 35


def digest_of(workspace_id: str) -> str:
    """The mark of a workspace whose id is too long for a mark."""
    return "0" + hashlib.sha256(workspace_id.encode()).hexdigest()


def renamed_with_a_long_id(world: World) -> str:
    """A session whose mark is a digest, under another name, beside one that is as it was."""
    world.host.insert([LONG])
    session_id = world.session(LONG)
    world.session(world.workspace())
    world.sweep()
    rename(world, session_id, "my work")
    return session_id


def test_i67_a_renamed_session_with_a_long_workspace_id_keeps_its_workspace(worlds: Worlds) -> None:
    world = worlds(schema="standard")
    session_id = renamed_with_a_long_id(world)
    assert world.entry(world.sweep(), LONG).facts.renamed
    assert f"myworkbelongstotheworkspace{LONG};" in "".join(world.cli("status").stdout.split())
    assert "unmanaged" not in world.cli("explain", "my work").stdout
    world.host.archive(LONG)
    world.sweep()
    assert session_id not in world.server.session_ids()


def test_i67_a_renamed_session_whose_workspace_is_unknown_is_reported(worlds: Worlds) -> None:
    """Its mark is a digest of an id of which the ledger has no record."""
    world = worlds(schema="standard")
    session_id = renamed_with_a_long_id(world)
    world.server.set_option(session_id, "@reaper_workspace", digest_of(LONG + "er"))
    world.host.archive(LONG)
    report = world.sweep()
    by_hand = f"tmux -S {world.server.path} kill-session -t '{session_id}'"
    assert [(one.session, by_hand in one.reason) for one in report.unknown] == [("my work", True)]
    assert (alarms(world), check_code(world)) == ({"unreadable"}, 1)
    assert "the workspace of its marks is unknown" in " ".join(world.cli("explain", "my work").stdout.split())
    assert session_id in world.server.session_ids()
    rename(world, session_id, session_name(world.schema, LONG))
    world.server.set_option(session_id, "@reaper_workspace", digest_of(LONG))
    world.sweep()
    assert session_id not in world.server.session_ids()


def test_the_marks_are_set_a_few_at_a_time(world: World) -> None:
    """tmux serves no other client meanwhile, and one mark costs up to 12 ms."""
    world.workspaces(12)
    world.sweep()
    marked = world.server.run("list-sessions", "-f", "#{!=:#{@reaper_self},}", "-F", "#{session_id}")
    assert len(marked.split("\n")) == 5
    sweeps(world)
    marked = world.server.run("list-sessions", "-f", "#{!=:#{@reaper_self},}", "-F", "#{session_id}")
    assert len(marked.split("\n")) == 12


def test_i79_a_lost_state_directory_is_reported_and_adopt_ends_it(world: World) -> None:
    workspace_id, session_id = known_session(world)
    rename(world, session_id, "my work")
    world.sweep()
    world.configure(state_dir=str(world.tmp / "another state"))
    report = world.sweep()
    assert (alarms(world), check_code(world)) == ({"other_owner"}, 1)
    assert (report.other_owner, report.sessions) == (2, [])
    assert "adopt" in world.cli("doctor").stdout
    assert world.cli("adopt", "--yes").returncode == 0
    report = world.sweep()
    assert {entry.workspace_id for entry in report.sessions} > {workspace_id}, "the renamed one, too"
    assert (report.other_owner, check_code(world)) == (0, 0)
    world.host.archive(workspace_id)
    world.sweep()
    assert session_id not in world.server.session_ids()


KNOWN_BY = {
    "its row": lambda world, workspace_id: (world.sweep(), world.host.delete(workspace_id)),
    "a hook": lambda world, workspace_id: (
        world.host.delete(workspace_id),
        world.plugin.on_workspace_deleted(workspace_id),
        world.plugin.drain(60),
    ),
}


@pytest.mark.parametrize("goes", KNOWN_BY.values(), ids=KNOWN_BY.keys())
def test_a_session_with_another_owner_mark_is_still_reported_after_its_row_has_gone(
    world: World, goes: Callable[[World, str], object]
) -> None:
    """It is an orphan that this reaper does not end. The ledger knows its workspace although it never managed the session."""
    world.workspaces(2)
    workspace_id = world.workspace()
    world.server.set_option(world.session(workspace_id), "@workspace_owner", "feedbeef")
    goes(world, workspace_id)
    sweeps(world, 3)
    assert (alarms(world), check_code(world), world.lives(workspace_id)) == ({"other_owner"}, 1, True)
    world.server.run("kill-session", "-t", session_name(world.schema, workspace_id))
    world.sweep()
    assert (alarms(world), check_code(world)) == (set(), 0)


def test_two_reapers_on_one_tmux_server_are_no_fault(world: World) -> None:
    known_session(world)
    other = world.second("other", type(world.host)(world.tmp / "other.sqlite"))
    other.host.create()
    mine = other.workspace()
    other.session(mine)
    report = other.sweep()
    assert [entry.workspace_id for entry in report.sessions] == [mine]
    assert (report.other_owner, check_code(other)) == (2, 0)
