"""The commands that change a session, each guarded by its identity inside the tmux server, and their answers.

They are sent through the standard input of ``source-file -``, one line for each session. The server runs the test and the
command in one pass of its queue, so that nothing can happen between them. A line whose client was killed at the time limit
never runs later; a command given as an argument does, once a stopped server continues.

Only ids made of ``$`` and digits, numbers, and owner ids made of hexadecimal digits enter a command. Names, targets by prefix
and formats never do. For the versions of tmux on which all of this was measured see ``version.TESTED_VERSIONS``.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from workspace_reaper.model.session import SessionKey
from workspace_reaper.model.verdict import Expiry, Guard, KillResult

_OWNER_ID = re.compile(r"[0-9a-f]+")
_HEX = re.compile(r"[0-9a-f]*")
# The clock of the server at that moment, in Unix seconds. Without "l:" an old expansion was compared: stale lines were killed.
SERVER_TIME = "#{T:#{l:%s}}"

# The value of @reaper_self that a session sets on itself.
OWN_IDENTITY = "#{session_id}/#{session_created}/#{pid}"

_OWN_OPTIONS = re.compile(r"^own (\$[0-9]+)\n((?:(?!end \$).*\n)*)end \1$", re.MULTILINE)


def readable(option: str) -> str:
    """Return a format of the option's value, with a dot for each character that is no hexadecimal digit; "-" if it is empty."""
    return f"#{{?#{{==:#{{{option}}},}},-,#{{s/[^0-9a-f]/./:{option}}}}}"


# Each function that makes a line raises ValueError for a value that must not enter a command.


def kill_line(guard: Guard, expiry: Expiry) -> str:
    """Return the guarded kill.

    The guard expires: a line that waited in the socket's buffer while the server was stopped, or in a reaper that was stopped,
    kills nothing. The term has two sides, because tmux takes an empty expansion for 0.

    It prints its answer after the kill: printing it before would run the user's ``after-display-message`` hook in between.
    """
    session_id = guard.key.session_id
    until, since = _checked_number(expiry.listed_at + expiry.seconds), _checked_number(expiry.listed_at - 2)
    terms = [f"#{{e|<:{SERVER_TIME},{until}}}", f"#{{e|>:{SERVER_TIME},{since}}}", "#{==:#{@reaper_keep},}"]
    if guard.activity is not None:
        terms.append(f"#{{==:#{{session_activity}},{_checked_number(guard.activity)}}}")
    if guard.unattached:
        # session_attached is 0 for a suspended or a locked client, and does not count the clients of the group's peers.
        terms += ["#{==:#{session_attached},0}", "#{==:#{session_attached_list},}", "#{==:#{session_group_attached_list},}"]
    if guard.quiet_since is not None:
        terms.append(f"#{{==:#{{W:#{{?#{{e|>:#{{window_activity}},{_checked_number(guard.quiet_since)}}},1,}}}},}}")
    if guard.all_panes_dead:
        terms.append("#{==:#{W:#{P:#{?pane_dead,,1}}},}")
    if guard.ungrouped:
        terms.append("#{==:#{session_group},}")
    if guard.owner is not None:
        terms.append(_has("@workspace_owner", guard.owner))
    if guard.workspace is not None:
        terms.append(_has("@reaper_workspace", guard.workspace))
    kill = f'kill-session -t {session_id} ; display-message -p "killed {session_id}"'
    spare = f'display-message -p -t {session_id}: "spared {session_id} {SERVER_TIME} #{{session_id}}"'
    return _line(guard.key, kill, *terms, otherwise=spare)


def mark_line(key: SessionKey, mark: str, owner_id: str) -> str:
    """Set the three marks of a session of ours where no other owner is set. ``mark`` is that of the workspace."""
    no_other = f"#{{||:{_has('@workspace_owner', '')},{_has('@workspace_owner', owner_id)}}}"
    return _line(key, _set_marks(key.session_id, mark, owner_id), no_other)


def own_options_line(key: SessionKey) -> str:
    """Print the options that are set on the session itself: a format also finds those of windows, panes and the server.

    All of them in one command: with 1,000 sessions, each command takes 5 ms on tmux 3.8.
    """
    shown = f"show-options -q -t {key.session_id}:"
    return _line(key, f'display-message -p "own {key.session_id}" ; {shown} ; display-message -p "end {key.session_id}"')


def adopt_line(key: SessionKey, seen: str, mark: str, owner_id: str) -> str:
    """Set the three marks where the owner still is ``seen``, then print whether they are set.

    The comparison and the change are one command, so that an owner that marks the session in between loses nothing.
    """
    return _take_line(key, seen, _set_marks(key.session_id, mark, owner_id), check_owner_id(owner_id))


def release_line(key: SessionKey, seen: str) -> str:
    """Unset the three marks where the owner still is ``seen``, then print whether they are unset."""
    options = ("@workspace_owner", "@reaper_workspace", "@reaper_self")
    return _take_line(key, seen, " ; ".join(f"set-option -u -t {key.session_id}: {option}" for option in options), "")


def _take_line(key: SessionKey, seen: str, change: str, owner_id: str) -> str:
    result = f"#{{?{_has('@workspace_owner', owner_id)},1,0}}"
    answer = f'display-message -p -t {key.session_id}: "taken {key.session_id} {result}"'
    return _line(key, f"{change} ; {answer}", _has("@workspace_owner", check_owner_id(seen)))


def _set_marks(session_id: str, mark: str, owner_id: str) -> str:
    return (
        f"set-option -t {session_id}: @workspace_owner {check_owner_id(owner_id)} ; "
        f"set-option -t {session_id}: @reaper_workspace {check_owner_id(mark)} ; "
        f'set-option -F -t {session_id}: @reaper_self "{OWN_IDENTITY}"'
    )


def keep_line(key: SessionKey, *, on: bool) -> str:
    """Set or unset ``@reaper_keep``, then print whether it is set."""
    session_id = key.session_id
    change = f"-t {session_id}: @reaper_keep 1" if on else f"-u -t {session_id}: @reaper_keep"
    answer = f'display-message -p -t {session_id}: "kept {session_id} #{{?#{{==:#{{@reaper_keep}},}},0,1}}"'
    return _line(key, f"set-option {change} ; {answer}")


def deadline_line(key: SessionKey, at: int | None) -> str:
    """Set ``@reaper_deadline`` to ``at`` (Unix seconds), or unset it."""
    if at is None:
        return _line(key, f"set-option -u -t {key.session_id}: @reaper_deadline")
    return _line(key, f"set-option -t {key.session_id}: @reaper_deadline {_checked_number(at)}")


def end_line(key: SessionKey) -> str:
    """Kill a session that this process has made, whatever its state."""
    return _line(key, f"kill-session -t {key.session_id}")


def check_owner_id(owner_id: str) -> str:
    """Return the owner id, or another mark. Raise ``ValueError`` unless it consists of lower-case hexadecimal digits."""
    if not _OWNER_ID.fullmatch(owner_id):
        raise ValueError(f"{owner_id!r} is not an owner id: use only the digits 0 to 9 and a to f.")
    return owner_id


def check_session_id(key: SessionKey) -> str:
    """Return the session id of the key. Raise ``ValueError`` unless it is ``$`` and digits."""
    if not re.fullmatch(r"\$[0-9]+", key.session_id):
        raise ValueError(f"invalid tmux session id {key.session_id!r}")
    return key.session_id


def read_answers(text: str, expiry: Expiry) -> dict[str, KillResult]:
    """Return the answers in the output of a batch of ``kill_line``, by session id. An incomplete line is ignored."""
    answers: dict[str, KillResult] = {}
    for line in text.split("\n")[:-1]:
        if killed := re.fullmatch(r"killed (\$[0-9]+)", line):
            answers[killed[1]] = KillResult.KILLED
        elif spared := re.fullmatch(r"spared (\$[0-9]+) ([0-9]{1,18}) (\$[0-9]+)?", line):
            # While any client is attached, a target that is gone falls back to another session.
            is_there, is_valid = spared[1] == spared[3], expiry.admits(int(spared[2]))
            answers[spared[1]] = (KillResult.SPARED if is_valid else KillResult.STALE) if is_there else KillResult.GONE
    return answers


def read_own_options(text: str, keys: Collection[SessionKey]) -> dict[SessionKey, dict[str, str]]:
    """Return the options in the output of a batch of ``own_options_line``.

    A session without a complete answer is missing, and so is a value of ``@reaper_self`` that is that of another session.
    ``show-options`` prints a value with its newlines escaped, so that none can forge a line.
    """
    wanted = {key.session_id: key for key in keys}
    found: dict[SessionKey, dict[str, str]] = {}
    for session_id, lines in _OWN_OPTIONS.findall(text):
        if session_id in wanted:
            key, options = wanted[session_id], (line.partition(" ") for line in lines.split("\n") if line.startswith("@"))
            own = {name: _unquoted(value) for name, _, value in options}
            if own.get("@reaper_self") != f"{session_id}/{key.created}/{key.server_pid}":
                own.pop("@reaper_self", None)
            found[key] = own
    return found


def _unquoted(value: str) -> str:
    """Return the value of an option as ``show-options`` prints it: in quotes if it is empty or has odd characters."""
    return re.sub(r"\\(.)", r"\1", value[1:-1]) if value[:1] in ("'", '"') and value[-1:] == value[:1] else value


def read_taken(text: str) -> frozenset[str]:
    """Return the ids of the sessions that a batch of ``adopt_line`` or ``release_line`` has changed, as tmux reported."""
    return frozenset(re.findall(r"^taken (\$[0-9]+) 1$", text, re.MULTILINE))


def read_kept(text: str, key: SessionKey) -> bool | None:
    """Return whether the session is kept now, from the output of ``keep_line``; None without an answer."""
    found = re.fullmatch(rf"kept {re.escape(key.session_id)} ([01])\n", text)
    return None if found is None else found[1] == "1"


def _line(key: SessionKey, command: str, *terms: str, otherwise: str = "") -> str:
    """Run ``command`` where the session still has the identity ``key`` and all terms hold; else run ``otherwise``."""
    session_id = check_session_id(key)
    identity = [
        f"#{{==:#{{pid}},{_checked_number(key.server_pid)}}}",
        f"#{{==:#{{start_time}},{_checked_number(key.server_start)}}}",
        f"#{{==:#{{session_created}},{_checked_number(key.created)}}}",
    ]
    # The outer condition is lazy: tmux 3.2a crashes when it expands a time of a session that is gone. It compares the id
    # because a missing target falls back to another session while any client is attached.
    condition = f"#{{?#{{==:#{{session_id}},{session_id}}},{_all([*identity, *terms])},0}}"
    branches = f"'{command}' '{otherwise}'" if otherwise else f"'{command}'"
    return f"if-shell -F -t '{session_id}:' '{condition}' {branches}\n"


def _has(option: str, value: str) -> str:
    """Return a term: the option has this value, which consists of hexadecimal digits or is empty."""
    if not _HEX.fullmatch(value):
        raise ValueError(f"invalid value {value!r} of {option}")
    return f"#{{==:#{{{option}}},{value}}}"


def _all(terms: Sequence[str]) -> str:
    """Nest two at a time: up to tmux 3.5a ``#{&&:a,b,c}`` ignores ``c``. As a balanced tree: tmux limits the depth."""
    while len(terms) > 1:
        pairs = [terms[at : at + 2] for at in range(0, len(terms), 2)]
        terms = [f"#{{&&:{pair[0]},{pair[1]}}}" if len(pair) == 2 else pair[0] for pair in pairs]
    return terms[0]


def _checked_number(value: int) -> int:
    if type(value) is not int or value < 0:  # a bool or a float would be written as one, too
        raise ValueError(f"invalid number of seconds or process id {value!r}")
    return value
