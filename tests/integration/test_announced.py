"""``undo_window``: who goes later is told, marked and shown first, and stays with the same processes where somebody objects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timezone

import pytest

from tests.faults.steps import events, history, sweep_during
from tests.tools.clocks import Later
from tests.tools.front_tmux import FrontTmux, Rule
from tests.tools.hosts import blob, connected
from tests.tools.waiting import wait_until
from tests.tools.world import World, session_name
from workspace_hookspecs import Candidate, WorkspacePlugins, hookimpl
from workspace_reaper.model.events import WorkspaceEvent
from workspace_reaper.operations.sessions import explain_session, keep_session
from workspace_reaper.operations.status import read_status
from workspace_reaper.operations.suspects import record_events
from workspace_reaper.operations.undo import announced, cancel_announcement
from workspace_reaper.sweep.context import SweepRequest
from workspace_reaper.sweep.report import SessionReport, SweepReport, iso

pytestmark = pytest.mark.once

WINDOW = 600
TIMEOUT = 300
"""Seconds; no test takes so long."""
HOUR = 3600
MARK = "#{@reaper_deadline}"


class Scene:
    """One session of one workspace."""

    def __init__(self, world: World, *, clock: Later | None = None) -> None:
        self.world = world
        self.clock = clock or Later()
        self.workspace = world.workspace()
        self.name = session_name(world.schema, self.workspace)
        self.session = world.session(self.workspace)
        self.pid = world.server.show(self.session, "#{pane_pid}")
        self.start()

    def start(self) -> None:
        """A new plugin, as after a restart of the host."""
        self.world.configure()
        reaper = self.world.plugin.reaper()
        reaper.clock = self.clock
        reaper.dependencies = replace(reaper.dependencies, clock=reaper.clock)

    def sweep(self, **options: bool) -> SessionReport:
        return self.world.entry(self.world.sweep(**options), self.workspace)

    def hook(self, said: WorkspaceEvent) -> SweepReport:
        """The look that a hook causes."""
        record_events(self.world.plugin.reaper(), {self.workspace: said})
        return self.world.plugin.reaper().sweep(SweepRequest(suspects={self.workspace: said}))

    @property
    def mark(self) -> str:
        return self.world.server.show(self.session, MARK)

    @property
    def is_announced(self) -> bool:
        return self.session in {key.session_id for key in announced(self.world.plugin.reaper())}

    def lives_untouched(self) -> bool:
        """The very session, with the very process."""
        there = self.session in self.world.server.session_ids()
        return there and self.world.server.show(self.session, "#{pane_pid}") == self.pid

    def is_told(self) -> bool:
        """It waits, and whoever looks can see it."""
        assert self.lives_untouched()
        assert bool(self.mark) is self.is_announced
        return self.is_announced

    def archive(self, *, on: bool = True) -> None:
        self.world.host.archive(self.workspace, on=on)


@pytest.fixture
def scene(worlds: Callable[..., World]) -> Scene:
    return Scene(worlds(undo_window=WINDOW))


@pytest.fixture
def archived(scene: Scene) -> Scene:
    """It is archived, and announced."""
    scene.sweep()
    scene.archive()
    assert scene.sweep().protected_by == "announced"
    assert scene.is_told()
    return scene


# Told


def test_an_archived_session_is_told_shown_and_marked_and_goes_at_its_deadline(scene: Scene) -> None:
    world, reaper = scene.world, scene.world.plugin.reaper()
    scene.sweep()
    scene.archive()
    before = scene.clock.now()
    entry = scene.sweep()
    after = scene.clock.now()

    assert (entry.verdict.value, entry.outcome, entry.protected_by, entry.reason) == ("hold", "none", "announced", "archived")
    assert entry.deadline is not None
    assert before + WINDOW <= entry.deadline <= after + WINDOW
    assert scene.mark == str(int(entry.deadline))
    assert scene.is_told()
    assert history(world) == []
    deadline = iso(entry.deadline)
    [told] = read_status(reaper).as_dict()["announced"]
    assert told == {"socket": world.server.path, "session": scene.name, "reason": "archived", "deadline": deadline}
    explained = explain_session(reaper, scene.name).as_dict()
    assert explained["deadline"] == deadline
    assert explained["evidence"]["announced"] is not None
    [rule] = [rule for rule in explained["rules"] if rule["reason"] == "archived (tick)" or "announced" in rule["held_by"]]
    assert f"announced for {deadline}" in rule["because"]
    shown = world.cli("status").stdout
    assert f"{scene.name} (archived): will be reaped in" in shown
    assert str(deadline) in shown

    scene.clock.seconds = WINDOW - TIMEOUT
    assert scene.sweep().deadline == entry.deadline, "it does not move"
    assert scene.is_told()
    scene.clock.seconds = WINDOW + 1
    assert scene.sweep().outcome == "reaped"
    assert not world.lives(scene.workspace)
    assert read_status(reaper).as_dict()["announced"] == []


def test_what_was_announced_while_the_clock_was_ahead_is_announced_again(scene: Scene) -> None:
    scene.clock.stepped = 365 * 24 * HOUR
    scene.sweep()
    scene.archive()
    ahead = scene.sweep().deadline
    scene.clock.stepped = 0
    entry = scene.sweep()
    assert (entry.protected_by, entry.deadline) == ("announced", pytest.approx(scene.clock.now() + WINDOW, abs=TIMEOUT))
    assert scene.mark == str(int(entry.deadline or 0)) != str(ahead)
    scene.clock.seconds = WINDOW - TIMEOUT
    assert scene.sweep().deadline == entry.deadline, "it does not move"
    scene.clock.seconds = WINDOW + 1
    assert scene.sweep().outcome == "reaped"


def test_an_idle_session_is_told_and_goes_at_its_deadline(worlds: Callable[..., World]) -> None:
    scene = Scene(worlds(undo_window=WINDOW, idle_ttl=HOUR))
    scene.sweep()
    scene.clock.seconds = HOUR + 10
    entry = scene.sweep()
    assert (entry.reason, entry.protected_by) == ("idle", "announced")
    assert scene.is_told()
    scene.clock.seconds += WINDOW - TIMEOUT
    scene.sweep()
    assert scene.is_told()
    scene.clock.seconds += TIMEOUT + 1
    assert scene.sweep().outcome == "reaped"


def test_an_idle_session_that_is_used_before_its_deadline_stays_and_is_told_anew(worlds: Callable[..., World]) -> None:
    scene = Scene(worlds(undo_window=WINDOW, idle_ttl=HOUR))
    scene.sweep()
    scene.clock.seconds = HOUR + 10
    scene.sweep()
    assert scene.is_told()
    client = scene.world.server.attach(scene.session)
    scene.sweep()
    client.close()
    scene.clock.seconds += WINDOW + 10
    assert scene.sweep().outcome == "none", "its deadline has passed, and no longer counts"
    assert not scene.is_told()
    scene.clock.seconds += HOUR + 10
    assert scene.sweep().protected_by == "announced"


def test_a_hook_announces_too_and_the_deadline_is_the_hooks(scene: Scene) -> None:
    scene.sweep()
    scene.archive()
    [entry] = scene.hook(WorkspaceEvent.ARCHIVED).sessions
    assert (entry.outcome, entry.protected_by) == ("none", "announced")
    mark = scene.mark
    assert scene.is_told()
    assert scene.sweep().protected_by == "announced"
    assert scene.mark == mark
    assert [one["session"] for one in read_status(scene.world.plugin.reaper()).as_dict()["announced"]] == [scene.name]
    scene.clock.seconds = WINDOW + 1
    assert scene.sweep().outcome == "reaped"


def test_what_a_hook_announced_is_in_the_status_before_the_next_tick(scene: Scene) -> None:
    scene.sweep()
    scene.archive()
    scene.hook(WorkspaceEvent.ARCHIVED)
    assert [one["session"] for one in read_status(scene.world.plugin.reaper()).as_dict()["announced"]] == [scene.name]


class Listener:
    def __init__(self, answer: dict[str, str] | None = None) -> None:
        self.answer = answer
        self.asked: list[list[Candidate]] = []

    @hookimpl
    def reaper_veto(self, candidates: Sequence[Candidate]) -> object:
        self.asked.append(list(candidates))
        return self.answer


def test_the_plugins_are_told_with_the_deadline_and_their_veto_takes_it_off(scene: Scene) -> None:
    listener = Listener()
    with WorkspacePlugins() as plugins:
        plugins.register(scene.world.plugin, "reaper")
        plugins.register(listener, "listener")
        scene.sweep()
        scene.archive()
        deadline = scene.sweep().deadline
        scene.clock.seconds = 10
        scene.sweep()
        told = [[each.deadline for each in asked] for asked in listener.asked]
        assert deadline is not None
        assert told == [[datetime.fromtimestamp(deadline, timezone.utc)]] * 2
        assert scene.is_told()
        listener.answer = {scene.name: "deploying"}
        assert scene.sweep().protected_by == "veto"
        assert not scene.is_told()
        listener.answer = None
        assert scene.sweep().protected_by == "announced"
        scene.clock.seconds = WINDOW + HOUR
        assert scene.sweep().outcome == "reaped"
        assert listener.asked[-1][0].deadline is None, "now it goes"


@pytest.mark.parametrize("reason", ["deleted", "orphan", "dead", "worktree"])
def test_whatever_needs_no_notice_is_not_announced(worlds: Callable[..., World], reason: str) -> None:
    world = worlds(undo_window=WINDOW, dead_ttl=0, orphan_confirmations=1)
    world.workspaces(2)  # so that the registry is still known for what it was
    scene = Scene(world)
    scene.sweep()
    if reason == "dead":
        scene.world.server.run(
            "set-option", "-g", "remain-on-exit", "on", ";", "respawn-pane", "-k", "-t", scene.session, "exit 0"
        )
        wait_until(lambda: scene.world.server.show(scene.session, "#{pane_dead}") == "1")
        scene.clock.seconds = 5
    elif reason == "worktree":
        scene.world.host.delete_worktree(scene.workspace)
    else:
        scene.world.host.delete(scene.workspace)
    report = scene.hook(WorkspaceEvent.DELETED) if reason == "deleted" else scene.world.sweep()
    if reason == "dead" and scene.world.entry(report, scene.workspace).outcome == "none":
        scene.clock.seconds = 10
        report = scene.world.sweep()
    gone = scene.world.entry(report, scene.workspace)
    assert (gone.outcome, gone.protected_by) == ("reaped", None)
    assert not announced(scene.world.plugin.reaper())


# Taken off


def undo(scene: Scene) -> None:
    assert cancel_announcement(scene.world.plugin.reaper()) == [scene.name]
    assert not scene.mark


def attach(scene: Scene) -> None:
    scene.world.server.attach(scene.session)


def unarchive(scene: Scene) -> None:
    scene.archive(on=False)


def keep(scene: Scene) -> None:
    keep_session(scene.world.plugin.reaper(), scene.name, on=True)


@pytest.mark.parametrize("objection", [undo, attach, unarchive, keep])
@pytest.mark.parametrize("late", [False, True], ids=["inside the window", "after it, before the sweep"])
def test_i60_it_stays_with_the_same_processes_where_somebody_objects(
    archived: Scene, objection: Callable[[Scene], None], late: bool
) -> None:
    if late:
        archived.clock.seconds = WINDOW + 10
    objection(archived)
    assert archived.sweep().outcome == "none"
    assert not archived.is_told()
    archived.clock.seconds = WINDOW + HOUR
    assert archived.sweep().outcome == "none"
    assert archived.lives_untouched()
    assert history(archived.world) == []


def attach_and_leave(scene: Scene) -> None:
    scene.world.server.attach(scene.session).detach()


def attach_leave_and_sweep(scene: Scene) -> None:
    client = scene.world.server.attach(scene.session)
    assert scene.sweep().protected_by == "attached"
    client.detach()


def keep_sweep_and_unkeep(scene: Scene) -> None:
    keep(scene)
    assert scene.sweep().protected_by == "kept"
    keep_session(scene.world.plugin.reaper(), scene.name, on=False)


@pytest.mark.parametrize("objection", [attach_and_leave, attach_leave_and_sweep, keep_sweep_and_unkeep])
def test_what_its_user_cancelled_is_not_announced_again_while_the_cause_goes_on(
    archived: Scene, objection: Callable[[Scene], None]
) -> None:
    objection(archived)
    for seconds in (WINDOW + 10, 24 * HOUR):
        archived.clock.seconds = seconds
        entry = archived.sweep()
        assert (entry.outcome, entry.protected_by) == ("none", "undone")
        assert not archived.is_told()
    archived.archive(on=False)
    archived.sweep()
    archived.archive()
    assert archived.sweep().protected_by == "announced"


def test_i93_a_client_that_attached_and_left_after_the_verdict_saves_it(archived: Scene, front_tmux: FrontTmux) -> None:
    """Archived for long, it is saved neither by what its user did just now nor by a client that is there no more."""
    archived.world.configure(archived_ttl=0)
    archived.start()
    archived.clock.seconds = WINDOW + 10
    front_tmux.rules(Rule("list-sessions", times=1, skip=1, hold="before"))
    report = sweep_during(front_tmux, lambda: attach_and_leave(archived), archived.world.sweep)
    entry = archived.world.entry(report, archived.workspace)
    assert (entry.outcome, entry.protected_by) == ("spared", "undone")
    assert archived.lives_untouched()


def test_i93_a_keep_right_before_the_kill_cancels_the_announcement(archived: Scene, front_tmux: FrontTmux) -> None:
    archived.start()
    archived.clock.seconds = WINDOW + 10
    front_tmux.rules(Rule("kill-session", times=1, hold="before"))
    mark = ("set-option", "-t", f"{archived.session}:", "@reaper_keep")
    sweep_during(front_tmux, lambda: archived.world.server.run(*mark, "1"), archived.world.sweep)
    archived.world.server.run("set-option", "-u", *mark[1:])
    entry = archived.sweep()
    assert (entry.outcome, entry.protected_by) == ("none", "undone")
    assert archived.lives_untouched()


def test_i93_a_keep_that_cancels_an_announcement_cancels_it_for_each_cause(
    worlds: Callable[..., World], front_tmux: FrontTmux
) -> None:
    """It is archived, and idle since."""
    scene = Scene(worlds(undo_window=WINDOW, idle_ttl=HOUR))
    scene.archive()
    assert scene.sweep().protected_by == "announced"
    scene.start()
    scene.clock.seconds = 2 * HOUR
    front_tmux.rules(Rule("kill-session", times=1, hold="before"))
    mark = ("set-option", "-t", f"{scene.session}:", "@reaper_keep")
    sweep_during(front_tmux, lambda: scene.world.server.run(*mark, "1"), scene.world.sweep)
    scene.world.server.run("set-option", "-u", *mark[1:])
    assert scene.sweep().protected_by == "undone"
    assert scene.lives_untouched()


def test_an_attach_right_before_the_kill_saves_it(archived: Scene, front_tmux: FrontTmux) -> None:
    archived.start()
    archived.clock.seconds = WINDOW + 10
    front_tmux.rules(Rule("kill-session", times=1, hold="before"))
    report = sweep_during(front_tmux, lambda: attach(archived), archived.world.sweep)
    assert archived.world.entry(report, archived.workspace).outcome == "spared"
    assert archived.lives_untouched()
    archived.sweep()
    assert not archived.is_told()


def test_undone_it_is_not_announced_again_while_the_cause_goes_on_and_is_after_it(archived: Scene) -> None:
    undo(archived)
    assert events(archived.world)[-1] == "announcement cancelled"
    archived.start()
    for hours in (0, 1, 24):
        archived.clock.seconds = hours * HOUR
        entry = archived.sweep()
        assert (entry.outcome, entry.protected_by) == ("none", "undone")
        [entry] = archived.hook(WorkspaceEvent.ARCHIVED).sessions
        assert (entry.outcome, entry.protected_by) == ("none", "undone")
    assert not archived.is_told()
    assert cancel_announcement(archived.world.plugin.reaper()) == ()

    archived.archive(on=False)
    archived.sweep()
    archived.archive()
    assert archived.sweep().protected_by == "announced"
    assert archived.is_told()
    archived.clock.seconds += WINDOW + 1
    assert archived.sweep().outcome == "reaped"


@pytest.mark.parametrize("meanwhile", ["unreadable", "absent"])
def test_undone_it_stays_although_a_sweep_could_not_read_its_row(archived: Scene, meanwhile: str) -> None:
    undo(archived)
    mine, another = blob(archived.workspace), blob(archived.world.host.new_id(999))
    column, now, before = {"unreadable": ("pinned", "odd", 0), "absent": ("id", another, mine)}[meanwhile]
    with connected(archived.world.host.path) as database:
        database.execute(f"UPDATE workspaces SET {column} = ? WHERE id = ?", (now, mine))
    assert archived.sweep().protected_by == {"unreadable": "unknown", "absent": "unconfirmed"}[meanwhile]
    with connected(archived.world.host.path) as database:
        database.execute(f"UPDATE workspaces SET {column} = ? WHERE archived", (before,))
    archived.clock.seconds = WINDOW + 10
    assert archived.sweep().protected_by == "undone"
    assert archived.lives_untouched()


def test_undone_it_still_goes_when_its_workspace_is_deleted(archived: Scene) -> None:
    undo(archived)
    archived.world.host.delete(archived.workspace)
    [entry] = archived.hook(WorkspaceEvent.DELETED).sessions
    assert entry.outcome == "reaped"


def test_undone_the_status_no_longer_shows_it(archived: Scene) -> None:
    undo(archived)
    assert read_status(archived.world.plugin.reaper()).as_dict()["announced"] == []


def test_those_of_one_sweep_are_taken_back_together_and_earlier_ones_stay_announced(archived: Scene) -> None:
    later = [Scene(archived.world, clock=archived.clock) for _ in range(2)]
    archived.clock.seconds = 10
    archived.sweep()
    for one in later:
        one.archive()
    archived.sweep()
    assert all(one.is_told() for one in (archived, *later))

    assert set(cancel_announcement(archived.world.plugin.reaper())) == {one.name for one in later}

    assert not any(one.is_told() for one in later)
    assert archived.is_told()
    assert cancel_announcement(archived.world.plugin.reaper()) == [archived.name]


def test_switched_off_what_is_announced_goes_at_once(archived: Scene) -> None:
    archived.world.configure(undo_window=0)
    archived.start()
    assert archived.sweep().outcome == "reaped"


def test_a_dry_run_announces_nothing_and_takes_nothing_back(scene: Scene) -> None:
    scene.sweep()
    scene.archive()
    assert scene.sweep(dry_run=True).protected_by == "announced"
    assert not scene.is_told()
    assert events(scene.world) == []
    scene.sweep()
    mark = scene.mark
    keep(scene)
    scene.sweep(dry_run=True)
    assert (scene.mark, scene.is_announced) == (mark, True)


def test_a_mark_that_somebody_else_set_means_nothing(scene: Scene) -> None:
    scene.world.server.set_option(scene.session, "@reaper_deadline", "1")
    assert scene.sweep().outcome == "none"
    scene.archive()
    assert scene.sweep().protected_by == "announced"
    assert int(scene.mark) > 1


# The command


def test_the_command_undo_takes_back_what_is_announced_and_restores_nothing(archived: Scene) -> None:
    world = archived.world
    done = world.cli("undo", "--as", "other", "--force")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{archived.name} stays: its announcement is cancelled" in done.stdout
    assert "were ignored" in done.stdout
    assert archived.lives_untouched()
    assert not archived.mark
    assert len(world.server.session_ids()) == 1
    assert archived.sweep().protected_by == "undone"


def test_the_command_undo_restores_once_the_announced_one_is_gone(archived: Scene) -> None:
    """The ledger has the announcement until the next full sweep: it must not say that it stays."""
    archived.world.workspaces(1)  # so that the server lives on
    archived.clock.seconds = WINDOW + 10
    assert archived.sweep().outcome == "reaped"
    done = archived.world.cli("undo")
    assert (done.returncode, done.stderr) == (0, "")
    assert "is restored on" in done.stdout
    assert archived.world.lives(archived.workspace)
