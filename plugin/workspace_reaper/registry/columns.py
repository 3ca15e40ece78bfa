"""Column types for ids. SQLite stores any value in any column, so what comes back is checked, never converted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import LargeBinary, String
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

__all__ = ["TextId", "UuidBlob", "WrongValue"]


class WrongValue(ValueError):
    """A value in the host's table is not of the kind that the schema says."""


class UuidBlob(TypeDecorator[str]):
    """A UUID stored as a BLOB of 16 bytes; in Python its hyphenated lower-case text."""

    impl = LargeBinary(16)
    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> Callable[[str | None], bytes | None]:  # noqa: ARG002
        return _uuid_bytes

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], str]:  # noqa: ARG002
        # Not process_result_value: it would come after LargeBinary's own bytes(value), which makes of the integer 16
        # sixteen zero bytes.
        return _uuid_text


class TextId(TypeDecorator[str]):
    """An id stored as TEXT."""

    impl = String
    cache_ok = True

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], str]:  # noqa: ARG002
        return _id_text


def _uuid_bytes(value: str | None) -> bytes | None:
    return None if value is None else bytes.fromhex(value.replace("-", ""))


def _uuid_text(value: object) -> str:
    if not isinstance(value, bytes) or len(value) != 16:
        raise WrongValue(f"a workspace id is {value!r}, not a BLOB of 16 bytes")
    digits = value.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def _id_text(value: object) -> str:
    if not isinstance(value, str):
        raise WrongValue(f"a workspace id is {value!r}, not text")
    return value
