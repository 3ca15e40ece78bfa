"""The way of a hook through the packages, traced at run time: plugin, worker, operations, sweep, and never back."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

import pytest

from tests.tools.world import World
from workspace_hookspecs import WorkspacePlugins

pytestmark = pytest.mark.once

OWN = "workspace_reaper."
BELOW_THE_PLUGIN = {"worker", "operations", "sweep"}


def packages(frame: FrameType | None) -> list[str]:
    """Return the packages on the stack, outermost first, each run of one package once."""
    found: list[str] = []
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if name.startswith(OWN):
            package = name.removeprefix(OWN).partition(".")[0]
            if not found or found[-1] != package:
                found.append(package)
        frame = frame.f_back
    return found[::-1]


@dataclass
class Trace:
    """The stacks at chosen functions, such as ``kill`` of a terminal, and all calls back into the plugin."""

    stacks: dict[str, list[list[str]]] = field(default_factory=dict)
    back: list[list[str]] = field(default_factory=list)
    entered: set[str] = field(default_factory=set)

    def __call__(self, frame: FrameType, event: str, _argument: Any) -> None:
        if event != "call":
            return
        module, function = frame.f_globals.get("__name__", ""), frame.f_code.co_name
        if not module.startswith(OWN):
            return
        self.entered.add(f"{module.removeprefix(OWN)}.{function}")
        if module == f"{OWN}plugin":
            stack = packages(frame)
            if BELOW_THE_PLUGIN.intersection(stack):
                self.back.append(stack)
        elif (module, function) in ((f"{OWN}worker", "suspect"), (f"{OWN}worker", "wake"), (f"{OWN}tmux.terminal", "kill")):
            self.stacks.setdefault(function, []).append(packages(frame))


@contextmanager
def traced() -> Iterator[Trace]:
    """Trace this thread and each thread that starts meanwhile."""
    trace = Trace()
    threading.setprofile(trace)
    sys.setprofile(trace)
    try:
        yield trace
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


def test_a_hook_goes_from_the_plugin_to_the_sweep_and_never_back(world: World) -> None:
    gone, other = world.workspaces(2)
    assert world.sweep().complete
    world.host.delete(gone)
    with WorkspacePlugins() as plugins, traced() as trace:
        plugins.register(world.new_plugin(), "reaper")
        plugins.workspace_deleted(gone)
        assert plugins.drain(60)
    assert not world.lives(gone)
    assert world.lives(other)
    assert trace.stacks["suspect"] == [["plugin", "worker"]]
    assert trace.stacks["kill"] == [["worker", "operations", "sweep", "tmux"]]
    assert {"operations.runner.look_at", "operations.suspects.look_at", "sweep.sweep._run"} <= trace.entered
    assert trace.back == []


def test_a_tick_does_as_well(world: World) -> None:
    archived = world.workspace(archived=True)
    world.session(archived)
    with WorkspacePlugins() as plugins, traced() as trace:
        plugins.register(world.plugin, "reaper")
        plugins.tick()
        assert plugins.drain(60)
    assert not world.lives(archived)
    assert trace.stacks == {"wake": [["plugin", "worker"]], "kill": [["worker", "operations", "sweep", "tmux"]]}
    assert trace.back == []
