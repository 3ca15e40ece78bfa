"""Write a ``SessionSnapshot`` as ``session.json`` and read it strictly. Undecodable bytes are kept as surrogates."""

from __future__ import annotations

import dataclasses
import json
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

from workspace_reaper.model.session import SessionKey
from workspace_reaper.model.snapshot import SessionSnapshot

# Grows when older versions cannot read a file. Fields may be added without that.
FORMAT = 1


def to_json(snapshot: SessionSnapshot) -> bytes:
    """Return the content of the file, in ASCII."""
    content = dataclasses.asdict(snapshot) | {"key": snapshot.key._asdict()}
    return json.dumps({"format": FORMAT, "session": content}).encode("ascii")


def from_json(data: bytes) -> SessionSnapshot:
    """Read the file. Raises ``ValueError`` if ``to_json`` did not write it. Fields of later versions are ignored."""
    try:
        document = json.loads(data)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(document, dict) or type(document.get("format")) is not int:
        raise ValueError("it has no format number")
    if document["format"] != FORMAT:
        raise ValueError(f"its format is {document['format']}, and this version reads {FORMAT}")
    snapshot = _read(SessionSnapshot, document.get("session"), "session")
    assert isinstance(snapshot, SessionSnapshot)  # noqa: S101  by construction
    return snapshot


def _read(kind: Any, value: Any, place: str) -> object:
    """Return ``value`` as that type, one of those that snapshots consist of."""
    if dataclasses.is_dataclass(kind) or kind is SessionKey:
        return _read_fields(kind, value, place)
    if get_origin(kind) is tuple and isinstance(value, list):
        return tuple(_read(get_args(kind)[0], item, place) for item in value)
    if get_origin(kind) is UnionType:
        return None if value is None else _read(next(it for it in get_args(kind) if it is not NoneType), value, place)
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise ValueError(f"its {place} is not of type {getattr(kind, '__name__', kind)}")
    return value


def _read_fields(kind: Any, value: Any, place: str) -> object:
    hints = get_type_hints(kind)
    if not isinstance(value, dict) or not hints.keys() <= value.keys():
        raise ValueError(f"its {place} is not complete")
    return kind(**{name: _read(hint, value[name], name) for name, hint in hints.items()})
