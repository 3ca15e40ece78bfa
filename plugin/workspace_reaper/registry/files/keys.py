"""Which keys of the documents the expressions name, and which of these occur nowhere: they may be misspelt."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from dataclasses import fields

from workspace_reaper.model.workspace import DescribedWorkspaces, HostFiles
from workspace_reaper.registry.schema_check import SchemaFinding

# `value` with what -> and ->> select from it, such as value->'a'->>'b', and the functions that take a path.
_STEPS = re.compile(r"\bvalue\b((?:\s*->>?\s*(?:'(?:[^']|'')*'|[0-9]+))+)")
_STEP = re.compile(r"->>?\s*(?:'((?:[^']|'')*)'|([0-9]+))")
_FUNCTION = re.compile(r"\bjson_(?:extract|type)\s*\(\s*value\s*,\s*'((?:[^']|'')*)'", re.IGNORECASE)


def missing_keys(connection: sqlite3.Connection, described: HostFiles) -> Iterator[SchemaFinding]:
    """Yield a finding for each key that no workspace has, although there are some. ``connection`` has the view ``items``.

    It is no error: some hosts omit a key until it is set for the first time.
    """
    if connection.execute("SELECT 1 FROM items").fetchone() is None:
        return
    for field in fields(DescribedWorkspaces):
        expression = getattr(described, field.name)
        if not isinstance(expression, str):
            continue
        for path in named_paths(expression):
            if not _occurs(connection, path):
                yield SchemaFinding(
                    f"files.{field.name} names {path}, which no workspace has: it is misspelt, or was never set",
                    fatal=False,
                    do="compare it with the file; if the host sets it later, all is well",
                )


def named_paths(expression: str) -> tuple[str, ...]:
    """Return the JSON paths within ``value`` that an expression names."""
    steps = (_joined(chain[1]) for chain in _STEPS.finditer(expression))
    paths = (match[1].replace("''", "'") for match in _FUNCTION.finditer(expression))
    return tuple(dict.fromkeys(path for path in (*steps, *paths) if path != "$"))


def _joined(chain: str) -> str:
    path = "$"
    for name, index in _STEP.findall(chain):
        step = name.replace("''", "'")
        if index:
            path += f"[{index}]"
        elif step.startswith("$"):
            path += step[1:]
        else:
            path += f'."{step}"'
    return path


def _occurs(connection: sqlite3.Connection, path: str) -> bool:
    try:
        found = connection.execute("SELECT 1 FROM items WHERE json_type(value, ?) IS NOT NULL", (path,)).fetchone()
    except sqlite3.Error:  # no path of this SQLite
        return True
    return found is not None
