"""Loading from real entry points, of which any may be broken."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.tools.distributions import install
from workspace_hookspecs import WorkspacePlugins

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
        "plugin 'misspelt', hook 'on_workspace_delete': there is no such hook",
    ),
    "signature": (
        "from workspace_hookspecs import hookimpl\n@hookimpl\ndef on_workspace_deleted(id): ...",
        "Plugin 'signature' for hook 'on_workspace_deleted'",
    ),
}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory on ``sys.path`` whose modules are forgotten afterwards."""
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


def texts(caplog: pytest.LogCaptureFixture, level: int) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == level]


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_plugin_is_named_and_skipped_and_hides_nobody(site: Path, caplog: pytest.LogCaptureFixture, name: str) -> None:
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
        assert record.getMessage() == f"plugin {name!r} ({value}) can't be loaded: skipped"
        assert record.exc_info is not None
        plugins.manager.check_pending()
        plugins.workspace_deleted("x")
        assert plugins.drain(20)
        assert sys.modules["hs_good_a"].events == sys.modules["hs_good_z"].events == ["x"]


def test_an_interrupt_while_loading_is_the_users(site: Path) -> None:
    install_plugins(site, {"interrupted": "hs_interrupted"}, {"hs_interrupted": "raise KeyboardInterrupt"})
    with pytest.raises(KeyboardInterrupt):
        WorkspacePlugins.load(GROUP)


def test_an_unreadable_distribution_is_named_and_hides_nobody(site: Path, caplog: pytest.LogCaptureFixture) -> None:
    install(site, "a-malformed", {}, "no section and no equals sign\n[" + GROUP + "]\nname without value\n")
    (site / "binary-1.0.dist-info").mkdir()
    (site / "binary-1.0.dist-info" / "entry_points.txt").write_bytes(b"[\xff\xfe]\n")
    install_plugins(site, {"good": "hs_good"}, {"hs_good": GOOD})
    with WorkspacePlugins.load(GROUP) as plugins:
        assert plugins.manager.has_plugin("good")
    errors = texts(caplog, logging.ERROR)
    assert len(errors) == 2
    for place in ("a_malformed-1.0.dist-info", "binary-1.0.dist-info"):
        assert any(f"{place} can't be read: skipped" in error for error in errors)


def test_of_two_plugins_with_one_name_the_first_on_the_path_is_taken(
    site: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    install_plugins(site, {"twice": "hs_second"}, {"hs_second": GOOD})
    first = tmp_path_factory.mktemp("first")
    install_plugins(first, {"twice": "hs_first"}, {"hs_first": GOOD})
    monkeypatch.syspath_prepend(first)
    with WorkspacePlugins.load(GROUP) as plugins:
        assert plugins.manager.get_plugin("twice").__name__ == "hs_first"
    message = f"two plugins are named 'twice' in the group {GROUP}: hs_first is taken, hs_second is skipped"
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
    assert [record.getMessage() for record in caplog.records] == ["plugin 'good' (hs_good) is loaded"]


def test_a_plugin_under_two_names_is_loaded_once(site: Path) -> None:
    install(site, "double", {"hs_double": GOOD}, f"[{GROUP}]\none = hs_double\ntwo = hs_double\n")
    with WorkspacePlugins.load(GROUP) as plugins:
        assert list(plugins.problems) == ["two"]
        plugins.workspace_deleted("x")
        assert plugins.drain(20)
        assert sys.modules["hs_double"].events == ["x"]


def test_load_can_take_one_plugin_alone(site: Path) -> None:
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
def test_a_name_in_the_block_list_that_blocks_nothing_is_a_warning(
    site: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, installed: dict[str, str], named: str
) -> None:
    monkeypatch.setenv("WORKSPACE_PLUGINS_BLOCK", "goood")
    install_plugins(site, installed, {"hs_good": GOOD})
    WorkspacePlugins.load(GROUP).close()
    message = f"WORKSPACE_PLUGINS_BLOCK names 'goood', but the group {GROUP} has no such plugin; it has: {named}"
    assert texts(caplog, logging.WARNING) == [message]
