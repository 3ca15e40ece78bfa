"""Nothing is lost by a sweep: what it reaped is brought back (I59); what it can't keep it holds; and whom it asks and tells."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from tests.faults.steps import alarms, history
from tests.tools.clocks import Later
from tests.tools.real_processes import LINUX, ROOT, in_namespaces
from tests.tools.reaped import all_text, look, start
from tests.tools.waiting import wait_until
from tests.tools.world import World, session_name
from workspace_hookspecs import Candidate, Reaped, WorkspacePlugins, hookimpl
from workspace_reaper.model.events import WorkspaceEvent
from workspace_reaper.operations.restore import is_restorable
from workspace_reaper.operations.sessions import explain_session
from workspace_reaper.operations.status import read_history
from workspace_reaper.operations.suspects import record_events
from workspace_reaper.sweep.context import SweepRequest

Worlds = Callable[..., World]
HOUR = 3600
SHELLS = {"sh", "dash", "bash"}


def name_of(world: World, workspace: str) -> str:
    return session_name(world.schema, workspace)


def archived(world: World, count: int = 1) -> list[str]:
    return world.workspaces(count, archived=True)


# Reap, then restore


@pytest.mark.parametrize("windows", [[1], [3, 1], [7, 4, 1]], ids=["1 pane", "4 panes", "12 panes"])
def test_i59_what_a_sweep_reaped_comes_back_and_stays_until_unkeep(world: World, tmp_path: Path, windows: list[int]) -> None:
    server = world.server
    server.new_session("beside")
    server.run("set-option", "-g", "default-shell", "/bin/sh")
    workspace = world.workspace()
    name = name_of(world, workspace)
    session_id = start(server, name, tmp_path, windows)
    world.sweep()
    before = look(server, session_id)
    world.host.archive(workspace)

    assert world.cli("sweep").returncode == 0
    assert not world.lives(workspace)
    [row] = world.cli_json("history")
    assert (row["outcome"], row["restorable"], row["survivors"]) == ("reaped", True, [])
    done = world.cli("undo")
    assert (done.returncode, done.stderr) == (0, "")

    [restored] = server.run("list-sessions", "-f", f"#{{==:#{{session_name}},{name}}}", "-F", "#{session_id}").split()
    wait_until(lambda: all_text(server, restored).count("[as it was at ") == sum(windows))
    wait_until(lambda: set(server.run("list-panes", "-s", "-t", restored, "-F", "#{pane_current_command}").split()) <= SHELLS)
    after = look(server, restored)
    assert (after.windows, after.active, after.directories) == (before.windows, before.active, before.directories)
    for place, text in before.texts.items():
        assert after.texts[place][: len(text)] == text, "the text with its colours"
        assert "last of" in "".join(char for char, _ in text[-1])
    assert "was running: " in all_text(server, restored), "shown, and not run"

    [kept] = world.sweep().sessions
    assert (kept.outcome, kept.protected_by) == ("none", "kept")
    assert alarms(world) == set(), "an operator brought it back: nobody has to be told"
    assert world.cli("unkeep", name).returncode == 0
    [again] = world.sweep().sessions
    assert (again.outcome, again.reason) == ("reaped", "archived")
    assert restorable(world) == [True, True]


# What can't be kept


def test_without_a_place_for_its_panes_it_is_held_and_told(world: World) -> None:
    [workspace] = world.workspaces(1)
    world.sweep()
    world.host.archive(workspace)
    (world.state_dir / "snapshots").write_text("in the way")

    swept = world.cli_json("sweep", expect=3)

    [entry] = swept["sessions"]
    assert (entry["outcome"], entry["protected_by"]) == ("spared", "snapshot")
    [unknown] = swept["unknown"]
    assert (unknown["source"], unknown["session"]) == ("snapshot", name_of(world, workspace))
    assert "move away" in unknown["error"]
    assert world.lives(workspace)
    assert alarms(world) == {"unreadable"}
    assert history(world) == [(workspace, "spared", "snapshot")]

    (world.state_dir / "snapshots").unlink()
    assert world.entry(world.sweep(), workspace).outcome == "reaped"
    assert alarms(world) == set()


def test_what_was_deleted_goes_all_the_same_and_the_history_says_that_it_was_not_kept(world: World) -> None:
    deleted, orphan = world.workspaces(2)
    world.sweep()
    world.host.delete(deleted)
    (world.state_dir / "snapshots").write_text("in the way")
    record_events(world.plugin.reaper(), {deleted: WorkspaceEvent.DELETED})
    report = world.plugin.reaper().sweep(SweepRequest(suspects={deleted: WorkspaceEvent.DELETED}))
    assert world.entry(report, deleted).outcome == "reaped"
    assert report.exit_code == 3
    [row] = world.cli_json("history")
    assert row["restorable"] is False
    assert "cannot be kept" in world.cli_json("show", row["id"])["not_restorable"]
    assert world.cli("undo").returncode == 2
    assert world.lives(orphan)


FULL = """
from tests.tools.world import World
small = Path(sys.argv[1]) / "small"
small.mkdir()
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1200k", "none", str(small)], check=True)
with World(Path(sys.argv[1]), state_dir=str(small / "state"), snapshot_lines=100000) as world:
    ids = world.workspaces(1)
    text = world.workspace()
    world.server.run("set-option", "-g", "history-limit", "100000")
    command = "head -c 1500000 /dev/urandom | base64 -w 70; echo the end; exec sleep 100000"
    session = world.session(text, command=command)
    wait_until(lambda: "the end" in world.server.run("capture-pane", "-p", "-t", session))
    world.sweep()
    for one in [*ids, text]:
        world.host.archive(one)
    report = world.sweep()
    told = {entry.workspace_id: (entry.outcome, entry.protected_by) for entry in report.sessions}
    assert told == {ids[0]: ("reaped", None), text: ("spared", "snapshot")}, told
    [unknown] = report.unknown
    assert unknown.source is Source.SNAPSHOT and "free some space there" in unknown.reason, unknown
    assert report.exit_code == 3 and world.lives(text)
    kept = [path.name for path in (small / "state" / "snapshots").iterdir()]
    assert kept == [world.entry(report, ids[0]).reap_id], kept
"""


@LINUX
@ROOT
def test_on_a_full_disk_what_does_not_fit_is_held_and_leaves_nothing_half_written(short_tmp: Path) -> None:
    in_namespaces(FULL, short_tmp)


def test_switched_off_it_goes_and_the_history_says_why_it_is_not_restorable(worlds: Worlds) -> None:
    world = worlds(snapshots=False)
    [workspace] = archived(world)
    assert world.entry(world.sweep(), workspace).outcome == "reaped"
    [row] = world.cli_json("history")
    assert row["restorable"] is False
    assert world.cli_json("show", row["id"])["not_restorable"] == "switched off"
    assert not (world.state_dir / "snapshots").exists()


def sweep_later(world: World, seconds: float) -> None:
    reaper = world.plugin.reaper()
    reaper.clock = Later(seconds)
    reaper.dependencies = replace(reaper.dependencies, clock=reaper.clock)
    world.sweep()


def restorable(world: World) -> list[bool]:
    """Of each reap, newest first."""
    reaper = world.plugin.reaper()
    return [is_restorable(reap, reaper.snapshots) for reap in read_history(reaper, 100)]


def test_sweeps_prune_by_bytes_the_oldest_first_and_never_their_own(worlds: Worlds) -> None:
    world = worlds(snapshot_bytes=1)
    world.server.new_session("beside")
    for expected in [[True], [True, False]]:
        archived(world)
        world.sweep()
        assert restorable(world) == expected
    sweep_later(world, HOUR)
    assert restorable(world) == [False, False]
    done = world.cli("restore", world.cli_json("history")[0]["id"])
    assert done.returncode == 1
    assert "has been removed" in done.stderr


def test_sweeps_prune_what_is_too_old(worlds: Worlds) -> None:
    world = worlds(snapshot_days=2)
    world.server.new_session("beside")
    archived(world)
    world.sweep()
    sweep_later(world, 47 * HOUR)
    assert restorable(world) == [True]
    sweep_later(world, 49 * HOUR)
    assert restorable(world) == [False]


# Whom it asks and tells


class Listener:
    def __init__(self, answer: Callable[[], object] = lambda: None) -> None:
        self.answer = answer
        self.asked: list[list[Candidate]] = []
        self.reaps: list[Reaped] = []

    @hookimpl
    def reaper_veto(self, candidates: Sequence[Candidate]) -> object:
        self.asked.append(list(candidates))
        return self.answer()

    @hookimpl
    def on_session_reaped(self, reap: Reaped) -> None:
        self.reaps.append(reap)


def test_a_veto_is_in_the_report_the_evidence_and_explain(world: World) -> None:
    [workspace] = archived(world)
    listener = Listener(lambda: {name_of(world, workspace): "deploying\x1b"})
    with WorkspacePlugins() as plugins:
        plugins.register(world.plugin, "reaper")
        plugins.register(listener, "release-guard")
        report = world.sweep()
        told = explain_session(world.plugin.reaper(), name_of(world, workspace)).as_dict()
    entry = world.entry(report, workspace)
    assert (entry.verdict.value, entry.outcome, entry.protected_by) == ("hold", "none", "veto")
    assert entry.as_json()["evidence"]["veto"] == "veto of release-guard: deploying\\x1b"
    assert report.exit_code == 0
    assert told["protected_by"] == "veto"
    assert "veto of release-guard: deploying" in next(rule["because"] for rule in told["rules"] if "veto" in rule["held_by"])
    assert history(world) == []


def test_all_condemned_of_a_sweep_over_two_sockets_are_asked_about_at_once(worlds: Worlds) -> None:
    world = worlds(servers=2)
    here, there = world.workspaces(2, sessions=False, archived=True)
    world.session(here)
    world.session(there, server=world.servers[1])
    listener = Listener(lambda: {name_of(world, here): "deploying"})
    with WorkspacePlugins() as plugins:
        plugins.register(world.plugin, "reaper")
        plugins.register(listener, "listener")
        world.sweep(dry_run=True)
        world.sweep()
        assert plugins.drain(30)
    assert [{each.workspace_id for each in asked} for asked in listener.asked] == [{here, there}] * 2, "a dry run asks too"
    assert world.lives(here)
    assert not world.lives(there, world.servers[1])
    assert [reap.workspace_id for reap in listener.reaps] == [there]


def refuse() -> object:
    raise ValueError("no word from the release server")


def test_a_plugin_that_raises_holds_everything_on_every_socket_and_is_told_of(worlds: Worlds) -> None:
    world = worlds(servers=2)
    here, there = world.workspaces(2, sessions=False, archived=True)
    world.session(here)
    world.session(there, server=world.servers[1])
    with WorkspacePlugins() as plugins:
        plugins.register(world.plugin, "reaper")
        plugins.register(Listener(refuse), "broken")
        report = world.sweep()
    assert [(entry.outcome, entry.protected_by) for entry in report.sessions] == [("none", "veto")] * 2
    [told] = report.as_dict()["vetoes"]
    assert told.startswith("no usable answer from the plugin broken, which counts as a veto of every session")
    assert "no word from the release server" in told


def test_one_id_for_the_log_the_ledger_the_snapshot_the_json_and_the_plugins(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    [workspace] = archived(world)
    listener = Listener()
    with WorkspacePlugins() as plugins, caplog.at_level(logging.INFO, "workspace_reaper"):
        plugins.register(world.plugin, "reaper")
        plugins.register(listener, "listener")
        report = world.sweep()
        assert plugins.drain(30)
    [asked], [reap] = listener.asked[0], listener.reaps
    reap_id = reap.id
    assert asked.reap_id == reap_id
    assert world.entry(report, workspace).as_json()["reap_id"] == reap_id
    [row] = world.cli_json("history")
    assert row["id"] == reap_id
    assert (row["freed_bytes"], row["survivors"], row["restorable"]) == (
        reap.freed_bytes,
        list(reap.survivors),
        reap.restorable,
    )
    assert [path.name for path in (world.state_dir / "snapshots").iterdir()] == [reap_id]
    assert any(f"reap={reap_id}" in record.getMessage() for record in caplog.records)
    assert asdict(reap)["outcome"] == "reaped"
