"""What may happen between any two steps of a sweep, made to happen there.

A tmux in front of tmux stops the sweep at a joint: before the recheck (its listing is old by then) or before the kill (its
recheck is). While it waits the world changes, for real. Then the sweep goes on, and must notice.
"""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone

import pytest

from tests.faults.conftest import Erring
from tests.faults.steps import alarms, check_code, events, history, sweep_during
from tests.tools.front_tmux import FrontTmux, Rule
from tests.tools.hosts import VibeKanbanHost
from tests.tools.tmux import FOREVER
from tests.tools.waiting import wait_until
from tests.tools.world import World, outcomes, session_name
from workspace_reaper.model.events import WorkspaceEvent
from workspace_reaper.model.unknown import Source
from workspace_reaper.operations.suspects import record_events
from workspace_reaper.policy import rules
from workspace_reaper.sweep.context import SweepRequest
from workspace_reaper.sweep.report import SweepReport
from workspace_reaper.tmux.terminal import TmuxTerminal
from workspace_reaper.util.batch_size import BatchSize

Worlds = Callable[..., World]

RECHECK = Rule("list-sessions", skip=1, times=1, hold="before")
KILL = Rule("kill-session", times=1, hold="before")
JOINTS = {"before the recheck": RECHECK, "before the kill": KILL}

IDLE = 4
"""Seconds: more than all that happens to sessions in the middle of a sweep takes."""

BY_HOOK = {rules.DELETED: WorkspaceEvent.DELETED, rules.ARCHIVED_BY_HOOK: WorkspaceEvent.ARCHIVED}
CONDEMNING = [rules.DELETED, rules.ARCHIVED_BY_HOOK, rules.ORPHAN, rules.ARCHIVED, rules.IDLE, rules.DEAD]


def limit(world: World, seconds: float) -> None:
    """Let tmux commands take this long. While a call waits in a test, the time limit of the command goes on."""
    reaper = world.plugin.reaper()
    reaper.terminals = [TmuxTerminal(terminal.socket, limit=seconds) for terminal in reaper.terminals]
    reaper.dependencies = replace(reaper.dependencies, terminals=reaper.terminals)


@dataclass
class Scene:
    """Sessions that are all condemned for one reason, each with the name of what will happen to it."""

    world: World
    reason: rules.Rule
    workspaces: dict[str, str]
    sessions: dict[str, str] = field(default_factory=dict)

    def start(self, name: str) -> str:
        """Start the session of that workspace; its id."""
        command = "exit 0" if self.reason is rules.DEAD else "exec cat"
        self.sessions[name] = self.world.session(self.workspaces[name], command=command)
        return self.sessions[name]

    def sweep(self) -> SweepReport:
        """The sweep that condemns them: a full one, or the look that the hooks cause."""
        if self.reason not in BY_HOOK:
            return self.world.sweep()
        suspects = dict.fromkeys(self.workspaces.values(), BY_HOOK[self.reason])
        record_events(self.world.plugin.reaper(), suspects)
        return self.world.plugin.reaper().sweep(SweepRequest(suspects=suspects))

    def told(self, report: SweepReport) -> dict[str, tuple[str, str | None]]:
        """What became of each, and by what."""
        entries = {entry.workspace_id: entry for entry in report.sessions}
        found = {name: entries[workspace_id] for name, workspace_id in self.workspaces.items()}
        return {name: (entry.outcome, entry.protected_by) for name, entry in found.items()}

    def living(self) -> set[str]:
        """The names of those whose very session is still there."""
        there = self.world.server.session_ids()
        return {name for name, session_id in self.sessions.items() if session_id in there}


def quiet_for(world: World, seconds: float) -> None:
    """Wait until no session was active within so many seconds."""
    tokens = "#{session_activity} #{W:#{window_activity} }"
    latest = max(map(int, world.server.run("list-sessions", "-F", tokens).split()))
    wait_until(lambda: time.time() > latest + seconds)


def condemned(world: World, reason: rules.Rule, *names: str, clocks: bool = False) -> Scene:
    """Sessions that the next sweep will reap for this reason, all of them, known and stamped; and others beside them.

    ``clocks``: where the reason has an idle clock, it is set to `IDLE` seconds, which have passed.
    """
    ids = world.workspaces(len(names), sessions=False)
    scene = Scene(world, reason, dict(zip(names, ids, strict=True)))
    if reason is rules.DEAD:
        world.session(world.workspace())
        world.server.run("set-option", "-g", "remain-on-exit", "on")
    for name in names:
        scene.start(name)
    if reason is not rules.DEAD:
        world.workspaces(len(names) + 1 if reason is rules.ORPHAN else 1, pinned=True)
    world.plugin.reaper().state.marks_at_once.size = 50
    assert set(outcomes(world.sweep()).values()) == {"none"}
    if reason in (rules.DELETED, rules.ORPHAN):
        world.host.delete(*ids)
    elif reason in (rules.ARCHIVED, rules.ARCHIVED_BY_HOOK):
        for one in ids:
            world.host.archive(one)
    if reason is rules.ORPHAN:
        assert not world.sweep().count("reaped")
    if reason is rules.DEAD:
        dead = "#{?#{==:#{W:#{P:#{?pane_dead,,1}}},},1,}"
        wait_until(lambda: world.server.run("list-sessions", "-F", dead).count("1") == len(names))
    if reason is rules.DEAD:
        world.configure(dead_ttl=0)
    elif clocks and reason not in BY_HOOK:
        world.configure(**{"idle_ttl" if reason is rules.IDLE else "activity_grace": IDLE})
        quiet_for(world, IDLE + 0.01)
    limit(world, 60)
    world.plugin.reaper().state.batch_size.size = 50  # they are one batch
    return scene


# What happens to one session while the sweep waits.


def attach(scene: Scene, name: str) -> None:
    scene.world.server.attach(scene.sessions[name])


def suspend(scene: Scene, name: str) -> None:
    scene.world.server.attach(scene.sessions[name]).suspend()
    assert scene.world.server.show(scene.sessions[name], "#{session_attached}") == "0"


def come_and_go(scene: Scene, name: str) -> None:
    scene.world.server.attach(scene.sessions[name]).detach()


def look_at_peer(scene: Scene, name: str) -> None:
    server = scene.world.server
    peer = server.run("new-session", "-d", "-P", "-F", "#{session_id}", "-t", f"{scene.sessions[name]}:", "-s", f"peer-{name}")
    server.attach(peer)


def show_in_viewer(scene: Scene, name: str) -> None:
    """Another session joins its group, without a client."""
    scene.world.server.run("new-session", "-d", "-t", f"{scene.sessions[name]}:", "-s", f"viewer-{name}")


def write(scene: Scene, name: str) -> None:
    before = scene.world.server.show(scene.sessions[name], "#{window_activity}")
    wait_until(lambda: time.time() >= int(before) + 1)  # the resolution of tmux's clocks
    scene.world.server.run("send-keys", "-t", f"{scene.sessions[name]}:", "x", "Enter")
    wait_until(lambda: scene.world.server.show(scene.sessions[name], "#{window_activity}") != before)


def revive(scene: Scene, name: str) -> None:
    scene.world.server.run("respawn-pane", "-t", f"{scene.sessions[name]}:", FOREVER)


def set_keep(scene: Scene, name: str) -> None:
    scene.world.server.set_option(scene.sessions[name], "@reaper_keep", "1")


def take_its_name(scene: Scene, name: str) -> None:
    scene.world.server.run("kill-session", "-t", scene.sessions[name])
    scene.sessions[f"the new {name}"] = scene.world.session(scene.workspaces[name])


def rename(scene: Scene, name: str) -> None:
    scene.world.server.run("rename-session", "-t", scene.sessions[name], "mine-now")


def rename_to_living(scene: Scene, name: str) -> None:
    """Now it has the name of a workspace that lives, and belongs to that one."""
    living = session_name(scene.world.schema, scene.world.workspace(pinned=True))
    scene.world.server.run("rename-session", "-t", scene.sessions[name], living)


def host(action: Callable[[VibeKanbanHost, str], object]) -> Callable[[Scene, str], None]:
    return lambda scene, name: action(scene.world.host, scene.workspaces[name]) and None


Deed = tuple[Callable[[Scene, str], object], str | None]
"""What is done, and by what the session is then spared; None if it is reaped all the same."""

ALWAYS: dict[str, Deed] = {
    "nothing": (lambda scene, name: None, None),
    "kept": (set_keep, "kept"),
    "another took its name": (take_its_name, "gone"),
    "shown in a viewer": (show_in_viewer, "group"),
}
CLIENTS: dict[str, Deed] = {
    "attached": (attach, "attached"),
    "suspended": (suspend, "attached"),
    "its group peer attached": (look_at_peer, "attached"),
}
# Output comes first: by the next second, to which it waits, a client moves the clock of clients too.
IGNORED: dict[str, Deed] = {"output": (write, None), "attached": (attach, None), "suspended": (suspend, None)}
OUTPUT: dict[str, Deed] = {"output": (write, "active")}

AT_ANY_JOINT: dict[rules.Rule, dict[str, Deed]] = {
    rules.DELETED: {**ALWAYS, **IGNORED},
    rules.ARCHIVED_BY_HOOK: {**ALWAYS, **CLIENTS, "output": (write, None)},
    rules.ORPHAN: {**ALWAYS, **CLIENTS, **OUTPUT, "came and went": (come_and_go, "active")},
    rules.ARCHIVED: {**ALWAYS, **CLIENTS, **OUTPUT, "came and went": (come_and_go, "active")},
    rules.IDLE: {**ALWAYS, **CLIENTS, **OUTPUT, "came and went": (come_and_go, "active")},
    rules.DEAD: {**ALWAYS, **CLIENTS, "revived": (revive, "active")},
}


def vanish_as_by_restore(scene: Scene, name: str) -> None:
    """The daemon reports that, and its worker waits until the sweep has ended."""
    scene.world.plugin.on_row_gone(scene.workspaces[name], WorkspaceEvent.DOUBTED)


BACK: dict[str, Deed] = {"row inserted again": (host(lambda h, one: h.insert([one])), "workspace")}
IN_USE: dict[str, Deed] = {
    "archived no more": (host(lambda h, one: h.archive(one, on=False)), "workspace"),
    "a process started": (host(lambda h, one: h.start(one)), "running"),
    "row deleted": (host(lambda h, one: h.delete(one)), "workspace"),
}
BEFORE_THE_RECHECK: dict[rules.Rule, dict[str, Deed]] = {
    rules.DELETED: BACK,
    rules.ARCHIVED_BY_HOOK: IN_USE,
    rules.ORPHAN: BACK | {"its row vanished as by a restore": (vanish_as_by_restore, "doubtful")},
    rules.ARCHIVED: IN_USE,
    rules.IDLE: {
        "condemned for another reason": (host(lambda h, one: h.archive(one)), "workspace"),
        "pinned": (host(lambda h, one: h.pin(one)), "pinned"),
        "a process started": (host(lambda h, one: h.start(one)), "running"),
        "row deleted": (host(lambda h, one: h.delete(one)), "workspace"),
    },
    rules.DEAD: {"row deleted": (host(lambda h, one: h.delete(one)), "workspace")},
}


def renames(reason: rules.Rule) -> dict[str, Deed]:
    """What the host says of its workspace applies to a renamed session, too, unless its name is that of another one."""
    return {
        "renamed": (rename, "renamed" if reason in (rules.ORPHAN, rules.IDLE, rules.DEAD) else None),
        "renamed to a living one's": (rename_to_living, "renamed"),
    }


@pytest.mark.parametrize("joint", JOINTS)
@pytest.mark.parametrize("reason", CONDEMNING, ids=lambda reason: reason.name)
def test_what_happens_in_the_middle_of_a_sweep_is_noticed(world: World, erring: Erring, reason: rules.Rule, joint: str) -> None:
    deeds = dict(AT_ANY_JOINT[reason])
    if joint == "before the recheck":
        deeds |= {**BEFORE_THE_RECHECK[reason], **renames(reason)}
    scene = condemned(world, reason, *deeds, clocks=True)

    def happen() -> None:
        for name, (do, _) in deeds.items():
            do(scene, name)

    with erring(JOINTS[joint]) as front:
        report = sweep_during(front, happen, scene.sweep)

    expected = {name: ("reaped", None) if by is None else ("spared", by) for name, (_, by) in deeds.items()}
    assert scene.told(report) == expected
    survivors = {name for name, (_, by) in deeds.items() if by not in (None, "gone")}
    assert scene.living() == survivors | {"the new another took its name"}
    assert (report.exit_code, report.unknown) == (0, [])
    # The ledger tells the same, one line for each.
    assert sorted(history(world)) == sorted((scene.workspaces[name], *told) for name, told in expected.items())


def test_i91_a_session_that_is_shown_in_a_viewer_right_before_its_kill_is_spared(world: World, erring: Erring) -> None:
    scene = condemned(world, rules.ARCHIVED, "shown")
    with erring(KILL) as front:
        report = sweep_during(front, lambda: show_in_viewer(scene, "shown"), scene.sweep)
    assert scene.told(report) == {"shown": ("spared", "group")}
    assert scene.living() == {"shown"}


LISTED = Rule("list-sessions", skip=1, times=1, hold="after")
STOPS = {"the reaper, after the listing of its recheck": LISTED, "the reaper, before its kill": KILL, "the tmux server": KILL}


def wait_until_late(world: World) -> None:
    """Wait until a guard of this moment has expired: tmux's clock has a resolution of one second."""
    now, validity = time.time(), world.plugin.reaper().sweep_settings.guard_validity
    wait_until(lambda: time.time() >= int(now) + validity + 1, 60)


@pytest.mark.parametrize("stopped", STOPS)
@pytest.mark.parametrize("reason", CONDEMNING, ids=lambda reason: reason.name)
def test_what_happens_while_the_reaper_or_tmux_is_stopped_is_noticed(
    world: World, erring: Erring, reason: rules.Rule, stopped: str
) -> None:
    """The guard alone does not see that a row has changed. So it expires, and the recheck is made again."""
    deeds = AT_ANY_JOINT[reason] | BEFORE_THE_RECHECK[reason]
    deeds |= renames(reason)
    # What protects by an idle clock may be over when the stop is.
    deeds = {name: deed for name, deed in deeds.items() if deed[1] != "active" or reason is rules.DEAD}
    scene = condemned(world, reason, *deeds, clocks=True)
    reaper = world.plugin.reaper()
    reaper.sweep_settings = replace(reaper.sweep_settings, recheck_validity=1.5, guard_validity=2)

    def happen() -> None:
        for name, (do, _) in deeds.items():
            do(scene, name)
        if stopped == "the tmux server":
            world.server.stop()
            pool.submit(lambda: (wait_until_late(world), world.server.resume()))
        else:
            wait_until_late(world)

    with ThreadPoolExecutor(1) as pool, erring(STOPS[stopped]) as front:
        report = sweep_during(front, happen, scene.sweep)

    expected = {name: ("reaped", None) if by is None else ("spared", by) for name, (_, by) in deeds.items()}
    assert scene.told(report) == expected
    assert (report.exit_code, report.unknown) == (0, [])


def test_i68_a_decision_that_was_delayed_for_longer_than_it_is_valid_is_not_carried_out(world: World, erring: Erring) -> None:
    """Un-archived or running again, and killed all the same 10 s later."""
    names = ("archived no more", "running", "nothing")
    scene = Scene(world, rules.ARCHIVED, dict(zip(names, world.workspaces(3, sessions=False, archived=True), strict=True)))
    for name in names:
        scene.start(name)
    limit(world, 60)

    def happen() -> None:
        world.host.archive(scene.workspaces["archived no more"], on=False)
        world.host.start(scene.workspaces["running"])
        late = time.time() + 6
        wait_until(lambda: time.time() > late, 60)

    with erring(KILL) as front:
        report = sweep_during(front, happen, scene.sweep)

    assert scene.living() == {"archived no more", "running"}
    expected = {"archived no more": ("spared", "workspace"), "running": ("spared", "running"), "nothing": ("reaped", None)}
    assert scene.told(report) == expected


def test_what_is_late_again_and_again_is_reported_as_failed(world: World, erring: Erring) -> None:
    scene = condemned(world, rules.ARCHIVED, "a", "b")
    reaper = world.plugin.reaper()
    reaper.sweep_settings = replace(reaper.sweep_settings, guard_validity=0)
    report = scene.sweep()
    assert scene.living() == {"a", "b"}
    assert {outcome for outcome, _ in scene.told(report).values()} == {"failed"}
    assert report.exit_code == 1
    assert alarms(world) == set()
    reaper.sweep_settings = replace(reaper.sweep_settings, guard_validity=5)
    world.plugin.sweep(approve=None)
    assert scene.living() == set()


@pytest.mark.parametrize("joint", JOINTS)
@pytest.mark.parametrize("reason", [rules.DELETED, rules.ARCHIVED], ids=lambda reason: reason.name)
def test_a_server_that_restarts_and_hands_out_the_same_ids_and_names_loses_nobody(
    world: World, erring: Erring, reason: rules.Rule, joint: str
) -> None:
    scene = condemned(world, reason, "a", "b")
    before = dict(scene.sessions)

    def restart() -> None:
        world.server.kill()
        for name in scene.workspaces:
            scene.start(name)

    with erring(JOINTS[joint]) as front:
        report = sweep_during(front, restart, scene.sweep)

    assert scene.sessions == before, "the new server was to hand out the same ids"
    assert scene.told(report) == {"a": ("spared", "gone"), "b": ("spared", "gone")}
    assert scene.living() == {"a", "b"}
    assert report.exit_code == 0


@pytest.mark.parametrize("reason", [rules.ARCHIVED, rules.ORPHAN, rules.IDLE], ids=lambda reason: reason.name)
def test_a_registry_that_was_replaced_before_the_recheck_selects_no_session(
    world: World, erring: Erring, reason: rules.Rule
) -> None:
    scene = condemned(world, reason, "a", clocks=True)
    other = world.tmp / "other.sqlite"
    shutil.copy(world.host.path, other)

    with erring(RECHECK) as front:
        report = sweep_during(front, lambda: other.replace(world.host.path), scene.sweep)

    assert scene.told(report) == {"a": ("spared", "registry")}
    assert scene.living() == {"a"}
    assert report.exit_code == 3
    assert "the registry changed during the sweep" in report.unknown[0].reason
    assert history(world) == [(scene.workspaces["a"], "spared", "registry")]


@pytest.mark.parametrize("when", ["before the listing", *JOINTS])
def test_a_stopped_server_hangs_nobody_and_loses_nobody(world: World, erring: Erring, when: str) -> None:
    """A kill that a stopped server did not take must not happen when it goes on."""
    scene = condemned(world, rules.ARCHIVED, "a", "b")
    limit(world, 1)
    try:
        if when in JOINTS:
            with erring(JOINTS[when]) as front:
                report = sweep_during(front, world.server.stop, scene.sweep)
        else:
            world.server.stop()
            report = scene.sweep()
    finally:
        world.server.resume()

    assert not report.complete
    assert report.unknown[0].source is Source.SOCKET
    assert "did not answer within 1 s" in report.unknown[0].reason
    assert report.count("reaped") == 0
    # Every command that the server may still have in its queue comes before these.
    assert all(scene.living() == {"a", "b"} for _ in range(3))
    assert report.exit_code == (1 if when == "before the kill" else 3)
    assert report.count("failed") == (2 if when == "before the kill" else 0)
    assert alarms(world) == {"unreadable"}

    world.configure()
    assert set(scene.told(scene.sweep()).values()) == {("reaped", None)}
    assert sorted(one for one, outcome, _ in history(world) if outcome == "reaped") == sorted(scene.workspaces.values())
    assert "open" not in {outcome for _, outcome, _ in history(world)}
    assert alarms(world) == set()


# The answer to a kill gets lost.


def kills(front: FrontTmux) -> int:
    return sum("kill-session" in call for call in front.calls())


def test_a_kill_whose_answer_is_lost_is_looked_at_and_not_repeated(world: World, erring: Erring) -> None:
    scene = condemned(world, rules.ARCHIVED, "a", "b")
    with erring(Rule("kill-session", keep_lines=0)) as front:
        report = scene.sweep()
    assert kills(front) == 1
    assert set(scene.told(report).values()) == {("reaped", None)}
    assert report.exit_code == 0
    assert [outcome for _, outcome, _ in history(world)] == ["reaped", "reaped"]


def test_half_an_answer_is_taken_and_the_other_half_looked_at(world: World, erring: Erring) -> None:
    scene = condemned(world, rules.ARCHIVED, "a", "b")
    with erring(Rule("kill-session", keep_bytes=12)) as front:
        report = scene.sweep()
    assert kills(front) == 1
    assert set(scene.told(report).values()) == {("reaped", None)}


def test_a_kill_that_never_came_to_tmux_is_tried_again_after_a_recheck(world: World, erring: Erring) -> None:
    scene = condemned(world, rules.ARCHIVED, "a")
    with erring(Rule("kill-session", times=1, real=False)) as front:
        report = scene.sweep()
    calls = [word for call in front.calls() for word in call if word in ("list-sessions", "kill-session")]
    assert calls == ["list-sessions", "list-sessions", "kill-session", "list-sessions", "kill-session", "list-sessions"]
    assert set(scene.told(report).values()) == {("reaped", None)}


def test_a_kill_that_never_comes_to_tmux_has_failed_after_three_attempts(world: World, erring: Erring) -> None:
    scene = condemned(world, rules.ARCHIVED, "a")
    with erring(Rule("kill-session", real=False)) as front:
        report = scene.sweep()
    assert kills(front) == 3
    outcome, why = scene.told(report)["a"]
    assert outcome == "failed"
    assert "no answer from tmux in 3 attempts" in str(why)
    assert report.exit_code == 1
    assert scene.living() == {"a"}
    # Nobody knew how it ended. The next sweep closes it from what it sees, and tries anew.
    assert set(scene.told(scene.sweep()).values()) == {("reaped", None)}
    a = scene.workspaces["a"]
    assert history(world) == [(a, "spared", "interrupted before the kill"), (a, "reaped", None)]


@pytest.mark.parametrize("lost", ["alone", "not its panes", "with all others"])
def test_a_kill_of_which_nobody_knows_is_no_reap_because_one_listing_lacks_the_session(
    world: World, erring: Erring, lost: str
) -> None:
    """Seed 3535 of the storm."""
    scene = condemned(world, rules.ARCHIVED, "a")
    name = session_name(world.schema, scene.workspaces["a"])
    names = world.server.run("list-sessions", "-F", "#{session_name}").split() if lost == "with all others" else [name]
    with erring(Rule("kill-session", real=False)):
        scene.sweep()
    with erring(Rule("list-sessions", times=1, drop=names, kind="S" if lost == "not its panes" else None)):
        scene.sweep()
    assert scene.living() == {"a"}
    assert "reaped" not in [outcome for _, outcome, _ in history(world)]
    scene.sweep()
    a = scene.workspaces["a"]
    assert history(world) == [(a, "spared", "interrupted before the kill"), (a, "reaped", None)]


def test_a_kill_of_which_nobody_knows_is_settled_before_the_next_whoever_else_can_not_be_read(
    world: World, erring: Erring
) -> None:
    """Seed 6835 of the storm: of two reaps of one session only one can be true."""
    scene = condemned(world, rules.ARCHIVED, "a")
    bystander = world.workspace()
    world.session(bystander)
    with erring(Rule("kill-session", real=False)):
        scene.sweep()
    unreadable = {"sessions": [session_name(world.schema, bystander)], "replace": {"#{session_activity}": ""}}
    with erring(Rule("list-sessions", **unreadable)):  # type: ignore[arg-type]
        report = scene.sweep()
    scene.sweep()
    a = scene.workspaces["a"]
    assert scene.told(report)["a"] == ("reaped", None)
    assert history(world) == [(a, "spared", "interrupted before the kill"), (a, "reaped", None)]


def test_whoever_attaches_while_the_answer_is_awaited_is_spared(world: World, erring: Erring) -> None:
    """The kill did not happen; before it is tried again, somebody is there."""
    scene = condemned(world, rules.ARCHIVED, "a", "b")
    with erring(Rule("kill-session", times=1, real=False, hold="after")) as front:
        report = sweep_during(front, lambda: attach(scene, "a"), scene.sweep)
    assert scene.told(report) == {"a": ("spared", "attached"), "b": ("reaped", None)}
    assert scene.living() == {"a"}


def test_a_kill_without_an_answer_is_not_repeated_on_the_next_of_that_name(world: World, erring: Erring) -> None:
    scene = condemned(world, rules.ARCHIVED, "a")

    def next_one() -> None:
        scene.sessions["next"] = world.session(scene.workspaces["a"])

    with erring(Rule("kill-session", hold="after", keep_lines=0)) as front:
        report = sweep_during(front, next_one, scene.sweep)
    assert kills(front) == 1
    assert scene.told(report) == {"a": ("reaped", None)}
    assert scene.living() == {"next"}


def test_a_session_that_tmux_says_is_killed_and_still_lists_has_failed(world: World, erring: Erring) -> None:
    scene = condemned(world, rules.ARCHIVED, "a")
    with erring(Rule("kill-session", real=False, stdout=f"killed {scene.sessions['a']}\n")) as front:
        for number in (1, 2, 3):
            report = scene.sweep()
            assert scene.told(report) == {"a": ("failed", "tmux reported the kill, but still lists the session")}
            assert report.exit_code == 1
            assert kills(front) == number
            assert ("kill-failing" in alarms(world)) is (number == 3)
    assert check_code(world) == 1
    assert [outcome for _, outcome, _ in history(world)] == ["failed"] * 3
    report = scene.sweep()
    assert scene.told(report) == {"a": ("none", "retrying")}, "it waits for the next try"
    key = world.entry(report, scene.workspaces["a"]).key
    assert scene.told(world.sweep(approve=[key])) == {"a": ("reaped", None)}
    assert alarms(world) == set()


# Several batches.


def small_batches(world: World, size: int) -> None:
    reaper = world.plugin.reaper()
    reaper.state.batch_size = BatchSize(size)


@pytest.mark.parametrize("joint", JOINTS)
def test_each_batch_has_a_recheck_of_its_own(world: World, erring: Erring, joint: str) -> None:
    """What happens while the first batch is worked off saves those of the later ones."""
    names = [f"s{number}" for number in range(12)]
    scene = condemned(world, rules.ARCHIVED, *names)
    small_batches(world, 2)
    order = {entry.session: entry for entry in world.sweep(dry_run=True).sessions}
    by_turn = sorted(names, key=lambda name: list(order).index(session_name(world.schema, scene.workspaces[name])))
    first, gone, late, last = by_turn[0], by_turn[-3], by_turn[-2], by_turn[-1]

    def happen() -> None:
        world.server.run("kill-session", "-t", scene.sessions[gone])
        for name in (first, late):
            attach(scene, name)
        world.host.archive(scene.workspaces[last], on=False)

    with erring(JOINTS[joint]) as front:
        report = sweep_during(front, happen, scene.sweep)

    assert kills(front) > 1
    told = scene.told(report)
    spared = {first: "attached", gone: "gone", late: "attached", last: "workspace"}
    assert {name: by for name, (outcome, by) in told.items() if outcome == "spared"} == spared
    assert scene.living() == {first, late, last}
    assert report.count("reaped") == 8
    assert (report.exit_code, report.unknown) == (0, []), "no panes to keep where there is no session"


def test_a_ledger_that_fails_between_two_batches_stops_those_that_follow(world: World, erring: Erring) -> None:
    scene = condemned(world, rules.ARCHIVED, *"abcdef")
    small_batches(world, 2)

    def fill() -> None:
        with closing(sqlite3.connect(world.state_dir / "ledger.sqlite")) as ledger:
            ledger.execute("CREATE TRIGGER full BEFORE INSERT ON reap BEGIN SELECT RAISE(FAIL, 'no room'); END")

    with erring(RECHECK) as front:
        report = sweep_during(front, fill, scene.sweep)
    assert sorted(told for told in scene.told(report).values()) == [("reaped", None)] * 2 + [("spared", "ledger")] * 4
    assert len(scene.living()) == 4
    assert (report.exit_code, [unknown.source for unknown in report.unknown]) == (3, [Source.LEDGER])


def test_many_sessions_and_clients_that_come_in_the_middle(world: World, erring: Erring) -> None:
    archived = world.workspaces(24)
    world.workspaces(1)
    world.sweep()
    for one in archived:
        world.host.archive(one)
    limit(world, 60)
    small_batches(world, 6)
    ids = dict(line.split(" ") for line in world.server.run("list-sessions", "-F", "#{session_name} #{session_id}").split("\n"))
    chosen = archived[::3]

    def happen() -> None:
        there = world.server.session_ids()
        for session_id in (ids[session_name(world.schema, one)] for one in chosen):
            if session_id in there:
                world.server.attach(session_id)

    with erring(Rule("kill-session", skip=1, times=1, hold="before")) as front:
        report = sweep_during(front, happen, world.sweep)

    assert kills(front) > 1
    spared = {entry.workspace_id for entry in report.sessions if entry.outcome == "spared"}
    assert spared <= set(chosen), "only who had a client is spared"
    assert spared, "the second batch had some of them"
    assert {one for one in archived if world.lives(one)} == spared
    assert report.count("reaped") == 24 - len(spared)


# The host ends in the middle of a sweep.


def test_closing_the_plugin_stops_before_the_next_kill(world: World, erring: Erring) -> None:
    scene = condemned(world, rules.ARCHIVED, *(f"s{number}" for number in range(8)))
    small_batches(world, 2)
    plugin = world.plugin

    with erring(KILL) as front, ThreadPoolExecutor(1) as pool:
        plugin.on_tick(datetime.now(timezone.utc))
        wait_until(front.is_held)
        closing = pool.submit(plugin.close)
        wait_until(plugin._worker.is_stopping)
        front.release()
        closing.result(60)

    assert kills(front) == 1
    assert len(scene.living()) == 6
    told = history(world)
    assert sorted((outcome, why) for _, outcome, why in told) == [("reaped", None)] * 2
    world.configure()
    report = world.cli_json("status")
    ended = sorted((entry["outcome"], entry["protected_by"]) for entry in report["sessions"] if entry["verdict"] == "reap")
    assert ended == sorted([("reaped", None)] * 2 + [("spared", "stopping")] * 6)
    assert world.sweep().count("reaped") == 6


def test_closing_the_plugin_while_the_host_itself_sweeps_records_what_it_can(world: World, erring: Erring) -> None:
    """``sweep`` runs in the caller's thread: ``close`` does not wait for it, and takes its ledger away."""
    scene = condemned(world, rules.ARCHIVED, *(f"s{number}" for number in range(8)))
    small_batches(world, 2)
    with erring(KILL) as front:
        report = sweep_during(front, world.plugin.close, scene.sweep)
    assert len(scene.living()) == 6
    assert report.count("reaped") == 2

    world.configure()
    assert world.sweep().count("reaped") == 6
    told = [outcome for _, outcome, _ in history(world)]
    assert told == ["reaped"] * 8


@pytest.mark.parametrize("reason", [rules.ORPHAN, rules.ARCHIVED], ids=lambda reason: reason.name)
def test_a_doubt_about_the_registry_stops_the_sweep_that_keeps_it_from_the_ledger(
    world: World, erring: Erring, reason: rules.Rule
) -> None:
    """The daemon sees that an older copy was restored, while a sweep that has confirmed the absence holds the lock."""
    scene = condemned(world, reason, "a", "b")
    reaper = world.plugin.reaper()

    with ThreadPoolExecutor(1) as pool, erring(RECHECK) as front:
        doubting: list[Future[None]] = []

        def doubt() -> None:
            doubting.append(pool.submit(reaper.doubt, "an older copy was restored"))
            wait_until(lambda: reaper.state.doubt)

        report = sweep_during(front, doubt, scene.sweep)
        doubting[0].result(60)

    assert scene.told(report) == {"a": ("spared", "registry"), "b": ("spared", "registry")}
    assert scene.living() == {"a", "b"}
    assert "an older copy was restored" in report.unknown[0].reason
    assert reaper.state.doubt is None
    assert set(events(world)) >= {"registry changed"}
    expected = {"a", "b"} if reason is rules.ORPHAN else set()
    scene.sweep()
    scene.sweep()
    assert scene.living() == expected
