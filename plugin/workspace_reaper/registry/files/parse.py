"""Parses a document strictly, and returns it as JSON text for SQLite.

What two parsers may read in two ways is refused: duplicate keys, NaN, an empty file. So is what is nested too deeply.
"""

from __future__ import annotations

import datetime
import json
import math
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NoReturn

from workspace_reaper.registry.files.errors import IncompleteFile, UnreadableFiles

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

# The deepest nesting of lists and maps.
MOST_LEVELS = 64


class Malformed(ValueError):
    """An error for a document that cannot be parsed, or that could be read in two ways."""


def is_complete_by_itself(path: str) -> bool:
    """Return whether no beginning of such a document is a document: JSON ends with a bracket, TOML and YAML at any line."""
    return path.endswith(".json")


def as_json(path: str, content: bytes) -> str:
    """Return the document as JSON text.

    Raises:
        IncompleteFile: It cannot be parsed: it may be just being written.
        UnreadableFiles: It is nested too deeply, or the parser is not installed.
    """
    language = "JSON" if path.endswith(".json") else "TOML" if path.endswith(".toml") else "YAML"
    try:
        text = content.decode("utf-8")
        if not text.strip():
            raise Malformed("it is empty")
        return _PARSERS[language](text)
    except (TooDeep, RecursionError) as error:
        raise UnreadableFiles(f"{path} is nested more than {MOST_LEVELS} levels deep, which is the limit.") from error
    except ImportError as error:
        raise UnreadableFiles(f"{path} needs a parser for YAML: pip install 'workspace-reaper[yaml]'.") from error
    except ValueError as error:  # of each parser, and of UTF-8
        raise IncompleteFile(f"{path} is not valid {language} ({error}): correct it, if this lasts.") from error


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


def _refuse(constant: str) -> NoReturn:
    raise Malformed(f"it contains {constant}, which JSON does not have")


def _json(text: str) -> str:
    check_depth(json.loads(text, object_pairs_hook=without_duplicates, parse_constant=_refuse))
    return text


def _toml(text: str) -> str:
    return json.dumps(plain(tomllib.loads(text)), ensure_ascii=False)


def _yaml(text: str) -> str:
    from workspace_reaper.registry.files.yaml_loader import load_yaml

    return json.dumps(plain(load_yaml(text)), ensure_ascii=False)


_PARSERS = {"JSON": _json, "TOML": _toml, "YAML": _yaml}
