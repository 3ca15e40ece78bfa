"""The simulated world: a machine with a tmux server, a host with its database and directories, and their users.

It holds the truth, and nothing in it knows of the reaper. ``happenings`` is what can happen in it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tests.simulation.lives import SessionLife, WorkspaceLife
from tests.simulation.memory.directories import MemoryDirectories
from tests.simulation.memory.files import MemoryTree
from tests.simulation.memory.ledger import MemoryFile
from tests.simulation.memory.machine import MemoryMachine
from tests.simulation.memory.plugins import MemoryPlugins
from tests.simulation.memory.process import SimulatedProcess
from tests.simulation.memory.registry import MemoryHost
from tests.simulation.memory.snapshots import MemoryDisk
from tests.simulation.memory.tmux import MemoryTmux
from tests.simulation.oracle.truth import Absence, Clock, Row, Work
from tests.tools.clocks import VirtualClock
from workspace_reaper.model.state import ClockReading
from workspace_reaper.model.workspace import Workspace

__all__ = ["FOREIGN", "NOTICED", "ROOT", "SOCKET", "STATE", "World", "WorldClock"]

ROOT = "/simulated"
STATE = "/simulated-state"
SOCKET = "/run/tmux/simulated"

# Steps of the wall clock up to so many seconds may go unnoticed.
NOTICED = 5.0
# The names of sessions that no pattern matches.
FOREIGN = ("notes", "scratch")

_WALL = 1_800_000_000.25
_UPTIME = 100_000.0
_MOMENT = 0.001


class WorldClock(VirtualClock):
    """The clocks of the machine. ``passed`` is called with the seconds that the machine was awake.

    ``called_at`` is when the reaper began its latest call of a port, before what interrupts it, ``read_at`` when it last read.
    """

    def __init__(self) -> None:
        super().__init__(_WALL, _UPTIME, _UPTIME)
        self.passed: Callable[[float], None] = lambda _seconds: None
        self.called_at = self.read_at = self.elapsed
        self.read_wall = self.wall  # the latest

    @property
    def is_behind(self) -> bool:
        """Whether a step that goes unnoticed set it back to before the reaper read it last: what is dated now seems older."""
        return 0.0 < self.read_wall - self.wall <= NOTICED

    def read(self) -> ClockReading:
        self.read_at, self.read_wall = self.elapsed, max(self.wall, self.read_wall)
        return super().read()

    def take_a_moment(self) -> None:
        """A millisecond passes, in which no program does anything."""
        self.wall += _MOMENT
        self.elapsed += _MOMENT
        self.awake += _MOMENT
        self.called_at = self.elapsed

    def go_on(self, seconds: float = 0.0, *, asleep: float = 0.0, set_ahead: float = 0.0) -> None:
        super().go_on(seconds, asleep=asleep, set_ahead=set_ahead)
        if seconds:
            self.passed(seconds)


class World:
    """One machine, from its first moment.

    ``lives`` are the sessions by the id that tmux gave them, of the running server; ``ended`` those that are over. ``foreign``
    are the names of those that belong to no workspace, by id. ``rows_alone`` is how many workspaces have a row and no session.
    """

    def __init__(self, workspaces: int, foreign: int = 0, rows_alone: int = 0) -> None:
        self.clock = WorldClock()
        self.clock.passed = self._work
        self.tree = MemoryTree()
        for place in ("/home/me", ROOT, STATE):
            self.tree.make(place)
        self.machine = MemoryMachine(self.clock, self.tree)
        self.reaper_pid = self.machine.spawn(["reaper"], cwd=STATE, environ={}, owner="reaper")
        self.directories = MemoryDirectories(self.machine)
        self.tmux = MemoryTmux(self.machine, SOCKET)
        self.host = MemoryHost()
        self.file = MemoryFile()
        self.disk = MemoryDisk()
        self.plugins = MemoryPlugins()
        self.slept: list[tuple[float, float]] = []
        self.steps: list[tuple[float, float]] = []
        self.workspaces: list[WorkspaceLife] = []
        self.by_id: dict[str, WorkspaceLife] = {}
        self.lives: dict[str, SessionLife] = {}
        self.ended: list[SessionLife] = []
        self.foreign: dict[str, str] = {}
        self.by_owner: dict[str, list[SessionLife]] = {}
        self.inherits_keep_since: float | None = None
        self.registry_fault_since: float | None = None
        self.replaced_at = float("-inf")
        self.viewers = 0
        self.story: list[str] = []
        for _ in range(workspaces):
            self.new_workspace(row=True)
        for name in FOREIGN[:foreign]:
            self.new_foreign(name)
        if rows_alone:
            self.host.insert([f"alone-{number}" for number in range(rows_alone)])
        self.backup = (dict(self.host.rows), self.host.commits)

    @property
    def now(self) -> float:
        """True time."""
        return self.clock.elapsed

    def tell(self, text: str) -> None:
        """Add a line to the story."""
        self.story.append(f"{self.now - _UPTIME:12.2f}  {text}")

    # Workspaces

    def new_workspace(self, *, row: bool) -> WorkspaceLife:
        """A host makes a workspace: its directory, its row, and its session."""
        number = len(self.workspaces)
        one = WorkspaceLife(number, f"w{number}", f"{ROOT}/w{number}")
        self.tree.make(one.path)
        one.place(self.now, gone=False)
        self.workspaces.append(one)
        self.by_id[one.workspace_id] = one
        if row:
            self.host.insert([one.workspace_id], worktree=one.path)
            one.say(Row(), self.now)
        else:
            one.say(None, self.now, Absence.NEVER)
        self.new_session(one)
        return one

    def write_row(self, one: WorkspaceLife, **flags: bool) -> None:
        """The host sets flags of a row, if it is there."""
        row = self.host.rows.get(one.workspace_id)
        if row is None:
            return
        if row.unreadable is None:
            self.host.rows[one.workspace_id] = replace(row, **flags)  # type: ignore[arg-type]
        self.host.commits += 1
        one.set(self.now, **flags)

    def replace_rows(self, rows: dict[str, Workspace], absence: Absence) -> None:
        """Other rows are in the database from now on, which is another one."""
        self.host.rows, self.replaced_at = rows, self.now
        for one in self.workspaces:
            there = rows.get(one.workspace_id)
            if there is None:
                if one.row is not None:
                    one.say(None, self.now, absence)
            else:
                one.say(_as_truth(there), self.now)

    # Sessions

    def new_session(self, one: WorkspaceLife, *, group: str | None = None, name: str | None = None) -> SessionLife:
        """A session is made for a workspace, with a program that works in its directory."""
        name = name or self.host.session_name(one.workspace_id)
        owner = f"{one.workspace_id}/{len(self.by_owner)}" if group is None else self.lives[group].owner
        cwd = one.path if self._exists(one.path) else "/"
        session_id = self.tmux.new_session(name, group=group, cwd=cwd, owner=owner)
        life = SessionLife(one, session_id, self.now, owner, self.tmux.key_of(self.tmux.sessions[session_id]))
        if group is not None:
            peer = self.lives[group]
            life.busy_since, life.starved, life.worked = peer.busy_since, peer.starved, peer.worked
            life.output, life.dead_since, life.hidden_since = peer.output, peer.dead_since, peer.hidden_since
            life.used = peer.used
        if self.inherits_keep_since is not None:
            life.kept_since = self.now
        self.lives[session_id] = life
        self.by_owner.setdefault(owner, []).append(life)
        return life

    def new_foreign(self, name: str) -> None:
        """Somebody makes a session that no pattern matches. The program of the second one has ended long ago."""
        session_id = self.tmux.new_session(name, cwd="/home/me", owner=f"user/{name}")
        self.foreign[session_id] = name
        if name == FOREIGN[1]:
            self.tmux.exit(session_id)

    def _exists(self, path: str) -> bool:
        return self.tree.at(path) is not None

    def life_of(self, number: int) -> SessionLife | None:
        """The living session that was made first for a workspace."""
        one = self.workspaces[number % len(self.workspaces)]
        return next((life for life in self.lives.values() if life.of is one), None)

    def peers_of(self, life: SessionLife) -> list[SessionLife]:
        """The other sessions of its group."""
        peers = self.tmux.peers(self.tmux.sessions[life.session_id])
        return [self.lives[each.session_id] for each in peers if each.session_id != life.session_id]

    def pid_of(self, life: SessionLife) -> int:
        """The process of its pane, which may have ended."""
        return self.tmux.process(life.session_id).pid

    def identity(self, life: SessionLife) -> str:
        """What ``@reaper_self`` is for the session itself."""
        return self.tmux.sessions[life.session_id].identity

    def note_ended(self, by: str) -> None:
        """Move the lives of the sessions that tmux has no more."""
        for session_id in [one for one in self.lives if one not in self.tmux.sessions]:
            life = self.lives.pop(session_id)
            life.ended_at, life.ended_by = self.now, by
            self.ended.append(life)
        self.foreign = {session_id: name for session_id, name in self.foreign.items() if session_id in self.tmux.sessions}
        for life in self.lives.values():
            if all(each.client is None for each in (life, *self.peers_of(life))):
                # Its group had no client but that of a session that is over.
                life.attached_since = None

    def move_reaper(self, parent: int) -> None:
        """The reaper is started below that process."""
        reaper = self.machine.processes[self.reaper_pid]
        reaper.parent = parent
        self.machine.changed(reaper)

    def left_behind(self, one: WorkspaceLife) -> list[SimulatedProcess]:
        """The processes of a workspace that are not those of a pane, oldest first."""
        panes = {self.pid_of(life) for life in self.lives.values()}
        own = (each for each in self.machine.processes.values() if each.owner.startswith(f"{one.workspace_id}/"))
        return [each for each in own if each.pid not in panes and not each.is_zombie]

    @staticmethod
    def viewer_name(one: WorkspaceLife) -> str:
        """How the names of the viewers of a workspace's session begin."""
        return f"view-{one.workspace_id}-"

    def is_home(self, life: SessionLife) -> bool:
        """Whether the reaper runs in it."""
        return life.dead_since is None and self.machine.processes[self.reaper_pid].parent == self.pid_of(life)

    def clock_truth(self, *, is_stepped: bool) -> Clock:
        """What has happened to the clocks, as the oracle calls it."""
        return Clock(
            slept=tuple(self.slept),
            stepped=is_stepped,
            unnoticed=sum(seconds for _, seconds in self.steps if 0 < seconds <= NOTICED),
            set_back=sum(-seconds for at, seconds in self.steps if seconds < 0 and self.now - at < 60.0),
        )

    def is_of_living(self, one: SimulatedProcess) -> bool:
        """Whether a process truly belongs to a living session."""
        is_foreign = one.owner in {f"user/{name}" for name in self.foreign.values()}
        return is_foreign or any(life.owner == one.owner for life in self.lives.values())

    def _work(self, seconds: float) -> None:
        """Programs compute while time passes."""
        for life in self.lives.values():
            if life.busy_since is not None:
                life.computed += seconds
                if life.starved:
                    self.machine.wait_for_cpu(self.pid_of(life), seconds)
                else:
                    life.used += seconds / 2
                    self.machine.work(self.pid_of(life), seconds / 2)

    def is_worked_in(self, one: WorkspaceLife) -> bool:
        """Whether a program of its session works in its directory."""
        place = self.tree.resolve(one.path)
        lives = [life for life in self.lives.values() if life.of is one]
        return any(self.tmux.process(life.session_id).directory is place for life in lives)

    def end_work(self, life: SessionLife) -> None:
        """Its program rests. Whether a look can measure what it did depends on when the next look is: see ``work.measure``."""
        if life.busy_since is None:
            return
        if not life.starved:
            life.unmeasured = Work(life.unmeasured.began if life.unmeasured else life.busy_since, self.now)
        else:
            self.machine.starve(self.pid_of(life), on=False)
            if life.starving_seen is not None:
                life.worked = Work(life.busy_since, life.starving_seen)
        life.busy_since, life.starved, life.starving_seen = None, False, None


def _as_truth(row: Workspace) -> Row:
    return Row(row.archived, row.running, row.pinned, row.deleted, row.worktree_deleted, row.unreadable is None)
