"""A host with files, from its save to the end of a session: by sweeps, and by the daemon."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.tools.daemons import Daemon
from tests.tools.file_hosts import FILE_HOSTS
from tests.tools.waiting import next_second, wait_until
from tests.tools.world import World, outcomes

pytestmark = pytest.mark.once

Worlds = Callable[..., World]
PATIENCE = 30.0

every_kind = pytest.mark.parametrize("kind", FILE_HOSTS)


def quiet() -> None:
    """A file in TOML or YAML is read once it has been unchanged for a quarter of a second."""
    time.sleep(0.3)


@every_kind
def test_sweeps_reap_what_was_deleted_archived_or_flagged(worlds: Worlds, kind: str) -> None:
    world = worlds(kind)
    live, running, archived, deleted, flagged, bare = world.workspaces(6)
    world.host.run(running)
    quiet()
    assert set(outcomes(world.sweep()).values()) == {"none"}
    world.host.archive(archived)
    world.host.flag_deleted(flagged)
    world.host.delete_worktree(bare)
    world.host.delete(deleted)
    quiet()
    reports = [outcomes(world.sweep()), outcomes(world.sweep())]
    assert {one for report in reports for one, outcome in report.items() if outcome == "reaped"} == {
        archived,
        deleted,
        flagged,
        bare,
    }
    assert [one for one in (live, running, archived, deleted, flagged, bare) if world.lives(one)] == [live, running]


@every_kind
def test_a_hook_reaps_at_once(worlds: Worlds, kind: str) -> None:
    world = worlds(kind)
    one, other = world.workspaces(2)
    quiet()
    world.sweep()
    next_second()
    world.host.delete(one)
    world.plugin.on_workspace_deleted(one)
    wait_until(lambda: not world.lives(one), PATIENCE)
    assert world.lives(other)
    assert world.plugin.drain(PATIENCE)
    assert world.cli_json("history")[0]["reason"] == "deleted"


@every_kind
def test_the_daemon_notices_a_deletion_and_an_archiving(worlds: Worlds, kind: str) -> None:
    world = worlds(kind, tick="1h")
    ids = world.workspaces(6)
    quiet()
    # A text may be used again, so a deletion counts for a session that is marked. The first sweep marks five.
    world.sweep()
    world.sweep()
    next_second()
    with Daemon(world) as daemon:
        daemon.wait_for_line('"watching"')
        world.host.delete(ids[1])
        wait_until(lambda: not world.lives(ids[1]), PATIENCE)
        world.host.archive(ids[3])
        wait_until(lambda: not world.lives(ids[3]), PATIENCE)
        assert [one for one in ids if world.lives(one)] == [ids[0], ids[2], ids[4], ids[5]]
        assert daemon.stop() == 0
    assert [reap["reason"] for reap in world.cli_json("history")] == ["archived", "removed"]


@every_kind
def test_the_daemon_ends_nothing_for_a_file_that_cannot_be_read(worlds: Worlds, kind: str) -> None:
    """And it notices that it can be read again, and the next deletion."""
    world = worlds(kind, tick="1h")
    ids = world.workspaces(5)
    quiet()
    path = world.host.file_of(ids[0]) if kind == "files-folder" else world.host.path
    world.sweep()
    with Daemon(world) as daemon:
        daemon.wait_for_line('"watching"')
        whole = path.read_bytes()
        path.write_bytes(b"")
        daemon.wait_for_line('"database unknown"')
        assert all(map(world.lives, ids))
        path.write_bytes(whole)
        daemon.wait_for_line('"database known"')
        world.host.delete(ids[2])
        wait_until(lambda: not world.lives(ids[2]), PATIENCE)
        assert [one for one in ids if world.lives(one)] == [*ids[:2], *ids[3:]]
        assert daemon.stop() == 0


@pytest.mark.parametrize("kind", ["files", "files-map"])
def test_the_daemon_ends_nothing_for_an_older_copy(worlds: Worlds, kind: str, tmp_path: Path) -> None:
    world = worlds(kind, tick="1h")
    old = world.workspaces(5)
    backup = world.host.text()
    tree = tmp_path / "tree"
    tree.mkdir()
    world.sweep()
    with Daemon(world) as daemon:
        daemon.wait_for_line('"watching"')
        new = []
        for _ in range(2):
            new.append(world.workspace(worktree=str(tree)))
            world.session(new[-1])
            time.sleep(1.0)  # so that each arrives in a read of its own
        world.host.path.write_text(backup)
        daemon.wait_for_line("as if an older copy had been put in its place")
        assert daemon.stop() == 0
    world.sweep()
    assert all(map(world.lives, [*old, *new]))


def test_doctor_and_status_name_the_files(worlds: Worlds) -> None:
    world = worlds("files")
    world.workspaces(2)
    world.sweep()
    checks = {check["check"]: check for check in world.cli_json("doctor")}
    assert checks["files"]["state"] == "OK"
    assert f"{world.host.path} (directory: " in checks["files"]["detail"]
    assert "2 rows" in checks["files"]["detail"]
    assert "database" not in checks
    assert str(world.host.path) in world.cli_json("status")["registry"]["identity"]
    world.host.path.write_text("{")
    done = world.cli("doctor", "--json")
    (check,) = [check for check in json.loads(done.stdout) if check["check"] == "files"]
    assert (done.returncode, check["state"]) == (1, "FAIL")
    assert str(world.host.path) in check["detail"]
    assert "[files]" in check["do"]


def test_doctor_names_a_key_that_occurs_nowhere(worlds: Worlds) -> None:
    world = worlds("files")
    world.workspaces(2)
    world.settings["files"] = {**world.settings["files"], "archived": "value->>'statsu' = 'archived'"}  # type: ignore[dict-item]
    (check,) = [check for check in world.cli_json("doctor") if check["state"] == "WARN" and check["check"] == "files"]
    assert 'files.archived names $."statsu", which no workspace has' in check["detail"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"paths": ["state.json"]}, "files.paths: 'state.json' is not an absolute path"),
        ({"paths": ["$NOT_SET/state.json"]}, "the variable 'NOT_SET' is not set"),
        ({"id": "value->>'uuid'"}, "files: "),
        ({"archived": "statsu"}, "files: "),
    ],
)
def test_the_daemon_does_not_start_with_a_description_that_does_not_fit(
    worlds: Worlds, change: dict[str, object], says: str
) -> None:
    world = worlds("files")
    world.workspaces(1)
    world.settings["files"] = {**world.settings["files"], **change}  # type: ignore[dict-item]
    done = world.cli("run")
    assert done.returncode == 2
    assert says in done.stderr


def test_the_canary_of_a_host_with_files(worlds: Worlds) -> None:
    world = worlds("files")
    world.workspaces(2)
    world.sweep()
    done = world.cli("doctor", "--canary", "--json")
    assert [check["state"] for check in json.loads(done.stdout) if "canary" in check["check"]] == ["OK"], done.stdout
