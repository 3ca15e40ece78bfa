"""Two reapers at once: with one state directory, with two, with two databases. Each session is reaped once, by its own."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.tools import commands
from tests.tools.front_tmux import FrontTmux, Rule
from tests.tools.hosts import VibeKanbanHost
from tests.tools.waiting import wait_until
from tests.tools.world import World, session_name
from workspace_reaper.operations.status import read_history
from workspace_reaper.sweep.report import SweepReport

pytestmark = pytest.mark.once


def at_once(*sweeps: Callable[[], SweepReport]) -> list[SweepReport]:
    with ThreadPoolExecutor(len(sweeps)) as pool:
        return [running.result(60) for running in [pool.submit(sweep) for sweep in sweeps]]


def in_one_batch(*worlds: World) -> None:
    """What goes while a later batch waits has no panes left to keep, which is told as well."""
    for world in worlds:
        world.plugin.reaper().state.batch_size.size = 25


def lines(*worlds: World) -> Counter[tuple[str, str, str | None]]:
    """What the ledgers of these tell: workspace, outcome, why; and how often."""
    found: Counter[tuple[str, str, str | None]] = Counter()
    for world in worlds:
        reaps = read_history(world.plugin.reaper(), 1000)
        found.update((reap.intent.workspace_id, reap.outcome, reap.why) for reap in reaps)
    return found


def each_once(ids: list[str]) -> Counter[tuple[str, str, str | None]]:
    return Counter((one, "reaped", None) for one in ids)


def survivors(world: World) -> set[str]:
    """The names of the sessions that are left."""
    return set(world.server.run("list-sessions", "-F", "#{session_name}", check=False).split())


def test_threads_with_one_state_directory(world: World) -> None:
    known, archived = world.workspaces(1), world.workspaces(20, archived=True)
    reports = at_once(*(world.new_plugin().sweep for _ in range(3)))
    assert sum(report.count("reaped") for report in reports) == 20
    assert {report.exit_code for report in reports} == {0}
    assert lines(world) == each_once(archived)
    assert survivors(world) == {session_name(world.schema, known[0])}


def test_one_plugin_in_several_threads(world: World) -> None:
    """A host's tick and a call of ``sweep`` at the same time."""
    world.workspaces(1)
    archived = world.workspaces(20, archived=True)
    reports = at_once(*[world.plugin.sweep] * 3)
    assert sum(report.count("reaped") for report in reports) == 20
    assert lines(world) == each_once(archived)


def test_processes_with_one_state_directory(world: World) -> None:
    world.workspaces(1)
    archived = world.workspaces(20, archived=True)
    world.write_config()
    command = ["--config", str(world.config), "sweep", "--json"]
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(commands.run, command, env=world.environment(), cwd=world.tmp) for _ in range(2)]
        ended = [one.result() for one in both]
    assert [one.returncode for one in ended] == [0, 0]
    answers = [json.loads(one.stdout) for one in ended]
    assert sum(answer["totals"]["reaped"] for answer in answers) == 20
    assert sum(answer["totals"]["spared"] + answer["totals"]["failed"] for answer in answers) == 0
    assert lines(world) == each_once(archived)


def test_two_state_directories_and_one_database(world: World) -> None:
    """The second finds the marks of the first on every session: not its own."""
    ids = world.workspaces(20)
    other = world.second("b")
    world.plugin.reaper().state.marks_at_once.size = 20
    world.sweep()
    for one in ids[1:]:
        world.host.archive(one)
    reports = at_once(world.sweep, other.sweep)
    assert [report.count("reaped") for report in reports] == [19, 0]
    assert reports[1].unmanaged in range(1, 21)
    assert lines(world) == each_once(ids[1:])
    assert lines(other) == Counter()
    assert survivors(world) == {session_name(world.schema, ids[0])}


def test_two_state_directories_that_list_before_either_has_marked(world: World, front_tmux: FrontTmux) -> None:
    """Both take the sessions for theirs. One kills; the other finds them gone, and says no more."""
    archived = world.workspaces(20, archived=True)
    other = world.second("b")
    in_one_batch(world, other)
    # The second listing is the recheck.
    front_tmux.rules(Rule("list-sessions", skip=1, times=1, hold="before"))
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(world.sweep)
        wait_until(front_tmux.is_held)
        quick = other.sweep()
        front_tmux.release()
        late = slow.result(60)
    assert quick.count("reaped") == 20
    assert (late.count("reaped"), late.count("spared"), late.exit_code) == (0, 20, 0)
    assert lines(other) == each_once(archived)
    assert lines(world) == Counter((one, "spared", "gone") for one in archived)


def test_two_state_directories_at_once_reap_each_session_once(world: World) -> None:
    """One session stays. A server that one of them ended would take the other's answers with it."""
    archived = world.workspaces(20, archived=True)
    stays = world.workspace()
    world.session(stays)
    other = world.second("b")
    in_one_batch(world, other)
    at_once(world.sweep, other.sweep)
    at_once(world.sweep, other.sweep)
    assert survivors(world) == {session_name(world.schema, stays)}
    both = lines(world, other)
    assert {told: count for told, count in both.items() if told[1] == "reaped"} == each_once(archived)
    assert {told[1:] for told in both} <= {("reaped", None), ("spared", "gone"), ("spared", "unmanaged")}


MIDDLE = {
    "before the recheck": Rule("list-sessions", skip=1, times=1, hold="before"),
    "before the kill": Rule("kill-session", times=1, hold="before"),
}


@pytest.mark.parametrize("joint", MIDDLE.values(), ids=MIDDLE)
def test_a_session_that_another_registry_marks_in_the_middle_is_spared(
    world: World, front_tmux: FrontTmux, joint: dict[str, object]
) -> None:
    """The other database has the same workspaces, and they live there. It marked them after our listing."""
    ids = world.workspaces(3, archived=True)
    living = VibeKanbanHost(world.tmp / "living.sqlite")
    living.create()
    living.insert(ids)
    other = world.second("b", living)
    front_tmux.rules(joint)
    with ThreadPoolExecutor(1) as pool:
        ours = pool.submit(world.sweep)
        wait_until(front_tmux.is_held)
        assert {entry.outcome for entry in other.sweep().sessions} == {"none"}
        front_tmux.release()
        report = ours.result(60)
    assert {(entry.outcome, entry.protected_by) for entry in report.sessions} == {("spared", "unmanaged")}
    assert survivors(world) == {session_name(world.schema, one) for one in ids}


def test_i15_two_databases_on_one_socket(world: World) -> None:
    """Neither kills what the other knows, although no time protects a stranger here."""
    theirs = VibeKanbanHost(world.tmp / "theirs.sqlite")
    theirs.create()
    other = world.second("b", theirs, stranger_ttl=0)
    world.configure(stranger_ttl=0)
    ours_known, ours_archived = world.workspaces(5), world.workspaces(5, archived=True)
    theirs_known = [world.host.new_id(number) for number in range(100, 105)]
    theirs_archived = [world.host.new_id(number) for number in range(200, 205)]
    theirs.insert(theirs_known)
    theirs.insert(theirs_archived, archived=True)
    world.server.new_sessions([session_name(world.schema, one) for one in theirs_known + theirs_archived])

    for _ in range(4):
        at_once(world.sweep, other.sweep)

    assert survivors(world) == {session_name(world.schema, one) for one in ours_known + theirs_known}
    assert lines(world) == each_once(ours_archived)
    assert lines(other) == each_once(theirs_archived)
