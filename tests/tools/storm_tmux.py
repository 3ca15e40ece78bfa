"""A ``tmux`` in front of the real one that errs by a plan: the nth call of a kind has the fault that was drawn for it.

It is a few lines of shell, since it runs thousands of times; a call without a fault becomes the real tmux at once. Kinds:
``list`` (a listing of all sessions), ``recheck`` (a narrowed one), ``feed`` (kills and marks), ``capture`` (what panes show).
"""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from random import Random

__all__ = ["ERRORS", "KINDS", "Call", "Fault", "Loudness", "PlannedTmux", "draw_fault", "draw_plan"]

KINDS = ("list", "recheck", "feed", "capture")


class Loudness(Enum):
    """What a reaper must make of a listing that is hit: nothing that it could notice, sessions that it can't read, or nothing
    of the whole socket."""

    QUIET = "quiet"
    SESSIONS = "sessions"
    SOCKET = "socket"


@dataclass(frozen=True)
class Fault:
    """``script`` is shell. It has ``$real`` and the arguments, after ``told`` also ``fed "$@"``; if it does not exit, the call
    goes on as if nothing were."""

    name: str
    script: str
    loudness: Loudness = Loudness.QUIET

    @property
    def claims(self) -> bool:
        """It says that it has killed what it has not."""
        return self.script.endswith(_CLAIM)


@dataclass(frozen=True)
class Call:
    """One call as it was: its kind, and the name of its fault, if it had one."""

    kind: str
    fault: str | None


Plan = Mapping[tuple[str, int], Fault]

_PROGRAM = r"""#!/bin/sh
d={directory} real={real}
case " $* " in
  *" list-sessions -f "*) kind=recheck ;;
  *" list-sessions "*) kind=list ;;
  *" source-file "*) kind=feed ;;
  *" source "*) kind=capture ;;
  *) kind=other ;;
esac
n=0
[ -e "$d/$kind" ] && read -r n < "$d/$kind"
n=$((n + 1))
[ -e "$d/cycle" ] && read -r cycle < "$d/cycle" && [ $n -gt "$cycle" ] && n=1
echo $n > "$d/$kind"
# A client that was started ahead and is told nothing is ended without having done anything.
told() {{ said=$(cat); [ -n "$said" ] || exit 0; }}
fed() {{ printf '%s\n' "$said" | "$real" "$@"; }}
if [ -e "$d/$kind.$n" ]; then . "$d/$kind.$n"; else echo "$kind" >> "$d/calls"; fi
exec "$real" "$@"
"""


class PlannedTmux:
    """An executable ``tmux`` in ``directory/bin``, and its plan beside it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.bin = directory / "bin"
        self.bin.mkdir(parents=True)
        real = shutil.which("tmux")
        assert real, "the tests need tmux"
        program = self.bin / "tmux"
        program.write_text(_PROGRAM.format(directory=shlex.quote(str(directory)), real=shlex.quote(real)))
        program.chmod(0o755)
        self._seen = 0

    def plan(self, plan: Plan, *, cycle: int | None = None) -> None:
        """This plan from now on, with nothing of it used up. After ``cycle`` calls of a kind it begins again for that kind."""
        for path in self.directory.iterdir():
            if path != self.bin:
                path.unlink()
        self._seen = 0
        if cycle is not None:
            (self.directory / "cycle").write_text(f"{cycle}\n")
        for (kind, number), fault in plan.items():
            note = f'echo {shlex.quote(f"{kind} {fault.name}")} >> "$d/calls"\n'
            (self.directory / f"{kind}.{number}").write_text(note + fault.script + "\n")

    def calls(self) -> list[Call]:
        """The calls since the last time that they were asked for."""
        log = self.directory / "calls"
        lines = log.read_text().splitlines() if log.exists() else []
        new, self._seen = lines[self._seen :], len(lines)
        return [Call(kind, name or None) for kind, _, name in (line.partition(" ") for line in new)]

    def path(self, environ: Mapping[str, str] = os.environ) -> str:
        """A PATH with this tmux first."""
        return f"{self.bin}{os.pathsep}{environ['PATH']}"


ERRORS = (
    # The first two and the empty answer claim that there is certainly no session. The server lives: they lie.
    (1, "no server running on {socket}"),
    (1, "error connecting to {socket} (No such file or directory)"),
    (0, ""),
    (1, "error connecting to {socket} (Permission denied)"),
    (1, "error connecting to {socket} (Connection refused)"),
    (1, "error connecting to {socket} (Not a directory)"),
    (1, "error connecting to {socket} (File name too long)"),
    (1, "directory {directory} has unsafe permissions"),
    (1, "no current target"),
    (0, "access not allowed"),
    (1, "lost server"),
    (1, "server exited unexpectedly"),
    (1, "protocol version mismatch (client 8, server 7)"),
    (1, "no sessions"),
    (2, "something that nobody has ever seen"),
)
"""Exit codes and texts, as tmux has them."""

HANG = "exec sleep 60"
END = "kill -9 $$"


def _say(random: Random, socket: str) -> tuple[str, str]:
    """A name, and the shell that says it and exits."""
    code, text = random.choice(ERRORS)
    said = text.format(socket=socket, directory=Path(socket).parent)
    return text or "nothing at all", (f"echo {shlex.quote(said)} >&2; " if said else "") + f"exit {code}"


def _flip(random: Random) -> str:
    """Another character in the place of one of the row's, wherever it is."""
    character = random.choice(["0", "1", "9", "$", "@", "%", "_", "=", "/", "x", "\\t", " "])
    return f"awk 'NR == {random.randint(1, 8)} {{ p = {random.randint(1, 400)} % length($0) + 1;" + (
        f' $0 = substr($0, 1, p - 1) "{character}" substr($0, p + 1) }} 1\''
    )


def _empty_field(random: Random) -> str:
    field = random.choice([2, 3, 4, 5, 6, *range(8, 19)])  # the seventh, last_attached, may be empty
    return f"awk -F '\\t' -v OFS='\\t' 'NR == {random.randint(1, 8)} {{ ${field} = \"\" }} 1'"


_HIDE_ONE = "awk -F '\\t' 'NR == {row} {{ id = $2; next }} id == \"\" || $2 != id'"
_CLAIM = r"""printf '%s\n' "$said" | sed -n "s/^if-shell -F -t '\([$][0-9]*\):.*/killed \1/p"; exit 0"""
_HIDE_ALL = '"$real" "$@" | grep "^E"; echo "no current target" >&2; exit 1'


def _answered(name: str, filtered: str, loudness: Loudness) -> Fault:
    return Fault(name, f'"$real" "$@" | {filtered}; exit 0', loudness)


def _listing(random: Random, socket: str) -> Fault:
    row, loud = random.randint(1, 8), Loudness.SOCKET
    said, say = _say(random, socket)
    return random.choice(
        [
            lambda: Fault(f"says {said}", say, loud),
            lambda: Fault(f"says {said}", say, loud),
            lambda: Fault(
                f"lists, and says {said}", f'"$real" "$@"; {say}', loud if said != "nothing at all" else Loudness.QUIET
            ),
            lambda: Fault("lists, and warns", '"$real" "$@"; echo "access not allowed" >&2; exit 0', loud),
            lambda: Fault("hangs", HANG, loud),
            lambda: Fault("lists, and hangs", f'"$real" "$@"; {HANG}', loud),
            lambda: Fault("is slow", f"sleep 0.0{random.randint(1, 9)}"),
            lambda: Fault("is killed", END, loud),
            lambda: Fault("is killed half-way", f'"$real" "$@" | head -c {random.randint(1, 1000)}; {END}', loud),
            lambda: _answered("is cut in a row", f"head -c {random.randint(1, 1000)}", loud),
            lambda: _answered("is cut between rows", f"head -n {row - 1}", loud),
            lambda: _answered("is cut among the panes", "sed '$d'", Loudness.SESSIONS),
            lambda: _answered("doubles a session", f"sed {row}p", loud),
            lambda: _answered("doubles the server", "sed '/^E/p'", loud),
            lambda: _answered("doubles a pane", "sed '$p'", Loudness.QUIET),
            lambda: _answered("forgets a session, not its panes", f"sed {row}d", loud),
            lambda: _answered("hides a session", _HIDE_ONE.format(row=row), Loudness.QUIET),
            lambda: Fault("hides all sessions", _HIDE_ALL),
            lambda: _answered("empties a field", _empty_field(random), Loudness.SESSIONS),
            lambda: _answered("knows no TAB", "tr '\\t' _", loud),
            lambda: _answered("garbles a character", _flip(random), Loudness.QUIET),
            lambda: _answered("talks in between", f"sed '{row}i something else'", loud),
        ]
    )()


def _recheck(random: Random, socket: str) -> Fault:
    """Of the server's own row, behind those of the condemned that are there and of what has its id between theirs."""
    loud = Loudness.SOCKET
    said, say = _say(random, socket)
    return random.choice(
        [
            lambda: Fault(f"says {said}", say, loud),
            lambda: Fault("hangs", HANG, loud),
            lambda: Fault("is killed", END, loud),
            lambda: Fault("is slow", f"sleep 0.0{random.randint(1, 9)}"),
            lambda: _answered("is cut in a row", f"head -c -{random.randint(1, 100)}", loud),
            lambda: _answered("doubles a session", "sed 1p", loud),
            lambda: _answered("forgets a session", "sed 1d", Loudness.QUIET),
            lambda: _answered("empties a field", _empty_field(random), Loudness.QUIET),
            lambda: _answered("garbles a character", _flip(random), Loudness.QUIET),
            lambda: _answered("knows no TAB", "tr '\\t' _", loud),
        ]
    )()


def _feed(random: Random, socket: str) -> Fault:
    said, say = _say(random, socket)
    lines = random.randint(0, 3)
    return random.choice(
        [
            lambda: Fault(f"does nothing and says {said}", f"told; {say}"),
            lambda: Fault(f"does it and says {said}", f'told; fed "$@" > /dev/null; {say}'),
            lambda: Fault("is killed before", f"told; {END}"),
            lambda: Fault("is killed after", f'told; fed "$@" > /dev/null; {END}'),
            lambda: Fault("hangs before", f"told; {HANG}"),
            lambda: Fault("hangs after", f'told; fed "$@" > /dev/null; {HANG}'),
            lambda: Fault("answers and hangs", f'told; fed "$@"; {HANG}'),
            lambda: Fault("is killed half-way", f'told; printf "%s\\n" "$said" | head -n {lines} | "$real" "$@"; {END}'),
            lambda: Fault("does a part", f'told; printf "%s\\n" "$said" | head -n {lines} | "$real" "$@"; exit 0'),
            lambda: Fault("cuts its answer", f'told; fed "$@" | head -c {random.randint(1, 30)}; exit 0'),
            lambda: Fault("doubles its answers", 'told; fed "$@" | sed p; exit 0'),
            lambda: Fault("garbles a character", f'told; fed "$@" | {_flip(random)}; exit 0'),
            lambda: Fault("claims to have killed", f"told; {_CLAIM}"),
            lambda: Fault("is slow", f"sleep 0.0{random.randint(1, 9)}"),
        ]
    )()


def _capture(random: Random, socket: str) -> Fault:
    said, say = _say(random, socket)
    return random.choice(
        [
            lambda: Fault(f"says {said}", f"told; {say}"),
            lambda: Fault("hangs", f"told; {HANG}"),
            lambda: Fault("is killed", f"told; {END}"),
            lambda: Fault("is cut", f'told; fed "$@" | head -c {random.randint(1, 300)}; exit 0'),
            lambda: Fault("garbles a character", f'told; fed "$@" | {_flip(random)}; exit 0'),
            lambda: Fault("doubles its lines", 'told; fed "$@" | sed p; exit 0'),
        ]
    )()


_DRAW: Mapping[str, Callable[[Random, str], Fault]] = {
    "list": _listing,
    "recheck": _recheck,
    "feed": _feed,
    "capture": _capture,
}


def draw_fault(random: Random, kind: str, socket: str) -> Fault:
    """A fault of a call of that kind."""
    return _DRAW[kind](random, socket)


def draw_plan(random: Random, socket: str, *, calls: int = 12) -> dict[tuple[str, int], Fault]:
    """Some of the first calls of some kinds err, or all of them. The listings' rows 1 to 8 are hit: let there be so many.

    A kill is claimed only where listings tell the truth: two lies that agree cannot be told from the truth.
    """
    plan = {}
    kinds = random.sample(KINDS, random.choice([1, 1, 2, 4]))
    for kind in kinds:
        share = random.choice([0.3, 0.6, 1.0])
        for number in range(1, calls + 1):
            if random.random() < share:
                plan[kind, number] = draw_fault(random, kind, socket)
    return {at: fault for at, fault in plan.items() if "list" not in kinds or not fault.claims}
