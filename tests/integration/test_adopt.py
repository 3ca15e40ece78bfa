"""``adopt``: sessions with a stamp that nobody serves are taken over, exactly what was shown, and no stranger is proven."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.faults.steps import events
from tests.tools.clocks import Later
from tests.tools.command_line import CommandLine, Operator
from tests.tools.front_tmux import FrontTmux, Rule
from tests.tools.hosts import VibeKanbanHost
from tests.tools.world import World, outcomes, session_name
from workspace_reaper.model.errors import AmbiguousSession, NoSuchSession, UnreadableSocket
from workspace_reaper.operations import adopt as adoption

pytestmark = pytest.mark.once

Worlds = Callable[..., World]
LOST = "0123456789abcdef"
HOUR = 3600


@pytest.fixture
def lost(world: World) -> tuple[list[str], list[str]]:
    """The workspaces of sessions whose ledger was lost: two that the registry has, and two that it never had in our time."""
    ids = world.workspaces(4)
    world.sweep()
    world.plugin.close()
    shutil.rmtree(world.state_dir)
    world.configure()
    world.host.delete(*ids[2:])
    assert world.sweep().unmanaged == 4
    return ids[:2], ids[2:]


def stamps(world: World) -> dict[str, str]:
    """The stamps, by the sessions' names."""
    lines = world.server.run("list-sessions", "-F", "#{session_name} #{@workspace_owner}").split("\n")
    return dict(line.split(" ", 1) for line in lines)


def stamp_of(world: World, workspace_id: str) -> str:
    return stamps(world)[session_name(world.schema, workspace_id)]


def ours(world: World) -> str:
    with world.plugin.reaper().reading() as ledger:
        return ledger.registry().owner_id


def test_it_shows_asks_and_takes_over_what_the_registry_has(reaper: CommandLine, lost: tuple[list[str], list[str]]) -> None:
    world, (here, gone) = reaper.world, lost
    theirs = stamp_of(world, here[0])
    done = reaper("adopt", stdin=Operator("y\n"))
    assert done.code == 0
    for one in [*here, *gone]:
        [line] = [line for line in done.out.split("\n") if line.startswith(session_name(world.schema, one))]
        assert one in line
        assert theirs in line
        assert world.server.path in line
        expected = "in it now managed" if one in here else "never in it mark removed: reaped once idle for"
        assert expected in " ".join(line.split())
    assert "This command cannot see whether a reaper still uses one of these owner marks." in done.out
    assert "Take over exactly these 4 sessions?" in done.out + done.err
    assert "2 sessions are managed now, and from 2 the mark was removed" in done.out
    assert [stamp_of(world, one) for one in [*here, *gone]] == [ours(world)] * 2 + [""] * 2
    assert events(world)[-2:] == ["adopting", "adopted"]
    assert reaper("adopt").out == "no session that could be read is marked as owned by another registry\n"
    # From now on it is as if they had always been here.
    world.host.archive(here[0])
    assert outcomes(world.sweep())[here[0]] == "reaped"


def test_a_stranger_that_is_taken_over_stays_one(world: World, lost: tuple[list[str], list[str]]) -> None:
    """With our stamp it would seem that this registry has known it, and it would go as an orphan in the second sweep."""
    _, (gone, also) = lost
    reaper = world.plugin.reaper()
    adoption.adopt(reaper, adoption.find(reaper))
    clock = Later()
    reaper.clock = clock
    reaper.dependencies = replace(reaper.dependencies, clock=reaper.clock)
    for _ in range(11):
        report = world.sweep()
        assert {world.entry(report, one).protected_by for one in (gone, also)} == {"unproven"}
        clock.seconds += HOUR
    clock.seconds += 2 * HOUR
    world.sweep()
    assert not world.lives(gone), "the rule for strangers is what decides"


@pytest.mark.parametrize("answer", [Operator("n\n"), Operator(""), "y\n"], ids=["no", "end of input", "no terminal"])
def test_what_is_not_yes_changes_nothing(
    reaper: CommandLine, lost: tuple[list[str], list[str]], answer: str | Operator
) -> None:
    before = stamps(reaper.world)
    done = reaper("adopt", stdin=answer)
    assert done.code == (2 if isinstance(answer, str) else 1)
    assert stamps(reaper.world) == before
    assert "adopting" not in events(reaper.world)


def test_only_those_that_are_named(reaper: CommandLine, lost: tuple[list[str], list[str]]) -> None:
    world, (here, gone) = reaper.world, lost
    [session_id] = [
        line.split()[1]
        for line in world.server.run("list-sessions", "-F", "#{session_name} #{session_id}").split("\n")
        if line.startswith(session_name(world.schema, gone[0]))
    ]
    told = reaper("adopt", session_name(world.schema, here[1]), session_id, "--yes", "--json")
    assert {entry["workspace_id"]: entry["outcome"] for entry in told.json["sessions"]} == {
        here[1]: "managed",
        gone[0]: "unmarked",
    }
    assert [stamp_of(world, one) == "" for one in (gone[0], gone[1])] == [True, False]
    assert stamp_of(world, here[0]) not in ("", ours(world))
    listed = reaper("adopt", "--json")
    assert (listed.code, {entry["outcome"] for entry in listed.json["sessions"]}) == (0, {"none"})
    assert reaper("adopt", "nobody", "--yes").code == 2
    assert "'adopt' without a name lists all that do" in reaper("adopt", session_name(world.schema, here[1]), "--yes").err


def test_a_name_on_two_sockets_and_a_socket_that_is_silent(worlds: Worlds, front_tmux: FrontTmux) -> None:
    world = worlds(servers=2)
    one = world.workspace()
    for server in world.servers:
        server.set_option(world.session(one, server=server), "@workspace_owner", LOST)
    reaper, name = world.plugin.reaper(), session_name(world.schema, one)
    with pytest.raises(AmbiguousSession, match=world.servers[1].path):
        adoption.find(reaper, [name])
    assert len(adoption.find(reaper, [name], world.servers[1].path).sessions) == 1
    front_tmux.rules(Rule("list-sessions", skip=1, exit_code=1, stderr="lost server\n"))
    with pytest.raises(UnreadableSocket):
        adoption.find(reaper, [name])
    front_tmux.rules(Rule("list-sessions", skip=1, exit_code=1, stderr="lost server\n"))
    found = adoption.find(reaper)
    assert (len(found.sessions), len(found.unknown)) == (1, 1)
    front_tmux.rules()
    with pytest.raises(NoSuchSession):
        adoption.find(reaper, ["$77"])


# Between the question and the answer

Meanwhile = Callable[[World, str], None]
"""Does something to the session of this workspace."""


def made_again(world: World, one: str) -> None:
    name = session_name(world.schema, one)
    world.server.run("kill-session", "-t", f"={name}:")
    world.server.set_option(world.session(one), "@workspace_owner", LOST)


def marked_by_another(world: World, one: str) -> None:
    """A third reaper has taken it over."""
    world.server.run("set-option", "-t", f"={session_name(world.schema, one)}:", "@workspace_owner", "feed")


def unmarked(world: World, one: str) -> None:
    world.server.run("set-option", "-u", "-t", f"={session_name(world.schema, one)}:", "@workspace_owner")


def deleted(world: World, one: str) -> None:
    world.host.delete(one)


@pytest.mark.parametrize("meanwhile", [made_again, marked_by_another, unmarked, deleted])
def test_exactly_what_was_shown(reaper: CommandLine, lost: tuple[list[str], list[str]], meanwhile: Meanwhile) -> None:
    world, (here, gone) = reaper.world, lost
    done = reaper("adopt", stdin=Operator("y\n", lambda: meanwhile(world, here[0])))
    assert done.code == 1
    assert f"LEFT {session_name(world.schema, here[0])}" in done.out
    assert stamp_of(world, here[0]) != ours(world)
    assert [stamp_of(world, one) for one in [here[1], *gone]] == [ours(world), "", ""]


def test_one_that_came_since_is_not_taken(reaper: CommandLine, lost: tuple[list[str], list[str]]) -> None:
    world, later = reaper.world, reaper.world.workspace()

    def comes() -> None:
        world.server.set_option(world.session(later), "@workspace_owner", LOST)

    assert reaper("adopt", stdin=Operator("y\n", comes)).code == 0
    assert stamp_of(world, later) == LOST


def test_under_another_registry_none_is_taken(reaper: CommandLine, lost: tuple[list[str], list[str]]) -> None:
    world, before = reaper.world, stamps(reaper.world)
    other = VibeKanbanHost(world.tmp / "other.sqlite")
    other.create()
    other.insert(lost[0])
    assert reaper("adopt", stdin=Operator("y\n", lambda: other.path.replace(world.host.path))).code == 1
    assert stamps(world) == before


@pytest.mark.parametrize("owner", ["theirs", "a\nowner $0 ff\t}", "#{pid}", "'; kill-server ; '"])
def test_a_mark_that_no_reaper_has_set_is_left_alone(reaper: CommandLine, owner: str) -> None:
    world = reaper.world
    session_id = world.session(world.workspace())
    world.server.set_option(session_id, "@workspace_owner", owner)
    done = reaper("adopt", "--yes")
    assert done.code == 0
    assert "left alone: this mark was not set by a reaper" in done.out
    assert world.server.run("list-sessions", "-F", "#{@workspace_owner}") == owner
    assert done.out == reaper("adopt", "--yes").out


def test_without_the_registry_nothing_is_shown_and_nothing_taken(
    reaper: CommandLine, lost: tuple[list[str], list[str]]
) -> None:
    world, before = reaper.world, stamps(reaper.world)
    world.host.path.rename(world.tmp / "away")
    done = reaper("adopt", "--yes")
    assert done.code == 3
    assert "UNKNOWN registry" in done.out
    assert stamps(world) == before


def test_a_reaper_that_serves_them_after_all_loses_nothing(world: World) -> None:
    """The operator was wrong. What the other does not know is a stranger to it, and its own marks it again."""
    theirs = VibeKanbanHost(world.tmp / "theirs.sqlite")
    theirs.create()
    other = world.second("other", theirs)
    [mine] = world.workspaces(1)
    world.sweep()
    before = stamp_of(world, mine)
    reaper = other.plugin.reaper()
    assert len(adoption.adopt(reaper, adoption.find(reaper))) == 1
    assert stamp_of(world, mine) == ""
    assert other.entry(other.sweep(), mine).protected_by == "unproven"
    assert outcomes(world.sweep()) == {mine: "none"}
    assert stamp_of(world, mine) == before
    assert other.sweep().sessions == []
