"""The versions of tmux: parsing, the oldest supported one, and the tested ones."""

from __future__ import annotations

import configparser
import re
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from workspace_reaper.tmux.version import (
    MINIMUM,
    MINIMUM_VERSION,
    TESTED_VERSIONS,
    ClientVersion,
    parse_version,
    tmux_version,
)

ROOT = Path(__file__).parents[3]

VERSIONS = {
    "tmux 3.3a\n": ClientVersion("3.3a", (3, 3, "a")),
    "tmux 3.2\n": ClientVersion("3.2", (3, 2, "")),
    "tmux next-3.8\n": ClientVersion("next-3.8", (3, 8, "")),
    "tmux 3.10c\n": ClientVersion("3.10c", (3, 10, "c")),
    "tmux openbsd-7.6\n": ClientVersion("openbsd-7.6", (7, 6, "")),
    "tmux master\n": ClientVersion("master", None),
    "screen 4.0\n": None,
    "tmux\n": None,
    "": None,
}


@pytest.mark.parametrize(("output", "version"), VERSIONS.items(), ids=[text.strip() or "nothing" for text in VERSIONS])
def test_versions(output: str, version: ClientVersion | None) -> None:
    assert parse_version(output) == version


@pytest.mark.parametrize(
    ("number", "supported"),
    [
        ((3, 1, "c"), False),
        ((3, 2, ""), False),
        (MINIMUM_VERSION, True),
        ((3, 2, "b"), True),
        ((3, 10, ""), True),
        (None, True),
    ],
)
def test_the_oldest_version(number: tuple[int, int, str] | None, supported: bool) -> None:
    assert ClientVersion("x", number).is_supported is supported


@pytest.mark.parametrize("script", ["echo tmux 3.3a; exit 1", "kill -9 $$"], ids=["exit code", "signal"])
def test_a_version_that_is_not_told(program: Callable[[str], None], script: str) -> None:
    program(f"#!/bin/sh\n{script}\n")
    assert tmux_version() is None


def test_the_real_version() -> None:
    version = tmux_version()
    assert version is not None
    assert version.is_supported


def test_without_tmux_the_version_is_unknown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert tmux_version() is None


def test_the_oldest_tested_version_is_the_minimum() -> None:
    numbers = [version.number for text in TESTED_VERSIONS if (version := parse_version(f"tmux {text}"))]
    assert numbers == sorted(numbers)
    assert (numbers[0], MINIMUM) == (MINIMUM_VERSION, f"tmux {next(iter(TESTED_VERSIONS))}")
    assert all(date.fromisoformat(day) for day in TESTED_VERSIONS.values())


def test_each_version_that_tox_runs_is_listed_as_tested() -> None:
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini")
    wanted = re.findall(r"TMUX_WANTED = (\S+)", "\n".join(tox[section].get("set_env", "") for section in tox.sections()))
    assert wanted
    assert set(wanted) <= TESTED_VERSIONS.keys()
