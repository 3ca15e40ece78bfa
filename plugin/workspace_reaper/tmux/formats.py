"""The formats of a listing, and the strict parsing of its rows. Nothing here runs a command.

One invocation prints a row for each session, then one for the server, then one for each pane. Each row begins with its kind,
and its fields are separated by TABs. The server's row ends the sessions: without it the answer is incomplete.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import NamedTuple

from workspace_reaper.model.session import Owner, Pane, Server, Session, SessionKey, Window
from workspace_reaper.tmux.commands import OWN_IDENTITY, SERVER_TIME, check_owner_id, readable

__all__ = [
    "PANE_FORMAT",
    "PANE_KIND",
    "SERVER_FORMAT",
    "SERVER_KIND",
    "SESSION_KIND",
    "BadField",
    "NoRow",
    "range_filter",
    "read_pane",
    "read_server",
    "read_session",
    "session_format",
    "session_id_of",
]

SESSION_KIND, SERVER_KIND, PANE_KIND = "S\t", "E\t", "P\t"


class NoRow(ValueError):
    """A line that is not a row: the whole answer is unreliable."""


class BadField(ValueError):
    """A row with an invalid field: the session exists, and nothing else is known about it."""


class _Field(NamedTuple):
    name: str
    token: str
    pattern: str


_TIME = _PID = r"[1-9][0-9]{0,17}"
_COUNT = r"[0-9]{1,18}"
_FLAG = r"[01]"
_MARK = r"=|-|[0-9a-f.]+"
_ID = re.compile(r"\$(?:0|[1-9][0-9]{0,9})")  # tmux counts them in 32 bits

# No option is printed as it is: its value may contain TABs and newlines. Up to tmux 3.5a "#{!:x}" does not exist and
# "#{&&:a,b,c}" ignores c; "#{W:a,b}" splits at a comma, hence "=" and "/". Our own owner is printed as "=", because to
# compare is cheaper than to replace characters, and an empty option as "-", so that no field is empty. The name comes last.
_SESSION_FIELDS = (
    _Field("session_id", "#{session_id}", _ID.pattern),
    _Field("pid", "#{pid}", _PID),
    _Field("start_time", "#{start_time}", _TIME),
    _Field("session_created", "#{session_created}", _TIME),
    _Field("session_activity", "#{session_activity}", _TIME),
    _Field("session_last_attached", "#{session_last_attached}", rf"(?:{_TIME})?"),  # empty: never attached
    _Field("session_attached", "#{session_attached}", _COUNT),
    _Field("session_attached_list", "#{?session_attached_list,1,0}", _FLAG),
    _Field("session_group_attached_list", "#{?session_group_attached_list,1,0}", _FLAG),
    _Field("session_grouped", "#{?session_grouped,1,0}", _FLAG),
    _Field("@reaper_keep", "#{?#{==:#{@reaper_keep},},0,1}", _FLAG),
    _Field("pane_dead", "#{?#{==:#{W:#{P:#{?pane_dead,,1}}},},1,0}", _FLAG),
    _Field("version", "#{version}", r"[^\t]+"),
    _Field("windows", "#{W:#{window_id}=#{window_activity}=#{window_linked}/}", rf"(?:@[0-9]+={_TIME}={_FLAG}/)+"),
    _Field("@workspace_owner", f"#{{?#{{==:#{{@workspace_owner}},OWNER}},=,{readable('@workspace_owner')}}}", _MARK),
    _Field("@reaper_workspace", readable("@reaper_workspace"), _MARK),
    _Field("@reaper_self", f"#{{==:#{{@reaper_self}},{OWN_IDENTITY}}}", _FLAG),
    _Field("session_name", "#{session_name}", r"[^\t]+"),
)
_PANE_FIELDS = (
    _Field("session_id", "#{session_id}", _ID.pattern),
    _Field("pane_id", "#{pane_id}", r"%[0-9]+"),
    _Field("window_id", "#{window_id}", r"@[0-9]+"),
    _Field("pane_pid", "#{pane_pid}", rf"(?:{_COUNT})?"),  # tmux 3.8 prints none for a dead pane
    _Field("pane_dead", "#{pane_dead}", _FLAG),
    _Field("pane_dead_time", "#{pane_dead_time}", rf"(?:{_TIME})?"),  # empty: alive, or tmux 3.2a
)
_SERVER_FIELDS = (
    _Field("pid", "#{pid}", _PID),
    _Field("start_time", "#{start_time}", _TIME),
    _Field("version", "#{version}", r"[^\t]+"),
    _Field("server time", SERVER_TIME, _TIME),
)


def _format(kind: str, fields: tuple[_Field, ...]) -> str:
    return kind + "\t".join(field.token for field in fields)


def _row(kind: str, fields: tuple[_Field, ...]) -> re.Pattern[str]:
    return re.compile(kind + "\t".join(f"({field.pattern})" for field in fields))


PANE_FORMAT = _format(PANE_KIND, _PANE_FIELDS)
SERVER_FORMAT = _format(SERVER_KIND, _SERVER_FIELDS)
_SESSION_ROW = _row(SESSION_KIND, _SESSION_FIELDS)
_PANE_ROW = _row(PANE_KIND, _PANE_FIELDS)
_SERVER_ROW = _row(SERVER_KIND, _SERVER_FIELDS)
_WINDOW = re.compile(r"(@[0-9]+)=([0-9]+)=([01])/")


def session_format(owner_id: str) -> str:
    """Return the format of a session's row. ``owner_id`` counts as ours. Raise ``ValueError`` for what is not an owner id."""
    return _format(SESSION_KIND, _SESSION_FIELDS).replace("OWNER", check_owner_id(owner_id))


def range_filter(session_ids: Collection[str]) -> str:
    """Return a filter (``-f``) for the sessions from the lowest to the highest of these ids. It may match others.

    Comparing two ids costs the server little for each session; a pattern of all ids would cost as much as the row.
    Raise ``ValueError`` for what is not a session id.
    """
    numbers = [int(session_id[1:]) for session_id in session_ids if _ID.fullmatch(session_id)]
    if len(numbers) != len(session_ids) or not numbers:
        raise ValueError(f"invalid session ids: {session_ids!r}")
    low, high = min(numbers), max(numbers)
    if len(str(low)) == len(str(high)):
        # Among ids of one length the order of texts is that of the numbers, and costs 6 us for each session instead of 16.
        return f"#{{&&:#{{>=:#{{session_id}},${low}}},#{{<=:#{{session_id}},${high}}}}}"
    number = "#{s/^.//:session_id}"
    return f"#{{&&:#{{e|>=:{number},{low}}},#{{e|<=:{number},{high}}}}}"


def session_id_of(line: str) -> str:
    """Return the session id in a session's or a pane's row. Raise ``NoRow`` if it or the number of fields is wrong."""
    parts = line.split("\t")
    expected = len(_SESSION_FIELDS if line.startswith(SESSION_KIND) else _PANE_FIELDS) + 1
    if len(parts) != expected:
        raise NoRow(f"a row has {len(parts)} fields instead of {expected}")
    if not _ID.fullmatch(parts[1]):
        raise NoRow(f"{parts[1]!r} in place of a session id")
    return parts[1]


def read_server(line: str) -> tuple[Server, int]:
    """Parse the server's own row. Return the server and its clock in Unix seconds. Raise ``NoRow`` for any other row."""
    found = _SERVER_ROW.fullmatch(line)
    if found is None:
        raise NoRow("the server's own row is invalid")
    return Server(pid=int(found[1]), start=int(found[2]), version=found[3]), int(found[4])


def read_session(line: str, socket: str, server: Server, panes: tuple[Pane, ...], owner_ids: Sequence[str]) -> Session:
    """Parse a session's row with the right number of fields. Raise ``BadField``.

    ``owner_ids`` are ours. The first is that of the format, which prints it as "=".
    """
    session_id, pid, start, created, activity, last_attached, attached, *rest = _fields(line, _SESSION_ROW, _SESSION_FIELDS)
    client, group_client, grouped, kept, dead, version, windows, owner, workspace, is_self, name = rest
    if (int(pid), int(start), version) != (server.pid, server.start, server.version):
        raise BadField(f"pid, start_time and version are {pid}, {start} and {version}, and differ from those of the server")
    return Session(
        key=SessionKey(socket, server.pid, server.start, session_id, int(created)),
        name=name,
        activity=int(activity),
        last_attached=int(last_attached) if last_attached else None,
        attached=int(attached),
        has_client=client == "1",
        group_has_client=group_client == "1",
        grouped=grouped == "1",
        kept=kept == "1",
        all_panes_dead=dead == "1",
        owner=Owner.NONE if owner == "-" else Owner.OURS if owner == "=" or owner in owner_ids else Owner.FOREIGN,
        version=version,
        windows=tuple(Window(window, int(moved), linked == "1") for window, moved, linked in _WINDOW.findall(windows)),
        panes=panes,
        owner_id={"=": owner_ids[0], "-": ""}.get(owner, owner),
        workspace_mark="" if workspace == "-" else workspace,
        is_self_marked=is_self == "1",
    )


def read_pane(line: str) -> Pane:
    """Parse a pane's row with the right number of fields. The pid of a dead pane may be 0. Raise ``BadField``."""
    _, pane_id, window_id, pid, is_dead, dead_at = _fields(line, _PANE_ROW, _PANE_FIELDS)
    dead = is_dead == "1"
    if not dead and not int(pid or 0):
        raise BadField(f"pane_pid of the living pane {pane_id} is {pid!r}")
    return Pane(pane_id, window_id, int(pid or 0), dead, int(dead_at) if dead and dead_at else None)


def _fields(line: str, row: re.Pattern[str], fields: tuple[_Field, ...]) -> tuple[str, ...]:
    if found := row.fullmatch(line):
        return found.groups()
    values = zip(fields, line.split("\t")[1:], strict=True)
    raise BadField(", ".join(f"{field.name} is {value!r}" for field, value in values if not re.fullmatch(field.pattern, value)))
