"""How the end of a tmux client is reported. A script takes the place of tmux on PATH."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from workspace_reaper.tmux.client import run


def test_what_it_printed_is_kept_as_it_is(program: Callable[[str], None]) -> None:
    program("#!/bin/sh\nprintf 'a\\tb\\n\\377\\n'; printf 'no\\n' >&2; exit 3\n")
    completed = run(["x"])
    assert (completed.exit_code, completed.stdout, completed.stderr) == (3, "a\tb\n\udcff\n", "no\n")
    assert completed.failure is None
    assert completed.argv[1:] == ("x",)


def test_the_environment(program: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TMUX", "TMUX_PANE", "TMUX_TMPDIR", "HOME"):
        monkeypatch.setenv(name, "here")
    program('#!/bin/sh\necho "${TMUX-no} ${TMUX_PANE-no} $TMUX_TMPDIR $HOME"\n')
    assert run([]).stdout == "no no here here\n"


@pytest.mark.parametrize("stdin", [None, "", "two\nlines\n"])
def test_standard_input(program: Callable[[str], None], stdin: str | None) -> None:
    program("#!/bin/sh\nexec cat\n")
    assert run([], stdin=stdin).stdout == (stdin or "")


def test_a_client_that_does_not_read_its_input(program: Callable[[str], None]) -> None:
    program("#!/bin/sh\nexit 0\n")
    assert run([], stdin="x" * 1_000_000).failure is None


def test_the_time_limit_ends_it(program: Callable[[str], None]) -> None:
    program("#!/bin/sh\ntrap '' TERM\necho begun\nexec sleep 1000\n")
    completed = run([], limit=0.3)
    assert completed.failure is not None
    assert "within 0.3 s" in completed.failure
    assert (completed.exit_code, completed.stdout) == (-signal.SIGKILL, "begun\n")


@pytest.mark.parametrize(("number", "name"), [(15, "SIGTERM"), (9, "SIGKILL"), (40, "signal 40")])
def test_a_signal_is_no_answer(program: Callable[[str], None], number: int, name: str) -> None:
    program(f"#!/bin/sh\nkill -{number} $$\n")
    assert run([]).failure == f"The tmux client was ended by {name}."


def test_no_tmux(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    completed = run(["-V"])
    assert completed.exit_code == 127
    assert "install tmux 3.2a or newer" in (completed.failure or "")


def test_a_tmux_that_can_not_be_started(program: Callable[[str], None]) -> None:
    program("#!/nowhere/sh\n")
    completed = run([])
    assert completed.exit_code == 127
    assert "could not be started: No such file or directory." in (completed.failure or "")


class Interrupted(BaseException):
    """As ``KeyboardInterrupt``, in one of our tests only."""


def test_an_interrupted_caller_leaves_no_client_behind(program: Callable[[str], None], tmp_path: Path) -> None:
    program(f"#!/bin/sh\necho $$ > {tmp_path}/pid\ncat\nkill -USR1 $PPID\nexec sleep 1000\n")

    def interrupt(*_: object) -> None:
        raise Interrupted

    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        with pytest.raises(Interrupted):
            run([], stdin="", limit=60)  # its end tells the program that we wait for it
    finally:
        signal.signal(signal.SIGUSR1, before)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
