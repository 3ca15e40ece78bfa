"""The paths of ``[files]``: what they expand to, and what they match."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from workspace_reaper.model.errors import ConfigurationError
from workspace_reaper.registry import file_patterns as patterns
from workspace_reaper.registry.file_patterns import FilePattern, directory_identity, expanded, record_patterns, shown
from workspace_reaper.registry.files.errors import UnreadableFiles


def one(path: object, **environ: str) -> FilePattern:
    (found,) = expanded([str(path)], environ)
    return found


@pytest.mark.parametrize(
    ("path", "environ", "text"),
    [
        ("/srv//a/./b.json", {}, "/srv/a/b.json"),
        ("~/a.json", {}, "HOME/a.json"),
        ("$APP/a.json", {"APP": "/srv/app"}, "/srv/app/a.json"),
        ("${APP}/x-$N/*.toml", {"APP": "/srv/app", "N": "1"}, "/srv/app/x-1/*.toml"),
        ("$APP/a.json", {"APP": "/srv/[a]*"}, "/srv/[[]a][*]/a.json"),
    ],
)
def test_expansion(path: str, environ: dict[str, str], text: str) -> None:
    assert one(path, **environ).text == text.replace("HOME", str(Path.home()))


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("a.json", "'a.json' is not an absolute path"),
        ("./a.json", "is not an absolute path"),
        ("~no-such-user/a.json", "is not an absolute path"),
        ("$APP/a.json", "the variable 'APP' is not set"),
        ("${EMPTY}/a.json", "the variable 'EMPTY' is not set"),
        ("/srv/a.jsonl", "does not end in .json, .toml, .yaml, .yml"),
        ("/srv/*", "does not end in .json"),
    ],
)
def test_what_cannot_be_expanded(path: str, why: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(why)) as caught:
        expanded([path], {"EMPTY": ""})
    assert str(caught.value).startswith("files.paths: ")


def test_one_path_is_one_pattern() -> None:
    assert len(expanded(["/a.json", "/a.json", "/b.json"], {})) == 2


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("agents/a/data.json", "agents/b/data.json", "agents/.hidden/data.json", "agents/c/other.json", "agents/file"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("{}")
    return tmp_path


def test_names_that_match(tree: Path) -> None:
    assert one(tree / "agents/*/data.json").matches() == [
        str(tree / "agents" / name / "data.json") for name in ("a", "b", "c", "file")
    ]
    assert one(tree / "agents/*/o*.json").matches() == [str(tree / "agents/c/other.json")]
    assert one(tree / "agents/.h*/*.json").matches() == [str(tree / "agents/.hidden/data.json")]
    assert one(tree / "no/such.json").matches() == [str(tree / "no/such.json")]


def test_characters_that_are_no_wildcards(tree: Path) -> None:
    """A home may have them in its name."""
    odd = tree / "[a]*"
    odd.mkdir()
    (odd / "x.json").write_text("{}")
    assert one("$APP/x.json", APP=str(odd)).matches() == [str(odd / "x.json")]
    assert one("$APP/*.json", APP=str(odd)).matches() == [str(odd / "x.json")]
    assert shown(expanded(["$APP/x.json", "/a/*.json"], {"APP": str(odd)})) == f"{odd}/x.json, /a/*.json"


@pytest.mark.parametrize("path", ["gone/*.json", "gone/*/data.json", "agents/file/*.json"])
def test_the_directory_in_front_of_the_wildcards_must_be_there(tree: Path, path: str) -> None:
    with pytest.raises(UnreadableFiles, match=f"the directory {tree}/.* cannot be read"):
        one(tree / path).matches()


def test_a_directory_below_a_wildcard_may_be_missing(tree: Path) -> None:
    assert one(tree / "agents/*/state/*.json").matches() == []


@pytest.mark.parametrize("path", ["agents/*/data.json", "links/*.json"])
def test_a_link_to_nothing_is_not_an_absence(tree: Path, path: str) -> None:
    (tree / "links").mkdir()
    (tree / "links" / "x.json").symlink_to(tree / "unmounted")
    (tree / "agents" / "x").symlink_to(tree / "unmounted")
    with pytest.raises(UnreadableFiles, match="is a symbolic link to nothing that is there"):
        one(tree / path).matches()


def test_names_are_bounded(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patterns, "MOST_NAMES", 6)
    assert len(one(tree / "agents/[abc]/*.json").matches()) == 3
    with pytest.raises(UnreadableFiles, match=r"data.json matches more than 6 names: narrow files.paths"):
        one(tree / "agents/*/data.json").matches()


def test_the_place_of_a_record_is_its_directory(tree: Path) -> None:
    """Not the file, which a host replaces at each save."""
    file, every = one(tree / "agents/a/data.json"), one(tree / "agents/*/data.json")
    before = [directory_identity(file), directory_identity(every)]
    (tree / "new").write_text("{}")
    (tree / "new").replace(tree / "agents/a/data.json")
    assert [directory_identity(file), directory_identity(every)] == before
    (tree / "agents").rename(tree / "old")
    with pytest.raises(UnreadableFiles, match="cannot be read"):
        directory_identity(every)
    (tree / "agents/a").mkdir(parents=True)
    assert directory_identity(file) != before[0]
    assert directory_identity(every) != before[1]


def test_the_place_of_a_record_behind_links_is_where_they_lead(tree: Path) -> None:
    (tree / "link").symlink_to(tree / "agents")
    (tree / "agents/a/link.json").symlink_to(tree / "agents/b/data.json")
    assert directory_identity(one(tree / "link/*/data.json")) == directory_identity(one(tree / "agents/*/data.json"))
    assert directory_identity(one(tree / "agents/a/link.json")) == directory_identity(one(tree / "agents/b/data.json"))
    assert record_patterns(expanded([f"{tree}/link/*/data.json", f"{tree}/link/a/data.json"], {})) == (
        f"{os.path.realpath(tree)}/agents/*/data.json",
        f"{os.path.realpath(tree)}/agents/a/data.json",
    )
