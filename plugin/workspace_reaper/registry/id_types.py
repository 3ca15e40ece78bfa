"""Column types for ids. In Python each id is its canonical text. SQLite stores any value in any column, and PostgreSQL may
pad or fold what it stores, so what comes back is checked, never converted."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from typing import Any

from sqlalchemy import BigInteger, LargeBinary, String, Uuid
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine

_HYPHENS = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_DIGITS = re.compile(r"[0-9a-f]{32}")


class WrongValue(ValueError):
    """A value in the host's table is not of the kind that the schema says."""


class IdColumn(TypeDecorator[str]):
    """An id. A subclass says how the canonical text is stored (``_store``) and read (``_read``), and what it is (``kind``)."""

    cache_ok = True
    impl: type[TypeEngine[Any]] = String
    kind: str
    _store: Callable[[str], object]
    _read: Callable[[object], str]

    def bind_processor(self, dialect: Dialect) -> Callable[[str | None], object]:
        """``_store``, but for None."""
        store = type(self)._store
        return lambda value: None if value is None else store(value)

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], str]:
        """``_read``, which raises ``WrongValue`` for a value of another kind."""
        # Not process_result_value: it would come after the own processor of ``impl``; LargeBinary's bytes(value) makes of
        # the integer 16 sixteen zero bytes.
        return type(self)._read


def _as_it_is(value: str) -> str:
    return value


def _hyphened(digits: str) -> str:
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def _read_text(value: object) -> str:
    if not isinstance(value, str):
        raise WrongValue(f"a workspace id is {value!r}, not text")
    return value


def _read_hyphens(value: object) -> str:
    if not isinstance(value, str) or not _HYPHENS.fullmatch(value):
        raise WrongValue(f"a workspace id is {value!r}, not a UUID as lower-case text with hyphens")
    return value


def _read_hex(value: object) -> str:
    if not isinstance(value, str) or not _DIGITS.fullmatch(value):
        raise WrongValue(f"a workspace id is {value!r}, not a UUID as 32 lower-case hex digits")
    return _hyphened(value)


def _read_blob(value: object) -> str:
    if not isinstance(value, bytes) or len(value) != 16:
        raise WrongValue(f"a workspace id is {value!r}, not a BLOB of 16 bytes")
    return _hyphened(value.hex())


def _read_native(value: object) -> str:
    if not isinstance(value, uuid.UUID):
        raise WrongValue(f"a workspace id is {value!r}, not a UUID")
    return str(value)


def _read_number(value: object) -> str:
    if not isinstance(value, int):
        raise WrongValue(f"a workspace id is {value!r}, not a whole number")
    return str(value)


class TextId(IdColumn):
    """An id stored as text."""

    cache_ok = True
    kind = "text"
    _store = staticmethod(_as_it_is)
    _read = staticmethod(_read_text)


class UuidText(IdColumn):
    """A UUID stored as lower-case text with hyphens."""

    cache_ok = True
    kind = "a UUID"
    _store = staticmethod(_as_it_is)
    _read = staticmethod(_read_hyphens)


class UuidHex(IdColumn):
    """A UUID stored as text of 32 lower-case hex digits."""

    cache_ok = True
    kind = "a UUID as text of 32 hex digits"
    _store = staticmethod(lambda value: value.replace("-", ""))
    _read = staticmethod(_read_hex)


class UuidBlob(IdColumn):
    """A UUID stored as 16 bytes."""

    cache_ok = True
    impl = LargeBinary
    kind = "16 bytes"
    # A canonical id: `uuid.UUID` would take five times as long for the same.
    _store = staticmethod(lambda value: bytes.fromhex(value.replace("-", "")))
    _read = staticmethod(_read_blob)


class NativeUuid(IdColumn):
    """A UUID of the database's own kind, which PostgreSQL has."""

    cache_ok = True
    impl = Uuid
    kind = "a UUID"
    _store = staticmethod(uuid.UUID)
    _read = staticmethod(_read_native)


class WholeNumber(IdColumn):
    """A whole number; its canonical text is decimal."""

    cache_ok = True
    impl = BigInteger
    kind = "a whole number"
    _store = staticmethod(int)
    _read = staticmethod(_read_number)
