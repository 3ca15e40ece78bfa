"""Text that SQLite takes and gives back unchanged, whatever it holds."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from sqlalchemy.engine import Dialect
from sqlalchemy.types import UserDefinedType

__all__ = ["SafeText", "escape", "unescape"]

_ESCAPED = re.compile(r"\\(\\|u[0-9a-f]{4})")


def escape(text: str) -> str:
    r"""``text`` as valid UTF-8 without NUL: lone surrogates (bytes that Python could not decode), NUL and ``\`` escaped.

    Names of sessions and sockets, and command lines, may hold any byte, and sqlite3 refuses lone surrogates. No two texts
    escape to the same.
    """
    if text.isascii() and "\\" not in text and "\0" not in text:
        return text
    doubled = text.replace("\\", "\\\\").replace("\0", "\\u0000")
    return doubled.encode("utf-8", "backslashreplace").decode("utf-8")


def unescape(text: str) -> str:
    """What ``escape`` was given."""
    return _ESCAPED.sub(_original, text) if "\\" in text else text


def _original(match: re.Match[str]) -> str:
    what = match[1]
    return what if what == "\\" else chr(int(what[1:], 16))


class SafeText(UserDefinedType[str]):
    """A TEXT column that takes any ``str``."""

    cache_ok = True

    def get_col_spec(self, **_kw: Any) -> str:
        """The type in SQL."""
        return "TEXT"

    def bind_processor(self, dialect: Dialect) -> Callable[[str | None], str | None]:  # noqa: ARG002 (SQLAlchemy's signature)
        """Escape on the way in."""
        return lambda text: None if text is None else escape(text)

    def result_processor(
        self,
        dialect: Dialect,  # noqa: ARG002 (SQLAlchemy's signature)
        coltype: object,  # noqa: ARG002 (SQLAlchemy's signature)
    ) -> Callable[[str | None], str | None]:
        """Unescape on the way out. Most text holds no escape, and a sweep reads thousands: that is asked first."""
        return lambda text: text if text is None or "\\" not in text else unescape(text)
