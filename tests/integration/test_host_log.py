"""What a host's log shows of the reaper where the host has configured no logging, as an application under uvicorn.

uvicorn configures its own loggers and not the root logger. Then Python's handler of last resort prints messages from WARNING
on, without the logger's name.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

import pytest

from tests.tools.world import World, session_name
from workspace_reaper.hosts.embedded import EmbeddedReaper
from workspace_reaper.plugin import ReaperPlugin

pytestmark = pytest.mark.once

# What ``uvicorn.config.LOGGING_CONFIG`` configures.
UVICORN = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"default": {"format": "%(levelname)s: %(message)s"}},
    "handlers": {"default": {"formatter": "default", "class": "logging.StreamHandler", "stream": "ext://sys.stderr"}},
    "loggers": {
        "uvicorn": {"handlers": ["default"], "level": "INFO", "propagate": False},
        "uvicorn.error": {"level": "INFO"},
        "uvicorn.access": {"handlers": ["default"], "level": "INFO", "propagate": False},
    },
}
CONFIGURED = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"named": {"format": "%(levelname)s %(name)s: %(message)s"}},
    "handlers": {"all": {"formatter": "named", "class": "logging.StreamHandler", "stream": "ext://sys.stderr"}},
    "root": {"handlers": ["all"], "level": "INFO"},
}
HOST = """
import json, logging.config, sys
logging.config.dictConfig(json.loads(sys.argv[1]))
from workspace_hookspecs import WorkspacePlugins
plugins = WorkspacePlugins.load()
for name in sys.argv[2:]:
    plugins.workspace_deleted(name)
plugins.tick()
assert plugins.drain(60)
plugins.close()
"""


def logged(world: World, logging: object, *deleted: str, **environ: str) -> list[str]:
    """The lines on standard error of a host that fires the hook of these workspaces, and ticks once."""
    config = str(world.write_config())
    done = subprocess.run(
        [sys.executable, "-c", HOST, json.dumps(logging), *deleted],
        env={"PATH": os.environ["PATH"], "HOME": str(world.tmp), "WORKSPACE_REAPER_CONFIG": config, **environ},
        capture_output=True,
        text=True,
        timeout=120,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr
    return done.stderr.splitlines()


def test_a_reap_is_visible_once_and_with_the_name_of_the_logger(world: World) -> None:
    archived = world.workspace(archived=True)
    world.session(archived)
    lines = logged(world, UVICORN)
    [line] = [line for line in lines if session_name(world.schema, archived) in line]
    assert line.startswith(f"workspace_reaper: reaped socket={world.server.path} session=")
    assert not world.lives(archived)


def test_all_that_is_visible_has_the_name_of_its_logger(world: World) -> None:
    """A configuration that cannot be used, and an id that is blank: both packages log."""
    lines = logged(world, UVICORN, "", WORKSPACE_REAPER_TICK="never")
    assert lines
    messages = [line for line in lines if not line.startswith(("Stack (", " "))]
    assert {line.partition(": ")[0] for line in messages} == {"workspace_reaper", "workspace_hookspecs"}


def test_a_host_that_shows_the_name_shows_it_once(world: World) -> None:
    archived = world.workspace(archived=True)
    world.session(archived)
    lines = logged(world, CONFIGURED, "")
    assert [line for line in lines if line.startswith("WARNING workspace_reaper: reaped socket=")]
    assert not [line for line in lines if line.count("workspace_reaper: ") > 1 or line.count("workspace_hookspecs: ") > 1]


@pytest.mark.parametrize("by", ["a file", "a variable"])
@pytest.mark.parametrize("host", ["with the plugin", "with a plugin of its own kind"])
def test_i88_a_plugin_that_is_switched_off_reports_that_once_and_names_what_does_it(
    world: World, by: str, host: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    archived = world.workspace(archived=True)
    world.session(archived)
    if by == "a file":
        world.settings["enabled"] = False
    else:
        monkeypatch.setenv("WORKSPACE_REAPER_ENABLED", "0")
    monkeypatch.setenv("WORKSPACE_REAPER_CONFIG", str(world.write_config()))
    if host == "with the plugin":
        plugin = ReaperPlugin()
        for _ in range(3):
            plugin.on_tick(datetime.now(timezone.utc))
            assert plugin.drain(60)
        plugin.close()
    else:
        embedded = EmbeddedReaper(world.schema)
        embedded.look()
        embedded.deleted(archived)
        assert embedded.drain(60)
        embedded.stop()
    what = f"enabled = false in {world.config}" if by == "a file" else "WORKSPACE_REAPER_ENABLED"
    assert [text for text in caplog.messages if "switched off" in text] == [f"switched off by {what}, so nothing is reaped"]
    assert world.lives(archived)
