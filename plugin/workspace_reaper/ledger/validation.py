"""Is what was read back of the kind that was written? SQLite keeps a value of any kind in any column, and JSON in any place.

A file that was damaged or edited must be an error here, where it can be named, and not a wrong verdict later: a text compared
with a number, or a time that no calendar has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from functools import cache
from math import isfinite
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from workspace_reaper.model.session import SessionKey
from workspace_reaper.model.state import CpuSample, LedgerState

__all__ = ["sound", "sound_memory", "sound_samples"]

T = TypeVar("T")
Test = Callable[[Any], bool]

_EARLIEST, _LATEST = -62_135_596_800, 253_402_300_800
"""The years 1 to 9999, in Unix seconds."""

_KEY = (str, int, int, str, int)
_MANY = frozenset({"sightings", "seen", "named", "worktrees", "cpu"})
"""What there is of each session. A sweep reads these every time: they are looked at column by column."""


def sound(value: T) -> T:
    """The value, a dataclass, if each of its fields is what its type says, and each number of seconds one of a calendar's.
    Raises ``TypeError``."""
    kind: Any = type(value)
    for name, test in _fields(kind).items():
        if not test(getattr(value, name)):
            raise _wrong(f"{kind.__name__}.{name}", getattr(value, name))
    return value


def sound_memory(memory: LedgerState) -> LedgerState:
    """The same of a whole memory."""
    for name, test in _fields(LedgerState).items():
        if name not in _MANY and not test(getattr(memory, name)):
            raise _wrong(name, getattr(memory, name))
    seen = memory.sightings.values()
    _check("sightings", _are_keys(key for key, _ in memory.sightings))
    _check("sightings", _are({int}, [one.count for one in seen]))
    _check("sightings", _are({str, NoneType}, [one.workspace_id for one in seen]))
    _check("sightings", _are_seconds([*(one.first_at for one in seen), *(one.last_at for one in seen)]))
    _check("cpu", memory.cpu.at is None or _is_seconds(memory.cpu.at))
    for name, kind in (("seen", int), ("named", int), ("worktrees", str)):
        _check(name, _are({kind}, getattr(memory, name).values()))
    return memory


def sound_samples(samples: Mapping[SessionKey, CpuSample]) -> Mapping[SessionKey, CpuSample]:
    """The same of CPU samples."""
    _check("samples", _are_keys(samples))
    _check("samples", _are_seconds([sample.seconds for sample in samples.values()]))
    _check("samples", _are_seconds([sample.busy_at for sample in samples.values() if sample.busy_at is not None]))
    return samples


def _are(kinds: set[type], values: Iterable[object]) -> bool:
    return set(map(type, values)) <= kinds


def _are_keys(keys: Iterable[SessionKey]) -> bool:
    return all(_are({kind}, column) for kind, column in zip(_KEY, zip(*keys, strict=True), strict=False))


def _are_seconds(values: Sequence[Any]) -> bool:
    if not values:
        return True
    # A NaN hides from all comparisons, and not from a sum.
    return _are({int, float}, values) and min(values) > _EARLIEST and max(values) < _LATEST and isfinite(sum(values))


def _check(name: str, is_sound: bool) -> None:
    if not is_sound:
        raise _wrong(name, "")


def _wrong(name: str, value: object) -> TypeError:
    return TypeError(f"{name} is {str(value)[:40]!r}" if value else f"{name} is of another kind")


@cache
def _fields(kind: type) -> Mapping[str, Test]:
    return {name: _test(hint) for name, hint in get_type_hints(kind).items()}


def _is_seconds(value: object) -> bool:
    return type(value) in (int, float) and _EARLIEST < value < _LATEST  # type: ignore[operator]  # NaN is neither


_PLAIN: Mapping[Any, Test] = {
    Any: lambda _value: True,
    NoneType: lambda value: value is None,
    bool: lambda value: type(value) is bool,
    int: lambda value: type(value) is int,
    str: lambda value: type(value) is str,
    float: _is_seconds,
}


def _test(hint: Any) -> Test:
    """Whether a value is of the type that a field is annotated with; of those kinds of types that the fields have."""
    origin = get_origin(hint)
    if hint in _PLAIN:
        return _PLAIN[hint]
    if origin is not None:
        return _test_of_parts(origin, get_args(hint))
    if issubclass(hint, Enum):
        return lambda value: isinstance(value, hint)
    fields = _fields(hint)
    return lambda value: isinstance(value, hint) and all(test(getattr(value, name)) for name, test in fields.items())


def _test_of_parts(origin: Any, arguments: tuple[Any, ...]) -> Test:
    tests = [_test(one) for one in arguments if one is not Ellipsis]
    if origin in (Union, UnionType):
        return lambda value: any(test(value) for test in tests)
    if origin in (tuple, frozenset) and (origin is frozenset or Ellipsis in arguments):
        return lambda value: isinstance(value, origin) and all(map(tests[0], value))
    if origin is tuple:
        return lambda value: len(value) == len(tests) and all(test(one) for test, one in zip(tests, value, strict=True))
    return lambda value: all(tests[0](key) and tests[1](inner) for key, inner in value.items())  # a mapping
