"""The play, act by act. Nothing waits blindly: each act goes on when what it waits for is so, or was not so for too long."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from workspace_reaper.demo.helpers import TALKER, TALKER_SAYS, Crew, starts_of_talker, write_agent
from workspace_reaper.demo.host import Host
from workspace_reaper.demo.processes import DemoFailed
from workspace_reaper.demo.results import last_reap
from workspace_reaper.demo.scenario import CAST, RULES, SURVIVOR, Agent, Ending, Expectation, Fate, Role
from workspace_reaper.demo.tmux import Made, PrivateTmux
from workspace_reaper.model.errors import ReaperError
from workspace_reaper.model.reap import Reap
from workspace_reaper.util.interrupts import Interrupts

__all__ = ["COMEBACK", "Comeback", "Play", "bring_back", "ending_of_comeback"]

_PATIENCE = 20.0

_TICK = 0.5


@dataclass(slots=True)
class Play:
    """``made`` are the sessions of the cast so far, ``workspaces`` holds a directory for each. Each act raises
    ``Interrupted``, and ``DemoFailed`` if the stage breaks."""

    tmux: PrivateTmux
    host: Host
    interrupts: Interrupts
    crew: Crew
    workspaces: Path
    made: dict[Role, Made] = field(default_factory=dict)
    _opened: float = 0.0

    def open(self) -> None:
        """Everybody comes on stage, and a first tick makes the reaper acquainted with them."""
        for role in CAST:
            if not role.late:
                self._enter(role)
        self._wait(lambda: self.tmux.attached, "the clients did not attach")
        self._opened = time.time()
        self.tick()
        for role in self.made:
            if role.kept:
                self._keep(role)

    def fire_hooks(self) -> None:
        """What a host tells."""
        for role in self._with(Fate.DELETED):
            self.host.delete(role.workspace_id, tell=True)
        for role in self._with(Fate.ARCHIVED):
            self.host.archive(role.workspace_id, tell=True)
        self._drain()

    def keep_silent(self) -> None:
        """What happens without a word."""
        for role in self._with(Fate.VANISHED):
            self.host.delete(role.workspace_id, tell=False)
        for role in self._with(Fate.SHELVED):
            self.host.archive(role.workspace_id, tell=False)
        for role in self._with(Fate.WORKTREE_DELETED):
            shutil.rmtree(self._directory(role))
            self.host.delete_worktree(role.workspace_id)
        for role in self._with(Fate.AGENT_ENDED):
            self._end_agent(self.made[role])

    def wait_for_the_reaper(self) -> None:
        """Tick until what should go is gone, and all others had time enough to go as well."""
        doomed = {made for role, made in self.made.items() if role.expected.word == "reaped"}
        with self.host.plugins.ticking(every=_TICK):
            self.interrupts.wait(lambda: time.time() - self._opened > RULES["idle_ttl"], _PATIENCE)
            self.interrupts.wait(lambda: doomed.isdisjoint(self.tmux.sessions()), _PATIENCE)
        self._drain()

    def close(self) -> None:
        """The last ones come on stage, and a last tick tells how it is."""
        for role in CAST:
            if role.late:
                self._enter(role)
        self.tick()

    def lose_rows(self) -> None:
        """The accident: most rows are gone at once. Two ticks, far enough apart to confirm it."""
        self.host.forget_all_but(SURVIVOR)
        self.tick()
        self.interrupts.wait(lambda: False, RULES["confirmation_gap"] + 0.2)
        self.tick()

    def bring_back(self) -> Comeback:
        """The session that had said something comes back."""
        role = self._one_with(Agent.TALKER)
        reap, directory = last_reap(self.host, role.name), self._directory(role)
        return bring_back(self.host, self.tmux, self.interrupts, reap, workspace=directory, within=_PATIENCE)

    def reap_of_crew(self) -> Reap | None:
        """What the history has of the session whose helpers left its terminal; None while nothing of it was reaped."""
        return last_reap(self.host, self._one_with(Agent.WITH_HELPERS).name)

    def tick(self) -> None:
        """One tick, and all that follows from it."""
        self.host.plugins.tick()
        self._drain()

    def _enter(self, role: Role) -> None:
        self.interrupts.check()
        directory = self._directory(role)
        directory.mkdir()
        command = write_agent(role.agent, directory, self.crew)
        made = self.made[role] = self.tmux.new_session(role.name, *command, directory=directory)
        if role.agent is Agent.WITH_HELPERS:
            self.crew.wait(_PATIENCE)
        if role.known:
            self.host.create(role.workspace_id, directory, pinned=role.pinned, running=role.running)
        if role.owner is not None:
            self.tmux.set_option(made, "@workspace_owner", role.owner)
        if role.attached:
            self.tmux.attach(made)

    def _end_agent(self, made: Made) -> None:
        self.tmux.let_panes_end(made)
        self._wait(lambda: self.tmux.is_dead(made), "a pane did not end")

    def _keep(self, role: Role) -> None:
        from workspace_reaper.operations.sessions import keep_session

        keep_session(self.host.reaper, role.name, on=True)

    def _directory(self, role: Role) -> Path:
        return self.workspaces / role.workspace_id

    def _one_with(self, agent: Agent) -> Role:
        self.interrupts.check()
        return next(role for role in self.made if role.agent is agent)

    def _with(self, fate: Fate) -> Iterable[Role]:
        for role in self.made:
            self.interrupts.check()
            if role.fate is fate:
                yield role

    def _drain(self) -> None:
        self._wait(lambda: self.host.plugins.drain(_TICK), "the plugin did not come to an end")

    def _wait(self, condition: Callable[[], bool], otherwise: str) -> None:
        if not self.interrupts.wait(condition, _PATIENCE):
            raise DemoFailed(f"{otherwise} within {_PATIENCE:g} s")


_BACK = Ending("restored", "old text, not run")

COMEBACK = Expectation("ws-idle back", "restored from its reap", _BACK)

_NOTE = f"was running: {' '.join(TALKER)}"

_ATTEMPTS = 5

_QUESTION, _ANSWER = "echo answer $((6 * 7))", "answer 42"


@dataclass(slots=True)
class Comeback:
    """``ending`` is what happened, ``lines`` what the new pane shows of the old one."""

    ending: Ending
    lines: tuple[str, ...] = ()


def bring_back(
    host: Host, tmux: PrivateTmux, interrupts: Interrupts, reap: Reap | None, *, workspace: Path, within: float
) -> Comeback:
    """Restore a session, and look at its pane until a shell answers in it, or for ``within`` seconds. Raises ``Interrupted``,
    and ``DemoFailed`` if tmux fails."""
    from workspace_reaper.operations.restore import restore

    if reap is None:
        return Comeback(Ending("lost", "no reap of it"))
    tmux.start_plain_shells()
    try:
        restored = restore(host.reaper, reap)
    except ReaperError as error:
        interrupts.check()  # Ctrl-C on a terminal also reaches the tmux that the restore asked
        return Comeback(Ending("lost", str(error)))
    tmux.know_panes()

    def text() -> list[str]:
        return [line.rstrip() for line in tmux.text(restored.session_id) if line.strip()]

    interrupts.wait(lambda: any(_NOTE in line for line in text()) or starts_of_talker(workspace) > 1, within)
    shown = text()
    lines = shown[: next((number for number, line in enumerate(shown, 1) if _NOTE in line), len(shown))]
    for _ in range(_ATTEMPTS):
        # A shell that is only starting may throw away what was typed before it read.
        tmux.type(restored.session_id, _QUESTION)
        answered = interrupts.wait(lambda: _ANSWER in text() or starts_of_talker(workspace) > 1, within / _ATTEMPTS)
        if answered:
            break
    return Comeback(ending_of_comeback(lines, answered=answered, starts=starts_of_talker(workspace)), tuple(lines))


def ending_of_comeback(lines: list[str], *, answered: bool, starts: int) -> Ending:
    """What to think of the pane: its lines up to the note, whether a shell answered, how often the old command was started."""
    if starts != 1:
        return Ending("restored", f"started {starts} times")
    if not answered:
        return Ending("restored", "without a shell")
    if not lines or _NOTE not in lines[-1] or tuple(lines[-1 - len(TALKER_SAYS) : -1]) != TALKER_SAYS:
        return Ending("restored", "without its text")
    return _BACK
