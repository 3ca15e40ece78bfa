"""The demo from the first line to the exit code."""

from __future__ import annotations

import logging
import sys
import textwrap
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress

from workspace_reaper.demo.helpers import Crew
from workspace_reaper.demo.host import Host, Load, load_reaper_alone
from workspace_reaper.demo.results import DemoOutcome, look_after_accident, look_at_all, look_at_crew
from workspace_reaper.demo.sandbox import Sandbox, environment
from workspace_reaper.demo.scenario import RULES
from workspace_reaper.demo.steps import COMEBACK, Play
from workspace_reaper.demo.tmux import PrivateTmux
from workspace_reaper.model.errors import ReaperError
from workspace_reaper.tmux import MINIMUM, tmux_version
from workspace_reaper.util.console import print_table, progress, say
from workspace_reaper.util.interrupts import Interrupted, Interrupts

__all__ = ["run_demo", "show"]


def run_demo(load: Load = load_reaper_alone, *, final: bool = False) -> int:
    """Show all of the reaper in a sandbox, and check it; about ten seconds. ``load`` makes the host's plugins. ``final``: the
    program ends after it.

    The exit code: 0 if everything happened as it should; 1 if not, if tmux or the plugin is missing, or if something could
    not be cleaned up; 128 and the signal's number after Ctrl-C, SIGTERM or SIGHUP. No process and no file is left in any case.
    """
    with Interrupts(final=final) as interrupts:
        code = _run(interrupts, load)
    if interrupts.signal is not None and code != 1:
        return 128 + interrupts.signal
    return code


def show(outcomes: Sequence[DemoOutcome], seconds: float) -> int:
    """Print the verdict on these outcomes; 0 if each is as expected, else 1."""
    wrong = [outcome for outcome in outcomes if not outcome.as_expected]
    right = len(outcomes) - len(wrong)
    say(f"{right} of {len(outcomes)} as expected, in {seconds:.1f} s")
    for outcome in wrong:
        expected, happened = outcome.role.expected, outcome.happened
        say(
            f"DIFFERS {outcome.role.name}: expected {expected.word} ({expected.why}), happened {happened.word} ({happened.why})"
        )
    return 1 if wrong else 0


def _run(interrupts: Interrupts, load: Load) -> int:
    if problem := _unfit_tmux():
        return _complain(problem)
    started = time.monotonic()
    left: list[str] = []
    outcomes: list[DemoOutcome] = []
    with _warnings() as warnings:
        try:
            with _stage(interrupts, load, left) as play:
                _perform(play, outcomes)
            code = show(outcomes, time.monotonic() - started)
        except Interrupted:
            code = 128
        except ReaperError as error:
            # A signal to the whole process group may also end a tmux that was just started.
            code = _complain(str(error)) if interrupts.signal is None else 128
    if code == 1:
        for text in warnings:
            _complain(f"meanwhile in the log: {text}")
    if left:
        return _complain(f"this could not be cleaned up: {', '.join(left)}")
    if code != 1:
        _tell_end(interrupts)
    return code


def _unfit_tmux() -> str | None:
    minimum = f"{MINIMUM} or later"
    version = tmux_version()
    if version is None:
        return f"the demo needs {minimum}, and there is none on PATH: install tmux"
    return None if version.is_supported else f"the demo needs {minimum}, and this one is {version.text}: install a newer one"


@contextmanager
def _stage(interrupts: Interrupts, load: Load, left: list[str]) -> Iterator[Play]:
    """Everything that the play needs, and afterwards nothing of it. ``left`` gets what could not be removed."""
    sandbox = Sandbox()
    try:
        with environment(sandbox.configure()), ExitStack() as stack:
            crew = Crew(sandbox.elsewhere)
            stack.callback(lambda: left.extend(f"process {pid}" for pid in crew.close()))
            tmux = PrivateTmux(sandbox.socket)
            stack.callback(lambda: left.extend(f"process {pid}" for pid in tmux.close()))
            host = Host(sandbox.database, load)
            stack.callback(host.close)
            say(f"In {sandbox.directory}: a tmux server, a database, a host with the plugin.")
            yield Play(tmux, host, interrupts, crew, sandbox.workspaces)
    finally:
        if not sandbox.close():
            left.append(str(sandbox.directory))


def _perform(play: Play, outcomes: list[DemoOutcome]) -> None:
    say("1. The host opens workspaces with a tmux session each; others make three more.")
    play.open()
    say("2. It deletes and archives some, and fires a hook after each commit.")
    play.fire_hooks()
    say("   The terminal of ws-deleted is gone. Three processes had left it before:")
    reap = play.reap_of_crew()
    _say_all(play.crew.tell(reap.aftermath if reap else None))
    say("3. Other rows vanish or change without a hook. An agent ends.")
    play.keep_silent()
    say(f"4. Ticks, until all is gone that should go. Here {RULES['idle_ttl']} s of silence are too long.")
    with progress("waiting for the reaper"):
        play.wait_for_the_reaper()
    say("5. A session appears before its row does. One more tick.")
    play.close()
    before = play.tmux.sessions()
    outcomes.extend(look_at_all(play.host, play.made, before))
    outcomes.extend(look_at_crew(play.crew, play.reap_of_crew()))
    say("6. Most rows are lost at once, as in a wrong database. Two more ticks.")
    with progress("waiting for the reaper"):
        play.lose_rows()
    outcomes.append(look_after_accident(play.host, before, play.tmux.sessions()))
    say("7. One that was reaped is restored. Its pane, as it is now:")
    with progress("waiting for the shell"):
        comeback = play.bring_back()
    _say_all(comeback.lines)
    outcomes.append(DemoOutcome(COMEBACK, comeback.ending))
    say("")
    rows = [
        (
            outcome.role.name,
            outcome.role.stands_for,
            outcome.role.expected.word,
            outcome.happened.word if outcome.as_expected else f"{outcome.happened.word} !",
            outcome.happened.why,
        )
        for outcome in outcomes
    ]
    print_table(("SESSION", "STANDS FOR", "EXPECTED", "HAPPENED", "WHY"), rows, empty="")
    say("")


def _say_all(texts: Iterable[str]) -> None:
    """Indented, each folded to the width of a terminal."""
    for text in texts:
        for line in textwrap.wrap(text, 80, initial_indent="   ", subsequent_indent="     ", break_on_hyphens=False):
            say(line)


@contextmanager
def _warnings() -> Iterator[list[str]]:
    """What the plugin and its loader log meanwhile, from warnings upwards. It is shown only if something went wrong."""
    texts: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            texts.append(record.getMessage())

    handler = Collector(logging.WARNING)
    loggers = [logging.getLogger(name) for name in ("workspace_reaper", "workspace_hookspecs")]
    for logger in loggers:
        logger.addHandler(handler)
    try:
        yield texts
    finally:
        for logger in loggers:
            logger.removeHandler(handler)


def _complain(text: str) -> int:
    # The terminal itself may be gone: that is what SIGHUP says.
    with suppress(OSError):
        sys.stderr.write(f"workspace-reaper demo: {text}\n")
        sys.stderr.flush()
    return 1


def _tell_end(interrupts: Interrupts) -> None:
    if interrupts.signal is None:
        say("No process and no file is left.")
    else:
        _complain(f"ended by {interrupts.signal.name}; no process and no file is left")
