"""Paths in a configuration: ``~``, and the variables of the environment."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping

_VARIABLE = re.compile(r"\$(?:(?P<name>[A-Za-z_][A-Za-z0-9_]*)|\{(?P<braced>[^}:]*)(?::-(?P<default>[^}]*))?\})")


class UnsetVariable(Exception):
    """An error for a variable that is not set, or empty, and has no default. The text is its name."""


def expand(path: str, environ: Mapping[str, str], quoted: Callable[[str], str] = str) -> str:
    """Return the path with ``~`` or ``~USER`` at its beginning, ``$NAME`` and ``${NAME}`` replaced.

    ``${NAME:-DEFAULT}`` is DEFAULT, expanded, if the variable is not set or empty. ``quoted`` is applied to each home directory
    and value.

    Raises:
        UnsetVariable: A variable without a default is not set or empty.
    """

    def value(variable: re.Match[str]) -> str:
        name = variable["name"] or variable["braced"]
        if environ.get(name):
            return quoted(environ[name])
        if variable["default"] is None:
            raise UnsetVariable(name)
        return expand(variable["default"], environ, quoted)

    first, slash, rest = path.partition("/")
    if not first.startswith("~"):
        return _VARIABLE.sub(value, path)
    return quoted(_home(first, environ)) + slash + _VARIABLE.sub(value, rest)


def variables_in(path: str) -> Iterator[str]:
    """Yield the names of the variables in a path."""
    return (variable["name"] or variable["braced"] for variable in _VARIABLE.finditer(path))


def _home(first: str, environ: Mapping[str, str]) -> str:
    own = environ.get("HOME") if first == "~" else None
    return own or os.path.expanduser(first)
