"""The whole verdict table through the command, as a service manager would run it: almost no environment, no locale, and
everything else (configuration, database, sockets, state) found where the host and the user have it."""

from __future__ import annotations

import json
import os
import subprocess
import sysconfig
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.tools.hosts import VibeKanbanHost
from tests.tools.tmux import TmuxServer
from tests.tools.waiting import wait_until

BUSY = "while :; do echo working; sleep 0.2; done"
GRACE, IDLE = 6, 7


@dataclass(frozen=True)
class Verdict:
    """What the command says of a session."""

    verdict: str
    reason: str | None = None
    protected_by: str | None = None
    outcome: str = "none"


KEEP = Verdict("keep")


def reaped(reason: str) -> Verdict:
    return Verdict("reap", reason, None, "reaped")


def held(reason: str, by: str) -> Verdict:
    return Verdict("hold", reason, by)


@dataclass(frozen=True)
class Row:
    """A session, what its workspace is in the end, and what must become of it. ``of`` names the row whose workspace it
    shares; ``runs`` are the reasons of its running processes."""

    home: str
    becomes: Verdict
    of: str | None = None
    archived: bool = False
    pinned: bool = False
    worktree_deleted: bool = False
    deleted: bool = False
    never_known: bool = False
    runs: tuple[str, ...] = ()
    command: str = "exec sleep 100000"
    attached: bool = False
    keep: str | None = None


TABLE = {
    "archived": Row("legacy", reaped("archived"), archived=True, pinned=True),
    "archived, in both homes": Row("current", reaped("archived"), archived=True),
    "archived, in the other home": Row("legacy", reaped("archived"), of="archived, in both homes"),
    "archived, a dev server runs": Row("current", reaped("archived"), archived=True, runs=("devserver",)),
    "archived, running": Row("current", held("archived", "running"), archived=True, runs=("codingagent", "devserver")),
    "archived, attached": Row("legacy", held("archived", "attached"), archived=True, attached=True),
    "archived, active": Row("current", held("archived", "active"), archived=True, command=BUSY),
    "archived, kept": Row("current", held("archived", "kept"), archived=True, keep="1"),
    "worktree deleted": Row("legacy", reaped("worktree-deleted"), worktree_deleted=True),
    "worktree deleted, active": Row("current", held("worktree-deleted", "active"), of="worktree deleted", command=BUSY),
    "orphan": Row("current", reaped("orphan"), deleted=True),
    "orphan, in the other home": Row("legacy", reaped("orphan"), deleted=True),
    "orphan, attached": Row("legacy", held("orphan", "attached"), deleted=True, attached=True),
    "orphan, kept": Row("legacy", held("orphan", "kept"), deleted=True, keep="yes"),
    "stranger": Row("legacy", held("orphan", "unproven"), never_known=True),
    "idle": Row("current", reaped("idle")),
    "idle, pinned": Row("current", held("idle", "pinned"), pinned=True),
    "idle, attached": Row("current", held("idle", "attached"), attached=True),
    "idle, running": Row("legacy", held("idle", "running"), runs=("setupscript",)),
    "dead": Row("current", reaped("dead"), pinned=True, command="true"),
    "at work": Row("current", KEEP, command=BUSY),
    "at work, in the other home": Row("legacy", KEEP, command=BUSY),
}


class Machine:
    """A user's home with a bettercoding or vibe-kanban host: a database in its own place, and its two tmux sockets."""

    def __init__(self, home: Path, stack: ExitStack, *, place: str, sockets: tuple[str, str], environ: dict[str, str]) -> None:
        self.home = home
        self.environ = {"PATH": os.environ["PATH"], "HOME": str(home), "LC_ALL": "C", "TMUX_TMPDIR": str(home), **environ}
        self.environ |= {name: value for name, value in os.environ.items() if name.startswith("COV")}
        directory = home / f"tmux-{os.getuid()}"
        directory.mkdir(mode=0o700)
        current, legacy = (stack.enter_context(TmuxServer(name=name, directory=directory)) for name in sockets)
        self.servers = {"current": current, "legacy": legacy}
        database = home / ".local" / "share" / place / "db.v2.sqlite"
        database.parent.mkdir(parents=True)
        self.host = VibeKanbanHost(database, worktree_deleted=place == "bettercoding")
        self.host.create()

    def configure(self, **settings: object) -> None:
        config = self.home / ".config" / "workspace-reaper" / "workspace-reaper.toml"
        config.parent.mkdir(parents=True, exist_ok=True)
        lines = {"registry": "vibe-kanban", "min_age": 0, "confirmation_gap": 0, **settings}.items()
        config.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in lines))

    def sweep(self, *, expect: int = 0) -> dict[str, Any]:
        """``env -i PATH=… HOME=… LC_ALL=C … workspace-reaper sweep --json``."""
        program = Path(sysconfig.get_path("scripts")) / "workspace-reaper"
        assignments = [f"{name}={value}" for name, value in self.environ.items()]
        command = ["/usr/bin/env", "-i", *assignments, str(program), "sweep", "--json"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == expect, (done.returncode, done.stdout, done.stderr)
        report: dict[str, Any] = json.loads(done.stdout)
        return report

    def name(self, home: str, workspace_id: str) -> str:
        return {"current": "bc_", "legacy": "vk_"}[home] + workspace_id.replace("-", "")


class Scene:
    """The sessions of the table on a machine, and others that are none of the reaper's business."""

    def __init__(self, machine: Machine) -> None:
        self._its = machine
        known = machine.host.worktree_deleted
        self.rows = {name: row for name, row in TABLE.items() if known or "worktree" not in name}
        numbers = {name: machine.host.new_id(number) for number, name in enumerate(self.rows)}
        self.ids = {name: numbers[row.of or name] for name, row in self.rows.items()}
        machine.host.insert(sorted({self.ids[name] for name, row in self.rows.items() if not row.never_known}))
        self.sessions = {(row.home, machine.name(row.home, self.ids[name])): name for name, row in self.rows.items()}
        machine.servers["current"].new_session("main")
        machine.servers["current"].run("set-option", "-g", "remain-on-exit", "on")
        for (home, session), name in self.sessions.items():
            self._start(machine.servers[home], session, self.rows[name])
        one = self.ids["archived"]
        self.foreign = {("current", "main"), ("legacy", "main"), ("current", "bc_" + "0" * 31), ("current", "BC_" + "0" * 32)}
        self.foreign |= {("current", machine.name("legacy", one)), ("legacy", machine.name("current", one))}
        for home, session in self.foreign - {("current", "main")}:
            machine.servers[home].new_session(session)
        # Matches by name, and another registry has marked it.
        marked = machine.servers["current"].new_session(machine.name("current", one))
        machine.servers["current"].set_option(marked, "@workspace_owner", "deadbeef")
        self.foreign.add(("current", machine.name("current", one)))

    def _start(self, server: TmuxServer, session: str, row: Row) -> None:
        session_id = server.new_session(session, row.command)
        if row.keep is not None:
            server.set_option(session_id, "@reaper_keep", row.keep)
        if row.attached:
            server.attach(session_id)

    def delete(self) -> None:
        self._its.host.delete(*(self.ids[name] for name, row in self.rows.items() if row.deleted))

    def become(self) -> None:
        """The host's side of every other row."""
        host = self._its.host
        for name, row in self.rows.items():
            steps = ((row.archived, host.archive), (row.pinned, host.pin), (row.worktree_deleted, host.delete_worktree))
            for does, step in steps:
                if does:
                    step(self.ids[name])
            for reason in row.runs:
                host.start(self.ids[name], run_reason=reason)

    def told(self, report: dict[str, Any]) -> dict[str, Verdict]:
        homes = {server.path: home for home, server in self._its.servers.items()}
        return {
            self.sessions[homes[entry["socket"]], entry["session"]]: Verdict(
                entry["verdict"], entry["reason"], entry["protected_by"], entry["outcome"]
            )
            for entry in report["sessions"]
        }

    def alive(self) -> set[tuple[str, str]]:
        listed = {home: server.run("list-sessions", "-F", "#{session_name}") for home, server in self._its.servers.items()}
        return {(home, session) for home, text in listed.items() for session in text.split("\n")}

    def idle_seconds(self) -> float:
        """Since the last output, or the last client, in any session whose program does not work."""
        times = []
        for home, server in self._its.servers.items():
            rows = server.run("list-sessions", "-F", "#{session_activity} #{window_activity} #{session_name}").split("\n")
            for seen, output, session in (row.split(" ") for row in rows):
                name = self.sessions.get((home, session))
                if name is None or self.rows[name].command != BUSY:
                    times += [int(seen), int(output)]
        return time.time() - max(times)


@pytest.fixture
def machines(short_tmp: Path) -> Iterator[Callable[..., Machine]]:
    with ExitStack() as stack:
        yield lambda how: Machine(short_tmp, stack, **how)


TODAY: dict[str, Any] = {"place": "bettercoding", "sockets": ("bettercoding", "vibe-kanban"), "environ": {}}
OLD: dict[str, Any] = {
    "place": "vibe-kanban",
    "sockets": ("now", "then"),
    "environ": {"BC_CLI_TMUX_SOCKET": "now", "BC_CLI_TMUX_LEGACY_SOCKET": "then"},
}


@pytest.mark.parametrize("how", [TODAY, OLD], ids=["today's database and sockets", "an old database, sockets elsewhere"])
def test_it_reaps_exactly_the_rows_of_the_table(machines: Callable[..., Machine], how: dict[str, Any]) -> None:
    machine = machines(how)
    scene = Scene(machine)
    machine.configure(activity_grace=0)

    # While every workspace is there, and nothing has been idle for 48 h, nothing goes.
    report = machine.sweep()
    assert scene.told(report) == {**dict.fromkeys(scene.rows, KEEP), "stranger": held("orphan", "unproven")}
    assert report["totals"]["unmanaged"] == len(scene.foreign)
    scene.delete()
    second = scene.told(machine.sweep())
    assert second["orphan"] == second["orphan, in the other home"] == held("orphan", "unconfirmed")
    assert {verdict.outcome for verdict in second.values()} == {"none"}
    scene.become()
    machine.configure(activity_grace=GRACE, idle_ttl=IDLE, dead_ttl=1)
    wait_until(lambda: scene.idle_seconds() > IDLE, every=0.1)

    report = machine.sweep()

    assert scene.told(report) == {name: row.becomes for name, row in scene.rows.items()}
    gone = {at for at, name in scene.sessions.items() if scene.rows[name].becomes.outcome == "reaped"}
    assert scene.alive() == {*scene.sessions, *scene.foreign} - gone
    assert (report["totals"]["reaped"], report["totals"]["unmanaged"]) == (len(gone), len(scene.foreign))
    assert (report["unknown"], report["complete"]) == ([], True)


def test_a_home_that_can_not_be_read_loses_no_session_and_the_other_goes_on(machines: Callable[..., Machine]) -> None:
    machine = machines(TODAY)
    machine.configure(activity_grace=0)
    here, there = machine.host.new_id(1), machine.host.new_id(2)
    machine.host.insert([here, there], archived=True)
    machine.servers["current"].new_session(machine.name("current", here))
    kept = machine.servers["legacy"].new_session(machine.name("legacy", there))
    socket = Path(machine.servers["legacy"].path)
    aside = socket.rename(socket.with_name("aside"))
    socket.write_text("no socket")
    report = machine.sweep(expect=3)
    socket.unlink()
    aside.rename(socket)
    assert [unknown["socket"] for unknown in report["unknown"]] == [str(socket)]
    assert [(entry["workspace_id"], entry["outcome"]) for entry in report["sessions"]] == [(here, "reaped")]
    assert machine.servers["current"].session_ids() == set()
    assert machine.servers["legacy"].session_ids() == {kept}
