"""It never kills: what should go does go, and where it can't, somebody is told."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from tests.faults.conftest import Erring
from tests.faults.steps import alarms, check_code, events, history, recalled
from tests.tools.clocks import Later
from tests.tools.front_tmux import Rule
from tests.tools.hosts import HOSTS
from tests.tools.tmux import TmuxServer, takes_name
from tests.tools.waiting import wait_until
from tests.tools.world import World, outcomes, session_name
from workspace_hookspecs import WorkspacePlugins
from workspace_reaper.operations.breaker_reset import reset_breaker
from workspace_reaper.operations.sessions import explain_session, keep_session
from workspace_reaper.operations.status import read_history, read_status
from workspace_reaper.sweep.report import SweepReport, reap_as_json

Worlds = Callable[..., World]
HOUR = 3600


def orphans_of(world: World, count: int, *, known: int = 1) -> list[str]:
    """So many sessions whose workspaces the registry knew and has no more. Beside them ``known`` others, and rows without
    sessions."""
    # First, so that the registry keeps its oldest rows: without any of them it would be another one.
    world.workspaces(2 * count + 2, sessions=False)
    ids = world.workspaces(count)
    world.workspaces(known, sessions=known > 0)
    world.sweep()
    world.host.delete(*ids)
    return ids


def protected_by(report: SweepReport, *protections: str) -> set[str]:
    """The workspaces that a reason condemns, and one of these protects."""
    return {entry.workspace_id for entry in report.sessions if entry.reason and entry.protected_by in protections}


def reaped(report: SweepReport) -> set[str]:
    """The workspaces whose sessions were reaped."""
    return {entry.workspace_id for entry in report.sessions if entry.outcome == "reaped"}


# I41


@pytest.mark.parametrize("confirmations", [1, 2, 3])
@pytest.mark.parametrize("schema", HOSTS)
def test_i41_a_true_orphan_is_gone_after_so_many_sweeps(worlds: Worlds, schema: str, confirmations: int) -> None:
    world = worlds(schema, orphan_confirmations=confirmations)
    [orphan] = orphans_of(world, 1)
    for _ in range(confirmations - 1):
        assert protected_by(world.sweep(), "unconfirmed") == {orphan}
    assert reaped(world.sweep()) == {orphan}
    assert not world.lives(orphan)


def test_confirmations_too_close_to_each_other_are_one(worlds: Worlds) -> None:
    world, clock = worlds(confirmation_gap=HOUR, min_age=0), Later()
    reaper = world.plugin.reaper()
    reaper.clock = clock
    reaper.dependencies = replace(reaper.dependencies, clock=reaper.clock)
    [orphan] = orphans_of(world, 1)
    for _ in range(3):
        assert protected_by(world.sweep(), "unconfirmed") == {orphan}
    clock.seconds = HOUR - 60
    assert protected_by(world.sweep(), "unconfirmed") == {orphan}
    clock.seconds = HOUR + 1
    assert reaped(world.sweep()) == {orphan}


def test_i43_what_earlier_sweeps_have_seen_outlives_a_restart(world: World) -> None:
    [orphan] = orphans_of(world, 1)
    assert protected_by(world.sweep(), "unconfirmed") == {orphan}
    assert outcomes(world.new_plugin().sweep())[orphan] == "reaped"


# I44


@pytest.mark.parametrize("poison", ["attached", "kept", "unreadable"])
def test_i44_one_that_can_not_go_never_keeps_the_others(world: World, erring: Erring, poison: str) -> None:
    bad, *others = [world.workspace(archived=True) for _ in range(4)]
    session_id = world.session(bad)
    for one in others:
        world.session(one)
    rules = []
    if poison == "attached":
        world.server.attach(session_id)
    elif poison == "kept":
        world.server.set_option(session_id, "@reaper_keep", "1")
    else:
        rules = [Rule("list-sessions", replace={"#{session_created}": "?"}, sessions=[session_name(world.schema, bad)])]
    with erring(*rules):
        report = world.sweep()
        assert outcomes(report) == {bad: "none", **dict.fromkeys(others, "reaped")}
        assert report.exit_code == (3 if poison == "unreadable" else 0)
        assert outcomes(world.sweep()) == {bad: "none"}


# I45

SAID = {
    "lost server": (1, "lost server\n"),
    "server exited": (1, "server exited unexpectedly\n"),
    "permission": (1, "error connecting to {path} (Permission denied)\n"),
    "access": (0, "access not allowed\n"),
    "newer words": (1, "can't reach the server at {path}\n"),
    "protocol": (1, "protocol version mismatch (client 8, server 7)\n"),
    "nothing": (1, ""),
    "another socket": (1, "no server running on /tmp/another\n"),
    "no server, yet one listens": (1, "no server running on {path}\n"),
    "no socket, yet it is there": (1, "error connecting to {path} (No such file or directory)\n"),
}


@pytest.mark.parametrize("said", SAID)
def test_i45_what_tmux_says_means_no_session_only_where_it_is_certain(world: World, erring: Erring, said: str) -> None:
    archived = world.workspace(archived=True)
    world.session(archived)
    exit_code, stderr = SAID[said]
    with erring(Rule("list-sessions", real=False, exit_code=exit_code, stderr=stderr.format(path=world.server.path))):
        report = world.sweep()
    assert (report.exit_code, report.sessions) == (3, [])
    assert [unknown.socket for unknown in report.unknown] == [world.server.path]
    assert world.lives(archived)


@pytest.mark.parametrize("end", ["killed", "ended", "rebooted"])
def test_i45_a_server_that_is_gone_is_empty_and_not_a_permanent_error(world: World, end: str) -> None:
    """Whatever it leaves behind: its socket, or nothing, or not even the directory's file."""
    archived, other = world.workspace(archived=True), world.workspace()
    for one in (archived, other):
        world.server.attach(world.session(one))
    assert world.sweep().count("reaped") == 0
    if end == "ended":
        world.server.kill()
    else:
        world.server.kill_hard()
    if end == "rebooted":
        Path(world.server.path).unlink()
    for _ in range(2):
        report = world.sweep()
        assert (report.exit_code, report.sessions, report.complete) == (0, [], True)
    assert recalled(world).confirmations == {}
    assert recalled(world).servers == {}
    assert alarms(world) == set()
    # A server that starts there anew is served.
    world.session(archived)
    assert outcomes(world.sweep()) == {archived: "reaped"}


# I46


@pytest.mark.parametrize("status", [0, 1])
def test_i46_a_session_of_dead_panes_is_detected_and_reaped(world: World, status: int) -> None:
    dead, half, alive = (world.workspace(pinned=True) for _ in range(3))
    world.session(alive)
    world.server.run("set-option", "-g", "remain-on-exit", "on")
    session_id = world.session(dead, command=f"exit {status}")
    half_id = world.session(half, command=f"exit {status}")
    world.server.run("split-window", "-d", "-t", f"{half_id}:", "exec sleep 100000")
    wait_until(lambda: world.server.show(session_id, "#{pane_dead}") == "1")
    assert set(outcomes(world.sweep()).values()) == {"none"}, "dead_ttl is ten minutes"

    world.configure(dead_ttl=1)
    wait_until(lambda: reaped(world.sweep()) == {dead})
    assert world.lives(half)
    assert world.lives(alive)


# I48


def test_i48_an_orphan_made_long_after_the_start_is_found_by_the_timer(world: World) -> None:
    world.workspaces(1)
    orphan = world.workspace()
    with WorkspacePlugins() as plugins:
        plugins.register(world.plugin, "reaper")
        with plugins.ticking(every=0.2):
            world.session(orphan)
            wait_until(lambda: orphan in recalled_ids(world))
            world.host.delete(orphan)
            wait_until(lambda: not world.lives(orphan))


def recalled_ids(world: World) -> set[str]:
    """The workspaces of the last full sweep."""
    report = read_status(world.plugin.reaper()).report
    return {entry["workspace_id"] for entry in report["sessions"]} if report else set()


# I49


def test_i49_what_the_host_starts_again_is_reported_and_reaped_again(world: World) -> None:
    archived = world.workspace(archived=True)
    world.session(archived)
    assert outcomes(world.sweep()) == {archived: "reaped"}
    assert alarms(world) == set()

    world.session(archived)
    assert outcomes(world.sweep()) == {archived: "reaped"}
    assert alarms(world) == {"came-back"}
    assert check_code(world) == 1

    # Held this time: somebody looks at it.
    world.server.attach(world.session(archived))
    assert outcomes(world.sweep()) == {archived: "none"}
    assert alarms(world) == {"came-back"}
    world.server.clients[-1].kill()
    assert outcomes(world.sweep()) == {archived: "reaped"}

    assert outcomes(world.sweep()) == {}
    assert alarms(world) == set()
    assert [outcome for _, outcome, _ in history(world)] == ["reaped"] * 3


def test_a_workspace_that_lives_again_is_no_alarm(world: World) -> None:
    archived = world.workspace(archived=True)
    world.session(archived)
    world.sweep()
    world.host.archive(archived, on=False)
    world.session(archived)
    assert outcomes(world.sweep()) == {archived: "none"}
    assert alarms(world) == set()


# I50


def test_i50_abstaining_for_too_long_is_an_alarm(worlds: Worlds, erring: Erring) -> None:
    """Condemned in every sweep, and spared each time."""
    world = worlds(abstain_alarm=0.5)
    archived = world.workspace(archived=True)
    session_id = world.session(archived)
    world.sweep(dry_run=True)
    # The recheck sees it kept each time, as if somebody were always quicker.
    kept = {"#{?#{==:#{@reaper_keep},},0,1}": "1"}
    began = time.time()
    while "overdue" not in alarms(world):
        with erring(Rule("list-sessions", skip=1, replace=kept)):
            assert outcomes(world.sweep()) == {archived: "spared"}
        assert time.time() - began < 30
    assert time.time() - began > 0.5
    assert session_name(world.schema, archived) in read_status(world.plugin.reaper()).alarms[0].detail
    assert check_code(world) == 1
    assert session_id in world.server.session_ids()
    assert outcomes(world.sweep()) == {archived: "reaped"}
    assert (alarms(world), check_code(world)) == (set(), 0)


def test_i50_a_registry_that_can_not_be_read_is_an_alarm_at_once_and_another_one_in_time(worlds: Worlds) -> None:
    world = worlds(tick=0.2)
    world.session(world.workspace(archived=True))
    world.host.path.rename(world.tmp / "rotated")
    assert world.sweep().exit_code == 3
    assert "unreadable" in alarms(world)
    wait_until(lambda: alarms(world) == {"blind", "unreadable"})
    (world.tmp / "rotated").rename(world.host.path)
    world.configure(tick=60)
    assert world.sweep().count("reaped") == 1
    assert alarms(world) == set()


# I55


@pytest.mark.parametrize("by", ["hook", "tick"])
def test_i55_archived_and_the_process_is_gone(world: World, by: str) -> None:
    workspace = world.workspace()
    session_id = world.session(workspace)
    process = psutil.Process(int(world.server.show(session_id, "#{pane_pid}")))
    world.sweep()
    world.host.archive(workspace)
    if by == "hook":
        world.plugin.on_workspace_archived(workspace)
        assert world.plugin.drain(30)
    else:
        world.sweep()
    wait_until(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE)
    assert [(outcome, why) for _, outcome, why in history(world)] == [("reaped", None)]


# I61, and what the idle clock counts


def quiet_for(world: World, seconds: float) -> None:
    """Wait until nothing was active within so many seconds by any clock of tmux."""
    tokens = "#{session_activity} #{W:#{window_activity} }"
    latest = max(map(int, world.server.run("list-sessions", "-F", tokens).split()))
    wait_until(lambda: time.time() > latest + seconds)


def test_i61_a_pinned_workspace_stays_however_idle(worlds: Worlds) -> None:
    world = worlds(idle_ttl=1)
    pinned, other = world.workspace(pinned=True), world.workspace()
    for one in (pinned, other):
        world.session(one)
    quiet_for(world, 1)
    report = world.sweep()
    assert outcomes(report) == {pinned: "none", other: "reaped"}
    assert (world.entry(report, pinned).reason, world.entry(report, pinned).protected_by) == ("idle", "pinned")
    world.host.pin(pinned, on=False)
    assert outcomes(world.sweep()) == {pinned: "reaped"}


def test_output_of_any_window_is_activity_and_a_silent_one_is_idle(worlds: Worlds) -> None:
    """Nobody attached, nobody types; the program that writes is not even in the current window. Words on an old screen, and
    idle children, are no activity (I42)."""
    # Longer than a busy machine keeps the writing program waiting.
    world = worlds(idle_ttl=6)
    busy, idle = world.workspace(), world.workspace()
    done = world.tmp / "done"
    busy_id = world.session(busy)
    loop = f"while [ ! -e '{done}' ]; do echo x; sleep 0.1; done; exec sleep 100000"
    window = world.server.run("new-window", "-d", "-P", "-F", "#{window_id}", "-t", f"{busy_id}:", loop)
    world.session(idle, command="echo Thinking... esc to interrupt; sleep 100000 & exec sleep 100000")
    created = int(world.server.show(busy_id, "#{session_created}"))
    wait_until(lambda: time.time() > created + 7.5, 30)

    report = world.sweep()
    assert outcomes(report) == {busy: "none", idle: "reaped"}
    assert world.entry(report, busy).reason is None
    assert window in world.server.run("list-windows", "-t", f"{busy_id}:", "-F", "#{window_id}")

    done.touch()
    quiet_for(world, 1)
    wait_until(lambda: world.sweep() and not world.lives(busy), 30)


def test_attached_for_long_without_a_key_and_then_detached_is_not_idle_yet(worlds: Worlds) -> None:
    """tmux's clocks know the attach and the keys only. The detach is dated by the first sweep that sees nobody there."""
    world = worlds(idle_ttl=1)
    workspace = world.workspace()
    client = world.server.attach(world.session(workspace))
    assert outcomes(world.sweep()) == {workspace: "none"}
    quiet_for(world, 1.5)
    assert world.entry(world.sweep(), workspace).protected_by == "attached"
    client.kill()

    before = time.time()
    report = world.sweep()
    assert outcomes(report) == {workspace: "none"}
    assert report.sessions[0].facts
    assert report.sessions[0].facts.detached_at
    assert report.sessions[0].facts.detached_at >= before
    wait_until(lambda: world.sweep() and not world.lives(workspace))
    assert time.time() - before > 1


def test_an_archived_session_that_goes_on_showing_activity_goes_after_archived_ttl(worlds: Worlds) -> None:
    world = worlds(activity_grace=3600, archived_ttl=1)
    busy, watched = world.workspace(archived=True), world.workspace(archived=True)
    world.session(busy, command="while :; do echo x; sleep 0.1; done")
    world.server.attach(world.session(watched))
    began = time.time()
    assert protected_by(world.sweep(), "active", "attached") == {busy, watched}
    wait_until(lambda: world.sweep() and not world.lives(busy))
    assert time.time() - began >= 1
    assert world.lives(watched)
    assert [(workspace, outcome) for workspace, outcome, _ in history(world)] == [(busy, "reaped")]


def test_no_more_orphans_in_an_hour_than_the_budget_whoever_asks(worlds: Worlds) -> None:
    world = worlds(max_orphans_per_hour=2, orphan_confirmations=1)
    ids = orphans_of(world, 4, known=5)
    archived = world.workspace(archived=True)
    world.session(archived)
    report = world.sweep()
    assert len(protected_by(report, "budget")) == 2
    assert report.count("reaped") == 3, "what rests on a row has no budget"
    assert not world.lives(archived)
    assert world.new_plugin().sweep().count("reaped") == 0
    assert sum(map(world.lives, ids)) == 2


# I62

NASTY = [
    "$(touch x)",
    "`touch x`",
    "#(touch x)",
    "#{pane_pid}",
    "'; touch x; '",
    '"; kill-server; "',
    "-t",
    "a\\nb",
    "a\nb",
    "a b\tc",
    "\u00e9\x1b[31m",
]


def test_i62_no_name_is_ever_run_or_expanded(worlds: Worlds, erring: Erring, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the first listing to the history, with names made for shells, formats, options and terminals. (What the commands
    do with such names is in the tests of the command line.)"""
    world = worlds("standard", session_patterns=["(?s)ws-(?P<id>.+)"])
    monkeypatch.chdir(world.tmp)
    world.server.new_session("decoy")
    server = world.server
    names = {server.show(server.new_session(f"ws-{bad}"), "#{session_name}"): bad for bad in NASTY if takes_name(bad)}
    ids = [name.removeprefix("ws-") for name in names]
    world.host.insert(ids, archived=True)
    first = next(iter(names))

    with erring() as front:
        assert {entry.workspace_id for entry in world.sweep(dry_run=True).sessions} == set(ids)
        assert explain_session(world.plugin.reaper(), first).decided == "reap: archived"
        assert keep_session(world.plugin.reaper(), first, on=True).name == first
        assert keep_session(world.plugin.reaper(), first, on=False).name == first
        assert set(outcomes(world.sweep()).values()) == {"reaped"}

    told = [reap_as_json(reap, restorable=True) for reap in read_history(world.plugin.reaper(), 100)]
    assert {entry["workspace_id"] for entry in told} == set(ids)
    assert all(entry["session"].isprintable() for entry in told)
    assert sorted(server.run("list-sessions", "-F", "#{session_name}").split("\n")) == ["decoy"]
    assert not list(world.tmp.rglob("x"))
    # Not a single call of tmux carries a name, not even as data.
    words = [word for call in front.calls() for word in call]
    assert not [word for word in words for name in names if name in word]


# I64


def test_i64_a_reap_has_an_id_a_rule_and_its_evidence_everywhere(world: World, caplog: pytest.LogCaptureFixture) -> None:
    archived = world.workspace(archived=True)
    session_id = world.session(archived)
    with caplog.at_level(logging.INFO, "workspace_reaper"):
        report = world.sweep()
    entry = report.as_dict()["sessions"][0]
    assert (entry["outcome"], entry["reason"], entry["session_id"]) == ("reaped", "archived", session_id)

    [reap] = read_history(world.plugin.reaper(), 10)
    told = json.loads(json.dumps(reap_as_json(reap, restorable=True)))
    assert told["id"] == entry["reap_id"]
    assert (told["reason"], told["outcome"], told["by"]) == ("archived", "reaped", None)
    assert told["evidence"] == entry["evidence"]
    assert told["evidence"]["row"]["archived"] is True
    assert told["freed_bytes"] == report.freed_bytes > 0
    assert reap.intent.sweep_id == report.sweep

    [line] = [record.getMessage() for record in caplog.records if entry["reap_id"] in record.getMessage()]
    for part in ("reaped", world.server.path, entry["session"], archived, "reason=archived"):
        assert part in line
    [last] = [one for one in read_status(world.plugin.reaper()).as_dict()["sessions"] if one["reap_id"]]
    assert last == entry


# I65


@pytest.mark.parametrize(
    ("orphans", "known", "trips"),
    [(3, 0, True), (3, 2, True), (3, 3, False), (2, 0, False), (2, 3, False), (49, 0, True)],
    ids=["3 of 3", "3 of 5", "3 of 6", "2 of 2", "2 of 5", "49 of 49"],
)
def test_i65_the_breaker_guards_small_sets_and_large_ones(world: World, orphans: int, known: int, trips: bool) -> None:
    ids = orphans_of(world, orphans, known=known)
    for _ in range(3):
        report = world.sweep()
        assert report.latched is trips
        assert report.exit_code == (3 if trips else 0)
    if trips:
        assert all(map(world.lives, ids))
        assert protected_by(report, "breaker") == set(ids)
        assert alarms(world) == {"breaker"}
        assert check_code(world) == 1
        assert events(world).count("breaker latched") == 1
    else:
        assert not any(map(world.lives, ids))


def test_i65_a_registry_that_lost_most_of_its_rows_trips_it_too(world: World) -> None:
    """Although most sessions have their rows."""
    ids, spare = world.workspaces(3), world.workspaces(20, sessions=False)
    world.sweep()
    world.host.delete(ids[0], *spare)
    for _ in range(3):
        report = world.sweep()
    assert report.latched
    assert "lost 21 of 23 rows" in recalled(world).breaker.cause
    assert all(map(world.lives, ids))


def test_i65_it_stays_latched_although_the_share_shrinks_and_after_a_restart(world: World) -> None:
    ids = orphans_of(world, 5)
    assert world.sweep().latched
    world.workspaces(20)
    archived = world.workspace(archived=True)
    world.session(archived)
    for plugin in (world.plugin, world.new_plugin(), world.new_plugin()):
        report = plugin.sweep()
        assert report.latched
        assert protected_by(report, "breaker") == set(ids)
    assert all(map(world.lives, ids))
    assert not world.lives(archived), "what rests on a row goes on"


def test_i65_it_frees_itself_when_the_workspaces_are_known_again_for_three_sweeps(world: World) -> None:
    ids = orphans_of(world, 5)
    assert world.sweep().latched
    world.host.insert(ids)
    assert [world.sweep().latched for _ in range(4)] == [True, True, False, False]
    assert alarms(world) == set()
    assert events(world)[-2:] == ["breaker released", "alarm over"]
    world.host.delete(ids[0])
    world.sweep()
    assert outcomes(world.sweep())[ids[0]] == "reaped"


def test_i65_reset_lets_go_what_tripped_it_and_nothing_that_comes_later(world: World) -> None:
    ids = orphans_of(world, 3)
    world.sweep()
    reset_breaker(world.plugin.reaper())
    later = world.workspaces(6)
    world.sweep(dry_run=True)
    world.sweep()
    assert not any(map(world.lives, ids))
    world.host.delete(*later)
    assert [world.sweep().latched for _ in range(2)] == [True, True]
    assert all(map(world.lives, later))


@pytest.mark.parametrize("swept", [False, True], ids=["at once", "after a sweep"])
def test_i65_reset_lets_go_no_session_whose_row_is_back(world: World, swept: bool) -> None:
    ids = orphans_of(world, 6)
    assert world.sweep().latched
    world.host.insert(ids)
    if swept:
        world.sweep()
    reset_breaker(world.plugin.reaper())
    world.host.delete(*ids)
    assert [world.sweep().latched for _ in range(3)] == [True, True, True]
    assert all(map(world.lives, ids))


@pytest.mark.parametrize("between", [0, 1], ids=["at once", "after a sweep without a server"])
def test_i65_the_same_sessions_on_another_server_do_not_release_it(world: World, between: int) -> None:
    """As after a restart of the machine: the rows are still missing."""
    ids, others = world.workspaces(6), world.workspaces(10, sessions=False)
    world.sweep()
    world.host.delete(*ids[:2], *others)
    assert world.sweep().latched
    world.server.kill()
    for _ in range(between):
        world.sweep()
    for one in ids:
        world.session(one)
    assert [world.sweep().latched for _ in range(5)] == [True] * 5
    assert all(map(world.lives, ids))


@pytest.mark.parametrize("confirmations", [1, 2])
@pytest.mark.parametrize(
    ("more", "others"), [(1, 0), (20, 0), (1, 60)], ids=["one more", "many more", "one more among many others"]
)
def test_i65_approved_is_exactly_what_was_shown(worlds: Worlds, confirmations: int, more: int, others: int) -> None:
    """What becomes an orphan between the look and the sweep is not let go with it."""
    world = worlds(orphan_confirmations=confirmations)
    later = world.workspaces(more)
    ids = orphans_of(world, 22)
    for _ in range(confirmations):
        world.sweep()
    world.workspaces(others)
    shown = {entry.key for entry in world.sweep(dry_run=True).sessions if entry.protected_by == "breaker" and entry.key}
    assert len(shown) == 22
    world.host.delete(*later)

    report = world.sweep(approve=shown)

    assert reaped(report) == set(ids)
    assert protected_by(report, "breaker", "unconfirmed") == set(later)
    assert all(map(world.lives, later))


def test_approving_part_of_it_lets_only_that_part_go(world: World) -> None:
    ids = orphans_of(world, 4)
    world.sweep()
    keys = {entry.workspace_id: entry.key for entry in world.sweep().sessions}
    key = keys[ids[0]]
    assert key
    report = world.sweep(approve=[key])
    assert reaped(report) == {ids[0]}
    assert report.latched
    assert world.sweep().latched
    assert all(map(world.lives, ids[1:]))


def test_approving_what_is_attached_by_now_does_not_kill_it(world: World, tmux_server: TmuxServer) -> None:
    ids = orphans_of(world, 3)
    world.sweep()
    shown = [entry.key for entry in world.sweep().sessions if entry.protected_by == "breaker" and entry.key]
    session_id = next(entry.session_id for entry in world.sweep().sessions if entry.workspace_id == ids[0])
    assert session_id
    world.server.attach(session_id)
    report = world.sweep(approve=shown)
    assert reaped(report) == set(ids[1:])
    assert world.entry(report, ids[0]).protected_by == "attached"
