"""The strict parsing of a listing: an invalid row makes the socket unknown, an invalid field one session."""

from __future__ import annotations

import pytest

from workspace_reaper.model.session import Listing, Owner, Pane, Server, SessionKey, Window
from workspace_reaper.model.unknown import Source, Unknown
from workspace_reaper.tmux.formats import PANE_FORMAT, SERVER_FORMAT, session_format
from workspace_reaper.tmux.listing import ListingReader

SOCKET = "/tmp/tmux-7/s"
OURS = "0ab"
SERVER = "E\t77\t1000\t3.3a\t1100"
FIELDS = {
    "session_id": "$1",
    "pid": "77",
    "start_time": "1000",
    "session_created": "1001",
    "session_activity": "1002",
    "session_last_attached": "1003",
    "session_attached": "0",
    "session_attached_list": "0",
    "session_group_attached_list": "0",
    "session_grouped": "0",
    "@reaper_keep": "0",
    "pane_dead": "0",
    "version": "3.3a",
    "windows": "@1=1004=0/@2=1005=1/",
    "@workspace_owner": "=",
    "@reaper_workspace": "7731",
    "@reaper_self": "1",
    "session_name": "vk_a b",
}
PANE = {"session_id": "$1", "pane_id": "%1", "window_id": "@1", "pane_pid": "42", "pane_dead": "0", "pane_dead_time": ""}


def session_row(**changes: str) -> str:
    return "\t".join(["S", *(FIELDS | changes).values()])


def pane_row(**changes: str) -> str:
    return "\t".join(["P", *(PANE | changes).values()])


OTHER = session_row(session_id="$2", session_name="other")
OTHER_PANE = pane_row(session_id="$2", pane_id="%2")


def text(*lines: str) -> str:
    return "".join(line + "\n" for line in lines)


def read(*lines: str, panes: bool = True) -> Listing | Unknown:
    return ListingReader(SOCKET).read(text(*lines), (OURS,), panes=panes)


def listing(*lines: str, panes: bool = True) -> Listing:
    answer = read(*lines, panes=panes)
    assert isinstance(answer, Listing), answer
    return answer


def test_every_field_is_read() -> None:
    answer = listing(session_row(), SERVER, pane_row(pane_dead="1", pane_dead_time="1006"))
    (session,) = answer.sessions
    assert (answer.socket, answer.unreadable, answer.server) == (SOCKET, (), Server(77, 1000, "3.3a"))
    assert session.key == SessionKey(SOCKET, 77, 1000, "$1", 1001)
    assert (session.name, session.version, session.owner) == ("vk_a b", "3.3a", Owner.OURS)
    assert (session.activity, session.last_attached, session.attached) == (1002, 1003, 0)
    assert session.windows == (Window("@1", 1004, False), Window("@2", 1005, True))
    assert session.panes == (Pane("%1", "@1", 42, True, 1006),)
    flags = (session.has_client, session.group_has_client, session.grouped, session.kept, session.all_panes_dead)
    assert flags == (False,) * 5


@pytest.mark.parametrize(
    ("field", "attribute"),
    [
        ("session_attached_list", "has_client"),
        ("session_group_attached_list", "group_has_client"),
        ("session_grouped", "grouped"),
        ("@reaper_keep", "kept"),
        ("pane_dead", "all_panes_dead"),
    ],
)
def test_each_flag_is_its_own(field: str, attribute: str) -> None:
    (session,) = listing(session_row(**{field: "1"}), SERVER, pane_row()).sessions
    names = ("has_client", "group_has_client", "grouped", "kept", "all_panes_dead")
    assert {name for name in names if getattr(session, name)} == {attribute}


@pytest.mark.parametrize(
    ("printed", "owner", "owner_id"),
    [("-", Owner.NONE, ""), ("feed", Owner.FOREIGN, "feed"), ("a..c", Owner.FOREIGN, "a..c"), ("=", Owner.OURS, OURS)],
    ids=["none", "foreign", "odd", "ours"],
)
def test_owners(printed: str, owner: Owner, owner_id: str) -> None:
    (session,) = listing(session_row(**{"@workspace_owner": printed}), SERVER, pane_row()).sessions
    assert (session.owner, session.owner_id) == (owner, owner_id)


def test_the_marks() -> None:
    (session,) = listing(session_row(), SERVER, pane_row()).sessions
    assert (session.workspace_mark, session.is_self_marked) == ("7731", True)
    (session,) = listing(session_row(**{"@reaper_workspace": "-", "@reaper_self": "0"}), SERVER, pane_row()).sessions
    assert (session.workspace_mark, session.is_self_marked) == ("", False)


def test_another_owner_id_of_ours_reads_the_same_rows_again() -> None:
    reader, rows = ListingReader(SOCKET), text(session_row(), SERVER, pane_row())
    found = [reader.read(rows, (owner_id,), panes=True) for owner_id in ("0a", "0b")]
    assert [one.sessions[0].owner_id for one in found if isinstance(one, Listing)] == ["0a", "0b"]


def test_a_session_that_was_never_attached() -> None:
    assert listing(session_row(session_last_attached=""), SERVER, pane_row()).sessions[0].last_attached is None


@pytest.mark.parametrize(
    ("pane", "read_as"),
    [
        ({"pane_dead": "1"}, Pane("%1", "@1", 42, True, None)),
        ({"pane_dead": "1", "pane_dead_time": "9", "pane_pid": ""}, Pane("%1", "@1", 0, True, 9)),
        ({"pane_dead_time": "9"}, Pane("%1", "@1", 42, False, None)),
    ],
    ids=["dead on 3.2a", "dead on 3.8", "respawned"],
)
def test_panes(pane: dict[str, str], read_as: Pane) -> None:
    assert listing(session_row(), SERVER, pane_row(**pane)).sessions[0].panes == (read_as,)


MARKS = ("@workspace_owner", "@reaper_workspace")
FLAGS = [
    name
    for name in FIELDS
    if name.startswith(("@", "session_attached_list", "session_group", "pane_dead")) and name not in MARKS
]
BAD_VALUES = [
    *((name, "") for name in FIELDS if name not in ("session_id", "session_last_attached")),
    *((name, "x") for name in FIELDS if name not in ("session_id", "session_name", "version")),
    *((name, "-1") for name in FIELDS if name not in ("session_id", "session_name", "version")),
    *((name, "0") for name in ("pid", "start_time", "session_created", "session_activity", "session_last_attached")),
    *((name, "2") for name in FLAGS),
    *((name, "=a") for name in MARKS),
    *(("windows", value) for value in ("@1=5=0", "@1=5=2/", "@1==0/", "1=5=0/", "@1=0=0/", "@1=5=0/@2=/", "@1=5=0/ ")),
    *(("session_activity", value) for value in ("1 ", "\uff11", "1.5", "9" * 30)),
]


@pytest.mark.parametrize(("name", "value"), BAD_VALUES, ids=[f"{name}={value!a}" for name, value in BAD_VALUES])
def test_a_field_that_can_not_be_read_makes_that_session_unknown_and_no_other(name: str, value: str) -> None:
    answer = listing(session_row(**{name: value}), OTHER, SERVER, pane_row(), OTHER_PANE)
    assert [session.name for session in answer.sessions] == ["other"]
    (unknown,) = answer.unreadable
    assert (unknown.source, unknown.socket) == (Source.SESSION, SOCKET)
    assert unknown.session == ("$1" if name == "session_name" else "vk_a b")
    assert f"{name} is {value!r}" in unknown.reason


@pytest.mark.parametrize(
    "changes",
    [{"pid": "78"}, {"start_time": "1001"}, {"version": "3.5a"}],
    ids=["pid", "start", "version"],
)
def test_a_row_that_contradicts_the_server(changes: dict[str, str]) -> None:
    answer = listing(session_row(**changes), OTHER, SERVER, pane_row(), OTHER_PANE)
    assert [session.name for session in answer.sessions] == ["other"]
    assert [unknown.session for unknown in answer.unreadable] == ["vk_a b"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("pane_id", "1"),
        ("window_id", ""),
        ("pane_pid", "x"),
        ("pane_pid", ""),
        ("pane_pid", "0"),
        ("pane_dead", ""),
        ("pane_dead_time", "x"),
    ],
)
def test_a_pane_that_can_not_be_read_makes_its_session_unknown(name: str, value: str) -> None:
    answer = listing(session_row(), OTHER, SERVER, pane_row(**{name: value}), OTHER_PANE)
    assert [session.name for session in answer.sessions] == ["other"]
    assert name in answer.unreadable[0].reason


def test_a_session_without_a_pane_can_not_be_read() -> None:
    answer = listing(session_row(), OTHER, SERVER, OTHER_PANE)
    assert [session.name for session in answer.sessions] == ["other"]
    assert [unknown.session for unknown in answer.unreadable] == ["vk_a b"]


def test_without_panes_none_are_missed() -> None:
    (session,) = listing(session_row(), SERVER, panes=False).sessions
    assert session.panes == ()


NO_ROWS = {
    "nothing": [],
    "no server": [session_row()],
    "no server, panes": [session_row(), pane_row()],
    "server without a pid": [session_row(), "E\t\t1000\t3.3a\t1100", pane_row()],
    "server with too many fields": [session_row(), SERVER + "\tx", pane_row()],
    "field missing": [session_row().rpartition("\t")[0], SERVER, pane_row()],
    "field too many": [session_row() + "\tx", SERVER, pane_row()],
    "no UTF-8: TAB became _": [session_row().replace("\t", "_"), SERVER.replace("\t", "_")],
    "unknown kind": ["X" + session_row()[1:], SERVER, pane_row()],
    "empty line": ["", session_row(), SERVER, pane_row()],
    "session id empty": [session_row(session_id=""), SERVER, pane_row()],
    "session id without $": [session_row(session_id="1"), SERVER, pane_row()],
    "session id of other digits": [session_row(session_id="$\uff11"), SERVER, pane_row()],
    "session twice": [session_row(), session_row(), SERVER, pane_row()],
    "session twice, otherwise": [session_row(), session_row(session_name="b"), SERVER, pane_row()],
    "session after the server": [session_row(), SERVER, OTHER, pane_row(), OTHER_PANE],
    "server twice": [session_row(), SERVER, SERVER, pane_row()],
    "pane of nobody": [session_row(), SERVER, pane_row(), OTHER_PANE],
    "pane without id": [session_row(), SERVER, pane_row(session_id="")],
    "pane with a field missing": [session_row(), SERVER, pane_row().rpartition("\t")[0]],
    "pane of an unknown kind": [session_row(), SERVER, "Q" + pane_row()[1:]],
}


@pytest.mark.parametrize("lines", NO_ROWS.values(), ids=NO_ROWS.keys())
def test_what_is_no_row_makes_the_socket_unknown(lines: list[str]) -> None:
    answer = read(*lines)
    assert isinstance(answer, Unknown)
    assert (answer.source, answer.socket, answer.session) == (Source.SOCKET, SOCKET, None)
    assert answer.reason.startswith(f"The listing of {SOCKET} is not reliable: ")


def test_rows_that_nobody_asked_for() -> None:
    assert isinstance(read(session_row(), SERVER, pane_row(), panes=False), Unknown)


@pytest.mark.parametrize("panes", [True, False])
def test_wherever_an_answer_is_cut_no_session_is_missing(panes: bool) -> None:
    whole = text(session_row(), OTHER, SERVER, *([pane_row(), OTHER_PANE] if panes else []))
    for end in range(len(whole)):
        answer = ListingReader(SOCKET).read(whole[:end], (OURS,), panes=panes)
        if isinstance(answer, Listing):
            assert len(answer.sessions) + len(answer.unreadable) == 2, whole[:end]


@pytest.mark.parametrize("name", ["u\u0085x", "u\u2028x", "u\u000bx", "bad \udcff byte", "#{pid}", "S", "  "])
def test_a_name_may_hold_anything(name: str) -> None:
    (session,) = listing(session_row(session_name=name), SERVER, pane_row()).sessions
    assert session.name == name


def test_what_did_not_change_is_not_read_again() -> None:
    reader = ListingReader(SOCKET)
    first = reader.read(text(session_row(), OTHER, SERVER, pane_row(), OTHER_PANE), (OURS,), panes=True)
    moved = session_row(session_activity="2000")
    second = reader.read(text(moved, OTHER, SERVER, pane_row(), OTHER_PANE), (OURS,), panes=True)
    assert isinstance(first, Listing)
    assert isinstance(second, Listing)
    assert second.sessions[0].activity == 2000
    assert second.sessions[1] is first.sessions[1]


@pytest.mark.parametrize(
    "lines",
    [
        [session_row(), SERVER, pane_row(pane_pid="43")],
        [session_row(), SERVER, pane_row(), pane_row(pane_id="%9")],
        [session_row(), SERVER.replace("77", "78"), pane_row()],
        [session_row(), SERVER],
        [OTHER, SERVER, pane_row()],
        [session_row(), SERVER, pane_row(), session_row()],
    ],
    ids=["another pid in its pane", "another pane", "another server", "no pane", "a pane without its session", "no pane's row"],
)
def test_what_was_remembered_does_not_hide_a_change(lines: list[str]) -> None:
    reader = ListingReader(SOCKET)
    reader.read(text(session_row(), SERVER, pane_row()), (OURS,), panes=True)
    assert reader.read(text(*lines), (OURS,), panes=True) == read(*lines)


def test_the_session_with_unreadable_rows_is_not_remembered() -> None:
    reader = ListingReader(SOCKET)
    for _ in range(2):
        answer = reader.read(text(session_row(session_activity=""), SERVER, pane_row()), (OURS,), panes=True)
        assert isinstance(answer, Listing)
        assert len(answer.unreadable) == 1


def test_the_formats_are_the_measured_ones() -> None:
    assert session_format("0ab").split("\t") == [
        "S",
        "#{session_id}",
        "#{pid}",
        "#{start_time}",
        "#{session_created}",
        "#{session_activity}",
        "#{session_last_attached}",
        "#{session_attached}",
        "#{?session_attached_list,1,0}",
        "#{?session_group_attached_list,1,0}",
        "#{?session_grouped,1,0}",
        "#{?#{==:#{@reaper_keep},},0,1}",
        "#{?#{==:#{W:#{P:#{?pane_dead,,1}}},},1,0}",
        "#{version}",
        "#{W:#{window_id}=#{window_activity}=#{window_linked}/}",
        "#{?#{==:#{@workspace_owner},0ab},=,#{?#{==:#{@workspace_owner},},-,#{s/[^0-9a-f]/./:@workspace_owner}}}",
        "#{?#{==:#{@reaper_workspace},},-,#{s/[^0-9a-f]/./:@reaper_workspace}}",
        "#{==:#{@reaper_self},#{session_id}/#{session_created}/#{pid}}",
        "#{session_name}",
    ]
    assert SERVER_FORMAT == "E\t#{pid}\t#{start_time}\t#{version}\t#{T:#{l:%s}}"
    assert PANE_FORMAT == "P\t#{session_id}\t#{pane_id}\t#{window_id}\t#{pane_pid}\t#{pane_dead}\t#{pane_dead_time}"


@pytest.mark.parametrize("version", ["2.9a", "3.1c", "3.2"])
def test_a_server_that_is_too_old_loses_the_socket(version: str) -> None:
    answer = read(session_row(version=version), SERVER.replace("3.3a", version), pane_row())
    reason = f"The server of {SOCKET} is tmux {version}, which is too old: it needs tmux 3.2a or later."
    assert answer == Unknown(Source.SOCKET, reason, SOCKET)


@pytest.mark.parametrize("version", ["3.2a", "3.10", "next-3.9", "master", "openbsd-7.4"])
def test_a_server_that_is_new_enough(version: str) -> None:
    assert listing(session_row(version=version), SERVER.replace("3.3a", version), pane_row()).sessions
