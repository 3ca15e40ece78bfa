"""A mutant: the product without one of its rules. It is made in a copy, in which histories are run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import workspace_reaper

__all__ = ["Edit", "Mutant", "find", "mutate", "mutated"]

_PRODUCT = Path(workspace_reaper.__file__).parent
_TESTS = Path(__file__).parents[2]

# What the histories need of the tests.
_NEEDED = ("simulation", "tools/__init__.py", "tools/clocks.py", "__init__.py")

# The simulated tmux, which evaluates the guard. The real one evaluates the line of ``tmux/commands.py``.
GUARD = "tests/simulation/memory/terminal.py"


class Edit(NamedTuple):
    """The text ``old`` of a module becomes ``new``. The module is of the product, or of the tests if it is below ``tests``."""

    module: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Mutant:
    """A rule that is taken out. ``faults`` are incidents, or mutants of `house.HOUSE`, that it lets happen again.

    It has several edits where the same rule is asked for more than once.
    """

    name: str
    faults: tuple[str, ...]
    edits: tuple[Edit, ...]


def mutate(mutant: Mutant) -> Mapping[str, str]:
    """Return the texts of the changed modules. Raise ``ValueError`` if the mutant does not apply."""
    texts: dict[str, str] = {}
    for module, old, new in mutant.edits:
        text = texts.get(module) or _path(module).read_text(encoding="utf-8")
        if text.count(old) != 1:
            raise ValueError(f"{mutant.name!r} does not apply: {module} has its text {text.count(old)} times, not once")
        texts[module] = text.replace(old, new)
    return texts


def _path(module: str) -> Path:
    return _TESTS.parent / module if module.startswith("tests/") else _PRODUCT / module


def mutated(mutant: Mutant, directory: Path) -> None:
    """Copy the product and the simulation into the directory, without the rule."""
    texts, ignored = mutate(mutant), shutil.ignore_patterns("__pycache__")
    shutil.copytree(_PRODUCT, directory / _PRODUCT.name, ignore=ignored)
    for part in _NEEDED:
        source, target = _TESTS / part, directory / _TESTS.name / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=ignored)
        else:
            shutil.copy(source, target)
    for module, text in texts.items():
        base = directory if module.startswith("tests/") else directory / _PRODUCT.name
        (base / module).write_text(text, encoding="utf-8")


def find(mutant: Mutant, histories: int) -> str | None:
    """Run histories without the rule until one breaks a rule, or until something essential has never happened.

    Return the story of that one, or what has never happened. None if nothing is found.
    """
    with tempfile.TemporaryDirectory() as directory:
        mutated(mutant, Path(directory))
        done = subprocess.run(
            [sys.executable, "-m", "tests.simulation", f"0-{histories - 1}", "--first"],
            # The copy hides the tests of this directory and an installed product.
            cwd=directory,
            env={**os.environ, "PYTHONPATH": directory},
            capture_output=True,
            text=True,
            check=False,
        )
    story = re.search(r"^Seed \d+:\nbreaks.*", done.stdout, re.MULTILINE | re.DOTALL)
    missing = re.findall(r"^(?:kill|signal|by breaker)[^:]*: 0 times in .*$", done.stdout, re.MULTILINE)
    if story is None and "histories in" not in done.stdout:
        raise RuntimeError(f"the histories could not be run: {done.stderr[-2000:]}{done.stdout[-500:]}")
    return story[0] if story else "\n".join(missing) or None
