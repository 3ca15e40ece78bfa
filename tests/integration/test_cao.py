"""The published ``cao-server`` with our plugin installed beside it, and nothing configured: who goes, and who stays."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from tests.tools.cao import QUICK, CaoServer
from tests.tools.pages import bash, follow
from tests.tools.waiting import wait_until
from workspace_reaper.ledger.locks import FileSweepLock

pytest.importorskip("cli_agent_orchestrator")

pytestmark = pytest.mark.cao

PAGE = Path(__file__).parents[2] / "docs" / "hosts" / "cao.md"
LONG = 60.0
"""Seconds until what must happen has happened, on a busy machine."""


@pytest.fixture
def cao(short_tmp: Path) -> Iterator[CaoServer]:
    """A server that has not been started."""
    with CaoServer(short_tmp, **QUICK) as server:
        yield server


def start(cao: CaoServer, **settings: str) -> None:
    """Start it, with these settings of the reaper in its environment."""
    cao.environment.update({f"WORKSPACE_REAPER_{name.upper()}": value for name, value in settings.items()})
    cao.start()


def goes(cao: CaoServer, name: str) -> None:
    wait_until(lambda: name not in cao.sessions(), LONG)


def test_each_new_session_is_stamped_although_no_tick_comes(cao: CaoServer) -> None:
    """Several at once: the sweep that each asks for is one, and comes after the last of them."""
    start(cao, tick="3600")
    cao.create_all("cao-a", "cao-b", "cao-c")
    wait_until(lambda: all(map(cao.stamped, ("cao-a", "cao-b", "cao-c"))), LONG)

    assert cao.delete("cao-b")["deleted"] == ["cao-b"]
    cao.create("cao-b")
    wait_until(lambda: cao.stamped("cao-b"), LONG)
    assert cao.sessions() == {"cao-a", "cao-b", "cao-c"}
    assert cao.stop() in (0, -15)


def test_i43_i48_what_housekeeping_forgets_is_reaped_and_nothing_else(cao: CaoServer) -> None:
    """Through a restart and a crash. Beside it live a session that is not its own, and one of a user who likes the prefix."""
    start(cao)
    cao.create_all("cao-old", "cao-new")
    cao.tmux.new_session("notes")
    cao.tmux.new_session("cao-mine")
    theirs = {"notes", "cao-mine"}
    wait_until(lambda: cao.stamped("cao-old") and cao.stamped("cao-new"), LONG)

    long_ago = datetime.now(timezone.utc) - timedelta(days=20)
    cao.update("cao-old", "last_active", long_ago.strftime("%Y-%m-%d %H:%M:%S.%f"))
    cao.stop()
    assert "cao-old" in cao.sessions()
    cao.start()
    goes(cao, "cao-old")
    assert set(cao.rows()) == {"cao-new"}
    wait_until(lambda: any("reaped" in line and "cao-old" in line for line in cao.logged().split("\n")), LONG)

    cao.kill()
    cao.start()
    cao.create("cao-late")
    wait_until(lambda: cao.stamped("cao-late"), LONG)
    cao.forget("cao-late")
    goes(cao, "cao-late")
    cao.swept()
    assert cao.sessions() == {"cao-new", *theirs}

    cao.delete("cao-new")
    cao.swept()
    assert cao.sessions() == theirs


def test_i54_a_session_in_the_middle_of_its_creation(cao: CaoServer) -> None:
    """The server makes the tmux session, and then waits for its database."""
    start(cao)
    first = cao.create_all("cao-x", "cao-known")
    wait_until(lambda: cao.stamped("cao-x") and cao.stamped("cao-known"), LONG)

    # A second life under the same name, while the end of the first is still to be looked at.
    with ThreadPoolExecutor(1) as pool, ExitStack() as lock:
        with FileSweepLock(cao.state_dir).held():
            cao.delete("cao-x")
            lock.enter_context(cao.write_lock())
            made = pool.submit(cao.create, "cao-x")
            wait_until(lambda: "cao-x" in cao.sessions(), LONG)
        cao.swept(2)
        assert "cao-x" in cao.sessions()
        assert "cao-x" not in cao.rows()
        lock.close()
        assert made.result() != first["cao-x"]
    wait_until(lambda: cao.stamped("cao-x"), LONG)

    # And a crash there: nobody knows it, so it goes as a stranger does.
    with ThreadPoolExecutor(1) as pool:
        with cao.write_lock():
            lost = pool.submit(cao.create, "cao-lost")
            wait_until(lambda: "cao-lost" in cao.sessions(), LONG)
            cao.kill()
        assert lost.exception() is not None
    start(cao, stranger_ttl="3")
    goes(cao, "cao-lost")
    assert cao.sessions() == {"cao-x", "cao-known"}


def test_i36_i49_an_idle_session_is_reaped_for_good_but_not_one_being_set_up_or_unmanaged(
    cao: CaoServer,
) -> None:
    start(cao, idle_ttl="8")
    terminals = cao.create_all("cao-idle", "cao-busy", "cao-owned")
    cao.update("cao-owned", "deferred_init_external_owner", 1)
    hold = cao.home / "hold"
    hold.touch()
    cao.create("cao-deferred", initial_message="hello")

    def work() -> None:
        """The agent has something to answer, and nobody is attached."""
        cao.request("POST", f"/terminals/{terminals['cao-busy']}/input", {"message": "go on"})

    def held() -> dict[str, str]:
        work()
        lines = cao.report()["sessions"]
        return {name: line["protected_by"] for name, line in lines.items() if line["reason"] == "idle" and line["protected_by"]}

    wait_until(lambda: held().keys() >= {"cao-owned", "cao-deferred"}, LONG, every=0.2)
    assert held() == {"cao-owned": "pinned", "cao-deferred": "running"}
    wait_until(lambda: "cao-idle" not in cao.sessions() or work(), LONG, every=0.2)
    assert cao.sessions() == {"cao-busy", "cao-owned", "cao-deferred"}

    hold.unlink()
    goes(cao, "cao-deferred")
    assert cao.rows("deferred_init_external_owner", "initial_delivery")["cao-deferred"] == (0, '{"state": "delivered"}')
    # Of a failure whose window is gone only the record is left, and that protects nothing.
    cao.update("cao-owned", "deferred_init_runtime_reclaimed", 1)
    goes(cao, "cao-owned")
    goes(cao, "cao-busy")
    cao.kill()
    cao.start()
    cao.swept()
    assert cao.sessions() == set()
    assert set(cao.rows()) == {"cao-idle", "cao-busy", "cao-owned", "cao-deferred"}


def test_the_page_says_what_happens(cao: CaoServer) -> None:
    """All that docs/hosts/cao.md tells an operator to type, but for the installation, which is what this runs on."""
    # CAO's own place, and its own command line at this server.
    del cao.environment["CAO_HOME_DIR"]
    cao.environment["CAO_API_PORT"] = str(cao.port)
    run = bash(cao.environment, cao.work)

    def serve() -> str:
        start(cao)
        return ""

    def launch() -> str:
        """Its default agent is one that needs an account."""
        cao.create_all("cao-demo", "cao-other")
        wait_until(lambda: cao.stamped("cao-demo") and cao.stamped("cao-other"), LONG)
        return ""

    def two_weeks_later() -> str:
        cao.forget("cao-demo")
        return run("workspace-reaper history")

    follow(
        PAGE,
        run,
        instead={
            "pip install workspace-reaper": lambda: run("workspace-reaper --version"),
            "cao-server": serve,
            "cao launch --agents developer --headless --session-name demo": launch,
            "workspace-reaper history": two_weeks_later,
            "pip uninstall --yes workspace-reaper workspace-hookspecs": lambda: str(cao.stop()),
        },
        patiently=["workspace-reaper history"],
        patience=LONG,
    )
    assert cao.sessions() == {"cao-other"}
    assert not cao.stamped("cao-other")
    assert not cao.state_dir.exists()
