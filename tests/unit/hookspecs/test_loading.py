"""Tests of loading from real entry points, any of which may be broken, and of the check of each plugin."""

from __future__ import annotations

import logging
import re
import sys
import threading
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pluggy
import pytest

from tests.tools.distributions import install
from tests.unit.hookspecs.plugins import LIMIT, Guard, Recorder, ask, texts
from workspace_hookspecs import WorkspacePlugins, hookimpl, hookspec

GROUP = "workspace_server_under_test"

GOOD = """
from workspace_hookspecs import hookimpl
events = []

@hookimpl
def on_workspace_deleted(workspace_id):
    events.append(workspace_id)
"""

BROKEN = {
    "syntax": ("def broken(:", "SyntaxError"),
    "import": ("import there_is_no_such_module", "ModuleNotFoundError"),
    "raises": ("raise ValueError('at import')", "ValueError: at import"),
    "exits": ("import sys; sys.exit(7)", "SystemExit: 7"),
    "base": ("class Odd(BaseException): pass\nraise Odd('odd')", "Odd: odd"),
    "attribute": ("", "AttributeError"),
    "none": ("plugin = None", "plugin 'none' is None"),
    "raising-attribute": (
        "class Plugin:\n    def __dir__(self):\n        raise OSError('not today')\nplugin = Plugin()",
        "OSError: not today",
    ),
    "misspelt": (
        "from workspace_hookspecs import hookimpl\n@hookimpl\ndef on_workspace_delete(workspace_id): ...",
        "plugin 'misspelt', hook 'on_workspace_delete': unknown hook",
    ),
    "signature": (
        "from workspace_hookspecs import hookimpl\n@hookimpl\ndef on_workspace_deleted(id): ...",
        "Plugin 'signature' for hook 'on_workspace_deleted'",
    ),
}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory on ``sys.path`` whose modules are unloaded afterwards."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in set(sys.modules) - before:
        if Path(getattr(sys.modules[name], "__file__", None) or "/").parent == tmp_path:
            del sys.modules[name]


@pytest.fixture(autouse=True)
def _everything_is_logged(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    caplog.set_level(logging.DEBUG, "workspace_hookspecs")
    monkeypatch.delenv("WORKSPACE_PLUGINS_BLOCK", raising=False)


def install_plugins(site: Path, plugins: Mapping[str, str], sources: Mapping[str, str]) -> None:
    for name, value in plugins.items():
        install(site, f"distribution-of-{name}", {}, f"[{GROUP}]\n{name} = {value}\n")
    for module, source in sources.items():
        (site / f"{module}.py").write_text(source, encoding="utf-8")


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_plugin_is_reported_and_skipped(site: Path, caplog: pytest.LogCaptureFixture, name: str) -> None:
    source, problem = BROKEN[name]
    module = f"hs_{name.replace('-', '_')}"
    value = f"{module}:plugin" if name not in {"misspelt", "signature"} else module
    install_plugins(site, {"a-good": "hs_good_a", name: value, "z-good": "hs_good_z"}, {module: source})
    for good in ("hs_good_a", "hs_good_z"):
        (site / f"{good}.py").write_text(GOOD, encoding="utf-8")
    with WorkspacePlugins.load(GROUP) as plugins:
        assert {found for found, _ in plugins.manager.list_name_plugin()} == {"a-good", "z-good"}
        assert list(plugins.problems) == [name]
        assert problem in plugins.problems[name]
        (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
        assert record.getMessage() == f"cannot load plugin {name!r} ({value}): skipped"
        assert record.exc_info is not None
        plugins.manager.check_pending()
        plugins.workspace_deleted("x")
        assert plugins.drain(20)
        assert sys.modules["hs_good_a"].events == sys.modules["hs_good_z"].events == ["x"]


def test_an_interrupt_ends_the_loading(site: Path) -> None:
    install_plugins(site, {"interrupted": "hs_interrupted"}, {"hs_interrupted": "raise KeyboardInterrupt"})
    with pytest.raises(KeyboardInterrupt):
        WorkspacePlugins.load(GROUP)


def test_an_unreadable_distribution_is_reported_and_skipped(site: Path, caplog: pytest.LogCaptureFixture) -> None:
    install(site, "a-malformed", {}, "no section and no equals sign\n[" + GROUP + "]\nname without value\n")
    (site / "binary-1.0.dist-info").mkdir()
    (site / "binary-1.0.dist-info" / "entry_points.txt").write_bytes(b"[\xff\xfe]\n")
    install_plugins(site, {"good": "hs_good"}, {"hs_good": GOOD})
    with WorkspacePlugins.load(GROUP) as plugins:
        assert plugins.manager.has_plugin("good")
    errors = texts(caplog, logging.ERROR)
    assert len(errors) == 2
    for place in ("a_malformed-1.0.dist-info", "binary-1.0.dist-info"):
        assert any(re.fullmatch(f"cannot read the entry points of .*{place}: skipped", error) for error in errors)


def test_of_two_plugins_with_one_name_the_first_on_the_path_is_used(
    site: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    install_plugins(site, {"twice": "hs_second"}, {"hs_second": GOOD})
    first = tmp_path_factory.mktemp("first")
    install_plugins(first, {"twice": "hs_first"}, {"hs_first": GOOD})
    monkeypatch.syspath_prepend(first)
    with WorkspacePlugins.load(GROUP) as plugins:
        assert plugins.manager.get_plugin("twice").__name__ == "hs_first"
    message = f"two plugins are named 'twice' in the entry-point group {GROUP}: hs_first is used, hs_second is skipped"
    assert texts(caplog, logging.ERROR) == [message]
    del sys.modules["hs_first"]


def test_a_distribution_seen_twice_is_one(site: Path, caplog: pytest.LogCaptureFixture) -> None:
    install_plugins(site, {"good": "hs_good"}, {"hs_good": GOOD})
    install(site / "copy", "distribution-of-good", {}, f"[{GROUP}]\ngood = hs_good\n")
    sys.path.append(str(site / "copy"))
    try:
        with WorkspacePlugins.load(GROUP) as plugins:
            assert plugins.manager.has_plugin("good")
    finally:
        sys.path.remove(str(site / "copy"))
    assert [record.getMessage() for record in caplog.records] == ["loaded plugin 'good' (hs_good)"]


def test_a_plugin_under_two_names_is_loaded_once(site: Path) -> None:
    install(site, "double", {"hs_double": GOOD}, f"[{GROUP}]\none = hs_double\ntwo = hs_double\n")
    with WorkspacePlugins.load(GROUP) as plugins:
        assert list(plugins.problems) == ["two"]
        plugins.workspace_deleted("x")
        assert plugins.drain(20)
        assert sys.modules["hs_double"].events == ["x"]


def test_load_can_load_one_plugin_only(site: Path) -> None:
    sources = {"hs_other": "raise ValueError", "hs_mine": GOOD}
    install_plugins(site, {"other": "hs_other", "mine": "hs_mine"}, sources)
    with WorkspacePlugins.load(GROUP, name="mine") as plugins:
        assert [name for name, _ in plugins.manager.list_name_plugin()] == ["mine"]
        assert plugins.problems == {}
    assert "hs_other" not in sys.modules


def test_nothing_installed_is_nothing_loaded(caplog: pytest.LogCaptureFixture) -> None:
    with WorkspacePlugins.load(GROUP) as plugins:
        assert plugins.manager.get_plugins() == set()
        plugins.workspace_deleted("x")
        plugins.tick()
        assert plugins.drain(0)
    assert not caplog.records


def test_a_blocked_plugin_is_not_even_imported(
    site: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("WORKSPACE_PLUGINS_BLOCK", " blocked, ,other-one,")
    names = {"blocked": "hs_blocked", "other-one": "hs_other", "good": "hs_good"}
    install_plugins(site, names, {"hs_blocked": GOOD, "hs_other": GOOD, "hs_good": GOOD})
    with WorkspacePlugins.load(GROUP) as plugins:
        assert plugins.manager.is_blocked("blocked")
        assert [name for name, plugin in plugins.manager.list_name_plugin() if plugin is not None] == ["good"]
        assert plugins.register(object(), "blocked") is None
        assert plugins.problems == {}
    assert "hs_blocked" not in sys.modules
    assert "hs_other" not in sys.modules
    assert sorted(texts(caplog, logging.INFO)) == [
        "plugin 'blocked' (hs_blocked) is blocked by WORKSPACE_PLUGINS_BLOCK",
        "plugin 'blocked' is blocked",
        "plugin 'other-one' (hs_other) is blocked by WORKSPACE_PLUGINS_BLOCK",
    ]


@pytest.mark.parametrize(("installed", "named"), [({"good": "hs_good"}, "good"), ({}, "none")], ids=["some", "none"])
def test_an_unknown_name_in_the_block_list_is_a_warning(
    site: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, installed: dict[str, str], named: str
) -> None:
    monkeypatch.setenv("WORKSPACE_PLUGINS_BLOCK", "goood")
    install_plugins(site, installed, {"hs_good": GOOD})
    WorkspacePlugins.load(GROUP).close()
    message = f"WORKSPACE_PLUGINS_BLOCK lists 'goood', but the entry-point group {GROUP} has no such plugin; it has: {named}"
    assert texts(caplog, logging.WARNING) == [message]


class Misspelt(Recorder):
    @hookimpl
    def on_workspace_delete(self, workspace_id: str) -> None: ...


class WrongArgument(Recorder):
    @hookimpl
    def on_workspace_deleted(self, workspace: str) -> None: ...  # type: ignore[override]


class Asynchronous(Recorder):
    @hookimpl
    async def on_tick(self, now: datetime) -> None: ...


class AsynchronousGenerator(Recorder):
    @hookimpl
    async def on_tick(self, now: datetime) -> None:
        yield


class Generator(Recorder):
    @hookimpl
    def on_tick(self, now: datetime) -> Iterator[None]:
        yield


class NeedsMore(Recorder):
    @hookimpl
    def on_tick(self, now: datetime, *, timeout: float) -> None: ...


class WithDefault(Recorder):
    @hookimpl
    def on_workspace_deleted(self, workspace_id: str = "") -> None: ...


WRONG_PLUGINS = [
    pytest.param(
        Misspelt(),
        "on_workspace_delete",
        "unknown hook; the hooks are on_reaper_alarm, on_session_reaped, ",
        id="misspelt",
    ),
    pytest.param(WrongArgument(), "on_workspace_deleted", "'workspace'", id="wrong argument"),
    pytest.param(Asynchronous(), "on_tick", "never be awaited", id="coroutine"),
    pytest.param(AsynchronousGenerator(), "on_tick", "never be awaited", id="asynchronous generator"),
    pytest.param(Generator(), "on_tick", "never run", id="generator"),
    pytest.param(NeedsMore(), "on_tick", "'timeout'", id="needs more"),
    pytest.param(WithDefault(), "on_workspace_deleted", r"remove the defaults of \['workspace_id'\]", id="default"),
    pytest.param(Recorder, "on_", "the plugin is a class; register an instance", id="class"),
]


@pytest.mark.parametrize(("plugin", "hook", "wrong"), WRONG_PLUGINS)
def test_a_plugin_that_can_never_be_called_is_refused(plugins: WorkspacePlugins, plugin: object, hook: str, wrong: str) -> None:
    with pytest.raises(pluggy.PluginValidationError, match=rf"(?s)'wrong'.*{hook}.*{wrong}"):
        plugins.register(plugin, "wrong")
    assert plugins.manager.get_plugins() == set()
    plugins.register(neighbour := Recorder(), "wrong")
    plugins.workspace_deleted("x")
    assert plugins.drain(LIMIT)
    assert neighbour.events == [("deleted", "x")]
    plugins.manager.check_pending()


def test_none_is_no_plugin(plugins: WorkspacePlugins) -> None:
    with pytest.raises(pluggy.PluginValidationError, match="plugin 'nothing' is None"):
        plugins.register(None, "nothing")


def test_a_plugin_without_hooks_is_a_warning(plugins: WorkspacePlugins, caplog: pytest.LogCaptureFixture) -> None:
    assert plugins.register(object(), "idler") == "idler"
    (warning,) = texts(caplog, logging.WARNING)
    assert warning.startswith("plugin 'idler' implements no hook and is never called")


class HostSpecs:
    @hookspec
    def on_workspace_renamed(self, workspace_id: str) -> None: ...


class Renamed(Recorder):
    @hookimpl
    def on_workspace_renamed(self, workspace_id: str) -> None:
        self.note("renamed", workspace_id)


class WronglyRenamed(Recorder):
    @hookimpl
    def on_workspace_renamed(self, name: str) -> None: ...


class PerhapsRenamed(Recorder):
    @hookimpl(optionalhook=True)
    def on_workspace_renamed(self, workspace_id: str) -> None: ...


def test_a_host_may_have_hooks_of_its_own(plugins: WorkspacePlugins) -> None:
    plugins.manager.add_hookspecs(HostSpecs)
    renamed = Renamed()
    plugins.register(renamed, "renamed")
    with pytest.raises(pluggy.PluginValidationError, match="'wrong'"):
        plugins.register(WronglyRenamed(), "wrong")
    assert plugins.manager.get_plugins() == {renamed}
    plugins.manager.hook.on_workspace_renamed(workspace_id="x")
    plugins.workspace_deleted("x")
    assert plugins.drain(LIMIT)
    assert renamed.events == [("renamed", "x"), ("deleted", "x")]


def test_an_optional_hook_that_the_host_lacks_is_accepted(plugins: WorkspacePlugins) -> None:
    assert plugins.register(PerhapsRenamed(), "perhaps") == "perhaps"


JOINING = """
from workspace_hookspecs import hookimpl
joined = []

@hookimpl
def on_tick(): ...

def join(plugins):
    joined.append(sorted(name for name, _ in plugins.manager.list_name_plugin()))
"""


def test_load_joins_when_all_are_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    group = "workspace_server_under_test"
    monkeypatch.syspath_prepend(tmp_path)
    entries = f"[{group}]\na = hs_joining\nz = hs_joined_last\n"
    install(tmp_path, "joining", {"hs_joining": JOINING, "hs_joined_last": JOINING}, entries)
    with WorkspacePlugins.load(group) as plugins:
        found: Any = plugins.manager.get_plugin("a")
        assert found.joined == [["a", "z"]]


def test_a_join_that_means_something_else_is_not_called(plugins: WorkspacePlugins, caplog: pytest.LogCaptureFixture) -> None:
    """A module that has imported ``os.path.join``, a thread, a method in C, and an attribute."""
    from os.path import join

    module = ModuleType("module")
    module.join = join  # type: ignore[attr-defined]
    module.reaper_veto = hookimpl(lambda candidates: None)  # type: ignore[attr-defined]
    plugins.register(module, "module")

    class AThread(threading.Thread, Guard):
        def __init__(self) -> None:
            threading.Thread.__init__(self)
            Guard.__init__(self)

    plugins.register(AThread(), "thread")
    for number, other in enumerate([", ".join, dict, type, 7, None]):
        plugins.register(guard := Guard(), f"{number}")
        guard.join = other  # type: ignore[attr-defined]
        plugins.manager.unregister(guard)
        plugins.register(guard, f"{number}")
    assert ask(plugins) == []
    assert not texts(caplog, logging.ERROR)
