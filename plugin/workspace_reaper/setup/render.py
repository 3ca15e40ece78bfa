"""What was found, for a person and for a program. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from workspace_reaper.setup.choose import Choice, HostCandidate
from workspace_reaper.setup.discover import Database, Machine, Socket
from workspace_reaper.sweep.report import printable

__all__ = ["as_json", "next_steps", "told"]


def told(machine: Machine, choice: Choice) -> list[str]:
    """Lines that are safe to print: all databases and sockets, what could not be looked at, and what follows."""
    return [printable(line) for line in _lines(machine, choice)]


def next_steps(file: Path, *, is_default: bool) -> list[str]:
    """What to do once the file is there. ``is_default``: it is the one that every command reads unless told otherwise."""
    name = printable(str(file))
    command = "workspace-reaper" if is_default else f"workspace-reaper --config {shlex.quote(name)}"
    return [
        f"1. look through {name}, and change what is not so",
        f"2. {command} doctor",
        f"3. WORKSPACE_REAPER_ENABLED=1 {command} sweep --dry-run   (a preview: nothing is reaped, nothing is written)",
        "4. write enabled = true in the file",
        "5. a Python server that loads plugins reaps from its next start on; for any other:",
        f"   {command} run, or '{command} service systemd' for a unit that starts it at each login",
    ]


def as_json(machine: Machine, choice: Choice, file: Path, text: str, *, written: bool) -> dict[str, Any]:
    """The object that ``init --json`` prints."""
    return {
        "databases": [
            {
                "registry": one.registry,
                "database": printable(one.path),
                "state": one.state,
                "detail": printable(one.detail),
                "workspaces": one.rows if one.state == "there" else None,
                "known_sessions": one.known,
            }
            for one in machine.databases
        ],
        "sockets": [
            {
                "socket": printable(one.path),
                "answered": one.answered,
                "problem": None if one.problem is None else printable(one.problem),
                "sessions": [printable(name) for name in one.sessions],
                "matching": _names(one.matching),
                "elsewhere": _names(one.elsewhere),
            }
            for one in machine.sockets
        ],
        "problems": [printable(text) for text in _problems(machine)],
        "chosen": None if choice.chosen is None else _candidate(choice.chosen),
        "others": [_candidate(other) for other in choice.others],
        "why": printable(choice.why),
        "file": printable(str(file)),
        "content": text,
        "written": written,
    }


def _candidate(candidate: HostCandidate) -> dict[str, Any]:
    return {"registry": candidate.database.registry, "database": printable(candidate.database.path)}


def _names(matching: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    return {registry: [printable(name) for name in names] for registry, names in matching.items()}


def _lines(machine: Machine, choice: Choice) -> Iterator[str]:
    yield "Databases:"
    for database in machine.databases:
        yield f"  {database.registry}: {database.path}: {_state(database, len(machine.sessions_of(database.registry)))}"
    yield "Tmux sockets:"
    for socket in machine.sockets:
        yield f"  {socket.path}: {_answer(socket)}"
    if not machine.sockets:
        yield "  none"
    for problem in _problems(machine):
        yield f"Not looked at: {problem}"
    yield f"So: {choice.why}"


def _problems(machine: Machine) -> list[str]:
    return [*machine.problems, *(f"{kind.registry}: {kind.problem}" for kind in machine.kinds if kind.problem)]


def _state(database: Database, sessions: int) -> str:
    if database.state == "absent":
        return "not there"
    if database.state == "unreadable":
        return f"can't be read: {database.detail}"
    rows = f"more than {database.rows - 1}" if database.capped else str(database.rows)
    return f"{rows} {'workspace' if rows == '1' else 'workspaces'}; it knows {database.known} of its {sessions} sessions"


def _answer(socket: Socket) -> str:
    if socket.problem is not None and not socket.sessions:
        return f"no answer: {socket.problem}"
    if not socket.answered:
        return "no server listens"
    parts = [f"{len(names)} of {registry}, such as {names[0]}" for registry, names in socket.matching.items()]
    parts += [
        f"{len(names)} named like those of {registry}, such as {names[0]}, which does not use this socket"
        for registry, names in socket.elsewhere.items()
    ]
    matched = {name for some in (socket.matching, socket.elsewhere) for names in some.values() for name in names}
    other = [name for name in socket.sessions if name not in matched]
    if other:
        parts.append(f"{len(other)} of others, such as {other[0]}")
    total = "1 session" if len(socket.sessions) == 1 else f"{len(socket.sessions)} sessions"
    unread = f"; {socket.problem}" if socket.problem else ""
    return (f"{total}: {'; '.join(parts)}" if parts else "no session") + unread
