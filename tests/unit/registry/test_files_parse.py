"""Documents are parsed strictly: what could be read in two ways, or is too large, is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from workspace_reaper.registry.files import yaml_loader
from workspace_reaper.registry.files.errors import IncompleteFile, UnreadableFiles
from workspace_reaper.registry.files.parse import as_json
from workspace_reaper.registry.files.strict import MOST_LEVELS


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("a.json", '{"a": [1, 2.5, null, true, "ö"]}', {"a": [1, 2.5, None, True, "ö"]}),
        ("a.json", '["\\ud83d\\ude00"]', ["😀"]),
        ("a.toml", "a = 1\n[b]\nc = 'x'\n[[d]]\ne = 2026-11-22T10:00:00Z", {}),
        ("a.toml", "day = 2026-11-22\ntime = 10:00:00", {"day": "2026-11-22", "time": "10:00:00"}),
        (
            "a.yaml",
            "a: [1, x]\nb: &b {c: 2026-11-22}\nd: *b",
            {"a": [1, "x"], "b": {"c": "2026-11-22"}, "d": {"c": "2026-11-22"}},
        ),
        ("a.yml", "2: x\ntrue: y\nnull: z", {"2": "x", "true": "y", "null": "z"}),
        ("a.yaml", "base: &b {x: 1, y: 2}\none: {<<: *b, x: 3}", {"base": {"x": 1, "y": 2}, "one": {"x": 3, "y": 2}}),
    ],
)
def test_a_document(name: str, text: str, value: Any) -> None:
    found = json.loads(as_json(name, text.encode()))
    assert found == (value or {"a": 1, "b": {"c": "x"}, "d": [{"e": "2026-11-22T10:00:00+00:00"}]})


@pytest.mark.parametrize("name", ["a.json", "a.toml", "a.yaml"])
@pytest.mark.parametrize("content", [b"", b" \n", b"\xff\xfe", b"\xef\xbb\xbf", b"\0"])
def test_what_is_no_text_is_incomplete(name: str, content: bytes) -> None:
    with pytest.raises(IncompleteFile, match=name):
        as_json(name, content)


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("a.json", '{"a": 1', "is not valid JSON"),
        ("a.json", '{"a": 1} {', "Extra data"),
        ("a.json", '{"a": 1, "b": 2, "a": 3}', "the key 'a' occurs twice"),
        ("a.json", '[{"b": {"a": 1, "a": 1}}]', "the key 'a' occurs twice"),
        ("a.json", '{"a": NaN}', "contains NaN"),
        ("a.json", '{"a": -Infinity}', "contains -Infinity"),
        ("a.json", "12", "neither a list nor a map"),
        ("a.json", '"text"', "neither a list nor a map"),
        ("a.json", "null", "neither a list nor a map"),
        ("a.json", f'{{"a": {"9" * 5000}}}', "is not valid JSON"),
        ("a.toml", "a = 1\na = 2", "is not valid TOML"),
        ("a.toml", "a = nan", "contains nan"),
        ("a.toml", "[[a", "is not valid TOML"),
        ("a.yaml", "a: 1\nb: 2\na: 3", "the key 'a' occurs twice"),
        ("a.yaml", "1: x\ntrue: y", "the key 1 occurs twice"),
        ("a.yaml", "a: .inf", "contains inf"),
        ("a.yaml", "a: !!binary aGk=", "contains b'hi'"),
        ("a.yaml", "a: !!python/object/apply:os.getcwd []", "could not determine a constructor"),
        ("a.yaml", "1: x\n'1': y", "the key '1' occurs twice"),
        ("a.yaml", "? [a]\n: b", "is not valid YAML"),
        ("a.yaml", "a: 1\n---\nb: 2", "expected a single document"),
        ("a.yaml", "a: [1, 2", "is not valid YAML"),
        ("a.yaml", "a: *b", "the alias 'b' names"),
        ("a.yaml", "&a [*a]", "the alias 'a' names what it is in"),
        ("a.yaml", "just text", "neither a list nor a map"),
    ],
)
def test_what_is_refused(name: str, text: str, why: str) -> None:
    with pytest.raises(IncompleteFile, match=name) as caught:
        as_json(name, text.encode())
    assert why in str(caught.value)


@pytest.mark.parametrize(
    ("name", "begin", "end"), [("a.json", "[", "]"), ("a.yaml", "[", "]"), ("a.toml", "a = [", "]"), ("a.json", '{"a":', "}")]
)
@pytest.mark.parametrize("levels", [MOST_LEVELS, MOST_LEVELS + 1, 5_000, 200_000])
def test_nesting_is_bounded(name: str, begin: str, end: str, levels: int) -> None:
    key, bracket = begin[:-1] if name == "a.toml" else "", "[" if name == "a.toml" else begin
    deep = levels - (name == "a.toml")
    text = f"{key}{bracket * deep}{'1' if bracket.endswith(':') else ''}{end * deep}"
    if levels == MOST_LEVELS:
        assert as_json(name, text.encode())
        return
    with pytest.raises(UnreadableFiles, match=f"{name} is nested more than {MOST_LEVELS} levels deep") as caught:
        as_json(name, text.encode())
    assert not isinstance(caught.value, IncompleteFile)


def test_dotted_keys_of_toml_are_levels() -> None:
    with pytest.raises(UnreadableFiles, match="levels deep"):
        as_json("a.toml", f"{'.'.join(['a'] * 100)} = 1".encode())


def test_a_billion_laughs() -> None:
    """Each line names the one before ten times: a small file that would take all memory."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{one + 1}: &a{one + 1} [{', '.join([f'*a{one}'] * 10)}]" for one in range(12)]
    with pytest.raises(IncompleteFile, match=f"more than {yaml_loader.MOST_VALUES} values"):
        as_json("a.yaml", "\n".join(lines).encode())


def test_aliases_that_are_few_are_read() -> None:
    text = "a: &a [1, 2]\nb: &b {x: *a, y: *a}\nc: [*b, *b]\nd: &d 1\ne: *d"
    assert json.loads(as_json("a.yaml", text.encode()))["c"] == [{"x": [1, 2], "y": [1, 2]}] * 2


def test_without_a_parser_for_yaml_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.delitem(sys.modules, "workspace_reaper.registry.files.yaml_loader")
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(UnreadableFiles, match=r"pip install 'workspace-reaper\[yaml\]'"):
        as_json("a.yaml", b"a: 1")
