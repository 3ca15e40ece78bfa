"""The commands that change something, each behind a test of identity inside the tmux server itself.

They go through standard input of ``source-file -``, one line for each session: the test and the command run in one pass of
the server's queue, so nothing can happen between them, and a line whose client was killed by our time limit never runs
later (one given as an argument does, after SIGCONT). Measured on tmux 3.2a to 3.7c, master of 2026-08, and 3.8.

Only ids made of ``$`` and digits, and numbers, ever enter a command: names, targets by prefix and formats never do.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from workspace_reaper.model.session import SessionKey
from workspace_reaper.model.verdict import Guard, KillResult

__all__ = [
    "check_owner_id",
    "deadline_line",
    "end_line",
    "keep_line",
    "kill_line",
    "mark_line",
    "owner_line",
    "read_answers",
    "read_kept",
    "read_owners",
    "read_taken",
    "take_line",
]

_SESSION_ID = re.compile(r"\$[0-9]+")
_OWNER_ID = re.compile(r"[0-9a-f]+")


def kill_line(guard: Guard) -> str:
    """The guarded kill. Raises ``ValueError`` where a value may not enter a command.

    It prints its answer after the kill: printing before it would run the user's ``after-display-message`` hook in between.
    """
    session_id = _checked_id(guard.key)
    terms = _identity(guard.key)
    terms.append("#{==:#{@reaper_keep},}")
    if guard.activity is not None:
        terms.append(f"#{{==:#{{session_activity}},{_checked_number(guard.activity)}}}")
    if guard.unattached:
        # session_attached is 0 for a suspended or a locked client, and says nothing of the group's peers.
        terms += ["#{==:#{session_attached},0}", "#{==:#{session_attached_list},}", "#{==:#{session_group_attached_list},}"]
    if guard.quiet_since is not None:
        terms.append(f"#{{==:#{{W:#{{?#{{e|>:#{{window_activity}},{_checked_number(guard.quiet_since)}}},1,}}}},}}")
    if guard.all_panes_dead:
        terms.append("#{==:#{W:#{P:#{?pane_dead,,1}}},}")
    if guard.unowned:
        terms.append("#{==:#{@workspace_owner},}")
    kill = f'kill-session -t {session_id} ; display-message -p "killed {session_id}"'
    spare = f'display-message -p -t {session_id}: "spared {session_id} #{{session_id}}"'
    return _line(session_id, terms, kill, spare)


def mark_line(key: SessionKey, owner_id: str) -> str:
    """Set ``@workspace_owner`` where there is none. Raises ``ValueError`` where a value may not enter a command."""
    session_id = _checked_id(key)
    terms = [*_identity(key), "#{==:#{@workspace_owner},}"]
    return _line(session_id, terms, f"set-option -t {session_id}: @workspace_owner {check_owner_id(owner_id)}")


def owner_line(key: SessionKey) -> str:
    """Print ``@workspace_owner``, each character that an owner id never has as a dot: a value may hold newlines. Raises
    ``ValueError`` where a value may not enter a command."""
    session_id = _checked_id(key)
    tell = f'display-message -p -t {session_id}: "owner {session_id} #{{s/[^0-9a-f]/./:@workspace_owner}}"'
    return _line(session_id, _identity(key), tell)


def take_line(key: SessionKey, seen: str, owner_id: str | None) -> str:
    """Where ``@workspace_owner`` is still ``seen``, set it to ``owner_id``, or take it off; then print whether tmux
    finds it so. The comparison and the change are one command: an owner that marks the session in between loses nothing.

    Raises ``ValueError`` where a value may not enter a command.
    """
    session_id = _checked_id(key)
    terms = [*_identity(key), f"#{{==:#{{@workspace_owner}},{check_owner_id(seen)}}}"]
    change = f"-u -t {session_id}: @workspace_owner"
    if owner_id is not None:
        change = f"-t {session_id}: @workspace_owner {check_owner_id(owner_id)}"
    is_so = f"#{{?#{{==:#{{@workspace_owner}},{owner_id or ''}}},1,0}}"
    return _line(session_id, terms, f'set-option {change} ; display-message -p -t {session_id}: "taken {session_id} {is_so}"')


def keep_line(key: SessionKey, *, on: bool) -> str:
    """Set or unset ``@reaper_keep``, then print what it is. Raises ``ValueError`` where a value may not enter a command."""
    session_id = _checked_id(key)
    change = f"-t {session_id}: @reaper_keep 1" if on else f"-u -t {session_id}: @reaper_keep"
    tell = f'display-message -p -t {session_id}: "kept {session_id} #{{?#{{==:#{{@reaper_keep}},}},0,1}}"'
    return _line(session_id, _identity(key), f"set-option {change} ; {tell}")


def deadline_line(key: SessionKey, at: int | None) -> str:
    """Set ``@reaper_deadline`` to these Unix seconds, or unset it. Raises ``ValueError`` where a value may not enter a
    command."""
    session_id = _checked_id(key)
    change = f"-u -t {session_id}:" if at is None else f"-t {session_id}:"
    value = "" if at is None else f" {_checked_number(at)}"
    return _line(session_id, _identity(key), f"set-option {change} @reaper_deadline{value}")


def check_owner_id(owner_id: str) -> str:
    """The owner_id itself; raises ``ValueError`` unless it is made of lower-case hexadecimal digits."""
    if not _OWNER_ID.fullmatch(owner_id):
        raise ValueError(f"{owner_id!r} is not an owner id: use only the digits 0 to 9 and a to f.")
    return owner_id


def end_line(key: SessionKey) -> str:
    """End a session of our own making, whatever it has become. Raises ``ValueError`` where a value may not enter a command."""
    session_id = _checked_id(key)
    return _line(session_id, _identity(key), f"kill-session -t {session_id}")


def read_answers(text: str) -> dict[str, KillResult]:
    """The answers in what a batch of ``kill_line`` printed, by session id. A line that is not complete is none."""
    answers: dict[str, KillResult] = {}
    for line in text.split("\n")[:-1]:
        if killed := re.fullmatch(r"killed (\$[0-9]+)", line):
            answers[killed[1]] = KillResult.KILLED
        elif spared := re.fullmatch(r"spared (\$[0-9]+) (\$[0-9]+)?", line):
            # A target that is gone falls back to another session while a client is attached anywhere.
            answers[spared[1]] = KillResult.SPARED if spared[1] == spared[2] else KillResult.GONE
    return answers


def read_owners(text: str) -> dict[str, str | None]:
    """The owner ids in what a batch of ``owner_line`` printed, by session id; None for what is no owner id. Each is only what
    ``take_line`` compares: a line that a strange value has made harms nobody."""
    told = re.findall(r"^owner (\$[0-9]+) (.*)$", text, re.MULTILINE)
    return {session_id: owner if _OWNER_ID.fullmatch(owner) else None for session_id, owner in told}


def read_taken(text: str) -> frozenset[str]:
    """The sessions that a batch of ``take_line`` has taken, by tmux's own word."""
    return frozenset(re.findall(r"^taken (\$[0-9]+) 1$", text, re.MULTILINE))


def read_kept(text: str, key: SessionKey) -> bool | None:
    """Whether the session is kept now, by what ``keep_line`` printed; None without an answer."""
    found = re.fullmatch(rf"kept {re.escape(key.session_id)} ([01])\n", text)
    return None if found is None else found[1] == "1"


def _line(session_id: str, terms: Sequence[str], then: str, otherwise: str = "") -> str:
    # The outer condition is lazy: tmux 3.2a crashes when it expands a time of a session that is gone. It compares the id
    # because a missing target falls back to another session while a client is attached anywhere.
    condition = f"#{{?#{{==:#{{session_id}},{session_id}}},{_all(terms)},0}}"
    branches = f"'{then}' '{otherwise}'" if otherwise else f"'{then}'"
    return f"if-shell -F -t '{session_id}:' '{condition}' {branches}\n"


def _all(terms: Sequence[str]) -> str:
    """Two at a time, since ``#{&&:a,b,c}`` ignores ``c`` up to tmux 3.5a; as a balanced tree, since tmux bounds the depth."""
    while len(terms) > 1:
        pairs = [terms[at : at + 2] for at in range(0, len(terms), 2)]
        terms = [f"#{{&&:{pair[0]},{pair[1]}}}" if len(pair) == 2 else pair[0] for pair in pairs]
    return terms[0]


def _identity(key: SessionKey) -> list[str]:
    return [
        f"#{{==:#{{pid}},{_checked_number(key.server_pid)}}}",
        f"#{{==:#{{start_time}},{_checked_number(key.server_start)}}}",
        f"#{{==:#{{session_created}},{_checked_number(key.created)}}}",
    ]


def _checked_id(key: SessionKey) -> str:
    if not _SESSION_ID.fullmatch(key.session_id):
        raise ValueError(f"{key.session_id!r} is no tmux session id.")
    return key.session_id


def _checked_number(value: int) -> int:
    if type(value) is not int or value < 0:  # a bool or a float would be written as one, too
        raise ValueError(f"{value!r} is no whole number of seconds, and no process id.")
    return value
