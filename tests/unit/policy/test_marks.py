"""The marks of a session: which workspace it belongs to, whatever it is called."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tools.builders import SOCKET, session
from workspace_reaper.model.session import Owner, Session
from workspace_reaper.policy.marks import is_marked_as, kill_command, mark_of, marked_workspace
from workspace_reaper.policy.session_names import SessionMatcher

NAMES = SessionMatcher({SOCKET: [r"ws_(?P<id>[a-z0-9-]+)"]}, lambda text: text if text.islower() else None)
MARKED = session(owner=Owner.OURS)


def marked(workspace_id: str, **changes: object) -> Session:
    return replace(MARKED, workspace_mark=mark_of(workspace_id), **changes)  # type: ignore[arg-type]


@given(st.text(min_size=1, max_size=128))
def test_a_mark_is_hexadecimal_and_is_read_back(workspace_id: str) -> None:
    mark = mark_of(workspace_id)
    assert set(mark) <= set("0123456789abcdef")
    assert marked_workspace(marked(workspace_id)) == workspace_id


def test_the_mark_of_a_long_id_is_a_digest() -> None:
    """It is compared with an id, and never taken for the mark of another one."""
    long = "x" * 129
    assert len(mark_of(long)) == 65
    assert mark_of(long) != mark_of("x" * 130)
    assert marked_workspace(marked(long)) is None
    assert is_marked_as(marked(long), long)
    assert mark_of("x" * 128) == "78" * 128


NOT_MARKED = {
    "no owner mark": {"owner": Owner.NONE},
    "the marks of another session": {"is_self_marked": False},
    "no workspace mark": {"workspace_mark": ""},
    "an odd value": {"workspace_mark": "77.1"},
    "half a byte": {"workspace_mark": "773"},
    "no UTF-8": {"workspace_mark": "ff"},
}


@pytest.mark.parametrize("changes", NOT_MARKED.values(), ids=NOT_MARKED.keys())
def test_i67_what_is_no_mark_proves_nothing(changes: dict[str, object]) -> None:
    odd = replace(MARKED, **changes)  # type: ignore[arg-type]
    assert marked_workspace(odd) is None
    assert not is_marked_as(odd, "w1")


@pytest.mark.parametrize("owner", [Owner.OURS, Owner.FOREIGN])
def test_whoever_marked_it_a_renamed_session_keeps_its_workspace(owner: Owner) -> None:
    renamed = replace(session(owner=owner, name="my work"))
    assert NAMES.belongs_to(renamed) == "w1"
    assert NAMES.named(renamed) == ()
    assert NAMES.manages(renamed) == ("w1" if owner is Owner.OURS else None)


@pytest.mark.parametrize(
    ("found", "workspace_id"),
    [
        pytest.param(marked("w1", name="ws_w2"), "w1", id="the name of another workspace"),
        pytest.param(marked("W1", name="ws_w2"), "w2", id="a mark that is no id of this registry"),
        pytest.param(marked("w1", name="ws_w2", is_self_marked=False), "w2", id="copied marks"),
        pytest.param(marked("w1", name="notes", is_self_marked=False), None, id="copied marks, and a name of none"),
        pytest.param(marked("x" * 129, name="ws_" + "x" * 129), "x" * 129, id="a digest, and its name"),
        pytest.param(marked("x" * 129, name="ws_w2"), None, id="a digest, and another name: never touched"),
    ],
)
def test_i67_the_workspace_of_a_session(found: Session, workspace_id: str | None) -> None:
    assert NAMES.belongs_to(found) == workspace_id


def test_a_marked_session_on_a_socket_that_is_not_configured_is_not_managed() -> None:
    assert NAMES.belongs_to(session(owner=Owner.OURS, socket="/run/other", name="x")) is None


def test_the_command_that_ends_a_session_by_hand_is_one_for_a_shell() -> None:
    assert kill_command("/run/my socket", "$3") == "tmux -S '/run/my socket' kill-session -t '$3'"
