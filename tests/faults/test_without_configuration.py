"""I88: a host's plugin without configuration has reaped a session, and its user asks the command line what happened."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.tools.cao import QUICK
from tests.tools.command_line import CommandLine
from tests.tools.hosts import CaoHost, connected
from tests.tools.tmux import TmuxServer
from tests.tools.waiting import wait_until
from tests.tools.world import World
from workspace_reaper.hosts.embedded import EmbeddedReaper

pytestmark = pytest.mark.once

PATIENCE = 60.0
CONFIG = "config/workspace-reaper/workspace-reaper.toml"


class Machine:
    """A user's machine with CAO's database and the default tmux socket, all of it in a directory. Nothing is configured."""

    def __init__(self, home: Path, run: CommandLine) -> None:
        sockets = home / f"tmux-{home.stat().st_uid}"
        sockets.mkdir(mode=0o700)
        self.tmux = TmuxServer(name="default", directory=sockets)
        self.config = home / CONFIG
        self.state_dir = home / "state" / "workspace-reaper"
        database = home / "cao" / "db" / "cli-agent-orchestrator.db"
        database.parent.mkdir(parents=True)
        self.host = CaoHost(database)
        self.host.create()
        self.run = partial(run.bare, config=None)

    def reaps(self, name: str) -> None:
        """The plugin of the server reaps this session, while another one is alive. Then the server stops."""
        names = [one for one in ("cao-alive", name) if one not in self.sessions()]
        self.host.insert(names)
        self.tmux.new_sessions(names)
        reaper = EmbeddedReaper("cao")
        try:
            # CAO gives names out again: a session without the mark may belong to a later workspace than the deleted one.
            wait_until(lambda: self.mark_of(name), PATIENCE)
            self.host.delete(name)
            reaper.deleted(name)
            wait_until(lambda: name not in self.sessions(), PATIENCE)
            assert reaper.drain(PATIENCE)
        finally:
            reaper.stop()

    def mark_of(self, name: str) -> str:
        return self.tmux.run("show-options", "-qv", "-t", f"={name}:", "@reaper_workspace", check=False).strip()

    def sessions(self) -> list[str]:
        return self.tmux.run("list-sessions", "-F", "#{session_name}", check=False).splitlines()


@pytest.fixture
def machine(worlds: Callable[..., World], short_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    for name in [name for name in os.environ if name.startswith("WORKSPACE_REAPER_")]:
        monkeypatch.delenv(name)
    places = {"TMUX_TMPDIR": "", "HOME": "", "XDG_CONFIG_HOME": "config", "XDG_STATE_HOME": "state", "XDG_DATA_HOME": "data"}
    for name, place in {**places, "CAO_HOME_DIR": "cao"}.items():
        monkeypatch.setenv(name, str(short_tmp / place))
    monkeypatch.delenv("TMUX", raising=False)
    for name, value in QUICK.items():
        monkeypatch.setenv(name, value)
    made = Machine(short_tmp, CommandLine(worlds(), monkeypatch))
    yield made
    made.tmux.close()


def test_i88_history_shows_what_the_plugin_has_reaped(machine: Machine) -> None:
    machine.reaps("cao-gone")
    done = machine.run("history", "--json")
    # Its reason is that of the hook, or of a tick that comes first.
    assert [(entry["session"], entry["outcome"]) for entry in done.json] == [("cao-gone", "reaped")]
    assert f"this is about cao ({machine.host.path}), as recorded in {machine.state_dir}" in done.err
    assert "cao-gone" in machine.run("history").out


def test_i88_status_shows_the_sweeps_of_the_plugin_and_which_registry_it_is(machine: Machine) -> None:
    machine.reaps("cao-gone")
    done = machine.run("status")
    assert "not configured" not in done.out + done.err
    assert "init" not in done.out + done.err
    assert "1 managed (1 keep, 0 hold, 0 reap)" in done.out
    assert str(machine.host.path) in done.err
    shown = machine.run("status", "--json").json
    assert shown["registry"]["identity"].startswith(f"cao {machine.host.path}")
    assert [entry["session"] for entry in shown["sessions"]] == ["cao-alive"]
    check = machine.run("status", "--check")
    assert len(check.out.splitlines()) == 1
    assert "not configured" not in check.out


def test_i88_undo_show_and_restore_bring_it_back(machine: Machine) -> None:
    machine.reaps("cao-gone")
    reaps = machine.run("history", "--json").json
    assert [reap["session"] for reap in reaps] == ["cao-gone"]
    assert machine.run("show", reaps[0]["id"]).code == 0
    assert machine.run("undo").code == 0
    assert "cao-gone" in machine.sessions()


def test_i88_doctor_checks_what_the_plugin_uses(machine: Machine) -> None:
    machine.reaps("cao-gone")
    checks = {check["check"]: check for check in machine.run("doctor", "--json").json}
    assert checks["configuration"]["state"] == "OK"
    assert "a plugin of this user has recorded cao" in checks["configuration"]["detail"]
    assert str(machine.host.path) in checks["database"]["detail"]
    assert f"socket {machine.tmux.path}" in checks
    assert checks["ledger"]["state"] == "OK"


def test_i88_explain_and_keep_work_as_well(machine: Machine) -> None:
    machine.reaps("cao-gone")
    assert "decided: keep: no reason holds" in machine.run("explain", "cao-alive").out
    assert machine.run("keep", "cao-alive").code == 0


def test_i88_sweep_still_needs_a_configuration_and_its_advice_leaves_the_plugin_on(machine: Machine) -> None:
    machine.reaps("cao-gone")
    done = machine.run("sweep")
    assert done.code == 2
    assert "init" not in done.err
    assert f'write registry = "cao" to {machine.config}' in done.err
    machine.config.parent.mkdir(parents=True)
    machine.config.write_text('registry = "cao"\n')
    machine.config.chmod(0o600)
    assert machine.run("sweep", "--json").json["totals"]["managed"] == 1
    machine.reaps("cao-next")
    assert {entry["session"] for entry in machine.run("history", "--json").json} == {"cao-gone", "cao-next"}


def test_i88_init_says_that_its_file_switches_the_plugin_off(machine: Machine) -> None:
    assert "switched off" not in machine.run("init").out
    machine.reaps("cao-gone")
    done = machine.run("init")
    assert "A plugin of this user works without this file, with cao" in done.out
    assert "switched off by 'enabled = false'" in done.out
    assert not machine.config.exists()


def test_a_configuration_that_names_a_registry_counts(machine: Machine) -> None:
    machine.reaps("cao-gone")
    machine.config.parent.mkdir(parents=True)
    machine.config.write_text(f'registry = "standard"\ndatabase_url = "sqlite:///{machine.host.path}"\n')
    machine.config.chmod(0o600)
    done = machine.run("history", "--json")
    assert (done.json, done.err) == ([], "")


@pytest.mark.parametrize("setting", ["state_dir", "idle_ttl"])
def test_i88_a_configuration_that_names_no_registry_leaves_the_rest_as_it_is(machine: Machine, setting: str) -> None:
    machine.config.parent.mkdir(parents=True)
    place = machine.config.parent / "other-state"
    machine.config.write_text(f'state_dir = "{place}"\n' if setting == "state_dir" else 'idle_ttl = "5h"\n')
    machine.config.chmod(0o600)
    machine.reaps("cao-gone")
    done = machine.run("history", "--json")
    assert [entry["session"] for entry in done.json] == ["cao-gone"]
    assert f"as recorded in {place if setting == 'state_dir' else machine.state_dir}" in done.err


def test_i88_of_several_registries_the_one_that_was_swept_last_is_shown_and_the_others_are_named(machine: Machine) -> None:
    machine.reaps("cao-gone")
    other = machine.config.parent / "other.toml"
    other.parent.mkdir(parents=True)
    other.write_text(f'registry = "cao"\ndatabase_url = "sqlite:///{machine.host.path}-2"\n')
    other.chmod(0o600)
    CaoHost(Path(f"{machine.host.path}-2")).create()
    assert machine.run("--config", str(other), "sweep").code == 0
    done = machine.run("status", "--json")
    assert f"this is about cao ({machine.host.path}-2)" in done.err
    assert f"there is also cao ({machine.host.path})" in done.err


@pytest.mark.parametrize("state", ["nothing", "a damaged ledger", "a registry that is not installed"])
def test_without_anything_to_show_nothing_is_invented(machine: Machine, state: str) -> None:
    if state == "a damaged ledger":
        machine.state_dir.mkdir(parents=True, mode=0o700)
        (machine.state_dir / "ledger.sqlite").write_text("something else")
        assert machine.run("status").code == 3
        [ledger] = [one for one in machine.run("doctor", "--json").json if one["check"] == "ledger"]
        assert ledger["state"] == "FAIL"
        return
    if state == "a registry that is not installed":
        machine.reaps("cao-gone")
        with connected(machine.state_dir / "ledger.sqlite") as ledger:
            ledger.execute("UPDATE registry SET configured_name = 'gone-host'")
    assert "not configured, so nothing is reaped" in machine.run("status").out
    assert json.loads(machine.run("history", "--json").out) == []
