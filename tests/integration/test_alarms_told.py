"""Each alarm begins, stays with its time, and is over with its cause: in the ledger, in the log, and for the other plugins."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from tests.faults.steps import recalled
from tests.tools.front_tmux import FrontTmux, Rule
from tests.tools.waiting import wait_until
from tests.tools.world import World
from workspace_hookspecs import Candidate, ReaperAlarm, WorkspacePlugins, hookimpl
from workspace_reaper.model.state import Alarm
from workspace_reaper.operations.breaker_reset import reset_breaker
from workspace_reaper.operations.status import read_status
from workspace_reaper.sweep.report import SessionReport

pytestmark = pytest.mark.once

LIMIT = 60.0
Worlds = Callable[..., World]


class Watched:
    """A world whose reaper sweeps with the ticks of a host, beside a plugin that hears of alarms, and may veto."""

    def __init__(self, world: World, front: FrontTmux, plugins: WorkspacePlugins, log: pytest.LogCaptureFixture) -> None:
        self.world = world
        self.front = front
        self.plugins = plugins
        self.heard: list[ReaperAlarm] = []
        self.refusing: Exception | None = None
        self._log = log

    @hookimpl
    def on_reaper_alarm(self, alarm: ReaperAlarm) -> None:
        self.heard.append(alarm)

    @hookimpl
    def reaper_veto(self, candidates: list[Candidate]) -> dict[str, str]:
        if self.refusing is not None:
            raise self.refusing
        return {}

    def tick(self) -> None:
        """One sweep, as a host asks for it."""
        self.plugins.tick()
        assert self.plugins.drain(LIMIT)

    def standing(self, name: str) -> Alarm | None:
        """The alarm as the ledger has it."""
        return recalled(self.world).alarms.get(name)

    def told(self, name: str) -> list[tuple[str, bool]]:
        """What the plugin heard of it: each detail, and whether it was over."""
        return [(one.detail, one.ended_at is not None) for one in self.heard if one.name == name]

    def logged(self, name: str) -> list[str]:
        """The lines of the log about it, without the details."""
        lines = [record.getMessage() for record in self._log.records if record.name == "workspace_reaper"]
        return [kind for kind, _, rest in (line.partition(": ") for line in lines) if rest.partition(":")[0] == name]

    def recorded(self, name: str) -> list[str]:
        """The events in the ledger about it, oldest first."""
        with self.world.plugin.reaper().reading() as ledger:
            return [one.kind for one in reversed(ledger.events(1000)) if one.detail.partition(":")[0] == name]

    def all_told(self, name: str) -> tuple[int, list[str], list[str]]:
        return len(self.told(name)), self.logged(name), self.recorded(name)


Watching = Callable[..., Watched]


@pytest.fixture
def watching(worlds: Worlds, front_tmux: FrontTmux, caplog: pytest.LogCaptureFixture) -> Iterator[Watching]:
    caplog.set_level(logging.INFO)
    with ExitStack() as stack:

        def begin(**settings: object) -> Watched:
            plugins = stack.enter_context(WorkspacePlugins())
            watched = Watched(worlds(**settings), front_tmux, plugins, caplog)
            plugins.register(watched.world.plugin, "reaper")
            plugins.register(watched, "listener")
            return watched

        yield begin


# A cause is there once it is called, and gone once what it returned is.

End = Callable[[], object]


def unreadable_socket(watched: Watched) -> End:
    watched.front.rules(Rule("list-sessions", exit_code=1, stderr="lost server\n"))
    return watched.front.rules


def unreadable_session(watched: Watched) -> End:
    watched.world.session(watched.world.workspace())
    watched.front.rules(Rule("list-sessions", replace={"#{session_activity}": ""}))
    return watched.front.rules


def unreadable_registry(watched: Watched) -> End:
    path = watched.world.host.path
    away = path.rename(path.with_name("away"))
    return lambda: away.rename(path)


def condemned(watched: Watched) -> str:
    workspace_id = watched.world.workspace(archived=True)
    watched.world.session(workspace_id)
    return workspace_id


def spared_by_the_recheck(watched: Watched) -> End:
    condemned(watched)
    # The first listing of each sweep is as it is: it has the windows.
    kept = {"#{?#{==:#{@reaper_keep},},0,1}": "1"}

    def tick() -> None:
        watched.front.rules(Rule("list-sessions", skip=1, replace=kept))
        Watched.tick(watched)

    watched.tick = tick  # type: ignore[method-assign]
    return lambda: (vars(watched).pop("tick"), watched.front.rules())


def spared_for_its_snapshot(watched: Watched) -> End:
    """Its panes can't be kept, in no sweep: the directory for them is none."""
    condemned(watched)
    watched.tick()
    condemned(watched)
    place = watched.world.state_dir / "snapshots"
    away = place.rename(place.with_name("away"))
    place.write_text("something else")
    return lambda: (place.unlink(), away.rename(place))


def kills_that_fail(watched: Watched) -> End:
    condemned(watched)
    watched.front.rules(Rule("kill-session", real=False))

    def end() -> None:
        def waiting() -> list[SessionReport]:
            return [entry for entry in watched.world.sweep(dry_run=True).sessions if entry.protected_by == "retrying"]

        [entry] = wait_until(lambda: waiting() or watched.tick(), LIMIT)
        watched.front.rules()
        watched.world.sweep(approve=[entry.key])

    return end


def a_host_that_starts_it_again(watched: Watched) -> End:
    workspace_id = condemned(watched)
    watched.tick()
    watched.world.session(workspace_id)

    def tick() -> None:
        Watched.tick(watched)
        watched.world.session(workspace_id)

    watched.tick = tick  # type: ignore[method-assign]
    return lambda: (vars(watched).pop("tick"), watched.tick())


def three_that_vanish(watched: Watched) -> End:
    ids = watched.world.workspaces(3)
    watched.world.workspaces(4, sessions=False)
    watched.tick()
    watched.world.host.delete(*ids)

    def end() -> None:
        watched.world.host.insert(ids)
        for _ in range(3):
            watched.tick()

    return end


def three_that_an_operator_lets_go(watched: Watched) -> End:
    three_that_vanish(watched)
    return lambda: reset_breaker(watched.world.plugin.reaper())


def a_plugin_that_raises(watched: Watched) -> End:
    condemned(watched)
    watched.refusing = ValueError("no word")
    return lambda: setattr(watched, "refusing", None)


CAUSES = {
    "socket": ("unreadable", {}, unreadable_socket),
    "session": ("unreadable", {}, unreadable_session),
    "registry": ("unreadable", {}, unreadable_registry),
    "no socket for long": ("blind", {"tick": 0.1}, unreadable_socket),
    "no registry for long": ("blind", {"tick": 0.1}, unreadable_registry),
    "spared by the recheck": ("overdue", {"abstain_alarm": 0.1}, spared_by_the_recheck),
    "spared for its snapshot": ("overdue", {"abstain_alarm": 0.1}, spared_for_its_snapshot),
    "kills that fail": ("kill-failing", {}, kills_that_fail),
    "started again": ("came-back", {}, a_host_that_starts_it_again),
    "breaker": ("breaker", {}, three_that_vanish),
    "breaker freed by hand": ("breaker", {}, three_that_an_operator_lets_go),
    "veto": ("veto-failing", {}, a_plugin_that_raises),
}


@pytest.mark.parametrize("cause", CAUSES)
def test_an_alarm_is_told_once_when_it_begins_and_once_when_it_is_over(watching: Watching, cause: str) -> None:
    name, settings, begin = CAUSES[cause]
    watched = watching(**settings)
    before = datetime.now(timezone.utc)
    end = begin(watched)
    watched.world.sweep(dry_run=True)
    assert watched.all_told(name) == (0, [], []), "a dry run tells nobody"

    begun = wait_until(lambda: watched.tick() or watched.standing(name), LIMIT)
    assert isinstance(begun, Alarm)
    watched.tick()
    assert watched.all_told(name) == (1, ["alarm"], ["alarm"])
    still = watched.standing(name)
    assert still is not None
    assert still.since == begun.since
    [shown] = [one for one in read_status(watched.world.plugin.reaper()).as_dict()["alarms"] if one["name"] == name]
    assert shown["since"] == begun_text(begun)
    assert shown["detail"]
    assert shown["clears_when"]
    assert read_status(watched.world.plugin.reaper()).check_code == 1

    end()
    watched.tick()
    watched.tick()
    assert watched.standing(name) is None
    assert watched.plugins.drain(LIMIT)
    logged = ["alarm"] if cause == "breaker freed by hand" else ["alarm", "alarm over"]  # that was another process
    assert watched.all_told(name) == (2, logged, ["alarm", "alarm over"])
    first, last = [one for one in watched.heard if one.name == name]
    assert first.since == last.since == datetime.fromtimestamp(begun.since, timezone.utc)
    assert first.ended_at is None
    assert last.ended_at is not None
    assert before <= last.ended_at <= datetime.now(timezone.utc)


def begun_text(alarm: Alarm) -> str:
    return datetime.fromtimestamp(alarm.since, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_the_table_of_alarms_tells_other_plugins_each_name() -> None:
    docs = Path(__file__).parents[2] / "docs"
    text = (docs / "operations.md").read_text(encoding="utf-8")
    for name in {name for name, *_ in CAUSES.values()} | {"configuration", "canary"}:
        assert f"| `{name}` |" in text
    assert "(../docs/operations.md#alarms)" in (docs.parent / "hookspecs" / "README.md").read_text(encoding="utf-8")


# Where no ledger can have it


def test_nobody_is_told_before_it_is_in_the_ledger(watching: Watching) -> None:
    watched = watching()
    watched.tick()
    end = unreadable_registry(watched)
    with closing(sqlite3.connect(watched.world.state_dir / "ledger.sqlite")) as ledger:
        ledger.execute("CREATE TRIGGER full BEFORE INSERT ON alarm BEGIN SELECT RAISE(FAIL, 'no room'); END")
        watched.tick()
        assert watched.all_told("unreadable") == (0, [], [])
        ledger.execute("DROP TRIGGER full")
    watched.tick()
    assert watched.all_told("unreadable") == (1, ["alarm"], ["alarm"])
    end()


def broken(watched: Watched) -> Any:
    """The ledger is garbage; what mends it."""
    watched.world.plugin.reaper().close()
    ledger = watched.world.state_dir / "ledger.sqlite"
    away = ledger.rename(ledger.with_name("away"))
    ledger.write_text("something else")
    return lambda: away.replace(ledger)


def test_a_ledger_that_can_not_be_written_for_long_is_told_and_recorded_later(watching: Watching) -> None:
    watched = watching(tick=0.1)
    watched.tick()
    mend = broken(watched)
    wait_until(lambda: watched.tick() or watched.told("blind"), LIMIT)
    watched.tick()
    [(detail, over)] = watched.told("blind")
    assert not over
    assert "ledger.sqlite" in detail
    assert watched.logged("blind") == ["alarm"]

    mend()
    watched.tick()
    assert [over for _, over in watched.told("blind")] == [False, True]
    assert watched.logged("blind") == ["alarm", "alarm over"]
    assert watched.recorded("blind") == ["alarm", "alarm over"]
    assert watched.standing("blind") is None


def test_what_was_told_without_a_ledger_goes_on_in_it(watching: Watching) -> None:
    """It is mended, and then nothing can be seen for another reason."""
    watched = watching(tick=0.1)
    watched.tick()
    mend = broken(watched)
    wait_until(lambda: watched.tick() or watched.told("blind"), LIMIT)
    see = unreadable_registry(watched)
    mend()
    watched.tick()
    assert watched.standing("blind") is not None
    assert watched.all_told("blind") == (1, ["alarm"], ["alarm"])
    see()
    watched.tick()
    assert watched.all_told("blind") == (2, ["alarm", "alarm over"], ["alarm", "alarm over"])


def test_a_configuration_that_can_not_be_used_is_an_alarm_until_it_is_mended(watching: Watching) -> None:
    watched = watching()
    world, plugin = watched.world, watched.world.plugin
    world.settings["tick"] = "now and then"
    world.write_config()
    watched.tick()
    watched.tick()
    [(detail, over)] = watched.told("configuration")
    assert "now and then" in detail
    assert not over

    world.settings["tick"] = 60
    world.write_config()
    watched.tick()
    assert plugin.reaper().settings.tick == 60
    assert [over for _, over in watched.told("configuration")] == [False, True]
    assert watched.recorded("configuration") == ["alarm", "alarm over"]
    assert watched.logged("configuration") == ["alarm over"]


# What somebody who asks is shown


@pytest.mark.parametrize("how", ["fine", "garbage"])
def test_status_check_is_one_line_and_an_exit_code(world: World, how: str) -> None:
    world.session(world.workspace())
    world.sweep()
    if how == "garbage":
        world.plugin.close()
        (world.state_dir / "ledger.sqlite").write_text("something else")
    done = world.cli("status", "--check")
    [line] = done.stdout.splitlines()
    code, text = (0, "OK: the last complete sweep started at ") if how == "fine" else (3, "UNKNOWN: The ledger ")
    assert (done.returncode, done.stderr) == (code, "")
    assert line.startswith(text)
