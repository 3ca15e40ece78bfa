"""Map dataclasses and named tuples to rows of a table and back, driven by the types of their fields.

A field that is itself a dataclass or a named tuple contributes the columns of its own fields. A collection is one column of
JSON: a list that holds for each element its only column, or the list of its columns. ``Mapping[str, Any]`` is a JSON object.

Reading is strict. SQLite stores a value of any type in any column, and a file that was damaged or edited must be an error here,
where it can be named, and not a wrong verdict later. Values are checked a column at a time: 1,000 confirmations take 1 ms.
"""

from __future__ import annotations

import json
import re
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, is_dataclass, replace
from enum import Enum
from functools import cache
from math import isfinite
from operator import attrgetter, itemgetter
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")
Values = Sequence[Any]

# The years 1 to 9999, in Unix seconds. Every float in the ledger is a time or a duration.
_EARLIEST, _LATEST = -62_135_596_800, 253_402_300_800

# The number of texts of one column whose values are kept: one for each host, and two sweeps.
_KNOWN = 64

_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)
_ESCAPED = re.compile(r"\\(\\|u[0-9a-f]{4})")


def columns_of(kind: type) -> tuple[str, ...]:
    """Return the names of the columns that hold a value of this class."""
    return _class_codec(kind).columns


def to_row(value: object) -> list[Any]:
    """Return the columns of a dataclass or named tuple, as SQLite takes them.

    Raises:
        TypeError: A value cannot be written as JSON.
    """
    return escaped(_class_codec(type(value)).write(value))


def from_rows(kind: type[T], rows: Sequence[Sequence[Any]]) -> list[T]:
    """Return a value of this class for each row, which has the columns of ``columns_of`` in that order.

    Raises:
        TypeError, ValueError: A row holds what ``to_row`` never writes.
    """
    codec = _class_codec(kind)
    return list(codec.read([_unescaped(column) for column in _transposed(codec, rows)]))


def json_ids(ids: Iterable[str]) -> str:
    """Return workspace ids as the JSON list that SQL expands with ``json_each``: one statement for any number of ids."""
    return _ENCODER.encode(escaped(ids))


def escape(text: str) -> str:
    r"""Return ``text`` as valid UTF-8 without NUL: lone surrogates (bytes that Python could not decode), NUL and ``\`` escaped.

    Names of sessions and sockets, and command lines, may hold any byte, and sqlite3 refuses lone surrogates. Different texts
    have different escapes.
    """
    if text.isascii() and "\\" not in text and "\0" not in text:
        return text
    doubled = text.replace("\\", "\\\\").replace("\0", "\\u0000")
    return doubled.encode("utf-8", "backslashreplace").decode("utf-8")


def escaped(values: Iterable[Any]) -> list[Any]:
    """Return the values, each text escaped."""
    return [escape(value) if type(value) is str else value for value in values]


def unescape(text: str) -> str:
    """Return the text that ``escape`` was given."""
    return _ESCAPED.sub(lambda match: "\\" if match[1] == "\\" else chr(int(match[1][1:], 16)), text)


def _unescaped(values: Values) -> Values:
    if str not in set(map(type, values)):
        return values
    return [unescape(value) if type(value) is str and "\\" in value else value for value in values]


@dataclass(frozen=True, slots=True)
class _Codec:
    """How values of one type become columns: ``write`` makes those of one value, ``read`` takes those of many.

    ``is_scalar``: a value is written as it is.
    """

    columns: tuple[str, ...]
    write: Callable[[Any], Iterable[Any]]
    read: Callable[[Sequence[Values]], Iterable[Any]]
    is_scalar: bool = False


def _transposed(codec: _Codec, rows: Sequence[Sequence[Any]]) -> Sequence[Values]:
    if not rows:
        return [()] * len(codec.columns)
    columns = list(zip(*rows, strict=True))
    if len(columns) != len(codec.columns):
        raise ValueError(f"{len(columns)} columns instead of {', '.join(codec.columns)}")
    return columns


def _class_codec(kind: Any) -> _Codec:
    return _codec(kind, "")


@cache
def _codec(hint: Any, name: str) -> _Codec:
    """Return the codec of a type; ``name`` is that of the field, and of its column where it has only one."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        (inner,) = (one for one in arguments if one is not NoneType)
        return _optional(_codec(inner, name))
    if origin in (tuple, frozenset) and (origin is frozenset or Ellipsis in arguments):
        return _collection(name, _codec(arguments[0], name), origin, sorted if origin is frozenset else iter)
    if origin is tuple:
        return _composite(lambda *parts: parts, [(itemgetter(at), _codec(one, name)) for at, one in enumerate(arguments)])
    if origin is not None:  # a mapping
        pairs = _codec(tuple[arguments], name)  # type: ignore[valid-type]
        return _object(name) if arguments[1] is Any else _collection(name, pairs, dict, lambda mapping: mapping.items())
    if is_dataclass(hint) or hasattr(hint, "_fields"):
        fields = {name: _codec(own, name) for name, own in get_type_hints(hint).items()}
        codec = _composite(hint, [(attrgetter(field), own) for field, own in fields.items()])
        # One call gets all fields where all are scalars: there are 1,000 samples, and 1,000 keys of sessions.
        are_scalars = len(fields) > 1 and all(own.is_scalar for own in fields.values())
        return replace(codec, write=attrgetter(*fields)) if are_scalars else codec
    return _Codec((name,), lambda value: (value,), lambda columns: _scalars(hint, name, columns[0]), is_scalar=True)


def _scalars(kind: Any, name: str, values: Values) -> Values:
    """Check the values of one column of scalars, and return them as that type."""
    if kind is float:
        _require(name, {int, float}, values)
        # A NaN passes comparisons, but not a sum.
        if values and not (min(values) > _EARLIEST and max(values) < _LATEST and isfinite(sum(values))):
            raise ValueError(f"{name} is outside of the calendar")
    elif kind is bool:
        _require(name, {int, bool}, values)
        if not set(values) <= {0, 1}:
            raise ValueError(f"{name} is neither 0 nor 1")
        return list(map(bool, values))
    elif issubclass(kind, Enum):
        members = {one.value: one for one in kind}
        return [members[value] for value in values]
    else:
        _require(name, {kind}, values)
    return values


def _require(name: str, kinds: set[type], values: Values) -> None:
    wrong = set(map(type, values)) - kinds
    if wrong:
        raise TypeError(f"{name} is {wrong.pop().__name__}, not {kinds.pop().__name__}")


def _optional(inner: _Codec) -> _Codec:
    def read(columns: Sequence[Values]) -> Iterable[Any]:
        present = iter(inner.read([[value for value in columns[0] if value is not None]]))
        return [None if value is None else next(present) for value in columns[0]]

    return _Codec(inner.columns, lambda value: (None,) if value is None else inner.write(value), read, inner.is_scalar)


def _composite(make: Callable[..., Any], parts: Sequence[tuple[Callable[[Any], Any], _Codec]]) -> _Codec:
    names = tuple(name for _, part in parts for name in part.columns)

    def write(value: Any) -> Iterable[Any]:
        return [column for get, part in parts for column in part.write(get(value))]

    def read(columns: Sequence[Values]) -> Iterable[Any]:
        rest = iter(columns)
        return map(make, *[part.read([next(rest) for _ in part.columns]) for _, part in parts])

    return _Codec(names, write, read)


def _collection(name: str, element: _Codec, make: Callable[[Any], Any], items: Callable[[Any], Iterable[Any]]) -> _Codec:
    is_single = len(element.columns) == 1
    # A value and its text: what a sweep writes, the next one reads, and often writes again.
    last: tuple[Any, Any] = (None, None)
    # The latest texts and their values: each host has its own.
    known_values: OrderedDict[str, Any] = OrderedDict()

    def write(value: Any) -> Iterable[Any]:
        nonlocal last
        known, text = last
        if value != known:
            rows = [list(element.write(item)) for item in items(value)]
            text = _ENCODER.encode([row[0] for row in rows] if is_single else rows)
            last = make(value), text
        return (text,)

    def read_one(text: str) -> Any:
        nonlocal last
        value = known_values.get(text)
        if value is None:
            rows = _parsed(name, text, list)
            if not is_single:
                _require(name, {list}, rows)
            value = known_values[text] = make(element.read([rows] if is_single else _transposed(element, rows)))
            if len(known_values) > _KNOWN:
                known_values.popitem(last=False)
        last = value, text
        return make(value)  # a caller may change a dict

    def read(columns: Sequence[Values]) -> Iterable[Any]:
        _require(name, {str}, columns[0])
        return list(map(read_one, columns[0]))

    return _Codec((name,), write, read)


def _object(name: str) -> _Codec:
    def read(columns: Sequence[Values]) -> Iterable[Any]:
        _require(name, {str}, columns[0])
        return [_parsed(name, text, dict) for text in columns[0]]

    return _Codec((name,), lambda value: (_ENCODER.encode(dict(value)),), read)


def _parsed(name: str, text: str, kind: type[T]) -> T:
    try:
        value = json.loads(text)
    except RecursionError as error:
        raise ValueError(f"{name} is nested too deeply") from error
    if not isinstance(value, kind):
        raise TypeError(f"{name} is {type(value).__name__} in JSON, not {kind.__name__}")
    return value
