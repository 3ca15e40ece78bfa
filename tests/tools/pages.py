"""Follow a page of the documentation: run what it tells a person to type, and see what it says one sees.

A fenced block of the language ``console`` is a session in a terminal. A line that begins with ``$ `` is a command, lines that
begin with ``> `` go on with it (a here-document, a loop), and what follows up to the next command is what it shows. There a
``…`` stands for any text within a line, and a line of ``…`` alone for any lines, or none. A command without a line below it may
show anything. Blocks of every other language are for reading.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.tools.waiting import wait_until

__all__ = ["Step", "bash", "follow", "matches", "steps"]

ANY = "…"


@dataclass(frozen=True, slots=True)
class Step:
    """A command, what the page says that it shows, and the number of its line in the page."""

    command: str
    shown: tuple[str, ...]
    line: int


def steps(page: Path) -> list[Step]:
    """All commands of the page, from top to bottom. ``AssertionError`` where output stands before the first command."""
    found: list[Step] = []
    inside = False
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1):
        if line.startswith("```"):
            first, inside = line.strip() == "```console", not inside and line.strip() == "```console"
            begun = not first
        elif inside and line.startswith("$ "):
            found.append(Step(line[2:], (), number))
            begun = True
        elif inside:
            assert begun, f"{page.name}, line {number}: output before the first command"
            last = found.pop()
            if line.startswith("> ") and not last.shown:
                found.append(Step(f"{last.command}\n{line[2:]}", (), last.line))
            else:
                found.append(Step(last.command, (*last.shown, line), last.line))
    return found


def matches(shown: tuple[str, ...], output: str) -> bool:
    """Whether the output is what the page shows. Space at the ends of lines, and empty lines at the end, do not count."""
    parts = [r"(?:.*\n)*?" if line.strip() == ANY else _line(line) for line in shown]
    text = "".join(f"{line.rstrip()}\n" for line in output.rstrip().split("\n"))
    return re.fullmatch("".join(parts), text) is not None


def _line(line: str) -> str:
    return ".*".join(map(re.escape, line.rstrip().split(ANY))) + "\n"


def bash(environment: Mapping[str, str], directory: Path, *, timeout: float = 60.0) -> Callable[[str], str]:
    """Runs a command in a bash of its own: variables and directories do not last. What it gives is both outputs; a command
    that fails is an ``AssertionError``."""

    def run(command: str) -> str:
        done = subprocess.run(
            ["bash", "-c", command],
            env=dict(environment),
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=timeout,
        )
        assert done.returncode == 0, f"{command}\nended with {done.returncode}:\n{done.stdout}"
        return done.stdout

    return run


def follow(
    page: Path,
    run: Callable[[str], str],
    *,
    instead: Mapping[str, Callable[[], str]] | None = None,
    patiently: Collection[str] = (),
    patience: float = 30.0,
) -> None:
    """Do all that the page says, and see that it shows what the page says.

    ``instead`` are commands that the test does itself, such as an installation or a server that never ends. Those in
    ``patiently`` are run again until they show it. A command in either that the page does not have is an ``AssertionError``,
    so that neither falls behind the other.
    """
    instead = instead or {}
    found = steps(page)
    strange = {*instead, *patiently} - {step.command for step in found}
    assert found, f"{page.name} has no command"
    assert not strange, f"{page.name} does not say {strange}"
    for step in found:
        does = instead.get(step.command, lambda step=step: run(step.command))  # type: ignore[misc]
        if step.command in patiently:
            wait_until(lambda step=step, does=does: matches(step.shown, does()), patience, every=0.2)  # type: ignore[misc]
            continue
        output = does()
        assert not step.shown or matches(step.shown, output), (
            f"{page.name}, line {step.line}: {step.command}\nshould show:\n{chr(10).join(step.shown)}\nand shows:\n{output}"
        )
