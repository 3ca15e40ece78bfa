"""The demo from the first line to the exit code."""

from __future__ import annotations

import logging
import sys
import textwrap
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress

from workspace_reaper.demo.helpers import Helpers
from workspace_reaper.demo.host import Host, Load, load_reaper_alone
from workspace_reaper.demo.results import DemoOutcome, accident_outcome, session_outcomes
from workspace_reaper.demo.sandbox import sandbox
from workspace_reaper.demo.scenario import RESTORED, THRESHOLDS
from workspace_reaper.demo.steps import DemoSteps
from workspace_reaper.demo.tmux import PrivateTmux
from workspace_reaper.model.errors import ReaperError
from workspace_reaper.tmux.version import MINIMUM, tmux_version
from workspace_reaper.util.console import print_table, progress, say
from workspace_reaper.util.interrupts import Interrupted, Interrupts


def run_demo(load: Load = load_reaper_alone, *, final: bool = False) -> int:
    """Show the whole reaper in a sandbox and check each outcome; this takes about ten seconds. Leaves no process and no file.

    Args:
        load: Loads the plugins of the host.
        final: The program ends afterwards. See ``Interrupts``.

    Returns:
        The exit code: 0 if every outcome is the expected one; 128 and the number of the signal after Ctrl-C, SIGTERM or
        SIGHUP; 1 if an outcome differs, tmux or the plugin is missing, or something could not be cleaned up.
    """
    with Interrupts(final=final) as interrupts:
        return _run(interrupts, load)


def show(outcomes: Sequence[DemoOutcome], seconds: float) -> int:
    """Print how many outcomes are as expected, and each that is not. Return 0 if all are, else 1."""
    different = [outcome for outcome in outcomes if not outcome.as_expected]
    say(f"{len(outcomes) - len(different)} of {len(outcomes)} as expected, in {seconds:.1f} s")
    for outcome in different:
        expected, happened = outcome.case.expected, outcome.happened
        say(
            f"DIFFERS {outcome.case.name}: expected {expected.word} ({expected.why}), happened {happened.word} ({happened.why})"
        )
    return 1 if different else 0


def _run(interrupts: Interrupts, load: Load) -> int:
    if problem := _unsuitable_tmux():
        return _complain(problem)
    started = time.monotonic()
    left: list[str] = []
    with _warnings() as warnings:
        try:
            with _prepared(interrupts, load, left) as steps:
                outcomes = _perform(steps)
            code = show(outcomes, time.monotonic() - started)
        except Interrupted:
            code = 128
        except ReaperError as error:
            # A signal to the whole process group may also end a tmux that has just been started.
            code = _complain(str(error)) if interrupts.signal is None else 128
    if code == 1:
        for text in warnings:
            _complain(f"in the log: {text}")
    if left:
        return _complain(f"could not be cleaned up: {', '.join(left)}")
    # Read once: a signal that comes later changes neither the last word nor the exit code.
    signal = interrupts.signal
    if signal is not None and code != 1:
        _complain(f"ended by {signal.name}; no process and no file is left")
        return 128 + signal
    if code == 0:
        say("Cleaned up: no process and no file is left.")
    return code


def _unsuitable_tmux() -> str | None:
    version = tmux_version()
    if version is None:
        return f"the demo requires {MINIMUM} or later, and there is no tmux on PATH: install it"
    return None if version.is_supported else f"the demo requires {MINIMUM} or later, and this is {version.text}: upgrade it"


@contextmanager
def _prepared(interrupts: Interrupts, load: Load, left: list[str]) -> Iterator[DemoSteps]:
    """Create everything that the steps require, and remove it afterwards. ``left`` receives what could not be removed."""
    with sandbox(left) as directory, ExitStack() as stack:
        tmux, helpers = PrivateTmux(directory / "tmux"), Helpers(directory / "elsewhere")
        stack.callback(lambda: left.extend(f"process {pid}" for pid in tmux.close()))
        stack.callback(helpers.dismiss)
        host = Host(directory / "workspaces.sqlite", load)
        stack.callback(host.plugins.close)
        say(f"In {directory}: a private tmux server, a database, and a host with the plugin.")
        yield DemoSteps(tmux, host, interrupts, helpers, directory / "workspaces")


def _perform(steps: DemoSteps) -> list[DemoOutcome]:
    say("1. The host creates workspaces, each with a tmux session. Three other sessions")
    say("   have no workspace.")
    steps.create_sessions()
    say("2. The host deletes and archives some workspaces, and calls the hook for each.")
    steps.call_hooks()
    say("   The session ws-deleted is gone. Three of its processes had left its terminal:")
    _say_indented(steps.helpers.sentences(steps.cleanup()))
    say("3. Other rows disappear or change, and no hook is called. One agent exits.")
    steps.change_silently()
    say(f"4. The reaper sweeps until it is done. Here {THRESHOLDS['idle_ttl']} s of silence count as idle.")
    with progress("waiting for the reaper"):
        steps.wait_for_the_reaper()
    say("5. A session appears before the row of its workspace does. One more sweep.")
    steps.create_late_sessions()
    before = steps.tmux.sessions()
    outcomes = session_outcomes(steps.host, steps.sessions, before)
    outcomes += [DemoOutcome(helper, ending) for helper, ending in steps.helpers.endings(steps.cleanup()).items()]
    say("6. Most rows disappear at once, as in a wrong database. Two more sweeps.")
    with progress("waiting for the reaper"):
        steps.lose_rows()
    outcomes.append(accident_outcome(steps.host, before, steps.tmux.sessions()))
    say("7. A reaped session is restored. Its pane shows:")
    with progress("waiting for the shell"):
        ending, lines = steps.restore()
    _say_indented(lines)
    outcomes.append(DemoOutcome(RESTORED, ending))
    say("")
    rows = [
        (
            outcome.case.name,
            outcome.case.stands_for,
            outcome.case.expected.word,
            outcome.happened.word if outcome.as_expected else f"{outcome.happened.word} !",
            outcome.happened.why,
        )
        for outcome in outcomes
    ]
    print_table(("SESSION", "CASE", "EXPECTED", "HAPPENED", "WHY"), rows, empty="")
    say("")
    return outcomes


def _say_indented(texts: Iterable[str]) -> None:
    for text in texts:
        for line in textwrap.wrap(text, 80, initial_indent="   ", subsequent_indent="     ", break_on_hyphens=False):
            say(line)


@contextmanager
def _warnings() -> Iterator[list[str]]:
    """Collect the warnings that the plugin and its loader log. They are shown only if something went wrong."""
    texts: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: texts.append(record.getMessage())  # type: ignore[method-assign]
    loggers = [logging.getLogger(name) for name in ("workspace_reaper", "workspace_hookspecs")]
    for logger in loggers:
        logger.addHandler(handler)
    try:
        yield texts
    finally:
        for logger in loggers:
            logger.removeHandler(handler)


def _complain(text: str) -> int:
    # The terminal itself may be gone, which is what SIGHUP means.
    with suppress(OSError):
        sys.stderr.write(f"workspace-reaper demo: {text}\n")
        sys.stderr.flush()
    return 1
