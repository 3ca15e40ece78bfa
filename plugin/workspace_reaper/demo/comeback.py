"""A session that was reaped comes back by the product's own restore: its old text is there, and nothing runs again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from workspace_reaper.demo.agents import TALKER, TALKER_SAYS, starts_of_talker
from workspace_reaper.demo.host import Host
from workspace_reaper.demo.scenario import Ending, Expectation
from workspace_reaper.demo.tmux import PrivateTmux
from workspace_reaper.model.errors import ReaperError
from workspace_reaper.model.reap import Reap
from workspace_reaper.util.interrupts import Interrupts

__all__ = ["COMEBACK", "Comeback", "bring_back", "ending_of_comeback"]

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
    from workspace_reaper.operations.restore import restore  # noqa: PLC0415  late: it loads all of the reaper

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
