"""What a parsed document may contain.

What two parsers may read in two ways is refused: duplicate keys, NaN. So is what is nested too deeply.
"""

from __future__ import annotations

import datetime
import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

# The deepest nesting of lists and maps.
MOST_LEVELS = 64


class Malformed(ValueError):
    """An error for a document that cannot be parsed, or that could be read in two ways."""


class TooDeep(Exception):
    """An error for a document with more levels than `MOST_LEVELS`."""


def plain(value: Any) -> Any:
    """Return the value with what JSON has: a time becomes its ISO 8601 text, a key a text.

    Raises:
        Malformed: It is neither a list nor a map, a number is not finite, two keys have one text, or a value is of another
            kind, such as binary data.
        TooDeep: It is nested too deeply.
    """
    check_depth(value)
    return _plain(value)


def check_depth(value: Any) -> None:
    """Raise `TooDeep` if the lists and maps of the value are nested too deeply, and `Malformed` if it is neither."""
    level, depth = _containers([value]), 0
    if not level:
        raise Malformed("it is neither a list nor a map")
    while level:
        depth += 1
        if depth > MOST_LEVELS:
            raise TooDeep
        level = [inner for outer in level for inner in _containers(outer.values() if isinstance(outer, dict) else outer)]


def _containers(values: Iterable[Any]) -> list[Any]:
    return [value for value in values if isinstance(value, (dict, list))]


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, Mapping):
        return without_duplicates([(_key(key), _plain(one)) for key, one in value.items()])
    raise Malformed(f"it contains {value!r:.40}, which JSON does not have")


def _key(key: Any) -> str:
    plain_key = _plain(key)
    return plain_key if isinstance(plain_key, str) else json.dumps(plain_key)


def without_duplicates(pairs: Sequence[tuple[Any, Any]]) -> dict[Any, Any]:
    """Return the pairs as a dictionary. Raises `Malformed` if two of them have one key."""
    found = dict(pairs)
    if len(found) != len(pairs):
        counts = Counter(key for key, _ in pairs)
        raise Malformed(f"the key {counts.most_common(1)[0][0]!r} occurs twice in one map")
    return found
