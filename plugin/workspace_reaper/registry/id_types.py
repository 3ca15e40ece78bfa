"""Column types for ids. In Python each id is its canonical text.

SQLite stores any value in any column, and PostgreSQL may pad or fold what it stores. So a value that was read is checked, never
converted.
"""

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
    """A value in the host's table that is not of the kind that the schema declares."""


class IdColumn(TypeDecorator[str]):
    """An id. A subclass defines the kind of the stored value and converts it from and to the canonical text."""

    cache_ok = True
    impl: type[TypeEngine[Any]] = String
    kind: str
    """The stored values, for messages."""

    _store: Callable[[str], object] = staticmethod(str)
    """Returns the stored value of a canonical id."""

    _read: Callable[[Any], str | None]
    """Returns the canonical id, or None if the value is not of this kind."""

    def bind_processor(self, dialect: Dialect) -> Callable[[str | None], object]:
        """Return ``_store`` for all ids but None."""
        store = self._store
        return lambda text: None if text is None else store(text)

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], str]:
        """Return ``_read``, which raises ``WrongValue`` for a value of another kind."""
        # Not process_result_value, which is called after the processor of ``impl``: that of LargeBinary turns the integer 16
        # into sixteen zero bytes.
        read, kind = self._read, self.kind

        def checked(value: Any) -> str:
            text = read(value)
            if text is None:
                raise WrongValue(f"a workspace id is {value!r}, not {kind}")
            return text

        return checked


class TextId(IdColumn):
    """An id stored as text."""

    cache_ok = True
    kind = "text"
    _read = staticmethod(lambda value: value if isinstance(value, str) else None)


class UuidText(IdColumn):
    """A UUID stored as lower-case text with hyphens."""

    cache_ok = True
    kind = "a UUID as lower-case text with hyphens"
    _read = staticmethod(lambda value: value if isinstance(value, str) and _HYPHENS.fullmatch(value) else None)


class UuidHex(IdColumn):
    """A UUID stored as text of 32 lower-case hex digits."""

    cache_ok = True
    kind = "a UUID as 32 lower-case hex digits"
    _store = staticmethod(lambda text: text.replace("-", ""))
    _read = staticmethod(lambda value: _hyphened(value) if isinstance(value, str) and _DIGITS.fullmatch(value) else None)


class UuidBlob(IdColumn):
    """A UUID stored as 16 bytes."""

    cache_ok = True
    impl = LargeBinary
    kind = "a BLOB of 16 bytes"
    # `uuid.UUID` takes five times as long.
    _store = staticmethod(lambda text: bytes.fromhex(text.replace("-", "")))
    _read = staticmethod(lambda value: _hyphened(value.hex()) if isinstance(value, bytes) and len(value) == 16 else None)


class NativeUuid(IdColumn):
    """A UUID of the database's own type, which PostgreSQL has."""

    cache_ok = True
    impl = Uuid
    kind = "a UUID"
    _store = staticmethod(uuid.UUID)
    _read = staticmethod(lambda value: str(value) if isinstance(value, uuid.UUID) else None)


class WholeNumber(IdColumn):
    """A whole number. Its canonical text is decimal."""

    cache_ok = True
    impl = BigInteger
    kind = "a whole number"
    _store = staticmethod(int)
    _read = staticmethod(lambda value: str(value) if isinstance(value, int) else None)


def _hyphened(digits: str) -> str:
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
