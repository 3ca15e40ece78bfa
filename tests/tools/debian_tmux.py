"""Runs a command with a certain version of tmux first on PATH: the machine's own if it is that, else Debian's, beside it.

    python -m tests.tools.debian_tmux 3.5a DIRECTORY -- pytest tests/integration tests/faults

Nothing is installed: see ``debian.py``. DIRECTORY keeps it for the next time. Where it can't be had that is said aloud, and the
exit code is 0; a suite that has another version than it should have is an error. The command finds the version in
``REAPER_TEST_TMUX``, and the tests refuse any other.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.tools.debian import CannotBeHad, bring
from workspace_reaper.tmux.version import parse_version

__all__ = ["VARIABLE", "main", "provide", "version_of"]

VARIABLE = "REAPER_TEST_TMUX"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A version, and the suite that has it. Debian's newest moves: of that any later one will do."""

    suite: str
    or_later: bool = False


WANTED = {"3.3a": Wanted("bookworm"), "3.5a": Wanted("trixie"), "3.8": Wanted("sid", or_later=True)}


def fits(found: str, version: str) -> bool:
    """Whether the tmux that calls itself ``found`` is the wanted ``version``."""
    if not WANTED[version].or_later:
        return found == version
    have, want = parse_version(f"tmux {found}"), parse_version(f"tmux {version}")
    return have is not None and want is not None and have.number is not None and have.number >= (want.number or ())


def version_of(program: str | Path) -> str | None:
    """What this tmux calls itself, such as ``3.5a``; None if it does not run."""
    try:
        done = subprocess.run([program, "-V"], capture_output=True, text=True, timeout=60, check=False)
    except OSError:
        return None
    version = parse_version(done.stdout)
    return version.text if version and done.returncode == 0 else None


def provide(version: str, directory: Path) -> tuple[str, Path | None]:
    """The version found, and the directory for PATH that has it; None: the machine's own will do.

    Raises ``CannotBeHad``, and ``AssertionError`` where the suite has another version.
    """
    own = shutil.which("tmux")
    found = version_of(own) if own else None
    if found is not None and fits(found, version):
        return found, None
    place = directory / version
    program = place / "bin" / "tmux"
    if version_of(program) is None:
        bring("tmux", WANTED[version].suite, "usr/bin/tmux", place)
    found = version_of(program)
    assert found is not None, f"Debian's {WANTED[version].suite} has a tmux that does not run here: {program}"
    assert fits(found, version), f"Debian's {WANTED[version].suite} has tmux {found}, and {version} was wanted"
    return found, program.parent


def main(arguments: Sequence[str]) -> int:
    """Become what follows ``--``, with that tmux; an exit code where it comes to nothing."""
    version, directory, dashes, *command = arguments
    if version not in WANTED or dashes != "--" or not command:
        sys.stderr.write(f"{__doc__}\nVersions: {', '.join(WANTED)}\n")
        return 2
    try:
        found, place = provide(version, Path(directory).absolute())
    except CannotBeHad as reason:
        line = "!" * 100
        sys.stdout.write(f"{line}\nSKIPPED: no tmux {version} is available here: {reason}\n{line}\n")
        return 0
    path = os.environ["PATH"] if place is None else f"{place}{os.pathsep}{os.environ['PATH']}"
    print(f"tmux {found}, {'the one of this machine' if place is None else f'in {place}'}", flush=True)
    return os.execvpe(command[0], command, {**os.environ, "PATH": path, VARIABLE: found})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
