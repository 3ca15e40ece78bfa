"""Names in double quotes, which SQLite takes for texts where there is no such column."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from typing import Any

from sqlalchemy import ColumnClause, literal_column

from workspace_reaper.registry.schema import Facts

__all__ = ["strict"]

# What may hold a double quote without being a name in such quotes, and then these names.
_TOKEN = re.compile(
    r"""'(?:[^']|'')*'|`(?:[^`]|``)*`|\[[^\]]*\]|--[^\n]*|/\*.*?(?:\*/|\Z)|"(?P<name>(?:[^"]|"")*)\"""", re.DOTALL
)


def strict(facts: Facts) -> Facts:
    """The same facts, where a name in double quotes is never a text: an expression with a slip of the pen is an error, and
    not for ever false. In backquotes a name is always one (https://sqlite.org/quirks.html), in every version."""
    literals: dict[str, Any] = {}
    for field in fields(facts):
        value = getattr(facts, field.name)
        if isinstance(value, ColumnClause) and value.is_literal:
            literals[field.name] = literal_column(_TOKEN.sub(_in_backquotes, value.name), value.type)
    return replace(facts, **literals) if literals else facts


def _in_backquotes(token: re.Match[str]) -> str:
    name = token["name"]
    if name is None:
        return token[0]
    escaped = name.replace('""', '"').replace("`", "``")
    return f"`{escaped}`"
