"""Which tmux is used: refused if it is too old, and never kept busy for longer than a command may take."""

from __future__ import annotations

import logging
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tools.debian_tmux import VARIABLE, fits
from tests.tools.front_tmux import FrontTmux, Rule
from tests.tools.tmux import real_tmux
from tests.tools.world import World, outcomes
from workspace_reaper.model.errors import UnsupportedTmux

ROOT = Path(__file__).parents[2]
REFUSAL = "the tmux on PATH is 3.1c, which is too old: install tmux 3.2a or later"


@pytest.fixture
def old_tmux(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A world with a session to reap, and a tmux on PATH that is the real one, and calls itself 3.1c."""
    world.session(world.workspace(archived=True))
    program = tmp_path / "old" / "tmux"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\n[ "$*" != -V ] || exec echo tmux 3.1c\nexec "{real_tmux()}" "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    return world


@pytest.mark.parametrize("arguments", [("sweep",), ("sweep", "--dry-run", "--json"), ("run",)], ids=" ".join)
def test_a_command_refuses_a_tmux_that_is_too_old(old_tmux: World, arguments: tuple[str, ...]) -> None:
    done = old_tmux.cli(*arguments)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"workspace-reaper: {REFUSAL}\n")
    assert len(old_tmux.server.session_ids()) == 1


def test_doctor_says_so_and_what_it_takes_no_tmux_for_still_works(old_tmux: World) -> None:
    checks = old_tmux.cli_json("doctor", expect=1)
    assert [(one["state"], one["detail"], one["do"]) for one in checks if one["check"] == "tmux"] == [
        ("FAIL", "3.1c is older than tmux 3.2a", "install tmux 3.2a or later")
    ]
    assert old_tmux.cli_json("history") == []


def test_in_a_host_it_is_an_error_in_the_log_until_tmux_is_a_newer_one(
    old_tmux: World, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin = old_tmux.plugin
    with caplog.at_level(logging.ERROR, "workspace_reaper"):
        for _ in range(2):
            plugin.on_workspace_archived(old_tmux.host.new_id(1))
            assert plugin.drain(30)
    assert [record.getMessage() for record in caplog.records] == [
        f"the tmux on PATH cannot be used, so nothing is reaped: {REFUSAL}"
    ]
    with pytest.raises(UnsupportedTmux, match="too old"):
        plugin.sweep()
    assert len(old_tmux.server.session_ids()) == 1
    monkeypatch.setenv("PATH", os.environ["PATH"].partition(os.pathsep)[2])
    plugin.on_workspace_archived(old_tmux.host.new_id(1))
    assert plugin.drain(30)
    assert not old_tmux.server.session_ids()


def test_the_version_is_asked_once(world: World, front_tmux: FrontTmux) -> None:
    front_tmux.rules(Rule("-V"))
    for _ in range(3):
        world.sweep()
    assert front_tmux.calls().count(["-V"]) == 1


def test_who_does_not_tell_the_version_is_asked_again_and_does_no_harm(world: World, front_tmux: FrontTmux) -> None:
    archived = world.workspace(archived=True)
    world.session(archived)
    front_tmux.rules(Rule("-V", real=False, exit_code=1))
    assert outcomes(world.sweep()) == {archived: "reaped"}
    front_tmux.rules(Rule("-V", real=False, stdout="tmux 3.1c\n"))
    with pytest.raises(UnsupportedTmux):
        world.sweep()


# What a kill costs


@pytest.fixture
def condemned(world: World) -> list[str]:
    """Six workspaces whose sessions go in the next sweep."""
    return world.workspaces(6, archived=True)


def test_the_first_batch_is_within_its_limit_whatever_a_kill_costs(
    world: World, condemned: list[str], front_tmux: FrontTmux
) -> None:
    """All ten at once would take longer than the five seconds that a command may take."""
    condemned += world.workspaces(4, archived=True)
    front_tmux.rules(Rule("kill-session", each=0.6))
    report = world.sweep()
    assert outcomes(report) == dict.fromkeys(condemned, "reaped")
    assert not report.unknown
    assert sum("kill-session" in call for call in front_tmux.calls()) == 6, "five in one, then one by one"
    assert len(front_tmux.lines()) == 10


def test_a_batch_that_timed_out_is_read_again_and_not_repeated(
    world: World, condemned: list[str], front_tmux: FrontTmux
) -> None:
    """A kill was cheap until now: the batch is cut off after three or four of six."""
    world.plugin.reaper().state.batch_size.size = 100
    front_tmux.rules(Rule("kill-session", each=1.2))
    assert outcomes(world.sweep()) == dict.fromkeys(condemned, "reaped")
    assert world.plugin.reaper().state.batch_size.size == 1
    told = [found[0] for line in front_tmux.lines() if (found := re.search(r"kill-session -t (\$[0-9]+)", line))]
    assert len(set(told)) == 6
    assert len(told) <= 7, "only the one at which it was cut off may be told twice"


# Which tmux the tests run on


def test_another_tmux_than_the_promised_one_is_refused(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/unit/util/test_batch_size.py"]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, VARIABLE: "0.9"}, capture_output=True, text=True, timeout=100)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert f"{VARIABLE} promises tmux 0.9, and the one on PATH is " in done.stderr


@pytest.mark.parametrize(
    ("found", "wanted", "does"),
    [
        ("3.5a", "3.5a", True),
        ("3.5", "3.5a", False),
        ("3.5b", "3.5a", False),
        ("3.8", "3.8", True),
        ("3.8a", "3.8", True),
        ("3.10", "3.8", True),
        ("4.0", "3.8", True),
        ("next-3.9", "3.8", True),
        ("3.7c", "3.8", False),
        ("master", "3.8", False),
    ],
)
def test_only_of_the_newest_any_later_one_will_do(found: str, wanted: str, does: bool) -> None:
    assert fits(found, wanted) is does


def test_what_can_not_be_had_is_skipped_aloud(tmp_path: Path) -> None:
    """Without apt on PATH nothing can be brought."""
    command = [sys.executable, "-m", "tests.tools.debian_tmux", "3.5a", str(tmp_path), "--", "false"]
    done = subprocess.run(command, cwd=ROOT, env={"PATH": "/nowhere"}, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done
    assert "\nSKIPPED: no tmux 3.5a is available here: apt-get: " in done.stdout


@pytest.mark.skipif(shutil.which("apt-get") is None, reason="there is no apt here, and so no configuration of it")
@pytest.mark.parametrize(
    ("named", "why"),
    [
        ({}, "apt is configured for no mirror of Debian here: DEBIAN_MIRROR=URL names one"),
        ({"DEBIAN_MIRROR": "file:/nowhere/debian/"}, "file:/nowhere/debian"),
    ],
    ids=["none", "one that is not there"],
)
def test_the_mirror_is_the_one_of_this_machine_or_the_one_that_is_named(
    tmp_path: Path, named: dict[str, str], why: str
) -> None:
    (tmp_path / "apt-get").symlink_to(shutil.which("apt-get") or "")
    (tmp_path / "apt.conf").write_text('Dir::Etc::sourcelist "/dev/null"; Dir::Etc::sourceparts "/dev/null";')
    environment = {"PATH": str(tmp_path), "APT_CONFIG": str(tmp_path / "apt.conf"), **named}
    command = [sys.executable, "-m", "tests.tools.debian_tmux", "3.5a", str(tmp_path / "kept"), "--", "false"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done
    assert "\nSKIPPED: no tmux 3.5a is available here" in done.stdout
    assert why in done.stdout
