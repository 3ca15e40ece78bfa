"""Which sessions are managed: by socket, whole name, and whose stamp they carry."""

from __future__ import annotations

import uuid
from dataclasses import replace

import pytest

from tests.tools.builders import OTHER_SOCKET, SOCKET, session
from workspace_reaper.model.session import Owner, Session
from workspace_reaper.model.workspace import RecordedSession
from workspace_reaper.policy.marks import mark_of
from workspace_reaper.policy.session_names import PLAIN, Naming, SessionMatcher


def canonical_uuid(text: str) -> str | None:
    try:
        return str(uuid.UUID(text))
    except ValueError:
        return None


NAMES = SessionMatcher({SOCKET: [r"ws_(?P<id>[a-z0-9.:]+)", r"(?P<id>\d*)-old"], OTHER_SOCKET: [r"(?P<id>o.*)"]}, str)


@pytest.mark.parametrize(
    ("socket", "name", "workspace_id"),
    [
        pytest.param(SOCKET, "ws_a1", "a1", id="the whole name"),
        pytest.param(SOCKET, "ws_a1-two", None, id="a longer name (I17)"),
        pytest.param(SOCKET, "my-ws_a1", None, id="a name that ends like it"),
        pytest.param(SOCKET, "ws_a1\n", None, id="a newline at the end"),
        pytest.param(SOCKET, "ws_", None, id="no id"),
        pytest.param(SOCKET, "7-old", "7", id="the second pattern"),
        pytest.param(SOCKET, "-old", None, id="an empty id"),
        pytest.param(SOCKET, "ws_a.b:c", "a.b:c", id="colon and full stop (I19)"),
        pytest.param(SOCKET, "ws_$(touch x)", None, id="a shell's (I62)"),
        pytest.param(SOCKET, "other", None, id="a name of the other socket"),
        pytest.param(OTHER_SOCKET, "other", "other", id="its own socket"),
        pytest.param(OTHER_SOCKET, "ws_a1", None, id="a name of the first socket"),
        pytest.param("/run/tmux-0/default", "ws_a1", None, id="a socket that is not configured"),
        pytest.param(SOCKET, "", None, id="no name"),
    ],
)
def test_which_workspace_a_name_means(socket: str, name: str, workspace_id: str | None) -> None:
    ids = () if workspace_id is None else (workspace_id,)
    assert NAMES.workspace_ids(socket, name) == ids
    assert NAMES.workspace_ids(socket, name) == ids, "and again, from state"


ID = "6f9619ff-8b86-d011-b42d-00cf4fc964ff"


@pytest.mark.parametrize(
    ("name", "workspace_id"),
    [(f"ws_{ID}", ID), (f"ws_{ID.replace('-', '')}", ID), (f"ws_{ID.upper()}", ID), ("ws_notes", None)],
    ids=["hyphens", "without hyphens", "capitals", "no id at all"],
)
def test_the_id_is_the_canonical_text(name: str, workspace_id: str | None) -> None:
    assert SessionMatcher({SOCKET: ["ws_(?P<id>.+)"]}, canonical_uuid).workspace_ids(SOCKET, name) == (
        () if workspace_id is None else (workspace_id,)
    )


def test_a_pattern_that_yields_no_id_leaves_the_name_to_the_next() -> None:
    names = SessionMatcher({SOCKET: ["(?P<id>.+)", "ws_(?P<id>.+)"]}, canonical_uuid)
    assert names.workspace_ids(SOCKET, f"ws_{ID}") == (ID,)


def test_an_optional_id_that_did_not_match_is_none() -> None:
    assert SessionMatcher({SOCKET: ["ws(_(?P<id>.+))?"]}, str).workspace_ids(SOCKET, "ws") == ()


@pytest.mark.parametrize(
    ("owner", "workspace_id"),
    [(Owner.NONE, "w1"), (Owner.OURS, "w1"), (Owner.FOREIGN, None)],
    ids=["none", "ours", "another's"],
)
def test_a_session_with_anothers_stamp_is_not_managed(owner: Owner, workspace_id: str | None) -> None:
    assert NAMES.manages(session(owner=owner)) == workspace_id


LONG = "x" * 129


@pytest.mark.parametrize("name", ["my work", "ws_a2"], ids=["of no workspace", "of another workspace"])
def test_a_renamed_session_whose_mark_is_a_digest_keeps_its_workspace_if_that_is_known(name: str) -> None:
    names = SessionMatcher({SOCKET: [r"ws_(?P<id>.+)"]}, str)
    renamed = replace(session(owner=Owner.OURS, name=name), workspace_mark=mark_of(LONG))
    assert (names.manages(renamed), names.is_lost(renamed)) == (None, True)
    names.learn(["x" * 130, LONG])
    assert (names.manages(renamed), names.is_lost(renamed)) == (LONG, False)
    names.learn(["y" * 129])
    assert names.manages(renamed) == LONG


@pytest.mark.parametrize(
    "changes",
    [{"owner": Owner.FOREIGN}, {"owner": Owner.NONE}, {"is_self_marked": False}, {"name": f"ws_{LONG}"}],
    ids=["of another registry", "without an owner mark", "with copied marks", "with its name"],
)
def test_a_session_is_lost_only_if_our_marks_are_all_that_is_known_of_it(changes: dict[str, object]) -> None:
    marked = replace(session(owner=Owner.OURS, name="my work"), workspace_mark=mark_of(LONG))
    assert NAMES.is_lost(marked)
    assert not NAMES.is_lost(replace(marked, **changes))  # type: ignore[arg-type]


def test_what_is_remembered_is_bounded() -> None:
    asked: list[str] = []

    def canonical(text: str) -> str:
        asked.append(text)
        return text

    names = SessionMatcher({SOCKET: [r"ws_(?P<id>\d+)"]}, canonical)
    for number in range(10_002):
        names.workspace_ids(SOCKET, f"ws_{number}")
    assert names.workspace_ids(SOCKET, "ws_10001") == ("10001",)
    assert len(asked) == 10_002
    assert names.workspace_ids(SOCKET, "ws_0") == ("0",)
    assert len(asked) == 10_003


# What rows say


RECORDING = SessionMatcher({SOCKET: [r"ws_(?P<id>\d+)"]}, lambda text: text, records_sessions=True)


def recorded(*rows: RecordedSession, name: str = "main") -> SessionMatcher:
    return RECORDING.with_record({name: rows})


A, B, C = (RecordedSession(one) for one in "abc")


def marked_as(workspace_id: str, name: str = "main") -> Session:
    return replace(session(owner=Owner.OURS, name=name), workspace_mark=mark_of(workspace_id))


def test_what_no_row_says_changes_nothing() -> None:
    assert RECORDING.with_record({}) is RECORDING
    assert recorded(A).workspace_ids(SOCKET, "other") == ()
    assert RECORDING.workspace_ids(SOCKET, "main") == (), "the record belongs to one look"


@pytest.mark.parametrize(
    ("rows", "ids"),
    [
        pytest.param((), (), id="none"),
        pytest.param((A,), ("a",), id="one"),
        pytest.param((B, A, A), ("a", "b"), id="several"),
        pytest.param((replace(A, deleted=True), B), ("b",), id="one that is marked deleted"),
        pytest.param((replace(A, deleted=True), A), ("a",), id="two of one workspace"),
        pytest.param((replace(B, deleted=True), replace(A, deleted=True)), ("a", "b"), id="all marked deleted"),
        pytest.param((replace(A, is_certain=False),), (), id="a similar name"),
        pytest.param((replace(A, is_certain=False), B), ("b",), id="a similar name beside the very name"),
    ],
)
def test_whose_rows_name_a_session(rows: tuple[RecordedSession, ...], ids: tuple[str, ...]) -> None:
    names = recorded(*rows)
    assert names.workspace_ids(SOCKET, "main") == ids
    assert names.workspace_ids(OTHER_SOCKET, "main") == (), "a socket that is not configured"
    assert names.manages(session(name="main")) == (ids[0] if ids else None)


def test_a_row_comes_before_a_pattern() -> None:
    names = recorded(A, name="ws_1").with_record({"main": (B,)})
    assert names.workspace_ids(SOCKET, "ws_1") == ("a",)
    assert names.workspace_ids(SOCKET, "main") == ("b",)
    assert names.workspace_ids(SOCKET, "ws_2") == ("2",)


@pytest.mark.parametrize(
    ("marked", "rows", "belongs_to"),
    [
        pytest.param("a", (), "a", id="no row names it"),
        pytest.param("a", (A, B), "a", id="two rows name it"),
        pytest.param("b", (A, B), "b", id="two rows name it, and the marks decide"),
        pytest.param("c", (A, B), "c", id="rows of others name it"),
    ],
)
def test_marks_come_before_rows(marked: str, rows: tuple[RecordedSession, ...], belongs_to: str) -> None:
    assert recorded(*rows).belongs_to(marked_as(marked)) == belongs_to


@pytest.mark.parametrize(
    ("name", "rows", "says"),
    [
        pytest.param("ws_1", (), Naming(is_own=False, others=("1",)), id="the pattern yields another"),
        pytest.param("main", (), Naming(is_own=False, is_silent=True), id="nothing"),
        pytest.param("main", (A,), Naming(is_recorded=True, is_silent=True), id="its own row"),
        pytest.param("main", (A, C, B), Naming(is_recorded=True, others=("b", "c")), id="its own row and others"),
        pytest.param("main", (B,), Naming(is_own=False, others=("b",)), id="another's row"),
        pytest.param("ws_1", (B,), Naming(is_own=False, others=("b",)), id="another's row, and a pattern"),
        pytest.param("main", (A, replace(B, deleted=True)), Naming(is_recorded=True, is_silent=True), id="and a deleted one"),
        pytest.param(
            "main",
            (replace(A, deleted=True), B),
            Naming(is_own=False, is_recorded=True, others=("b",)),
            id="its own is deleted",
        ),
        pytest.param(
            "main",
            (replace(A, deleted=True), replace(B, deleted=True)),
            Naming(is_recorded=True, is_silent=True),
            id="all deleted",
        ),
        pytest.param("main", (replace(B, deleted=True),), Naming(is_own=False, is_silent=True), id="another's deleted row"),
        pytest.param(
            "main", (replace(B, is_certain=False),), Naming(is_own=False, others=("b",), is_silent=True), id="a similar name"
        ),
        pytest.param(
            "main",
            (replace(B, is_certain=False, deleted=True),),
            Naming(is_own=False, is_silent=True),
            id="a similar name of a deleted row",
        ),
        pytest.param(
            "main", (A, replace(B, is_certain=False)), Naming(is_recorded=True, is_silent=True), id="a similar name too"
        ),
    ],
)
def test_what_a_name_says_of_the_workspace_of_the_marks(name: str, rows: tuple[RecordedSession, ...], says: Naming) -> None:
    assert recorded(*rows, name=name).naming(marked_as("a", name), "a") == says


def test_a_name_that_only_its_pattern_yields_says_nothing_more() -> None:
    assert RECORDING.naming(session(name="ws_1"), "1") is PLAIN
