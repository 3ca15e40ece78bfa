"""A tmux that errs, in front of the real one: never is a session taken for missing."""

from __future__ import annotations

import pytest

from tests.tools.front_tmux import FrontTmux, Rule
from tests.tools.tmux import TmuxServer
from workspace_reaper.model.session import Listing
from workspace_reaper.model.unknown import Source, Unknown
from workspace_reaper.tmux.formats import session_format
from workspace_reaper.tmux.terminal import TmuxTerminal

STAMP = "0123abcd"
TOKENS = session_format(STAMP).split("\t")[1:]


@pytest.fixture
def terminal(tmux_server: TmuxServer) -> TmuxTerminal:
    for name in ("sick", "well"):
        tmux_server.new_session(name)
    return TmuxTerminal(tmux_server.path)


@pytest.mark.parametrize(
    "token", [it for it in TOKENS if it not in ("#{session_id}", "#{session_last_attached}", "#{session_name}")]
)
def test_each_field_in_turn_is_empty(terminal: TmuxTerminal, front_tmux: FrontTmux, token: str) -> None:
    """The seed's own regression: a row that could not be parsed was read as "already gone", for 44 cycles."""
    front_tmux.rules(Rule("list-sessions", replace={token: ""}, sessions=["sick"], times=1))
    answer = terminal.observe(STAMP)
    assert isinstance(answer, Listing)
    assert [session.name for session in answer.sessions] == ["well"]
    assert [(it.source, it.session) for it in answer.unreadable] == [(Source.SESSION, "sick")]


def test_a_session_that_can_be_read_again(terminal: TmuxTerminal, front_tmux: FrontTmux) -> None:
    front_tmux.rules(Rule("list-sessions", skip=1, times=1, replace={"#{session_activity}": ""}, sessions=["sick"]))
    answers = [terminal.observe(STAMP) for _ in range(3)]
    assert [len(answer.sessions) for answer in answers if isinstance(answer, Listing)] == [2, 1, 2]


def test_a_name_that_is_empty(terminal: TmuxTerminal, tmux_server: TmuxServer, front_tmux: FrontTmux) -> None:
    front_tmux.rules(Rule("list-sessions", replace={"#{session_name}": ""}, sessions=["sick"]))
    answer = terminal.observe(STAMP)
    assert isinstance(answer, Listing)
    assert [it.session for it in answer.unreadable] == [
        it for it in tmux_server.session_ids() if it not in {session.key.session_id for session in answer.sessions}
    ]


def test_the_one_field_that_may_be_empty(terminal: TmuxTerminal, front_tmux: FrontTmux) -> None:
    front_tmux.rules(Rule("list-sessions", replace={"#{session_last_attached}": ""}))
    answer = terminal.observe(STAMP)
    assert isinstance(answer, Listing)
    assert len(answer.sessions) == 2


FAULTS = {
    "exit code": Rule(exit_code=1),
    "text beside the rows": Rule(stderr="access not allowed\n"),
    "signal": Rule(signal_number=15),
    "nothing, exit code 0": Rule(real=False, exit_code=0),
    "busy": Rule(real=False, exit_code=1, stderr="error connecting to s (Resource temporarily unavailable)\n"),
    "absent, says tmux": Rule(real=False, exit_code=1, stderr="error connecting to {path} (No such file or directory)\n"),
    "no server, says tmux": Rule(real=False, exit_code=1, stderr="no server running on {path}\n"),
    "no session, says tmux": Rule(exit_code=1, stderr="no current target\n"),
    "no session, nothing printed": Rule(real=False, exit_code=1, stderr="no current target\n"),
    "a session twice": Rule(duplicate=["sick"]),
    "no id": Rule(replace={"#{session_id}": ""}, sessions=["sick"]),
    "one row": Rule(keep_lines=1),
    "sessions only": Rule(keep_lines=2),
    "a row cut": Rule(keep_bytes=30),
    "the last newline cut": Rule(keep_bytes=-1),
    "a line more": Rule(stdout="hello\n"),
    "no TAB": Rule(real=False, exit_code=0, stdout="S_$0_1\nE_1_2_3.3a\n"),
    "too slow": Rule(delay=60),
}


@pytest.mark.parametrize(
    ("rule", "panes"),
    [
        *(pytest.param(rule, True, id=f"{name}, panes") for name, rule in FAULTS.items()),
        *(pytest.param(FAULTS[name], False, id=f"{name}, sessions") for name in ("one row", "sessions only", "a line more")),
    ],
)
def test_the_socket_is_unknown(tmux_server: TmuxServer, front_tmux: FrontTmux, rule: dict[str, object], panes: bool) -> None:
    for name in ("sick", "well"):
        tmux_server.new_session(name)
    front_tmux.rules(rule | {"stderr": str(rule["stderr"]).format(path=tmux_server.path)})
    answer = TmuxTerminal(tmux_server.path, limit=0.5 if rule["delay"] else 5).observe(STAMP, panes=panes)
    assert isinstance(answer, Unknown)
    assert (answer.source, answer.socket) == (Source.SOCKET, tmux_server.path)
    assert answer.reason.endswith(".")


def test_a_session_dropped_from_the_rows_betrays_itself_by_its_pane(terminal: TmuxTerminal, front_tmux: FrontTmux) -> None:
    front_tmux.rules(Rule("list-sessions", drop=["sick"], kind="S"))
    assert isinstance(terminal.observe(STAMP), Unknown)


def test_a_fault_that_passes(terminal: TmuxTerminal, front_tmux: FrontTmux) -> None:
    """I05: three failures in a row, and then an answer."""
    front_tmux.rules(Rule("list-sessions", skip=1, times=3, exit_code=1, stderr="lost server\n"))
    answers = [terminal.observe(STAMP) for _ in range(5)]
    assert [isinstance(answer, Listing) for answer in answers] == [True, False, False, False, True]
