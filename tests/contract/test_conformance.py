"""Tests of the conformance kit: a correct host passes every check, and each faulty host fails the checks of its fault with a
message that names the fault."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

import workspace_hookspecs.testing as kit
from workspace_hookspecs.testing._checks import not_canonical

pytest_plugins = ["pytester"]

README = Path(__file__).parents[2] / "hookspecs" / "README.md"
LIMIT = 60.0

RIGHT = '''
import asyncio, sqlite3, uuid
from contextlib import closing

import pluggy, pytest
import workspace_hookspecs
from workspace_hookspecs import WorkspacePlugins
from workspace_hookspecs.testing import HostConformance

MADE = []


@pytest.fixture(scope="module", autouse=True)
def _end_what_wrong_hosts_leave():
    yield
    for plugins in MADE:
        plugins.close()


class Server:
    """A small correct host, in parts that the faulty hosts override."""

    patience = 20.0

    def __init__(self, path):
        self.path = path
        self.write("CREATE TABLE workspaces (id TEXT PRIMARY KEY, archived INTEGER NOT NULL DEFAULT 0)")
        self.plugins = self.load()
        self.tick()

    def load(self):
        MADE.append(WorkspacePlugins.load())
        return MADE[-1]

    def tick(self):
        self.plugins.ticking(every=60).__enter__()

    def connect(self):
        connection = sqlite3.connect(self.path)
        connection.execute("PRAGMA synchronous = OFF")
        return closing(connection)

    def write(self, statement, *values):
        with self.connect() as connection, connection:
            connection.execute(statement, values)

    def new_id(self):
        return str(uuid.uuid4())

    def create(self):
        workspace_id = self.new_id()
        self.write("INSERT INTO workspaces (id) VALUES (?)", workspace_id)
        return workspace_id

    def delete(self, workspace_id):
        self.write("DELETE FROM workspaces WHERE id = ?", workspace_id)
        self.deleted(workspace_id)

    def deleted(self, workspace_id):
        self.plugins.workspace_deleted(workspace_id)

    def archive(self, workspace_id):
        self.write("UPDATE workspaces SET archived = 1 WHERE id = ?", workspace_id)
        self.plugins.workspace_archived(workspace_id)

    def unarchive(self, workspace_id):
        self.write("UPDATE workspaces SET archived = 0 WHERE id = ?", workspace_id)

    def failing_delete(self, workspace_id):
        with self.connect() as connection, connection:
            connection.execute("DELETE FROM workspaces WHERE id = ?", [workspace_id])
            raise RuntimeError("the transaction fails")

    def state(self, workspace_id):
        with self.connect() as connection:
            row = connection.execute("SELECT archived FROM workspaces WHERE id = ?", [workspace_id]).fetchone()
        return None if row is None else "archived" if row[0] else "active"

    def close(self):
        self.plugins.drain(timeout=5)
        self.plugins.close()


class Checks(HostConformance):
    __test__ = False
    host = Server

    @pytest.fixture
    def workspace_host(self, tmp_path):
        return self.host(str(tmp_path / "host.db"))
'''

FINE = (
    RIGHT
    + '''

class TestPlain(Checks):
    pass


class Asynchronous(Server):
    async def create(self):
        return super().create()

    async def delete(self, workspace_id):
        await asyncio.sleep(0)
        super().delete(workspace_id)

    async def state(self, workspace_id):
        return super().state(workspace_id)

    async def close(self):
        await asyncio.to_thread(super().close)


class TestAsynchronous(Checks):
    host = Asynchronous


class Poor:
    """A host without an archive and without a failing transaction, for one thread."""

    def __init__(self, path):
        self.server = Server(path)
        for name in ("create", "delete", "state", "close"):
            setattr(self, name, getattr(self.server, name))


class CalledAnyhow(Checks):
    host = Poor
    threads = 1
'''
)

WRONG = (
    RIGHT
    + '''

class BeforeTheCommit(Server):
    def delete(self, workspace_id):
        with self.connect() as connection, connection:
            connection.execute("DELETE FROM workspaces WHERE id = ?", [workspace_id])
            self.deleted(workspace_id)

    def archive(self, workspace_id):
        self.plugins.workspace_archived(workspace_id)
        self.write("UPDATE workspaces SET archived = 1 WHERE id = ?", workspace_id)


class Twice(Server):
    def deleted(self, workspace_id):
        super().deleted(workspace_id)
        super().deleted(workspace_id)


class OnRollback(Server):
    def failing_delete(self, workspace_id):
        try:
            super().failing_delete(workspace_id)
        finally:
            self.deleted(workspace_id)


class OnCreateAndUnarchive(Server):
    def create(self):
        workspace_id = super().create()
        self.plugins.workspace_archived(workspace_id)
        return workspace_id

    def unarchive(self, workspace_id):
        super().unarchive(workspace_id)
        self.plugins.workspace_archived(workspace_id)


class OnUnarchive(Server):
    def unarchive(self, workspace_id):
        super().unarchive(workspace_id)
        self.plugins.workspace_archived(workspace_id)


class NoText(Server):
    patience = 0.3

    def deleted(self, workspace_id):
        self.plugins.workspace_deleted(uuid.UUID(workspace_id))


class SessionName(Server):
    patience = 0.3

    def deleted(self, workspace_id):
        self.plugins.workspace_deleted("ws-" + workspace_id)


class NoHyphens(Server):
    def new_id(self):
        return uuid.uuid4().hex


class UpperCase(Server):
    def new_id(self):
        return str(uuid.uuid4()).upper()


class SilentArchive(Server):
    patience = 0.3

    def archive(self, workspace_id):
        self.write("UPDATE workspaces SET archived = 1 WHERE id = ?", workspace_id)


class WrongHook(Server):
    patience = 0.3

    def archive(self, workspace_id):
        super().archive(workspace_id)
        self.deleted(workspace_id)

    def deleted(self, workspace_id):
        self.plugins.workspace_archived(workspace_id)


class Silent(Server):
    patience = 0.3

    def deleted(self, workspace_id):
        pass


class OfAnother(Server):
    def deleted(self, workspace_id):
        super().deleted(workspace_id)
        super().deleted("all")


class Loadless(Server):
    patience = 0.3

    def load(self):
        MADE.append(WorkspacePlugins())
        return MADE[-1]


class Tickless(Server):
    patience = 0.3

    def tick(self):
        pass


class Abrupt(Server):
    patience = 0.3

    def close(self):
        pass


class Unclosed(Server):
    def close(self):
        self.plugins.drain(timeout=5)


class OneThread(Server):
    patience = 0.3

    def deleted(self, workspace_id):
        import threading
        if threading.current_thread() is threading.main_thread():
            super().deleted(workspace_id)


class SharedList(Server):
    """All requests share a list of pending events, and each fires the whole list."""

    pending = None

    def delete(self, workspace_id):
        import threading
        if self.pending is None:
            self.pending, self.barrier = [], threading.Barrier(Checks.threads)
        self.write("DELETE FROM workspaces WHERE id = ?", workspace_id)
        self.pending.append(workspace_id)
        if threading.current_thread() is not threading.main_thread():
            self.barrier.wait(20)
        for one in self.pending:
            self.deleted(one)
        if threading.current_thread() is threading.main_thread():
            self.pending.clear()


class Bare(Server):
    """Bare pluggy: plugins run on the host's thread."""

    patience = 0.3


    def load(self):
        manager = pluggy.PluginManager("workspace_server")
        manager.add_hookspecs(workspace_hookspecs)
        manager.load_setuptools_entrypoints("workspace_server", "conformance-recorder")
        manager.load_setuptools_entrypoints("workspace_server", "conformance-faulty")
        return manager

    def tick(self):
        from datetime import datetime, timezone
        self.plugins.hook.on_tick(now=datetime.now(timezone.utc))

    def deleted(self, workspace_id):
        self.plugins.hook.on_workspace_deleted(workspace_id=workspace_id)

    def archive(self, workspace_id):
        self.write("UPDATE workspaces SET archived = 1 WHERE id = ?", workspace_id)
        self.plugins.hook.on_workspace_archived(workspace_id=workspace_id)

    def close(self):
        pass


class Swallows(Bare):
    """Bare pluggy; a plugin that raises is unregistered."""

    def deleted(self, workspace_id):
        try:
            super().deleted(workspace_id)
        except Exception:
            self.plugins.unregister(name="conformance-faulty")
            super().deleted(workspace_id)


class Unfinished(Server):
    """It returns before its commit."""

    def delete(self, workspace_id):
        self.deleted(workspace_id)


class AsksTheServer(Server):
    """state() waits for a lock that the host holds while it fires."""

    patience = 0.3


    def __init__(self, path):
        import threading
        self.lock = threading.RLock()
        super().__init__(path)

    def delete(self, workspace_id):
        with self.lock:
            super().delete(workspace_id)

    def state(self, workspace_id):
        with self.lock:
            return super().state(workspace_id)


class Unreadable(Server):
    """No other connection can read the database while the host fires."""

    def deleted(self, workspace_id):
        path, self.path = self.path, "/nowhere/host.db"
        super().deleted(workspace_id)
        self.path = path


class Failing(Server):
    def delete(self, workspace_id):
        self.write("DELETE FROM nowhere")


class NoId(Server):
    def create(self):
        super().create()


class NoCommit(Server):
    def create(self):
        return self.new_id()


class NoState(Server):
    def state(self, workspace_id):
        return super().state(workspace_id) == "active"


class NoRollback(Server):
    def failing_delete(self, workspace_id):
        self.write("DELETE FROM workspaces WHERE id = ?", workspace_id)


def checks_of(host, names):
    """Return a class with these checks only, of this host."""
    others = {name: None for name in dir(Checks) if name.startswith("test_") and name.removeprefix("test_") not in names}
    return type(host.__name__, (Checks,), {"host": host, "patience": host.patience, **others})


for name, names in FAULTS.items():  # filled in by the test
    globals()[name] = checks_of(globals()[name], names)
'''
)

DELETE = "deleting_fires_once_and_after_the_commit"
ARCHIVE = "archiving_fires_once_and_after_the_commit"
CREATE = "creating_fires_nothing"
UNARCHIVE = "unarchiving_fires_nothing"
ROLLBACK = "a_transaction_that_is_rolled_back_fires_nothing"
ID = "the_id_is_the_canonical_text"
THREADS = "many_threads_at_once"
LOOP = "an_event_loop_does_not_wait_for_a_plugin"
TICKS = "ticks_come"
RAISES = "a_plugin_that_raises_hurts_nobody"
BLOCKS = "a_plugin_that_blocks_hurts_nobody"
CLOSING = "closing_works_off_what_was_fired"
ALL = {DELETE, ARCHIVE, CREATE, UNARCHIVE, ROLLBACK, ID, THREADS, LOOP, TICKS, RAISES, BLOCKS, CLOSING}

FAULTS = {
    "BeforeTheCommit": {
        DELETE: "fired on_workspace_deleted while another connection still saw the workspace active: before the commit",
        ARCHIVE: "fired on_workspace_archived while another connection still saw the workspace active: before the commit",
        LOOP: "before the commit",
    },
    "Twice": {DELETE: "fired on_workspace_deleted 2 times", LOOP: "2 times", THREADS: "was fired more than once"},
    "OnRollback": {ROLLBACK: "Nothing was changed. Fire after the commit"},
    "OnCreateAndUnarchive": {
        CREATE: "No hook reports a new workspace: remove that call",
        DELETE: "fired on_workspace_archived in addition to on_workspace_deleted",
        ARCHIVE: "fired on_workspace_archived 2 times",
        UNARCHIVE: "No hook reports that a workspace was unarchived",
    },
    "OnUnarchive": {UNARCHIVE: "No hook reports that a workspace was unarchived"},
    "NoText": {DELETE: "of type UUID", ID: "of type UUID"},
    "SessionName": {DELETE: "with 'ws-", ID: "Fire the same text"},
    "NoHyphens": {ID: "UUIDs without hyphens"},
    "UpperCase": {ID: "in lower case"},
    "SilentArchive": {ARCHIVE: "Call plugins.workspace_archived(workspace_id) after its commit"},
    "WrongHook": {DELETE: "fired on_workspace_archived instead of on_workspace_deleted", ARCHIVE: "2 times"},
    "Silent": {
        DELETE: "delete() fired nothing. Call plugins.workspace_deleted(workspace_id) after its commit",
        ID: "fired nothing",
        LOOP: "fired nothing",
        THREADS: "fired nothing",
        RAISES: "do not receive",
        BLOCKS: "do not receive",
        CLOSING: "were not received by every plugin",
    },
    "OfAnother": {DELETE: "which is not the workspace's id", ID: "Fire the same text"},
    "Loadless": dict.fromkeys([DELETE, CREATE, THREADS, TICKS, RAISES, CLOSING], "did not load the installed plugins"),
    "Tickless": {TICKS: "plugins.ticking(every=60)"},
    "Abrupt": {CLOSING: "plugins.drain(timeout=5)"},
    "Unclosed": {CLOSING: "were not closed"},
    "OneThread": {THREADS: "may be called from any thread"},
    "SharedList": {THREADS: "not in a list that threads share"},
    "Bare": {
        LOOP: "the host waits for its plugins",
        RAISES: "raised the exception of a plugin",
        BLOCKS: "the host waits for its plugins",
        CLOSING: "the host waits for its plugins",
    },
    "Swallows": {RAISES: "receives no events any more"},
    "Unfinished": {DELETE: "before the commit"},
    "AsksTheServer": {DELETE: "it must not ask the server"},
    "Unreadable": {DELETE: "state() raised OperationalError"},
    "Failing": {DELETE: "no such table: nowhere"},
    "NoId": {CREATE: "Return the workspace's id as text"},
    "NoCommit": {CREATE: "Commit first"},
    "NoState": {CREATE: 'return "active", "archived" or None'},
    "NoRollback": {ROLLBACK: "Roll the transaction back"},
}
"""The checks that each faulty host must fail, with a part of the message."""


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> object:
    """Run a host author's test module. Return the outcome and the message of each test."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)

    def run(source: str, *arguments: str) -> dict[str, dict[str, tuple[str, str]]]:
        pytester.makepyfile(test_host=source)
        recorded = pytester.inline_run("-W", "error", "-p", "no:cacheprovider", *arguments)
        found: dict[str, dict[str, tuple[str, str]]] = {}
        for report in recorded.getreports("pytest_runtest_logreport"):
            *_, where, name = report.nodeid.split("::")
            outcomes = found.setdefault(where, {})
            if report.when == "call" or report.outcome != "passed":
                text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr or "")
                outcomes[name.removeprefix("test_")] = (report.outcome, text)
        return found

    return run


def test_correct_hosts_pass_every_check(run) -> None:
    found = run(FINE)
    assert set(found) == {"TestPlain", "TestAsynchronous", "CalledAnyhow"}
    for checks in found.values():
        assert set(checks) == ALL
    for name in ("TestPlain", "TestAsynchronous"):
        assert {check: outcomes for check, outcomes in found[name].items() if outcomes[0] != "passed"} == {}
    skipped = {check: text for check, (outcome, text) in found["CalledAnyhow"].items() if outcome != "passed"}
    assert {check: text.split("the host under test ")[-1].split(":")[0] for check, text in skipped.items()} == {
        ARCHIVE: "has no archive()",
        UNARCHIVE: "has no unarchive()",
        ROLLBACK: "has no failing_delete()",
        THREADS: "Skipped",
    }


def test_each_faulty_host_fails_with_the_cause(run) -> None:
    names = {host: list(checks) for host, checks in FAULTS.items()}
    found = run(WRONG.replace("FAULTS", repr(names)))
    assert {host: set(checks) for host, checks in found.items()} == {host: set(checks) for host, checks in FAULTS.items()}
    for host, checks in FAULTS.items():
        for check, words in checks.items():
            outcome, text = found[host][check]
            assert (outcome, words in text) == ("failed", True), (host, check, text)


PLUGIN = "workspace_hookspecs.testing"

BARE_SUBCLASS = """
from workspace_hookspecs.testing import HostConformance

class TestNothing(HostConformance):
    pass
"""


def test_without_a_host_the_plugin_says_what_to_write(run, pytester: pytest.Pytester) -> None:
    pytester.makeconftest(f"pytest_plugins = ['{PLUGIN}']")
    [(name, checks)] = run(BARE_SUBCLASS, "-k", "creating").items()
    assert name == "TestNothing"
    assert checks[CREATE][0] == "failed"
    assert "Write a fixture 'workspace_host'" in checks[CREATE][1]


@pytest.fixture
def host_authors_pytest(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Callable[..., pytest.RunResult]:
    """Run pytest in a process of its own, with the installed plugins."""
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    monkeypatch.delenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", raising=False)
    return partial(pytester.runpytest_subprocess, "-W", "error", "-p", "no:libtmux", "-p", "no:cacheprovider", timeout=LIMIT)


def readme_blocks() -> list[str]:
    section = README.read_text(encoding="utf-8").split("## Test your host", 1)[1].split("\n## ", 1)[0]
    assert ("twelve checks" in section, len(ALL)) == (True, 12)
    return re.findall(r"^```py\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)


def test_the_installed_plugin_checks_the_host_of_the_readme(
    host_authors_pytest: Callable[..., pytest.RunResult], pytester: pytest.Pytester
) -> None:
    test_module, options = readme_blocks()
    assert len(test_module.strip().splitlines()) < 25
    assert "workspace_hookspecs" not in test_module, "the fixtures need no import"
    pytester.makepyfile(my_server=RIGHT + MY_SERVER, test_host=test_module)
    result = host_authors_pytest("-v")
    outcomes = dict(re.findall(r"::test_workspace_hooks\[(\w+)\] (\w+)", result.stdout.str()))
    skipped = {UNARCHIVE, ROLLBACK}
    assert outcomes == {check: "SKIPPED" if check in skipped else "PASSED" for check in ALL}

    fixture = test_module.split("def test_workspace_hooks", 1)[0]
    pytester.makepyfile(test_host=fixture + options)
    # Skipped: the two above, and the check of many threads. Left out: the check of ticks.
    host_authors_pytest().assert_outcomes(passed=len(ALL) - 4, skipped=3)


def test_the_installed_plugin_reports_what_a_host_does_wrong(
    host_authors_pytest: Callable[..., pytest.RunResult], pytester: pytest.Pytester
) -> None:
    module = f"""{RIGHT}
class Twice(Server):
    def deleted(self, workspace_id):
        super().deleted(workspace_id)
        super().deleted(workspace_id)

@pytest.fixture
def workspace_host(tmp_path):
    return Twice(str(tmp_path / "host.db"))

def test_my_host(workspace_conformance):
    workspace_conformance()
"""
    pytester.makepyfile(test_host=module)
    result = host_authors_pytest("-k", f"{DELETE} or {CREATE}")
    result.assert_outcomes(passed=1, failed=1, deselected=10)
    result.stdout.fnmatch_lines(["*_ test_my_host[[]deleting_fires_once_and_after_the_commit[]] _*"])
    assert "delete() fired on_workspace_deleted 2 times" in result.stdout.str()


UNRELATED = """
import sys

def test_unrelated():
    assert {name for name in sys.modules if name.startswith("workspace_")} == EXPECTED
"""


@pytest.mark.parametrize(
    ("arguments", "conftest", "loaded"),
    [
        pytest.param([], "", True, id="as it is installed"),
        pytest.param([], f"pytest_plugins = ['{PLUGIN}']", True, id="also listed in conftest.py"),
        pytest.param(["-p", PLUGIN], "", True, id="also on the command line"),
        pytest.param([], "import workspace_hookspecs.testing", True, id="imported by conftest.py"),
        pytest.param(["-p", f"no:{PLUGIN}"], "", False, id="turned off"),
    ],
)
def test_a_run_that_does_not_use_the_kit_loads_next_to_nothing(
    host_authors_pytest: Callable[..., pytest.RunResult],
    pytester: pytest.Pytester,
    arguments: list[str],
    conftest: str,
    loaded: bool,
) -> None:
    expected = {"workspace_hookspecs", "workspace_hookspecs._specs", PLUGIN} if loaded else set()
    pytester.makeconftest(conftest)
    pytester.makepyfile(test_unrelated=UNRELATED.replace("EXPECTED", repr(expected)))
    host_authors_pytest(*arguments).assert_outcomes(passed=1)


def test_pytest_may_start_where_the_kit_is_imported_already(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    pytester.makepyfile("def test_it(): pass")
    script = "import workspace_hookspecs.testing, pytest; raise SystemExit(pytest.main(['-W', 'error', '-p', 'no:libtmux']))"
    ended = pytester.run(sys.executable, "-W", "error", "-c", script, timeout=LIMIT)
    assert ended.ret == 0, ended.stdout.str()


MY_SERVER = '''

def look(path, workspace_id):
    """Return the state that another connection sees."""
    server = object.__new__(Server)
    server.path = path
    return server.state(workspace_id)
'''


def test_ids_that_only_resemble_uuids_are_accepted() -> None:
    one = "3f49e5a0f7f246e18764560e689bee70"
    assert not_canonical([one]) is None
    assert not_canonical([one, "x", one, one]) is None
    assert not_canonical(["0" * 32] * 4) is None
    assert not_canonical(["w" * 36, "ws-1", "", "3f49e5a0-f7f2-46e1-8764-560e689bee70"]) is None


def test_without_pytest_the_import_says_what_to_install() -> None:
    script = "import sys; sys.modules['pytest'] = None; import workspace_hookspecs.testing"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=LIMIT)
    assert ended.returncode == 1
    assert "ImportError: workspace_hookspecs.testing needs pytest" in ended.stderr
    assert "pip install 'workspace-hookspecs[testing]'" in ended.stderr


def test_every_check_has_a_faulty_host() -> None:
    checks = {name.removeprefix("test_") for name in vars(kit.HostConformance) if name.startswith("test_")}
    assert checks == ALL
    assert {check for checks in FAULTS.values() for check in checks} == ALL
