"""The plugin in a host: hooks through the contract, on real tmux and a real database."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.tools.world import World
from workspace_hookspecs import WorkspacePlugins, hookimpl
from workspace_reaper import worker as worker_module
from workspace_reaper.ledger.locks import FileSweepLock
from workspace_reaper.model.errors import SweepLocked
from workspace_reaper.model.events import WorkspaceEvent
from workspace_reaper.operations.reaper import Reaper
from workspace_reaper.operations.suspects import record_events
from workspace_reaper.plugin import ReaperPlugin
from workspace_reaper.settings import load_settings

pytestmark = pytest.mark.once


@pytest.fixture
def host(world: World) -> Iterator[WorkspacePlugins]:
    """A host that has the reaper as its only plugin."""
    with WorkspacePlugins() as plugins:
        plugins.register(world.plugin, "reaper")
        yield plugins


@pytest.fixture
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Later looks follow at once."""
    monkeypatch.setattr(worker_module, "LOOKS", (0.0, 0.05, 0.1, 0.15))


def test_deleted_by_hook_goes_at_once_even_while_somebody_types(world: World, host: WorkspacePlugins) -> None:
    gone, other = world.workspace(), world.workspace()
    client = world.server.attach(world.session(gone))
    world.session(other)
    client.type("x")
    world.host.delete(gone)

    host.workspace_deleted(gone)

    assert host.drain(30)
    assert not world.lives(gone)
    assert world.lives(other)


@pytest.mark.parametrize(("seconds_ago", "lives"), [(60.0, True), (0.0, False)])
def test_a_session_that_was_created_after_the_deletion_is_another_one(world: World, seconds_ago: float, lives: bool) -> None:
    """The worker may have been busy since then, and a host may use an id again."""
    again, other = world.workspace(), world.workspace()
    world.session(other)
    world.sweep()
    world.session(again)
    world.host.delete(again)
    world.plugin._runner.look_at({again: WorkspaceEvent.DELETED}, (), {again: seconds_ago})
    assert world.lives(again) is lives


def test_archived_by_hook_goes_at_once_without_a_grace(world: World, host: WorkspacePlugins) -> None:
    world.configure(activity_grace=3600)
    archived = world.workspace()
    world.session(archived)
    world.host.archive(archived)
    host.manager.unregister(name="reaper")
    host.register(world.plugin, "reaper")

    host.workspace_archived(archived)

    assert host.drain(30)
    assert not world.lives(archived)


@pytest.mark.parametrize("protection", ["attached", "running"])
def test_archived_by_hook_is_held_while_it_is_in_use(world: World, host: WorkspacePlugins, protection: str) -> None:
    archived = world.workspace()
    session_id = world.session(archived)
    if protection == "attached":
        world.server.attach(session_id)
    else:
        world.host.start(archived)
    world.host.archive(archived)

    host.workspace_archived(archived)

    assert host.drain(30)
    assert world.lives(archived)


@pytest.mark.usefixtures("quick_looks")
def test_i55_a_hook_that_comes_before_its_commit_is_looked_at_again(world: World, host: WorkspacePlugins) -> None:
    """The host fires too early; the row agrees a moment later."""
    archived = world.workspace()
    world.session(archived)

    host.workspace_archived(archived)
    world.host.archive(archived)

    assert host.drain(30)
    assert not world.lives(archived)


@pytest.mark.usefixtures("quick_looks")
def test_a_wrong_event_costs_nothing(world: World, host: WorkspacePlugins, caplog: pytest.LogCaptureFixture) -> None:
    present = world.workspace()
    world.session(present)

    with caplog.at_level(logging.WARNING, "workspace_reaper"):
        host.workspace_deleted(present)
        assert host.drain(30)

    assert world.lives(present)
    assert f"a hook reported {present} as deleted, but its row is not deleted: left to the next tick" in caplog.text
    # What was contradicted convicts nobody later: without its row it is an orphan like any other, and is spared while attached.
    world.server.attach(next(iter(world.server.session_ids())))
    world.host.delete(present)
    assert world.entry(world.sweep(), present).reason == "orphan"
    assert world.lives(present)


def test_a_lost_kill_is_made_good_by_the_tick(world: World, host: WorkspacePlugins) -> None:
    """The session was kept when the hook came; the testimony outlives that, and a restart."""
    gone, other = world.workspace(), world.workspace()
    session_id = world.session(gone)
    world.session(other)
    world.server.set_option(session_id, "@reaper_keep", "1")
    world.host.delete(gone)
    host.workspace_deleted(gone)
    assert host.drain(30)
    assert world.lives(gone)

    world.server.run("set-option", "-u", "-t", f"{session_id}:", "@reaper_keep")
    report = world.new_plugin().sweep()

    assert (world.entry(report, gone).reason, world.entry(report, gone).outcome) == ("deleted", "reaped")
    assert not world.lives(gone)


def test_i48_the_tick_finds_what_no_hook_named(world: World, host: WorkspacePlugins) -> None:
    """An orphan made long after the start is found by the timer."""
    orphan, other = world.workspaces(2)
    host.tick()
    assert host.drain(30)
    world.host.delete(orphan)
    host.tick()
    assert host.drain(30)
    host.tick()
    assert host.drain(30)
    assert not world.lives(orphan)
    assert world.lives(other)


def test_a_hook_that_names_no_workspace_id_is_logged(
    world: World, host: WorkspacePlugins, caplog: pytest.LogCaptureFixture
) -> None:
    host.workspace_deleted("no uuid")
    assert host.drain(30)
    assert "'no uuid', which is not a workspace id of the registry vibe-kanban" in caplog.text


def test_without_configuration_it_does_nothing_and_says_so_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = tmp_path / "empty.toml"
    empty.write_text(f'state_dir = "{tmp_path}/state"\n')
    plugin = ReaperPlugin()
    plugin.configure(empty)
    with WorkspacePlugins() as plugins:
        plugins.register(plugin, "reaper")
        for _ in range(3):
            plugins.tick()
            plugins.workspace_deleted("a")
            assert plugins.drain(30)
    assert caplog.text.count("not configured, so nothing is reaped") == 1
    assert f"workspace-reaper --config {empty} init" in caplog.text
    assert plugin.sweep().as_dict()["abstained"] == "not configured"
    assert not (tmp_path / "state").exists()


def test_a_wrong_configuration_is_an_error_in_the_hosts_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    wrong = tmp_path / "wrong.toml"
    wrong.write_text('registry = "vibe-kanban"\nidle_tll = 5\n')
    plugin = ReaperPlugin()
    plugin.configure(wrong)
    with WorkspacePlugins() as plugins:
        plugins.register(plugin, "reaper")
        plugins.tick()
        plugins.tick()
        assert plugins.drain(30)
    assert caplog.text.count("idle_tll") == 1
    assert [record.levelname for record in caplog.records if "idle_tll" in record.message] == ["ERROR"]


def test_switched_off_it_abstains(world: World) -> None:
    archived = world.workspace(archived=True)
    world.session(archived)
    world.configure(enabled=False)
    report = world.sweep()
    assert (report.abstained, report.exit_code) == ("disabled", 0)
    assert world.lives(archived)
    assert not world.state_dir.exists()


def test_a_deletion_is_done_with_once_it_is_carried_out(world: World, host: WorkspacePlugins) -> None:
    """The host gives the id out again, and the session is there before its row: it is no more than a young orphan."""
    gone, other = world.workspace(), world.workspace()
    world.session(gone)
    world.session(other)
    world.host.delete(gone)
    host.workspace_deleted(gone)
    assert host.drain(30)
    assert not world.lives(gone)

    world.session(gone)
    entry = world.entry(world.sweep(), gone)

    assert (entry.reason, entry.outcome, entry.protected_by) == ("orphan", "none", "unconfirmed")
    assert world.lives(gone)


def test_what_a_hook_said_under_another_database_convicts_nobody(world: World, worlds: Callable[..., World]) -> None:
    """A deletion that was never carried out is remembered; then the database is replaced by an empty one."""
    present, other = world.workspaces(2)
    world.sweep()
    record_events(world.plugin.reaper(), {present: WorkspaceEvent.DELETED})
    empty = worlds(servers=0).host.path
    empty.replace(world.host.path)

    for _ in range(3):
        world.sweep()

    assert world.lives(present)
    assert world.lives(other)


def test_an_alarm_is_in_the_hosts_log_once(world: World, host: WorkspacePlugins, caplog: pytest.LogCaptureFixture) -> None:
    gone = world.workspaces(3)
    world.sweep()
    world.host.delete(*gone)
    with caplog.at_level(logging.INFO, "workspace_reaper"):
        for _ in range(3):
            host.tick()
            assert host.drain(30)
    told = [record.getMessage() for record in caplog.records if record.name == "workspace_reaper"]
    assert len([text for text in told if text.startswith("breaker latched: 3 of 3")]) == 1
    assert len([text for text in told if text.startswith("alarm: breaker")]) == 1
    fields = [record.fields for record in caplog.records if record.name == "workspace_reaper"]  # type: ignore[attr-defined]
    assert {one.get("alarm") for one in fields if one["event"] == "alarm"} >= {"breaker"}


def test_switched_off_a_hook_costs_no_later_look(world: World) -> None:
    world.configure(enabled=False)
    assert world.plugin._runner.look_at({world.workspace(): WorkspaceEvent.DELETED}, ()) == ()


def told(caplog: pytest.LogCaptureFixture, word: str = "") -> list[str]:
    texts = [record.getMessage() for record in caplog.records if record.name == "workspace_reaper"]
    return [text for text in texts if word in text]


@pytest.mark.parametrize("last", [WorkspaceEvent.ARCHIVED, WorkspaceEvent.DELETED])
def test_of_two_spellings_of_one_id_the_deletion_counts(world: World, last: WorkspaceEvent) -> None:
    """What was deleted goes at once; what was only archived, and has no row, would wait for confirmations."""
    first = WorkspaceEvent.DELETED if last is WorkspaceEvent.ARCHIVED else WorkspaceEvent.ARCHIVED
    world.workspaces(3, sessions=False)
    workspace = world.workspace()
    world.session(workspace)
    world.sweep()
    world.host.delete(workspace)
    other = workspace.upper() if workspace != workspace.upper() else workspace.replace("-", "")
    assert world.plugin._runner.look_at({workspace: first, other: last}, ()) == []
    assert not world.lives(workspace)


def test_what_can_not_be_seen_is_said_when_it_begins_and_when_it_is_over(
    world: World, host: WorkspacePlugins, caplog: pytest.LogCaptureFixture
) -> None:
    gone, _ = world.workspaces(2)
    away = world.tmp / "away.sqlite"
    world.host.path.replace(away)
    with caplog.at_level(logging.INFO, "workspace_reaper"):
        for _ in range(2):
            host.tick()
            host.workspace_deleted(gone)
            assert host.drain(30)
        assert [text.split(",")[0] for text in told(caplog, "unknown")] == ["unknown registry"]
        away.replace(world.host.path)
        for _ in range(2):
            host.tick()
            assert host.drain(30)
    assert told(caplog, "unknown")[1:] == ["no longer unknown: registry"]


def test_a_dry_run_ends_no_trouble(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.workspaces(1)
    away = world.tmp / "away.sqlite"
    world.host.path.replace(away)
    with caplog.at_level(logging.INFO, "workspace_reaper"):
        world.sweep()
        away.replace(world.host.path)
        world.sweep(dry_run=True)
        assert len(told(caplog, "unknown")) == 1
        world.sweep()
    assert told(caplog, "unknown")[1:] == ["no longer unknown: registry"]


def test_a_line_is_a_sentence_and_its_record_has_fields(world: World, caplog: pytest.LogCaptureFixture) -> None:
    (archived,) = world.workspaces(1, archived=True)
    with caplog.at_level(logging.INFO, "workspace_reaper"):
        entry = world.entry(world.sweep(), archived)
    (record,) = [record for record in caplog.records if record.name == "workspace_reaper"]
    assert record.getMessage() == (
        f"reaped socket={world.server.path} session={entry.session} workspace={archived} reason=archived "
        f"reap={entry.reap_id} protected_by=None"
    )
    fields = record.fields  # type: ignore[attr-defined]
    assert (fields["event"], fields["session"], fields["reap"], fields["protected_by"]) == (
        "reaped",
        entry.session,
        entry.reap_id,
        None,
    )


def test_a_sweep_that_is_idle_says_nothing(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.workspaces(2)
    with caplog.at_level(logging.INFO, "workspace_reaper"):
        for _ in range(3):
            world.sweep()
    assert told(caplog) == []


# Another content in the same place


def test_what_was_known_before_a_doubt_proves_nothing(world: World) -> None:
    lost, present, *_ = world.workspaces(6)
    world.sweep()
    world.plugin.reaper().doubt("its file was replaced")
    world.host.delete(lost)

    for _ in range(3):
        entry = world.entry(world.sweep(), lost)
        assert (entry.reason, entry.outcome) == ("orphan", "none")
        assert "unproven" in str(entry.protected_by)

    world.host.delete(present)
    assert world.entry(world.sweep(), present).protected_by == "unconfirmed", "the sweep after the doubt has known it"
    assert world.entry(world.sweep(), present).outcome == "reaped"
    assert world.lives(lost)
    with world.plugin.reaper().reading() as ledger:
        assert [one.detail for one in ledger.events(9) if one.kind == "registry changed"] == ["its file was replaced"]


def test_a_doubt_before_the_first_sweep_ends_what_was_reported_until_then(world: World) -> None:
    lost, *_ = world.workspaces(6)
    reaper = world.plugin.reaper()
    record_events(reaper, {lost: WorkspaceEvent.DELETED})
    reaper.doubt("its file was replaced")
    world.host.delete(lost)
    entries = [world.entry(world.sweep(), lost) for _ in range(3)]
    assert {(entry.reason, entry.protected_by, entry.outcome) for entry in entries} == {("orphan", "unproven", "none")}
    with reaper.reading() as ledger:
        assert [one.detail for one in ledger.events(9) if one.kind == "registry changed"] == ["its file was replaced"]


# Another configuration


def test_a_doubt_that_could_not_be_recorded_yet_is_that_of_the_next_reaper(world: World) -> None:
    lost, *_ = world.workspaces(4)
    world.sweep()
    before = world.plugin.reaper()
    before.shared._lock = FileSweepLock(world.state_dir, wait=0)
    with FileSweepLock(world.state_dir).held(), pytest.raises(SweepLocked):
        before.doubt("its file was replaced")
    world.host.delete(lost)
    world.plugin.use(Reaper(load_settings(world.write_config())))

    entries = [world.entry(world.sweep(), lost) for _ in range(3)]

    assert {(entry.reason, entry.protected_by) for entry in entries} == {("orphan", "unproven")}
    with world.plugin.reaper().reading() as ledger:
        assert [one.detail for one in ledger.events(9) if one.kind == "registry changed"] == ["its file was replaced"]
    assert world.plugin.reaper().state.doubt is None


def test_another_reaper_takes_over_between_sweeps(world: World, host: WorkspacePlugins) -> None:
    kept, archived = world.workspace(archived=True), world.workspace()
    world.session(kept)
    before = world.plugin.reaper()
    with before.writing() as ledger:
        plugin = world.plugin
        world.configure(activity_grace=3600)
        world.write_config()
        plugin.use(Reaper(load_settings(world.config)))
        ledger.registry()  # it is closed by him who writes, and not under his hands
    assert not before.shared._ledgers

    host.tick()
    world.session(archived)
    world.host.archive(archived)
    host.workspace_archived(archived)
    assert host.drain(30)

    assert world.lives(kept)
    assert not world.lives(archived)
    assert plugin.reaper().plugins is before.plugins, "the other plugins are asked as before"
    plugin.close()


class During:
    """Does something in the middle of the first sweep that would reap: when the plugins are asked. It must be done within a
    second, the time that a plugin has to answer; so what it needs is made before."""

    def __init__(self, act: Callable[[], object]) -> None:
        self._act: Callable[[], object] | None = act

    @hookimpl
    def reaper_veto(self) -> None:
        act, self._act = self._act, None
        if act is not None:
            act()


def another(world: World, **settings: object) -> Reaper:
    """The reaper after a change of the configuration."""
    plugin = world.plugin
    plugin.reaper()  # it reads the configuration as it was
    world.configure(**settings)
    world._plugin = plugin
    return Reaper(load_settings(world.write_config()))


@pytest.mark.parametrize("by_hook", [False, True])
def test_one_that_is_switched_off_stops_the_sweep_that_is_on(world: World, host: WorkspacePlugins, by_hook: bool) -> None:
    (archived,) = world.workspaces(1, archived=True)
    off = another(world, enabled=False)
    host.register(During(lambda: world.plugin.use(off)), "during")

    host.workspace_archived(archived) if by_hook else host.tick()

    assert host.drain(30)
    assert not world.plugin.reaper().settings.enabled
    assert world.lives(archived)


@pytest.mark.usefixtures("quick_looks")
def test_what_a_hook_said_outlives_the_sweep_that_another_reaper_stops(world: World, host: WorkspacePlugins) -> None:
    world.configure(archived_ttl=3600)
    host.manager.unregister(name="reaper")
    host.register(world.plugin, "reaper")
    (archived,) = world.workspaces(1, archived=True)
    longer = another(world, archived_ttl=7200)
    host.register(During(lambda: world.plugin.use(longer)), "during")

    host.workspace_archived(archived)

    assert host.drain(30)
    assert world.plugin.reaper().settings.archived_ttl == 7200
    assert not world.lives(archived)


def test_a_deletion_in_the_registry_before_is_not_judged_by_the_next(
    world: World, host: WorkspacePlugins, worlds: Callable[..., World]
) -> None:
    gone, archived = world.workspaces(2)
    world.host.archive(archived)
    world.host.delete(gone)
    elsewhere = another(world, database_url=f"sqlite:///{worlds(servers=0).host.path}")

    def turn_away() -> None:
        host.workspace_deleted(gone)
        world.plugin.use(elsewhere)

    host.register(During(turn_away), "during")
    host.workspace_archived(archived)

    assert host.drain(30)
    assert world.lives(gone)
    assert world.lives(archived)
    host.workspace_deleted(gone)
    assert host.drain(30)
    assert not world.lives(gone), "what is said of the new one counts"


def test_a_tick_is_remembered(world: World, host: WorkspacePlugins) -> None:
    plugin = world.plugin
    assert (plugin.ticked_at, plugin.busy_since) == (None, None)
    host.tick()
    assert host.drain(30)
    assert plugin.ticked_at is not None
