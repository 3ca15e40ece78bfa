"""Random lives of a machine on a real tmux, and beside the reaper an oracle that shares nothing with it."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, run_state_machine_as_test

from tests.tools.effort import seeds
from tests.tools.machine_facts import Key
from tests.tools.machine_freeze import STOPS
from tests.tools.machine_life import Life, happens, one_of
from tests.tools.machine_steps import CHANGES, MEANWHILE, NAME, SIBLINGS, WHICH, WORKSPACES
from tests.tools.machine_world import FOREIGN_STAMP, name_of

pytestmark = pytest.mark.once


class MachineLife(Life):
    """What happens on a machine, in any order."""

    @initialize(
        known=st.integers(2, 5),
        pinned=st.integers(0, 2),
        strange=st.integers(0, 2),
        rest=st.integers(0, 2),
        journal=st.sampled_from(("DELETE", "WAL")),
        directories=st.booleans(),
        swept=st.booleans(),
    )
    def begin(
        self,
        known: int,
        pinned: int,
        strange: int,
        rest: int,
        swept: bool,
        journal: str = "DELETE",
        directories: bool = False,
    ) -> None:
        """A host with workspaces, some of which have a session, and with sessions that it does not know."""
        self.world.clock.go_on()
        self.world.host.use(journal, directories=directories)
        self.world.host.insert(WORKSPACES[:pinned], pinned=True)
        self.world.host.insert([*WORKSPACES[pinned:known], *(f"rest{number}" for number in range(rest))])
        names = [*WORKSPACES[:known], *(f"strange{number}" for number in range(strange))]
        if names:
            self.world.server.new_sessions([name_of(one) for one in names])
        self.check_ended(())
        if swept:
            self.sweep(seconds=1000)

    # The users

    @happens(names=st.sets(NAME, min_size=1, max_size=3), known=st.booleans(), foreign=st.sampled_from((False, False, True)))
    def start(self, names: Collection[str], known: bool, foreign: bool) -> None:
        for name in sorted(names - self.seen.names):
            workspace = name.removeprefix("ws-")
            if known and workspace not in self.world.host.rows():
                self.world.host.insert([workspace])
            self.world.start(name, FOREIGN_STAMP if foreign else "")

    @precondition(lambda self: self.seen.sessions)
    @happens(which=WHICH, name=NAME)
    def group(self, which: int, name: str) -> None:
        session_id = self.session(which)
        peer, groups = self.seen.sessions[session_id], {one.group for one in self.seen.sessions.values()}
        # A group that outlives the session after which it is named takes a later one of that name, and shows it other windows.
        if name not in self.seen.names and (peer.group or peer.name not in groups):
            self.world.join(session_id, name)

    @precondition(lambda self: self.seen.sessions)
    @happens(which=WHICH)
    def kill(self, which: int) -> Collection[Key]:
        session_id = self.session(which)
        self.world.kill(session_id)
        return [self.seen.sessions[session_id].key]

    @precondition(lambda self: self.seen.sessions)
    @happens(which=WHICH, name=NAME)
    def rename(self, which: int, name: str) -> None:
        if name not in self.seen.names:
            self.world.rename(self.session(which), name)

    @precondition(lambda self: self.seen.sessions and len(self.world.clients) < 3)
    @happens(which=WHICH, suspended=st.booleans())
    def attach(self, which: int, suspended: bool) -> None:
        session_id = self.session(which)
        client = self.world.attach(session_id, self.seen.sessions[session_id].key)
        if suspended:
            self.world.leave(client, "suspend")

    @precondition(lambda self: self.world.clients)
    @happens(which=WHICH, how=st.sampled_from(("detach", "kill", "suspend")))
    def leave(self, which: int, how: str) -> None:
        self.world.leave(one_of(self.world.clients, which), how)

    @precondition(lambda self: self.seen.sessions)
    @happens(which=WHICH, window=WHICH)
    def output(self, which: int, window: int) -> None:
        pane = one_of(self.seen.panes[self.session(which)], window)
        if not pane.dead:
            self.world.print_in(pane)

    @precondition(lambda self: self.seen.sessions)
    @happens(which=WHICH)
    def open_window(self, which: int) -> None:
        self.world.open_window(self.session(which))

    @precondition(lambda self: self.seen.sessions)
    @happens(which=WHICH)
    def programs_end(self, which: int) -> None:
        session_id = self.session(which)
        self.world.end_panes(session_id, [pane for pane in self.seen.panes[session_id] if not pane.dead])

    @precondition(lambda self: self.seen.sessions)
    @happens(which=WHICH, on=st.booleans())
    def keep(self, which: int, on: bool) -> None:
        self.world.keep(self.session(which), on=on)

    @happens(option=st.sampled_from(("@workspace_owner", "@reaper_workspace", "@reaper_keep")), on=st.booleans())
    def set_for_all(self, option: str, on: bool) -> None:
        """Somebody sets an option of the reaper for all sessions, or unsets it."""
        self.world.set_for_all(option, on=on)

    # The host, its operator, and a host with another database on the same tmux server

    @precondition(lambda self: self.workspaces)
    @happens(which=WHICH, change=st.sampled_from([*CHANGES, "archive", "archive"]))
    def change_row(self, which: int, change: str) -> None:
        """The row of a session's workspace becomes another one, or one is there at last."""
        workspace = one_of(self.workspaces, which)
        if workspace in self.world.host.rows():
            CHANGES[change](self.world.host, workspace)
        else:
            self.world.host.insert([workspace])

    @precondition(lambda self: self.workspaces)
    @happens(which=WHICH, directory=st.booleans())
    def forget(self, which: int, directory: bool = False) -> None:
        """The workspace of a session is deleted, maybe its directory too or at last, and no hook tells."""
        (self.world.host.delete_with_directories if directory else self.world.host.delete)(one_of(self.workspaces, which))

    @happens(of=st.sampled_from(("oldest", "newest")), left=st.integers(0, 2), directories=st.booleans())
    def delete_many(self, of: str, left: int, directories: bool) -> None:
        """Most workspaces are deleted at once, with their directories or without them."""
        rows = list(self.world.host.rows())
        gone = rows[: len(rows) - left] if of == "oldest" else rows[left:]
        (self.world.host.delete_with_directories if directories else self.world.host.delete)(*gone)

    @happens()
    def copy_database(self) -> None:
        self.world.host.copy()

    @precondition(lambda self: self.world.host.has_copy)
    @happens(how=st.sampled_from(("backup", "copy")))
    def restore_database(self, how: str) -> None:
        """An older copy is written into the same file: what was added since is not there, and what was deleted is again."""
        self.world.host.restore(how)

    @happens(names=st.sets(st.sampled_from(SIBLINGS), min_size=1), known=st.booleans())
    def start_sibling(self, names: Collection[str], known: bool) -> None:
        """Workspaces of another database get sessions that look like ours."""
        for workspace in sorted(one for one in names if name_of(one) not in self.seen.names):
            if known:
                self.world.host.insert_into_sibling(workspace)
            self.world.start(name_of(workspace))

    @precondition(lambda self: self.workspaces)
    @happens(which=WHICH, said=st.sampled_from(("deleted", "archived")), true=st.booleans())
    def hook(self, which: int, said: str, true: bool) -> None:
        """A hook names the workspace of a session, and the host may have done what it says."""
        workspace = one_of(self.workspaces, which)
        if true:
            change = self.world.host.delete if said == "deleted" else self.world.host.archive
            change(workspace)
        sessions = list(self.seen.sessions.values())
        fates = self.oracle.hook(self.world.clock.lived, said, workspace, sessions, self.world.look_at_host())
        self.check_sweep(fates, self.world.hook(workspace, said))

    # The reaper and its operator

    @happens(what=st.sampled_from(("reaper", "reaper", "tmux")))
    def goes_down(self, what: str) -> Collection[Key]:
        """The reaper or tmux is started again."""
        if what == "tmux":
            self.world.restart_tmux()
            return self.seen.keys
        self.world.restart_reaper()
        self.oracle.directories.forget_looks()
        return ()

    @precondition(lambda self: self.workspaces)
    @happens(which=WHICH, gone=st.booleans(), stopped=st.sampled_from(STOPS), meanwhile=st.sampled_from([*MEANWHILE]))
    def freeze(self, which: int, gone: bool, stopped: str, meanwhile: str) -> None:
        """A workspace is archived or deleted; reaper or tmux is stopped when its session is about to be reaped."""
        workspace = one_of(self.workspaces, which)
        [session_id] = [one for one, seen in self.seen.sessions.items() if seen.name.removeprefix("ws-") == workspace]
        if gone:
            self.world.host.delete(workspace)
            self.sweep(seconds=3000)
        elif workspace in self.world.host.rows():
            self.world.host.archive(workspace)
        else:
            self.world.host.insert([workspace], archived=True)
        if session_id in self.seen.sessions:
            key = self.seen.sessions[session_id].key
            change = partial(MEANWHILE[meanwhile], self.world, session_id, key, workspace)
            self.sweep(seconds=3000, stopped=stopped, meanwhile=change)

    @precondition(lambda self: self.oracle.breaker.latched)
    @happens(less=st.integers(0, 2))
    def approve(self, less: int) -> None:
        self.sweep(seconds=1000, approve=sorted(self.oracle.breaker.culprits)[less:])

    @precondition(lambda self: self.oracle.strangers)
    @happens(less=st.integers(0, 1))
    def approve_strangers(self, less: int) -> None:
        self.sweep(seconds=1000, approve=sorted(self.oracle.strangers)[less:])

    @precondition(lambda self: self.oracle.breaker.latched)
    @happens()
    def reset_breaker(self) -> None:
        self.world.reset_breaker()
        self.oracle.reset_breaker(list(self.seen.sessions.values()), self.world.look_at_host())


def live(lives: int, steps: int, number: int) -> None:
    """So many lives of so many steps each."""
    run_state_machine_as_test(
        seed(number)(MachineLife),
        settings=settings(
            max_examples=lives,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            report_multiple_bugs=False,
            phases=[Phase.generate, Phase.shrink],
        ),
    )


@pytest.mark.storm
@pytest.mark.timeout(1800)  # what fails is made smaller first
@pytest.mark.parametrize("number", [pytest.param(number, id=f"seed{number}") for number in seeds(8, 800)])
def test_whatever_happens_exactly_those_die_that_must(number: int) -> None:
    live(7, 30, number)


def test_in_short_lives_exactly_those_die_that_must() -> None:
    live(3, 15, 0)


def test_i67_a_session_that_takes_the_name_of_another_workspace_that_is_gone_lives() -> None:
    life, soon = MachineLife(), {"seconds": 3000}
    try:
        life.begin(known=3, pinned=0, strange=0, rest=0, swept=True)
        life.forget(which=0, then=soon)
        life.forget(which=1, then=None)
        life.kill(which=1, then=None)
        life.rename(which=0, name=name_of("w2"), then=soon)
        life.keep(which=1, on=True, then=soon)
        assert name_of("w2") in life.seen.names
    finally:
        life.teardown()
