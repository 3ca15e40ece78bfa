"""``python -m tests.tools.incidents > docs/incidents.md``: the page that says of each public incident how it is met, and where
that is tested. The tests are found by their names: ``test_i05_i11_…`` is one of I05 and of I11."""

from __future__ import annotations

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["ROOT", "Incident", "Test", "incidents", "named_tests", "page"]

ROOT = Path(__file__).parents[2]
_NAME = re.compile(r"test_((?:i[0-9]{2,3}_)+)(.+)")

_HEAD = """\
# Incidents

How programs that reap sessions have failed, in public or when this one was tried, and how each failure is prevented here. What
happened in public is described in the words of its reporters. The tests run on real tmux servers, databases and processes, and
each was seen failing on broken code.

This page is written by `python -m tests.tools.incidents` from the names of the tests and from
[incidents.toml](../tests/faults/incidents.toml).
"""


@dataclass(frozen=True, slots=True)
class Incident:
    """A public incident. ``source`` are repositories with the number of the issue; ``defence`` is how it is met here.

    ``red_on`` is the commit on which its tests were seen failing, for faults of this project itself: see ``red_on.py``.
    """

    number: str
    family: str
    seen: str
    happened: str
    cause: str
    kind: str
    source: str
    defence: str
    red_on: str = ""


@dataclass(frozen=True, slots=True, order=True)
class Test:
    """A test that names incidents. ``path`` is relative to the root; ``sentence`` is its name as words, without numbers."""

    path: str
    line: int
    sentence: str
    name: str


def incidents() -> list[Incident]:
    """All of them, in their order."""
    told = tomllib.loads((ROOT / "tests" / "faults" / "incidents.toml").read_text(encoding="utf-8"))
    return [Incident(number=number, **fields) for number, fields in told.items()]


def named_tests() -> Mapping[str, list[Test]]:
    """The tests of each incident, by its number (``I05``), in the order of their places."""
    found: defaultdict[str, list[Test]] = defaultdict(list)
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for number, test in _tests_in(path):
            found[number].append(test)
    return found


def _tests_in(path: Path) -> Iterator[tuple[str, Test]]:
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef) and (named := _NAME.fullmatch(node.name)):
            test = Test(path.relative_to(ROOT).as_posix(), node.lineno, named[2].replace("_", " "), node.name)
            for number in named[1].upper().strip("_").split("_"):
                yield number, test


def page() -> str:
    """The page, in Markdown."""
    tests = named_tests()
    parts = [_HEAD]
    for family, members in groupby(incidents(), lambda incident: incident.family):
        parts.append(f"\n## {family}\n")
        parts += [_section(incident, tests[incident.number]) for incident in members]
    return "".join(parts)


def _section(incident: Incident, tests: list[Test]) -> str:
    lines = [
        f"\n### {incident.number}: {_text(incident.happened)}\n",
        f"\nCause: {_text(incident.cause)}. ({incident.kind}; {incident.seen}: {_text(incident.source)})\n",
        f"\n{incident.defence}\n\n",
    ]
    # Without line numbers, or every edit of a test would be one of this page.
    lines += [f"- [{test.sentence}](../{test.path})\n" for test in sorted(tests)]
    return "".join(lines)


def _text(text: str) -> str:
    """Angle brackets are no tags."""
    return text.replace("<", "&lt;")


if __name__ == "__main__":
    sys.stdout.write(page())
