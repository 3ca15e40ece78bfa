"""Family B of the public incidents: the wrong target died. One test or more for each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.conftest import Erring
from tests.faults.steps import history, sweep_during
from tests.tools.front_tmux import Rule
from tests.tools.tmux import TmuxServer, clean_environment
from tests.tools.waiting import wait_until
from tests.tools.world import World, outcomes, session_name

Worlds = Callable[..., World]

ROOT = Path(__file__).resolve().parents[2]


def names(server: TmuxServer) -> set[str]:
    return set(server.run("list-sessions", "-F", "#{session_name}", check=False).split("\n")) - {""}


def test_i17_killing_a_session_kills_none_whose_name_begins_with_its_own(worlds: Worlds) -> None:
    """Killing ``x`` killed ``x-two``: ``-t`` falls back to a prefix, then to a pattern."""
    world = worlds("standard", session_patterns=["ws-(?P<id>.+)"])
    archived, live = ["a", "[a-z]*", "="], ["ab", "a-two", "abc", "$0", "@0", "%0"]
    world.host.insert(archived, archived=True)
    world.host.insert(live)
    for one in [*live, *archived]:
        world.session(one)

    report = world.sweep()

    assert {one for one, outcome in outcomes(report).items() if outcome == "reaped"} == set(archived)
    assert names(world.server) == {session_name("standard", one) for one in live}


@pytest.mark.parametrize("attached", [False, True], ids=["nobody attached", "a client attached elsewhere"])
def test_i17_a_session_that_ends_before_its_kill_takes_no_other_with_it(worlds: Worlds, erring: Erring, attached: bool) -> None:
    """Killing ``x`` killed ``x-two``: only ``ab`` exists, and ``a`` is to be killed."""
    world = worlds("standard")
    world.host.insert(["a"])
    world.host.insert(["ab"])
    session_id, other_id = world.session("a"), world.session("ab")
    world.sweep()
    if attached:
        world.server.attach(other_id)
    world.host.archive("a")

    with erring(Rule("kill-session", times=1, hold="before")) as front:
        report = sweep_during(front, lambda: world.server.run("kill-session", "-t", session_id), world.sweep)

    assert (world.entry(report, "a").outcome, world.entry(report, "a").protected_by) == ("spared", "gone")
    assert names(world.server) == {"ws-ab"}
    assert history(world) == [("a", "spared", "gone")]


def test_i19_names_with_colons_and_dots_go_the_whole_way(worlds: Worlds) -> None:
    """Teardown "succeeded" and removed nothing: tmux rewrites ``:`` and ``.`` to ``_``."""
    world = worlds("standard", session_patterns=["ws-(?P<id>.+)"])
    texts = ["a.b", "a:0", "b.0", "a:b.c", "x::", "=a:b", "end."]
    bystanders = [world.session(one) for one in ("a", "0", "b")]
    made = {world.session(text): text for text in texts}
    # The host knows each session by the name that it really has.
    ids = {session: world.server.show(session, "#{session_name}").removeprefix("ws-") for session in made}
    world.host.insert(sorted(set(ids.values())), archived=True)
    world.host.insert(["a", "0", "b"])

    report = world.sweep()

    assert {entry.session_id: entry.outcome for entry in report.sessions} == {
        **dict.fromkeys(ids, "reaped"),
        **dict.fromkeys(bystanders, "none"),
    }
    assert world.server.session_ids() == set(bystanders)
    assert len(history(world)) == len(texts)


def test_i19_a_name_that_tmux_rewrote_is_no_workspace_that_vanished(worlds: Worlds) -> None:
    """Teardown "succeeded" and removed nothing: the host's own name for the session is not tmux's."""
    world = worlds("standard", session_patterns=["ws-(?P<id>.+)"])
    world.host.insert(["a.b", "c"])
    rewritten = world.session("a.b")
    world.session("c")
    for _ in range(3):
        report = world.sweep()
        entry = next(entry for entry in report.sessions if entry.session_id == rewritten)
        assert (entry.outcome, entry.protected_by) in {("none", "unknown"), ("none", None)}
    assert rewritten in world.server.session_ids()


FOREIGN = [
    "main",
    "0",
    "vibe-kanban",
    "vk_",
    "vk_short",
    "vk_" + "0" * 31,
    "vk_" + "0" * 33,
    "vk_" + "G" * 32,
    "VK_" + "0" * 32,
    "bc-" + "0" * 32,
    "xvk_" + "0" * 32,
    "vk_" + "0" * 32 + "-old",
    "ws-thing",
    "überflüssig",
]


def test_i20_the_users_own_sessions_are_never_touched(world: World) -> None:
    """The user's own sessions were killed: only some prefixes were protected."""
    for name in FOREIGN:
        world.server.new_session(name)
    world.configure(stranger_ttl=0, idle_ttl=0, dead_ttl=0, orphan_confirmations=1)
    archived, live = world.workspace(archived=True), world.workspace(pinned=True)
    world.session(archived)
    world.session(live)

    reports = [world.sweep() for _ in range(4)]

    assert [report.unmanaged for report in reports] == [len(FOREIGN)] * 4
    assert outcomes(reports[0]) == {archived: "reaped", live: "none"}
    assert names(world.server) == {*FOREIGN, session_name(world.schema, live)}
    # Nothing of theirs is marked either.
    marks = world.server.run("list-sessions", "-F", "#{session_name}=#{@workspace_owner}").split("\n")
    assert {mark for mark in marks if not mark.endswith("=")} == {mark for mark in marks if mark.startswith("vk_" + live[:8])}


def test_i20_a_hook_that_names_a_users_session_does_not_touch_it(world: World) -> None:
    """The user's own sessions were killed: what was asked for by name was taken for ours."""
    for name in ("main", "deploy"):
        world.server.new_session(name)
    archived = world.workspace(archived=True)
    world.session(archived)
    for named in ("main", "deploy", "=main", "*", "", "$0"):
        world.plugin.on_workspace_deleted(named)
    world.plugin.on_workspace_archived(archived)
    wait_until(lambda: not world.lives(archived))
    assert names(world.server) == {"main", "deploy"}


def test_i21_detached_sessions_of_others_always_survive(world: World) -> None:
    """A hook killed every detached tmux session: "not attached" was taken for "orphan"."""
    foreign = ["one", "two", "three"]
    for name in foreign:
        world.server.new_session(name)
    world.configure(stranger_ttl=0, idle_ttl=0, orphan_confirmations=1)
    # Also where there is nothing at all of ours, in the registry or on the socket.
    for _ in range(3):
        assert world.sweep().sessions == []
    world.plugin.on_workspace_deleted(world.host.new_id(7))
    world.plugin.on_tick(None)  # type: ignore[arg-type]
    assert world.plugin.drain(30)
    assert names(world.server) == set(foreign)


@pytest.fixture
def decoy(short_tmp: Path) -> Iterator[TmuxServer]:
    """A user's tmux server in the very place where a bare ``tmux`` of this environment finds it."""
    directory = short_tmp / f"tmux-{os.getuid()}"
    directory.mkdir(mode=0o700)
    with TmuxServer(name="default", directory=directory) as server:
        server.new_session("work")
        server.new_session("vk_" + "0" * 32)
        server.new_session("ws-thing")
        yield server


def run_inside(decoy: TmuxServer, tmp: Path, command: list[str], **environ: str) -> str:
    """Run the command in a pane of the decoy, as a user would who types it there; what it printed, if it ended with 0."""
    output, ended = tmp / "output", tmp / "ended"
    script = tmp / "run.sh"
    exports = "".join(f"export {name}='{value}'\n" for name, value in environ.items())
    quoted = " ".join(f"'{word}'" for word in command)
    script.write_text(
        f"cd '{ROOT}'\nexport TMUX_TMPDIR='{decoy.directory.parent}'\n{exports}{quoted} >'{output}' 2>&1 </dev/null\n"
        f"echo $? >'{ended}.new'\nmv '{ended}.new' '{ended}'\nexec sleep 100000\n"
    )
    session_id = decoy.new_session("typing", f"exec sh '{script}'")
    wait_until(ended.exists, 60)
    assert ended.read_text() == "0\n", output.read_text()
    assert session_id in decoy.session_ids()
    return output.read_text()


def test_i27_our_own_tests_run_inside_a_pane_and_leave_that_server_alone(decoy: TmuxServer, tmp_path: Path) -> None:
    """Test suites killed live servers: a bare ``kill-server``, and ``$TMUX`` overrides ``TMUX_TMPDIR``."""
    ours = tmp_path / "test_inside.py"
    ours.write_text(
        "import os\n"
        "from tests.conftest import *\n"
        "from tests.tools.world import outcomes\n"
        "def test_inside(world):\n"
        "    assert os.environ['TMUX'].startswith(os.environ['TMUX_TMPDIR'])\n"
        "    archived, live = world.workspace(archived=True), world.workspace()\n"
        "    clients = [world.server.attach(world.session(one)) for one in (live,)]\n"
        "    world.session(archived)\n"
        "    assert outcomes(world.sweep()) == {archived: 'reaped', live: 'none'}\n"
    )
    before, pid = names(decoy), decoy.pid
    options = ["-q", "-p", "no:cacheprovider", "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(tmp_path)]
    output = run_inside(decoy, tmp_path, [sys.executable, "-m", "pytest", *options, str(ours)])
    assert "1 passed" in output
    assert decoy.is_alive()
    assert decoy.pid == pid
    assert names(decoy) == {*before, "typing"}


def test_i27_the_command_inside_a_pane_reads_its_own_sockets_only(decoy: TmuxServer, world: World, tmp_path: Path) -> None:
    """Test suites killed live servers: the default socket, and ``$TMUX``."""
    archived = world.workspace(archived=True)
    world.session(archived)
    world.configure(stranger_ttl=0, orphan_confirmations=1)
    config = world.write_config()
    before = names(decoy)
    program = [sys.executable, "-c", "from workspace_reaper.cli import main; main()", "--config", str(config)]
    report = json.loads(run_inside(decoy, tmp_path, [*program, "sweep", "--json"]))
    assert [(entry["workspace_id"], entry["outcome"]) for entry in report["sessions"]] == [(archived, "reaped")]
    assert not world.lives(archived)
    assert decoy.is_alive()
    assert names(decoy) == {*before, "typing"}


def test_i27_a_bare_tmux_of_this_environment_would_have_hit_the_decoy(decoy: TmuxServer) -> None:
    """The two tests above prove something: the decoy stands where a careless program strikes."""
    environment = {**clean_environment(), "TMUX_TMPDIR": str(decoy.directory.parent)}
    listed = subprocess.run(
        ["tmux", "list-sessions", "-F", "#{pid}"], env=environment, capture_output=True, text=True, check=True
    )
    assert set(listed.stdout.split()) == {str(decoy.pid)}
