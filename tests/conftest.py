"""Fixtures for every test: real tmux servers, private and gone with the test, and a tmux that errs on demand."""

from __future__ import annotations

import gc
import importlib
import os
import shutil
import signal
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.tools import debian_tmux
from tests.tools.front_tmux import FrontTmux
from tests.tools.tmux import TmuxServer
from tests.tools.world import World

# The same examples in every run, and no time limit on any of them. "explore" tries others each time:
# HYPOTHESIS_PROFILE=explore pytest tests/unit
settings.register_profile("ci", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("explore", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

# nohup, or a shell that starts pytest in the background, ignores these for it, and each process of a test would inherit
# that; a handler is not inherited.
SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)
for _number in SIGNALS:
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, signal.default_int_handler if _number == signal.SIGINT else signal.SIG_DFL)


def pytest_report_header() -> str:
    """Which tmux all of this runs on."""
    return f"tmux: {_tmux_found() or 'none on PATH'}"


def pytest_configure() -> None:
    """Refuse to test another tmux than the one that was promised."""
    wanted, found = os.environ.get(debian_tmux.VARIABLE), _tmux_found()
    if wanted is not None and found != wanted:
        raise pytest.UsageError(f"{debian_tmux.VARIABLE} promises tmux {wanted}, and the one on PATH is {found or 'none'}")


@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Import another part of the test files in each worker. In a new checkout pytest must rewrite the assertions of all files,
    and without this each worker would do so for each file at the same time: 14 s of CPU time each.
    """
    worker = getattr(session.config, "workerinput", {"workerid": ""})
    number = worker["workerid"].removeprefix("gw")
    if not number.isdigit():
        return
    root = session.config.rootpath
    places = [session.config.invocation_params.dir / argument.partition("::")[0] for argument in session.config.args]
    files = sorted({file for place in places for file in ([place] if place.is_file() else place.rglob("test_*.py"))})
    for file in files[int(number) :: worker["workercount"]]:
        # What cannot be imported without a warning is reported when it is collected.
        with suppress(Exception, pytest.skip.Exception, pytest.fail.Exception), warnings.catch_warnings():
            warnings.simplefilter("error")
            importlib.import_module(".".join(file.relative_to(root).with_suffix("").parts))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Do not measure coverage in property tests: examples reach each line too, and tracing doubles their time."""
    for item in items:
        if item.get_closest_marker("hypothesis"):
            item.add_marker("no_cover")


def pytest_collection_finish() -> None:
    """Let the garbage collector leave the collected tests alone: they stay to the end, and it takes a second to look at all."""
    gc.freeze()


def _tmux_found() -> str | None:
    program = shutil.which("tmux")
    return debian_tmux.version_of(program) if program else None


@pytest.fixture(autouse=True)
def signals_stay() -> Iterator[None]:
    """Fail the test that leaves another handler: where a signal is ignored, all later processes of this worker inherit that."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    after = {number: signal.getsignal(number) for number in SIGNALS}
    _restore(before)
    assert after == before


@pytest.fixture
def restored_signals() -> Iterator[None]:
    """For a test that runs in this process what is otherwise a program of its own: signals are as before after it."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    _restore(before)


def _restore(handlers: Mapping[signal.Signals, Any]) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture
def tmux_servers() -> Iterator[Callable[[], TmuxServer]]:
    """Makes tmux servers, each on a private socket; all are gone after the test."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(TmuxServer())


@pytest.fixture
def tmux_server(tmux_servers: Callable[[], TmuxServer]) -> TmuxServer:
    """One tmux server on a private socket."""
    return tmux_servers()


@pytest.fixture
def front_tmux(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FrontTmux:
    """A tmux first on PATH that passes everything on to the real one until it gets rules."""
    front = FrontTmux(tmp_path / "front")
    monkeypatch.setenv("PATH", front.environment()["PATH"])
    return front


@pytest.fixture
def short_tmp() -> Iterator[Path]:
    """A directory whose path is short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="wr-", dir="/tmp") as directory:
        yield Path(directory).resolve()


@pytest.fixture
def worlds(tmp_path: Path) -> Iterator[Callable[..., World]]:
    """Makes machines in small; the arguments are those of ``World`` behind the directory."""
    with ExitStack() as stack:
        made = iter(range(100))

        def make(*arguments: Any, **settings: Any) -> World:
            directory = tmp_path / f"world-{next(made)}"
            directory.mkdir()
            return stack.enter_context(World(directory, *arguments, **settings))

        yield make


@pytest.fixture
def world(worlds: Callable[..., World]) -> World:
    """One vibe-kanban host with one tmux server."""
    return worlds()
