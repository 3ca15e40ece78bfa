"""Snapshots on the disk: private, whole or not there, and gone in time."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
from ulid import ULID

from tests.tools.front_tmux import FrontTmux, Rule
from tests.tools.tmux import TmuxServer
from tests.tools.waiting import wait_until
from workspace_reaper.model.errors import SnapshotError
from workspace_reaper.model.session import Listing
from workspace_reaper.model.snapshot import SessionSnapshot, SnapshotOrder
from workspace_reaper.snapshots.store import SnapshotStore
from workspace_reaper.tmux.terminal import TmuxTerminal

pytestmark = pytest.mark.once

NOW = 1_790_000_000.0
DAY = 86_400


def make_store(state: Path, *, days: int = 14, max_bytes: int = 1 << 30) -> SnapshotStore:
    return SnapshotStore(state, lines=1000, days=days, max_bytes=max_bytes)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def orders(tmux_server: TmuxServer) -> list[SnapshotOrder]:
    """Two sessions."""
    tmux_server.new_sessions(["a", "b"])
    listing = TmuxTerminal(tmux_server.path).observe("ab")
    assert isinstance(listing, Listing)
    return [SnapshotOrder(str(ULID()), it.key, it.name, "w", it.activity, it.version, {}) for it in listing.sessions]


@pytest.fixture
def terminal(tmux_server: TmuxServer) -> TmuxTerminal:
    return TmuxTerminal(tmux_server.path)


@pytest.fixture
def kept(state: Path, terminal: TmuxTerminal, orders: list[SnapshotOrder]) -> SessionSnapshot:
    """One snapshot."""
    assert make_store(state).take(terminal, orders[:1]) == {}
    return make_store(state).read(orders[0].reap_id)


def modes(paths: Iterable[Path]) -> set[str]:
    return {f"{path.stat().st_mode & 0o7777:04o}" for path in paths}


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o277])
def test_all_of_it_is_private_whatever_the_umask(
    state: Path, tmux_server: TmuxServer, orders: list[SnapshotOrder], front_tmux: FrontTmux, umask: int
) -> None:
    """Also while it is written: what runs instead of tmux looks at what is there."""
    seen = state.parent / "seen"
    front_tmux.bin.joinpath("tmux").write_text(
        f"#!/bin/sh\nfind {state} -printf '%M %y %f\\n' >> {seen}\nexec {tmux_server.tmux} \"$@\"\n"
    )
    before = os.umask(umask)
    try:
        assert make_store(state).take(TmuxTerminal(tmux_server.path), orders) == {}
    finally:
        os.umask(before)
    paths = [state, *state.rglob("*")]
    assert modes(path for path in paths if path.is_dir()) == {"0700"}
    assert modes(path for path in paths if path.is_file()) == {"0600"}
    assert len(paths) == 2 + 2 * 3
    rows = [line.split()[:2] for line in seen.read_text().splitlines()]
    assert {mode for mode, kind in rows if kind == "d"} == {"drwx------"}
    assert {mode for mode, kind in rows if kind == "f"} == {"-rw-------"}


def test_a_directory_that_others_can_read_is_closed(state: Path, terminal: TmuxTerminal, orders: list[SnapshotOrder]) -> None:
    (state / "snapshots").mkdir(parents=True)
    (state / "snapshots").chmod(0o755)
    assert make_store(state).take(terminal, orders) == {}
    assert modes([state / "snapshots"]) == {"0700"}


@pytest.mark.parametrize(
    "odd",
    ["", ".", "..", "../../x", "01J", "01ARZ3NDEKTSV4RRFFQ69G5FAU", "81ARZ3NDEKTSV4RRFFQ69G5FAV", "01arz3ndektsv4rrffq69g5fav"],
)
def test_only_a_ulid_becomes_a_directory(state: Path, terminal: TmuxTerminal, orders: list[SnapshotOrder], odd: str) -> None:
    store = make_store(state)
    store.prune(NOW, ())
    order = orders[0]
    bad = SnapshotOrder(odd, order.key, order.session, "w", 0, "", {})
    assert ["not a reap id" in why for why in store.take(terminal, [bad, orders[1]]).values()] == [True]
    assert [path.name for path in (state / "snapshots").iterdir()] == [orders[1].reap_id]
    assert not store.has(odd)
    store.discard([odd])
    with pytest.raises(SnapshotError):
        store.read(odd)
    with pytest.raises(SnapshotError):
        list(store.scrollback(odd, "%0"))
    assert store.has(orders[1].reap_id)


def test_a_second_snapshot_of_the_same_reap_takes_the_place_of_the_first(
    state: Path, terminal: TmuxTerminal, kept: SessionSnapshot, orders: list[SnapshotOrder]
) -> None:
    assert make_store(state).take(terminal, orders[:1]) == {}
    assert make_store(state).read(kept.reap_id).taken_at > kept.taken_at
    assert [path.name for path in (state / "snapshots").iterdir()] == [kept.reap_id]


# What can't be written


def test_a_file_in_the_place_of_the_directory(state: Path, terminal: TmuxTerminal, orders: list[SnapshotOrder]) -> None:
    state.mkdir()
    (state / "snapshots").write_text("mine")
    failures = make_store(state).take(terminal, orders)
    assert failures.keys() == {order.reap_id for order in orders}
    assert all(str(state / "snapshots") in why and "move away" in why for why in failures.values())
    assert (state / "snapshots").read_text() == "mine"


def test_a_link_in_the_place_of_the_directory(state: Path, terminal: TmuxTerminal, orders: list[SnapshotOrder]) -> None:
    elsewhere = state.parent / "elsewhere"
    (elsewhere / orders[0].reap_id).mkdir(parents=True)
    state.mkdir()
    (state / "snapshots").symlink_to(elsewhere)
    store = make_store(state, days=1)
    assert store.take(terminal, orders).keys() == {order.reap_id for order in orders}
    store.prune(NOW * 2, ())
    store.discard([orders[0].reap_id])
    assert [path.name for path in elsewhere.iterdir()] == [orders[0].reap_id]


MOUNTED = """
import json, os, subprocess, sys
from pathlib import Path
from workspace_reaper.model.session import Listing
from workspace_reaper.model.snapshot import SnapshotOrder
from workspace_reaper.snapshots.store import SnapshotStore
from workspace_reaper.tmux.terminal import TmuxTerminal

state, socket, options, leave = Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", state], check=True)
if leave:
    free = os.statvfs(state)
    (state / "ballast").write_bytes(b"x" * (free.f_bavail * free.f_bsize - leave))
if options:
    subprocess.run(["mount", "-o", "remount," + options, state], check=True)
terminal = TmuxTerminal(socket)
listing = terminal.observe("ab")
names = ["01ARZ3NDEKTSV4RRFFQ69G5FA%s" % letter for letter in "ABCDEFGH"]
orders = [SnapshotOrder(name, it.key, it.name, "w", it.activity, it.version, {}) for name, it in zip(names, listing.sessions)]
store = SnapshotStore(state, lines=10000, days=14, max_bytes=1 << 30)
failures = store.take(terminal, orders)
root = state / "snapshots"
there = sorted(path.name for path in root.iterdir()) if root.exists() else []
whole = [name for name in there if [*store.scrollback(store.read(name).reap_id, store.read(name).windows[0].panes[0].pane_id)]]
print(json.dumps([{order.session: failures.get(order.reap_id) for order in orders}, there, whole]))
"""


def take_on_a_mount(
    state: Path, server: TmuxServer, options: str, leave: int
) -> tuple[dict[str, str | None], list[str], list[str]]:
    """Take all sessions onto a file system of its own, seen by nobody else; the failures by session, what is there, and which
    of it can be read."""
    if os.geteuid() != 0 or subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode:
        pytest.skip("needs root, and a mount namespace of its own")
    state.mkdir()
    command = ["unshare", "-m", sys.executable, "-c", MOUNTED, str(state), server.path, options, str(leave)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    failures, there, whole = json.loads(done.stdout)
    return failures, there, whole


@pytest.mark.parametrize("leave", [1, 20_000, 60_000, 400_000])
def test_a_full_disk(state: Path, tmux_server: TmuxServer, leave: int) -> None:
    tmux_server.new_session("warm")
    tmux_server.run("set-option", "-g", "history-limit", "5000")
    command = "head -c 200000 /dev/urandom | base64 -w 79; printf end; exec sleep 100000"
    tmux_server.new_sessions(["large", "larger"], command)
    wait_until(lambda: tmux_server.run("list-panes", "-a", "-F", "#{?#{e|>:#{history_size},3300},y,n}").count("y") == 2)
    failures, there, whole = take_on_a_mount(state, tmux_server, "", leave)
    for session in ("large", "larger"):
        assert "free some space" in str(failures[session])
        assert str(state) in str(failures[session])
    assert there == whole
    assert len(there) == sum(why is None for why in failures.values())


def test_a_read_only_disk(state: Path, tmux_server: TmuxServer) -> None:
    tmux_server.new_sessions(["a", "b"])
    failures, there, _ = take_on_a_mount(state, tmux_server, "ro", 0)
    assert all("file system writable" in str(why) for why in failures.values())
    assert there == []


# A crash

CRASH = """
import sys
from pathlib import Path
from workspace_reaper.model.snapshot import SnapshotOrder
from workspace_reaper.snapshots.store import SnapshotStore
from workspace_reaper.tmux.terminal import TmuxTerminal

terminal = TmuxTerminal(sys.argv[2])
orders = [
    SnapshotOrder(f"01ARZ3NDEKTSV4RRFFQ69G5F{number:02d}", it.key, it.name, "w", it.activity, it.version, {})
    for number, it in enumerate(terminal.observe("ab").sessions)
]
SnapshotStore(Path(sys.argv[1]), lines=1000, days=14, max_bytes=1 << 30).take(terminal, orders)
"""


def test_what_a_killed_process_left_is_swept_away_and_what_a_living_one_writes_is_not(
    state: Path, tmux_server: TmuxServer, front_tmux: FrontTmux, orders: list[SnapshotOrder]
) -> None:
    front_tmux.rules(Rule("source", skip=1, times=1, hold="before"))
    process = subprocess.Popen([sys.executable, "-c", CRASH, str(state), tmux_server.path], env=front_tmux.environment())
    wait_until(front_tmux.is_held)
    root = state / "snapshots"
    assert [path.name.startswith(".work-") for path in root.iterdir()] == [True]
    assert make_store(state).prune(NOW, ()) == 0
    assert len(list(root.iterdir())) == 1
    process.send_signal(signal.SIGKILL)
    process.wait()
    front_tmux.release()
    assert make_store(state).prune(NOW, ()) == 0
    assert list(root.iterdir()) == []


STEPS = """
import os, sys
left = int(sys.argv[3])
calls = "open", "os.mkdir", "os.chmod", "os.rename", "os.rmdir", "os.remove", "os.scandir"
def hook(event, arguments):
    global left
    if event in calls and sys.argv[1] in str(arguments):
        left -= 1
        if left < 0:
            os.kill(os.getpid(), 9)
sys.addaudithook(hook)
"""
"""The process is killed before the given one of its calls to the system that are about our directory."""


@pytest.mark.race
def test_at_no_time_is_a_name_there_without_all_of_its_content(state: Path, tmux_server: TmuxServer) -> None:
    tmux_server.new_sessions(["a", "b"])
    ends = []
    for number in range(0, 60, 4):
        place = state / str(number)
        command = [sys.executable, "-c", STEPS + CRASH, str(place), tmux_server.path, str(number)]
        ends.append(subprocess.run(command, timeout=30).returncode)
        store = make_store(place)
        store.prune(NOW, ["01ARZ3NDEKTSV4RRFFQ69G5F00", "01ARZ3NDEKTSV4RRFFQ69G5F01"])
        root = place / "snapshots"
        for path in root.iterdir() if root.exists() else ():
            (pane,) = store.read(path.name).windows[0].panes
            assert len(list(store.scrollback(path.name, pane.pane_id))) == pane.lines
        if ends[-1] == 0:
            break
    assert ends[-1] == 0
    assert set(ends[:-1]) == {-signal.SIGKILL}


@pytest.mark.race
def test_at_no_time_is_a_name_there_that_has_lost_some_of_its_content(state: Path) -> None:
    script = """
from pathlib import Path
from workspace_reaper.snapshots.store import SnapshotStore
SnapshotStore(Path(sys.argv[1]), lines=1, days=1, max_bytes=1).discard([sys.argv[2]])
"""
    for number in range(20):
        place = state / str(number)
        reap_id = put(place, 1)
        command = [sys.executable, "-c", STEPS + script, str(place), reap_id, str(number)]
        ended = subprocess.run(command, timeout=30).returncode
        assert [len(list(path.iterdir())) for path in (place / "snapshots").glob(reap_id)] in ([2], [])
        if not ended:
            break
    assert number > 3
    assert not ended
    assert left(place) == set()


# Reading


def damage(path: Path, how: str) -> None:
    if how == "missing":
        path.unlink()
    elif how == "cut":
        path.write_bytes(path.read_bytes()[:-9])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "another file":
        path.write_bytes(b'{"hello": 1}')
    elif how == "link":
        path.rename(path.with_name("real"))
        path.symlink_to("real")
    elif how == "pipe":
        path.unlink()
        os.mkfifo(path)
    else:
        path.unlink()
        path.mkdir()


@pytest.mark.parametrize("how", ["missing", "cut", "empty", "another file", "link", "pipe", "directory"])
def test_a_damaged_file_is_said_to_be_damaged(state: Path, kept: SessionSnapshot, how: str) -> None:
    store = make_store(state)
    directory = state / "snapshots" / kept.reap_id
    damage(directory / "pane-0.gz", how)
    with pytest.raises(SnapshotError, match=r"pane-0\.gz cannot be read: .*\."):
        list(store.scrollback(kept.reap_id, "%0"))
    with pytest.raises(SnapshotError, match=r"pane-0\.gz"):
        store.last_screen(kept.reap_id, "%0")
    assert store.read(kept.reap_id) == kept
    damage(directory / "session.json", how)
    with pytest.raises(SnapshotError, match=r"session\.json cannot be read: .*\."):
        store.read(kept.reap_id)


@pytest.mark.parametrize(
    "change",
    [
        {"reap_id": "01ARZ3NDEKTSV4RRFFQ69G5FAV"},
        {"windows": None},
        {"windows": [{}]},
        {"width": "80"},
        {"width": True},
        {"taken_at": None},
        {"key": {"socket": "/s"}},
        {"session": 1},
    ],
    ids=str,
)
def test_a_field_of_the_wrong_kind(state: Path, kept: SessionSnapshot, change: dict[str, object]) -> None:
    file = state / "snapshots" / kept.reap_id / "session.json"
    document = json.loads(file.read_text())
    document["session"] |= {"later": "version"}
    file.write_text(json.dumps(document))
    assert make_store(state).read(kept.reap_id) == kept
    document["session"] |= change
    file.write_text(json.dumps(document))
    with pytest.raises(SnapshotError):
        make_store(state).read(kept.reap_id)


@pytest.mark.parametrize(
    "text", ["[]", "null", "{}", '{"format": 2, "session": {}}', '{"format": true}', "\xff", "[" * 100_000]
)
def test_another_document(state: Path, kept: SessionSnapshot, text: str) -> None:
    (state / "snapshots" / kept.reap_id / "session.json").write_text(text, encoding="latin-1")
    with pytest.raises(SnapshotError):
        make_store(state).read(kept.reap_id)


@pytest.mark.parametrize("pane_id", ["%1", "0", "../x", "%", "%0\n"])
def test_no_such_pane(state: Path, kept: SessionSnapshot, pane_id: str) -> None:
    with pytest.raises(SnapshotError):
        list(make_store(state).scrollback(kept.reap_id, pane_id))
    with pytest.raises(SnapshotError):
        make_store(state).last_screen(kept.reap_id, pane_id)


def test_nothing_is_kept(state: Path) -> None:
    store, reap_id = make_store(state), str(ULID())
    assert not store.has(reap_id)
    with pytest.raises(SnapshotError, match="has no snapshot"):
        store.read(reap_id)
    store.discard([reap_id])
    assert store.prune(NOW, ()) == 0
    assert not state.exists()


# How long they stay


def put(state: Path, age_days: float, size: int = 1000) -> str:
    """A directory as a snapshot of that age."""
    reap_id = str(ULID.from_timestamp(NOW - age_days * DAY))
    directory = state / "snapshots" / reap_id
    directory.mkdir(parents=True)
    (directory / "session.json").write_bytes(b"x" * (size - 300))
    (directory / "pane-0.gz").write_bytes(b"x" * 300)
    return reap_id


def left(state: Path) -> set[str]:
    return {path.name for path in (state / "snapshots").iterdir()}


def test_the_old_go(state: Path) -> None:
    old, young, spared = put(state, 14.01), put(state, 13.99), put(state, 30)
    assert make_store(state).prune(NOW, [spared]) == 1
    assert left(state) == {young, spared}
    assert old not in left(state)


def test_above_the_limit_the_oldest_go_first(state: Path) -> None:
    ages = {age: put(state, age) for age in (1, 5, 3, 2, 4)}
    assert make_store(state, max_bytes=2999).prune(NOW, ()) == 3
    assert left(state) == {ages[1], ages[2]}
    assert make_store(state, max_bytes=2000).prune(NOW, ()) == 0
    assert make_store(state, max_bytes=1).prune(NOW, [ages[2]]) == 1
    assert left(state) == {ages[2]}


def test_nothing_else_is_ever_touched(state: Path) -> None:
    put(state, 1)
    root = state / "snapshots"
    elsewhere = state.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "file").write_text("precious")
    link = str(ULID.from_timestamp(NOW - 90 * DAY))
    (root / link).symlink_to(elsewhere)
    inside = put(state, 80)
    (root / inside / "link").symlink_to(elsewhere)
    (root / ".work-abcdefgh").symlink_to(elsewhere)
    plain = str(ULID.from_timestamp(NOW - 70 * DAY))
    (root / plain).write_text("a file")
    names = {"notes", plain.lower(), f"{plain}X", ".work", ".git"}
    for name in names:
        (root / name).mkdir()
    assert make_store(state, days=30).prune(NOW, ()) == 1
    assert names | {link, plain, ".work-abcdefgh"} < left(state)
    assert inside not in left(state)
    make_store(state).discard([link, plain])
    assert {link, plain} < left(state)
    assert (elsewhere / "file").read_text() == "precious"


def test_discarding(state: Path, terminal: TmuxTerminal, orders: list[SnapshotOrder]) -> None:
    store = make_store(state)
    assert store.take(terminal, orders) == {}
    store.discard([orders[0].reap_id, str(ULID())])
    assert not store.has(orders[0].reap_id)
    assert left(state) == {orders[1].reap_id}


def test_a_workplace_that_somebody_holds_stays(state: Path) -> None:
    put(state, 1)
    work = state / "snapshots" / ".work-abcdefgh"
    (work / "half").mkdir(parents=True)
    descriptor = os.open(work, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        make_store(state).prune(NOW, ())
        assert (work / "half").exists()
    finally:
        os.close(descriptor)
    make_store(state).prune(NOW, ())
    assert not work.exists()


def make_immutable(directory: Path, immutable: bool) -> None:
    """As ``chattr +i`` or ``-i``, where the file system and the user permit it. A minimal Debian has no chattr."""
    get_flags, set_flags, immutable_flag = 0x80086601, 0x40086602, 0x10  # linux/fs.h, on 64-bit machines
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            flags = bytearray(8)
            fcntl.ioctl(descriptor, get_flags, flags)
            value = int.from_bytes(flags[:4], sys.byteorder) & ~immutable_flag | (immutable_flag if immutable else 0)
            fcntl.ioctl(descriptor, set_flags, value.to_bytes(4, sys.byteorder) + bytes(4))
    finally:
        os.close(descriptor)


def test_what_can_not_be_removed_is_said(state: Path, caplog: pytest.LogCaptureFixture) -> None:
    put(state, 20)
    root = state / "snapshots"
    (root / ".work-abcdefgh").mkdir()
    make_immutable(root, True)
    try:
        removed = make_store(state).prune(NOW, ())
    finally:
        make_immutable(root, False)
    if removed:
        pytest.skip("this file system, or this user, can't make a directory immutable")
    assert "cannot remove" in caplog.text
