"""Tests of forks and of the interpreter's exit, in real processes.

They fork in a script of their own, because Python 3.12 warns about a fork in a process that has threads.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

LIMIT = 30.0

BEGIN = """
import os, sys, threading
from workspace_hookspecs import WorkspacePlugins, hookimpl

LIMIT = 20

class Plugin:
    def __init__(self):
        self.events, self.inside, self.go = [], threading.Event(), threading.Event()

    @hookimpl
    def on_workspace_deleted(self, workspace_id):
        self.events.append(workspace_id)
        if workspace_id == "stuck":
            self.inside.set()
            self.go.wait(LIMIT)

    @hookimpl
    def on_tick(self, now):
        self.events.append("tick")
        self.inside.set()

plugin = Plugin()
plugins = WorkspacePlugins()
plugins.register(plugin, "plugin")

def report(what):
    os.write(1, (repr(what) + "\\n").encode())
    os._exit(0)

def wait_for(child):
    _, status = os.waitpid(child, 0)
    assert status == 0, status
"""

STUCK = """
plugins.workspace_deleted("stuck")
assert plugin.inside.wait(LIMIT)
plugins.workspace_deleted("queued by the parent")
"""

END_OF_PARENT = """
wait_for(child)
plugin.go.set()
assert plugins.drain(LIMIT)
print(plugin.events)
"""

FORK = """
child = os.fork()
if child == 0:
    plugins.workspace_deleted("fired by the child")
    report((plugins.drain(LIMIT), plugin.events))
"""

HOLD_ALL_LOCKS = """
held, release = threading.Event(), threading.Event()
dispatcher = plugins._dispatcher
(queue,) = dispatcher._queues.values()
def hold():
    with dispatcher._lock, queue._changed:
        held.set()
        release.wait(LIMIT)
holder = threading.Thread(target=hold)
holder.start()
held.wait(LIMIT)
"""

FORK_IN_HOOK = """
ready, main = threading.Event(), os.getpid()
class Forking:
    @hookimpl
    def on_workspace_deleted(self, workspace_id):
        os.write(1, f"{workspace_id} in the {'parent' if os.getpid() == main else 'child'}\\n".encode())
        if workspace_id == "one":
            ready.wait(LIMIT)
            child = os.fork()
            if child:
                wait_for(child)
plugins.register(Forking(), "forking")
plugins.workspace_deleted("one")
plugins.workspace_deleted("two")
ready.set()
assert plugins.drain(LIMIT)
"""

FIRE_IN_CHILD_OF_HOOK = """
inside, second = threading.Event(), threading.Event()
class Forking:
    @hookimpl
    def on_workspace_deleted(self, workspace_id):
        if workspace_id == "fork":
            child = os.fork()
            if child:
                return wait_for(child)
            plugins.workspace_deleted("first")
            inside.wait(LIMIT)
            plugins.workspace_deleted("second")
        elif workspace_id == "first":
            inside.set()
            concurrent = second.wait(0.3)
            os.write(1, b"concurrently\\n" if concurrent else b"one after the other\\n")
        else:
            second.set()
            os._exit(0)
plugins.register(Forking(), "forking")
plugins.workspace_deleted("fork")
assert plugins.drain(LIMIT)
"""

FIRE_IN_SIGNAL_HANDLER = """
import signal
many = WorkspacePlugins(queue_limit=1_000_000)
many.register(plugin, "plugin")
handled = 0
def fire(*_):
    global handled
    handled += 1
    many.workspace_deleted(f"from handler {handled}")
signal.signal(signal.SIGALRM, fire)
signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
fired = 0
while handled < 200:
    many.workspace_deleted(f"{fired}")
    fired += 1
signal.setitimer(signal.ITIMER_REAL, 0)
assert many.drain(LIMIT)
print(len(plugin.events) == fired + handled)
"""

FORK_IN_TICKING = """
with plugins.ticking(every=0.01) as clock:
    assert plugin.inside.wait(LIMIT)
    with clock._changed:
        child = os.fork()
    if child == 0:
        plugins.drain(LIMIT)
        plugin.events.clear()
    else:
        wait_for(child)
if child == 0:
    plugins.workspace_deleted("fired by the child")
    well = plugins.drain(LIMIT)
    plugins.close()
    report((well, plugin.events))
"""

HOLD_CLOCK = """
held, release = threading.Event(), threading.Event()
clock = plugins.ticking(every=600)
clock.__enter__()
assert plugin.inside.wait(LIMIT)
def hold():
    with clock._changed:
        held.set()
        release.wait(LIMIT)
holder = threading.Thread(target=hold)
holder.start()
held.wait(LIMIT)
child = os.fork()
if child == 0:
    clock.__exit__(None, None, None)
    plugins.close()
    report("closed")
release.set()
wait_for(child)
clock.__exit__(None, None, None)
"""

CLOSED_IN_CHILD = """
plugins.workspace_deleted("x")
assert plugins.drain(LIMIT)
child = os.fork()
if child == 0:
    plugins.close()
    report("closed")
wait_for(child)
plugins.workspace_deleted("y")
assert plugins.drain(LIMIT)
print(plugin.events)
"""

ENDS_WHILE_BUSY = STUCK + "plugins.ticking(every=0.001).__enter__()\nprint('end')\n"

CLOSES_AT_EXIT = """
import atexit
class Closing:
    def close(self):
        print("closed")
plugins.register(Closing(), "closing")
plugins.workspace_deleted("x")
atexit.register(plugins.close)
"""

ASKED = """
import logging
from workspace_hookspecs import Candidate
logging.getLogger("workspace_hookspecs").addHandler(logging.NullHandler())
CANDIDATES = [Candidate(None, "/socket", "vk_one", "$1", "one", "idle", None)]

class Guard:
    def __init__(self):
        self.inside, self.go, self.asked = threading.Event(), threading.Event(), 0

    @hookimpl
    def reaper_veto(self, candidates):
        self.asked += 1
        if self.asked == 1:
            self.inside.set()
            self.go.wait(LIMIT)
        return {"vk_one": f"answer {self.asked}"}

guard = Guard()
plugins.register(guard, "guard")

def ask(timeout=LIMIT):
    return [(veto.session, veto.reason) for veto in plugins.ask_vetoes(CANDIDATES, timeout=timeout)]

ask(timeout=0.01)
assert guard.inside.wait(LIMIT)
"""

HOLD_VETO_LOCK = """
held, release = threading.Event(), threading.Event()
def hold():
    with plugins._veto_requests._lock:
        held.set()
        release.wait(LIMIT)
threading.Thread(target=hold).start()
held.wait(LIMIT)
"""

FORK_AND_ASK = """
child = os.fork()
if child == 0:
    report(ask())
"""

END_OF_ASKING = """
wait_for(child)
print(ask())
guard.go.set()
"""

FORK_IN_VETO = """
from workspace_hookspecs import Candidate
CANDIDATES = [Candidate(None, "/socket", "vk_one", "$1", "one", "idle", None)]
class Forking:
    @hookimpl
    def reaper_veto(self, candidates):
        child = os.fork()
        if child == 0:
            return {"vk_one": "the child's"}
        wait_for(child)
        return {"vk_one": "the parent's"}
plugins.register(Forking(), "forking")
print([veto.reason for _ in range(2) for veto in plugins.ask_vetoes(CANDIDATES, timeout=LIMIT)])
"""

ENDS_WHILE_ASKED = ASKED + "print('end')\n"

SCRIPTS = [
    pytest.param(
        STUCK + FORK + END_OF_PARENT,
        ["(True, ['stuck', 'fired by the child'])", "['stuck', 'queued by the parent']"],
        id="a child starts with empty queues and the parent keeps its events",
    ),
    pytest.param(
        STUCK + HOLD_ALL_LOCKS + FORK + "release.set()\n" + END_OF_PARENT,
        ["(True, ['stuck', 'fired by the child'])", "['stuck', 'queued by the parent']"],
        id="a child whose parent held every lock",
    ),
    pytest.param(
        FORK_IN_HOOK,
        ["one in the parent", "two in the parent"],
        id="a child forked in a hook does not process its parent's queue",
    ),
    pytest.param(FIRE_IN_CHILD_OF_HOOK, ["one after the other"], id="a child forked in a hook has one thread for the plugin"),
    pytest.param(FIRE_IN_SIGNAL_HANDLER, ["True"], id="signal handlers that fire during a call that fires"),
    pytest.param(FORK_IN_TICKING, ["(True, ['fired by the child'])"], id="a child does not tick"),
    pytest.param(HOLD_CLOCK, ["'closed'"], id="a child whose parent's clock held its lock"),
    pytest.param(CLOSED_IN_CHILD, ["'closed'", "['x', 'y']"], id="a child that closes leaves the parent open"),
    pytest.param(
        ASKED + FORK_AND_ASK + END_OF_ASKING,
        ["[('vk_one', 'answer 2')]", "[(None, 'it has not returned from an earlier request')]"],
        id="a child asks a plugin that hangs in its parent",
    ),
    pytest.param(
        ASKED + HOLD_VETO_LOCK + FORK_AND_ASK + "release.set()\n" + END_OF_ASKING,
        ["[('vk_one', 'answer 2')]", "[(None, 'it has not returned from an earlier request')]"],
        id="a child asks after its parent held the lock",
    ),
    pytest.param(FORK_IN_VETO, ['["the parent\'s", "the parent\'s"]'], id="a child forked in an answer gives no answer"),
    pytest.param(ENDS_WHILE_ASKED, ["end"], id="the interpreter ends while a plugin is asked"),
    pytest.param(ENDS_WHILE_BUSY, ["end"], id="the interpreter ends while a plugin is stuck and a clock ticks"),
]


def run(script: str) -> subprocess.CompletedProcess[str]:
    arguments = [sys.executable, "-W", "error", "-W", "ignore:.*multi-threaded.*fork:DeprecationWarning", "-c", BEGIN + script]
    return subprocess.run(arguments, capture_output=True, text=True, timeout=LIMIT, check=False)


@pytest.mark.parametrize(("script", "printed"), SCRIPTS)
def test_processes(script: str, printed: list[str]) -> None:
    ended = run(script)
    assert (ended.stdout.splitlines(), ended.stderr, ended.returncode) == (printed, "", 0)


def test_close_at_the_end_of_the_interpreter_closes_the_plugins() -> None:
    ended = run(CLOSES_AT_EXIT)
    assert (ended.stdout, ended.returncode) == ("closed\n", 0)
