"""The findings and the choice as text for people and as JSON. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from workspace_reaper.setup.choose import Choice, HostCandidate
from workspace_reaper.setup.discover import Database, Machine, Socket
from workspace_reaper.util.text import printable


def as_text(machine: Machine, choice: Choice) -> list[str]:
    """Return printable lines: all databases and sockets, what could not be looked at, and the choice."""
    return [printable(line) for line in _lines(machine, choice)]


def next_steps(file: Path, *, is_default: bool) -> list[str]:
    """Return what to do once the file exists. ``is_default``: all commands read it without --config."""
    name = printable(str(file))
    command = "workspace-reaper" if is_default else f"workspace-reaper --config {shlex.quote(name)}"
    return [
        f"1. Check the settings in {name}",
        f"2. {command} doctor",
        f"3. {command} sweep --dry-run   (a preview that reaps and writes nothing)",
        "4. Set enabled = true in the file",
        "5. For a Python server that loads plugins: restart it. For any other server:",
        f"   {command} run, or '{command} service systemd' for a unit that starts it at each login",
    ]


def as_json(machine: Machine, choice: Choice, file: Path, text: str, *, written: bool) -> dict[str, Any]:
    """Return the object that ``init --json`` prints."""
    return {
        "databases": [_printable(asdict(one)) for one in machine.databases],
        "sockets": [_printable(asdict(one)) for one in machine.sockets],
        "problems": _printable(_problems(machine)),
        "chosen": None if choice.chosen is None else _candidate(choice.chosen),
        "others": [_candidate(other) for other in choice.others],
        "why": printable(choice.why),
        "file": printable(str(file)),
        "content": text,
        "written": written,
    }


def _candidate(candidate: HostCandidate) -> dict[str, Any]:
    return {"registry": candidate.database.registry, "database": printable(candidate.database.database)}


def _printable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _printable(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_printable(inner) for inner in value]
    return printable(value) if isinstance(value, str) else value


def _lines(machine: Machine, choice: Choice) -> Iterator[str]:
    yield "Databases:"
    for database in machine.databases:
        yield f"  {database.registry}: {database.database}: {_state(database, len(machine.sessions_of(database.registry)))}"
    yield "tmux sockets:"
    for socket in machine.sockets:
        yield f"  {socket.socket}: {_sessions(socket)}"
    if not machine.sockets:
        yield "  none"
    for problem in _problems(machine):
        yield f"Could not be looked at: {problem}"
    yield f"Result: {choice.why}"


def _problems(machine: Machine) -> list[str]:
    return [*machine.problems, *(f"{one.registry}: {one.problem}" for one in machine.registries if one.problem)]


def _state(database: Database, sessions: int) -> str:
    if database.state == "absent":
        return "does not exist"
    if database.state == "unreadable":
        return f"cannot be read: {database.detail}"
    rows = database.workspaces or 0
    count = f"more than {rows - 1}" if database.capped else str(rows)
    return f"{count} {'workspace' if count == '1' else 'workspaces'}, with {database.known_sessions} of its {sessions} sessions"


def _sessions(socket: Socket) -> str:
    if socket.problem is not None and not socket.sessions:
        return f"cannot be read: {socket.problem}"
    if not socket.answered:
        return "no server is running"
    parts = [f"{len(names)} of {registry}, such as {names[0]}" for registry, names in socket.matching.items()]
    parts += [
        f"{len(names)} with names of {registry}, such as {names[0]}, which does not use this socket"
        for registry, names in socket.elsewhere.items()
    ]
    matched = {name for some in (socket.matching, socket.elsewhere) for names in some.values() for name in names}
    other = [name for name in socket.sessions if name not in matched]
    if other:
        parts.append(f"{len(other)} others, such as {other[0]}")
    total = "1 session" if len(socket.sessions) == 1 else f"{len(socket.sessions)} sessions"
    problem = f"; {socket.problem}" if socket.problem else ""
    return (f"{total}: {'; '.join(parts)}" if parts else "no session") + problem
