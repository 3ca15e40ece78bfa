"""The regular expressions by which sessions are recognised."""

from __future__ import annotations

import re


def pattern_problem(pattern: str) -> str | None:
    """Return why a regular expression cannot be a session pattern, or None: it has a group ``id``."""
    try:
        groups = re.compile(pattern).groupindex
    except (re.error, OverflowError, RecursionError) as error:
        return f"{pattern!r} is not a regular expression ({error})"
    return None if "id" in groups else f"{pattern!r} has no group 'id'"
