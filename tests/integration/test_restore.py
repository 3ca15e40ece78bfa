"""Reap, then restore, on a real tmux: what was there is there again, and what could go wrong changes nothing (I59, I62)."""

from __future__ import annotations

import gzip
import json
import os
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.tools.front_tmux import FrontTmux, Rule
from tests.tools.reaped import all_text, look, reap, start
from tests.tools.tmux import TmuxServer
from tests.tools.waiting import wait_until
from tests.tools.world import World
from workspace_reaper.model.errors import CannotRestore, ReaperError, UnreadableSocket
from workspace_reaper.model.reap import Reap
from workspace_reaper.operations.restore import Restored, command_line, restore, undo
from workspace_reaper.tmux.pane_input import PaneInput

LINUX = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="it looks at another process through /proc")
HOSTILE = [
    "$(touch x)",
    "#(touch x)",
    "`touch x`",
    "a'b\"c",
    "%H",
    "#{session_id} #S",
    "##a#[fg=red]##[x]",
    "-t",
    "a;",
    "; touch x ;",
    "{}",
]


@pytest.fixture
def plain(world: World, tmp_path: Path) -> World:
    """A world whose panes start plain shells, beside a session that is none of our business."""
    world.server.new_session("beside")
    world.server.run("set-option", "-g", "default-shell", "/bin/sh")
    return world


def reaped(world: World, name: str, *, run: list[str] | None = None, directory: Path | None = None) -> Reap:
    """A session of one pane that is gone; ``run`` is what ran in it."""
    session_id = world.server.new_session(name, "echo was here; exec sleep 100000", "-c", str(directory or world.tmp))
    wait_until(lambda: "was here" in all_text(world.server, session_id))
    pane = world.server.show(session_id, "#{pane_id}")
    return reap(world, session_id, commands={pane: run} if run else None)


def bring_back(world: World, gone: Reap, **options: object) -> Restored:
    return restore(world.plugin.reaper(), gone, **options)  # type: ignore[arg-type]


def everything(world: World) -> object:
    """All that a restore that is refused must leave as it was."""
    sessions = world.server.run("list-sessions", "-F", "#{session_id} #{session_name} #{session_windows}", check=False)
    return sessions, sorted(path.name for path in world.state_dir.iterdir() if path.name.startswith("restoring"))


@contextmanager
def unchanged(world: World) -> Iterator[None]:
    before = everything(world)
    yield
    assert everything(world) == before


def prompts(world: World, restored: Restored) -> str:
    """The text of its panes, once a shell waits in each."""
    wait_until(
        lambda: (
            set(world.server.run("list-panes", "-s", "-t", restored.session_id, "-F", "#{pane_current_command}").split())
            <= {"sh", "dash", "bash"}
            and ", by workspace-reaper" in all_text(world.server, restored.session_id)
        )
    )
    return all_text(world.server, restored.session_id)


# what comes back


@pytest.mark.parametrize("windows", [[1], [3, 1], [7, 4, 1]], ids=["1 pane", "4 panes", "12 panes"])
def test_all_of_it_comes_back(plain: World, tmp_path: Path, windows: list[int]) -> None:
    server = plain.server
    session_id = start(server, "vk_session", tmp_path, windows)
    last = (len(windows) - 1) * 3
    server.run("select-window", "-t", f"{session_id}:{last}")
    server.run(
        "select-pane", "-t", f"{session_id}:{last}.0", ";", "resize-pane", "-t", f"{session_id}:0.0", "-x", "40", "-y", "9"
    )
    before = look(server, session_id)
    assert before.active == f"{last}.0"

    restored = bring_back(plain, reap(plain, session_id))
    prompts(plain, restored)
    after = look(server, restored.session_id)

    assert (after.windows, after.active, after.directories) == (before.windows, before.active, before.directories)
    for place, text in before.texts.items():
        assert after.texts[place][: len(text)] == text
        assert "last of" in "".join(char for char, _ in text[-1])
        below = "".join(char for line in after.texts[place][len(text) :] for char, _ in line)
        assert below.startswith("[as it was at ")
    assert (restored.session, restored.windows, restored.panes) == ("vk_session", len(windows), sum(windows))
    assert restored.notes == ()
    assert server.run("list-sessions", "-f", "#{==:#{session_name},beside}", "-F", "#{@reaper_keep}#{@reaper_restoring}") == ""
    assert server.show(restored.session_id, "#{@reaper_keep} #{@reaper_restoring}") == "1 "


def test_a_pane_whose_index_is_not_its_place_gets_its_place(plain: World, tmp_path: Path) -> None:
    server = plain.server
    session_id = start(server, "vk_a", tmp_path, [2, 1])
    # A full-size pane stands last in the layout, and second in the list.
    server.run("join-pane", "-d", "-f", "-h", "-s", f"{session_id}:3.0", "-t", f"{session_id}:0.0")
    restored_from = places(server, session_id)
    restored = bring_back(plain, reap(plain, session_id))
    prompts(plain, restored)
    assert places(server, restored.session_id) == restored_from


def places(server: TmuxServer, session_id: str) -> dict[str, str]:
    """Where each pane is, and the last line of the script that it shows."""
    rows = server.run("list-panes", "-t", session_id, "-F", "#{pane_left},#{pane_top} #{pane_width}x#{pane_height}\t#{pane_id}")
    panes = dict(row.split("\t") for row in rows.split("\n"))
    texts = {place: server.run("capture-pane", "-p", "-S", "-", "-t", pane) for place, pane in panes.items()}
    return {place: re.findall("last of [0-9]+", text)[0] for place, text in texts.items()}


def test_the_shell_below_works_and_is_the_one_that_tmux_starts(plain: World) -> None:
    gone = reaped(plain, "vk_a")
    plain.server.run("set-option", "-g", "default-command", "echo my 'own'; exec /bin/sh")
    restored = bring_back(plain, gone)
    text = prompts(plain, restored)
    assert text.index("was here") < text.index("by workspace-reaper") < text.index("my own")
    plain.server.run(
        "send-keys", "-t", f"{restored.session_id}:", "echo $((6 * 7)) $0 $SHELL $workspace_reaper_command.", "Enter"
    )
    wait_until(lambda: "42 /bin/sh /bin/sh ." in all_text(plain.server, restored.session_id))


def test_it_is_not_reaped_by_the_next_sweeps(world: World) -> None:
    world.server.new_session("beside")  # else the server ends with the session, and the next one is not known here
    workspace = world.workspace()
    session_id = world.session(workspace)
    gone = reap(world, session_id)
    world.host.delete(workspace)
    restored = bring_back(world, gone)
    for _ in range(3):
        report = world.sweep()
        assert world.entry(report, workspace).protected_by == "kept"
    assert world.lives(workspace)
    assert restored.session_id in world.server.session_ids()


def test_a_window_that_was_linked_twice_is_one_window_again(plain: World) -> None:
    session_id = plain.server.new_session("vk_a")
    plain.server.run("link-window", "-d", "-s", f"{session_id}:0", "-t", f"{session_id}:4")
    restored = bring_back(plain, reap(plain, session_id))
    rows = plain.server.run("list-windows", "-t", restored.session_id, "-F", "#{window_index} #{window_id}").split("\n")
    assert [row.split()[0] for row in rows] == ["0", "4"]
    assert len({row.split()[1] for row in rows}) == 1


def test_less_room_for_scrollback_is_said(plain: World, tmp_path: Path) -> None:
    gone = reap(plain, start(plain.server, "vk_a", tmp_path, [1]))
    plain.server.run("set-option", "-g", "history-limit", "3")
    restored = bring_back(plain, gone)
    assert "history-limit" in " ".join(restored.notes)
    assert "last of 1" in prompts(plain, restored)


def test_a_server_that_is_gone_is_started_and_that_is_said(plain: World) -> None:
    gone = reaped(plain, "vk_a")
    plain.server.kill()
    restored = bring_back(plain, gone)
    try:
        assert restored.started_server
        assert not bring_back(plain, gone, name="vk_b").started_server
    finally:
        os.kill(int(plain.server.show(restored.session_id, "#{pid}")), signal.SIGTERM)


# the old command


def test_the_old_command_is_shown_and_not_run(plain: World) -> None:
    made = plain.tmp / "made"
    gone = reaped(plain, "vk_a", run=["touch", str(made)])
    text = prompts(plain, bring_back(plain, gone))
    assert f"was running: touch {made}" in text.replace("\n", "")
    assert not made.exists()


@pytest.mark.parametrize(
    "words", [["touch", "made it;"], ["sh", "-c", 'touch "$1"', "sh", "$(touch x)"], ["touch", ";"], ["touch", "--", "#{pid}"]]
)
def test_run_runs_it_word_by_word_and_a_shell_remains(plain: World, words: list[str]) -> None:
    gone = reaped(plain, "vk_a", run=words)
    restored = bring_back(plain, gone, run=True)
    assert "runs again: " in prompts(plain, restored)
    wait_until((plain.tmp / words[-1]).exists)
    assert not (plain.tmp / "x").exists()


def test_run_runs_programs_only(plain: World) -> None:
    restored = bring_back(plain, reaped(plain, "vk_a", run=["eval", "touch x"]), run=True)
    prompts(plain, restored)
    plain.server.run("send-keys", "-t", f"{restored.session_id}:", "echo still $((1 + 1))", "Enter")
    wait_until(lambda: "still 2" in all_text(plain.server, restored.session_id))
    assert not (plain.tmp / "x").exists()


def test_ctrl_c_ends_the_command_and_leaves_the_shell(plain: World) -> None:
    restored = bring_back(plain, reaped(plain, "vk_a", run=["sleep", "100000"]), run=True)
    target = f"{restored.session_id}:"

    def current() -> str:
        return plain.server.run("display-message", "-p", "-t", target, "#{pane_current_command}")

    wait_until(lambda: "runs again: sleep" in all_text(plain.server, restored.session_id))
    pid = int(plain.server.show(restored.session_id, "#{pane_pid}"))
    wait_until(lambda: any(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()) if Path("/proc").exists() else True)
    plain.server.run("send-keys", "-t", target, "C-c")
    plain.server.run("send-keys", "-t", target, "echo still $((1 + 1))", "Enter")
    wait_until(lambda: "still 2" in all_text(plain.server, restored.session_id))
    assert current() in {"sh", "dash", "bash"}


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ((), ()),
        (("-bash",), ()),
        (("/usr/bin/zsh", "-l", "--login"), ()),
        (("bash", "-c", "make"), ("bash", "-c", "make")),
        (("-bash", "script"), ("bash", "script")),
        (("npm run dev", "", ""), ("npm", "run", "dev")),
        (("a $(touch x)",), ("a", "$(touch", "x)")),
        (("  ",), ()),
        (("vi", "a file"), ("vi", "a file")),
    ],
)
def test_what_ran(argv: tuple[str, ...], words: tuple[str, ...]) -> None:
    assert command_line(argv) == words


# refusals


def test_a_name_that_is_taken_is_refused_and_a_similar_one_is_not(plain: World) -> None:
    gone = reaped(plain, "vk_a")
    for name in ("vk_ab", "vk_", "vk_*", "other"):
        plain.server.new_session(name)
    assert bring_back(plain, gone).session == "vk_a"
    last = int(plain.server.new_session("last")[1:])
    for name in (None, "vk_ab", "vk_*"):
        with unchanged(plain), pytest.raises(CannotRestore, match="--as"):
            bring_back(plain, gone, name=name)
    assert plain.server.new_session("next") == f"${last + 1}", "nothing was even begun"
    assert bring_back(plain, gone, name="vk_c").session == "vk_c"


def test_a_name_that_is_taken_meanwhile_is_refused_by_tmux(plain: World, front_tmux: FrontTmux) -> None:
    gone = reaped(plain, "vk_a")
    plain.server.new_session("vk_a")
    front_tmux.rules(Rule("list-sessions", drop=["vk_a"]))
    with unchanged(plain), pytest.raises(CannotRestore, match="a session with that name already exists"):
        bring_back(plain, gone)


def test_a_directory_that_is_gone_is_named_and_force_falls_back_to_home(plain: World, monkeypatch: pytest.MonkeyPatch) -> None:
    home = plain.tmp / "home"
    place = plain.tmp / "place"
    for directory in (home, place):
        directory.mkdir()
    monkeypatch.setenv("HOME", str(home))
    gone = reaped(plain, "vk_a", directory=place)
    place.rmdir()
    with unchanged(plain), pytest.raises(CannotRestore, match=str(place)):
        bring_back(plain, gone)
    restored = bring_back(plain, gone, force=True)
    assert str(place) in " ".join(restored.notes)
    assert plain.server.show(restored.session_id, "#{pane_current_path}") == str(home)


def test_a_socket_that_cannot_be_read_is_no_absent_server(plain: World, front_tmux: FrontTmux) -> None:
    gone = reaped(plain, "vk_a")
    front_tmux.rules(Rule("list-sessions", stderr="lost server\n", exit_code=1))
    with pytest.raises(UnreadableSocket):
        bring_back(plain, gone)
    front_tmux.rules()
    assert everything(plain) == (
        plain.server.run("list-sessions", "-F", "#{session_id} #{session_name} #{session_windows}"),
        [],
    )
    assert not any("new-session" in call for call in front_tmux.calls())


def test_without_a_snapshot_the_reason_is_said(plain: World) -> None:
    gone = reaped(plain, "vk_a")
    plain.plugin.reaper().snapshots.discard([gone.intent.reap_id])
    with unchanged(plain), pytest.raises(CannotRestore, match="snapshot_days"):
        bring_back(plain, gone)
    with pytest.raises(ReaperError, match="no reaped session can be restored"):
        undo(plain.plugin.reaper())


def test_undo_takes_the_last_one_that_can_be_brought_back(plain: World) -> None:
    for name in ("vk_a", "vk_b", "vk_c"):
        gone = reaped(plain, name)
    plain.plugin.reaper().snapshots.discard([gone.intent.reap_id])
    assert undo(plain.plugin.reaper()).session == "vk_b"


# hostile names


def test_hostile_names_are_inert(plain: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the names of a session, of its window, and of the directory of its pane, each made without tmux's help."""
    monkeypatch.chdir(plain.tmp)
    for name in HOSTILE:
        place = plain.tmp / name
        place.mkdir()
        monkeypatch.chdir(place)  # tmux starts a session where its client is
        session_id = plain.server.new_session("vk_a", "exec sleep 100000")
        monkeypatch.chdir(plain.tmp)
        plain.server.run("set-option", "-t", session_id, "@name", name.replace(";", "x"))
        plain.server.run("rename-window", "-t", session_id, "#{@name}")
        here = f"{place}\n{name.replace(';', 'x')}"
        wait_until(lambda i=session_id, h=here: plain.server.show(i, "#{pane_current_path}\n#{window_name}") == h)
        restored = bring_back(plain, reap(plain, session_id), name=name)
        assert restored.session == name
        assert plain.server.show(restored.session_id, "#{session_name}") == name
        wait_until(lambda r=restored, h=here: plain.server.show(r.session_id, "#{pane_current_path}\n#{window_name}") == h)
        prompts(plain, restored)
    assert not list(plain.tmp.rglob("x"))


@LINUX
@pytest.mark.parametrize("name", ["new\nline", "tab\there", "dänger → 💥"])
def test_a_hostile_directory_is_inert(plain: World, name: str) -> None:
    place = plain.tmp / name
    place.mkdir()
    gone = reaped(plain, "vk_a", directory=place)
    restored = bring_back(plain, gone)
    pid = int(plain.server.show(restored.session_id, "#{pane_pid}"))
    assert Path(f"/proc/{pid}/cwd").readlink() == place


def test_a_name_that_tmux_rewrites_is_told(plain: World) -> None:
    restored = bring_back(plain, reaped(plain, "vk_a"), name="a\\b")
    assert restored.session == "a\\\\b"
    assert "a\\\\b" in restored.notes[0]


# half-way


@pytest.mark.parametrize("command", ["new-session", "split-window", "new-window", "rename-session", "display-message"])
def test_what_fails_half_way_is_removed_and_nothing_else(plain: World, front_tmux: FrontTmux, command: str) -> None:
    session_id = plain.server.new_session("vk_a")
    plain.server.run("split-window", "-t", session_id, ";", "new-window", "-t", f"{session_id}:")
    gone = reap(plain, session_id)
    skip = 1 if command == "display-message" else 0  # the listing has one too
    front_tmux.rules(Rule(command, skip=skip, stderr="no space for new pane\n", exit_code=1))
    with unchanged(plain), pytest.raises(CannotRestore, match="no space"):
        bring_back(plain, gone)


def test_what_fails_half_way_is_removed_from_a_server_that_is_slow(plain: World, front_tmux: FrontTmux) -> None:
    """The first listing alone takes longer than the search for a session that may not be there yet."""
    gone = reaped(plain, "vk_a")
    front_tmux.rules(Rule("rename-session", stderr="no\n", exit_code=1), Rule("list-sessions", delay=1.2))
    with unchanged(plain), pytest.raises(CannotRestore) as raised:
        bring_back(plain, gone)
    assert "could not be removed" not in str(raised.value)


def test_a_server_that_was_started_for_it_is_gone_with_it(plain: World, front_tmux: FrontTmux) -> None:
    gone = reaped(plain, "vk_a")
    plain.server.kill()
    front_tmux.rules(Rule("rename-session", stderr="no\n", exit_code=1))
    with pytest.raises(CannotRestore) as raised:
        bring_back(plain, gone)
    assert "could not be removed" not in str(raised.value)
    assert plain.server.run("list-sessions", check=False) == ""


def test_a_damaged_scrollback_is_found_half_way(plain: World, tmp_path: Path) -> None:
    gone = reap(plain, start(plain.server, "vk_a", tmp_path, [2]))
    pane = max((plain.state_dir / "snapshots" / gone.intent.reap_id).glob("pane-*.gz"))
    pane.write_bytes(pane.read_bytes()[:-20])
    with unchanged(plain), pytest.raises(ReaperError, match="cannot be read"):
        bring_back(plain, gone)


def test_a_pane_that_does_not_start_or_read_or_live_is_noticed(short_tmp: Path) -> None:
    text = ["x" * 1000] * 1000
    with PaneInput(short_tmp, patience=0.2) as feeds:
        words = {pane: feeds.starter(pane, ()) for pane in ("never", "stuck", "dead")}
        with pytest.raises(CannotRestore, match="did not start"):
            feeds.write("never", "", text)
        stuck, dead = (
            subprocess.Popen(words[pane], stdout=subprocess.PIPE, start_new_session=True) for pane in ("stuck", "dead")
        )
        try:
            with pytest.raises(CannotRestore, match="did not read"):
                feeds.write("stuck", "", text)  # nobody reads what it prints
            wait_until(lambda: not Path(words["dead"][4]).exists())
            os.killpg(dead.pid, signal.SIGKILL)
            dead.communicate(timeout=10)
            with pytest.raises(CannotRestore, match="ended"):
                feeds.write("dead", "", text)
        finally:
            os.killpg(stuck.pid, signal.SIGKILL)
            stuck.communicate(timeout=10)


@pytest.mark.race
@pytest.mark.parametrize("moment", ["before new-session", "after new-session", "after split-window", "after rename-session"])
def test_an_interrupt_removes_what_was_built(plain: World, tmp_path: Path, front_tmux: FrontTmux, moment: str) -> None:
    made = tmp_path / "made"
    session_id = plain.server.new_session("vk_a")
    plain.server.run("split-window", "-t", session_id)
    panes = plain.server.run("list-panes", "-t", session_id, "-F", "#{pane_id}").split()
    gone = reap(plain, session_id, commands={pane: ["touch", str(made)] for pane in panes})
    with unchanged(plain):
        code, err = interrupted(plain, front_tmux, gone, moment, signal.SIGINT)
        wait_until(lambda: "vk_a" not in plain.server.run("list-sessions"))
    assert code != 0
    assert "Traceback" not in err
    assert not made.exists()


def test_after_a_kill_of_ours_no_command_runs_and_the_panes_are_shells(
    plain: World, tmp_path: Path, front_tmux: FrontTmux
) -> None:
    made = tmp_path / "made"
    gone = reaped(plain, "vk_a", run=["touch", str(made)])
    interrupted(plain, front_tmux, gone, "before rename-session", signal.SIGKILL)
    front_tmux.rules()
    [session_id] = [
        row.split()[0]
        for row in plain.server.run("list-sessions").replace(":", " ").split("\n")
        if row.startswith("reaper-restoring")
    ]
    wait_until(lambda: "the restore was interrupted" in all_text(plain.server, f"{session_id}:"))
    plain.server.run("send-keys", "-t", f"{session_id}:", "echo still $((1 + 1))", "Enter")
    wait_until(lambda: "still 2" in all_text(plain.server, f"{session_id}:"))
    assert not made.exists()
    assert plain.server.show(session_id, "#{@reaper_keep}") == "1"


def interrupted(world: World, front: FrontTmux, gone: Reap, moment: str, number: signal.Signals) -> tuple[int, str]:
    """``restore --run`` as a process, ended by that signal while it waits for this command of tmux."""
    when, command = moment.split()
    front.rules(Rule(command, hold=when))
    program = [sys.executable, "-c", "from workspace_reaper.cli import main; main()", "--config", str(world.write_config())]
    process = subprocess.Popen(
        [*program, "restore", gone.intent.reap_id, "--run"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        env=world.environment(PATH=front.environment()["PATH"]),
    )
    wait_until(front.is_held, 60)
    process.send_signal(number)
    _, err = process.communicate(timeout=20)
    return process.returncode, err


# privacy


def test_the_pipes_are_private_whatever_the_umask(short_tmp: Path) -> None:
    before = os.umask(0)
    try:
        with PaneInput(short_tmp) as feeds:
            words = feeds.starter("%1", ())
            [place] = short_tmp.iterdir()
            assert stat.S_IMODE(place.stat().st_mode) == 0o700
            assert stat.S_IMODE(Path(words[4]).stat().st_mode) == 0o600
            assert stat.S_ISFIFO(Path(words[4]).stat().st_mode)
        assert not list(short_tmp.iterdir())
    finally:
        os.umask(before)


@LINUX
def test_no_file_and_no_environment_holds_the_scrollback(plain: World, tmp_path: Path) -> None:
    """Of a restored pane the shell's environment and command line are read, and what lies in the state directory."""
    gone = reaped(plain, "vk_a")
    restored = bring_back(plain, gone)
    prompts(plain, restored)
    pid = int(plain.server.show(restored.session_id, "#{pane_pid}"))
    assert b"was here" not in Path(f"/proc/{pid}/environ").read_bytes() + Path(f"/proc/{pid}/cmdline").read_bytes()
    kept = [path for path in plain.state_dir.rglob("*") if path.is_file() and b"was here" in path.read_bytes()]
    assert kept == []
    assert any(b"was here" in gzip.decompress(path.read_bytes()) for path in plain.state_dir.rglob("pane-*.gz"))
    assert json.dumps(everything(plain))
