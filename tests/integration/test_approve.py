"""``sweep --approve``: exactly what was shown goes, whatever happens between the question and the answer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.tools.command_line import CommandLine, Operator
from tests.tools.hosts import VibeKanbanHost
from tests.tools.tmux import TmuxServer
from tests.tools.world import World, outcomes, session_name
from workspace_reaper.operations.sessions import keep_session
from workspace_reaper.operations.status import read_breaker

pytestmark = pytest.mark.once

QUESTION = "Reap exactly these 4 sessions?"


def state(world: World) -> tuple[bool, int, int]:
    """Whether the breaker is latched, by how many sessions, and how many it lets pass."""
    breaker = read_breaker(world.plugin.reaper())
    return breaker.latched, len(breaker.tripped), len(breaker.approved)


def interrupted() -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    "operator",
    [Operator("n\n"), Operator("\n"), Operator(""), Operator("y\n", interrupted)],
    ids=["no", "enter", "end of input", "Ctrl-C"],
)
def test_what_is_not_yes_changes_nothing(reaper: CommandLine, latched: list[str], operator: Operator) -> None:
    world = reaper.world
    done = reaper("sweep", "--approve", stdin=operator)
    assert done.code == 1
    assert QUESTION in done.out + done.err
    assert all(map(world.lives, latched))
    assert state(world) == (True, 4, 0)


@pytest.mark.parametrize("answer", ["", "y\n"], ids=["nothing", "a yes"])
def test_where_nobody_can_be_asked_it_is_said_what_to_do(reaper: CommandLine, latched: list[str], answer: str) -> None:
    """Also where a pipe says yes: to what, it has not seen."""
    done = reaper("sweep", "--approve", stdin=answer)
    assert done.code == 2
    assert (
        "standard input is no terminal, so no question can be asked: run 'workspace-reaper sweep --dry-run', then add --yes"
        in done.err
    )
    assert all(map(reaper.world.lives, latched))
    assert state(reaper.world) == (True, 4, 0)


def test_it_shows_all_that_tells_which_session_it_is_and_why(reaper: CommandLine, latched: list[str]) -> None:
    world = reaper.world
    done = reaper("sweep", "--approve", stdin=Operator("n\n"))
    lines = done.out.split("\n")
    assert lines[0].split("  ")[0] == "SESSION"
    ids = {entry.workspace_id: str(entry.session_id) for entry in world.sweep(dry_run=True).sessions}
    for one in latched:
        [line] = [line for line in lines if line.startswith(session_name(world.schema, one))]
        _, session_id, workspace_id, reason, held_by, _age, _unit, _idle, _unit, socket = line.split()
        assert (session_id, workspace_id, reason, held_by, socket) == (ids[one], one, "orphan", "breaker", world.server.path)


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [((), Operator("y\n")), (("--yes",), ""), (("--yes", "--json"), "")],
    ids=["asked", "yes", "json"],
)
def test_it_lets_go_exactly_what_it_showed(
    reaper: CommandLine, latched: list[str], arguments: tuple[str, ...], answer: str | Operator
) -> None:
    world = reaper.world
    watched = world.server.attach(world.server.run("list-sessions", "-F", "#{session_id}").split()[1])
    done = reaper("sweep", "--approve", *arguments, stdin=answer)
    assert done.code == 3, "one of those that tripped it was not in the list: the breaker holds on"
    assert sum(map(world.lives, latched)) == 1
    if "--json" in arguments:
        assert done.json["totals"]["reaped"] == 3
    watched.kill()
    assert reaper("sweep").code == 3
    reaper("sweep", "--approve", "--yes")
    assert not any(map(world.lives, latched))
    assert [reaper("sweep").code for _ in range(3)][-1] == 0
    assert "nothing is waiting for approval" in reaper("sweep", "--approve").out
    assert reaper("sweep", "--approve", "--yes", "--json").json["totals"]["managed"] == 1


def test_it_tells_what_could_not_be_seen(reaper: CommandLine, latched: list[str]) -> None:
    with TmuxServer() as blind:
        Path(blind.path).write_text("no socket")
        reaper.world.configure(tmux_sockets=[reaper.world.server.path, blind.path])
        done = reaper("sweep", "--approve", stdin=Operator("n\n"))
        before, _, _ = done.out.partition(QUESTION)
        assert "UNKNOWN socket" in before
        assert blind.path in before
    assert all(map(reaper.world.lives, latched))


# Between the question and the answer

Meanwhile = Callable[[World, list[str]], str]
"""Does something to the first one; the workspace whose session must live."""


def another_orphan(world: World, ids: list[str]) -> str:
    """Confirmed by sweeps of another process, and held back by nothing but the breaker when the answer comes."""
    later = world.workspace()
    world.session(later)
    plugin = world.new_plugin()
    plugin.sweep()
    world.host.delete(later)
    assert [{e.workspace_id: e.protected_by for e in plugin.sweep().sessions}[later] for _ in range(3)][-1] == "breaker"
    return later


def made_again(world: World, ids: list[str]) -> str:
    """A session of the same name is not the same session."""
    world.server.run("kill-session", "-t", f"={session_name(world.schema, ids[0])}:")
    world.session(ids[0])
    return ids[0]


def known_again(world: World, ids: list[str]) -> str:
    world.host.insert(ids[:1])
    return ids[0]


def attached(world: World, ids: list[str]) -> str:
    named = world.server.run("list-sessions", "-F", "#{session_id} #{session_name}").split("\n")
    [session_id] = [line.split()[0] for line in named if line.endswith(session_name(world.schema, ids[0]))]
    world.server.attach(session_id)
    return ids[0]


def kept(world: World, ids: list[str]) -> str:
    keep_session(world.plugin.reaper(), session_name(world.schema, ids[0]), on=True)
    return ids[0]


@pytest.mark.parametrize("meanwhile", [another_orphan, made_again, known_again, attached, kept])
def test_who_came_since_or_lives_again_does_not_go(reaper: CommandLine, latched: list[str], meanwhile: Meanwhile) -> None:
    world, spared = reaper.world, ""

    def happens() -> None:
        nonlocal spared
        spared = meanwhile(world, latched)

    done = reaper("sweep", "--approve", stdin=Operator("y\n", happens))
    assert done.code in (0, 3)
    assert world.lives(spared)
    assert not any(world.lives(one) for one in latched if one != spared), "and what was shown goes"


def test_what_was_let_go_and_is_known_again_is_held_back_when_it_vanishes_again(
    reaper: CommandLine, latched: list[str]
) -> None:
    """The operator spoke of another absence."""
    world = reaper.world
    reaper("sweep", "--approve", stdin=Operator("y\n", lambda: known_again(world, latched)))
    assert state(world)[0], "one of those that tripped it did not go"
    assert world.sweep().latched
    world.host.delete(latched[0])
    reports = [world.sweep() for _ in range(3)]
    assert world.entry(reports[-1], latched[0]).protected_by == "breaker"


def test_what_is_known_again_while_a_socket_is_silent_is_let_go_no_longer(world: World, latched: list[str]) -> None:
    """Such a sweep does not move the breaker, and it has seen the row."""
    shown = world.sweep(dry_run=True)
    keys = {entry.workspace_id: entry.key for entry in shown.sessions}
    watched = world.server.attach(str(world.entry(shown, latched[0]).session_id))
    world.sweep(approve=[key for one in latched if (key := keys[one])], shown=shown)
    assert world.lives(latched[0])
    assert state(world)[2] == 4
    with TmuxServer() as silent:
        Path(silent.path).write_text("no socket")
        world.configure(tmux_sockets=[world.server.path, silent.path])
        world.host.insert(latched[:1])
        assert world.sweep().exit_code == 3
        assert keys[latched[0]] not in read_breaker(world.plugin.reaper()).approved
    watched.kill()


@pytest.mark.parametrize("when", ["while it is asked", "seen by another sweep while it is asked", "after it was said"])
def test_under_another_registry_nothing_is_let_go(reaper: CommandLine, latched: list[str], when: str) -> None:
    """The absence that was shown was another one's. Here no time protects a stranger."""
    world = reaper.world
    world.configure(stranger_ttl=0)
    stranger = VibeKanbanHost(world.tmp / "stranger.sqlite")
    stranger.create()
    known = stranger.new_id(1000)
    stranger.insert([known])
    world.session(known)

    def replaced() -> None:
        stranger.path.replace(world.host.path)
        if when.startswith("seen"):
            world.new_plugin().sweep()

    if when == "after it was said":
        named = [world.entry(world.sweep(dry_run=True), one) for one in latched]
        clients = [world.server.attach(str(entry.session_id)) for entry in named]
        world.plugin.sweep(approve=[entry.key for entry in named if entry.key])
        assert all(map(world.lives, latched)), "somebody looks at each of them"
        replaced()
        world.sweep()
        for client in clients:
            client.kill()
    else:
        done = reaper("sweep", "--approve", stdin=Operator("y\n", replaced))
        assert done.code == 3
        assert "no session was approved: the registry has changed" in done.err
    reports = [world.sweep() for _ in range(4)]
    assert {outcome for report in reports for outcome in outcomes(report).values()} == {"none"}
    assert all(map(world.lives, latched))
    # The other registry has lost their rows, and they were known before it came: they hold the breaker.
    assert {world.entry(reports[-1], one).protected_by for one in latched} == {"breaker"}
