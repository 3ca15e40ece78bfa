"""What a pane's environment holds is nobody's business: it is in no file, log or JSON of ours; and our files are private."""

from __future__ import annotations

import gzip
import json
import logging
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.tools.cast import Cast
from tests.tools.world import World, outcomes

pytestmark = pytest.mark.once

Worlds = Callable[..., World]

SECRET = "wr-s3cr3t-8f1c"  # no secret of anybody
FOREVER = "exec sleep 100000"


def contents(directory: Path) -> Iterator[tuple[Path, bytes]]:
    """Every file below, as it is, and what is compressed in it."""
    for path in directory.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            yield path, data
            if data.startswith(b"\x1f\x8b"):
                yield path, gzip.decompress(data)


def test_i63_a_secret_in_an_environment_is_nowhere(
    worlds: Worlds, cast: Cast, worktree: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world = worlds(kill_grace=0.5)
    # The first client's arguments stay the server's.
    world.server.new_session("beside")
    archived = world.workspace(archived=True, worktree=str(worktree))
    world.server.run("set-environment", "-g", "TOKEN", SECRET)
    own = f"WORD={SECRET}; export WORD; unset TOKEN"  # the escaped one has another one
    cast.say("words", f"{own}\n")
    escaping = f". {cast.directory}/words; {cast.escaping('ours')}; cd /; {cast.escaping('left')}"
    session_id = world.session(archived, command=f"cd {worktree}; {escaping}; echo shown; {FOREVER}")
    world.server.run("set-environment", "-t", f"{session_id}:", "PASSWORD", SECRET)
    world.server.run("split-window", "-d", "-t", f"{session_id}:", "exec sleep 100000")
    ours, left = cast.escaped("ours"), cast.escaped("left")
    assert {ours.environ()["WORD"], left.environ()["WORD"]} == {SECRET}

    with caplog.at_level(logging.DEBUG):
        report = world.sweep()
    assert outcomes(report) == {archived: "reaped"}
    reap_id = world.entry(report, archived).reap_id
    assert reap_id is not None
    assert cast.lives(left)
    told = [
        report.to_json(),
        repr(report),
        caplog.text,
        *(repr(record.__dict__) for record in caplog.records),
        *(json.dumps(world.cli_json(*words)) for words in (["history"], ["status"], ["show", reap_id])),
        *(world.cli(*words).stdout for words in (["history"], ["status"], ["show", reap_id], ["show", "--full", reap_id])),
    ]
    assert "shown" in told[-1]
    assert not [text for text in told if SECRET in text]
    files = dict(contents(world.state_dir))
    assert any(b"shown" in data for data in files.values()), "the snapshot was looked through"
    assert not [path for path, data in contents(world.state_dir) if SECRET.encode() in data]


@pytest.mark.parametrize("way", ["in a host", "as a command"])
def test_i63_all_that_it_writes_is_private(world: World, way: str) -> None:
    world.server.new_session("beside")
    archived = world.workspace(archived=True)
    world.session(archived)
    before = os.umask(0)
    try:
        if way == "in a host":
            world.sweep()
        else:
            world.cli_json("sweep")
    finally:
        os.umask(before)
    assert not world.lives(archived)
    paths = [world.state_dir, *world.state_dir.rglob("*")]
    assert any(path.suffix == ".gz" for path in paths) or any("snapshots" in path.parts for path in paths)
    assert not {str(path): mode for path in paths if (mode := stat.S_IMODE(path.lstat().st_mode)) & 0o077}
