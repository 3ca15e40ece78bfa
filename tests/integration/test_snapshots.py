"""Panes of a real tmux, kept on a real disk: what stood there is there again, and what can't be had harms nobody else."""

from __future__ import annotations

import gzip
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import psutil
import pytest
from ulid import ULID

from tests.tools.front_tmux import FrontTmux, Rule
from tests.tools.tmux import FOREVER, TmuxServer
from tests.tools.waiting import wait_until
from workspace_reaper.model.session import Listing
from workspace_reaper.model.snapshot import CapturedPane, PaneSnapshot, SessionSnapshot, SnapshotOrder
from workspace_reaper.snapshots.store import SnapshotStore
from workspace_reaper.tmux.capture import PaneCapture
from workspace_reaper.tmux.client import Completed, run
from workspace_reaper.tmux.terminal import TmuxTerminal
from workspace_reaper.util.batch_size import BatchSize


@pytest.fixture
def store(tmp_path: Path) -> SnapshotStore:
    return SnapshotStore(tmp_path / "state", lines=10_000, days=14, max_bytes=1 << 30)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Where the snapshots lie."""
    return tmp_path / "state" / "snapshots"


def orders_of(server: TmuxServer, commands: Mapping[str, tuple[str, ...]] | None = None) -> dict[str, SnapshotOrder]:
    """An order for each session, by name."""
    listing = TmuxTerminal(server.path).observe("ab")
    assert isinstance(listing, Listing), listing
    return {
        it.name: SnapshotOrder(str(ULID()), it.key, it.name, f"w-{it.name}", it.activity, it.version, dict(commands or {}))
        for it in listing.sessions
    }


def keep(store: SnapshotStore, server: TmuxServer) -> SessionSnapshot:
    """The snapshot of the only session."""
    (order,) = orders_of(server).values()
    assert store.take(TmuxTerminal(server.path), [order]) == {}
    return store.read(order.reap_id)


def panes_of(snapshot: SessionSnapshot) -> list[PaneSnapshot]:
    return [pane for window in snapshot.windows for pane in window.panes]


def content(store: SnapshotStore, snapshot: SessionSnapshot, at: int = 0) -> list[str]:
    lines = store.scrollback(snapshot.reap_id, panes_of(snapshot)[at].pane_id)
    return [line.decode("utf-8", "surrogateescape").removesuffix("\n") for line in lines]


def screen(server: TmuxServer, target: str = "%0") -> str:
    return server.run("capture-pane", "-p", "-t", target)


def session(server: TmuxServer, name: str, script: str, shows: str, *options: str) -> str:
    """A session whose program has printed all of its text: ``shows`` is at the end of it."""
    session_id = server.new_session(name, f"{script}; {FOREVER}", *options)
    wait_until(lambda: shows in screen(server, f"{session_id}:"), 30)
    return session_id


def test_all_facts_of_a_session(tmux_server: TmuxServer, store: SnapshotStore, tmp_path: Path) -> None:
    session(tmux_server, "work", "echo hello", "hello", "-x", "100", "-y", "30", "-c", str(tmp_path))
    tmux_server.run("rename-window", "-t", "@0", "build", ";", "split-window", "-h", "-d", "-t", "%0", FOREVER)
    tmux_server.run("new-window", "-d", "-t", "$0:7", "-n", "logs", FOREVER, ";", "select-pane", "-t", "%0", "-T", "caf\u00e9")
    (order,) = orders_of(tmux_server, {"%0": ("sleep", "100000"), "%99": ("other",)}).values()
    assert store.take(TmuxTerminal(tmux_server.path), [order]) == {}
    assert store.has(order.reap_id)
    kept = store.read(order.reap_id)
    assert (kept.reap_id, kept.key, kept.session) == (order.reap_id, order.key, "work")
    assert (kept.workspace_id, kept.activity, kept.version) == ("w-work", order.activity, order.version)
    assert (kept.width, kept.height) == (100, 30)
    build, logs = kept.windows
    assert (build.index, build.name, build.active, build.window_id) == (0, "build", True, "@0")
    assert (logs.index, logs.name, logs.active, len(logs.panes)) == (7, "logs", False, 1)
    assert build.layout == tmux_server.run("display-message", "-p", "-t", "@0", "#{window_layout}")
    first, second = build.panes
    assert (first.pane_id, first.index, first.active, first.dead, first.title) == ("%0", 0, True, False, "caf\u00e9")
    assert (first.argv, second.argv) == (("sleep", "100000"), ())
    assert first.directory == os.path.realpath(tmp_path)
    assert (first.width + 1 + second.width, first.height) == (100, 30)
    assert (first.lines, first.cut) == (30, False)
    assert content(store, kept)[0] == "hello"


@pytest.mark.parametrize("count", [1, 4, 12])
def test_each_pane_has_its_own_content(tmux_server: TmuxServer, store: SnapshotStore, count: int) -> None:
    session(tmux_server, "work", "echo this is pane 0", "pane 0", "-x", "200", "-y", "60")
    for number in range(1, count):
        tmux_server.run("split-window", "-d", "-t", "@0", f"echo this is pane {number}; {FOREVER}")
        tmux_server.run("select-layout", "-t", "@0", "tiled")
        wait_until(lambda number=number: f"pane {number}" in screen(tmux_server, f"%{number}"))
    kept = keep(store, tmux_server)
    numbers = {pane.pane_id: content(store, kept, at)[0] for at, pane in enumerate(panes_of(kept))}
    assert numbers == {f"%{number}": f"this is pane {number}" for number in range(count)}


def test_colours_and_the_last_screen(tmux_server: TmuxServer, store: SnapshotStore) -> None:
    script = r"""printf '\033[1;31mred\033[0m plain \033[48;5;21mback\033[0m\n\033[32mgreen\nstill green'"""
    session(tmux_server, "work", script, "still green", "-y", "3")
    kept = keep(store, tmux_server)
    raw = "\n".join(content(store, kept))
    assert "\x1b[1" in raw
    assert "\x1b[48;5;21mback" in raw
    first, second, third = store.last_screen(kept.reap_id, "%0")
    assert "\x1b[31m" in first
    assert "\x1b[32m" in second
    assert third.startswith("\x1b[32mstill green\x1b[")  # up to tmux 3.3a nothing in the line itself says so
    assert store.last_screen(kept.reap_id, "%0", colours=False) == ("red plain back", "green", "still green")


def test_wide_characters_and_wrapped_lines_keep_their_rows(tmux_server: TmuxServer, store: SnapshotStore) -> None:
    session(
        tmux_server, "work", "printf '漢字漢字漢字漢字\\nabcdefghijklmno\\n12345678901\\nend'", "end", "-x", "11", "-y", "20"
    )
    kept = keep(store, tmux_server)
    assert content(store, kept)[:7] == ["漢字漢字漢", "字漢字", "abcdefghijk", "lmno", "12345678901", "end", ""]
    assert panes_of(kept)[0].lines == len(content(store, kept)) == 20


def test_nothing_that_a_pane_prints_ends_its_content(tmux_server: TmuxServer, store: SnapshotStore) -> None:
    text = "\n".join([f"{'0123456789abcdef' * 2} {number}" for number in range(4)] + ["%end 1 2 0", "killed $0", "list-panes"])
    for name in ("first", "second"):
        session(tmux_server, name, f"printf '%s\\n' '{text}' last", "last", "-y", "12")
    orders = orders_of(tmux_server)
    assert store.take(TmuxTerminal(tmux_server.path), [*orders.values()]) == {}
    for order in orders.values():
        assert content(store, store.read(order.reap_id))[:8] == [*text.split("\n"), "last"]


def test_each_batch_has_marks_of_its_own_that_nobody_can_guess(tmux_server: TmuxServer, tmp_path: Path) -> None:
    """A pane that has somehow read the commands of one batch still can't fake an answer of the next."""
    tmux_server.new_sessions(["a", "b", "c"])
    asked: list[str] = []
    with (tmp_path / "spool").open("w+b", buffering=0) as spool:

        def ask(commands: str) -> Completed:
            asked.append(commands)
            return run(["-u", "-S", tmux_server.path, "source", "-"], stdin=commands, limit=5, stdout=spool)

        keys = [order.key for order in orders_of(tmux_server).values()]
        found = list(PaneCapture(ask, spool, 100, BatchSize(1)).run(keys))
    assert sum(isinstance(it, CapturedPane) for it in found) == 3
    marks = [commands.split("'")[1].removesuffix(" 0") for commands in asked]
    assert len(asked) > 2
    assert len(set(marks)) == len(asked)
    assert all(len(mark) == 32 for mark in marks)


def test_titles_names_and_directories_are_never_expanded(tmux_server: TmuxServer, store: SnapshotStore, tmp_path: Path) -> None:
    odd = tmp_path / "a\nb\tc #{pid} %H #(touch x) 'q' \udcff\x1b[31m"
    odd.mkdir()
    session(
        tmux_server, "work #{pid} %H", f"cd {tmp_path!s}/a*; printf '\\033]2;#{{pid}} %%H #(touch x)\\007'; echo end", "end"
    )
    (order,) = orders_of(tmux_server).values()
    tmux_server.run("rename-window", "-t", "@0", "w##{pid} %H")
    assert store.take(TmuxTerminal(tmux_server.path), [order]) == {}
    kept = store.read(order.reap_id)
    (pane,) = panes_of(kept)
    assert pane.directory is not None
    assert os.fsencode(pane.directory) == os.fsencode(os.path.realpath(odd))
    assert pane.title in ("#{pid} %H #(touch x)", "#{pid} %H _(touch x)")  # tmux 3.8 itself takes the "#" away
    assert kept.windows[0].name == tmux_server.run("list-windows", "-F", "#{window_name}")
    assert "#{pid} %H" in kept.session
    assert list(odd.iterdir()) == []


@pytest.mark.parametrize("title", ["a\tb", "a\nb", "a\\nb"])
def test_a_title_with_control_characters(tmux_server: TmuxServer, store: SnapshotStore, title: str) -> None:
    """tmux itself refuses most of them; what it takes is kept."""
    session(tmux_server, "work", "echo end", "end")
    tmux_server.run("select-pane", "-t", "%0", "-T", title, check=False)
    kept = keep(store, tmux_server)
    assert panes_of(kept)[0].title == tmux_server.run("display-message", "-p", "-t", "%0", "#{pane_title}")


def test_a_directory_that_was_removed_keeps_its_name(tmux_server: TmuxServer, store: SnapshotStore, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    session(tmux_server, "work", "echo end", "end", "-c", str(gone))
    gone.rmdir()
    assert panes_of(keep(store, tmux_server))[0].directory == os.path.realpath(gone)


def test_a_dead_pane(tmux_server: TmuxServer, store: SnapshotStore, tmp_path: Path) -> None:
    tmux_server.new_session("work", FOREVER, "-c", str(tmp_path))
    over = tmp_path / "over"
    # tmux may notice the end of a program before it has read what that wrote last.
    command = f"echo last words; while [ ! -e {over} ]; do sleep 0.1; done; exit 3"
    tmux_server.run("set-option", "-g", "remain-on-exit", "on", ";", "respawn-pane", "-k", "-t", "%0", command)
    wait_until(lambda: "last words" in screen(tmux_server))
    over.touch()
    wait_until(lambda: tmux_server.run("list-panes", "-F", "#{pane_dead}") == "1")
    kept = keep(store, tmux_server)
    (pane,) = panes_of(kept)
    assert pane.dead
    assert content(store, kept)[0] == "last words"


def test_at_most_so_many_lines(tmux_server: TmuxServer, tmp_path: Path) -> None:
    store = SnapshotStore(tmp_path / "state", lines=50, days=14, max_bytes=1 << 30)
    session(tmux_server, "work", "seq 1 200; printf end", "end", "-y", "10")
    kept = keep(store, tmux_server)
    assert (panes_of(kept)[0].lines, panes_of(kept)[0].cut) == (50, True)
    assert content(store, kept) == [*map(str, range(152, 201)), "end"]
    assert store.last_screen(kept.reap_id, "%0")[-1] == "end"


def test_what_waits_below_a_program_that_took_the_whole_screen(tmux_server: TmuxServer, store: SnapshotStore) -> None:
    session(tmux_server, "work", r"seq 1 40; printf '\033[?1049h\033[Heditor'", "editor", "-y", "10")
    kept = keep(store, tmux_server)
    assert content(store, kept) == [*map(str, range(1, 41)), "", "editor", *[""] * 9]
    assert store.last_screen(kept.reap_id, "%0") == ("editor", *[""] * 9)


def test_large_panes_go_in_many_batches(tmux_server: TmuxServer, store: SnapshotStore) -> None:
    tmux_server.new_session("warm")
    tmux_server.run("set-option", "-g", "history-limit", "5000")
    for name in ("one", "two", "three"):
        session(tmux_server, name, "seq -f 'this is line %g with some text to fill it' 1 4000; printf end", "end")
        tmux_server.run("split-window", "-d", "-t", f"{name}:", f"seq 1 4000; printf end; {FOREVER}")
    wait_until(lambda: all(screen(tmux_server, f"%{number}").rstrip().endswith("end") for number in range(1, 7)), 30)
    orders = orders_of(tmux_server)
    assert store.take(TmuxTerminal(tmux_server.path), [*orders.values()]) == {}
    for name in ("one", "two", "three"):
        kept = store.read(orders[name].reap_id)
        assert content(store, kept)[:4000] == [f"this is line {number} with some text to fill it" for number in range(1, 4001)]
        assert content(store, kept, 1)[3999:4001] == ["4000", "end"]


def test_a_secret_in_the_environment_is_in_no_file(
    tmux_server: TmuxServer, store: SnapshotStore, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I63."""
    secret = "hunter2-in-the-environment"
    monkeypatch.setenv("SECRET", secret)  # the server and its processes inherit it
    session_id = tmux_server.new_session("work", f"echo hello; {FOREVER}", "-e", f"TOKEN={secret}")
    tmux_server.run("set-environment", "-g", "OTHER", secret, ";", "set-environment", "-t", session_id, "THIRD", secret)
    pid = int(tmux_server.show(session_id, "#{pane_pid}"))
    wait_until(lambda: psutil.Process(pid).environ().get("TOKEN") == secret)
    kept = keep(store, tmux_server)
    files = [file for file in (directory / kept.reap_id).iterdir() if file.is_file()]
    assert len(files) == 2
    for file in files:
        data = file.read_bytes()
        assert secret.encode() not in (gzip.decompress(data) if file.suffix == ".gz" else data)


# What can't be had


def test_a_session_that_is_gone_costs_only_its_own(tmux_server: TmuxServer, store: SnapshotStore, directory: Path) -> None:
    tmux_server.new_sessions(["a", "b", "c"])
    orders = orders_of(tmux_server)
    tmux_server.run("kill-session", "-t", orders["b"].key.session_id)
    failures = store.take(TmuxTerminal(tmux_server.path), [*orders.values()])
    assert failures.keys() == {orders["b"].reap_id}
    assert "panes changed" in failures[orders["b"].reap_id]
    assert {path.name for path in directory.iterdir()} == {orders["a"].reap_id, orders["c"].reap_id}


CHANGES = {
    "the session is killed": ("kill-session", "-t", "$1"),
    "a pane is killed": ("kill-pane", "-t", "%1"),
    "a pane is split": ("split-window", "-d", "-t", "%1", FOREVER),
    "a window is new": ("new-window", "-d", "-t", "$1:", FOREVER),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_session_that_changes_between_the_list_and_the_capture(
    tmux_server: TmuxServer, store: SnapshotStore, directory: Path, front_tmux: FrontTmux, change: tuple[str, ...]
) -> None:
    tmux_server.new_sessions(["a", "b", "c"])
    tmux_server.run("split-window", "-d", "-t", "$1:", FOREVER)
    orders = orders_of(tmux_server)
    front_tmux.rules(Rule("source", skip=1, times=1, hold="before"))
    failures: dict[str, str] = {}
    taking = threading.Thread(
        target=lambda: failures.update(store.take(TmuxTerminal(tmux_server.path), [*orders.values()])), daemon=True
    )
    taking.start()
    wait_until(front_tmux.is_held)
    tmux_server.run(*change)
    front_tmux.release()
    taking.join(20)
    assert failures == {orders["b"].reap_id: "Its panes changed during the capture; the next sweep tries again."}
    assert {path.name for path in directory.iterdir()} == {orders["a"].reap_id, orders["c"].reap_id}


def test_the_number_of_a_session_in_another_server_is_another_session(
    tmux_servers: Callable[[], TmuxServer], store: SnapshotStore, directory: Path
) -> None:
    server = tmux_servers()
    server.new_session("work")
    (order,) = orders_of(server).values()
    server.kill()
    server.new_session("other")
    failures = store.take(TmuxTerminal(server.path), [order])
    assert "another session" in failures[order.reap_id]
    assert not any(directory.iterdir())


@pytest.mark.parametrize("key", [{"session_id": "$0:"}, {"session_id": "work"}, {"socket": "/elsewhere"}], ids=str)
def test_only_a_session_of_this_socket_enters_a_command(
    tmux_server: TmuxServer, store: SnapshotStore, front_tmux: FrontTmux, key: dict[str, str]
) -> None:
    tmux_server.new_session("work")
    (order,) = orders_of(tmux_server).values()
    before = len(front_tmux.calls())
    odd = SnapshotOrder(order.reap_id, order.key._replace(**key), "", "", 0, "", {})  # type: ignore[arg-type]
    assert store.take(TmuxTerminal(tmux_server.path), [odd]).keys() == {order.reap_id}
    assert len(front_tmux.calls()) == before


def test_a_stopped_server_fails_them_all_within_the_limit(
    tmux_server: TmuxServer, store: SnapshotStore, front_tmux: FrontTmux, directory: Path
) -> None:
    tmux_server.new_sessions([f"s{number}" for number in range(150)])
    orders = orders_of(tmux_server)
    before = len(front_tmux.calls())
    tmux_server.stop()
    failures = store.take(TmuxTerminal(tmux_server.path, limit=3), [*orders.values()])
    assert failures.keys() == {order.reap_id for order in orders.values()}
    assert all("did not answer within 3 s" in why for why in failures.values())
    assert len(front_tmux.calls()) == before + 1  # not once more for each of them
    assert not any(directory.iterdir())


FAULTS = {
    "exit code": Rule("source", skip=1, exit_code=1),
    "text beside the content": Rule("source", skip=1, stderr="access not allowed\n"),
    "signal": Rule("source", skip=1, signal_number=15),
    "nothing, exit code 0": Rule("source", skip=1, real=False, exit_code=0),
    "cut": Rule("source", skip=1, keep_bytes=200),
    "the last line cut": Rule("source", skip=1, keep_bytes=-1),
    "the last line missing": Rule("source", skip=1, keep_lines=-1),
    "a line more": Rule("source", skip=1, stdout="hello\n"),
    "the list is empty": Rule("source", real=False, exit_code=0),
    "the list is cut": Rule("source", keep_bytes=300),
}


@pytest.mark.parametrize("rule", FAULTS.values(), ids=FAULTS)
def test_a_tmux_that_errs(
    tmux_server: TmuxServer, store: SnapshotStore, front_tmux: FrontTmux, directory: Path, rule: dict[str, object]
) -> None:
    tmux_server.new_sessions(["a", "b"])
    orders = orders_of(tmux_server)
    front_tmux.rules(rule)
    failures = store.take(TmuxTerminal(tmux_server.path), [*orders.values()])
    assert failures.keys() == {order.reap_id for order in orders.values()}
    assert all(why.endswith(".") for why in failures.values())
    assert not any(directory.iterdir())


def test_no_server(tmux_server: TmuxServer, store: SnapshotStore) -> None:
    tmux_server.new_session("work")
    (order,) = orders_of(tmux_server).values()
    tmux_server.kill()
    assert "no server running" in store.take(TmuxTerminal(tmux_server.path), [order])[order.reap_id]


def test_whoever_stops_in_the_middle_leaves_nothing_open(tmux_server: TmuxServer, tmp_path: Path) -> None:
    tmux_server.new_sessions(["a", "b"])
    keys = [order.key for order in orders_of(tmux_server).values()]

    def parts(spool: Path) -> Iterator[object]:
        with spool.open("w+b", buffering=0) as file:
            yield from TmuxTerminal(tmux_server.path).capture(keys, lines=100, spool=file)

    generator = parts(tmp_path / "spool")
    next(generator)
    generator.close()  # type: ignore[attr-defined]
    assert [it.path for it in psutil.Process().open_files() if it.path == str(tmp_path / "spool")] == []
