"""A host's files cannot be read, or are not what they were: no session is ended for that."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.steps import alarms, check_code, confirmations, history
from tests.tools.file_hosts import FILE_HOSTS, FilesHost, FolderHost, saved
from tests.tools.waiting import next_second
from tests.tools.world import World
from workspace_reaper.model.unknown import Source
from workspace_reaper.model.verdict import Verdict
from workspace_reaper.registry.files import read

pytestmark = pytest.mark.once

Worlds = Callable[..., World]


def half(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def garbage(path: Path) -> None:
    path.write_bytes(b"\xff\x00[[[ {{{")


def swapped(path: Path) -> None:
    """Put another program's file in its place."""
    saved(path, '{"windows": {"w0": 1}}' if path.suffix != ".toml" else "[windows]\nw0 = 1\n")


def huge(path: Path) -> None:
    with path.open("r+b") as stream:
        stream.truncate(read.MOST_BYTES + 1)


def deep(path: Path) -> None:
    opened, closed = "[" * 50_000, "]" * 50_000
    path.write_text(f"a = {opened}{closed}" if path.suffix == ".toml" else f"{opened}{closed}")


def fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def device(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def unreadable(path: Path) -> None:
    """Reading it is an input/output error."""
    path.unlink()
    path.symlink_to("/proc/self/mem")


def unmounted(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.parent / "mnt" / path.name)


DAMAGES = (half, emptied, garbage, swapped, huge, deep, fifo, device, unreadable, unmounted)


def file_of(host: FilesHost, workspace_id: str) -> Path:
    return host.file_of(workspace_id) if isinstance(host, FolderHost) else host.path


# The first half of a file in TOML or YAML may be valid: it is unknown while it is written.
DAMAGED = [
    pytest.param(kind, damage, id=f"{kind}-{damage.__name__}")
    for kind in ("files", "files-folder", "files-toml", "files-yaml")
    for damage in DAMAGES
    if damage is not half or kind in ("files", "files-folder")
]


@pytest.mark.parametrize(("kind", "damage"), DAMAGED)
def test_a_file_that_cannot_be_read_ends_no_session(worlds: Worlds, kind: str, damage: Callable[[Path], None]) -> None:
    """Neither of those in it nor of those in other files, also where one is an orphan or archived already."""
    world = worlds(kind)
    archived, orphan, live = world.workspaces(3)
    ids = {entry.workspace_id: str(entry.session_id) for entry in world.sweep().sessions}
    world.host.delete(orphan)
    world.sweep()
    world.host.archive(archived)
    rows = dict(world.host.rows)
    damage(file_of(world.host, live))
    for report in (world.sweep(), world.sweep(), world.sweep(dry_run=True)):
        assert (report.exit_code, report.complete) == (3, False)
        [unknown] = report.unknown
        assert unknown.source is Source.REGISTRY
        assert str(file_of(world.host, live)) in unknown.reason
        assert {(entry.verdict, entry.protected_by, entry.outcome) for entry in report.sessions} == {
            (Verdict.HOLD, "unknown", "none")
        }
    assert world.server.session_ids() == set(ids.values())
    assert history(world) == []
    assert confirmations(world, ids[orphan]) == 1
    assert alarms(world) == {"unreadable"}
    assert check_code(world) == 1

    world.host.rows = rows
    file_of(world.host, live).unlink()
    world.host.write()
    time.sleep(0.3)  # a file in TOML or YAML must be unchanged for a quarter of a second
    world.sweep()
    world.sweep()
    assert world.server.session_ids() == {ids[live]}


@pytest.mark.parametrize("kind", ["files", "files-folder"])
@pytest.mark.parametrize("change", ["removed", "emptied directory of another device"])
def test_a_missing_record_ends_no_session(worlds: Worlds, kind: str, change: str) -> None:
    world = worlds(kind)
    world.workspaces(3)
    before = {str(entry.session_id) for entry in world.sweep().sessions}
    place = world.host.folder if kind == "files-folder" else world.host.path
    if place.is_dir():
        shutil.rmtree(place)
    else:
        place.unlink()
    if change != "removed":
        place.with_suffix("").mkdir(exist_ok=True)
        place = place.with_suffix("")
    for _ in range(3):
        world.sweep()
    assert world.server.session_ids() == before
    assert history(world) == []


@pytest.mark.parametrize("kind", FILE_HOSTS)
def test_an_emptied_record_trips_the_breaker(worlds: Worlds, kind: str) -> None:
    """It is what a deletion of all workspaces looks like, too."""
    world = worlds(kind)
    world.workspaces(4)
    before = {str(entry.session_id) for entry in world.sweep().sessions}
    world.host.delete(*world.host.rows)
    time.sleep(0.3)
    for _ in range(3):
        report = world.sweep()
    assert {entry.protected_by for entry in report.sessions} == {"breaker"}
    assert world.server.session_ids() == before


@pytest.mark.parametrize("kind", ["files", "files-map"])
@pytest.mark.parametrize("keeps_time", [True, False])
def test_an_older_copy_ends_no_session_whose_directory_is_there(
    worlds: Worlds, tmp_path: Path, kind: str, keeps_time: bool
) -> None:
    world = worlds(kind)
    old = world.workspaces(4)
    backup = Path(shutil.copy2(world.host.path, tmp_path / "backup"))
    time.sleep(0.05)
    tree = tmp_path / "tree"
    tree.mkdir()
    world.sweep()
    new = world.workspace(worktree=str(tree))
    world.session(new)
    world.sweep()
    if not keeps_time:
        os.utime(backup)
    backup.replace(world.host.path)
    for _ in range(4):
        report = world.sweep()
    entry = world.entry(report, new)
    assert entry.protected_by == ("unproven" if keeps_time else "doubtful")
    assert all(map(world.lives, [*old, new]))


def test_a_directory_that_held_the_file_of_its_workspace_is_no_witness(worlds: Worlds, tmp_path: Path) -> None:
    """Who removes the one removes the other: that proves no deletion by the host."""
    world = worlds("files-folder")
    for one in ("a", "b"):
        world.host.insert([one], worktree=str(world.host.folder / one))
        world.session(one)
    world.host.insert(["c", "d"])
    world.sweep()
    world.sweep()
    next_second()
    shutil.rmtree(world.host.folder / "a")
    report = world.sweep()
    assert world.entry(report, "a").reason == "orphan"
    explained = world.cli_json("explain", "ws-a")
    assert "the record of the workspace lay in" in str(explained)
