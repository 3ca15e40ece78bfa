"""Values as rows of the ledger, and back: strictly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workspace_reaper.ledger.rows import columns_of, escape, from_rows, to_row, unescape
from workspace_reaper.ledger.tables import FindingRow
from workspace_reaper.model.process import ProcessKey
from workspace_reaper.model.reap import Intent, RecordedProcess
from workspace_reaper.model.session import SessionKey
from workspace_reaper.model.state import Alarm, ClockState, CpuState, RegistryState

KEY = SessionKey("/s", 1, 2, "$3", 4)


def changed(value: Any, column: str, to: object) -> list[Any]:
    """The row of the value with another content of one column."""
    row = to_row(value)
    row[columns_of(type(value)).index(column)] = to
    return row


def test_nested_values_have_their_own_columns_and_collections_one() -> None:
    intent = Intent(
        "R", "S", 1.5, KEY, "bc", "w", "idle", {"n": None}, "b", None, (RecordedProcess(ProcessKey(7, 8.5), "sh", "%1", True),)
    )
    names = (
        *("reap_id", "sweep_id", "at", "socket", "server_pid", "server_start", "session_id", "created", "session"),
        *("workspace_id", "reason", "evidence", "boot", "worktree", "processes"),
    )
    values = (
        *("R", "S", 1.5, "/s", 1, 2, "$3", 4, "bc", "w", "idle"),
        *('{"n":null}', "b", None, '[[7,8.5,"sh","%1",true]]'),
    )
    row = to_row(intent)
    assert list(zip(columns_of(Intent), row, strict=True))[: len(names)] == list(zip(names, values, strict=True))
    assert from_rows(Intent, [row, row]) == [intent, intent]
    assert from_rows(Intent, []) == []


NO_LIST = ["", "no JSON", "{}", '"text"', "null", "7", "[7]", '[["too", "few"]]', "[" * 100_000]
NO_OBJECT = ["", "no JSON", "[]", '"text"', "null", "7", '{"a":' * 100_000]
NO_SECONDS = [float("inf"), 1e300, -1e300, "yesterday", b"1", None]
REGISTRY = RegistryState("ab")
INTENT = Intent("R", "S", 1.5, KEY, "bc", "w", "idle", {})


@pytest.mark.parametrize(
    ("value", "column", "content"),
    [
        *[(INTENT, "processes", text) for text in NO_LIST],
        *[(CpuState(), "samples", text) for text in NO_LIST],
        *[(ClockState(), "skews", text) for text in [*NO_LIST, "[[1.5, NaN]]", "[[NaN, 1.5], [2.5, 2.5]]", "[[1.5, 1e999]]"]],
        *[(REGISTRY, "sentinels", text) for text in [text for text in NO_LIST if "too" not in text]],
        *[(INTENT, "evidence", text) for text in NO_OBJECT],
        *[(INTENT, "at", content) for content in NO_SECONDS],
        *[(INTENT, "session", content) for content in (None, 7, 1.5, b"bc")],
        *[(INTENT, "worktree", content) for content in (7, 1.5, b"bc")],
        *[(INTENT, "created", content) for content in (None, 1.5, "4", b"4")],
        *[(REGISTRY, "capped", content) for content in (2, None, "1", 1.0)],
    ],
)  # fmt: skip
def test_what_is_never_written_is_not_read(value: Any, column: str, content: object) -> None:
    from_rows(type(value), [to_row(value)])
    with pytest.raises((TypeError, ValueError)):
        from_rows(type(value), [to_row(value), changed(value, column, content)])


def test_a_finding_of_a_later_version_is_not_read() -> None:
    with pytest.raises((KeyError, ValueError)):
        from_rows(FindingRow, [["/s", 1, 2, "$3", 4, "levitating", 1.5, 1.5, 1, None]])


def test_a_row_has_the_columns_of_its_class() -> None:
    for row in (["name", 1.5, "detail"], ["name", 1.5, "detail", "when", "more"]):
        with pytest.raises(ValueError, match="columns instead of name, since, detail, clears_when"):
            from_rows(Alarm, [row])


class Inner(NamedTuple):
    names: tuple[str, ...]
    at: float | None


@dataclass(frozen=True)
class Outer:
    inner: Inner
    texts: frozenset[str]


surrogates = st.text(st.characters(codec=None) | st.sampled_from("\\\0u0dcf\ud800\udcff"), max_size=9)


@given(st.lists(surrogates, max_size=3), st.frozensets(surrogates, max_size=3), st.none() | st.floats(0, 4e9))
def test_any_text_comes_back(names: list[str], texts: frozenset[str], at: float | None) -> None:
    value = Outer(Inner((*names, "\ud800\udc00", "\U00010000"), at), texts)
    row = to_row(value)
    for column in row[::2]:
        assert b"\0" not in column.encode()
    assert from_rows(Outer, [row]) == [value]


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        pytest.param("bc_0123", "bc_0123", id="plain"),
        pytest.param("é🦊", "é🦊", id="unicode"),
        pytest.param("\udcff", r"\udcff", id="undecodable-byte"),
        pytest.param(r"\udcff", r"\\udcff", id="text-that-looks-escaped"),
        pytest.param("a\0b", r"a\u0000b", id="nul"),
    ],
)
def test_text_is_escaped(text: str, stored: str) -> None:
    assert escape(text) == stored
    assert unescape(stored) == text


@given(st.text(st.characters(codec=None) | st.sampled_from("\\\0u0dcf\ud800\udcff")))
def test_any_text_is_escaped_as_valid_text_without_nul(text: str) -> None:
    stored = escape(text)
    assert unescape(stored) == text
    assert b"\0" not in stored.encode()
