"""Column types for ids. In Python each id is its canonical text.

SQLite stores any value in any column, some programs write the same id in another way than the host's server, and PostgreSQL may
pad what it stores. A value is read in every spelling that its kind allows: lower or upper case, with or without hyphens, braces
or surrounding white space, as text or as bytes.

What Python reads as an id (`IdColumn._read`), a look-up has to find (`IdColumn.folded`): a row that is not found is absent.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    Integer,
    LargeBinary,
    String,
    Text,
    Uuid,
    and_,
    case,
    cast,
    collate,
    func,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator, TypeEngine

_HYPHENS = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_DIGITS = re.compile(r"[0-9a-f]{32}")
_NUMBER = re.compile(r"[+-]?[0-9]{1,19}")
_PUNCTUATION = str.maketrans("", "", "-{}")
_URN = "urn:uuid:"
# What `str.strip` removes. SQLite's trim() alone removes spaces only.
_SPACES = (
    "\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
# Those that a database in any encoding can compare with.
_ASCII_SPACES = " \t\n\v\f\r"


class WrongValue(ValueError):
    """A value in the host's table that is not of the kind that the schema declares."""


# The characters for which tmux writes "_" in the name of a session.
_REPLACED = ".:"
AS_TMUX = str.maketrans(_REPLACED, "__")


@dataclass(frozen=True, slots=True)
class OddId:
    """A value in the column of the ids that is not an id: its row belongs to no workspace. ``text`` says what it is."""

    text: str


class IdColumn(TypeDecorator[Any]):
    """An id. A subclass defines the kind of the stored value and converts it from and to the canonical text."""

    cache_ok = True
    impl: type[TypeEngine[Any]] = String
    kind: str
    """The stored values, for messages."""

    _store: Callable[[str], object] = staticmethod(str)
    """Returns the stored value of a canonical id."""

    _read: Callable[[Any], str | None]
    """Returns the canonical id of a value in any spelling, or None if the value is not of this kind."""

    fold: Callable[[str], str | int] = staticmethod(str)
    """Returns what `folded` gives for all spellings of a canonical id."""

    @staticmethod
    def folded(column: ColumnElement[Any], *, postgres: bool) -> ColumnElement[Any] | None:
        """Return an expression that is the same for all spellings of an id; None where each id has one spelling only.

        No index serves it, so a look-up by it reads the whole table.
        """
        del column, postgres
        return None

    def bind_processor(self, dialect: Dialect) -> Callable[[str | None], object]:
        """Return ``_store`` for all ids but None."""
        store = self._store
        return lambda text: None if text is None else store(text)

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], str | OddId]:
        """Return ``_read``, with an ``OddId`` for a value of another kind."""
        # Not process_result_value, which is called after the processor of ``impl``: that of LargeBinary turns the integer 16
        # into sixteen zero bytes.
        read, kind = self._read, self.kind

        def checked(value: Any) -> str | OddId:
            text = read(value)
            return OddId(f"a workspace id is {value!r}, not {kind}") if text is None else text

        return checked


def _ascii_lower(text: str) -> str:
    """Return the text as ``lower`` of SQLite does: it leaves other letters alone."""
    return "".join(chr(ord(one) + 32) if "A" <= one <= "Z" else one for one in text)


def _uuid_of(value: Any) -> str | None:
    """Return the canonical text of a UUID in any spelling."""
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, bytes):
        if len(value) == 16:
            return _hyphened(value.hex())
        value = value.decode("ascii", "replace")
    if not isinstance(value, str):
        return None
    digits = value.strip().lower().removeprefix(_URN).translate(_PUNCTUATION)
    return _hyphened(digits) if _DIGITS.fullmatch(digits) else None


def _number_of(value: Any) -> str | None:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int):
        return str(value)
    return str(int(value)) if isinstance(value, str) and _NUMBER.fullmatch(value.strip()) else None


def folded_uuid(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return the digits of a UUID in SQLite. It has to be the same for all that `_uuid_of` reads as the same UUID."""
    text: ColumnElement[Any] = func.lower(func.trim(cast(column, Text), _SPACES), type_=Text)
    for mark in ("-", "{", "}", _URN):
        text = func.replace(text, mark, "", type_=Text)
    is_binary = and_(func.typeof(column) == "blob", func.length(column) == 16)
    return case((is_binary, func.lower(func.hex(column))), else_=text)


def _lower_in_c(text: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return a text in lower case (ASCII only) in PostgreSQL, whose ``lower()`` otherwise depends on the column's collation."""
    return func.lower(collate(text, "C"), type_=Text)


def _folded_uuid_text(text: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return the digits of a UUID in PostgreSQL, without anything around or between them."""
    # Not by a list of white space: an encoding that lacks one of its characters makes the statement an error.
    return func.regexp_replace(_lower_in_c(text), f"{_URN}|[^0-9a-f]", "", "g", type_=Text)


class TextId(IdColumn):
    """An id stored as text. Ids that differ in case are different ids; so one that differs in nothing else is in doubt.

    So is one that has "." or ":" where the other has "_": tmux replaces them in the name of a session.
    """

    cache_ok = True
    kind = "text"
    _read = staticmethod(lambda value: value if isinstance(value, str) else None)

    @staticmethod
    def fold(text: str) -> str:
        """Return the text in lower case (ASCII only, as SQLite's ``lower()``), without white space (ASCII only) around it, and
        with "_" for what tmux replaces.
        """
        return _ascii_lower(text.strip(_ASCII_SPACES)).translate(AS_TMUX)

    @staticmethod
    def folded(column: ColumnElement[Any], *, postgres: bool) -> ColumnElement[Any]:
        text: ColumnElement[Any] = func.trim(cast(column, Text), _ASCII_SPACES, type_=Text)
        for replaced in _REPLACED:
            text = func.replace(text, replaced, "_", type_=Text)
        return _lower_in_c(text) if postgres else func.lower(text, type_=Text)


class PaddedText(TextId):
    """An id in a column ``CHAR(n)`` of PostgreSQL, which pads it with spaces."""

    cache_ok = True
    _read = staticmethod(lambda value: value.rstrip(" ") if isinstance(value, str) else None)


class _UuidColumn(IdColumn):
    """A UUID in any form."""

    cache_ok = True
    _read = staticmethod(_uuid_of)
    fold = staticmethod(lambda text: text.replace("-", ""))

    @staticmethod
    def folded(column: ColumnElement[Any], *, postgres: bool) -> ColumnElement[Any] | None:
        return _folded_uuid_text(cast(column, Text)) if postgres else folded_uuid(column)


class UuidText(_UuidColumn):
    """A UUID stored as text, usually in lower case and with hyphens."""

    cache_ok = True
    kind = "a UUID as text with hyphens"
    _read = staticmethod(lambda value: value if isinstance(value, str) and _HYPHENS.fullmatch(value) else _uuid_of(value))


class UuidHex(_UuidColumn):
    """A UUID stored as text, usually of 32 lower-case hex digits."""

    cache_ok = True
    kind = "a UUID as 32 hex digits"
    _store = staticmethod(lambda text: text.replace("-", ""))
    _read = staticmethod(
        lambda value: _hyphened(value) if isinstance(value, str) and _DIGITS.fullmatch(value) else _uuid_of(value)
    )


class UuidBlob(_UuidColumn):
    """A UUID stored as bytes, usually 16 of them."""

    cache_ok = True
    impl = LargeBinary
    kind = "a BLOB of 16 bytes"
    # `uuid.UUID` takes five times as long.
    _store = staticmethod(lambda text: bytes.fromhex(text.replace("-", "")))

    @staticmethod
    def folded(column: ColumnElement[Any], *, postgres: bool) -> ColumnElement[Any] | None:
        if not postgres:
            return folded_uuid(column)
        # The format "escape" leaves ASCII as it is, and no value is an error.
        text = _folded_uuid_text(func.encode(column, "escape", type_=Text))
        return case((func.length(column) == 16, func.encode(column, "hex", type_=Text)), else_=text)


class NativeUuid(_UuidColumn):
    """A UUID of the database's own type, which PostgreSQL has."""

    cache_ok = True
    impl = Uuid
    kind = "a UUID"
    _store = staticmethod(uuid.UUID)

    @staticmethod
    def folded(column: ColumnElement[Any], *, postgres: bool) -> ColumnElement[Any] | None:
        del column, postgres
        return None


class WholeNumber(IdColumn):
    """A whole number. Its canonical text is decimal."""

    cache_ok = True
    impl = BigInteger
    kind = "a whole number"
    _store = staticmethod(int)
    _read = staticmethod(_number_of)
    fold = staticmethod(int)

    @staticmethod
    def folded(column: ColumnElement[Any], *, postgres: bool) -> ColumnElement[Any] | None:
        if postgres:
            return None
        # SQLite skips only ASCII white space in front of a number, and a large real as text is not a whole number.
        return case((func.typeof(column) == "text", cast(func.trim(column, _SPACES), Integer)), else_=cast(column, Integer))


def _hyphened(digits: str) -> str:
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


class OnlySqlite(FunctionElement[bool]):
    """A condition that compares two columns of ids by `IdColumn.folded`. In PostgreSQL it is false.

    In SQLite a program may rewrite an id in one table and not in another. PostgreSQL checks each foreign key.
    """

    inherit_cache = True
    type = Boolean()


@compiles(OnlySqlite)
def _never(element: OnlySqlite, compiler: SQLCompiler, **options: Any) -> str:
    del element, compiler, options
    return "FALSE"


@compiles(OnlySqlite, "sqlite")
def _as_it_is(element: OnlySqlite, compiler: SQLCompiler, **options: Any) -> str:
    return f"({compiler.process(element.clauses, **options)})"
