"""The demo: it shows what it should, notices what it should not, and leaves nothing behind, however it ends."""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.tools.front_tmux import FrontTmux, Rule
from tests.tools.tmux import TmuxServer
from tests.tools.waiting import wait_until
from workspace_hookspecs import WorkspacePlugins, hookimpl
from workspace_reaper.demo import run as run_module
from workspace_reaper.demo import run_demo
from workspace_reaper.demo.host import Host
from workspace_reaper.demo.processes import DemoFailed
from workspace_reaper.demo.scenario import ACCIDENT, HELPERS, RESTORED, SESSIONS
from workspace_reaper.demo.tmux import PrivateTmux
from workspace_reaper.plugin import ReaperPlugin

SCRIPT = str(Path(sys.executable).with_name("workspace-reaper"))
MARK = "WORKSPACE_DEMO_TEST"

# Whoever started the tests may ignore SIGINT, and that is inherited.
PROGRAM = f"""
import os, signal
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_DFL)
os.execv({SCRIPT!r}, [{SCRIPT!r}, "demo"])
"""

EVERYTHING = (*SESSIONS, *HELPERS, ACCIDENT, RESTORED)

FACTS = "#{session_id} #{session_name} #{session_activity} #{session_attached} #{@workspace_owner} #{@reaper_keep}"

PINNED_COUNTS_NO_MORE = """
from workspace_reaper.policy import protections
object.__setattr__(protections.PINNED, "holds", lambda case: False)
from workspace_reaper.demo import run_demo
raise SystemExit(run_demo())
"""

# As on a machine that takes longer than idle_ttl to create the sessions: the first sweep reaps every pinned session as idle.
PINNED_COUNTS_NO_MORE_AND_THE_MACHINE_IS_SLOW = f"""
import time
from workspace_reaper.demo.steps import DemoSteps
tick = DemoSteps.tick
def slow(self):
    if not hasattr(tick, "late"):
        tick.late = time.sleep(6)
    tick(self)
DemoSteps.tick = slow
{PINNED_COUNTS_NO_MORE}"""

BREAKER_NEVER_LATCHES = """
import workspace_reaper.policy.breaker as breaker
breaker.AT_LEAST = 1000
from workspace_reaper.demo import run_demo
raise SystemExit(run_demo())
"""

SURVIVORS_ARE_LEFT_AND_RESTORED_ONES_RUN = """
import workspace_reaper.operations.restore as restoring
import workspace_reaper.sweep.terminate as termination
termination.spared_because = lambda *args, **kwargs: "they let everything live"
restore = restoring.restore
restoring.restore = lambda reaper, reap: restore(reaper, reap, run=True)
from workspace_reaper.demo import run_demo
raise SystemExit(run_demo())
"""

NOBODY_IS_SPARED_AND_NOTHING_IS_KEPT = """
import workspace_reaper.sweep.terminate as termination
from workspace_reaper.snapshots.store import SnapshotStore
termination.spared_because = lambda *args, **kwargs: None
SnapshotStore.has = lambda self, reap_id: False
from workspace_reaper.demo import run_demo
raise SystemExit(run_demo())
"""


class Show:
    """One demo in a process of its own, with a home and a place for temporary files of its own."""

    def __init__(self, root: Path, program: str = PROGRAM, environ: Mapping[str, str] | None = None) -> None:
        name = uuid.uuid4().hex[:8]
        self.home, self.tmp = root / f"{name}h", root / f"{name}t"
        self.home.mkdir()
        self.tmp.mkdir()
        self.mark = name
        own = {"HOME": str(self.home), "TMPDIR": str(self.tmp), MARK: name, "PYTHONUNBUFFERED": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-c", program],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**(os.environ if environ is None else environ), **own},
            start_new_session=True,
        )
        self.lines: list[str] = []

    def read_to(self, beginning: str) -> None:
        """Read until a line begins so."""
        while not self.lines or not self.lines[-1].startswith(beginning):
            line = self.process.stdout.readline()
            assert line, (self.lines, self.process.stderr.read())
            self.lines.append(line)

    def finish(self) -> tuple[int, str, str]:
        """Wait for its end: exit code, standard output, standard error."""
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, "".join(self.lines) + out, err

    def left(self) -> list[str]:
        """Its processes and files that are still there."""
        files = [str(path) for place in (self.home, self.tmp) for path in place.rglob("*")]
        return files + [str(process.info) for process in marked(self.mark)]


def marked(mark: str) -> Iterator[psutil.Process]:
    """The processes that inherited a mark from a demo, or live in its directory."""
    for process in psutil.process_iter(["pid", "cmdline"]):
        with contextlib.suppress(psutil.Error):
            if process.status() != psutil.STATUS_ZOMBIE and any(mark in value for value in process.environ().values()):
                yield process


def rows(output: str) -> dict[str, list[str]]:
    """The table, by session: its case, expected, happened, why."""
    table = output[output.index("SESSION ") :].split("\n\n", maxsplit=1)[0].splitlines()
    starts = [table[0].index(column) for column in ("SESSION", "CASE", "EXPECTED", "HAPPENED", "WHY")]
    cut = [[line[a:b].strip() for a, b in zip(starts, [*starts[1:], None], strict=True)] for line in table[1:]]
    return {row[0]: row[1:] for row in cut}


@dataclass
class Ended:
    """How a demo ended."""

    code: int
    out: str
    err: str
    left: list[str]


def ended(show: Show) -> Ended:
    return Ended(*show.finish(), show.left())


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="wr-", dir="/tmp") as directory:
        yield Path(directory).resolve()


@pytest.fixture(scope="module")
def decoy() -> Iterator[TmuxServer]:
    """A server that somebody else works in."""
    with TmuxServer() as server:
        server.new_session("ws-decoy")
        server.new_session("vk_decoy")
        server.as_it_was = server.run("list-sessions", "-F", FACTS)  # type: ignore[attr-defined]
        yield server


@pytest.fixture(scope="module")
def inside(decoy: TmuxServer) -> dict[str, str]:
    """The environment of a pane of the decoy, with settings that would spoil or misguide the demo."""
    return {
        "TMUX": f"{decoy.path},{decoy.pid},0",
        "TMUX_PANE": "%0",
        "TMUX_TMPDIR": str(decoy.directory),
        "WORKSPACE_REAPER_ENABLED": "0",
        "WORKSPACE_REAPER_CONFIG": "/nonexistent",
        "WORKSPACE_REAPER_TMUX_SOCKETS": f'["{decoy.path}"]',
        "WORKSPACE_REAPER_IDLE_TTL": "nonsense",
        "WORKSPACE_PLUGINS_BLOCK": "reaper",
    }


@pytest.mark.once
def test_it_leaves_this_process_as_it_was(inside: dict[str, str], short_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in inside.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(tempfile, "tempdir", str(short_tmp))
    environ, handlers = dict(os.environ), [signal.getsignal(number) for number in (2, 15, 1)]
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert run_demo(fresh) == 0, out.getvalue()
    assert os.environ == environ
    assert [signal.getsignal(number) for number in (2, 15, 1)] == handlers
    assert list(short_tmp.iterdir()) == []
    assert list(marked(str(short_tmp))) == []
    wait_until(lambda: not [thread for thread in threading.enumerate() if "workspace-reaper" in thread.name])


def told(output: str, act: str) -> str:
    """What is said below one act, on one line."""
    lines = output.splitlines()
    start = next(number for number, line in enumerate(lines, 1) if line.startswith(act))
    return " ".join(" ".join(itertools.takewhile(lambda line: line.startswith("  "), lines[start:])).split())


SURVIVORS = (
    r"The session ws-deleted is gone\. Three of its processes had left its terminal: "
    r"dev-server \(pid \d+\): the reaper ended it with TERM; it is gone "
    r"watcher \(pid \d+\): the reaper ended it with KILL; it is gone "
    r"cache \(pid \d+\): the reaper left it alone: it left the session's process tree, and works outside the workspace's "
    r"directory; it is still running"
)
RESTORED_TEXT = r"All 128 tests pass\. What next\? \[as it was at \S+, by workspace-reaper; was running: sh agent\]"


# Each of the next three tests starts several demos at once, for each of them mostly waits. They are one test each so that
# processes that share the tests do not start all of them several times.


def test_everything_happens_as_it_should(place: Path, decoy: TmuxServer, inside: dict[str, str]) -> None:
    environs = {"PATH": os.environ["PATH"], "LC_ALL": "C"}, {**os.environ, **inside}
    started = [Show(place, environ=environ) for environ in environs]
    for show in [ended(show) for show in started]:
        assert (show.code, show.err) == (0, ""), show.out
        assert rows(show.out) == {
            part.name: [part.stands_for, part.expected.word, part.expected.word, part.expected.why] for part in EVERYTHING
        }
        assert f"{len(EVERYTHING)} of {len(EVERYTHING)} as expected" in show.out
        assert show.out.splitlines()[-1] == "Cleaned up: no process and no file is left."
        assert re.fullmatch(SURVIVORS, told(show.out, "2."))
        assert re.fullmatch(RESTORED_TEXT, told(show.out, "7."))
        assert "\x1b" not in show.out
        where, *lines = show.out.splitlines()
        assert where.startswith("In /")
        assert max(map(len, lines)) <= 80
        assert show.left == []
    assert decoy.is_alive()
    assert decoy.run("list-sessions", "-F", FACTS) == decoy.as_it_was  # type: ignore[attr-defined]


LIVES = ["left !", "they let everything live"]
IS_GONE = "ws-idle cannot be restored: its snapshot has been removed: see snapshot_days and snapshot_bytes"

BROKEN = {
    PINNED_COUNTS_NO_MORE: {"ws-pinned": ["held", "reaped !", "idle"]},
    PINNED_COUNTS_NO_MORE_AND_THE_MACHINE_IS_SLOW: {"ws-pinned": ["held", "reaped !", "idle"]},
    BREAKER_NEVER_LATCHES: {"all the rest": ["held", "reaped !", "2 sessions"]},
    SURVIVORS_ARE_LEFT_AND_RESTORED_ONES_RUN: {
        "dev-server": ["ended", *LIVES],
        "watcher": ["ended", *LIVES],
        "cache": ["left", *LIVES],
        "ws-idle again": ["restored", "restored !", "started 2 times"],
    },
    NOBODY_IS_SPARED_AND_NOTHING_IS_KEPT: {
        "cache": ["left", "ended !", "TERM"],
        "ws-idle again": ["restored", "lost !", IS_GONE],
    },
}


@pytest.mark.race
def test_it_notices_what_is_broken(place: Path) -> None:
    started = [Show(place, program) for program in BROKEN]
    for show, (program, happened) in zip([ended(show) for show in started], BROKEN.items(), strict=True):
        assert "SESSION " in show.out, show.err
        differs = {part: row[1:] for part, row in rows(show.out).items() if row[2].endswith(" !")}
        if program in (PINNED_COUNTS_NO_MORE, PINNED_COUNTS_NO_MORE_AND_THE_MACHINE_IS_SLOW):
            # On a slow machine it also lets those go as idle that are pinned so that they can't.
            differs = {part: row for part, row in differs.items() if part in happened or row != ["reaped", "reaped !", "idle"]}
        assert differs == happened, show.out
        for part, (expected, _, _) in happened.items():
            assert f"DIFFERS {part}: expected {expected} (" in show.out
        assert show.code == 1
        assert show.left == []


def fresh() -> WorkspacePlugins:
    """A plugin of its own for this process: the installed one, once closed, can't be opened again."""
    plugins = WorkspacePlugins()
    plugins.register(ReaperPlugin(), "reaper")
    return plugins


@dataclass
class Cut:
    """A demo that is told to end: at which line, how many seconds after it, and by what."""

    line: str | None
    delay: float
    number: signal.Signals
    code: int | None
    group: bool = False


CUTS = {
    "Ctrl-C at once": Cut("In ", 0.0, signal.SIGINT, 130),
    "SIGTERM while it sets up": Cut("1.", 0.1, signal.SIGTERM, 143),
    "SIGHUP while it sets up": Cut("1.", 0.0, signal.SIGHUP, 129),
    "Ctrl-C among the hooks": Cut("2.", 0.0, signal.SIGINT, 130),
    "Ctrl-C again and again": Cut("3.", 0.0, signal.SIGINT, 130, group=True),
    "SIGTERM while a survivor has its grace": Cut("2.", 0.5, signal.SIGTERM, 143),
    "Ctrl-C when the survivors are gone": Cut("   The session", 0.0, signal.SIGINT, 130, group=True),
    "Ctrl-C while it restores": Cut("7.", 0.0, signal.SIGINT, 130, group=True),
    "SIGHUP while it restores": Cut("7.", 0.04, signal.SIGHUP, 129),
    "SIGTERM while the shell starts": Cut("7.", 0.1, signal.SIGTERM, 143, group=True),
    "SIGTERM while it waits": Cut("4.", 1.0, signal.SIGTERM, 143),
    "Ctrl-C at any moment": Cut(None, random.uniform(0.0, 4.0), signal.SIGINT, None),
    "SIGTERM at any moment": Cut(None, random.uniform(0.0, 4.0), signal.SIGTERM, None),
}


ENDED = "workspace-reaper demo: ended by {}; no process and no file is left\n"


def cut_short(root: Path, cut: Cut) -> Ended:
    show = Show(root)
    if cut.line is not None:
        show.read_to(cut.line)
    time.sleep(cut.delay)
    if cut.group:
        # As the terminal does, which tells the whole process group; and people press it more than once.
        for _ in range(4):
            os.killpg(show.process.pid, cut.number)
            time.sleep(0.01)
    else:
        show.process.send_signal(cut.number)
    return ended(show)


@pytest.mark.race
def test_it_ends_when_it_is_told_to(place: Path) -> None:
    with ThreadPoolExecutor(len(CUTS)) as pool:
        how = dict(zip(CUTS, pool.map(lambda cut: cut_short(place, cut), CUTS.values()), strict=True))
    assert {name: end for name, end in how.items() if end.left} == {}
    # On a busy machine a demo may be done before its signal comes.
    done = {name for name, end in how.items() if end.out.endswith("Cleaned up: no process and no file is left.\n")}
    assert done <= {name for name, cut in CUTS.items() if cut.line in (None, "7.")}
    told = {name: (cut.code, ENDED.format(cut.number.name)) for name, cut in CUTS.items() if cut.code is not None}
    expected = {name: (0, "") if name in done else ending for name, ending in told.items()}
    assert {name: (how[name].code, how[name].err) for name in told} == expected


@pytest.mark.race
def test_a_signal_after_its_last_word_changes_nothing(place: Path) -> None:
    """Whoever presses Ctrl-C again and again hits the moment in which Python ends."""
    show = Show(place)
    show.read_to("3.")
    show.process.send_signal(signal.SIGTERM)
    assert show.process.stderr.readline() == "workspace-reaper demo: ended by SIGTERM; no process and no file is left\n"
    while show.process.poll() is None:
        show.process.send_signal(signal.SIGINT)
    how = ended(show)
    assert (how.code, how.err, how.left) == (143, "", [])


@pytest.fixture
def interruptible(restored_signals: None) -> None:
    """Whoever started the tests may have SIGINT ignored."""
    del restored_signals
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.mark.once
@pytest.mark.usefixtures("interruptible")
def test_it_ends_by_a_signal_in_this_process(
    short_tmp: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def load() -> WorkspacePlugins:
        os.kill(os.getpid(), signal.SIGINT)
        return fresh()

    monkeypatch.setattr(tempfile, "tempdir", str(short_tmp))
    assert run_demo(load) == 130
    assert capsys.readouterr().err == "workspace-reaper demo: ended by SIGINT; no process and no file is left\n"
    assert list(short_tmp.iterdir()) == []


class Closing:
    """A plugin during whose end the user presses Ctrl-C."""

    @hookimpl
    def on_tick(self) -> None:
        """Nothing: without a hook it would be no plugin."""

    def close(self) -> None:
        os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.once
@pytest.mark.usefixtures("interruptible")
def test_a_signal_while_it_cleans_up_has_one_last_word(
    short_tmp: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def load() -> WorkspacePlugins:
        plugins = fresh()
        plugins.register(Closing(), "closing")
        return plugins

    monkeypatch.setattr(tempfile, "tempdir", str(short_tmp))
    monkeypatch.setattr(run_module, "_perform", lambda _steps: [])
    assert run_demo(load) == 130
    out, err = capsys.readouterr()
    assert err == "workspace-reaper demo: ended by SIGINT; no process and no file is left\n"
    assert "Cleaned up" not in out


@pytest.mark.once
@pytest.mark.usefixtures("interruptible")
def test_what_can_not_be_cleaned_up_is_told(
    short_tmp: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def load() -> WorkspacePlugins:
        (directory,) = short_tmp.iterdir()
        directory.rename(short_tmp / "moved")
        directory.symlink_to(short_tmp / "moved")
        os.kill(os.getpid(), signal.SIGINT)
        return fresh()

    monkeypatch.setattr(tempfile, "tempdir", str(short_tmp))
    assert run_demo(load) == 1
    assert f"could not be cleaned up: {short_tmp}/wr-demo-" in capsys.readouterr().err


@pytest.mark.once
def test_it_ends_when_tmux_fails_halfway(short_tmp: Path) -> None:
    front = FrontTmux(short_tmp / "front")
    front.rules(Rule("new-session", skip=2, stderr="no more room\n", exit_code=1))
    how = ended(Show(short_tmp, environ=front.environment()))
    assert how.code == 1
    assert "workspace-reaper demo: tmux new-session failed: no more room\n" in how.err
    assert how.left == []


@pytest.mark.once
def test_it_ends_when_nobody_reads_it_any_more(short_tmp: Path) -> None:
    show = Show(short_tmp)
    show.read_to("In ")
    show.process.stdout.close()
    with show.process.stderr as stream:
        stream.read()
    assert show.process.wait(60) != 0
    assert show.left() == []


def test_without_tmux_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run_demo(fresh) == 1
    assert "requires tmux 3.2a or later, and there is no tmux on PATH: install it" in capsys.readouterr().err


def test_with_an_old_tmux_it_says_so(front_tmux: FrontTmux, capsys: pytest.CaptureFixture[str]) -> None:
    front_tmux.rules(Rule("-V", real=False, stdout="tmux 2.9a\n"))
    assert run_demo(fresh) == 1
    assert "requires tmux 3.2a or later, and this is 2.9a: upgrade it" in capsys.readouterr().err


def test_without_the_plugin_it_says_so(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    files = set(place.iterdir())
    assert run_demo(WorkspacePlugins) == 1
    assert "the plugin 'reaper' could not be loaded from its entry point" in capsys.readouterr().err
    assert set(place.iterdir()) == files


def test_it_shows_the_log_of_what_went_wrong(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def load() -> WorkspacePlugins:
        plugins = WorkspacePlugins()
        plugins.workspace_deleted("")
        return plugins

    monkeypatch.setattr(tempfile, "tempdir", str(place))
    assert run_demo(load) == 1
    assert "in the log: workspace_deleted() needs" in capsys.readouterr().err


def test_a_server_that_hangs(short_tmp: Path) -> None:
    """A stopped server does not answer: it is ended by its pid, and its panes with it."""
    tmux = PrivateTmux(short_tmp / "s", limit=0.3)
    tmux.new_session("ws-a", "sleep", "600")
    server = psutil.Process(int(tmux.run("display-message", "-p", "#{pid}")))
    pane = psutil.Process(int(tmux.run("display-message", "-p", "#{pane_pid}")))
    server.suspend()
    with pytest.raises(DemoFailed, match=r"tmux list-sessions did not answer within 0\.3 s"):
        tmux.sessions()
    assert tmux.close(patience=0.3) == []
    assert not server.is_running() or server.status() == psutil.STATUS_ZOMBIE
    assert not pane.is_running() or pane.status() == psutil.STATUS_ZOMBIE


def test_a_server_of_which_only_the_socket_is_known(front_tmux: FrontTmux, short_tmp: Path) -> None:
    front_tmux.rules(Rule("new-session", exit_code=1, stderr="what was it?\n"))
    tmux = PrivateTmux(short_tmp / "s")
    with pytest.raises(DemoFailed, match="what was it"):
        tmux.new_session("ws-a", "sleep", "600")
    server = psutil.Process(int(tmux.run("display-message", "-p", "#{pid}")))
    tmux.close()
    wait_until(lambda: not server.is_running() or server.status() == psutil.STATUS_ZOMBIE)


def test_a_server_that_was_never_started(short_tmp: Path) -> None:
    assert PrivateTmux(short_tmp / "s").close() == []


def test_a_private_tmux_needs_tmux(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DemoFailed, match="not on PATH"):
        PrivateTmux(tmp_path / "s")


def test_a_host_says_what_it_could_not_load(tmp_path: Path) -> None:
    with pytest.raises(DemoFailed, match="the group workspace_server has no entry point of that name"):
        Host(tmp_path / "d.sqlite", WorkspacePlugins)
