"""The layout of the packages: what may stand where, and how large it may be."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

import pytest

pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "plugin" / "workspace_reaper"
MODULES = sorted([*PACKAGE.rglob("*.py"), *(ROOT / "hookspecs" / "workspace_hookspecs").rglob("*.py")])
MOST_LINES = 300
MOST_NOQA = 30


def test_only_packages_stand_beside_the_plugin() -> None:
    files = {path.name for path in PACKAGE.iterdir() if path.is_file()}
    assert files == {"__init__.py", "plugin.py", "worker.py", "py.typed"}


def test_each_package_says_what_it_holds() -> None:
    missing = [path for path in PACKAGE.rglob("__init__.py") if not ast.get_docstring(ast.parse(path.read_text("utf-8")))]
    assert missing == []


def test_no_module_is_long() -> None:
    lengths = {path.relative_to(ROOT): len(path.read_text("utf-8").splitlines()) for path in MODULES}
    assert {path: length for path, length in lengths.items() if length > MOST_LINES} == {}


def test_no_two_classes_share_a_name() -> None:
    homes = defaultdict(list)
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef):
                homes[node.name].append(path.relative_to(ROOT))
    assert {name: places for name, places in homes.items() if len(places) > 1} == {}


def test_few_rules_of_the_linter_are_switched_off() -> None:
    mark = "# no" + "qa"
    found = [path for folder in ("plugin", "hookspecs", "tests") for path in (ROOT / folder).rglob("*.py")]
    assert sum(path.read_text("utf-8").count(mark) for path in found) <= MOST_NOQA
