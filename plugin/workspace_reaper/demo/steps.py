"""The steps of the demo. Each waits for what it has caused, up to a time limit, and never for a fixed time."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from workspace_reaper.demo.helpers import TALKER, TALKER_TEXT, Helpers, command_of, talker_starts
from workspace_reaper.demo.host import Host
from workspace_reaper.demo.processes import DemoFailed
from workspace_reaper.demo.results import last_reap
from workspace_reaper.demo.scenario import LAST_ROW, RESTORED, SESSIONS, THRESHOLDS, DemoCase, Ending
from workspace_reaper.demo.tmux import SHELL, PrivateTmux
from workspace_reaper.model.errors import ReaperError
from workspace_reaper.model.reap import ProcessCleanup
from workspace_reaper.operations.restore import restore
from workspace_reaper.operations.sessions import keep_session
from workspace_reaper.util.interrupts import Interrupts

_PATIENCE = 20.0
_TICK = 0.5
_NOTE = f"was running: {' '.join(TALKER)}"
_QUESTION, _ANSWER = "echo answer $((6 * 7))", "answer 42"


@dataclass(slots=True)
class DemoSteps:
    """``sessions`` are the ids of the sessions so far, ``workspaces`` has a directory for each workspace. Every step raises
    ``Interrupted``, and ``DemoFailed`` if something that the demo requires fails."""

    tmux: PrivateTmux
    host: Host
    interrupts: Interrupts
    helpers: Helpers
    workspaces: Path
    sessions: dict[DemoCase, str] = field(default_factory=dict)
    _created: float = 0.0

    def create_sessions(self) -> None:
        """Create all but the late sessions with their workspaces, and let the reaper see them in a first sweep."""
        for case in SESSIONS:
            if not case.late:
                self._create(case)
        attached = [session_id for case, session_id in self.sessions.items() if case.attached]
        self._wait(
            lambda: all(self.tmux.show(session_id, "session_attached") != "0" for session_id in attached),
            "the clients did not attach",
        )
        self._created = time.time()
        self.tick()

    def call_hooks(self) -> None:
        """Delete and archive workspaces, and call the hook for each."""
        for case in self._with("deleted"):
            self.host.delete(case.workspace_id)
            self.host.plugins.workspace_deleted(case.workspace_id)
        for case in self._with("archived"):
            self.host.archive(case.workspace_id)
            self.host.plugins.workspace_archived(case.workspace_id)
        self._drain()

    def change_silently(self) -> None:
        """Change rows and sessions without calling a hook."""
        for case in self._with("vanished"):
            self.host.delete(case.workspace_id)
        for case in self._with("shelved"):
            self.host.archive(case.workspace_id)
        for case in self._with("worktree-deleted"):
            shutil.rmtree(self.workspaces / case.workspace_id)
            self.host.write("UPDATE workspaces SET worktree_deleted = 1 WHERE id = ?", case.workspace_id)
        for case in self._with("exited"):
            # A broken reaper may have ended it already. The result shows it then.
            if self.sessions[case] in self.tmux.sessions():
                self._let_agent_exit(self.sessions[case])

    def wait_for_the_reaper(self) -> None:
        """Tick until every session that should be reaped is gone, and every other one could have been reaped as idle."""
        doomed = {session_id for case, session_id in self.sessions.items() if case.expected.word == "reaped"}
        with self.host.plugins.ticking(every=_TICK):
            self.interrupts.wait(lambda: time.time() - self._created > THRESHOLDS["idle_ttl"], _PATIENCE)
            self.interrupts.wait(lambda: doomed.isdisjoint(self.tmux.sessions()), _PATIENCE)
        self._drain()

    def create_late_sessions(self) -> None:
        """Create the sessions that appear before their row, and tick once more."""
        for case in SESSIONS:
            if case.late:
                self._create(case)
        self.tick()

    def lose_rows(self) -> None:
        """Delete most rows at once, and tick twice, far enough apart to confirm it."""
        self.host.write("DELETE FROM workspaces WHERE id <> ?", LAST_ROW)
        self.tick()
        self.interrupts.wait(lambda: False, THRESHOLDS["confirmation_gap"] + 0.2)
        self.tick()

    def restore(self) -> tuple[Ending, list[str]]:
        """Restore the session whose agent printed a text. Return what happened, and what its new pane shows of the old one."""
        self.interrupts.check()
        [case] = [case for case in self.sessions if case.agent == "talker"]
        reap, workspace = last_reap(self.host, case.name), self.workspaces / case.workspace_id
        if reap is None:
            return Ending("lost", "not in the history"), []
        # A login shell would read files of the user.
        self.tmux.run("set-option", "-g", "default-command", SHELL)
        try:
            session_id = restore(self.host.reaper, reap).session_id
        except ReaperError as error:
            self.interrupts.check()  # Ctrl-C in a terminal also reaches the tmux that the restore has called
            return Ending("lost", str(error)), []
        self.tmux.note_panes()

        def shows(text: str) -> bool:
            return any(text in line for line in self.tmux.text(session_id)) or talker_starts(workspace) > 1

        self.interrupts.wait(lambda: shows(_NOTE), _PATIENCE)
        lines = self.tmux.text(session_id)
        lines = lines[: next((number for number, line in enumerate(lines, 1) if _NOTE in line), len(lines))]

        def answers() -> bool:
            # Asked again each time: a shell that is just starting may discard what was typed before it reads.
            self.tmux.run("send-keys", "-t", f"{session_id}:", _QUESTION, "Enter")
            return shows(_ANSWER)

        answered = self.interrupts.wait(answers, _PATIENCE)
        return restored_ending(lines, answered=answered, starts=talker_starts(workspace)), lines

    def cleanup(self) -> ProcessCleanup:
        """Return what the history says about the processes of the session with helpers; nothing while it is not reaped."""
        [case] = [case for case in self.sessions if case.agent == "with-helpers"]
        reap = last_reap(self.host, case.name)
        return reap.cleanup if reap else ProcessCleanup()

    def tick(self) -> None:
        """Let the reaper sweep once, and wait until it is done."""
        self.host.plugins.tick()
        self._drain()

    def _create(self, case: DemoCase) -> None:
        self.interrupts.check()
        directory = self.workspaces / case.workspace_id
        directory.mkdir()
        command = command_of(case, directory, self.helpers)
        session_id = self.sessions[case] = self.tmux.new_session(case.name, *command, directory=directory)
        if case.agent == "with-helpers":
            self.tmux.note(*self.helpers.wait(_PATIENCE))
        if case.known:
            self.host.create(case.workspace_id, directory, pinned=case.pinned, running=case.running)
        if case.owner is not None:
            self.tmux.run("set-option", "-t", f"{session_id}:", "@workspace_owner", case.owner)
        if case.attached:
            self.tmux.attach(session_id)
        if case.kept:
            keep_session(self.host.reaper, case.name, on=True)

    def _let_agent_exit(self, session_id: str) -> None:
        target = f"{session_id}:"
        self.tmux.run("set-option", "-w", "-t", target, "remain-on-exit", "on", ";", "respawn-pane", "-k", "-t", target, "true")
        self._wait(lambda: self.tmux.show(session_id, "pane_dead") == "1", "a pane did not exit")

    def _with(self, fate: str) -> Iterator[DemoCase]:
        for case in self.sessions:
            self.interrupts.check()
            if case.fate == fate:
                yield case

    def _drain(self) -> None:
        self._wait(lambda: self.host.plugins.drain(_TICK), "the plugin did not finish")

    def _wait(self, condition: Callable[[], bool], otherwise: str) -> None:
        if not self.interrupts.wait(condition, _PATIENCE):
            raise DemoFailed(f"{otherwise} within {_PATIENCE:g} s")


def restored_ending(lines: list[str], *, answered: bool, starts: int) -> Ending:
    """Return what happened to the restored session.

    Args:
        lines: The text of its pane, up to the note of the reaper.
        answered: Whether a shell answered.
        starts: How often the old command was started in all.
    """
    if starts != 1:
        return Ending("restored", f"started {starts} times")
    if not answered:
        return Ending("restored", "without a shell")
    if not lines or _NOTE not in lines[-1] or tuple(lines[-1 - len(TALKER_TEXT) : -1]) != TALKER_TEXT:
        return Ending("restored", "without its text")
    return RESTORED.expected
