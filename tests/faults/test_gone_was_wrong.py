"""Family A of the public incidents: "gone" was the wrong verdict, and what was alive died. One test or more for each."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.faults.conftest import Erring
from tests.faults.steps import alarms, confirmations, history, recalled, sweep_during
from tests.tools.front_tmux import Rule
from tests.tools.hosts import VibeKanbanHost, connected
from tests.tools.tmux import TmuxServer, takes_name
from tests.tools.waiting import wait_until
from tests.tools.world import World, outcomes, session_name
from workspace_reaper.model.unknown import Source
from workspace_reaper.model.verdict import Verdict

Worlds = Callable[..., World]

EAGAIN = "error connecting to {} (Resource temporarily unavailable)\n"

TMUX_ERRS: dict[str, dict[str, Any]] = {
    "lost server": {"exit_code": 1, "stderr": "lost server\n"},
    "nothing, and exit code 0": {"real": False},
    "an error, and exit code 0": {"real": False, "stderr": "access not allowed\n"},
    "no server running, and there is one": {"real": False, "exit_code": 1, "stderr": "no server running on {}\n"},
    "no socket, and there is one": {
        "real": False,
        "exit_code": 1,
        "stderr": "error connecting to {} (No such file or directory)\n",
    },
    "an unknown error": {"real": False, "exit_code": 1, "stderr": "can't find it: {}\n"},
    "ended by a signal": {"signal_number": 15},
    "no answer in time": {"real": False, "delay": 30},
}


@pytest.mark.parametrize("fault", TMUX_ERRS)
def test_i01_a_tmux_that_errs_or_times_out_kills_no_session(world: World, erring: Erring, fault: str) -> None:
    """9+ live agents killed in one night: any tmux failure was read as "missing"."""
    live, orphan = world.workspaces(2)
    ids = {entry.workspace_id: entry.session_id for entry in world.sweep().sessions}
    world.host.delete(orphan)
    world.sweep()
    world.host.archive(live)
    keywords = TMUX_ERRS[fault]
    rule = Rule("list-sessions", **{**keywords, "stderr": keywords.get("stderr", "").format(world.server.path)})

    with erring(rule):
        reports = [world.sweep() for _ in range(1 if "delay" in keywords else 3)]

    for report in reports:
        assert (report.exit_code, report.sessions) == (3, [])
        assert [(unknown.source, unknown.socket) for unknown in report.unknown] == [(Source.SOCKET, world.server.path)]
    assert world.server.session_ids() == set(ids.values())
    assert confirmations(world, str(ids[orphan])) == 1
    assert history(world) == []
    assert alarms(world) == {"unreadable"}

    # Not silence for ever: once tmux answers again, what should go goes.
    assert outcomes(world.sweep()) == {live: "reaped", orphan: "reaped"}
    assert alarms(world) == set()


def test_i01_one_miss_is_not_enough_and_misses_must_follow_each_other(world: World) -> None:
    """9+ live agents killed in one night: one look was enough."""
    flickering, _other = world.workspaces(2)
    world.sweep()
    for _ in range(3):
        world.host.delete(flickering)
        assert world.entry(world.sweep(), flickering).protected_by == "unconfirmed"
        world.host.insert([flickering])
        assert outcomes(world.sweep())[flickering] == "none"
    assert world.lives(flickering)


def test_i03_a_reaper_pointed_at_an_absent_socket_leaves_a_marked_process_alone(world: World) -> None:
    """20 live processes signalled when the tmux map vanished: an absent owner was taken as proof of death."""
    workspace = world.workspace()
    world.session(workspace, command=f"exec env WORKSPACE_ID={workspace} sleep 100000")
    world.host.delete(workspace)
    world.configure(tmux_sockets=[str(world.server.directory / "absent")], stranger_ttl=0)
    process = psutil.Process(int(world.server.run("list-panes", "-a", "-F", "#{pane_pid}")))

    reports = [world.sweep() for _ in range(3)]

    assert [(report.exit_code, report.sessions) for report in reports] == [(0, [])] * 3
    assert process.is_running()
    assert world.lives(workspace)


def test_i03_a_socket_that_vanished_under_a_living_server_is_unknown(world: World) -> None:
    """20 live processes signalled when the tmux map vanished: "tmux threw" was taken for "no sessions"."""
    archived, orphan, live = world.workspaces(3)
    world.sweep()
    ids = world.server.session_ids()
    world.host.delete(orphan)
    world.sweep()
    world.host.archive(archived)
    server = psutil.Process(world.server.pid)
    Path(world.server.path).unlink()

    reports = [world.sweep() for _ in range(3)]

    for report in reports:
        assert (report.exit_code, report.sessions) == (3, [])
        [unknown] = report.unknown
        assert f"kill -USR1 {server.pid}" in unknown.reason
    assert alarms(world) == {"unreadable"}
    server.send_signal(signal.SIGUSR1)
    wait_until(lambda: Path(world.server.path).exists())
    assert world.server.session_ids() == ids
    assert outcomes(world.sweep()) == {archived: "reaped", orphan: "reaped", live: "none"}


def test_i05_eagain_three_times_tears_nothing_down(world: World, erring: Erring) -> None:
    """A task failed in seconds while its agent wrote for 6½ min more: EAGAIN of a busy tmux was read as gone."""
    live, orphan = world.workspaces(2)
    ids = {entry.workspace_id: entry.session_id for entry in world.sweep().sessions}
    world.host.delete(orphan)
    eagain = EAGAIN.format(world.server.path)

    with erring(Rule("list-sessions", times=3, real=False, exit_code=1, stderr=eagain)):
        reports = [world.sweep() for _ in range(4)]

    assert [report.exit_code for report in reports] == [3, 3, 3, 0]
    assert world.server.session_ids() == set(ids.values())
    # None of the three counted as a look at the orphan.
    assert confirmations(world, str(ids[orphan])) == 1
    assert outcomes(world.sweep()) == {live: "none", orphan: "reaped"}


@pytest.mark.parametrize(("times", "outcome"), [(2, "reaped"), (3, "failed")])
def test_i05_eagain_at_the_kill_is_looked_at_again_and_never_taken_for_a_kill(
    world: World, erring: Erring, times: int, outcome: str
) -> None:
    """A task failed in seconds while its agent wrote for 6½ min more: two misses within 800 ms were enough."""
    archived = world.workspace()
    world.session(archived)
    world.sweep()
    world.host.archive(archived)

    with erring(Rule("kill-session", times=times, real=False, exit_code=1, stderr=EAGAIN.format(world.server.path))):
        report = world.sweep()

    assert outcomes(report) == {archived: outcome}
    assert report.exit_code == (1 if outcome == "failed" else 0)
    assert world.lives(archived) is (outcome == "failed")
    assert [what for _, what, _ in history(world)] == ["reaped" if outcome == "reaped" else "open"]


def test_i09_in_the_c_locale_the_list_is_the_same(worlds: Worlds, monkeypatch: pytest.MonkeyPatch) -> None:
    """All sessions "closed", and every state entry wiped: TAB becomes _ without a UTF-8 locale, with exit code 0."""
    world = worlds("standard", session_patterns=["ws-(?P<id>.+)"])
    names = ["plain", "überflüssig", "日本", "a b"]
    world.host.insert(names)
    for name in [*names, "stranger-ß"]:
        world.session(name)
    reports = []
    for locale in ("C.UTF-8", "C"):
        for variable in ("LANG", "LC_ALL", "LC_CTYPE"):
            monkeypatch.setenv(variable, locale)
        reports.append({entry.session: entry.protected_by for entry in world.sweep().sessions})
    assert reports[0] == reports[1]
    assert set(reports[0]) == {session_name("standard", name) for name in [*names, "stranger-ß"]}


def test_i09_the_command_in_an_empty_environment_reaps(worlds: Worlds) -> None:
    """All sessions "closed", and every state entry wiped: a service manager gives no locale."""
    world = worlds("standard", session_patterns=["ws-(?P<id>.+)"])
    world.host.insert(["überflüssig", "plain"], archived=True)
    world.host.insert(["läuft"])
    for name in ("überflüssig", "plain", "läuft"):
        world.session(name)

    report = world.cli_json("sweep")

    assert {entry["workspace_id"]: entry["outcome"] for entry in report["sessions"]} == {
        "überflüssig": "reaped",
        "plain": "reaped",
        "läuft": "none",
    }
    assert report["unknown"] == []
    assert world.lives("läuft")
    # Tables, too, are made of bytes that such an environment takes.
    assert world.cli("history").returncode == 0


def test_i10_a_directory_whose_name_holds_newlines_and_tabs_breaks_nothing(world: World, tmp_path: Path) -> None:
    """One odd row broke the whole listing, and "parse failed" looked like "not found"."""
    odd = tmp_path / "new\nline\tand tab\nS\t$7\tx"
    odd.mkdir()
    odd_one, archived = world.workspace(), world.workspace(archived=True)
    name = session_name(world.schema, odd_one)
    session_id = world.server.new_session(
        name, "exec sleep 100000", "-c", str(odd), "-n", "win\tdow" if takes_name("win\tdow") else "window"
    )
    world.server.run("set-option", "-t", f"{session_id}:", "@note", "a\tb\nc")
    world.session(archived)

    report = world.sweep()

    assert outcomes(report) == {odd_one: "none", archived: "reaped"}
    assert (report.exit_code, report.unknown) == (0, [])


def test_i10_a_pane_without_a_row_makes_its_session_unknown_and_not_missing(world: World, erring: Erring) -> None:
    """One odd row broke the whole listing: a pane died in the middle of it."""
    first, last = world.workspace(archived=True), world.workspace(archived=True)
    for one in (first, last):
        world.session(one)

    with erring(Rule("list-sessions", times=1, keep_lines=-1)):
        report = world.sweep()

    # Panes are listed by the names of their sessions.
    shown, hidden = sorted((first, last), key=lambda one: session_name(world.schema, one))
    assert outcomes(report) == {shown: "reaped", hidden: "none"}
    assert world.entry(report, hidden).protected_by == "unknown"
    assert report.exit_code == 3
    assert world.lives(hidden)


def test_i10_panes_that_come_and_go_all_the_time_make_no_session_missing(world: World) -> None:
    """One odd row broke the whole listing: a pane died in the middle of it."""
    busy, archived = world.workspace(), world.workspace()
    session_id = world.session(busy)
    world.session(archived)
    stop = threading.Event()

    def churn() -> None:
        while not stop.is_set():
            world.server.run("new-window", "-d", "-t", f"{session_id}:", "true", check=False)

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        for _ in range(15):
            report = world.sweep()
            assert set(outcomes(report)) == {busy, archived}
            assert report.exit_code == 3 or {entry.verdict for entry in report.sessions} == {Verdict.KEEP}
        world.host.archive(archived)
        wait_until(lambda: outcomes(world.sweep()).get(archived) in (None, "reaped"))
    finally:
        stop.set()
        thread.join()
    assert world.lives(busy)
    assert history(world)[-1] == (archived, "reaped", None)


def break_tmux(front_bin: Path) -> None:
    """No tmux can be started any more: OSError, Exec format error."""
    (front_bin / "tmux").unlink()
    (front_bin / "tmux").write_bytes(b"\0 no program")
    (front_bin / "tmux").chmod(0o755)


def test_i11_a_kill_without_an_answer_that_can_not_be_verified_is_not_recorded_as_one(world: World, erring: Erring) -> None:
    """The API said killed, rows were deleted, the session lived on: every lookup exception returned "absent"."""
    archived = world.workspace()
    world.session(archived)
    world.sweep()
    world.host.archive(archived)

    with erring(Rule("kill-session", real=False, hold="before")) as front:
        report = sweep_during(front, lambda: break_tmux(front.bin), world.sweep)

    entry = world.entry(report, archived)
    assert entry.outcome == "failed"
    assert report.exit_code == 1
    assert any("could not be started" in unknown.reason for unknown in report.unknown)
    assert world.lives(archived)
    assert [outcome for _, outcome, _ in history(world)] == ["open"]

    assert outcomes(world.sweep()) == {archived: "reaped"}
    assert [outcome for _, outcome, _ in history(world)] == ["spared", "reaped"]


def test_i11_a_kill_that_tmux_confirmed_stands_when_the_last_listing_fails_and_the_failure_is_reported(
    world: World, erring: Erring
) -> None:
    """The API said killed, rows were deleted, the session lived on: the error of the lookup was lost."""
    archived = world.workspace()
    world.session(archived)
    world.sweep()
    world.host.archive(archived)

    with erring(Rule("kill-session", hold="after")) as front:
        report = sweep_during(front, lambda: break_tmux(front.bin), world.sweep)

    assert outcomes(report) == {archived: "reaped"}
    assert report.exit_code == 3
    assert not world.lives(archived)


def test_i11_what_is_still_listed_was_not_killed_whatever_tmux_said(world: World, erring: Erring) -> None:
    """The API said killed, rows were deleted, the session lived on."""
    archived = world.workspace()
    session_id = world.session(archived)
    world.sweep()
    world.host.archive(archived)

    with erring(Rule("kill-session", real=False, stdout=f"killed {session_id}\n")):
        report = world.sweep()

    assert outcomes(report) == {archived: "failed"}
    assert report.exit_code == 1
    assert [outcome for _, outcome, _ in history(world)] == ["failed"]
    assert outcomes(world.sweep()) == {archived: "reaped"}


def test_i11_a_socket_that_vanishes_at_the_kill_is_no_kill(world: World, erring: Erring) -> None:
    """The API said killed, rows were deleted, the session lived on: an absent socket was taken for an absent session."""
    archived = world.workspace()
    world.session(archived)
    world.sweep()
    world.host.archive(archived)
    server = psutil.Process(world.server.pid)

    with erring(Rule("kill-session", hold="before", times=1)) as front:
        report = sweep_during(front, Path(world.server.path).unlink, world.sweep)

    assert outcomes(report) == {archived: "failed"}
    assert report.exit_code == 1
    assert any(f"kill -USR1 {server.pid}" in unknown.reason for unknown in report.unknown)
    assert [outcome for _, outcome, _ in history(world)] == ["open"]
    server.send_signal(signal.SIGUSR1)
    wait_until(lambda: Path(world.server.path).exists())
    assert world.lives(archived)
    assert outcomes(world.sweep()) == {archived: "reaped"}


@pytest.mark.parametrize("is_seen_between", [False, True], ids=["at once", "a sweep in between"])
def test_a_server_that_lost_its_socket_to_another_one_is_reported_until_it_has_ended(
    worlds: Worlds, is_seen_between: bool
) -> None:
    world = worlds(orphan_confirmations=1)
    hidden, _, _ = world.workspaces(3)
    world.sweep()
    before = psutil.Process(world.server.pid)
    Path(world.server.path).unlink()
    if is_seen_between:
        world.sweep()
    judged, live = world.workspace(), world.workspace()
    for one in (judged, live):
        world.session(one)
    assert world.server.pid != before.pid
    world.sweep()
    world.host.delete(hidden)
    world.host.archive(judged)

    reports = [world.sweep() for _ in range(3)]

    assert [outcomes(report) for report in reports] == [{judged: "reaped", live: "none"}, {live: "none"}, {live: "none"}]
    for report in reports:
        [unknown] = report.unknown
        assert f"kill -USR1 {before.pid}" in unknown.reason
    assert (alarms(world), before.is_running()) == ({"unreadable"}, True)
    before.kill()
    before.wait()
    assert (world.sweep().exit_code, alarms(world)) == (0, set())
    assert recalled(world).servers[world.server.path].pid == world.server.pid


def test_i12_a_write_lock_held_through_a_sweep_spares_everybody(world: World) -> None:
    """A live agent's window was killed on restart: "database is locked" was read as "row deleted under me"."""
    live, orphan = world.workspaces(2)
    world.sweep()
    world.host.delete(orphan)
    world.sweep()

    with connected(world.host.path, isolation_level=None) as server:
        server.execute("BEGIN EXCLUSIVE")
        report = world.new_plugin().sweep()
        server.execute("COMMIT")

    assert report.exit_code == 3
    [unknown] = report.unknown
    assert (unknown.source, "is locked" in unknown.reason) == (Source.REGISTRY, True)
    assert outcomes(report) == {live: "none", orphan: "none"}
    assert world.lives(live)
    assert world.lives(orphan)
    assert outcomes(world.sweep()) == {live: "none", orphan: "reaped"}


def test_i12_a_deletion_that_is_not_committed_has_not_happened(world: World) -> None:
    """A live agent's window was killed on restart: the state of a transaction was read as the state of the world."""
    live, _other = world.workspaces(2)
    world.sweep()
    with connected(world.host.path, isolation_level=None) as server:
        server.execute("BEGIN IMMEDIATE")
        server.execute("DELETE FROM workspaces")
        reports = [world.sweep() for _ in range(3)]
        server.execute("ROLLBACK")
    assert [report.exit_code for report in reports] == [0, 0, 0]
    assert world.lives(live)


@pytest.fixture
def siblings(world: World) -> tuple[World, World]:
    """Two servers with a database each, and one tmux socket. Nothing protects a stranger by time."""
    host = VibeKanbanHost(world.tmp / "sibling.sqlite")
    host.create()
    other = world.second("sibling", host=host)
    other._numbers = iter(range(1_000, 1_000_000))
    return world, other


def test_i15_before_stamping_neither_of_two_databases_on_one_socket_kills_the_others(siblings: tuple[World, World]) -> None:
    """A boot sweep killed sibling instances' live sessions: unknown to this database was taken for an orphan."""
    ours, theirs = siblings
    mine, yours = ours.workspaces(3), theirs.workspaces(2)

    reports = [theirs.sweep() for _ in range(4)]

    assert all(map(ours.lives, [*mine, *yours]))
    assert {entry.workspace_id: entry.protected_by for entry in reports[-1].sessions} == {
        **dict.fromkeys(mine, "unproven"),
        **dict.fromkeys(yours, None),
    }


def test_i15_after_stamping_neither_even_judges_the_others(siblings: tuple[World, World]) -> None:
    """A boot sweep killed sibling instances' live sessions: they shared a socket."""
    ours, theirs = siblings
    theirs.configure(stranger_ttl=0)
    mine, yours = ours.workspaces(2), theirs.workspaces(2)
    ours.sweep()

    for _ in range(4):
        report = theirs.sweep()
        assert set(outcomes(report)) == set(yours)
        assert report.unmanaged == 2
        assert set(outcomes(ours.sweep())) == set(mine)
    # Each goes on with its own.
    ours.host.archive(mine[0])
    theirs.host.delete(yours[0])
    assert outcomes(ours.sweep()) == {mine[0]: "reaped", mine[1]: "none"}
    assert [outcomes(theirs.sweep())[yours[0]] for _ in range(2)] == ["none", "reaped"]
    assert ours.lives(mine[1])
    assert ours.lives(yours[1])


def test_i15_a_session_that_its_owner_marks_during_the_sweep_of_the_other_survives(
    siblings: tuple[World, World], erring: Erring
) -> None:
    """A boot sweep killed sibling instances' live sessions: who boots last, marks last."""
    ours, theirs = siblings
    theirs.configure(stranger_ttl=0)
    mine, yours = ours.workspace(), theirs.workspaces(2)
    ours.session(mine)
    assert theirs.entry(theirs.sweep(), mine).protected_by == "unconfirmed"

    # The second listing of that sweep is the recheck's.
    with erring(Rule("list-sessions", skip=1, times=1, hold="before")) as front:
        report = sweep_during(front, ours.sweep, theirs.sweep)

    print([(e.outcome, e.protected_by, e.reason) for e in report.sessions], report.unknown)
    assert outcomes(report) == {mine: "spared", **dict.fromkeys(yours, "none")}
    assert ours.lives(mine)
    assert mine not in outcomes(theirs.sweep())


@pytest.mark.parametrize("own", [0, 1], ids=["49 of 49", "49 of 50"])
def test_i15_all_49_of_a_sibling_survive_although_no_time_protects_them(siblings: tuple[World, World], own: int) -> None:
    """A boot sweep killed sibling instances' live sessions, all of them."""
    ours, theirs = siblings
    theirs.configure(stranger_ttl=0, orphan_confirmations=1)
    mine, yours = ours.workspaces(49), theirs.workspaces(own) if own else []
    theirs.workspaces(5, sessions=False)

    reports = [theirs.sweep() for _ in range(4)]

    assert [report.latched for report in reports] == [False] * 4, "strangers do not trip it"
    # Where the registry knows no other session, they are held one by one.
    assert alarms(theirs) == ({"strangers"} if own else set())
    assert reports[-1].exit_code == 0
    assert len(ours.server.session_ids()) == 49 + own
    assert set(outcomes(reports[-1])) == {*mine, *yours}
    assert history(theirs) == []


def test_i15_one_database_under_two_servers_of_the_same_name_on_two_sockets(
    worlds: Worlds, tmux_servers: Callable[[], TmuxServer]
) -> None:
    """A boot sweep killed sibling instances' live sessions: here the database is shared, and the socket is not ours."""
    world, elsewhere = worlds(), tmux_servers()
    archived = world.workspace(archived=True)
    world.session(archived, server=elsewhere)
    assert [world.sweep().sessions for _ in range(2)] == [[], []]
    assert world.lives(archived, elsewhere)
