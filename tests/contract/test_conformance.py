"""The conformance kit proves what it says: a right host passes every check, and each wrong one fails the checks that are about
its mistake, with words that name it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import workspace_hookspecs.testing as kit
from workspace_hookspecs.testing._mistakes import not_canonical

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
    """A small host that does everything right, in pieces that others get wrong."""

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
    """Neither an archive nor a transaction that fails; one thread."""

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
    """What is to be fired stands in a list of the server's, which each request fires."""

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
        manager.load_setuptools_entrypoints("workspace_server", "conformance-neighbour")
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
    """Bare pluggy, and whoever raises is thrown out."""

    def deleted(self, workspace_id):
        try:
            super().deleted(workspace_id)
        except Exception:
            self.plugins.unregister(name="conformance-neighbour")
            super().deleted(workspace_id)


class Unfinished(Server):
    """It commits later than it says."""

    def delete(self, workspace_id):
        self.deleted(workspace_id)


class AsksTheServer(Server):
    """state() waits for what the host holds while it fires."""

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
    """Nobody else can look at the database while the host fires."""

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
    """Those checks alone, with that host."""
    others = {name: None for name in dir(Checks) if name.startswith("test_") and name.removeprefix("test_") not in names}
    return type(host.__name__, (Checks,), {"host": host, "patience": host.patience, **others})


for name, names in SAID.items():  # filled in by the test
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

SAID = {
    "BeforeTheCommit": {
        DELETE: "fired on_workspace_deleted while another connection still saw the workspace active: before the commit",
        ARCHIVE: "fired on_workspace_archived while another connection still saw the workspace active: before the commit",
        LOOP: "before the commit",
    },
    "Twice": {DELETE: "fired on_workspace_deleted 2 times", LOOP: "2 times", THREADS: "was fired more than once"},
    "OnRollback": {ROLLBACK: "Nothing has changed, so nobody is to be told"},
    "OnCreateAndUnarchive": {
        CREATE: "Creating a workspace is no event",
        DELETE: "fired on_workspace_archived besides on_workspace_deleted",
        ARCHIVE: "fired on_workspace_archived 2 times",
        UNARCHIVE: "Taking a workspace out of the archive is none",
    },
    "OnUnarchive": {UNARCHIVE: "Taking a workspace out of the archive is none"},
    "NoText": {DELETE: "of type UUID", ID: "of type UUID"},
    "SessionName": {DELETE: "with 'ws-", ID: "Fire the same text"},
    "NoHyphens": {ID: "UUIDs without their hyphens"},
    "UpperCase": {ID: "in lower case"},
    "SilentArchive": {ARCHIVE: "Call plugins.workspace_archived(workspace_id) after its commit"},
    "WrongHook": {DELETE: "fired on_workspace_archived instead of on_workspace_deleted", ARCHIVE: "2 times"},
    "Silent": {
        DELETE: "delete() fired nothing. Call plugins.workspace_deleted(workspace_id) after its commit",
        ID: "fired nothing",
        LOOP: "fired nothing",
        THREADS: "fired nothing",
        RAISES: "do not hear",
        BLOCKS: "do not hear",
        CLOSING: "have not got",
    },
    "OfAnother": {DELETE: "another workspace, or none", ID: "Fire the same text"},
    "Loadless": dict.fromkeys([DELETE, CREATE, THREADS, TICKS, RAISES, CLOSING], "does not load those that are installed"),
    "Tickless": {TICKS: "plugins.ticking(every=60)"},
    "Abrupt": {CLOSING: "plugins.drain(timeout=5)"},
    "Unclosed": {CLOSING: "were not closed"},
    "OneThread": {THREADS: "may be called from any thread"},
    "SharedList": {THREADS: "let its threads share no list of it"},
    "Bare": {
        LOOP: "the host waits for its plugins",
        RAISES: "raised what a plugin raised",
        BLOCKS: "the host waits for its plugins",
        CLOSING: "the host waits for its plugins",
    },
    "Swallows": {RAISES: "told of nothing any more"},
    "Unfinished": {DELETE: "before the commit"},
    "AsksTheServer": {DELETE: "it must not ask the server"},
    "Unreadable": {DELETE: "state() raised OperationalError"},
    "Failing": {DELETE: "no such table: nowhere"},
    "NoId": {CREATE: "Return the workspace's id as text"},
    "NoCommit": {CREATE: "Commit before"},
    "NoState": {CREATE: 'return "active", "archived" or None'},
    "NoRollback": {ROLLBACK: "Have the transaction rolled back"},
}
"""The checks that a wrong host is put to, and the words with which it fails each."""


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> object:
    """Run a test module of a host's author; for each test what it came to, and what it said."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)

    def run(source: str, *arguments: str) -> dict[str, dict[str, tuple[str, str]]]:
        pytester.makepyfile(test_host=source)
        recorded = pytester.inline_run("-W", "error", "-p", "no:cacheprovider", *arguments)
        found: dict[str, dict[str, tuple[str, str]]] = {}
        for report in recorded.getreports("pytest_runtest_logreport"):
            *_, where, name = report.nodeid.split("::")
            told = found.setdefault(where, {})
            if report.when == "call" or report.outcome != "passed":
                text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr or "")
                told[name.removeprefix("test_")] = (report.outcome, text)
        return found

    return run


def test_right_hosts_pass_every_check(run) -> None:
    found = run(FINE)
    assert set(found) == {"TestPlain", "TestAsynchronous", "CalledAnyhow"}
    for checks in found.values():
        assert set(checks) == ALL
    for name in ("TestPlain", "TestAsynchronous"):
        assert {check: told for check, told in found[name].items() if told[0] != "passed"} == {}
    skipped = {check: text for check, (outcome, text) in found["CalledAnyhow"].items() if outcome != "passed"}
    assert {check: text.split("the host under test ")[-1].split(":")[0] for check, text in skipped.items()} == {
        ARCHIVE: "has no archive()",
        UNARCHIVE: "has no unarchive()",
        ROLLBACK: "has no failing_delete()",
        THREADS: "Skipped",
    }


def test_each_wrong_host_is_told_its_mistake(run) -> None:
    names = {host: list(checks) for host, checks in SAID.items()}
    found = run(WRONG.replace("SAID", repr(names)))
    assert {host: set(checks) for host, checks in found.items()} == {host: set(checks) for host, checks in SAID.items()}
    for host, checks in SAID.items():
        for check, words in checks.items():
            outcome, text = found[host][check]
            assert (outcome, words in text) == ("failed", True), (host, check, text)


CONFTEST = """
pytest_plugins = ["workspace_hookspecs.testing"]
"""

BARE_SUBCLASS = """
from workspace_hookspecs.testing import HostConformance

class TestNothing(HostConformance):
    pass
"""


def test_without_a_host_the_plugin_says_what_to_write(run, pytester: pytest.Pytester) -> None:
    pytester.makeconftest(CONFTEST)
    [(name, checks)] = run(BARE_SUBCLASS, "-k", "creating").items()
    assert name == "TestNothing"
    assert checks[CREATE][0] == "failed"
    assert "Write a fixture 'workspace_host'" in checks[CREATE][1]


def test_the_readme_says_how_and_it_works(run, pytester: pytest.Pytester) -> None:
    section = README.read_text(encoding="utf-8").split("## Prove it", 1)[1].split("\n## ", 1)[0]
    (block,) = re.findall(r"^```py\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    assert len(block.strip().splitlines()) < 25
    assert ("Twelve checks" in section, len(ALL)) == (True, 12)
    pytester.makepyfile(my_server=RIGHT + MY_SERVER)
    [checks] = run(block).values()
    assert {check for check, (outcome, _) in checks.items() if outcome == "passed"} == ALL - {UNARCHIVE, ROLLBACK}
    assert {outcome for outcome, _ in checks.values()} == {"passed", "skipped"}


MY_SERVER = '''

def look(path, workspace_id):
    """As another connection sees it."""
    server = object.__new__(Server)
    server.path = path
    return server.state(workspace_id)
'''


def test_ids_that_only_look_like_uuids_are_nobodys_mistake() -> None:
    one = "3f49e5a0f7f246e18764560e689bee70"
    assert not_canonical([one]) is None
    assert not_canonical([one, "x", one, one]) is None
    assert not_canonical(["0" * 32] * 4) is None
    assert not_canonical(["w" * 36, "ws-1", "", "3f49e5a0-f7f2-46e1-8764-560e689bee70"]) is None


def test_without_pytest_the_import_says_what_to_install() -> None:
    script = "import sys; sys.modules['pytest'] = None; import workspace_hookspecs.testing"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=LIMIT)
    assert ended.returncode == 1
    assert "ImportError: workspace_hookspecs.testing is for tests and needs pytest" in ended.stderr
    assert "pip install 'workspace-hookspecs[testing]'" in ended.stderr


def test_every_check_has_a_wrong_host() -> None:
    checks = {name.removeprefix("test_") for name in vars(kit.HostConformance) if name.startswith("test_")}
    assert checks == ALL
    assert {check for said in SAID.values() for check in said} == ALL
