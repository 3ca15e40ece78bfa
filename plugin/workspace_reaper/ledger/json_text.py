"""JSON as the columns hold it."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["as_json", "json_list", "json_object"]

_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)


def as_json(value: object) -> str:
    """``value`` as compact JSON. Lone surrogates stay as they are, for ``SafeText`` to escape: JSON's own escapes would join
    two that follow one another. Raises ``TypeError`` for what is no JSON."""
    return _ENCODER.encode(value)


def json_list(text: str) -> list[Any]:
    """The list that ``text`` is. Raises ``ValueError`` for anything else: what is empty in another way is not understood."""
    value = _loaded(text)
    if not isinstance(value, list):
        raise ValueError(f"{text[:40]!r} is no list")
    return value


def json_object(text: str) -> dict[str, Any]:
    """The object that ``text`` is. Raises ``ValueError`` for anything else."""
    value = _loaded(text)
    if not isinstance(value, dict):
        raise ValueError(f"{text[:40]!r} is no object")
    return value


def _loaded(text: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError(f"{text[:40]!r} is nested too deeply") from error
